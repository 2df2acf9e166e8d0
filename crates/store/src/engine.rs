//! The seam between the hub and what stores: everything an engine must do, and nothing else.
//!
//! An engine is a fenced, ordered, durable log of blocks plus compare-and-set state. Cursors,
//! leases on events, dedup, filters and fan-out are the hub's, computed from the log, so they
//! behave the same on every engine. The laws are tested by [`crate::contract`].

use std::fmt::Debug;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use outflow_model::id::Shard;
use outflow_model::{Offset, StreamId, Timestamp};

use crate::{Batch, Block, StreamConfig};

/// The future of an engine's answer.
pub type EngineFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Resolves when the batch is durable (or queued, when relaxed), or has failed and is absent.
pub type Commit = EngineFuture<'static, Result<(), AppendError>>;

/// Why a batch was not written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// A later epoch owns the shard. The caller must stop serving it.
    #[error("a newer owner has taken the shard")]
    Fenced,
    /// An offset was not above the stream's end, or a put's condition did not hold.
    #[error("the state has moved on")]
    Conflict,
    /// A stream of the batch does not exist.
    #[error("no stream {0}")]
    UnknownStream(StreamId),
    /// The batch breaks a limit of the engine: nobody can write it.
    #[error("the batch is not acceptable: {0}")]
    Invalid(&'static str),
    /// The queue is full: try again.
    #[error("the commit queue is full")]
    Throttled,
    /// The disk is full but for the reserve that acks and deletes use: try again later.
    #[error("the disk is full")]
    Full,
    /// The engine has failed or stopped. Whether the batch is there is decided at recovery.
    #[error("the engine has stopped: {0}")]
    Stopped(String),
}

/// Why a read failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// The place is older than what is retained, which starts at `start`.
    #[error("events before {start} are no longer retained")]
    Trimmed {
        /// The first offset still there.
        start: Offset,
    },
    /// No such stream.
    #[error("no stream {0}")]
    UnknownStream(StreamId),
    /// Stored bytes fail their checksum. Reading may go on at `resume`, past the damage.
    #[error("stored events are damaged: {detail}")]
    Damaged {
        /// Where, for the operator.
        detail: String,
        /// The first offset past the damaged block.
        resume: Offset,
    },
    /// The storage failed to answer.
    #[error("the storage cannot be read: {0}")]
    Io(String),
}

/// Why state could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("state cannot be read: {0}")]
pub struct StateError(pub String);

/// Why a lease was not given.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LeaseError {
    /// Another owner holds it.
    #[error("held by `{0}`")]
    Held(String),
    /// It was lost, or is not this owner's.
    #[error("the lease is lost")]
    Lost,
    /// The engine failed to answer.
    #[error("the engine cannot be reached: {0}")]
    Unavailable(String),
}

/// Ownership of a shard for a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lease {
    /// The shard.
    pub shard: Shard,
    /// Rises with every change of owner, for ever.
    pub epoch: u64,
}

/// Where a stream begins and ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// The first offset still retained; equal to `next` when the stream is empty.
    pub start: Offset,
    /// The offset after the last committed event.
    pub next: Offset,
}

/// A piece of a stream.
#[derive(Debug, Clone)]
pub struct Read {
    /// Committed events at or above the asked offset, in order, without gaps in what is retained.
    /// The first block may begin below the asked offset; [`Block::tail_from`] cuts it.
    pub blocks: Vec<Arc<Block>>,
    /// Where to read on.
    pub next: Offset,
    /// The stream's bounds when the read was made. `next == bounds.next` means caught up.
    pub bounds: Bounds,
}

/// A state entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateEntry {
    /// The key.
    pub key: Bytes,
    /// The value.
    pub value: Bytes,
    /// Changes with every put of the key; never repeats for one key.
    pub revision: u64,
}

/// How the engine is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Health {
    /// Why it no longer writes, when it does not.
    pub stopped: Option<String>,
    /// Whether appends are refused because the disk is full.
    pub full: bool,
    /// How many bytes of the disk have to be free for appends to be taken again once it is full; 0
    /// where the engine keeps none.
    pub needed: u64,
    /// Damage found and set aside, for the operator.
    pub damage: Vec<String>,
}

/// Is told of commits, on the engine's own thread: it must return at once.
pub trait CommitObserver: Send + Sync + Debug {
    /// These streams now end before `next`. Hints may be merged, never lost for good.
    fn committed(&self, streams: &[(StreamId, Offset)]);
}

/// An engine. See the module.
pub trait Engine: Send + Sync + Debug + 'static {
    /// Queues `batch` and returns at once: batches are written in the order of these calls.
    ///
    /// When a synced batch is answered, every batch queued before it can be read or was refused,
    /// relaxed ones too; a synced batch without parts does nothing but wait for that.
    fn submit(&self, batch: Batch) -> Commit;

    /// The largest batch it takes, by [`Batch::bytes`]: a larger one is refused as
    /// [`AppendError::Invalid`], whenever it is submitted.
    fn max_batch_bytes(&self) -> usize;

    /// Reads at least one event at or above `from` if there is one, and about `max_bytes` of
    /// lines. Only committed events are seen. `from` above the end reads nothing.
    fn read(
        &self,
        stream: StreamId,
        from: Offset,
        max_bytes: usize,
    ) -> EngineFuture<'_, Result<Read, ReadError>>;

    /// The first offset taken at or after `at`; the end if there is none.
    fn seek(&self, stream: StreamId, at: Timestamp) -> EngineFuture<'_, Result<Offset, ReadError>>;

    /// The stream's bounds, from memory.
    ///
    /// # Errors
    /// [`ReadError::UnknownStream`].
    fn bounds(&self, stream: StreamId) -> Result<Bounds, ReadError>;

    /// Every stream with its configuration, in order of id.
    fn streams(&self) -> Vec<(StreamId, StreamConfig)>;

    /// The bytes of plain lines that the stream retains, about.
    fn stored_bytes(&self, stream: StreamId) -> u64;

    /// Tells `observer` of every commit from now on. One observer; a second call replaces it.
    fn observe(&self, observer: Arc<dyn CommitObserver>);

    /// The value of a key.
    fn get(&self, key: &[u8]) -> EngineFuture<'_, Result<Option<StateEntry>, StateError>>;

    /// Up to `limit` entries whose key starts with `prefix`, in order, after key `after`.
    fn scan(
        &self,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> EngineFuture<'_, Result<Vec<StateEntry>, StateError>>;

    /// Takes or renews ownership of a shard. A change of owner raises the epoch.
    fn acquire(
        &self,
        shard: Shard,
        owner: &str,
        ttl: Duration,
    ) -> EngineFuture<'_, Result<Lease, LeaseError>>;

    /// Gives ownership up.
    fn release(&self, lease: Lease) -> EngineFuture<'_, Result<(), LeaseError>>;

    /// How it is.
    fn health(&self) -> Health;

    /// Waits until everything queued is durable and stops writing. Further batches fail.
    fn close(&self) -> EngineFuture<'_, ()>;
}
