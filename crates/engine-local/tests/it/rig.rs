//! The engine's synchronous core on the bad disk, and an [`Engine`] around it, so that the
//! contract and its model apply: every future is ready at once, and there is one thread.

use std::future::ready;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use outflow_engine_local::{Log, OpenError, Options, Parts};
use outflow_model::clock::ManualClock;
use outflow_model::id::Shard;
use outflow_model::{Offset, StreamId, Timestamp};
use outflow_store::engine::ReadError;
use outflow_store::{
    AppendError, Batch, Bounds, Commit, CommitObserver, Engine, EngineFuture, Health, Lease,
    LeaseError, Read, StateEntry, StateError, StreamConfig,
};
use parking_lot::Mutex;

use crate::disk::Disk;
use crate::faults::{Faults, Loss};
use crate::volatile::Volatile;

/// Where the data is on the simulated disk.
pub(crate) const DIR: &str = "/srv/data";
/// When the simulated world begins.
pub(crate) const BEGIN: Timestamp = Timestamp::from_millis(1_700_000_000_000);
/// Room enough for any test that does not want it to be short.
pub(crate) const AMPLE: u64 = 1 << 30;

/// Small enough that a few dozen batches go through every stage of a stored event's life.
pub(crate) fn small() -> Options {
    Options {
        journal_bytes: 64 << 10,
        pending_generations: 2,
        block_bytes: 4 << 10,
        cache_bytes: 64 << 10,
        open_segments: 2,
        read_ahead_bytes: 64 << 10,
        reserve_bytes: Some(128 << 10),
        seal_bytes_per_second: 0,
        ..Options::default()
    }
}

/// A machine: its disk, its clock, and the engine that runs on it, if one does.
#[derive(Debug)]
pub(crate) struct Rig {
    pub(crate) faults: Arc<Faults>,
    pub(crate) disk: Disk,
    pub(crate) state: Volatile,
    pub(crate) clock: Arc<ManualClock>,
    engine: Option<Arc<Single>>,
}

impl Rig {
    /// An empty machine. The directory that holds the data directory is there.
    pub(crate) fn new(seed: u64) -> Self {
        let faults = Arc::new(Faults::new(seed));
        let disk = Disk::new(faults.clone(), AMPLE);
        disk.make_durable_dir(Path::new(DIR).parent().unwrap());
        let state = Volatile::new(faults.clone());
        Self { disk, state, faults, clock: Arc::new(ManualClock::new(BEGIN)), engine: None }
    }

    /// Starts the engine.
    ///
    /// # Errors
    /// Its own.
    pub(crate) fn open(&mut self) -> Result<(), OpenError> {
        self.engine = None;
        let parts = Parts {
            fs: Arc::new(self.disk.clone()),
            state: Arc::new(self.state.clone()),
            clock: self.clock.clone(),
        };
        let log = Log::recover(Path::new(DIR), small(), parts)?;
        self.engine = Some(Arc::new(Single(Mutex::new(log))));
        Ok(())
    }

    /// The engine that runs.
    pub(crate) fn engine(&self) -> &Arc<Single> {
        self.engine.as_ref().expect("an engine runs")
    }

    /// Stops the process; the machine stays up, so that nothing is lost.
    pub(crate) fn kill(&mut self) {
        self.engine = None;
        self.faults.revive();
    }

    /// Stops the machine: what was not synced is lost as the disk likes.
    pub(crate) fn power_cut(&mut self, disk: Loss, state: Loss) {
        self.engine = None;
        self.disk.crash(disk);
        self.state.crash(state);
        self.faults.revive();
    }
}

/// The core as an engine. See the module.
#[derive(Debug)]
pub(crate) struct Single(pub(crate) Mutex<Log>);

impl Single {
    /// One group commit. Seals first when too much waits, as the keeping thread would.
    pub(crate) fn commit(&self, group: Vec<Batch>) -> Vec<Result<(), AppendError>> {
        let mut log = self.0.lock();
        while log.waiting() >= small().pending_generations && matches!(log.seal_step(), Ok(true)) {}
        log.commit(group)
    }

    /// Seals one full generation; `false` when none waits.
    ///
    /// # Errors
    /// The disk's.
    pub(crate) fn seal_step(&self) -> std::io::Result<bool> {
        self.0.lock().seal_step()
    }

    /// Runs retention once.
    ///
    /// # Errors
    /// The disk's.
    pub(crate) fn retain(&self) -> std::io::Result<()> {
        self.0.lock().retain()
    }
}

impl Engine for Single {
    fn submit(&self, batch: Batch) -> Commit {
        let result = self.commit(vec![batch]).pop();
        Box::pin(ready(result.expect("an answer for each batch")))
    }

    fn max_batch_bytes(&self) -> usize {
        small().max_batch_bytes()
    }

    fn read(
        &self,
        stream: StreamId,
        from: Offset,
        max_bytes: usize,
    ) -> EngineFuture<'_, Result<Read, ReadError>> {
        Box::pin(ready(self.0.lock().read(stream, from, max_bytes)))
    }

    fn seek(&self, stream: StreamId, at: Timestamp) -> EngineFuture<'_, Result<Offset, ReadError>> {
        Box::pin(ready(self.0.lock().seek(stream, at)))
    }

    fn bounds(&self, stream: StreamId) -> Result<Bounds, ReadError> {
        self.0.lock().bounds(stream)
    }

    fn streams(&self) -> Vec<(StreamId, StreamConfig)> {
        self.0.lock().streams()
    }

    fn stored_bytes(&self, _: StreamId) -> u64 {
        0
    }

    fn observe(&self, _: Arc<dyn CommitObserver>) {}

    fn get(&self, key: &[u8]) -> EngineFuture<'_, Result<Option<StateEntry>, StateError>> {
        Box::pin(ready(self.0.lock().get(key)))
    }

    fn scan(
        &self,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> EngineFuture<'_, Result<Vec<StateEntry>, StateError>> {
        Box::pin(ready(self.0.lock().scan(prefix, after, limit)))
    }

    fn acquire(
        &self,
        _: Shard,
        _: &str,
        _: Duration,
    ) -> EngineFuture<'_, Result<Lease, LeaseError>> {
        Box::pin(ready(Err(LeaseError::Unavailable("not in the core".into()))))
    }

    fn release(&self, _: Lease) -> EngineFuture<'_, Result<(), LeaseError>> {
        Box::pin(ready(Err(LeaseError::Lost)))
    }

    fn health(&self) -> Health {
        self.0.lock().health()
    }

    fn close(&self) -> EngineFuture<'_, ()> {
        // Whether it could is what the next opening shows.
        let _ = self.0.lock().close();
        Box::pin(ready(()))
    }
}
