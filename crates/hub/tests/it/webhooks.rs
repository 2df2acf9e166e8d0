//! Webhooks in the catalog: their places come and go with them, and show what may be shown.

use outflow_hub::subscription::{ConsumerOptions, Delivered, NewSubscription, Sources};
use outflow_hub::{
    CatalogError, Integration, NewStream, Options, Settle, Start, StreamSettings, Webhook,
};
use outflow_model::{Action, Grant, IntegrationId, Offset, SubscriptionName};

use crate::world::{World, grant, integration, name, open, project_id, publisher, world};

fn id() -> IntegrationId {
    IntegrationId::new("i").unwrap()
}

fn webhook(filter: Option<&str>) -> Webhook {
    Webhook {
        stream: name("events"),
        url: "https://example.com/".into(),
        batch: 1,
        lanes: Some(4),
        gzip: true,
        filter: filter.map(Into::into),
        style: "standard".into(),
        pauses: vec![std::time::Duration::from_secs(5)],
        timeout: None,
        disable_after: Some(std::time::Duration::from_secs(60)),
        paused: false,
    }
}

fn operator() -> Grant {
    Grant { project: None, ..grant("p", false, &[Action::Operate]) }
}

async fn set(world: &World, filter: Option<&str>) -> Result<(), CatalogError> {
    let start = Start::Earliest;
    world.hub.set_webhook(&project_id("p"), &id(), webhook(filter), start).await.map(drop)
}

