//! An engine in memory: what tests of the storeys above run on, and the plain model of the laws.
//!
//! Called by tests of `hub`, `auth` and the faces, and by [`crate::contract`]. Calls `model` only.
//!
//! Invariants: a batch is checked whole before any of it is applied; commits are applied in the
//! order of the `submit` calls; the observer and the waiting futures are told outside the lock.
//! Nothing outlives the process: [`MemoryEngine::restart`] stands in for a crash.

mod lease;
mod log;
mod state;

use std::collections::VecDeque;
use std::future::ready;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use outflow_model::clock::SystemClock;
use outflow_model::id::Shard;
use outflow_model::{Clock, Offset, StreamId, Timestamp};
use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::engine::{
    AppendError, Bounds, Commit, CommitObserver, Engine, EngineFuture, Health, Lease, LeaseError,
    Read, ReadError, StateEntry, StateError,
};
use crate::{Batch, Block, Durability, Op, StreamConfig};

/// An engine that forgets everything with the process. See the module.
#[derive(Debug)]
pub struct MemoryEngine {
    clock: Arc<dyn Clock>,
    core: Mutex<Core>,
}

/// All that the engine holds, under one lock.
#[derive(Debug, Default)]
struct Core {
    durable: Durable,
    leases: lease::Leases,
    observer: Option<Arc<dyn CommitObserver>>,
    /// Batches that wait for [`MemoryEngine::commit_next`], when commits are held back.
    held: Option<VecDeque<Waiting>>,
    failures: VecDeque<AppendError>,
    /// The offsets of a stream that cannot be read: from the first to before the second.
    damage: Option<(StreamId, Offset, Offset)>,
    health: Health,
    /// The largest batch; `None`: there is none.
    max_batch_bytes: Option<usize>,
}

/// What survives [`MemoryEngine::restart`].
#[derive(Debug, Default)]
struct Durable {
    streams: log::Streams,
    state: state::State,
    epochs: lease::Epochs,
}

/// A batch held back, and who waits for it.
#[derive(Debug)]
struct Waiting {
    batch: Batch,
    answer: oneshot::Sender<Result<(), AppendError>>,
}

impl Default for MemoryEngine {
    fn default() -> Self {
        Self::new(Arc::new(SystemClock))
    }
}

