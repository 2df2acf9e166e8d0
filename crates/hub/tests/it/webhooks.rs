//! Webhooks in the catalog: their places come and go with them, and show what may be shown.

mod costly;
mod narrowed;
mod refused;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use outflow_hub::subscription::{ConsumerOptions, Delivered, NewSubscription, Sources};
use outflow_hub::webhook::attempt::{AttemptPage, AttemptQuery};
use outflow_hub::webhook::{Asking, WebhookId};
use outflow_hub::{
    CatalogError, Integration, NewStream, Options, Settle, Start, StreamSettings, Webhook,
    WebhookAnswer, WebhookError, WebhookFault, WebhookKey, WebhookStatus, Webhooks,
};
use outflow_model::{Action, Grant, IntegrationId, Offset, SubscriptionName, Timestamp};
use outflow_store::{AppendError, Batch, Condition, Engine as _, Op, Put};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::timeout;

use self::refused::recover;
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
async fn a_replay_from_ahead_of_what_is_not_delivered_skips_none_of_it() {
    let world = world().await;
    set(&world, None).await.unwrap();
    publish(&world, &["A", "B", "C", "D"]).await;
    assert_eq!(take(&world, 1).await, ["A"]);
    let offset = |back: u64| Start::After(Offset::new(Offset::FIRST.get() + back));
    let replay = async |world: &World, start| {
        world.hub.replay_webhook(&project_id("p"), &id(), start).await.unwrap();
    };
    replay(&world, offset(2)).await;
    let world = open(&world.clock, &world.engine, Options::default()).await;
    assert_eq!(take(&world, 3).await, ["B", "C", "D"]);
    replay(&world, offset(1)).await;
    assert_eq!(take(&world, 2).await, ["C", "D"], "back it goes where it is told");
    let later = world.hub.clock().now().plus_millis(60_000);
    publish(&world, &["E"]).await;
    replay(&world, Start::At(later)).await;
    assert_eq!(take(&world, 1).await, ["E"]);
}