async fn publish(world: &World, types: &[&str]) {
    for event_type in types {
        let stream = world.hub.stream(&project_id("p"), &name("events")).unwrap();
        let text = format!(r#"{{"type":"{event_type}"}}"#);
        let mut draft = outflow_model::Draft::default();
        draft.push_json(text.as_bytes(), &world.hub.rules(), world.hub.rng()).unwrap();
        world.hub.publish(&publisher("p"), &stream, draft).await.unwrap();
    }
}

/// The types of the next `count` events of the place, which are then done.
async fn take(world: &World, count: usize) -> Vec<String> {
    let place = world.hub.endpoint_subscription(&project_id("p"), &id()).unwrap();
    let mut consumers = world.hub.consumers(&operator());
    consumers.add(&place, ConsumerOptions::default()).await.unwrap();
    let mut types = Vec::new();
    while types.len() < count {
        let Delivered::Events { consumer, events } = consumers.next(1).await else { panic!() };
        for delivery in events {
            types.push(delivery.event.event_type().to_owned());
            consumers.settle(consumer, &[Settle::Ack(delivery.lease)]).unwrap().await.unwrap();
        }
    }
    types
}

#[tokio::test]
async fn a_place_shows_what_the_integration_and_the_filter_show_also_after_a_restart() {
    let world = world().await;
    set(&world, Some(r#"[{"types":["OPEN","SEND","LOCATION"]}]"#)).await.unwrap();
    publish(&world, &["OPEN", "CLOSE", "LOCATION", "SEND"]).await;
    assert_eq!(take(&world, 2).await, ["OPEN", "SEND"]);
    let place = world.hub.endpoint_subscription(&project_id("p"), &id()).unwrap();
    assert_eq!(world.hub.subscription_stats(&place).backlog, 0, "the hidden do not wait");
    let one = world.hub.integration(&project_id("p"), &id()).unwrap();
    let world = open(&world.clock, &world.engine, Options::default()).await;
    assert_eq!(world.hub.integration(&project_id("p"), &id()).unwrap(), one);
    publish(&world, &["CLOSE", "LOCATION", "OPEN"]).await;
    assert_eq!(take(&world, 1).await, ["OPEN"]);
    // A change of the integration counts for its webhook, and does not take it away.
    let wider = Integration { send_location: true, ..integration("p") };
    world.hub.update_integration(wider).await.unwrap();
    publish(&world, &["CLOSE", "LOCATION"]).await;
    assert_eq!(take(&world, 1).await, ["LOCATION"]);
    set(&world, None).await.unwrap();
    publish(&world, &["CLOSE"]).await;
    assert_eq!(take(&world, 1).await, ["CLOSE"]);
}

#[tokio::test]
async fn a_place_that_is_moved_back_shows_everything_again_after_a_restart_too() {
    let world = world().await;
    set(&world, None).await.unwrap();
    publish(&world, &["A", "B", "C"]).await;
    assert_eq!(take(&world, 3).await, ["A", "B", "C"]);
    let rewind = async |world: &World, start| {
        world.hub.rewind_webhook(&project_id("p"), &id(), start).await.unwrap();
    };
    rewind(&world, Start::After(Offset::FIRST)).await;
    assert_eq!(take(&world, 2).await, ["B", "C"]);
    rewind(&world, Start::Earliest).await;
    let world = open(&world.clock, &world.engine, Options::default()).await;
    assert_eq!(take(&world, 3).await, ["A", "B", "C"]);
    rewind(&world, Start::Latest).await;
    publish(&world, &["D"]).await;
    assert_eq!(take(&world, 1).await, ["D"]);
}

#[tokio::test]
async fn what_a_consumer_held_when_the_place_was_moved_changes_nothing() {
    let world = world().await;
    set(&world, None).await.unwrap();
    publish(&world, &["A", "B"]).await;
    let place = world.hub.endpoint_subscription(&project_id("p"), &id()).unwrap();
    let mut consumers = world.hub.consumers(&operator());
    let consumer = consumers.add(&place, ConsumerOptions::default()).await.unwrap();
    let Delivered::Events { events, .. } = consumers.next(10).await else { panic!() };
    world.hub.rewind_webhook(&project_id("p"), &id(), Start::Earliest).await.unwrap();
    let acks: Vec<_> = events.iter().map(|one| Settle::Ack(one.lease)).collect();
    consumers.settle(consumer, &acks).unwrap().await.unwrap();
    drop(consumers);
    assert_eq!(take(&world, 2).await, ["A", "B"]);
}

#[tokio::test]
async fn a_place_goes_with_its_webhook_and_nobody_else_takes_or_makes_one() {
    let world = world().await;
    set(&world, None).await.unwrap();
    let place = world.hub.endpoint_subscription(&project_id("p"), &id()).unwrap();
    let refused = world.hub.delete_subscription(&place).await;
    assert!(matches!(refused, Err(CatalogError::Invalid(_))), "{refused:?}");
    let foreign = NewSubscription {
        name: SubscriptionName::new("webhook:other").unwrap(),
        sources: Sources::Streams(Vec::new()),
        settings: Default::default(),
        durable: true,
    };
    let refused = world.hub.create_subscription(&project_id("p"), foreign).await;
    assert!(matches!(refused, Err(CatalogError::Invalid(_))), "{refused:?}");
    let note = (project_id("p"), id());
    world.hub.set_endpoint_note(&note, Some("{}".into())).await.unwrap();
    assert!(world.hub.remove_webhook(&project_id("p"), &id()).await.unwrap());
    assert!(!world.hub.remove_webhook(&project_id("p"), &id()).await.unwrap());
    assert!(world.hub.endpoint_subscription(&project_id("p"), &id()).is_none());
    assert_eq!(world.hub.endpoint_note(&note).await.unwrap(), None);
    // With the integration, and with the project.
    set(&world, None).await.unwrap();
    world.hub.delete_integration(&project_id("p"), &id()).await.unwrap();
    assert!(world.hub.endpoint_subscription(&project_id("p"), &id()).is_none());
    world.hub.create_integration(integration("p")).await.unwrap();
    set(&world, None).await.unwrap();
    assert_eq!(world.hub.endpoints().len(), 1);
    world.hub.delete_project(&project_id("p")).await.unwrap();
    assert_eq!(world.hub.endpoints().len(), 0);
    let world = open(&world.clock, &world.engine, Options::default()).await;
    assert!(world.hub.projects().is_empty());
}

#[tokio::test]
async fn what_tells_of_an_endpoint_is_not_for_another_integration() {
    let world = world().await;
    for kind in ["webhook.attempts", "webhook.parked"] {
        for (of, is_own) in [("i", true), ("other", false)] {
            let new = NewStream {
                name: name(&format!("{kind}:{of}")),
                settings: StreamSettings::default(),
            };
            let stream = world.hub.create_stream(&project_id("p"), new).await.unwrap();
            let reaches = |grant: &Grant| world.hub.reaches(grant, Action::Read, &stream);
            assert_eq!(reaches(&grant("p", true, &[Action::Read])), is_own, "{}", stream.name);
            assert!(reaches(&grant("p", false, &[Action::Read])), "{}", stream.name);
        }
    }
}

#[tokio::test]
async fn the_stream_of_a_webhook_stays() {
    let world = world().await;
    set(&world, None).await.unwrap();
    let other = Webhook { stream: name("other"), ..webhook(None) };
    let refused = world.hub.set_webhook(&project_id("p"), &id(), other, Start::Latest).await;
    assert!(matches!(refused, Err(CatalogError::Invalid(_))), "{refused:?}");
    let refused = set(&world, Some("{")).await;
    assert!(matches!(refused, Err(CatalogError::Invalid(_))), "{refused:?}");
}
