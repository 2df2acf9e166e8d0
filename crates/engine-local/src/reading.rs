//! Reads and time lookups: planned under the index's lock, served from memory or the cache, and
//! only then from disk.
//!
//! Called by the engine for every reader; calls the index, the cache and segments.
//!
//! Invariants: the index's lock is never held across a disk read; only committed events are seen;
//! a block that fails its checksum is never served; nobody is led past missing events unaware.

use std::io;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use outflow_model::{Offset, StreamId, Timestamp};
use outflow_store::block::BlockHead;
use outflow_store::{Block, Bounds, Read, ReadError};

use crate::index::{BlockRef, Chunk, StreamLog};
use crate::segment::Segment;
use crate::segment::reader::read_run;
use crate::shared::Shared;

/// A block that a read wants, and where it would be read from.
#[derive(Debug, Clone)]
struct Wanted {
    block: BlockRef,
    segment: Arc<Segment>,
}

/// What a read will give, decided in memory.
#[derive(Debug)]
pub(crate) struct Plan {
    stream: StreamId,
    bounds: Bounds,
    sealed: Vec<Wanted>,
    /// How many of `sealed` were asked for; the rest is read ahead.
    asked: usize,
    chunks: Vec<Chunk>,
}

impl Plan {
    /// Decides what a read of about `max_bytes` from `from` gives.
    pub(crate) fn new(
        shared: &Shared,
        id: StreamId,
        from: Offset,
        max_bytes: usize,
    ) -> Result<Self, ReadError> {
        let index = shared.index.read();
        let stream = index.streams.get(&id).ok_or(ReadError::UnknownStream(id))?;
        let bounds = stream.bounds();
        if from < bounds.start && from != Offset::ZERO {
            return Err(ReadError::Trimmed { start: bounds.start });
        }
        let from = from.max(bounds.start);
        let mut plan =
            Self { stream: id, bounds, sealed: Vec::new(), asked: 0, chunks: Vec::new() };
        let skip = stream.sealed.partition_point(|block| block.last < from);
        let (mut bytes, mut stored) = (0, 0);
        let mut expected = from;
        for block in stream.sealed.range(skip..) {
            if block.previous >= expected {
                // What comes before the missing events is served first.
                if plan.sealed.is_empty() {
                    return Err(missing(id, from, block.previous, block.first));
                }
                return Ok(plan);
            }
            expected = block.last.next();
            let is_asked = plan.sealed.is_empty() || bytes + block.plain_len as usize <= max_bytes;
            if !is_asked && stored >= shared.options.read_ahead_bytes {
                break;
            }
            let Some(segment) = index.segments.get(&block.segment) else { break };
            bytes += block.plain_len as usize;
            stored += block.len as usize;
            if is_asked && plan.asked == plan.sealed.len() {
                plan.asked += 1;
            }
            plan.sealed.push(Wanted { block: *block, segment: segment.clone() });
        }
        if plan.sealed.is_empty() {
            plan.chunks = tail(stream, from, max_bytes)
                .map_err(|chunk| missing(id, from, chunk.previous, chunk.first))?;
            if plan.chunks.is_empty() && from <= stream.last {
                return Err(missing(id, from, stream.last, bounds.next));
            }
        }
        Ok(plan)
    }

    /// The answer, if it needs no disk.
    pub(crate) fn in_memory(&self, shared: &Shared) -> Option<Read> {
        if self.sealed.is_empty() {
            return Some(self.answer(merge(&self.chunks, shared.options.block_bytes)));
        }
        let asked = self.sealed.iter().take(self.asked);
        let blocks = asked
            .map(|Wanted { block, .. }| shared.cache.get((block.segment, block.position)))
            .collect::<Option<Vec<_>>>()?;
        Some(self.answer(blocks))
    }

