//! Peeks whose callers go away.

use std::sync::Arc;
use std::time::Duration;

use outflow_hub::{Hub, Options};
use outflow_model::Timestamp;
use outflow_model::clock::ManualClock;
use outflow_model::rng::SeededRng;
use outflow_store::memory::MemoryEngine;
use prometheus_client::registry::Registry;

use crate::queueing::user;
use crate::slow_engine::SlowEngine;
use crate::world::World;

#[tokio::test(start_paused = true)]
async fn a_peek_given_up_in_a_read_leaves_the_next_one_whole() {
    let clock = Arc::new(ManualClock::new(Timestamp::from_millis(crate::world::NOW)));
    let memory = Arc::new(MemoryEngine::new(clock.clone()));
    let (engine, rng) = (Arc::new(SlowEngine::new(memory.clone())), Arc::new(SeededRng::new(1)));
    let mut metrics = Registry::default();
    let hub = Hub::open(engine, clock.clone(), rng, Options::default(), &mut metrics).await;
    let world = World { clock, engine: memory, hub: hub.unwrap(), metrics };
    world.tenant("p").await;
    let subscription = world.subscribe().await;
    world.publish_numbers(0, 1).await;
    let caller = user();
    tokio::select! {
        biased;
        _ = world.hub.peek(&caller, &subscription, Duration::from_secs(90)) => panic!("no read"),
        () = std::future::ready(()) => {}
    }
    let peek = world.hub.peek(&caller, &subscription, Duration::from_secs(1));
    let seen = tokio::time::timeout(Duration::from_secs(5), peek).await.unwrap().unwrap();
    assert_eq!(seen.next.map(|event| event.offset), Some(outflow_model::Offset::FIRST));
}
