//! Where reads begin, what they show, when they say that they are alive, how they end.

use std::sync::Arc;
use std::time::Duration;

use outflow_hub::{CloseReason, Options, ReadEvent, Start, Started};
use outflow_model::{Offset, Subset, Timestamp};
use tokio::time::Instant;

use crate::world::{
    FIRST, NOW, block, closed, filter, lines, name, offsets, open, project_id, reader, world,
    world_with,
};

#[tokio::test]
async fn a_read_begins_where_it_is_asked_to() {
    let world = world().await;
    world.publish_numbers(0, 5).await;
    world.clock.advance(1_000);
    world.publish_numbers(5, 10).await;
    let begins = async |start| world.read(start).await.start();
    let at = |n| Started { from: FIRST.plus(n), trimmed: false, damaged: None };
    assert_eq!(begins(Start::Earliest).await, at(0));
    assert_eq!(begins(Start::Latest).await, at(10));
    assert_eq!(begins(Start::After(FIRST.plus(3))).await, at(4));
    assert_eq!(begins(Start::After(Offset::ZERO)).await, at(0));
    assert_eq!(begins(Start::After(FIRST.plus(9))).await, at(10));
    assert_eq!(begins(Start::After(FIRST.plus(1_000))).await, at(10));
    assert_eq!(begins(Start::At(Timestamp::from_millis(NOW + 1))).await, at(5));
    assert_eq!(begins(Start::At(Timestamp::from_millis(0))).await, at(0));
    assert_eq!(begins(Start::At(Timestamp::from_millis(NOW + 5_000))).await, at(10));
    let mut session = world.read(Start::After(FIRST.plus(7))).await;
    assert_eq!(session.considered(), FIRST.plus(7));
    assert_eq!(offsets(&mut session, 2).await, [FIRST.plus(8), FIRST.plus(9)]);
    assert!(session.is_caught_up());
}

#[tokio::test]
async fn a_resume_before_what_is_retained_says_so() {
    let world = world().await;
    world.publish_numbers(0, 10).await;
    let trim = outflow_store::Op::Trim(world.stream().id, FIRST.plus(6));
    let batch = outflow_store::Batch { ops: vec![trim], ..Default::default() };
    outflow_store::Engine::submit(&*world.engine, batch).await.unwrap();
    let mut session = world.read(Start::After(FIRST.plus(2))).await;
    assert_eq!(session.start(), Started { from: FIRST.plus(6), trimmed: true, damaged: None });
    assert_eq!(offsets(&mut session, 4).await[0], FIRST.plus(6));
    let session = world.read(Start::After(FIRST.plus(5))).await;
    assert!(!session.start().trimmed, "nothing is missing");
    assert_eq!(world.metric("outflow_reads_trimmed_total"), 1);
}

#[tokio::test]
async fn a_reader_that_retention_overtakes_is_told() {
    let world = world_with(Options { read_chunk_bytes: 1, ..Options::default() }).await;
    world.publish_numbers(0, 10).await;
    let mut session = world.read(Start::Earliest).await;
    offsets(&mut session, 1).await;
    let trim = outflow_store::Op::Trim(world.stream().id, FIRST.plus(6));
    let batch = outflow_store::Batch { ops: vec![trim], ..Default::default() };
    outflow_store::Engine::submit(&*world.engine, batch).await.unwrap();
    assert_eq!(closed(&mut session).await, CloseReason::Trimmed);
    assert_eq!(closed(&mut session).await, CloseReason::Trimmed, "and again when asked again");
    let again = world.read(Start::After(session.considered())).await;
    assert!(again.start().trimmed);
}

