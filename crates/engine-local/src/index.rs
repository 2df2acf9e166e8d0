//! What every stream holds and where: all of it in memory, some 64 bytes for each stored block.
//!
//! Written by the committer (appends, trims), the sealer (chunks become blocks) and compaction;
//! read by every reader. One lock around it all, held for moments: nothing here touches a disk.
//!
//! Invariants: in each stream the sealed blocks and then the chunks are in order of offset and do
//! not overlap; every block's segment is in the table; a segment's `live` is the bytes of the
//! blocks that refer to it.
//!
//! Offsets may leave gaps, so that the offsets alone do not show that something is lost. Every
//! block and chunk therefore names the stream's last event before it (`previous`), as the
//! committer knew it: where that event is retained and not there, events are missing.

use std::collections::{HashMap, HashSet, VecDeque};
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;

use bytes::Bytes;
use outflow_model::{Offset, StreamId, Timestamp};
use outflow_store::{Bounds, StreamConfig};

use crate::segment::Segment;

/// Spreads small numbers over a table; the same in every run, for the simulator's sake. Stream
/// ids are given out by the server, so nobody can choose ones that collide.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct IdHasher(u64);

impl Hasher for IdHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|&byte| self.write_u32(byte.into()));
    }

    fn write_u32(&mut self, id: u32) {
        let mixed = (self.0 ^ u64::from(id)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        self.0 = mixed ^ (mixed >> 29);
    }
}

/// A table keyed by a stream's or segment's number.
pub(crate) type IdMap<K, V> = HashMap<K, V, BuildHasherDefault<IdHasher>>;
/// A set of such numbers.
pub(crate) type IdSet<K> = HashSet<K, BuildHasherDefault<IdHasher>>;

/// Events that are committed and not yet sealed: one append, as it came.
#[derive(Debug, Clone)]
pub(crate) struct Chunk {
    pub(crate) first: Offset,
    pub(crate) count: u32,
    pub(crate) at: Timestamp,
    /// The stream's last event before it; [`Offset::ZERO`]: none, or not known.
    pub(crate) previous: Offset,
    /// The journal generation it is in.
    pub(crate) generation: u64,
    pub(crate) lines: Bytes,
    pub(crate) metas: Bytes,
}

impl Chunk {
    pub(crate) const fn last(&self) -> Offset {
        self.first.plus(self.count as u64 - 1)
    }
}

/// Where a stored block is, and what it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BlockRef {
    pub(crate) first: Offset,
    pub(crate) last: Offset,
    pub(crate) first_at: Timestamp,
    pub(crate) last_at: Timestamp,
    /// The stream's last event before it; [`Offset::ZERO`]: none, or not known.
    pub(crate) previous: Offset,
    /// The segment's number in this process ([`Segment::uid`]).
    pub(crate) segment: u32,
    /// Where it starts in the segment's file.
    pub(crate) position: u32,
    /// Its size in the file, head included.
    pub(crate) len: u32,
    /// The length of its plain lines.
    pub(crate) plain_len: u32,
    pub(crate) count: u32,
}

/// One stream.
#[derive(Debug)]
pub(crate) struct StreamLog {
    pub(crate) config: StreamConfig,
    pub(crate) start: Offset,
    pub(crate) next: Offset,
    /// The last event, also when it is no longer there; [`Offset::ZERO`]: none, or not known.
    pub(crate) last: Offset,
    /// The last event that was ever sealed, in the same way.
    pub(crate) sealed_end: Offset,
    /// When the last event was taken, also when it is no longer there.
    pub(crate) last_at: Timestamp,
    pub(crate) sealed: VecDeque<BlockRef>,
    pub(crate) tail: VecDeque<Chunk>,
    /// The plain bytes of all blocks and chunks.
    pub(crate) bytes: u64,
}

impl StreamLog {
    pub(crate) fn new(config: StreamConfig) -> Self {
        Self {
            last_at: Timestamp::from_millis(i64::MIN),
            config,
            start: Offset::FIRST,
            next: Offset::FIRST,
            last: Offset::ZERO,
            sealed_end: Offset::ZERO,
            sealed: VecDeque::new(),
            tail: VecDeque::new(),
            bytes: 0,
        }
    }

    pub(crate) const fn bounds(&self) -> Bounds {
        Bounds { start: self.start, next: self.next }
    }

    /// Whether it holds no events.
    pub(crate) fn is_empty(&self) -> bool {
        self.sealed.is_empty() && self.tail.is_empty()
    }

    /// Adds a committed chunk. Returns whether it is the stream's first of its generation.
    ///
    /// The start stays: what lies between it and the chunk was never there, so that a reader who
    /// waits below has lost nothing. At recovery it may lie within the chunk.
    pub(crate) fn push(&mut self, chunk: Chunk) -> bool {
        self.next = self.next.max(chunk.last().next());
        self.last = self.last.max(chunk.last());
        self.last_at = self.last_at.max(chunk.at);
        self.bytes += chunk.lines.len() as u64;
        let is_first = self.tail.back().is_none_or(|last| last.generation != chunk.generation);
        self.tail.push_back(chunk);
        is_first
    }

    /// The events that are retained and not there, as runs of offsets from the first that may be
    /// missing to the last that is.
    pub(crate) fn missing(&self) -> Vec<(Offset, Offset)> {
        let mut missing = Vec::new();
        let mut expected = self.start;
        let sealed = self.sealed.iter().map(|block| (block.previous, block.last));
        let tail = self.tail.iter().map(|chunk| (chunk.previous, chunk.last()));
        let newest = std::iter::once((self.last, self.last));
        for (previous, last) in sealed.chain(tail).chain(newest) {
            if previous >= expected {
                missing.push((expected, previous));
            }
            expected = expected.max(last.next());
        }
        missing
    }
}

/// All streams and segments.
#[derive(Debug, Default)]
pub(crate) struct Index {
    pub(crate) streams: IdMap<StreamId, StreamLog>,
    /// The ids of streams that were dropped: never used again.
    pub(crate) dropped: IdSet<StreamId>,
    pub(crate) segments: IdMap<u32, Arc<Segment>>,
}

impl Index {
    /// Moves a stream's start up to `start` and lets go of what is below.
    pub(crate) fn trim(&mut self, id: StreamId, start: Offset) {
        let Some(stream) = self.streams.get_mut(&id) else { return };
        stream.start = stream.start.max(start.min(stream.next));
        while let Some(block) = stream.sealed.front().filter(|block| block.last < stream.start) {
            stream.bytes = stream.bytes.saturating_sub(block.plain_len.into());
            if let Some(segment) = self.segments.get(&block.segment) {
                segment.release(block.len.into());
            }
            stream.sealed.pop_front();
        }
        while let Some(chunk) = stream.tail.front().filter(|chunk| chunk.last() < stream.start) {
            stream.bytes = stream.bytes.saturating_sub(chunk.lines.len() as u64);
            stream.tail.pop_front();
        }
    }

    /// Forgets a stream for good.
    pub(crate) fn drop_stream(&mut self, id: StreamId) {
        self.dropped.insert(id);
        let Some(stream) = self.streams.remove(&id) else { return };
        for block in stream.sealed {
            if let Some(segment) = self.segments.get(&block.segment) {
                segment.release(block.len.into());
            }
        }
    }

    /// The ids of all streams, in order.
    pub(crate) fn ids(&self) -> Vec<StreamId> {
        let mut ids: Vec<_> = self.streams.keys().copied().collect();
        ids.sort_unstable();
        ids
    }
}