    /// The answer, read from disk where it has to be.
    pub(crate) fn load(&self, shared: &Shared) -> Result<Read, ReadError> {
        if let Some(read) = self.in_memory(shared) {
            return Ok(read);
        }
        let mut blocks: Vec<Arc<Block>> = Vec::with_capacity(self.asked);
        while let Some(wanted) = self.sealed.get(blocks.len()).filter(|_| blocks.len() < self.asked)
        {
            let key = (wanted.block.segment, wanted.block.position);
            if let Some(block) = shared.cache.get(key) {
                blocks.push(block);
                continue;
            }
            match self.load_run(shared, blocks.len(), wanted) {
                Ok(run) => blocks.extend(run.into_iter().take(self.asked - blocks.len())),
                // What comes before the damage is served first.
                Err(ReadError::Damaged { .. }) if !blocks.is_empty() => break,
                Err(error) => return Err(error),
            }
        }
        Ok(self.answer(blocks))
    }

    /// Reads the blocks from number `at` on that lie one after another in one file.
    fn load_run(
        &self,
        shared: &Shared,
        at: usize,
        wanted: &Wanted,
    ) -> Result<Vec<Arc<Block>>, ReadError> {
        let mut run: Vec<BlockRef> = Vec::new();
        let mut stored = 0;
        for Wanted { block, .. } in self.sealed.iter().skip(at) {
            let follows = run.last().is_none_or(|last| {
                last.segment == block.segment && last.position + last.len == block.position
            });
            if !follows || (stored >= shared.options.read_ahead_bytes && !run.is_empty()) {
                break;
            }
            stored += block.len as usize;
            run.push(*block);
        }
        let file = match shared.open_segment(&wanted.segment) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(note_damage(shared, &wanted.segment, &wanted.block));
            }
            opened => opened.map_err(|error| ReadError::Io(error.to_string()))?,
        };
        let read = read_run(file.as_ref(), self.stream, &run)
            .map_err(|error| ReadError::Io(error.to_string()))?;
        let mut good = Vec::with_capacity(run.len());
        for (block, read) in run.iter().zip(read) {
            let Ok(stored) = read else {
                let damage = note_damage(shared, &wanted.segment, block);
                if good.is_empty() {
                    return Err(damage);
                }
                break;
            };
            let loaded = Arc::new(stored.block);
            shared.cache.insert((block.segment, block.position), loaded.clone());
            good.push(loaded);
        }
        Ok(good)
    }

    fn answer(&self, blocks: Vec<Arc<Block>>) -> Read {
        let end = blocks.last().map(|block| block.last.next());
        // Nothing is at or above `from`, though offsets may have been passed over.
        let next = end.unwrap_or(self.bounds.next);
        Read { blocks, next, bounds: self.bounds }
    }
}

/// Word that events from `from` on, up to `to`, are not there. The operator was told at recovery.
fn missing(id: StreamId, from: Offset, to: Offset, resume: Offset) -> ReadError {
    ReadError::Damaged {
        detail: format!("events {from} to {to} of stream {id} are missing"),
        resume,
    }
}

/// Tells the operator of a damaged block; the reader's error says where to go on.
fn note_damage(shared: &Shared, segment: &Segment, block: &BlockRef) -> ReadError {
    let file = crate::segment::path(std::path::Path::new(""), segment.age_ms, segment.number);
    let (first, last) = (block.first, block.last);
    let detail = format!("{} at byte {}: {first} to {last}", file.display(), block.position);
    segment.set_damaged();
    shared.health.damage(detail.clone());
    ReadError::Damaged { detail, resume: block.last.next() }
}

/// The chunks of a read, about `max_bytes` of them, up to where events are missing; the chunk
/// behind the missing ones when there are none before.
fn tail(stream: &StreamLog, from: Offset, max_bytes: usize) -> Result<Vec<Chunk>, &Chunk> {
    let skip = stream.tail.partition_point(|chunk| chunk.last() < from);
    let (mut bytes, mut expected) = (0, from);
    if let Some(first) = stream.tail.get(skip).filter(|chunk| chunk.previous >= from) {
        return Err(first);
    }
    let wanted = stream.tail.range(skip..).take_while(|chunk| {
        let is_first = bytes == 0;
        let follows = chunk.previous < expected;
        expected = chunk.last().next();
        bytes += chunk.lines.len();
        follows && (is_first || bytes <= max_bytes)
    });
    Ok(wanted.cloned().collect())
}

