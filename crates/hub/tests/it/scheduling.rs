//! Schedules: each time an event of its own, no time twice and none lost, whatever the server goes
//! through.

use std::collections::BTreeSet;

use outflow_hub::schedule::{Cron, MAX_SCHEDULES, Recurrence};
use outflow_hub::subscription::{PreparedError, TransactionError};
use outflow_hub::{PublishError, Start};
use outflow_model::Timestamp;
use outflow_store::{AppendError, Engine as _};

use crate::queueing::user;
use crate::world::{FIRST, NOW, World, lines, name, project_id, publisher, world};

const EVENT: &str = r#"{"type":"CUSTOM","body":{"n":1}}"#;
const HOUR: i64 = 3_600_000;

fn every(period: u64, repeats: Option<u32>) -> Recurrence {
    Recurrence { cron: None, delay: 0, period, repeats }
}

async fn schedule(world: &World, what: Recurrence, event: &str) -> Result<(), PublishError> {
    let draft = world.draft(&[event]);
    let going = world.hub.schedule(&publisher("p"), &world.stream(), draft, what).await?;
    going.await.map(drop)
}

/// How many events were published.
async fn count(world: &World) -> usize {
    let read = world.engine.read(world.stream().id, FIRST, usize::MAX).await.unwrap();
    read.blocks.iter().map(|block| block.metas().unwrap().iter().count()).sum()
}

/// How many events were published once so many milliseconds more have passed.
async fn after(world: &World, millis: i64) -> usize {
    world.clock.advance(millis);
    world.hub.tick().await;
    count(world).await
}

/// What the disk has of schedules.
async fn stored(world: &World) -> usize {
    world.engine.scan(b"schedule", None, 10).await.unwrap().len()
}

fn text<'a>(line: &'a str, before: &str) -> &'a str {
    line.split_once(before).unwrap().1.split('"').next().unwrap()
}