impl MemoryEngine {
    /// An empty engine. `clock` decides when leases expire.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, core: Mutex::default() }
    }

    /// Makes the next batch that reaches its commit fail with `error`, wholly absent. Calls queue.
    pub fn fail_next(&self, error: AppendError) {
        self.core.lock().failures.push_back(error);
    }

    /// Damages the events of a stream from `from` to before `to`: reads stop there, as at blocks
    /// whose checksum is wrong.
    pub fn damage(&self, stream: StreamId, from: Offset, to: Offset) {
        self.core.lock().damage = Some((stream, from, to));
    }

    /// From now on no batch may have more bytes than `max`, as with an engine whose files are small.
    pub fn bound_batches(&self, max: usize) {
        self.core.lock().max_batch_bytes = Some(max);
    }

    /// From now on batches wait for [`Self::commit_next`] or [`Self::commit_all`].
    pub fn hold(&self) {
        self.core.lock().held.get_or_insert_default();
    }

    /// How many batches are held back.
    #[must_use]
    pub fn held(&self) -> usize {
        self.core.lock().held.as_ref().map_or(0, VecDeque::len)
    }

    /// Commits the oldest batch held back; `false` when there is none.
    pub fn commit_next(&self) -> bool {
        let next = self.core.lock().held.as_mut().and_then(VecDeque::pop_front);
        let Some(Waiting { batch, answer }) = next else { return false };
        // Nobody may be waiting any more: a relaxed batch was answered when it was queued.
        let _ = answer.send(self.commit(batch));
        true
    }

    /// Commits every batch held back, in order, and holds no more.
    pub fn commit_all(&self) {
        while self.commit_next() {}
        let rest = self.core.lock().held.take().unwrap_or_default();
        for Waiting { batch, answer } in rest {
            let _ = answer.send(self.commit(batch));
        }
    }

    /// Applies the retention of every stream as of `now`.
    pub fn retain(&self, now: Timestamp) {
        self.core.lock().durable.streams.retain(now);
    }

    /// Makes the disk full, or gives it room again: while it is full, batches that append are
    /// refused with `Full`, and others go through, as with an engine that keeps a reserve.
    pub fn set_full(&self, is_full: bool) {
        self.core.lock().health.full = is_full;
    }

    /// Stops writing, as after a failed sync: batches held back and later ones fail with `Stopped`.
    pub fn stop(&self, reason: &str) {
        let mut core = self.core.lock();
        core.health.stopped.get_or_insert_with(|| reason.into());
        let held = core.held.take().unwrap_or_default();
        drop(core);
        for Waiting { answer, .. } in held {
            let _ = answer.send(Err(AppendError::Stopped(reason.into())));
        }
    }

    /// Stops this engine and gives a new one with all that was committed: a crash and a re-open.
    /// Leases are lost, their epochs are not; batches held back are absent.
    #[must_use]
    pub fn restart(&self) -> Self {
        self.stop("restarted");
        let durable = std::mem::take(&mut self.core.lock().durable);
        Self { clock: self.clock.clone(), core: Mutex::new(Core { durable, ..Core::default() }) }
    }

    fn commit(&self, batch: Batch) -> Result<(), AppendError> {
        let mut core = self.core.lock();
        if let Some(reason) = &core.health.stopped {
            return Err(AppendError::Stopped(reason.clone()));
        }
        if let Some(error) = core.failures.pop_front() {
            return Err(error);
        }
        if core.max_batch_bytes.is_some_and(|max| batch.bytes() > max) {
            return Err(AppendError::Invalid("the batch is larger than a test lets it be"));
        }
        core.durable.check(&batch)?;
        if core.health.full && batch.ops.iter().any(|op| matches!(op, Op::Append(_))) {
            return Err(AppendError::Full);
        }
        let grown = core.durable.apply(batch);
        let observer = core.observer.clone();
        drop(core);
        if let Some(observer) = observer.filter(|_| !grown.is_empty()) {
            observer.committed(&grown);
        }
        Ok(())
    }
}

impl Durable {
    /// Whether all of `batch` can be applied. Parts see what earlier parts of the batch will do.
    fn check(&self, batch: &Batch) -> Result<(), AppendError> {
        if let Some(fence) = batch.fence {
            self.epochs.check(fence)?;
        }
        let mut streams = log::Check::new(&self.streams);
        let mut state = state::Check::new(&self.state);
        batch.ops.iter().try_for_each(|op| match op {
            Op::Put(put) => state.put(put),
            Op::Append(append) => streams.append(append),
            Op::SetStream(id, _) => streams.set(*id),
            Op::DropStream(id) => streams.drop(*id),
            Op::Trim(id, _) => streams.exists(*id),
        })
    }

    /// Applies a checked batch. Returns where the streams it appended to now end.
    fn apply(&mut self, batch: Batch) -> Vec<(StreamId, Offset)> {
        let mut grown = Vec::new();
        for op in batch.ops {
            match op {
                Op::Put(put) => self.state.put(put),
                Op::Append(append) => {
                    grown.retain(|&(id, _)| id != append.stream);
                    grown.push((append.stream, append.first.plus(u64::from(append.count))));
                    self.streams.append(append);
                }
                Op::SetStream(id, config) => self.streams.set(id, config),
                Op::DropStream(id) => {
                    grown.retain(|&(grown, _)| grown != id);
                    self.streams.drop(id);
                }
                Op::Trim(id, before) => self.streams.trim(id, before),
            }
        }
        grown
    }
}

