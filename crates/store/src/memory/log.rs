//! Streams in memory: appends kept as blocks, bounds, reads, time lookup, retention.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use outflow_model::meta::META_BYTES;
use outflow_model::{Offset, StreamId, Timestamp};

use crate::block::BlockHead;
use crate::engine::{AppendError, Bounds, Read, ReadError};
use crate::{Append, Block, StreamConfig};

/// Every stream there is, and the ids of those that were.
#[derive(Debug, Default)]
pub(super) struct Streams {
    live: BTreeMap<StreamId, Log>,
    dropped: BTreeSet<StreamId>,
}

/// One stream: a block for each append.
#[derive(Debug)]
struct Log {
    config: StreamConfig,
    start: Offset,
    next: Offset,
    /// When the last event was taken, also when it is no longer there: time never falls.
    last_at: Timestamp,
    blocks: VecDeque<Arc<Block>>,
    stored_bytes: u64,
}

impl Streams {
    pub(super) fn set(&mut self, id: StreamId, config: StreamConfig) {
        self.live.entry(id).or_insert_with(Log::new).config = config;
    }

    pub(super) fn drop(&mut self, id: StreamId) {
        self.live.remove(&id);
        self.dropped.insert(id);
    }

    pub(super) fn append(&mut self, append: Append) {
        if let Some(log) = self.live.get_mut(&append.stream) {
            log.append(append);
        }
    }

    pub(super) fn trim(&mut self, id: StreamId, before: Offset) {
        if let Some(log) = self.live.get_mut(&id) {
            log.trim(before);
        }
    }

    pub(super) fn retain(&mut self, now: Timestamp) {
        self.live.values_mut().for_each(|log| log.retain(now));
    }

    pub(super) fn list(&self) -> Vec<(StreamId, StreamConfig)> {
        self.live.iter().map(|(&id, log)| (id, log.config)).collect()
    }

    pub(super) fn stored_bytes(&self, id: StreamId) -> u64 {
        self.live.get(&id).map_or(0, |log| log.stored_bytes)
    }

    pub(super) fn bounds(&self, id: StreamId) -> Result<Bounds, ReadError> {
        self.log(id).map(Log::bounds)
    }

    pub(super) fn seek(&self, id: StreamId, at: Timestamp) -> Result<Offset, ReadError> {
        self.log(id).map(|log| log.seek(at))
    }

    pub(super) fn read(
        &self,
        id: StreamId,
        from: Offset,
        max_bytes: usize,
    ) -> Result<Read, ReadError> {
        self.log(id)?.read(from, max_bytes)
    }

    fn log(&self, id: StreamId) -> Result<&Log, ReadError> {
        self.live.get(&id).ok_or(ReadError::UnknownStream(id))
    }
}

impl Log {
    fn new() -> Self {
        Self {
            config: StreamConfig::default(),
            start: Offset::FIRST,
            next: Offset::FIRST,
            last_at: Timestamp::from_millis(i64::MIN),
            blocks: VecDeque::new(),
            stored_bytes: 0,
        }
    }

    const fn bounds(&self) -> Bounds {
        Bounds { start: self.start, next: self.next }
    }

    fn append(&mut self, append: Append) {
        self.last_at = self.last_at.max(append.at);
        let at = self.last_at;
        let last = append.first.plus(u64::from(append.count) - 1);
        let head =
            BlockHead { first: append.first, last, count: append.count, first_at: at, last_at: at };
        // An empty stream's start stays, also when offsets before this append were never used: a
        // reader that waits there has missed nothing.
        self.next = last.next();
        self.stored_bytes += append.lines.len() as u64;
        self.blocks.push_back(Arc::new(Block::plain(head, append.lines, append.metas)));
    }

