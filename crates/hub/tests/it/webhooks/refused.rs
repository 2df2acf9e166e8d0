//! What an endpoint has refused: it is sent again, and is gone with the endpoint.

use std::sync::Arc;
use std::time::Duration;

use outflow_hub::subscription::{
    ConsumerOptions, Delivered, NewSubscription, Source, Sources, Subscription,
    SubscriptionSettings,
};
use outflow_hub::webhook::Recovered;
use outflow_hub::{
    CatalogError, Integration, NewStream, Options, Settle, Start, StreamSettings, Webhook,
};
use outflow_model::{IntegrationId, Offset, SubscriptionName, Timestamp};
use outflow_store::{Batch, Engine as _, Op};

use super::{id, operator, publish, set, take, webhook};
use crate::world::{World, integration, name, open, project_id, publisher, world};

/// Parks the next `count` events of the place.
async fn refuse(world: &World, count: usize) {
    let place = world.hub.endpoint_subscription(&project_id("p"), &id()).unwrap();
    refuse_of(world, &place, count).await;
}

async fn refuse_of(world: &World, place: &Arc<Subscription>, count: usize) {
    let mut consumers = world.hub.consumers(&operator());
    consumers.add(place, ConsumerOptions::default()).await.unwrap();
    let mut parked = 0;
    while parked < count {
        let Delivered::Events { consumer, events } = consumers.next(100).await else { panic!() };
        parked += events.len();
        let cause = || "no".to_owned();
        let one = |lease| Settle::DeadLetter { lease, cause: cause() };
        let answers: Vec<Settle> = events.iter().map(|event| one(event.lease)).collect();
        consumers.settle(consumer, &answers).unwrap().await.unwrap();
    }
}

pub(super) async fn recover(world: &World, since: Timestamp) -> Recovered {
    world.hub.recover_webhook(&project_id("p"), &id(), since).await.unwrap()
}

#[tokio::test]
async fn what_was_refused_is_sent_again_in_order_also_after_a_restart() {
    let world = world().await;
    set(&world, None).await.unwrap();
    publish(&world, &["A", "B"]).await;
    assert_eq!(take(&world, 1).await, ["A"]);
    refuse(&world, 1).await;
    publish(&world, &["C", "D", "E"]).await;
    assert_eq!(take(&world, 1).await, ["C"]);
    refuse(&world, 2).await;
    let since = Timestamp::from_millis(0);
    assert_eq!(recover(&world, since).await, Recovered { events: 3, rest: None });
    // What waits already is not made to wait twice.
    assert_eq!(recover(&world, since).await, Recovered { events: 0, rest: None });
    let world = open(&world.clock, &world.engine, Options::default()).await;
    assert_eq!(take(&world, 3).await, ["B", "D", "E"]);
    let later = world.hub.clock().now().plus_millis(1);
    assert_eq!(recover(&world, later).await, Recovered { events: 0, rest: None });
}

#[tokio::test]
async fn what_was_taken_since_it_was_refused_is_not_sent_a_third_time() {
    let world = world().await;
    set(&world, None).await.unwrap();
    publish(&world, &["A"]).await;
    refuse(&world, 1).await;
    world.clock.advance(1_000);
    let later = world.hub.clock().now();
    publish(&world, &["B", "C"]).await;
    refuse(&world, 2).await;
    // Only the later ones, one of which is refused once more.
    assert_eq!(recover(&world, later).await, Recovered { events: 2, rest: None });
    assert_eq!(take(&world, 1).await, ["B"]);
    refuse(&world, 1).await;
    let world = open(&world.clock, &world.engine, Options::default()).await;
    assert_eq!(recover(&world, later).await.events, 1);
    assert_eq!(take(&world, 1).await, ["C"]);
    assert_eq!(recover(&world, later).await.events, 0);
    // What lies before that was not sent again yet.
    let since = Timestamp::from_millis(0);
    assert_eq!(recover(&world, since).await.events, 1);
    assert_eq!(take(&world, 1).await, ["A"]);
    assert_eq!(recover(&world, since).await.events, 0);
}