/// Blocks of about `block_bytes`; a chunk that is large enough becomes one as it is.
pub(crate) fn merge(chunks: &[Chunk], block_bytes: usize) -> Vec<Arc<Block>> {
    let mut blocks = Vec::new();
    let mut rest = chunks;
    while !rest.is_empty() {
        let mut bytes = 0;
        let fits = rest.iter().take_while(|chunk| {
            let is_first = bytes == 0;
            bytes += chunk.lines.len();
            is_first || bytes <= block_bytes
        });
        let (group, after) = rest.split_at_checked(fits.count()).unwrap_or((rest, &[]));
        rest = after;
        blocks.extend(join(group).map(Arc::new));
    }
    blocks
}

/// One block of consecutive chunks.
pub(crate) fn join(chunks: &[Chunk]) -> Option<Block> {
    let (first, last) = (chunks.first()?, chunks.last()?);
    let head = BlockHead {
        first: first.first,
        last: last.last(),
        count: chunks.iter().map(|chunk| chunk.count).sum(),
        first_at: first.at,
        last_at: last.at,
    };
    if chunks.len() == 1 {
        return Some(Block::plain(head, first.lines.clone(), first.metas.clone()));
    }
    let concat = |part: fn(&Chunk) -> &Bytes| {
        let mut all = BytesMut::with_capacity(chunks.iter().map(|chunk| part(chunk).len()).sum());
        chunks.iter().for_each(|chunk| all.extend_from_slice(part(chunk)));
        all.freeze()
    };
    Some(Block::plain(head, concat(|chunk| &chunk.lines), concat(|chunk| &chunk.metas)))
}

/// Where a time lookup ends, or the block that has to be looked into.
#[derive(Debug)]
pub(crate) enum Seek {
    Found(Offset),
    /// The block that holds the offset, and the stream's start.
    Within(Plan, Offset),
}

/// The first offset taken at or after `at`.
pub(crate) fn seek(shared: &Shared, id: StreamId, at: Timestamp) -> Result<Seek, ReadError> {
    let index = shared.index.read();
    let stream = index.streams.get(&id).ok_or(ReadError::UnknownStream(id))?;
    let (bounds, start) = (stream.bounds(), stream.start);
    let sealed = stream.sealed.partition_point(|block| block.last_at < at);
    if let Some(block) = stream.sealed.get(sealed) {
        if block.first_at >= at {
            return Ok(Seek::Found(block.first.max(start)));
        }
        let Some(segment) = index.segments.get(&block.segment) else {
            return Ok(Seek::Found(block.first.max(start)));
        };
        let wanted = Wanted { block: *block, segment: segment.clone() };
        let (sealed, chunks) = (vec![wanted], Vec::new());
        let plan = Plan { stream: id, bounds, sealed, asked: 1, chunks };
        return Ok(Seek::Within(plan, start));
    }
    let tail = stream.tail.partition_point(|chunk| chunk.at < at);
    let found = stream.tail.get(tail).map_or(stream.next, |chunk| chunk.first.max(start));
    Ok(Seek::Found(found))
}

/// The first offset of `block` taken at or after `at`.
///
/// The sealer puts appends of different times into one block only when the times of their events
/// tell them apart ([`times_tell`]).
pub(crate) fn seek_within(block: &Block, at: Timestamp) -> Option<Offset> {
    let mut time = block.first_at;
    block.metas().ok()?.iter().find_map(|meta| {
        time = time.max(meta.processed).min(block.last_at);
        (time >= at).then_some(meta.offset)
    })
}

/// Whether the events' own times, made to never fall, say when each chunk was taken.
pub(crate) fn times_tell(chunk: &Chunk, before: Timestamp) -> bool {
    let metas = outflow_model::MetaSlice::new(&chunk.metas);
    metas.iter().all(|meta| before.max(meta.processed) == chunk.at)
}