    fn read(&self, from: Offset, max_bytes: usize) -> Result<Read, ReadError> {
        if from != Offset::ZERO && from < self.start {
            return Err(ReadError::Trimmed { start: self.start });
        }
        let from = from.max(self.start);
        let skip = self.blocks.partition_point(|block| block.last < from);
        let (mut blocks, mut bytes, mut next) = (Vec::new(), 0, from.min(self.next));
        for block in self.blocks.range(skip..) {
            if !blocks.is_empty() && bytes + block.plain_len() > max_bytes {
                break;
            }
            bytes += block.plain_len();
            next = block.last.next();
            blocks.push(block.clone());
        }
        Ok(Read { blocks, next, bounds: self.bounds() })
    }

    fn seek(&self, at: Timestamp) -> Offset {
        let index = self.blocks.partition_point(|block| block.last_at < at);
        self.blocks.get(index).map_or(self.next, |block| block.first.max(self.start))
    }

    fn trim(&mut self, before: Offset) {
        self.start = self.start.max(before.min(self.next));
        while self.blocks.front().is_some_and(|block| block.last < self.start) {
            self.drop_oldest();
        }
    }

    fn retain(&mut self, now: Timestamp) {
        let age = i64::try_from(self.config.retention.age_ms).unwrap_or(i64::MAX);
        let max_bytes = self.config.retention.max_bytes.unwrap_or(u64::MAX);
        let expired = now.plus_millis(age.saturating_neg());
        while let Some(oldest) = self.blocks.front() {
            // The limit is what is kept at least: a block goes when the rest still reaches it.
            let rest = self.stored_bytes - oldest.plain_len() as u64;
            if oldest.last_at >= expired && rest < max_bytes {
                break;
            }
            self.start = oldest.last.next();
            self.drop_oldest();
        }
    }

    fn drop_oldest(&mut self) {
        if let Some(block) = self.blocks.pop_front() {
            self.stored_bytes -= block.plain_len() as u64;
        }
    }
}

/// Where a batch would leave the streams it names, while it is checked.
pub(super) struct Check<'a> {
    streams: &'a Streams,
    /// The end that the batch leaves; `None`: dropped.
    changed: BTreeMap<StreamId, Option<Offset>>,
}

impl<'a> Check<'a> {
    pub(super) const fn new(streams: &'a Streams) -> Self {
        Self { streams, changed: BTreeMap::new() }
    }

    fn next(&self, id: StreamId) -> Result<Offset, AppendError> {
        let stored = || self.streams.live.get(&id).map(|log| log.next);
        let next = self.changed.get(&id).copied().unwrap_or_else(stored);
        next.ok_or(AppendError::UnknownStream(id))
    }

    pub(super) fn exists(&self, id: StreamId) -> Result<(), AppendError> {
        self.next(id).map(drop)
    }

    pub(super) fn set(&mut self, id: StreamId) -> Result<(), AppendError> {
        if self.streams.dropped.contains(&id) || self.changed.get(&id) == Some(&None) {
            return Err(AppendError::Invalid("the id is of a stream that was dropped"));
        }
        let next = self.next(id).unwrap_or(Offset::FIRST);
        self.changed.insert(id, Some(next));
        Ok(())
    }

    pub(super) fn drop(&mut self, id: StreamId) -> Result<(), AppendError> {
        self.exists(id)?;
        self.changed.insert(id, None);
        Ok(())
    }

    pub(super) fn append(&mut self, append: &Append) -> Result<(), AppendError> {
        let next = self.next(append.stream)?;
        let count = append.count as usize;
        if count == 0 || append.metas.len() != count * META_BYTES {
            return Err(AppendError::Invalid("an append has events, and a sidecar for each"));
        }
        let end = append.first.plus(u64::from(append.count));
        if end > Offset::LAST.next() {
            return Err(AppendError::Invalid("the stream has used up its offsets"));
        }
        if append.first < next {
            return Err(AppendError::Conflict);
        }
        self.changed.insert(append.stream, Some(end));
        Ok(())
    }
}