/// What a recovery has made to wait, and a replay skips, was never sent again.
#[tokio::test]
async fn what_is_skipped_before_it_was_sent_again_can_be_recovered_once_more() {
    let world = world().await;
    set(&world, None).await.unwrap();
    publish(&world, &["A", "B"]).await;
    refuse(&world, 2).await;
    let since = Timestamp::from_millis(0);
    assert_eq!(recover(&world, since).await.events, 2);
    world.hub.rewind_webhook(&project_id("p"), &id(), Start::Latest).await.unwrap();
    assert_eq!(recover(&world, since).await.events, 2);
    assert_eq!(take(&world, 2).await, ["A", "B"]);
    // Nor is what is known of one endpoint known of the next.
    assert!(world.hub.remove_webhook(&project_id("p"), &id()).await.unwrap());
    set(&world, None).await.unwrap();
    refuse(&world, 2).await;
    assert_eq!(recover(&world, since).await.events, 2);
}

/// What the endpoint before it refused is not for the one that has the integration now, nor is what
/// others have parked beside it.
#[tokio::test]
async fn only_what_this_endpoint_refused_of_its_stream_is_sent_again() {
    let world = world().await;
    let other = NewStream { name: name("other"), settings: StreamSettings::default() };
    world.hub.create_stream(&project_id("p"), other).await.unwrap();
    let of_other = Webhook { stream: name("other"), ..webhook(None) };
    let set_other = world.hub.set_webhook(&project_id("p"), &id(), of_other, Start::Earliest);
    set_other.await.unwrap();
    let stream = world.hub.stream(&project_id("p"), &name("other")).unwrap();
    let mut draft = outflow_model::Draft::default();
    draft.push_json(br#"{"type":"OLD"}"#, &world.hub.rules(), world.hub.rng()).unwrap();
    world.hub.publish(&publisher("p"), &stream, draft).await.unwrap();
    refuse(&world, 1).await;
    assert!(world.hub.remove_webhook(&project_id("p"), &id()).await.unwrap());
    let since = Timestamp::from_millis(0);
    set(&world, None).await.unwrap();
    publish(&world, &["A", "B", "C"]).await;
    assert_eq!(take(&world, 3).await, ["A", "B", "C"]);
    assert_eq!(recover(&world, since).await.events, 0, "of another stream");
    // A copy that another subscription parked there.
    let settings = SubscriptionSettings {
        dead_letter: Some(name("webhook.parked:i")),
        ..SubscriptionSettings::default()
    };
    let source = Source { stream: name("events"), start: Start::Earliest, filter: None };
    let foreign = NewSubscription {
        name: SubscriptionName::new("foreign").unwrap(),
        sources: Sources::Streams(vec![source]),
        settings,
        durable: true,
    };
    let foreign = world.hub.create_subscription(&project_id("p"), foreign).await.unwrap();
    refuse_of(&world, &foreign, 3).await;
    assert_eq!(recover(&world, since).await.events, 0, "of another subscription");
    publish(&world, &["D"]).await;
    refuse(&world, 1).await;
    assert_eq!(recover(&world, since).await.events, 1);
    assert_eq!(take(&world, 1).await, ["D"]);
    // Made anew on the same stream, it was never sent what the one before it refused.
    world.clock.advance(1_000);
    assert!(world.hub.remove_webhook(&project_id("p"), &id()).await.unwrap());
    set(&world, None).await.unwrap();
    assert_eq!(take(&world, 4).await, ["A", "B", "C", "D"]);
    assert_eq!(recover(&world, since).await.events, 0, "of the one before");
}

/// What a customer's receiver refused and answered is not for who has an integration of that name next.
#[tokio::test]
async fn what_tells_of_a_webhook_goes_with_it_and_with_its_integration() {
    let world = world().await;
    let endpoint = (project_id("p"), id());
    let make = async || {
        let new =
            NewStream { name: name("webhook.attempts:i"), settings: StreamSettings::default() };
        world.hub.create_telling_stream(&endpoint, new).await
    };
    let there = || {
        let names = ["webhook.attempts:i", "webhook.parked:i"];
        names.map(|one| world.hub.stream(&project_id("p"), &name(one)).is_some())
    };
    for is_deleted in [false, true] {
        set(&world, None).await.unwrap();
        publish(&world, &["A"]).await;
        refuse(&world, 1).await;
        make().await.unwrap();
        assert_eq!(there(), [true, true]);
        if is_deleted {
            world.hub.delete_integration(&project_id("p"), &id()).await.unwrap();
        } else {
            assert!(world.hub.remove_webhook(&project_id("p"), &id()).await.unwrap());
        }
        assert_eq!(there(), [false, false], "{is_deleted}");
        // What is told late makes them for nobody.
        assert_eq!(make().await.err(), Some(CatalogError::NotFound));
    }
    world.hub.create_integration(integration("p")).await.unwrap();
    set(&world, None).await.unwrap();
    assert_eq!(recover(&world, Timestamp::from_millis(0)).await.events, 0);
    let world = open(&world.clock, &world.engine, Options::default()).await;
    let parked = world.hub.stream(&project_id("p"), &name("webhook.parked:i"));
    assert!(parked.is_none(), "also on the disk");
}

#[tokio::test]
async fn what_tells_of_webhooks_that_are_gone_is_removed_at_the_next_start() {
    let world = world().await;
    set(&world, None).await.unwrap();
    let other = Integration { id: IntegrationId::new("old").unwrap(), ..integration("p") };
    world.hub.create_integration(other).await.unwrap();
    let gone = ["webhook.attempts:gone", "webhook.parked:gone", "webhook.parked:old"];
    // One that is served, one that another's dead events are copied to, and one that tells of none.
    let kept = ["webhook.attempts:i", "webhook.parked:mine", "webhook.other:gone"];
    for one in gone.iter().chain(&kept) {
        world.stream_called(one).await;
    }
    let settings = SubscriptionSettings {
        dead_letter: Some(name(kept[1])),
        ..SubscriptionSettings::default()
    };
    world.subscribe_with(settings).await;
    let world = world.crash().await;
    let there = |one: &&&str| world.hub.stream(&project_id("p"), &name(one)).is_some();
    let removed = async {
        while gone.iter().any(|one| there(&one)) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), removed).await.unwrap();
    assert_eq!(kept.iter().filter(there).count(), kept.len());
}

