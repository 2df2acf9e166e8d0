//! Offsets, order, time, limits, failures.

use std::time::Duration;

use outflow_hub::{
    Durability, Ingest, IngestFormat, IngestMode, NewStream, Options, PublishError, Start,
    StreamSettings,
};
use outflow_model::{Action, ErrorCode};
use outflow_store::AppendError;

use crate::world::{FIRST, grant, lines, name, offsets, project_id, publisher, world, world_with};

const EVENT: &str = r#"{"type":"CUSTOM","body":{"n":1.50}}"#;

#[tokio::test]
async fn an_ingest_stream_is_written_by_its_own_way_only() {
    let world = world().await;
    let ingest =
        Ingest { name: String::new(), format: IngestFormat::Json, mode: IngestMode::Reject };
    let settings =
        StreamSettings { ingest: Some(ingest), dedup: None, ..StreamSettings::default() };
    let new = NewStream { name: name("is-a"), settings };
    let stream = world.hub.create_stream(&project_id("p"), new).await.unwrap();
    let (hub, grant) = (&world.hub, publisher("p"));
    let draft = || world.draft(&[r#"{"type":"CUSTOM"}"#]);
    assert_eq!(hub.publish(&grant, &stream, draft()).await, Err(PublishError::Ingest));
    let queued = hub.enqueue(&grant, &stream, draft(), None).await;
    assert_eq!(queued.err(), Some(PublishError::Ingest));
    let mut transaction = hub.transaction(&grant);
    assert!(transaction.publish(&stream, draft()).is_err());
    assert_eq!(hub.stats(&stream).next, FIRST);
    assert_eq!(hub.ingest(&grant, &stream, draft()).await.unwrap().events.len(), 1);
    let usual = hub.ingest(&grant, &world.stream(), draft()).await;
    assert_eq!(usual, Err(PublishError::NotFound));
}

#[tokio::test]
async fn events_get_consecutive_offsets_and_are_kept_byte_for_byte() {
    let world = world().await;
    assert_eq!(world.publish(&[EVENT, EVENT]).await, [FIRST, FIRST.next()]);
    assert_eq!(world.publish(&[EVENT]).await, [FIRST.plus(2)]);
    let mut session = world.read(Start::Earliest).await;
    let all = lines(&mut session, 3).await;
    assert!(all.iter().all(|line| line.ends_with(r#","body":{"n":1.50}}"#)), "{all:?}");
    assert!(all[2].contains(r#""offset":"1000000000000002""#), "{}", all[2]);
    assert_eq!(world.metric("outflow_events_published_total"), 3);
}

#[tokio::test]
async fn an_empty_draft_is_answered_at_once() {
    let world = world().await;
    assert!(world.publish(&[]).await.is_empty());
}

#[tokio::test]
async fn processed_time_never_falls_not_even_over_a_restart() {
    let world = world().await;
    world.publish(&[EVENT]).await;
    world.clock.advance(-60_000);
    world.publish(&[EVENT]).await;
    let engine = std::sync::Arc::new(world.engine.restart());
    let world = crate::world::open(&world.clock, &engine, Options::default()).await;
    world.publish(&[EVENT]).await;
    let mut session = world.read(Start::Earliest).await;
    for line in lines(&mut session, 3).await {
        assert!(line.contains(r#""processed":"2026-01-01T00:00:00.000Z""#), "{line}");
    }
}

#[tokio::test]
async fn publishing_needs_the_right_the_stream_and_the_project() {
    let world = world().await;
    let publish = async |grant| {
        let draft = world.draft(&[EVENT]);
        world.hub.publish(&grant, &world.stream(), draft).await.map(|_| ())
    };
    assert_eq!(publish(publisher("p")).await, Ok(()));
    assert_eq!(publish(publisher("q")).await, Err(PublishError::NotFound));
    assert_eq!(publish(grant("p", false, &[Action::Read])).await, Err(PublishError::Forbidden));
    let mut other = publisher("p");
    other.streams = Some(std::sync::Arc::new([name("else")].into()));
    assert_eq!(publish(other).await, Err(PublishError::Forbidden));
    let mut operator = grant("p", false, &[Action::Operate]);
    operator.project = None;
    assert_eq!(publish(operator).await, Ok(()));
}

#[tokio::test]
async fn failures_say_whether_to_try_again_and_leave_gaps_only() {
    let world = world().await;
    let mut session = world.read(Start::Earliest).await;
    for (error, code) in [
        (AppendError::Throttled, ErrorCode::Unavailable),
        (AppendError::Full, ErrorCode::Unavailable),
        (AppendError::Conflict, ErrorCode::Unavailable),
        (AppendError::Invalid("too many events"), ErrorCode::TooLarge),
        (AppendError::Stopped("sync failed".into()), ErrorCode::Internal),
    ] {
        world.engine.fail_next(error);
        let failed =
            world.hub.publish(&publisher("p"), &world.stream(), world.draft(&[EVENT])).await;
        let error = failed.unwrap_err();
        assert_eq!(error.code(), code, "{error}");
        assert!(!error.to_string().contains("sync failed"), "the cause is for the log");
    }
    let placed = world.publish(&[EVENT]).await;
    assert!(placed[0] > FIRST, "offsets of failed batches are not given out again");
    assert_eq!(offsets(&mut session, 1).await, placed);
}

#[tokio::test(start_paused = true)]
async fn what_one_project_publishes_holds_up_no_other() {
    let options = Options { inflight_bytes: 16_000, ..Options::default() };
    let world = world_with(options).await;
    world.tenant("q").await;
    world.publish(&[EVENT]).await;
    let quiet = world.stream_of("q");
    world.hub.publish(&publisher("q"), &quiet, world.draft(&[EVENT])).await.unwrap();
    world.engine.hold();
    // Of 5,000 and of 1,500 bytes: more than a project's share, and less.
    let greedy: Vec<_> = [20, 6, 20, 6, 20, 6, 20, 6]
        .map(|count| {
            let (hub, stream) = (world.hub.clone(), world.stream());
            let draft = world.draft(&vec![EVENT; count]);
            tokio::spawn(async move { hub.publish(&publisher("p"), &stream, draft).await })
        })
        .into();
    while world.engine.held() == 0 {
        tokio::task::yield_now().await;
    }
    tokio::time::sleep(Duration::from_millis(10)).await;
    let held = world.engine.held();
    assert_eq!(held, 1, "a project has one large batch on its way, and then nothing else");
    let room = world.hub.room_for(&quiet, 3_900);
    let room = tokio::time::timeout(Duration::from_millis(1), room).await.unwrap().unwrap();
    // What was asked for and is not needed is there for others, and what was not enough is more.
    for (events, room) in [(1, room), (6, world.hub.room_for(&quiet, 1).await.unwrap())] {
        let (hub, stream) = (world.hub.clone(), quiet.clone());
        let draft = world.draft(&vec![EVENT; events]);
        let held = world.engine.held();
        let grant = publisher("q");
        tokio::spawn(async move { hub.publish_within(room, &grant, &stream, draft).await });
        tokio::time::sleep(Duration::from_millis(10)).await;
        assert_eq!(world.engine.held(), held + 1, "it waits for nobody");
    }
    world.engine.commit_all();
    for one in greedy {
        let _ = one.await.unwrap();
        world.engine.commit_all();
    }
}

#[tokio::test(start_paused = true)]
async fn memory_for_waiting_batches_is_bounded() {
    let options = Options { inflight_bytes: 1_500, ..Options::default() };
    let world = world_with(options).await;
    world.publish(&[EVENT]).await;
    let batch = [EVENT; 10];
    let large = world.hub.publish(&publisher("p"), &world.stream(), world.draft(&batch)).await;
    assert_eq!(large, Err(PublishError::TooLarge { max: 1_500 }));
    world.engine.hold();
    let (hub, stream, draft) = (world.hub.clone(), world.stream(), world.draft(&[EVENT; 4]));
    let first = tokio::spawn(async move { hub.publish(&publisher("p"), &stream, draft).await });
    while world.engine.held() == 0 {
        tokio::task::yield_now().await;
    }
    let began = tokio::time::Instant::now();
    let second =
        world.hub.publish(&publisher("p"), &world.stream(), world.draft(&[EVENT; 4])).await;
    assert!(matches!(second, Err(PublishError::Unavailable(_))));
    assert!(began.elapsed() >= Duration::from_secs(5), "it waits for a while first");
    world.engine.commit_all();
    first.await.unwrap().unwrap();
    world.publish(&[EVENT; 4]).await;
}

#[tokio::test]
async fn a_relaxed_stream_is_answered_when_queued() {
    let world = world().await;
    let settings = StreamSettings { durability: Durability::Relaxed, ..StreamSettings::default() };
    world.publish(&[EVENT]).await;
    world.hub.update_stream(&project_id("p"), &name("events"), settings).await.unwrap();
    world.engine.hold();
    world.publish(&[EVENT]).await;
    assert_eq!(world.engine.held(), 1);
}

#[tokio::test]
async fn a_deleted_stream_takes_nothing_more() {
    let world = world().await;
    let stream = world.stream();
    world.hub.delete_stream(&project_id("p"), &name("events")).await.unwrap();
    let late = world.hub.publish(&publisher("p"), &stream, world.draft(&[EVENT])).await;
    assert_eq!(late, Err(PublishError::NotFound));
}
