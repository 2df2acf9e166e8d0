//! The engine as the storeys above have it: [`outflow_store::Engine`] over a [`Log`] whose parts
//! are driven by threads.

use std::fs::{File, OpenOptions, TryLockError};
use std::future::ready;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use outflow_model::id::Shard;
use outflow_model::{Clock, Offset, StreamId, Timestamp};
use outflow_store::{
    AppendError, Batch, Bounds, Commit, CommitObserver, Condition, Engine, EngineFuture, Health,
    Lease, LeaseError, Op, Put, Read, ReadError, StateEntry, StateError, StreamConfig,
};
use parking_lot::Mutex;

use crate::fs::RealFs;
use crate::lease::{Leases, Taken};
use crate::log::Log;
use crate::options::Options;
use crate::queue::{Kind, Queue};
use crate::reading::{self, Plan, Seek};
use crate::recovery::{OpenError, io_error};
use crate::shared::{Parts, Shared};
use crate::state::FjallState;
use crate::{catalog, identity, recovery, retention, sealer, threads};

/// How many bytes of state fjall caches.
const STATE_CACHE: u64 = 32 << 20;

/// The embedded engine. See the crate.
#[derive(Debug)]
pub struct LocalEngine {
    shared: Arc<Shared>,
    queue: Arc<Queue>,
    leases: Leases,
    threads: Arc<Threads>,
    /// Held while the directory is open; the last to go.
    _lock: Option<File>,
}

/// The threads, and how to end them.
#[derive(Debug)]
struct Threads {
    handles: Mutex<Vec<JoinHandle<()>>>,
    ended: Arc<AtomicBool>,
}

impl LocalEngine {
    /// Opens the data directory `dir`, or makes it. `clock` decides when events expire.
    ///
    /// # Errors
    /// [`OpenError`]: what is newer, in use or not ours is refused without a write.
    pub fn open(dir: &Path, options: Options, clock: Arc<dyn Clock>) -> Result<Self, OpenError> {
        identity::check(&RealFs, dir)?;
        // The state is made before anything that could hold an event.
        if !recovery::has_state(&RealFs, dir)? && recovery::has_data(&RealFs, dir)? {
            return Err(OpenError::StateLost(dir.to_owned()));
        }
        std::fs::create_dir_all(dir).map_err(io_error("making the data directory"))?;
        let lock = lock(dir)?;
        let state = FjallState::open(&dir.join("state"), STATE_CACHE);
        let damaged = |error| OpenError::StateDamaged { dir: dir.to_owned(), error };
        let state = Arc::new(state.map_err(damaged)?);
        let parts = Parts { fs: Arc::new(RealFs), state, clock };
        let mut engine = Self::start(Log::recover(dir, options, parts)?)?;
        engine._lock = Some(lock);
        Ok(engine)
    }

    /// Starts the threads of a recovered log.
    ///
    /// # Errors
    /// [`OpenError::Io`] when a thread cannot be started or the state not be read.
    pub fn start(log: Log) -> Result<Self, OpenError> {
        let Log { shared, committer } = log;
        let epochs = catalog::epochs(shared.state()).map_err(io_error("reading the state"))?;
        let queue = Arc::new(Queue::new(shared.options.queue_bytes));
        let ended = Arc::new(AtomicBool::new(false));
        #[expect(
            clippy::disallowed_methods,
            reason = "the one place that starts threads: the simulator does their work without any"
        )]
        let spawn = |name: &str, run: Box<dyn FnOnce() + Send>| {
            let thread = std::thread::Builder::new().name(name.into());
            thread.spawn(run).map_err(io_error("starting a thread"))
        };
        let (of_commit, of_keep) =
            ((shared.clone(), queue.clone()), (shared.clone(), queue.clone()));
        let keeper_ended = ended.clone();
        let handles = vec![
            spawn(
                "outflow-commit",
                Box::new(move || threads::commit(&of_commit.0, &of_commit.1, committer)),
            )?,
            spawn(
                "outflow-keep",
                Box::new(move || threads::keep(&of_keep.0, &of_keep.1, &keeper_ended)),
            )?,
        ];
        let threads = Arc::new(Threads { handles: Mutex::new(handles), ended });
        Ok(Self { shared, queue, leases: Leases::new(epochs), threads, _lock: None })
    }
}

