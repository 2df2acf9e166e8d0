//! Copies of an event are recognised by id.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use outflow_hub::subscription::SubscriptionSettings;
use outflow_hub::{Dedup, Hub, Options, PublishError, Receipt, Start, StreamSettings};
use outflow_model::rng::SeededRng;
use outflow_store::AppendError;
use prometheus_client::registry::Registry;

use crate::queueing::{acks, events, new, user, with_credit};
use crate::slow_engine::SlowEngine;
use crate::world::{FIRST, World, name, offsets, open, project_id, publisher, world};

const A: &str = r#"{"id":"a","type":"CUSTOM"}"#;
const B: &str = r#"{"id":"b","type":"CUSTOM"}"#;
const ANY: &str = r#"{"type":"CUSTOM"}"#;

async fn publish(world: &World, events: &[&str]) -> Result<Receipt, PublishError> {
    world.hub.publish(&publisher("p"), &world.stream(), world.draft(events)).await
}

/// Offsets from the first, and whether each is a copy.
fn places(receipt: &Receipt) -> Vec<(u64, bool)> {
    receipt
        .events
        .iter()
        .map(|placed| (placed.offset.get() - FIRST.get(), placed.duplicate))
        .collect()
}

async fn set(world: &World, dedup: Option<Dedup>) {
    let settings = StreamSettings { dedup, ..StreamSettings::default() };
    world.hub.update_stream(&project_id("p"), &name("events"), settings).await.unwrap();
}

#[tokio::test]
async fn a_copy_is_answered_with_the_first_ones_offset_and_stored_once() {
    let world = world().await;
    assert_eq!(
        places(&publish(&world, &[A, ANY, A]).await.unwrap()),
        [(0, false), (1, false), (0, true)]
    );
    assert_eq!(
        places(&publish(&world, &[B, A, ANY]).await.unwrap()),
        [(2, false), (0, true), (3, false)]
    );
    assert_eq!(places(&publish(&world, &[A]).await.unwrap()), [(0, true)]);
    let mut session = world.read(Start::Earliest).await;
    assert_eq!(offsets(&mut session, 4).await.len(), 4);
    assert_eq!(world.hub.stats(&world.stream()).next, FIRST.plus(4));
    assert_eq!(world.metric("outflow_duplicates_total"), 3);
}

