//! The engine without threads: one owner, plain calls. The threads of [`crate::LocalEngine`]
//! drive its parts; the simulator drives it whole, in one thread, so that a seed decides all.

use std::io;
use std::path::Path;
use std::sync::Arc;

use outflow_model::{Offset, StreamId, Timestamp};
use outflow_store::{
    AppendError, Batch, Bounds, Health, Read, ReadError, StateEntry, StateError, StreamConfig,
};

use crate::committer::{Committer, Room};
use crate::options::Options;
use crate::reading::{self, Plan, Seek};
use crate::recovery::{self, OpenError};
use crate::shared::{Parts, Shared};
use crate::{compaction, retention, sealer};

/// See the module.
#[derive(Debug)]
pub struct Log {
    pub(crate) shared: Arc<Shared>,
    pub(crate) committer: Committer,
}

impl Log {
    /// Opens the data directory `dir`, or makes it.
    ///
    /// # Errors
    /// [`OpenError`].
    #[expect(clippy::needless_pass_by_value, reason = "the engine keeps its parts")]
    pub fn recover(dir: &Path, options: Options, parts: Parts) -> Result<Self, OpenError> {
        let recovery::Recovered { shared, committer } = recovery::recover(dir, options, &parts)?;
        Ok(Self { shared, committer })
    }

    /// Commits a group of batches, in order, and answers for each: several groups, if they are
    /// more than a journal file holds.
    pub fn commit(&mut self, batches: Vec<Batch>) -> Vec<Result<(), AppendError>> {
        let max = self.shared.options.max_batch_bytes();
        let (mut answers, mut group, mut bytes) = (Vec::new(), Vec::new(), 0);
        for batch in batches {
            if bytes + batch.bytes() > max {
                answers.extend(self.commit_as(std::mem::take(&mut group), false));
                bytes = 0;
            }
            bytes += batch.bytes();
            group.push(batch);
        }
        answers.extend(self.commit_as(group, false));
        answers
    }

    fn commit_as(&mut self, batches: Vec<Batch>, own: bool) -> Vec<Result<(), AppendError>> {
        let max = self.shared.options.max_batch_bytes();
        // What is larger than a journal file is refused when it is staged.
        let bytes = batches.iter().map(Batch::bytes).filter(|&bytes| bytes <= max).sum();
        let refused = match self.committer.prepare(bytes) {
            Ok(Room::Yes) => None,
            Ok(Room::Later) => Some(AppendError::Throttled),
            Ok(Room::Full) => Some(AppendError::Full),
            Err(error) => Some(error),
        };
        if let Some(error) = refused {
            return batches.iter().map(|_| Err(error.clone())).collect();
        }
        let staged: Vec<_> =
            batches.into_iter().map(|batch| self.committer.stage(batch, own)).collect();
        match self.committer.commit() {
            Ok(()) => staged,
            Err(error) => staged.into_iter().map(|staged| staged.and(Err(error.clone()))).collect(),
        }
    }

    /// Seals one generation that waits; `false` when none does.
    ///
    /// # Errors
    /// The disk's: the engine has stopped.
    pub fn seal_step(&mut self) -> io::Result<bool> {
        sealer::step(&self.shared, &mut |_| ())
    }

    /// Hands what was committed to the sealer, though its journal file is not full.
    pub fn hand_over(&mut self) {
        self.committer.hand_over();
    }

    /// Notes durably how far the journal goes, as the threads do when commits have rested.
    ///
    /// # Errors
    /// [`AppendError::Stopped`]: the disk failed.
    pub fn mark(&mut self) -> Result<(), AppendError> {
        self.committer.mark()
    }

    /// Trims streams by age and size, hands over what is too old to wait for its journal file to be
    /// full, removes segments that nothing refers to, and rewrites one that is more dead than alive.
    ///
    /// # Errors
    /// The disk's: the engine has stopped.
    pub fn retain(&mut self) -> io::Result<()> {
        self.shared.keep_spare();
        self.shared.check_space();
        let now = self.shared.parts.clock.now();
        for ops in retention::plan(&self.shared, now).chunks(retention::OPS) {
            let batch = Batch { ops: ops.to_vec(), ..Batch::default() };
            // A stream may have been dropped since; what is refused now is planned again.
            let _ = self.commit_as(vec![batch], true);
        }
        if retention::is_overdue(&self.shared, now) {
            self.hand_over();
        }
        retention::sweep(&self.shared)?;
        compaction::step(&self.shared, &mut |_| ()).map(drop)
    }

