//! The engine in memory, but that a read takes a moment, as one of a disk does, or as long as a test
//! holds its gate.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use outflow_model::id::Shard;
use outflow_model::{Offset, StreamId, Timestamp};
use outflow_store::engine::{EngineFuture, LeaseError, StateError};
use outflow_store::memory::MemoryEngine;
use outflow_store::{
    Batch, Bounds, Commit, CommitObserver, Engine, Health, Lease, Read, ReadError, StateEntry,
    StreamConfig,
};

/// See the module.
#[derive(Debug)]
pub(crate) struct SlowEngine {
    memory: Arc<MemoryEngine>,
    /// Reads wait while this is locked.
    pub(crate) gate: tokio::sync::Mutex<()>,
    /// How many reads have come to the gate.
    pub(crate) reads: AtomicUsize,
}

impl SlowEngine {
    pub(crate) fn new(memory: Arc<MemoryEngine>) -> Self {
        Self { memory, gate: tokio::sync::Mutex::default(), reads: AtomicUsize::new(0) }
    }
}

impl Engine for SlowEngine {
    fn submit(&self, batch: Batch) -> Commit {
        self.memory.submit(batch)
    }

    fn max_batch_bytes(&self) -> usize {
        self.memory.max_batch_bytes()
    }

    fn read(
        &self,
        stream: StreamId,
        from: Offset,
        max_bytes: usize,
    ) -> EngineFuture<'_, Result<Read, ReadError>> {
        Box::pin(async move {
            tokio::task::yield_now().await;
            self.reads.fetch_add(1, Ordering::Relaxed);
            drop(self.gate.lock().await);
            self.memory.read(stream, from, max_bytes).await
        })
    }

    fn seek(&self, stream: StreamId, at: Timestamp) -> EngineFuture<'_, Result<Offset, ReadError>> {
        self.memory.seek(stream, at)
    }

    fn bounds(&self, stream: StreamId) -> Result<Bounds, ReadError> {
        self.memory.bounds(stream)
    }

    fn streams(&self) -> Vec<(StreamId, StreamConfig)> {
        self.memory.streams()
    }

    fn stored_bytes(&self, stream: StreamId) -> u64 {
        self.memory.stored_bytes(stream)
    }

    fn observe(&self, observer: Arc<dyn CommitObserver>) {
        self.memory.observe(observer);
    }

    fn get(&self, key: &[u8]) -> EngineFuture<'_, Result<Option<StateEntry>, StateError>> {
        self.memory.get(key)
    }

    fn scan(
        &self,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> EngineFuture<'_, Result<Vec<StateEntry>, StateError>> {
        self.memory.scan(prefix, after, limit)
    }

    fn acquire(
        &self,
        shard: Shard,
        owner: &str,
        ttl: Duration,
    ) -> EngineFuture<'_, Result<Lease, LeaseError>> {
        self.memory.acquire(shard, owner, ttl)
    }

    fn release(&self, lease: Lease) -> EngineFuture<'_, Result<(), LeaseError>> {
        self.memory.release(lease)
    }

    fn health(&self) -> Health {
        self.memory.health()
    }

    fn close(&self) -> EngineFuture<'_, ()> {
        self.memory.close()
    }
}
