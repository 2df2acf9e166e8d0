//! What a change feed of chosen types has not sent: known of every place, however old, and after a
//! restart.

use std::collections::BTreeSet;
use std::sync::Arc;

use outflow_hub::{NewStream, Options, Retention, Stream, StreamSettings};
use outflow_model::{Clock, Offset};
use outflow_store::AppendError;

use crate::keyed::{account, publish, types};
use crate::world::{World, name, open, project_id, world};

const HOUR: i64 = 3_600_000;

fn payment(no: u32) -> String {
    format!(
        r#"{{"type":"create","ref":{{"type":"Payment","ids":{{"account_no":1,"payment_no":{no}}}}},"body":{{}}}}"#
    )
}

fn settings(chosen: &[&str]) -> StreamSettings {
    let chosen: BTreeSet<String> = chosen.iter().map(|&one| one.to_owned()).collect();
    let chosen = Some(chosen).filter(|chosen| !chosen.is_empty());
    StreamSettings { feed_types: chosen, ..StreamSettings::keyed(types()) }
}

async fn choose(world: &World, chosen: &[&str]) -> Arc<Stream> {
    let settings = settings(chosen);
    world.hub.update_stream(&project_id("p"), &name("billing"), settings).await.unwrap()
}

/// Publishes one event; gives its offset.
async fn one(world: &World, stream: &Stream, event: &str) -> Offset {
    publish(world, stream, &[event]).await.unwrap().events[0].offset
}

/// Whether who is at `after` may have missed anything of what is gone now.
async fn missed(world: &World, stream: &Stream, after: Offset) -> bool {
    world.engine.retain(world.clock.now());
    let from = world.hub.stats(stream).start;
    assert!(from > after.next(), "it is still kept");
    world.hub.changes_missed(stream, after, from).await.unwrap()
}

#[tokio::test]
async fn a_place_is_good_as_long_as_its_types_were_silent() {
    let world = world().await;
    let new = NewStream { name: name("billing"), settings: settings(&["Account"]) };
    let stream = world.hub.create_stream(&project_id("p"), new).await.unwrap();
    let first = one(&world, &stream, &account("create", 1, "{}")).await;
    let second = one(&world, &stream, &account("update", 1, "{}")).await;
    for no in 0..60 {
        one(&world, &stream, &payment(no)).await;
        world.clock.advance(HOUR);
    }
    assert!(!missed(&world, &stream, second).await);
    assert!(missed(&world, &stream, first).await);
    // One that is kept ends the silence; the place is good until it is gone.
    let third = one(&world, &stream, &account("update", 1, "{}")).await;
    assert!(!missed(&world, &stream, second).await);
    for no in 60..107 {
        one(&world, &stream, &payment(no)).await;
        world.clock.advance(HOUR);
    }
    // As a start finds it.
    let engine = Arc::new(world.engine.restart());
    let again = open(&world.clock, &engine, Options::default()).await;
    let stream = again.hub.stream(&project_id("p"), &name("billing")).unwrap();
    assert!(!missed(&again, &stream, second).await);
    one(&again, &stream, &payment(107)).await;
    again.clock.advance(2 * HOUR);
    one(&again, &stream, &payment(108)).await;
    assert!(missed(&again, &stream, second).await);
    assert!(!missed(&again, &stream, third).await);
    // Of more types, what those have had counts.
    let stream = choose(&again, &["Payment"]).await;
    assert!(missed(&again, &stream, third).await);
}

#[tokio::test]
async fn what_was_not_watched_is_not_called_silent() {
    let world = world().await;
    let new = NewStream { name: name("billing"), settings: settings(&["Account"]) };
    let chosen = world.hub.create_stream(&project_id("p"), new).await.unwrap();
    let place = one(&world, &chosen, &account("create", 1, "{}")).await;
    let all = choose(&world, &[]).await;
    world.engine.fail_next(AppendError::Throttled);
    publish(&world, &all, &[&payment(0)]).await.unwrap_err();
    one(&world, &all, &account("update", 1, "{}")).await;
    let chosen = choose(&world, &["Account"]).await;
    // As above, the first batch is lost: the next one says it again.
    world.engine.fail_next(AppendError::Throttled);
    publish(&world, &chosen, &[&payment(1)]).await.unwrap_err();
    let since = one(&world, &chosen, &payment(2)).await;
    world.clock.advance(50 * HOUR);
    one(&world, &chosen, &payment(3)).await;
    assert!(missed(&world, &chosen, place).await);
    world.clock.advance(50 * HOUR);
    assert!(!missed(&world, &chosen, since).await, "from here on all was watched");
}

#[tokio::test]
async fn a_type_that_begins_late_was_silent_before() {
    let world = world().await;
    let new = NewStream { name: name("billing"), settings: settings(&["Account"]) };
    let stream = world.hub.create_stream(&project_id("p"), new).await.unwrap();
    let place = one(&world, &stream, &payment(0)).await;
    for no in 1..60 {
        world.clock.advance(HOUR);
        one(&world, &stream, &payment(no)).await;
    }
    let engine = Arc::new(world.engine.restart());
    let world = open(&world.clock, &engine, Options::default()).await;
    let stream = world.hub.stream(&project_id("p"), &name("billing")).unwrap();
    one(&world, &stream, &account("create", 1, "{}")).await;
    assert!(!missed(&world, &stream, place).await);
}

#[tokio::test]
async fn who_was_away_for_almost_all_that_is_kept_has_missed_nothing() {
    let world = world().await;
    let new = NewStream { name: name("billing"), settings: settings(&["Account"]) };
    let stream = world.hub.create_stream(&project_id("p"), new).await.unwrap();
    let place = one(&world, &stream, &account("create", 1, "{}")).await;
    let mut missing = place;
    for hour in 0..52 {
        // Kept to the end, and the first is known from its record alone then.
        if [3, 4, 5].contains(&hour) {
            missing = one(&world, &stream, &account("update", 1, "{}")).await;
        }
        one(&world, &stream, &payment(hour)).await;
        if hour == 49 {
            assert!(!missed(&world, &stream, place).await);
        }
        world.clock.advance(HOUR);
    }
    assert!(missed(&world, &stream, place).await, "the first of three is gone");
    world.clock.advance(HOUR * 2);
    assert!(!missed(&world, &stream, missing).await);
}

#[tokio::test]
async fn a_stream_that_is_kept_by_its_size_has_short_silences_too() {
    let world = world().await;
    let chosen = settings(&["Account"]);
    let retention = Retention { max_bytes: Some(16 << 10), ..chosen.retention };
    let settings = StreamSettings { retention, ..chosen };
    let new = NewStream { name: name("billing"), settings };
    let stream = world.hub.create_stream(&project_id("p"), new).await.unwrap();
    let place = one(&world, &stream, &account("create", 1, "{}")).await;
    let mut no = 0;
    // Seconds apart, where all may be kept for two days.
    while world.hub.stats(&stream).start <= place.next() {
        assert!(no < 1_000, "the size is no limit");
        one(&world, &stream, &payment(no)).await;
        world.clock.advance(1_000);
        world.engine.retain(world.clock.now());
        no += 1;
    }
    one(&world, &stream, &account("update", 1, "{}")).await;
    assert!(!missed(&world, &stream, place).await);
}
