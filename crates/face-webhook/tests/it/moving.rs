//! Places that are moved: what is sent from there on, also where the server stops in between.

use std::time::Duration;

use outflow_face_webhook::outcome::{Failure, Outcome};
use outflow_face_webhook::schedule::Wish;
use outflow_hub::{Hub, Start};
use outflow_model::Timestamp;

use crate::world::{World, ids, offsets, webhook};

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