impl LocalEngine {
    /// Brings everything committed so far into segments, as before a backup.
    ///
    /// # Errors
    /// [`AppendError::Stopped`] when the engine stopped; `Full` when the disk is.
    pub async fn seal(&self) -> Result<(), AppendError> {
        self.queue.submit(Batch::default(), Kind::HandOver).await?;
        let shared = self.shared.clone();
        let work = move || {
            let _keeping = shared.keeping.lock();
            while sealer::step(&shared, &mut |_| ()).map_err(stopped)? {}
            if shared.pending.is_empty() { Ok(()) } else { Err(AppendError::Full) }
        };
        off_runtime(work, || Err(AppendError::Throttled)).await
    }

    /// Changes how many bytes of the disk are kept free ([`Options::reserve_bytes`]), at once.
    pub fn set_reserve(&self, bytes: u64) {
        self.shared.reserve.store(bytes, Ordering::Relaxed);
        self.shared.check_space();
    }

    /// Applies retention now, rather than at the next interval.
    ///
    /// # Errors
    /// [`AppendError::Stopped`] when the engine stopped.
    pub async fn retain(&self) -> Result<(), AppendError> {
        let now = self.shared.parts.clock.now();
        if retention::is_overdue(&self.shared, now) {
            match self.seal().await {
                // Sealing goes on when there is room.
                Ok(()) | Err(AppendError::Full) => {}
                Err(error) => return Err(error),
            }
        }
        let plan = retention::plan(&self.shared, now);
        for ops in plan.chunks(retention::OPS) {
            let batch = Batch { ops: ops.to_vec(), ..Batch::default() };
            match self.queue.submit(batch, Kind::Internal).await {
                // A stream was dropped meanwhile: the rest is planned again the next time.
                Ok(()) | Err(AppendError::UnknownStream(_)) => {}
                Err(error) => return Err(error),
            }
        }
        let shared = self.shared.clone();
        let work = move || {
            let _keeping = shared.keeping.lock();
            retention::sweep(&shared).map_err(stopped)
        };
        off_runtime(work, || Err(AppendError::Throttled)).await
    }
}

/// A failed disk has stopped the engine.
#[expect(clippy::needless_pass_by_value, reason = "given to map_err")]
fn stopped(error: std::io::Error) -> AppendError {
    AppendError::Stopped(error.to_string())
}

/// Takes the directory for this process.
fn lock(dir: &Path) -> Result<File, OpenError> {
    let mut options = OpenOptions::new();
    options.create(true).truncate(false).write(true);
    let file = options.open(dir.join("lock")).map_err(io_error("opening the lock"))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::Locked(dir.to_owned())),
        Err(TryLockError::Error(error)) => Err(io_error("locking")(error)),
    }
}

impl Threads {
    /// Ends and awaits the threads, on the calling thread. Once; later calls return at once.
    fn end(&self, shared: &Shared, queue: &Queue) {
        queue.close("it was closed");
        self.ended.store(true, Ordering::Release);
        shared.pending.wake();
        for handle in self.handles.lock().drain(..) {
            // A thread that died has stopped the engine already.
            let _ = handle.join();
        }
    }
}

impl Drop for LocalEngine {
    fn drop(&mut self) {
        self.threads.end(&self.shared, &self.queue);
    }
}

/// Runs `work` where it may wait for a disk.
fn off_runtime<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
    died: impl FnOnce() -> T + Send + 'static,
) -> EngineFuture<'static, T> {
    match tokio::runtime::Handle::try_current() {
        Ok(runtime) => {
            let task = runtime.spawn_blocking(work);
            Box::pin(async move { task.await.unwrap_or_else(|_| died()) })
        }
        Err(_) => Box::pin(ready(work())),
    }
}

fn read_died() -> ReadError {
    ReadError::Io("the read was given up".into())
}

fn state_died() -> StateError {
    StateError("the read was given up".into())
}