#[tokio::test(start_paused = true)]
async fn heartbeats_come_on_time_in_silence_and_under_filtered_out_data() {
    let world = world().await;
    world.publish_numbers(0, 1).await;
    let mut request = world.request(Start::Earliest);
    request.filter = filter(r#"[{"types":["OPEN"]}]"#);
    let mut session = world.hub.open_read(&reader("p"), request).await.unwrap();
    for beat in 1..=3_u32 {
        let began = Instant::now();
        let next = session.next().await;
        assert!(
            matches!(next, ReadEvent::Heartbeat { considered } if considered == FIRST),
            "{next:?}"
        );
        let took = began.elapsed();
        assert!(took <= Duration::from_millis(2_005), "beat {beat} after {took:?}");
    }
    let hub = world.hub.clone();
    let (stream, draft) = (world.stream(), world.draft(&[r#"{"type":"CUSTOM"}"#]));
    let busy = tokio::spawn(async move {
        loop {
            hub.publish(&crate::world::publisher("p"), &stream, draft.clone()).await.unwrap();
            tokio::time::sleep(Duration::from_millis(7)).await;
        }
    });
    for beat in 1..=3_u64 {
        let began = Instant::now();
        let ReadEvent::Heartbeat { considered } = session.next().await else {
            panic!("not a heartbeat")
        };
        let took = began.elapsed();
        assert!((1_990..=2_020).contains(&took.as_millis()), "beat {beat} after {took:?}");
        assert!(considered > FIRST.plus(beat * 200), "what was filtered out was considered");
    }
    busy.abort();
}

#[tokio::test(start_paused = true)]
async fn a_dropped_wait_loses_nothing() {
    let world = world().await;
    let mut session = world.read(Start::Latest).await;
    for n in 0..50 {
        let wait = tokio::time::timeout(Duration::from_millis(3), session.next()).await;
        assert!(wait.is_err(), "nothing to read yet");
        world.publish_numbers(n, n + 1).await;
        assert_eq!(offsets(&mut session, 1).await, [FIRST.plus(n as u64)]);
    }
}

#[tokio::test]
async fn a_subset_and_its_complement_are_everything() {
    let world = world().await;
    world.publish_numbers(0, 100).await;
    let mut all = Vec::new();
    for selection in 0..3 {
        let mut request = world.request(Start::Earliest);
        request.subset = Some(Subset::Partition { count: 3, selection });
        request.heartbeat = Duration::from_millis(10);
        let mut session = world.hub.open_read(&reader("p"), request).await.unwrap();
        while !session.is_caught_up() {
            if let ReadEvent::Batch(block) = session.next().await {
                all.extend(block.metas().unwrap().iter().map(|meta| meta.offset));
            }
        }
    }
    all.sort();
    assert_eq!(all, (0..100).map(|n| FIRST.plus(n)).collect::<Vec<_>>());
}

#[tokio::test]
async fn readers_that_see_all_get_the_very_same_blocks() {
    let world = world().await;
    let (mut one, mut other) = (world.read(Start::Latest).await, world.read(Start::Latest).await);
    let mut filtered = Vec::new();
    for _ in 0..2 {
        let mut request = world.request(Start::Latest);
        request.filter = filter(r#"[{"types":["OPEN"]}]"#);
        filtered.push(world.hub.open_read(&reader("p"), request).await.unwrap());
    }
    // All live before anything comes.
    for session in [&mut one, &mut other].into_iter().chain(&mut filtered) {
        assert!(tokio::time::timeout(Duration::from_millis(10), session.next()).await.is_err());
    }
    world.publish(&[r#"{"type":"OPEN"}"#, r#"{"type":"CLOSE"}"#]).await;
    assert!(Arc::ptr_eq(&block(&mut one).await, &block(&mut other).await));
    let (first, second) = (block(&mut filtered[0]).await, block(&mut filtered[1]).await);
    assert!(Arc::ptr_eq(&first, &second), "the same filter is computed once");
    assert_eq!((first.count, first.last), (1, FIRST.next()));
}

#[tokio::test]
async fn deletion_ends_reads_and_a_restart_keeps_events() {
    let world = world().await;
    world.publish_numbers(0, 3).await;
    let engine = Arc::new(world.engine.restart());
    let world = open(&world.clock, &engine, Options::default()).await;
    let mut session = world.read(Start::Earliest).await;
    assert_eq!(lines(&mut session, 3).await.len(), 3);
    world.hub.delete_stream(&project_id("p"), &name("events")).await.unwrap();
    assert_eq!(closed(&mut session).await, CloseReason::Deleted);
}

/// The first to meet damage ends; those after it go past and say so, whatever their filter hides.
#[tokio::test(start_paused = true)]
async fn a_read_past_damage_says_so() {
    let world = world().await;
    world.publish_numbers(0, 9).await;
    world.engine.damage(world.stream().id, FIRST.plus(3), FIRST.plus(5));
    let mut first = world.read(Start::Earliest).await;
    assert_eq!(first.start().damaged, None);
    assert_eq!(offsets(&mut first, 3).await, [0, 1, 2].map(|n| FIRST.plus(n)));
    assert!(matches!(closed(&mut first).await, CloseReason::Damaged(_)));
    let past = Started { from: FIRST.plus(5), trimmed: false, damaged: Some(FIRST.plus(5)) };
    let mut next = world.read(Start::After(FIRST.plus(2))).await;
    assert_eq!(next.start(), past);
    assert_eq!(offsets(&mut next, 4).await, [5, 6, 7, 8].map(|n| FIRST.plus(n)));
    // What was read ahead to find the damage is neither lost nor counted before it is sent.
    let mut slow = world.read(Start::After(FIRST.plus(2))).await;
    tokio::time::advance(Duration::from_secs(10)).await;
    assert!(matches!(slow.next().await, ReadEvent::Batch(block) if block.first == FIRST.plus(5)));
    let mut request = world.request(Start::Earliest);
    request.filter = filter(r#"{"types":["OPEN"]}"#);
    let hidden = world.hub.open_read(&reader("p"), request).await.unwrap();
    assert_eq!(hidden.start(), past, "nothing to show before the damage");
    let before = world.read(Start::Earliest).await;
    assert_eq!(before.start().from, FIRST, "the damage lies ahead");
    assert_eq!(world.read(Start::Latest).await.start().damaged, None);
}

/// A reader that nobody warned ends at the damage even when its filter showed it nothing so far.
#[tokio::test]
async fn damage_ends_a_read_that_has_shown_nothing() {
    let world = world().await;
    world.publish_numbers(0, 4).await;
    world.engine.damage(world.stream().id, FIRST, FIRST.plus(2));
    let mut read = world.read(Start::Earliest).await;
    assert!(matches!(closed(&mut read).await, CloseReason::Damaged(_)));
    assert_eq!(world.read(Start::Earliest).await.start().damaged, Some(FIRST.plus(2)));
}
