//! The memory engine obeys the contract.

use std::future::ready;
use std::sync::Arc;

use outflow_model::clock::ManualClock;
use outflow_model::{Clock, Offset, StreamId, Timestamp};
use outflow_store::contract::{Bed, Reopen, machine, sample};
use outflow_store::memory::MemoryEngine;
use outflow_store::{AppendError, Batch, Engine, EngineFuture};
use proptest::prelude::*;

#[derive(Debug)]
struct Memory {
    clock: Arc<ManualClock>,
    engine: Arc<MemoryEngine>,
}

async fn memory() -> Memory {
    let clock = Arc::new(ManualClock::new(Timestamp::from_millis(1_700_000_000_000)));
    Memory { engine: Arc::new(MemoryEngine::new(clock.clone())), clock }
}

impl Bed for Memory {
    fn engine(&self) -> Arc<dyn Engine> {
        self.engine.clone()
    }

    fn clock(&self) -> &ManualClock {
        &self.clock
    }

    fn reopen(&mut self, _: Reopen) -> EngineFuture<'_, ()> {
        self.engine = Arc::new(self.engine.restart());
        Box::pin(ready(()))
    }

    fn seal(&mut self) -> EngineFuture<'_, ()> {
        Box::pin(ready(()))
    }

    fn retain(&mut self) -> EngineFuture<'_, ()> {
        self.engine.retain(self.clock.now());
        Box::pin(ready(()))
    }

    fn set_full(&mut self, is_full: bool) {
        self.engine.set_full(is_full);
    }
}

outflow_store::engine_contract!(crate::memory::memory);

proptest! {
    #[test]
    fn any_walk_agrees_with_the_model(steps in prop::collection::vec(any::<machine::Step>(), 1..100)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async { machine::walk(&mut memory().await, &steps).await });
    }
}

#[tokio::test]
async fn held_commits_wait_and_keep_their_order() {
    let engine = memory().await.engine;
    engine.submit(sample::make_streams(1)).await.unwrap();
    engine.hold();
    let one = |n| {
        let at = Timestamp::default();
        Batch::append(sample::usual(StreamId(1), Offset::FIRST.plus(n), 1, at))
    };
    let mut commits = [0, 1, 2].map(|n| Some(engine.submit(one(n)))).into_iter();
    let mut next = || commits.next().flatten().unwrap();
    let end = || engine.bounds(StreamId(1)).unwrap().next;
    assert_eq!((engine.held(), end()), (3, Offset::FIRST));
    engine.fail_next(AppendError::Full);
    assert!(engine.commit_next());
    assert_eq!(next().await, Err(AppendError::Full));
    assert_eq!(end(), Offset::FIRST, "a failed commit is absent");
    assert!(engine.commit_next());
    assert_eq!(next().await, Ok(()));
    engine.stop("for a test");
    assert_eq!(next().await, Err(AppendError::Stopped("for a test".into())));
    assert_eq!(end(), Offset::FIRST.plus(2));
    assert_eq!(engine.health().stopped.as_deref(), Some("for a test"));
}
