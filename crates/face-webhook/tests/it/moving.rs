//! Places that are moved: what is sent from there on, also where the server stops in between.

use std::time::Duration;

use outflow_face_webhook::outcome::{Failure, Outcome};
use outflow_face_webhook::schedule::Wish;
use outflow_hub::{Hub, Start, Webhook};
use outflow_model::{Offset, Timestamp};
use tokio::time::timeout;

use crate::world::{SOON, World, ids, offsets, webhook};

fn not_before_long() -> Outcome {
    let slow = Wish { is_throttled: false, retry_after: Some(Duration::from_secs(3_000)) };
    Outcome::Again { failure: Failure::Status(503), wish: slow }
}

/// A batch is noted before it is sent. A place that is moved behind it, and a server that stops before
/// the endpoint has heard of it, must not leave it waiting for events that come much later.
#[tokio::test]
async fn a_place_that_was_moved_back_when_the_server_stopped_is_sent_from_there() {
    let world = World::new(webhook(5)).await;
    world.desk.answers.lock().extend([Outcome::Taken, not_before_long()]);
    world.publish(&["A"; 5]).await;
    world.desk.requests(1).await;
    world.publish(&["B"; 2]).await;
    let before = world.desk.requests(2).await;
    let (project, id) = ids();
    let world = world.restart_after(async |hub: Hub| {
        hub.rewind_webhook(&project, &id, Start::Earliest).await.unwrap();
    });
    let world = world.await;
    world.hub.webhooks().unwrap().retry(&ids()).await.unwrap();
    let after = world.desk.requests(4).await;
    assert_eq!(after[2], before[0], "the same full batch");
    assert_eq!(offsets(&after[3].1), offsets(&before[1].1));
}

/// What was refused comes before the batch that was noted.
#[tokio::test]
async fn what_is_recovered_when_the_server_stops_is_sent_again() {
    let world = World::new(webhook(5)).await;
    let refused = Outcome::Refused { status: 400 };
    world.desk.answers.lock().extend([refused, Outcome::Taken, not_before_long()]);
    for _ in 0..2 {
        world.publish(&["A"; 5]).await;
    }
    world.desk.requests(2).await;
    world.publish(&["B"; 2]).await;
    let before = world.desk.requests(3).await;
    world.stored("webhook.parked", 5).await;
    let (project, id) = ids();
    let world = world.restart_after(async |hub: Hub| {
        let recovered = hub.recover_webhook(&project, &id, Timestamp::from_millis(0)).await;
        assert_eq!(recovered.unwrap().events, 5);
    });
    let world = world.await;
    world.hub.webhooks().unwrap().retry(&ids()).await.unwrap();
    let after = world.desk.requests(5).await;
    assert_eq!(after[3], before[0], "all that was refused, before what waits");
    assert_eq!(offsets(&after[4].1), offsets(&before[2].1));
}

/// Waits until nothing of the place is left to be done.
async fn all_is_done(world: &World) {
    let (project, id) = ids();
    let place = world.hub.endpoint_subscription(&project, &id).unwrap();
    let done = async {
        while world.hub.subscription_stats(&place).backlog > 0 {
            tokio::task::yield_now().await;
        }
    };
    timeout(SOON, done).await.expect("all is done");
}

/// What is under way when what was refused comes again is not sent twice, and is told of.
#[tokio::test]
async fn what_is_taken_after_a_recovery_has_begun_is_not_sent_again() {
    for lanes in [None, Some(2)] {
        let world = World::new(Webhook { lanes, ..webhook(1) }).await;
        world.desk.answers.lock().extend([Outcome::Refused { status: 400 }]);
        world.publish(&["A"]).await;
        world.stored("webhook.parked", 1).await;
        let (project, id) = ids();
        *world.desk.stalls.lock() = Some(project.clone());
        world.publish(&["B"]).await;
        world.desk.requests(2).await;
        let since = Timestamp::from_millis(0);
        let recovered = world.hub.recover_webhook(&project, &id, since).await.unwrap();
        assert_eq!(recovered.events, 1);
        *world.desk.stalls.lock() = None;
        world.desk.stalled.add_permits(1);
        let came = world.desk.requests(3).await;
        assert_eq!(came[2], came[0]);
        world.publish(&["C"]).await;
        let came = world.desk.requests(4).await;
        assert!(std::str::from_utf8(&came[3].1).unwrap().contains(r#""type":"C""#), "{lanes:?}");
        world.stored("webhook.attempts", 4).await;
        all_is_done(&world).await;
    }
}

/// A replay sends what was asked for once more, though it is under way, and not what stands before.
#[tokio::test]
async fn what_is_taken_after_a_replay_has_begun_is_sent_again_from_where_that_begins() {
    for (lanes, from, expected) in [
        (None, 0, [0, 0, 1].as_slice()),
        (None, 1, &[0, 1]),
        (Some(2), 0, &[0, 0, 1]),
        (Some(2), 1, &[0, 1]),
    ] {
        let world = World::new(Webhook { lanes, ..webhook(1) }).await;
        let (project, id) = ids();
        *world.desk.stalls.lock() = Some(project.clone());
        world.publish(&["A"]).await;
        world.desk.requests(1).await;
        *world.desk.stalls.lock() = None;
        let start = Start::After(Offset::new(Offset::FIRST.get() + from - 1));
        world.hub.replay_webhook(&project, &id, start).await.unwrap();
        world.desk.stalled.add_permits(1);
        world.stored("webhook.attempts", 1).await;
        world.publish(&["B"]).await;
        let came = world.desk.requests(expected.len()).await;
        all_is_done(&world).await;
        let sent: Vec<u64> = came.iter().flat_map(|(_, body)| offsets(body)).collect();
        let all: Vec<u64> = expected.iter().map(|at| Offset::FIRST.get() + at).collect();
        assert_eq!(sent, all, "{lanes:?} from {from}");
        assert_eq!(world.desk.came.lock().len(), expected.len());
    }
}

/// A batch that has failed stays what it is, though what comes again would fit into it.
#[tokio::test]
async fn a_batch_at_hand_is_the_same_after_what_was_recovered_before_it() {
    for is_killed in [false, true] {
        let world = World::new(webhook(5)).await;
        let refused = Outcome::Refused { status: 400 };
        world.desk.answers.lock().extend([refused, not_before_long()]);
        world.publish(&["A"; 3]).await;
        world.desk.requests(1).await;
        world.stored("webhook.parked", 3).await;
        world.publish(&["B"; 4]).await;
        let before = world.desk.requests(2).await;
        world.stored("webhook.attempts", 2).await;
        let (project, id) = ids();
        let recover = async |hub: Hub| {
            let recovered = hub.recover_webhook(&project, &id, Timestamp::from_millis(0)).await;
            assert_eq!(recovered.unwrap().events, 3);
        };
        let world = if is_killed {
            let world = world.restart_after(recover).await;
            world.hub.webhooks().unwrap().retry(&ids()).await.unwrap();
            world
        } else {
            recover(world.hub.clone()).await;
            world
        };
        let after = world.desk.requests(4).await;
        assert_eq!(after[2..4], before[0..2], "{is_killed}: the same ids and bytes");
        all_is_done(&world).await;
    }
}