#[tokio::test]
async fn a_replay_does_not_send_again_what_was_delivered_behind_what_was_not() {
    let world = world().await;
    set(&world, None).await.unwrap();
    publish(&world, &["A", "B", "C", "D", "E"]).await;
    // All but the first is delivered.
    let place = world.hub.endpoint_subscription(&project_id("p"), &id()).unwrap();
    let mut consumers = world.hub.consumers(&operator());
    let options = ConsumerOptions { credit: 5, ..ConsumerOptions::default() };
    let consumer = consumers.add(&place, options).await.unwrap();
    let mut leases = Vec::new();
    while leases.len() < 5 {
        if let Delivered::Events { events, .. } = consumers.next(10).await {
            leases.extend(events.into_iter().map(|event| event.lease));
        }
    }
    let answers: Vec<Settle> = leases.into_iter().skip(1).map(Settle::Ack).collect();
    consumers.settle(consumer, &answers).unwrap().await.unwrap();
    consumers.remove(consumer);
    let fourth = Start::After(Offset::new(Offset::FIRST.get() + 2));
    world.hub.replay_webhook(&project_id("p"), &id(), fourth).await.unwrap();
    let backlog = world.hub.subscription_stats(&place).backlog;
    let world = open(&world.clock, &world.engine, Options::default()).await;
    assert_eq!(backlog, 3);
    assert_eq!(take(&world, 3).await, ["A", "D", "E"]);
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
    // What was noted while it was removed is not the next one's.
    let put =
        Put { key: "webhook/p/i".into(), value: Some("{}".into()), condition: Condition::Any };
    let batch = Batch { ops: vec![Op::Put(put)], ..Batch::default() };
    world.engine.submit(batch).await.unwrap();
    set(&world, None).await.unwrap();
    assert_eq!(world.hub.endpoint_note(&note).await.unwrap(), None);
    assert!(world.hub.remove_webhook(&project_id("p"), &id()).await.unwrap());
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

/// After a crash a note of the next batch with a place before the last one would make others of both.
#[tokio::test(start_paused = true)]
async fn a_note_comes_after_all_that_was_settled_before_it() {
    let world = world().await;
    set(&world, None).await.unwrap();
    publish(&world, &["A", "B", "C", "D"]).await;
    let place = world.hub.endpoint_subscription(&project_id("p"), &id()).unwrap();
    let mut consumers = world.hub.consumers(&operator());
    let consumer = consumers.add(&place, ConsumerOptions::default()).await.unwrap();
    let Delivered::Events { events, .. } = consumers.next(10).await else { panic!("no events") };
    assert_eq!(events.len(), 4);
    world.engine.hold();
    for one in &events[..3] {
        drop(consumers.settle_soon(consumer, &[Settle::Ack(one.lease)]).unwrap());
    }
    assert_eq!(world.engine.held(), 0, "they wait for others");
    let noting = world.hub.set_endpoint_note(&(project_id("p"), id()), Some("{}".into()));
    assert_eq!(world.engine.held(), 2, "the place, and then the note");
    world.engine.commit_next();
    drop((consumers, noting, place));
    let world = world.crash().await;
    let place = world.hub.endpoint_subscription(&project_id("p"), &id()).unwrap();
    assert_eq!(world.hub.subscription_stats(&place).backlog, 1);
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
            // What is sent again is what it says: nobody of the project writes there.
            let all = [Action::Publish, Action::Manage, Action::Ingest];
            let tenant = grant("p", false, &all);
            assert!(!world.hub.reaches(&tenant, Action::Publish, &stream), "{}", stream.name);
            assert!(world.hub.reaches(&operator(), Action::Publish, &stream), "{}", stream.name);
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

/// A face that hears when places are moved, and does nothing else.
#[derive(Debug, Default)]
struct Ear {
    heard: Mutex<Vec<String>>,
    news: Notify,
}

impl Webhooks for Ear {
    fn check(&self, _: &Webhook, _: &[(String, String)]) -> Result<(), WebhookFault> {
        Ok(())
    }

    fn secret(
        &self,
        _: &str,
        _: Option<WebhookKey>,
        _: Option<&str>,
    ) -> Result<String, WebhookFault> {
        Ok(String::new())
    }

    fn public_key(&self, _: &str, _: &str) -> Option<String> {
        None
    }

    fn changed<'a>(&'a self, _: &'a WebhookId, _: bool) -> Asking<'a, ()> {
        Box::pin(async { Ok(()) })
    }

    fn prepare<'a>(&'a self, _: &'a WebhookId) -> Asking<'a, ()> {
        Box::pin(async { Ok(()) })
    }

    fn moving<'a>(&'a self, moving: &'a WebhookId) -> Asking<'a, ()> {
        assert_eq!(*moving, (project_id("p"), id()));
        self.heard.lock().push("moving".to_owned());
        Box::pin(async { Ok(()) })
    }

    fn reopened<'a>(&'a self, _: &'a WebhookId, from: Offset) -> Asking<'a, ()> {
        self.heard.lock().push(format!("reopened {from}"));
        Box::pin(async { Ok(()) })
    }

    fn moved<'a>(&'a self, moved: &'a WebhookId) -> Asking<'a, ()> {
        assert_eq!(*moved, (project_id("p"), id()));
        self.heard.lock().push("moved".to_owned());
        self.news.notify_one();
        Box::pin(async { Ok(()) })
    }

    fn retry<'a>(&'a self, _: &'a WebhookId) -> Asking<'a, ()> {
        Box::pin(async { Ok(()) })
    }

    fn status<'a>(&'a self, _: &'a WebhookId) -> Asking<'a, WebhookStatus> {
        Box::pin(async { Err(WebhookError::Unavailable) })
    }

    fn attempts<'a>(&'a self, _: &'a WebhookId, _: AttemptQuery) -> Asking<'a, AttemptPage> {
        Box::pin(async { Err(WebhookError::Unavailable) })
    }

    fn resend<'a>(&'a self, _: &'a WebhookId, _: &'a str) -> Asking<'a, WebhookAnswer> {
        Box::pin(async { Err(WebhookError::Unavailable) })
    }

    fn test<'a>(&'a self, _: &'a WebhookId) -> Asking<'a, WebhookAnswer> {
        Box::pin(async { Err(WebhookError::Unavailable) })
    }
}