#[tokio::test(start_paused = true)]
async fn each_time_is_an_event_of_its_own_over_a_restart() {
    let world = world().await;
    let expires = Timestamp::from_millis(NOW + 5_000);
    let event = format!(
        r#"{{"type":"CUSTOM","headers":{{"a":"b","outflow-expires":"{expires}"}},"body":{{"n":1}}}}"#
    );
    schedule(&world, every(1_000, Some(2)), &event).await.unwrap();
    assert_eq!((after(&world, 999).await, after(&world, 1).await), (0, 1));
    let world = world.crash().await;
    assert_eq!((count(&world).await, after(&world, 1_000).await), (1, 2));
    let world = world.crash().await;
    // It was down for longer than it takes: what was due meanwhile comes once.
    assert_eq!((after(&world, 10_000).await, after(&world, 60_000).await), (3, 3));
    assert_eq!(stored(&world).await, 0, "nothing of it is left behind");
    let lines = lines(&mut world.read(Start::Earliest).await, 3).await;
    let ids: BTreeSet<&str> = lines.iter().map(|line| text(line, r#"{"id":""#)).collect();
    let of: BTreeSet<&str> = lines.iter().map(|line| text(line, r#""scheduledJobId":""#)).collect();
    assert_eq!((ids.len(), of.len()), (3, 1), "{lines:?}");
    for (line, fired) in lines.iter().zip([1_000, 2_000, 12_000]) {
        let lives = Timestamp::from_millis(NOW + fired + 5_000).to_string();
        assert_eq!(text(line, r#""outflow-expires":""#), lives);
        let at = Timestamp::from_millis(NOW + fired).to_string();
        assert_eq!(text(line, r#""occurred":""#), at);
        assert!(line.contains(r#""a":"b""#) && line.ends_with(r#""body":{"n":1}}"#), "{line}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_cron_entry_comes_at_its_times_and_begins_a_series_where_it_repeats() {
    let world = world().await;
    let cron = Some(Cron::parse("0 * * * *").unwrap());
    schedule(&world, Recurrence { cron: cron.clone(), ..every(0, Some(0)) }, EVENT).await.unwrap();
    assert_eq!((after(&world, HOUR - 1).await, after(&world, 1).await), (0, 1));
    let world = world.crash().await;
    assert_eq!((after(&world, HOUR).await, after(&world, HOUR).await), (2, 3));
    let series = Recurrence { cron, delay: 1_000, period: 500, repeats: Some(1) };
    schedule(&world, series, EVENT).await.unwrap();
    assert_eq!(after(&world, HOUR).await, 4, "the series has only begun");
    let world = world.crash().await;
    assert_eq!((after(&world, 999).await, after(&world, 1).await), (4, 5));
    assert_eq!((after(&world, 500).await, after(&world, 500).await), (6, 6));
    assert_eq!(after(&world, HOUR - 2_000).await, 7);
    assert_eq!((after(&world, 1_000).await, after(&world, 500).await), (8, 9));
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_stored_now_comes_later_and_once() {
    let world = world().await;
    world.engine.fail_next(AppendError::Full);
    schedule(&world, every(1_000, None), EVENT).await.unwrap_err();
    assert_eq!(after(&world, 2_000).await, 0, "what was refused is no schedule");
    schedule(&world, every(1_000, None), EVENT).await.unwrap();
    world.engine.set_full(true);
    assert_eq!(after(&world, 1_000).await, 0);
    world.engine.set_full(false);
    assert_eq!((after(&world, 1_000).await, after(&world, 1_000).await), (1, 2));
}

#[tokio::test(start_paused = true)]
async fn schedules_end_with_their_stream_and_their_project() {
    let world = world().await;
    let out = world.stream_called("out").await;
    let draft = world.draft(&[EVENT]);
    let going = world.hub.schedule(&publisher("p"), &out, draft, every(1_000, None)).await;
    going.unwrap().await.unwrap();
    schedule(&world, every(1_000, None), EVENT).await.unwrap();
    world.hub.delete_stream(&project_id("p"), &name("out")).await.unwrap();
    assert_eq!((after(&world, 1_000).await, stored(&world).await), (1, 2));
    world.hub.delete_project(&project_id("p")).await.unwrap();
    assert_eq!(stored(&world).await, 0);
    world.tenant("p").await;
    assert_eq!(after(&world, 10_000).await, 0);
}

#[tokio::test(start_paused = true)]
async fn how_many_a_credential_has_is_bounded_over_restarts() {
    let world = world().await;
    for _ in 0..MAX_SCHEDULES {
        schedule(&world, every(HOUR as u64, None), EVENT).await.unwrap();
    }
    let world = world.crash().await;
    let refused = schedule(&world, every(1_000, None), EVENT).await.unwrap_err();
    assert!(matches!(refused, PublishError::Refused(_)), "{refused:?}");
    let draft = world.draft(&[EVENT]);
    let other = world.hub.schedule(&user(), &world.stream(), draft, every(1_000, Some(1))).await;
    other.unwrap().await.unwrap();
    assert_eq!(after(&world, HOUR).await, MAX_SCHEDULES + 1);
    let large = format!(r#"{{"type":"CUSTOM","body":"{}"}}"#, "x".repeat(600 << 10));
    let draft = world.draft(&[&large]);
    let refused = world.hub.schedule(&user(), &world.stream(), draft, every(1_000, None)).await;
    assert!(matches!(refused.err(), Some(PublishError::Refused(_))));
}

#[tokio::test(start_paused = true)]
async fn a_message_that_is_sent_again_is_no_second_schedule() {
    let world = world().await;
    let event = r#"{"id":"own","type":"CUSTOM","body":{"n":1}}"#;
    for _ in 0..2 {
        schedule(&world, every(1_000, Some(1)), event).await.unwrap();
    }
    assert_eq!((after(&world, 1_000).await, after(&world, 1_000).await), (1, 2));
}

#[tokio::test(start_paused = true)]
async fn a_schedule_of_a_transaction_begins_with_its_commit() {
    let world = world().await;
    let begin = |world: &World| {
        let mut transaction = world.hub.transaction(&user());
        let draft = world.draft(&[EVENT]);
        transaction.schedule(&world.stream(), &draft, every(1_000, None)).unwrap();
        transaction
    };
    drop(begin(&world));
    let refused = begin(&world).prepare(b"branch").await.unwrap_err();
    let PreparedError::Transaction(TransactionError::Publish(PublishError::Refused(_))) = refused
    else {
        panic!("{refused:?}")
    };
    world.engine.fail_next(AppendError::Full);
    begin(&world).commit().await.unwrap_err();
    assert_eq!((after(&world, 5_000).await, stored(&world).await), (0, 0));
    begin(&world).commit().await.unwrap();
    let world = world.crash().await;
    assert_eq!((after(&world, 1_000).await, after(&world, 1_000).await), (1, 2));
}
