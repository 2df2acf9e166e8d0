//! A store that fails now and then, and takes its time, as a test says.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use outflow_model::id::Shard;
use outflow_model::{Offset, StreamId, Timestamp};
use outflow_store::{
    Batch, Bounds, Commit, CommitObserver, Engine, EngineFuture, Health, Lease, LeaseError, Read,
    ReadError, StateEntry, StateError, StreamConfig,
};
use tokio::sync::Mutex;

/// See the module.
#[derive(Debug)]
pub(crate) struct Flaky {
    inner: Arc<dyn Engine>,
    /// How often notes of webhooks cannot be read.
    pub(crate) refusals: AtomicUsize,
    /// Streams are not read while this is locked.
    pub(crate) gate: Mutex<()>,
}

impl Flaky {
    pub(crate) fn new(inner: Arc<dyn Engine>) -> Arc<Self> {
        Arc::new(Self { inner, refusals: AtomicUsize::new(0), gate: Mutex::default() })
    }
}

impl Engine for Flaky {
    fn submit(&self, batch: Batch) -> Commit {
        self.inner.submit(batch)
    }

    fn max_batch_bytes(&self) -> usize {
        self.inner.max_batch_bytes()
    }

    fn read(
        &self,
        stream: StreamId,
        from: Offset,
        max_bytes: usize,
    ) -> EngineFuture<'_, Result<Read, ReadError>> {
        Box::pin(async move {
            drop(self.gate.lock().await);
            self.inner.read(stream, from, max_bytes).await
        })
    }

    fn seek(&self, stream: StreamId, at: Timestamp) -> EngineFuture<'_, Result<Offset, ReadError>> {
        self.inner.seek(stream, at)
    }

    fn bounds(&self, stream: StreamId) -> Result<Bounds, ReadError> {
        self.inner.bounds(stream)
    }

    fn streams(&self) -> Vec<(StreamId, StreamConfig)> {
        self.inner.streams()
    }

    fn stored_bytes(&self, stream: StreamId) -> u64 {
        self.inner.stored_bytes(stream)
    }

    fn observe(&self, observer: Arc<dyn CommitObserver>) {
        self.inner.observe(observer);
    }

    fn get(&self, key: &[u8]) -> EngineFuture<'_, Result<Option<StateEntry>, StateError>> {
        let less = |left: usize| left.checked_sub(1);
        let (success, failure) = (Ordering::SeqCst, Ordering::SeqCst);
        let is_note = key.starts_with(b"webhook/");
        if is_note && self.refusals.fetch_update(success, failure, less).is_ok() {
            return Box::pin(async { Err(StateError("try again".into())) });
        }
        self.inner.get(key)
    }

    fn scan(
        &self,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> EngineFuture<'_, Result<Vec<StateEntry>, StateError>> {
        self.inner.scan(prefix, after, limit)
    }

    fn acquire(
        &self,
        shard: Shard,
        owner: &str,
        ttl: Duration,
    ) -> EngineFuture<'_, Result<Lease, LeaseError>> {
        self.inner.acquire(shard, owner, ttl)
    }

    fn release(&self, lease: Lease) -> EngineFuture<'_, Result<(), LeaseError>> {
        self.inner.release(lease)
    }

    fn health(&self) -> Health {
        self.inner.health()
    }

    fn close(&self) -> EngineFuture<'_, ()> {
        self.inner.close()
    }
}