/// Several thousand places lie between: those done out of their order are stored in pieces, each with
/// how far all is done as it was then.
#[tokio::test]
async fn what_was_refused_far_back_is_sent_again_after_a_restart() {
    let world = world().await;
    set(&world, None).await.unwrap();
    publish(&world, &["FAR"]).await;
    refuse(&world, 1).await;
    for _ in 0..4 {
        publish(&world, &["X"; 3_000]).await;
    }
    publish(&world, &["HELD", "Y"]).await;
    let place = world.hub.endpoint_subscription(&project_id("p"), &id()).unwrap();
    let mut consumers = world.hub.consumers(&operator());
    let consumer = consumers.add(&place, ConsumerOptions::default()).await.unwrap();
    let mut taken = 0;
    while taken < 12_002 {
        let Delivered::Events { events, .. } = consumers.next(1_000).await else { panic!() };
        taken += events.len();
        let is_done = |event_type: &str| event_type != "HELD";
        let done = events.iter().filter(|one| is_done(one.event.event_type()));
        let acks: Vec<_> = done.map(|one| Settle::Ack(one.lease)).collect();
        consumers.settle(consumer, &acks).unwrap().await.unwrap();
    }
    drop(consumers);
    let since = Timestamp::from_millis(0);
    assert_eq!(recover(&world, since).await.events, 1);
    let world = open(&world.clock, &world.engine, Options::default()).await;
    assert_eq!(take(&world, 2).await, ["FAR", "HELD"]);
}

#[tokio::test]
async fn what_retention_has_taken_is_not_said_to_be_sent_again() {
    let world = world().await;
    set(&world, None).await.unwrap();
    publish(&world, &["A", "B"]).await;
    refuse(&world, 2).await;
    let stream = world.hub.stream(&project_id("p"), &name("events")).unwrap();
    let ops = vec![Op::Trim(stream.id, Offset::FIRST.next())];
    world.engine.submit(Batch { ops, ..Batch::default() }).await.unwrap();
    assert_eq!(recover(&world, Timestamp::from_millis(0)).await.events, 1);
    assert_eq!(take(&world, 1).await, ["B"]);
}