    /// As [`outflow_store::Engine::read`].
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn read(
        &self,
        stream: StreamId,
        from: Offset,
        max_bytes: usize,
    ) -> Result<Read, ReadError> {
        Plan::new(&self.shared, stream, from, max_bytes)?.load(&self.shared)
    }

    /// As [`outflow_store::Engine::seek`].
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn seek(&self, stream: StreamId, at: Timestamp) -> Result<Offset, ReadError> {
        let seek = reading::seek(&self.shared, stream, at)?;
        seek.finish(&self.shared, at)
    }

    /// As [`outflow_store::Engine::bounds`].
    ///
    /// # Errors
    /// [`ReadError::UnknownStream`].
    pub fn bounds(&self, stream: StreamId) -> Result<Bounds, ReadError> {
        self.shared.bounds(stream)
    }

    /// As [`outflow_store::Engine::streams`].
    #[must_use]
    pub fn streams(&self) -> Vec<(StreamId, StreamConfig)> {
        self.shared.streams()
    }

    /// As [`outflow_store::Engine::get`].
    ///
    /// # Errors
    /// [`StateError`].
    pub fn get(&self, key: &[u8]) -> Result<Option<StateEntry>, StateError> {
        self.shared.get(key)
    }

    /// As [`outflow_store::Engine::scan`], without the engine's own keys.
    ///
    /// # Errors
    /// [`StateError`].
    pub fn scan(
        &self,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<StateEntry>, StateError> {
        self.shared.scan(prefix, after, limit)
    }

    /// As [`outflow_store::Engine::health`].
    #[must_use]
    pub fn health(&self) -> Health {
        self.shared.health.report(self.shared.needed())
    }

    /// How many full journal files wait to be sealed.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.shared.pending.len()
    }

    /// Makes the state durable and stops.
    ///
    /// # Errors
    /// The disk's.
    pub fn close(&mut self) -> io::Result<()> {
        close(&self.shared, &self.committer)
    }
}

/// Makes the state durable up to the last commit, so that a journal that lost its end is found
/// out, and stops.
pub(crate) fn close(shared: &Shared, committer: &Committer) -> io::Result<()> {
    if shared.health.stopped().is_some() {
        return Ok(());
    }
    shared.health.close();
    shared.state().apply(&[], Some(committer.last_sequence()))?;
    shared.state().persist()
}

impl Shared {
    pub(crate) fn bounds(&self, id: StreamId) -> Result<Bounds, ReadError> {
        let index = self.index.read();
        let stream = index.streams.get(&id).ok_or(ReadError::UnknownStream(id))?;
        Ok(stream.bounds())
    }

    pub(crate) fn streams(&self) -> Vec<(StreamId, StreamConfig)> {
        let index = self.index.read();
        let mut all: Vec<_> = index.streams.iter().map(|(&id, log)| (id, log.config)).collect();
        all.sort_unstable_by_key(|&(id, _)| id);
        all
    }

    /// Never the engine's own keys.
    pub(crate) fn get(&self, key: &[u8]) -> Result<Option<StateEntry>, StateError> {
        if key.first() == Some(&0) {
            return Ok(None);
        }
        self.state().get(key).map_err(|error| StateError(error.to_string()))
    }

    pub(crate) fn scan(
        &self,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<StateEntry>, StateError> {
        // The engine's own keys are the ones that start with byte 0: nobody else's come before.
        let after = after.unwrap_or_default().max(&[0, u8::MAX][..]);
        let all = self.state().scan(prefix, Some(after), limit);
        all.map_err(|error| StateError(error.to_string()))
    }
}

impl Seek {
    /// Looks into the block if need be.
    pub(crate) fn finish(self, shared: &Shared, at: Timestamp) -> Result<Offset, ReadError> {
        let (plan, start) = match self {
            Self::Found(offset) => return Ok(offset),
            Self::Within(plan, start) => (plan, start),
        };
        let read = plan.load(shared)?;
        let block = read.blocks.first();
        let found = block.and_then(|block| reading::seek_within(block, at));
        // The block's last event is late enough, by the index.
        Ok(found.or(block.map(|block| block.last)).unwrap_or(start).max(start))
    }
}
