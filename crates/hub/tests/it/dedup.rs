//! Copies of an event are recognised by id.

use std::sync::Arc;

use outflow_hub::{Dedup, Options, PublishError, Receipt, Start, StreamSettings};
use outflow_store::AppendError;

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