/// What `read`, made at `from`, gives of a stream that is damaged at `damage`.
fn stop_at(
    read: Result<Read, ReadError>,
    from: Offset,
    damage: Range<Offset>,
) -> Result<Read, ReadError> {
    let mut read = read?;
    let meets = |block: &Arc<Block>| block.last >= damage.start && block.first < damage.end;
    let Some(at) = read.blocks.iter().position(meets).filter(|_| from < damage.end) else {
        return Ok(read);
    };
    if at == 0 {
        let detail = "by the test's wish".to_owned();
        return Err(ReadError::Damaged { detail, resume: damage.end });
    }
    read.next = read.blocks.get(at).map_or(read.next, |block| block.first);
    read.blocks.truncate(at);
    Ok(read)
}

impl Engine for MemoryEngine {
    fn submit(&self, batch: Batch) -> Commit {
        let relaxed = batch.durability == Durability::Relaxed;
        let mut core = self.core.lock();
        if let Some(held) = &mut core.held {
            let (answer, committed) = oneshot::channel();
            held.push_back(Waiting { batch, answer });
            if relaxed {
                return Box::pin(ready(Ok(())));
            }
            let gone = || AppendError::Stopped("the engine is gone".into());
            return Box::pin(async move { committed.await.unwrap_or_else(|_| Err(gone())) });
        }
        drop(core);
        Box::pin(ready(self.commit(batch)))
    }

    fn max_batch_bytes(&self) -> usize {
        self.core.lock().max_batch_bytes.unwrap_or(usize::MAX)
    }

    fn read(
        &self,
        stream: StreamId,
        from: Offset,
        max_bytes: usize,
    ) -> EngineFuture<'_, Result<Read, ReadError>> {
        let core = self.core.lock();
        let read = core.durable.streams.read(stream, from, max_bytes);
        Box::pin(ready(match core.damage {
            Some((damaged, start, end)) if damaged == stream => stop_at(read, from, start..end),
            _ => read,
        }))
    }

    fn seek(&self, stream: StreamId, at: Timestamp) -> EngineFuture<'_, Result<Offset, ReadError>> {
        Box::pin(ready(self.core.lock().durable.streams.seek(stream, at)))
    }

    fn bounds(&self, stream: StreamId) -> Result<Bounds, ReadError> {
        self.core.lock().durable.streams.bounds(stream)
    }

    fn streams(&self) -> Vec<(StreamId, StreamConfig)> {
        self.core.lock().durable.streams.list()
    }

    fn stored_bytes(&self, stream: StreamId) -> u64 {
        self.core.lock().durable.streams.stored_bytes(stream)
    }

    fn observe(&self, observer: Arc<dyn CommitObserver>) {
        self.core.lock().observer = Some(observer);
    }

    fn get(&self, key: &[u8]) -> EngineFuture<'_, Result<Option<StateEntry>, StateError>> {
        Box::pin(ready(Ok(self.core.lock().durable.state.get(key))))
    }

    fn scan(
        &self,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> EngineFuture<'_, Result<Vec<StateEntry>, StateError>> {
        Box::pin(ready(Ok(self.core.lock().durable.state.scan(prefix, after, limit))))
    }

    fn acquire(
        &self,
        shard: Shard,
        owner: &str,
        ttl: Duration,
    ) -> EngineFuture<'_, Result<Lease, LeaseError>> {
        let now = self.clock.now();
        let core = &mut *self.core.lock();
        let lease = core.leases.acquire(&mut core.durable.epochs, shard, owner, ttl, now);
        Box::pin(ready(lease))
    }

    fn release(&self, lease: Lease) -> EngineFuture<'_, Result<(), LeaseError>> {
        let core = &mut *self.core.lock();
        Box::pin(ready(core.leases.release(&core.durable.epochs, lease)))
    }

    fn health(&self) -> Health {
        self.core.lock().health.clone()
    }

    fn close(&self) -> EngineFuture<'_, ()> {
        self.commit_all();
        self.stop("closed");
        Box::pin(ready(()))
    }
}