#[tokio::test]
async fn the_window_ends_by_time_and_by_count() {
    let world = world().await;
    set(&world, Some(Dedup { window_ms: 1_000, max_ids: 2 })).await;
    publish(&world, &[A]).await.unwrap();
    world.clock.advance(1_000);
    assert_eq!(places(&publish(&world, &[A]).await.unwrap()), [(0, true)]);
    world.clock.advance(1);
    assert_eq!(places(&publish(&world, &[A]).await.unwrap()), [(1, false)]);
    let (c, d) = (r#"{"id":"c","type":"T"}"#, r#"{"id":"d","type":"T"}"#);
    publish(&world, &[B, c, d]).await.unwrap();
    assert_eq!(places(&publish(&world, &[A]).await.unwrap()), [(5, false)]);
}

#[tokio::test]
async fn without_a_window_every_copy_is_stored() {
    let world = world().await;
    set(&world, None).await;
    assert_eq!(places(&publish(&world, &[A, A]).await.unwrap()), [(0, false), (1, false)]);
    // Switched on later, it knows what came before.
    set(&world, Some(Dedup::default())).await;
    assert!(publish(&world, &[A]).await.unwrap().events[0].duplicate);
}

#[tokio::test]
async fn the_window_survives_a_restart() {
    let world = world().await;
    publish(&world, &[A, ANY]).await.unwrap();
    world.clock.advance(60_000);
    publish(&world, &[B]).await.unwrap();
    let engine = Arc::new(world.engine.restart());
    let world = open(&world.clock, &engine, Options::default()).await;
    assert_eq!(
        places(&publish(&world, &[B, A, ANY]).await.unwrap()),
        [(2, true), (0, true), (3, false)]
    );
    // The times are the log's, not the restart's.
    world.clock.advance(10 * 60_000 - 30_000);
    assert_eq!(places(&publish(&world, &[A, B]).await.unwrap()), [(4, false), (2, true)]);
}

#[tokio::test]
async fn a_copy_waits_for_the_firsts_commit() {
    let world = world().await;
    publish(&world, &[ANY]).await.unwrap();
    for fails in [false, true] {
        let (one, other) = if fails { (B, "b") } else { (A, "a") };
        publish(&world, &[ANY]).await.unwrap();
        world.engine.hold();
        let task = |world: &World| {
            let (hub, stream, draft) = (world.hub.clone(), world.stream(), world.draft(&[one]));
            tokio::spawn(async move { hub.publish(&publisher("p"), &stream, draft).await })
        };
        // The window is loaded by the first, then both are on their way.
        let first = task(&world);
        while world.engine.held() == 0 {
            tokio::task::yield_now().await;
        }
        let copy = task(&world);
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        assert!(!copy.is_finished() && world.engine.held() == 1, "{other}");
        if fails {
            world.engine.fail_next(AppendError::Full);
        }
        world.engine.commit_all();
        let (first, copy) = (first.await.unwrap(), copy.await.unwrap());
        assert_eq!(first.is_err(), fails);
        assert_eq!(copy.is_err(), fails, "a copy of what was not stored is not acked");
        let again = publish(&world, &[one]).await.unwrap();
        assert_eq!(again.events[0].duplicate, !fails, "what failed is forgotten");
    }
}

#[tokio::test]
async fn ids_of_a_failed_batch_are_forgotten_even_when_its_publisher_has_gone() {
    let world = world().await;
    publish(&world, &[ANY, B]).await.unwrap();
    world.engine.hold();
    let (hub, stream, draft) = (world.hub.clone(), world.stream(), world.draft(&[A]));
    let gone = tokio::spawn(async move { hub.publish(&publisher("p"), &stream, draft).await });
    while world.engine.held() == 0 {
        tokio::task::yield_now().await;
    }
    gone.abort();
    assert!(gone.await.is_err());
    world.engine.fail_next(AppendError::Full);
    world.engine.commit_all();
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert!(!publish(&world, &[A]).await.unwrap().events[0].duplicate);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_at_once_one_is_stored() {
    let world = world().await;
    let tasks = (0..64).map(|n| {
        let events = [A, B, ANY];
        let (hub, stream, draft) =
            (world.hub.clone(), world.stream(), world.draft(&events[..2 + n % 2]));
        tokio::spawn(async move { hub.publish(&publisher("p"), &stream, draft).await.unwrap() })
    });
    let mut firsts = 0;
    for task in tasks.collect::<Vec<_>>() {
        firsts += task.await.unwrap().events[..2].iter().filter(|placed| !placed.duplicate).count();
    }
    assert_eq!(firsts, 2);
    assert_eq!(world.hub.stats(&world.stream()).next, FIRST.plus(2 + 32));
}

/// Publishes events of a sender with these numbers, as a broker's face does.
async fn numbered(world: &World, sender: &str, numbers: &[u64], again: bool) -> Vec<bool> {
    numbered_by(world, 1, sender, numbers, again).await
}

/// The same by one of several credentials.
async fn numbered_by(
    world: &World,
    credential: u16,
    sender: &str,
    numbers: &[u64],
    again: bool,
) -> Vec<bool> {
    let mut draft = outflow_model::Draft::default();
    let rules = world.hub.rules();
    for number in numbers {
        let event = format!(r#"{{"id":"{sender}:{number}","type":"MESSAGE"}}"#);
        draft.push_json(event.as_bytes(), &rules, world.hub.rng()).unwrap();
        draft.number_last(again, credential);
    }
    let receipt = world.hub.publish(&publisher("p"), &world.stream(), draft).await.unwrap();
    receipt.events.iter().map(|placed| placed.duplicate).collect()
}

/// Few ids are remembered, so that numbers tell.
const FEW: Option<Dedup> = Some(Dedup { window_ms: 600_000, max_ids: 1 });

#[tokio::test]
async fn what_a_sender_sends_again_is_known_by_its_number_however_much_came_between() {
    let world = world().await;
    set(&world, FEW).await;
    assert_eq!(numbered(&world, "ID:a", &[1, 2, 3], false).await, [false; 3]);
    assert_eq!(numbered(&world, "ID:b", &[1, 9], false).await, [false; 2]);
    assert_eq!(numbered(&world, "ID:a", &[1, 2, 3, 4], true).await, [true, true, true, false]);
    assert_eq!(numbered(&world, "ID:b", &[8, 9, 10], true).await, [true, true, false]);
    // Who did not lose a connection sends nothing again: its numbers are its own affair.
    assert_eq!(numbered(&world, "ID:a", &[2], false).await, [false]);
    assert_eq!(numbered(&world, "ID:c", &[5], true).await, [false]);
}

#[tokio::test]
async fn numbers_survive_a_restart_wherever_it_falls() {
    // Told by the log, by what was stored, and by both.
    for count in [10_u64, 1_025, 1_500, 3_000] {
        let world = world().await;
        set(&world, FEW).await;
        for from in (0..count).step_by(5) {
            let numbers: Vec<u64> = (from..from + 5).collect();
            numbered(&world, "ID:a", &numbers, false).await;
        }
        let engine = Arc::new(world.engine.restart());
        let world = open(&world.clock, &engine, Options::default()).await;
        let again = numbered(&world, "ID:a", &[0, count / 2, count - 1, count], true).await;
        assert_eq!(again, [true, true, true, false], "{count}");
    }
}

#[tokio::test]
async fn what_somebody_else_sends_under_a_senders_name_makes_nothing_a_copy() {
    for restarts in [false, true] {
        let mut world = world().await;
        set(&world, Some(Dedup { window_ms: 600_000, max_ids: 1_000 })).await;
        numbered(&world, "ID:a", &[1], false).await;
        assert_eq!(numbered_by(&world, 2, "ID:a", &[2, 1_000_000], false).await, [false; 2]);
        publish(&world, &[r#"{"id":"ID:a:3","type":"MESSAGE"}"#]).await.unwrap();
        if restarts {
            let engine = Arc::new(world.engine.restart());
            world = open(&world.clock, &engine, Options::default()).await;
        }
        let again = numbered(&world, "ID:a", &[1, 2, 3, 4], true).await;
        assert_eq!(again, [true, false, false, false], "{restarts}");
    }
}

#[tokio::test]
async fn numbers_are_known_though_what_told_of_them_was_trimmed_after_a_restart() {
    let world = world().await;
    set(&world, FEW).await;
    let owns = SubscriptionSettings { owns: true, ..Default::default() };
    let subscription = world.subscribe_with(owns).await;
    numbered(&world, "ID:a", &[1, 2, 3], false).await;
    let mut consumers = world.hub.consumers(&user());
    let id = consumers.add(&subscription, with_credit(10)).await.unwrap();
    let got = events(&mut consumers, 3).await;
    consumers.settle(id, &acks(&got)).unwrap().await.unwrap();
    drop((consumers, subscription));
    let world = world.crash().await;
    // Nobody has sent anything yet when it is looked at what may go.
    world.clock.advance(10_001);
    world.hub.tick().await;
    assert_eq!(world.hub.stats(&world.stream()).start, FIRST.plus(3));
    assert_eq!(numbered(&world, "ID:a", &[3, 4], true).await, [true, false]);
    let world = world.crash().await;
    assert_eq!(numbered(&world, "ID:a", &[2, 4, 5], true).await, [true, true, false]);
}

#[tokio::test(start_paused = true)]
async fn no_lease_outlasts_its_time_while_a_trim_waits_for_the_disk() {
    let world = world().await;
    set(&world, FEW).await;
    let owns = SubscriptionSettings { owns: true, ..Default::default() };
    let subscription = world.subscribe_with(owns).await;
    let other = world.stream_called("other").await;
    world.stream_called("dead").await;
    // What comes back is dead: nobody gets it again.
    let (lease, dead_letter) = (Some(Duration::from_secs(30)), Some(name("dead")));
    let max_deliveries = Some(1);
    let leased = SubscriptionSettings { lease, max_deliveries, dead_letter, ..Default::default() };
    let leased = new("t", &["other"], leased);
    world.hub.create_subscription(&project_id("p"), leased).await.unwrap();
    world.hub.publish(&publisher("p"), &other, world.draft(&[ANY])).await.unwrap();
    numbered(&world, "ID:a", &[1, 2, 3], false).await;
    let mut consumers = world.hub.consumers(&user());
    let id = consumers.add(&subscription, with_credit(10)).await.unwrap();
    let got = events(&mut consumers, 3).await;
    consumers.settle(id, &acks(&got)).unwrap().await.unwrap();
    drop((consumers, subscription, other));
    // After a restart it must be read how far the senders have come.
    let (clock, memory) = (world.clock.clone(), Arc::new(world.engine.restart()));
    drop(world);
    let engine = Arc::new(SlowEngine::new(memory.clone()));
    let (rng, mut metrics) = (Arc::new(SeededRng::new(1)), Registry::default());
    let options = Options::default();
    let hub = Hub::open(engine.clone(), clock.clone(), rng, options, &mut metrics).await.unwrap();
    let world = World { clock, engine: memory, hub, metrics };
    let leased = world.hub.subscription(&project_id("p"), "t").unwrap();
    let mut consumers = world.hub.consumers(&user());
    consumers.add(&leased, with_credit(1)).await.unwrap();
    assert_eq!(events(&mut consumers, 1).await.len(), 1);
    let gate = engine.gate.lock().await;
    let before = engine.reads.load(Ordering::Relaxed);
    world.clock.advance(10_001);
    until(|| engine.reads.load(Ordering::Relaxed) > before).await;
    assert_eq!(world.hub.subscription_stats(&leased).in_flight, 1);
    world.clock.advance(30_000);
    until(|| world.hub.subscription_stats(&leased).in_flight == 0).await;
    assert_eq!(world.hub.stats(&world.stream()).start, FIRST);
    drop(gate);
    until(|| world.hub.stats(&world.stream()).start == FIRST.plus(3)).await;
}

/// Waits for something for so long that it may also come in the next round.
async fn until(is_so: impl Fn() -> bool) {
    for _ in 0..200 {
        if is_so() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("not in time");
}

#[tokio::test]
async fn numbers_are_known_when_nothing_came_for_long() {
    let world = world().await;
    set(&world, FEW).await;
    numbered(&world, "ID:a", &[1, 2, 3], false).await;
    world.clock.advance(600_001);
    world.hub.tick().await;
    assert_eq!(numbered(&world, "ID:a", &[3, 4], true).await, [true, false]);
}

#[tokio::test]
async fn a_number_is_not_known_for_what_was_not_stored() {
    for restarts in [false, true] {
        let mut world = world().await;
        set(&world, FEW).await;
        numbered(&world, "ID:a", &[1, 2], false).await;
        world.engine.fail_next(AppendError::Full);
        let mut draft = outflow_model::Draft::default();
        let lost = r#"{"id":"ID:a:3","type":"MESSAGE"}"#;
        draft.push_json(lost.as_bytes(), &world.hub.rules(), world.hub.rng()).unwrap();
        draft.number_last(false, 1);
        world.hub.publish(&publisher("p"), &world.stream(), draft).await.unwrap_err();
        numbered(&world, "ID:a", &[4], false).await;
        if restarts {
            let engine = Arc::new(world.engine.restart());
            world = open(&world.clock, &engine, Options::default()).await;
        }
        assert_eq!(numbered(&world, "ID:a", &[3], true).await, [false], "{restarts}");
        assert_eq!(numbered(&world, "ID:a", &[5], true).await, [false]);
    }
}

#[tokio::test]
async fn a_transaction_that_is_committed_again_is_stored_once() {
    let world = world().await;
    set(&world, FEW).await;
    let commit = async |again: bool| {
        let mut draft = outflow_model::Draft::default();
        for number in 1..=3 {
            let event = format!(r#"{{"id":"ID:t:{number}","type":"MESSAGE"}}"#);
            draft.push_json(event.as_bytes(), &world.hub.rules(), world.hub.rng()).unwrap();
            draft.number_last(again, 1);
        }
        let mut transaction = world.hub.transaction(&publisher("p"));
        transaction.publish(&world.stream(), draft).unwrap();
        transaction.commit().await.unwrap()
    };
    commit(false).await;
    numbered(&world, "ID:b", &[1, 2], false).await;
    let again = commit(true).await;
    assert!(again[0].events.iter().all(|placed| placed.duplicate), "{again:?}");
    assert_eq!(world.hub.stats(&world.stream()).next, FIRST.plus(5));
}
