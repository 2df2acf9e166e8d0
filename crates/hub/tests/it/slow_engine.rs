//! The engine in memory, but that a read takes a moment, as one of a disk does.

use std::sync::Arc;
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
pub(crate) struct SlowEngine(pub(crate) Arc<MemoryEngine>);

impl Engine for SlowEngine {
    fn submit(&self, batch: Batch) -> Commit {
        self.0.submit(batch)
    }

    fn read(
        &self,
        stream: StreamId,
        from: Offset,
        max_bytes: usize,
    ) -> EngineFuture<'_, Result<Read, ReadError>> {
        Box::pin(async move {
            tokio::task::yield_now().await;
            self.0.read(stream, from, max_bytes).await
        })
    }

    fn seek(&self, stream: StreamId, at: Timestamp) -> EngineFuture<'_, Result<Offset, ReadError>> {
        self.0.seek(stream, at)
    }

    fn bounds(&self, stream: StreamId) -> Result<Bounds, ReadError> {
        self.0.bounds(stream)
    }

    fn streams(&self) -> Vec<(StreamId, StreamConfig)> {
        self.0.streams()
    }

    fn stored_bytes(&self, stream: StreamId) -> u64 {
        self.0.stored_bytes(stream)
    }

    fn observe(&self, observer: Arc<dyn CommitObserver>) {
        self.0.observe(observer);
    }

    fn get(&self, key: &[u8]) -> EngineFuture<'_, Result<Option<StateEntry>, StateError>> {
        self.0.get(key)
    }

    fn scan(
        &self,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> EngineFuture<'_, Result<Vec<StateEntry>, StateError>> {
        self.0.scan(prefix, after, limit)
    }

    fn acquire(
        &self,
        shard: Shard,
        owner: &str,
        ttl: Duration,
    ) -> EngineFuture<'_, Result<Lease, LeaseError>> {
        self.0.acquire(shard, owner, ttl)
    }

    fn release(&self, lease: Lease) -> EngineFuture<'_, Result<(), LeaseError>> {
        self.0.release(lease)
    }

    fn health(&self) -> Health {
        self.0.health()
    }

    fn close(&self) -> EngineFuture<'_, ()> {
        self.0.close()
    }
}