impl Engine for LocalEngine {
    fn submit(&self, batch: Batch) -> Commit {
        if let Some(reason) = self.shared.health.stopped() {
            return Box::pin(ready(Err(AppendError::Stopped(reason))));
        }
        self.queue.submit(batch, Kind::Usual)
    }

    fn max_batch_bytes(&self) -> usize {
        self.shared.options.max_batch_bytes()
    }

    fn read(
        &self,
        stream: StreamId,
        from: Offset,
        max_bytes: usize,
    ) -> EngineFuture<'_, Result<Read, ReadError>> {
        let plan = match Plan::new(&self.shared, stream, from, max_bytes) {
            Ok(plan) => plan,
            Err(error) => return Box::pin(ready(Err(error))),
        };
        if let Some(read) = plan.in_memory(&self.shared) {
            return Box::pin(ready(Ok(read)));
        }
        let shared = self.shared.clone();
        off_runtime(move || plan.load(&shared), || Err(read_died()))
    }

    fn seek(&self, stream: StreamId, at: Timestamp) -> EngineFuture<'_, Result<Offset, ReadError>> {
        match reading::seek(&self.shared, stream, at) {
            Err(error) => Box::pin(ready(Err(error))),
            Ok(Seek::Found(offset)) => Box::pin(ready(Ok(offset))),
            Ok(within) => {
                let shared = self.shared.clone();
                off_runtime(move || within.finish(&shared, at), || Err(read_died()))
            }
        }
    }

    fn bounds(&self, stream: StreamId) -> Result<Bounds, ReadError> {
        self.shared.bounds(stream)
    }

    fn streams(&self) -> Vec<(StreamId, StreamConfig)> {
        self.shared.streams()
    }

    fn stored_bytes(&self, stream: StreamId) -> u64 {
        self.shared.index.read().streams.get(&stream).map_or(0, |stream| stream.bytes)
    }

    fn observe(&self, observer: Arc<dyn CommitObserver>) {
        *self.shared.observer.write() = Some(observer);
    }

    fn get(&self, key: &[u8]) -> EngineFuture<'_, Result<Option<StateEntry>, StateError>> {
        let (shared, key) = (self.shared.clone(), key.to_vec());
        off_runtime(move || shared.get(&key), || Err(state_died()))
    }

    fn scan(
        &self,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> EngineFuture<'_, Result<Vec<StateEntry>, StateError>> {
        let (shared, prefix) = (self.shared.clone(), prefix.to_vec());
        let after = after.map(<[u8]>::to_vec);
        off_runtime(move || shared.scan(&prefix, after.as_deref(), limit), || Err(state_died()))
    }

    fn acquire(
        &self,
        shard: Shard,
        owner: &str,
        ttl: Duration,
    ) -> EngineFuture<'_, Result<Lease, LeaseError>> {
        let now = self.shared.parts.clock.now();
        let lease = match self.leases.acquire(shard, owner, ttl, now) {
            Ok(Taken::New(lease)) => lease,
            Ok(Taken::Renewed(lease)) => return Box::pin(ready(Ok(lease))),
            Err(error) => return Box::pin(ready(Err(error))),
        };
        let value = Some(catalog::lease_value(lease.epoch, owner));
        let key = catalog::lease_key(shard);
        let put = Put { key, value, condition: Condition::Any };
        let batch = Batch { ops: vec![Op::Put(put)], ..Batch::default() };
        let commit = self.queue.submit(batch, Kind::Internal);
        Box::pin(async move {
            commit.await.map(|()| lease).map_err(|error| {
                // An epoch that was given to nobody does no harm: the next one is higher.
                let _ = self.leases.release(lease);
                LeaseError::Unavailable(error.to_string())
            })
        })
    }

    fn release(&self, lease: Lease) -> EngineFuture<'_, Result<(), LeaseError>> {
        Box::pin(ready(self.leases.release(lease)))
    }

    fn health(&self) -> Health {
        self.shared.health.report(self.shared.needed())
    }

    fn close(&self) -> EngineFuture<'_, ()> {
        let (threads, shared, queue) =
            (self.threads.clone(), self.shared.clone(), self.queue.clone());
        off_runtime(move || threads.end(&shared, &queue), || ())
    }
}
