//! The dead letters of transactions: read and stored at their commit, and bounded in bytes.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use outflow_hub::subscription::{
    ConsumerId, Consumers, Delivery, PreparedError, Settle, SettleError, SubscriptionSettings,
    Transaction, TransactionError,
};
use outflow_hub::{Hub, Options, PublishError, Subscription};
use outflow_model::clock::ManualClock;
use outflow_model::rng::SeededRng;
use outflow_model::{ErrorCode, StreamName, Timestamp};
use outflow_store::memory::MemoryEngine;
use prometheus_client::registry::Registry;

use crate::queueing::{acks, events, user, with_credit};
use crate::slow_engine::SlowEngine;
use crate::world::{FIRST, NOW, World, name, project_id, publisher, world_with};

const NAME: &[u8] = b"branch";

fn backlog(world: &World, of: &Subscription) -> u64 {
    world.hub.subscription_stats(of).backlog
}

impl World {
    /// A queue with three events of 6 kB, and these dead letters: `dead` is a stream.
    pub(crate) async fn three_large(&self, dead_letter: Option<StreamName>) -> Arc<Subscription> {
        self.stream_called("dead").await;
        let settings = SubscriptionSettings { dead_letter, ..SubscriptionSettings::default() };
        let subscription = self.subscribe_with(settings).await;
        let body = "x".repeat(6_000);
        for n in 0..3 {
            let event = format!(r#"{{"type":"CUSTOM","body":{{"x":"{body}","n":{n}}}}}"#);
            self.publish(&[&event]).await;
        }
        subscription
    }

    /// Of these two refused in one transaction, where the third was too much for it: there is room for
    /// so many bytes.
    pub(crate) async fn two_refused(&self, max: usize) -> TwoRefused {
        let subscription = self.three_large(Some(name("dead"))).await;
        let mut consumers = self.hub.consumers(&user());
        let id = consumers.add(&subscription, with_credit(10)).await.unwrap();
        let got = events(&mut consumers, 3).await;
        let refusals: Vec<Settle> = got.iter().map(refusal).collect();
        let mut transaction = self.hub.transaction(&user());
        transaction.settle(&mut consumers, id, &refusals[..2]).unwrap();
        let third = transaction.settle(&mut consumers, id, &refusals[2..]);
        assert_eq!(third, Err(SettleError::TooLarge { max }));
        TwoRefused { subscription, consumers, id, third: got[2].clone(), transaction }
    }
}

/// See [`World::two_refused`].
pub(crate) struct TwoRefused {
    pub(crate) subscription: Arc<Subscription>,
    consumers: Consumers,
    id: ConsumerId,
    third: Delivery,
    pub(crate) transaction: Transaction,
}

/// What sends an event to the dead letters.
fn refusal(one: &Delivery) -> Settle {
    Settle::DeadLetter { lease: one.lease, cause: "no".into() }
}

#[tokio::test(start_paused = true)]
async fn dead_letters_for_which_there_is_no_room_are_refused_before_they_are_read() {
    let options = Options { inflight_bytes: 16_000, ..Options::default() };
    let world = world_with(options).await;
    let TwoRefused { subscription, mut consumers, id, third, transaction } =
        world.two_refused(16_000).await;
    // What waits for the disk takes the room of others until it is there.
    world.engine.hold();
    let first = tokio::spawn(transaction.commit());
    while world.engine.held() == 0 {
        tokio::task::yield_now().await;
    }
    let mut second = world.hub.transaction(&user());
    second.settle(&mut consumers, id, &[refusal(&third)]).unwrap();
    let second = second.commit().await.unwrap_err();
    let TransactionError::Publish(PublishError::Unavailable(_)) = second else {
        panic!("{second:?}")
    };
    world.engine.commit_all();
    first.await.unwrap().unwrap();
    consumers.settle(id, &acks(&[third])).unwrap().await.unwrap();
    assert_eq!(backlog(&world, &subscription), 0);
}

/// The same with room for 16 kB, on an engine that may be slow.
async fn large(dead_letter: Option<StreamName>) -> (Arc<SlowEngine>, World) {
    let clock = Arc::new(ManualClock::new(Timestamp::from_millis(NOW)));
    let memory = Arc::new(MemoryEngine::new(clock.clone()));
    let engine = Arc::new(SlowEngine::new(memory.clone()));
    let options = Options { inflight_bytes: 16_000, ..Options::default() };
    let (rng, mut metrics) = (Arc::new(SeededRng::new(1)), Registry::default());
    let hub = Hub::open(engine.clone(), clock.clone(), rng, options, &mut metrics).await.unwrap();
    let world = World { clock, engine: memory, hub, metrics };
    world.tenant("p").await;
    world.tenant("q").await;
    world.three_large(dead_letter).await;
    (engine, world)
}

/// A transaction that refuses so many of them, and their consumers.
async fn refusing(world: &World, count: usize) -> (Transaction, Consumers) {
    let mut consumers = world.hub.consumers(&user());
    let id = consumers.add(&world.found(), with_credit(10)).await.unwrap();
    let got = events(&mut consumers, 3).await;
    let all: Vec<Settle> = got.iter().take(count).map(refusal).collect();
    let mut transaction = world.hub.transaction(&user());
    transaction.settle(&mut consumers, id, &all).unwrap();
    (transaction, consumers)
}

#[tokio::test(start_paused = true)]
async fn a_commit_that_reads_its_dead_letters_from_a_slow_disk_holds_up_no_publish() {
    for is_prepared in [false, true] {
        let (engine, world) = large(Some(name("dead"))).await;
        let (transaction, consumers) = refusing(&world, 2).await;
        let gate = engine.gate.lock().await;
        let before = engine.reads.load(Ordering::Relaxed);
        let hub = world.hub.clone();
        let committed = if is_prepared {
            transaction.prepare(NAME).await.unwrap();
            tokio::spawn(async move { hub.commit_prepared(&user(), NAME).await.map(drop) })
        } else {
            tokio::spawn(async move {
                transaction.commit().await.map(drop).map_err(PreparedError::from)
            })
        };
        while engine.reads.load(Ordering::Relaxed) == before {
            tokio::task::yield_now().await;
        }
        let mut other = world.hub.transaction(&publisher("q"));
        let event = format!(r#"{{"type":"CUSTOM","body":"{}"}}"#, "x".repeat(6_000));
        other.publish(&world.stream_of("q"), world.draft(&[&event])).unwrap();
        other.commit().await.unwrap();
        drop(gate);
        committed.await.unwrap().unwrap();
        drop(consumers);
        let dead = world.hub.stream(&project_id("p"), &name("dead")).unwrap();
        assert_eq!(world.hub.stats(&dead).next, FIRST.plus(2));
        assert_eq!(backlog(&world, &world.found()), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn dead_letters_take_room_only_where_there_are_any() {
    let (_engine, world) = large(None).await;
    let (transaction, _consumers) = refusing(&world, 3).await;
    transaction.commit().await.unwrap();
    assert_eq!(backlog(&world, &world.found()), 0);
    // Those that come to it before the end are counted then.
    for is_prepared in [false, true] {
        let (_engine, world) = large(None).await;
        let (transaction, _consumers) = refusing(&world, 3).await;
        let dead_letter = Some(name("dead"));
        let settings = SubscriptionSettings { dead_letter, ..SubscriptionSettings::default() };
        let ended = if is_prepared {
            transaction.prepare(NAME).await.unwrap();
            world.hub.update_subscription(&world.found(), settings).await.unwrap();
            world.hub.commit_prepared(&user(), NAME).await.unwrap_err().code()
        } else {
            world.hub.update_subscription(&world.found(), settings).await.unwrap();
            transaction.commit().await.unwrap_err().code()
        };
        assert_eq!((ended, backlog(&world, &world.found())), (ErrorCode::TooLarge, 3));
    }
}
