//! The one write: a batch of appends and state puts, whole or not at all.

use bytes::Bytes;
use outflow_model::{Offset, StreamId, Timestamp, id::Shard};

/// When a batch is acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Durability {
    /// After the sync that made it durable.
    #[default]
    Synced,
    /// When it is in the commit queue; a crash may lose it. Opt-in per stream.
    Relaxed,
}

/// How long a stream keeps its events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Retention {
    /// Events older than this many milliseconds may go. Streams of equal age share segment files.
    pub age_ms: u64,
    /// The stream's stored size in bytes of plain lines beyond which the oldest go; `None`: no limit.
    pub max_bytes: Option<u64>,
}

impl Default for Retention {
    /// Seven days or 100 GB, whichever first (reference `airship.md` 1.5).
    fn default() -> Self {
        Self { age_ms: 7 * 86_400_000, max_bytes: Some(100_000_000_000) }
    }
}

/// What the engine must know of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StreamConfig {
    /// How long it keeps its events.
    pub retention: Retention,
}

/// Consecutive events of one stream.
#[derive(Debug, Clone)]
pub struct Append {
    /// The stream, which must exist.
    pub stream: StreamId,
    /// The first event's offset: at or above the stream's next one, else `Conflict`.
    pub first: Offset,
    /// How many events; the last has offset `first + count - 1`.
    pub count: u32,
    /// When the server took them. The engine clamps it so that it never falls within a stream.
    pub at: Timestamp,
    /// The lines, each ending in `\n`.
    pub lines: Bytes,
    /// The sidecars, `count * META_BYTES` bytes.
    pub metas: Bytes,
}

/// What a state put requires of the value it replaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Condition {
    /// Nothing.
    #[default]
    Any,
    /// The key is absent.
    Absent,
    /// The key is present with this revision.
    Revision(u64),
}

/// One change of the keyed state.
#[derive(Debug, Clone)]
pub struct Put {
    /// The key, 1 to 512 bytes; keys starting with byte 0 belong to the engine.
    pub key: Bytes,
    /// The new value, up to 1 MiB; `None` deletes.
    pub value: Option<Bytes>,
    /// What must hold, else the whole batch is refused with `Conflict`.
    pub condition: Condition,
}

/// One part of a batch.
#[derive(Debug, Clone)]
pub enum Op {
    /// Append events.
    Append(Append),
    /// Change state.
    Put(Put),
    /// Make a stream, or change one that exists.
    SetStream(StreamId, StreamConfig),
    /// Remove a stream and its events for good; its id is not used again.
    DropStream(StreamId),
    /// Forget the events below the offset.
    Trim(StreamId, Offset),
}

/// Proof of ownership: the batch is refused as `Fenced` once a later epoch of the shard exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fence {
    /// The shard.
    pub shard: Shard,
    /// The epoch of the lease under which the batch is written.
    pub epoch: u64,
}

/// The one write. Atomic: after a crash all of it is there or none.
#[derive(Debug, Clone, Default)]
pub struct Batch {
    /// The parts, applied in order.
    pub ops: Vec<Op>,
    /// When it is acknowledged.
    pub durability: Durability,
    /// Proof of ownership, where several nodes share the engine.
    pub fence: Option<Fence>,
}

impl Batch {
    /// A batch of one synced append.
    #[must_use]
    pub fn append(append: Append) -> Self {
        Self { ops: vec![Op::Append(append)], ..Self::default() }
    }

    /// A batch of one unconditional, synced state put.
    #[must_use]
    pub fn put(key: impl Into<Bytes>, value: Option<Bytes>) -> Self {
        let put = Put { key: key.into(), value, condition: Condition::Any };
        Self { ops: vec![Op::Put(put)], ..Self::default() }
    }

    /// Its payload in bytes: what queues are bounded by.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let of = |op: &Op| match op {
            Op::Append(append) => append.lines.len() + append.metas.len(),
            Op::Put(put) => put.key.len() + put.value.as_ref().map_or(0, Bytes::len),
            Op::SetStream(..) | Op::DropStream(_) | Op::Trim(..) => 16,
        };
        self.ops.iter().map(|op| of(op) + 40).sum()
    }
}