#[tokio::test]
async fn the_face_hears_of_a_place_that_was_moved_though_the_caller_has_gone() {
    let world = world().await;
    set(&world, None).await.unwrap();
    publish(&world, &["A"]).await;
    assert_eq!(take(&world, 1).await, ["A"]);
    let ear = Arc::new(Ear::default());
    world.hub.set_webhooks(ear.clone());
    drop(world.hub.rewind_webhook(&project_id("p"), &id(), Start::Earliest));
    let heard = timeout(Duration::from_secs(20), ear.news.notified()).await;
    heard.expect("the face is told");
    assert_eq!(*ear.heard.lock(), ["moving", "moved"]);
    assert_eq!(take(&world, 1).await, ["A"], "the place is moved when it is");
}

/// A face that heard that a place is about to be moved takes nothing of it until it hears more.
#[tokio::test]
async fn the_face_hears_before_and_after_a_place_is_moved_also_where_it_cannot_be() {
    let world = world().await;
    set(&world, None).await.unwrap();
    publish(&world, &["A", "B", "C"]).await;
    assert_eq!(take(&world, 1).await, ["A"]);
    let ear = Arc::new(Ear::default());
    world.hub.set_webhooks(ear.clone());
    let heard = || std::mem::take(&mut *ear.heard.lock());
    let offset = |back: u64| Offset::new(Offset::FIRST.get() + back);
    // From ahead of what is not delivered: that is sent as well, and is not what is to come again.
    let replay = world.hub.replay_webhook(&project_id("p"), &id(), Start::After(offset(1)));
    assert_eq!(replay.await, Ok(offset(2)));
    assert_eq!(heard(), ["moving".to_owned(), format!("reopened {}", offset(2))]);
    recover(&world, Timestamp::from_millis(0)).await;
    assert_eq!(heard(), ["moving".to_owned(), format!("reopened {}", Offset::LAST)]);
    world.engine.fail_next(AppendError::Full);
    let refused = world.hub.rewind_webhook(&project_id("p"), &id(), Start::Earliest).await;
    assert!(refused.is_err());
    assert_eq!(heard(), ["moving", "moved"]);
}

/// A version that reads filters otherwise must not send what the filter was to keep back.
#[tokio::test]
async fn a_stored_filter_that_cannot_be_read_lets_nothing_through() {
    let world = world().await;
    set(&world, Some(r#"[{"types":["OPEN"]}]"#)).await.unwrap();
    let key: Bytes = "catalog/integration/p/i".into();
    let entry = world.engine.get(&key).await.unwrap().unwrap();
    let text = String::from_utf8(entry.value.to_vec()).unwrap();
    let odd = text.replace(r#"\"types\""#, r#"\"species\""#);
    assert_ne!(odd, text);
    let put = Put { key, value: Some(odd.into()), condition: Condition::Any };
    let batch = Batch { ops: vec![Op::Put(put)], ..Batch::default() };
    world.engine.submit(batch).await.unwrap();
    let world = open(&world.clock, &world.engine, Options::default()).await;
    publish(&world, &["OPEN", "SEND"]).await;
    assert!(world.hub.integration(&project_id("p"), &id()).unwrap().webhook.is_some());
    assert!(world.hub.endpoint_subscription(&project_id("p"), &id()).is_none());
    // Set anew, it goes on where it was: nothing is lost.
    set(&world, Some(r#"[{"types":["OPEN"]}]"#)).await.unwrap();
    assert_eq!(take(&world, 1).await, ["OPEN"]);
}

#[tokio::test]
async fn events_are_looked_up_by_their_offsets_wherever_they_are() {
    let world = world().await;
    set(&world, Some(r#"[{"types":["OPEN"]}]"#)).await.unwrap();
    publish(&world, &["OPEN", "SEND", "OPEN", "OPEN"]).await;
    let at = |by: u64| Offset::new(Offset::FIRST.get() + by);
    let wanted = [at(3), at(0), at(1), at(9)];
    let endpoint = (project_id("p"), id());
    let (_, events) = world.hub.endpoint_events(&endpoint, &wanted).await.unwrap();
    let found: Vec<Offset> =
        events.iter().map(outflow_hub::subscription::EventView::offset).collect();
    assert_eq!(found, [at(3), at(0)], "in the order asked for; nothing hidden, nothing made up");
    let many = vec![at(0); 101];
    let refused = world.hub.endpoint_events(&endpoint, &many).await;
    assert!(matches!(refused, Err(CatalogError::Invalid(_))), "{refused:?}");
}
