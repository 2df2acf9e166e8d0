//! Subscriptions: seen, shown without being taken, purged, moved and removed.

use std::sync::Arc;

use http::{Method, StatusCode};
use outflow_hub::destination::Kind;
use outflow_hub::subscription::{ConsumerOptions, Delivered};
use outflow_hub::{ConsumeWish, Destination};
use outflow_model::{Action, Clock, CredentialId, Draft, Grant, ProjectId};
use serde_json::{Value, json};

use crate::stage::{Answer, Stage};

const ALL: &str = "/v1/projects/acme/subscriptions";

fn sender() -> Grant {
    Grant {
        credential: CredentialId::new("sender").unwrap(),
        generation: 0,
        expires: None,
        project: ProjectId::new("acme").ok(),
        integration: None,
        actions: Arc::new([Action::Read, Action::Publish].into()),
        streams: None,
        destinations: None,
    }
}

impl Stage {
    /// Sends numbered events to a queue, which is made by that.
    async fn send_to(&self, queue: &str, numbers: std::ops::Range<u32>) {
        let queue = Destination::new(Kind::Queue, queue).unwrap();
        let targets = self.hub.send_targets(&sender(), &queue).await.unwrap();
        for n in numbers {
            let mut draft = Draft::default();
            let event = format!(r#"{{"type":"T","body":{n}}}"#);
            draft.push_json(event.as_bytes(), &self.hub.rules(), self.hub.rng()).unwrap();
            self.hub.publish(&sender(), &targets[0], draft).await.unwrap();
        }
    }

    async fn backlog(&self, name: &str) -> u64 {
        let shown = self.get(&format!("{ALL}/{name}")).await;
        assert_eq!(shown.status, 200, "{shown:?}");
        shown.json()["backlog"].as_u64().unwrap()
    }
}

fn bodies(answer: &Answer) -> Vec<u64> {
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.headers["content-type"], "application/x-ndjson");
    let text = String::from_utf8(answer.bytes.clone()).unwrap();
    let body = |line: &str| serde_json::from_str::<Value>(line).unwrap()["body"].as_u64().unwrap();
    text.lines().filter(|line| !line.is_empty()).map(body).collect()
}

#[tokio::test]
async fn a_queue_is_listed_and_shown_without_being_taken() {
    let stage = Stage::new().await;
    stage.send_to("orders", 0..3).await;
    let listed = stage.get(ALL).await.json();
    let one = &listed["items"][0];
    assert_eq!(
        (&one["name"], &one["backlog"], &one["owns"], &one["abandoned"]),
        (&json!("queue:orders"), &json!(3), &json!(true), &json!(false))
    );
    assert_eq!(one["streams"], json!(["queue:orders"]));
    assert_eq!(one["dead_letter"], "queue:ActiveMQ.DLQ");
    // Nobody consumes, so nothing is in memory.
    let published = stage.clock.now().to_string();
    assert_eq!(one["oldest"], json!(published));
    stage.clock.advance(60_000);
    stage.send_to("orders", 3..4).await;
    let shown = stage.get(&format!("{ALL}/queue:orders")).await.json();
    assert_eq!(shown["oldest"], json!(published));
    let unnamed = stage.get(&format!("{ALL}/orders")).await;
    assert_eq!(unnamed.status, 404);
    let detail = unnamed.json()["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains("`queue:orders`"), "{detail}");
    assert_eq!(stage.get(&format!("{ALL}?abandoned=true")).await.json()["items"], json!([]));
    let events = format!("{ALL}/queue:orders/events");
    for _ in 0..2 {
        assert_eq!(bodies(&stage.get(&format!("{events}?follow=false")).await), [0, 1, 2, 3]);
    }
    assert_eq!(bodies(&stage.get(&format!("{events}?limit=2")).await), [0, 1]);
    assert_eq!(stage.backlog("queue:orders").await, 4);
}

#[tokio::test]
async fn what_is_published_reaches_queues_and_topics_that_have_only_consumers() {
    let stage = Stage::new().await;
    let consume = async |kind, name: &str| {
        let from = Destination::new(kind, name).unwrap();
        let wish = ConsumeWish::default();
        stage.hub.consume_targets(&sender(), &from, &wish).await.unwrap().remove(0)
    };
    let key = stage.key("acme", &["publish"]).await;
    for (kind, name, stream) in [
        (Kind::Queue, "orders", "queue:orders"),
        (Kind::Queue, "d1.RTO.acme", "queue:d1.RTO.acme"),
        (Kind::Queue, "d2.RTO.acme", "RTO.acme"),
        (Kind::Topic, "news", "news"),
    ] {
        let subscription = consume(kind, name).await;
        let path = format!("/v1/projects/acme/streams/{stream}/events");
        for token in [&key, &stage.operator] {
            let answer = stage.call(Method::POST, &path, Some(token), r#"{"body":1}"#).await;
            assert_eq!(answer.status, 200, "{stream}: {answer:?}");
        }
        assert_eq!(stage.hub.subscription_stats(&subscription).backlog, 2, "{name}");
    }
    // What nobody waits for is made by hand, and others' wishes count for nothing.
    let rival = stage.key("rival", &["publish"]).await;
    consume(Kind::Queue, "quiet").await;
    consume(Kind::Topic, "wide.>").await;
    for (stream, token) in
        [("queue:none", &key), ("none", &key), ("wide.a", &key), ("queue:quiet", &rival)]
    {
        let path = format!("/v1/projects/acme/streams/{stream}/events");
        let answer = stage.call(Method::POST, &path, Some(token), r#"{"body":1}"#).await;
        assert_eq!(answer.status, 404, "{stream}");
    }
}

#[tokio::test]
async fn following_goes_on_with_what_comes_and_takes_nothing() {
    let stage = Stage::new().await;
    stage.send_to("orders", 0..2).await;
    let path = format!("{ALL}/queue:orders/events?limit=4");
    let (shown, ()) = tokio::join!(stage.get(&path), async {
        // Once the look is over, the rest must come from the tap.
        tokio::task::yield_now().await;
        stage.send_to("orders", 2..4).await;
    });
    assert_eq!(bodies(&shown), [0, 1, 2, 3]);
    assert_eq!(stage.backlog("queue:orders").await, 4);
}

#[tokio::test]
async fn a_subscription_is_purged_and_removed_with_its_queue() {
    let stage = Stage::new().await;
    stage.send_to("orders", 0..3).await;
    let path = format!("{ALL}/queue:orders");
    let purged = stage.operate(Method::POST, &format!("{path}/purge"), json!({})).await;
    assert_eq!(purged.json(), json!({ "events": 3 }));
    assert_eq!(stage.backlog("queue:orders").await, 0);
    stage.send_to("orders", 3..4).await;
    assert_eq!(stage.operate(Method::DELETE, &path, json!({})).await.status, 204);
    assert_eq!(stage.get(&path).await.status, 404);
    assert_eq!(stage.get("/v1/projects/acme/streams/queue:orders").await.status, 404);
    // A feed outlives its queues.
    let topic = Destination::new(Kind::Topic, "RTO.acme").unwrap();
    stage.hub.send_targets(&sender(), &topic).await.unwrap();
    let queue = Destination::new(Kind::Queue, "d.RTO.acme").unwrap();
    stage.hub.consume_targets(&sender(), &queue, &ConsumeWish::default()).await.unwrap();
    let path = format!("{ALL}/queue:d.RTO.acme");
    assert_eq!(stage.operate(Method::DELETE, &path, json!({})).await.status, 204);
    assert_eq!(stage.get("/v1/projects/acme/streams/RTO.acme").await.status, 200);
}

#[tokio::test]
async fn dead_events_are_given_another_try() {
    let stage = Stage::new().await;
    stage.send_to("ActiveMQ.DLQ", 0..3).await;
    stage.send_to("orders", 3..4).await;
    let path = format!("{ALL}/queue:ActiveMQ.DLQ/move");
    let moved =
        stage.operate(Method::POST, &path, json!({ "to": "queue:orders", "limit": 2 })).await;
    assert_eq!(moved.json(), json!({ "events": 2 }), "{moved:?}");
    assert_eq!(stage.backlog("queue:ActiveMQ.DLQ").await, 1);
    assert_eq!(stage.backlog("queue:orders").await, 3);
    for (body, status) in [
        (json!({ "to": "queue:nowhere" }), 404),
        (json!({ "to": "queue:orders", "limit": 0 }), 400),
        (json!({ "to": "a b" }), 400),
        (json!({}), 400),
    ] {
        assert_eq!(stage.operate(Method::POST, &path, body.clone()).await.status, status, "{body}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_poison_message_goes_to_the_dead_letters_and_an_old_one_too() {
    let stage = Stage::new().await;
    stage.send_to("orders", 0..1).await;
    let path = format!("{ALL}/queue:orders");
    let change = json!({ "max_deliveries": 2, "max_age_ms": 60_000 });
    let changed = stage.operate(Method::PATCH, &path, change).await;
    assert_eq!(changed.status, 200, "{changed:?}");
    let shown = stage.get(&path).await.json();
    assert_eq!(
        (&shown["max_deliveries"], &shown["max_age_ms"], &shown["exclusive"]),
        (&json!(2), &json!(60_000), &json!(false))
    );
    assert_eq!(changed.json(), shown);
    let queue = Destination::new(Kind::Queue, "orders").unwrap();
    for _ in 0..2 {
        let wish = ConsumeWish::default();
        let queue = stage.hub.consume_targets(&sender(), &queue, &wish).await.unwrap().remove(0);
        let mut consumers = stage.hub.consumers(&sender());
        consumers.add(&queue, ConsumerOptions::default()).await.unwrap();
        let Delivered::Events { .. } = consumers.next(1).await else { panic!("an event") };
        // The consumer dies of it.
    }
    let letters = async || {
        // Burials end by themselves.
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        // Whoever is the first to look makes the queue of what stands in the stream.
        let dead = Destination::new(Kind::Queue, "ActiveMQ.DLQ").unwrap();
        stage.hub.consume_targets(&sender(), &dead, &ConsumeWish::default()).await.unwrap();
        let events = stage.get(&format!("{ALL}/queue:ActiveMQ.DLQ/events?follow=false")).await;
        String::from_utf8(events.bytes).unwrap()
    };
    let first = letters().await;
    assert!(first.contains(r#""outflow-dead-cause":"delivered too often""#), "{first}");
    assert_eq!(stage.backlog("queue:orders").await, 0);
    stage.send_to("orders", 1..2).await;
    stage.clock.advance(60_000);
    stage.hub.tick().await;
    let both = letters().await;
    assert!(both.contains(r#""outflow-dead-cause":"expired""#), "{both}");
    assert_eq!(stage.backlog("queue:orders").await, 0);
    let never = json!({ "max_deliveries": null, "max_age_ms": null, "idle_expiry_ms": 60_000 });
    let shown = stage.operate(Method::PATCH, &path, never).await.json();
    assert_eq!(
        (&shown["max_deliveries"], &shown["max_age_ms"], &shown["idle_expiry_ms"]),
        (&Value::Null, &Value::Null, &json!(60_000))
    );
}

#[tokio::test]
async fn a_change_that_makes_no_sense_is_refused_with_its_place() {
    let stage = Stage::new().await;
    stage.send_to("orders", 0..1).await;
    let path = format!("{ALL}/queue:orders");
    let before = stage.get(&path).await.json();
    for (change, place) in [
        (json!({ "max_deliveries": 0 }), "/max_deliveries"),
        (json!({ "max_deliveries": 10_001 }), "/max_deliveries"),
        (json!({ "max_deliveries": 5, "dead_letter": null }), "/max_deliveries"),
        (json!({ "dead_letter": "a b" }), "/dead_letter"),
        (json!({ "max_age_ms": 999 }), "/max_age_ms"),
        (json!({ "idle_expiry_ms": 1 }), "/idle_expiry_ms"),
        (json!({ "exclusive": null, "owns": false }), "owns"),
        (json!({ "exclusive": "yes" }), "/exclusive"),
        (json!({ "description": "\u{7}" }), "/description"),
    ] {
        let refused = stage.operate(Method::PATCH, &path, change.clone()).await;
        assert_eq!(refused.status, 400, "{change}");
        let said = refused.json().to_string();
        assert!(said.contains(place), "{change}: {said}");
    }
    assert_eq!(stage.get(&path).await.json(), before);
    let missing = stage.operate(Method::PATCH, &format!("{ALL}/none"), json!({})).await;
    assert_eq!(missing.status, 404);
}

#[tokio::test]
async fn only_the_projects_own_credentials_see_its_subscriptions() {
    let stage = Stage::new().await;
    stage.send_to("orders", 0..1).await;
    let rival = stage.key("rival", &["manage", "read"]).await;
    let reader = stage.key("acme", &["read"]).await;
    let call = async |method: Method, path: &str, token: &str| {
        stage.call(method, path, Some(token), "{}").await.status
    };
    let one = format!("{ALL}/queue:orders");
    for (method, path) in [
        (Method::GET, ALL.to_owned()),
        (Method::GET, one.clone()),
        (Method::DELETE, one.clone()),
        (Method::PATCH, one.clone()),
        (Method::POST, format!("{one}/purge")),
        (Method::POST, format!("{one}/move")),
    ] {
        assert_eq!(call(method.clone(), &path, &rival).await, StatusCode::NOT_FOUND, "{path}");
        assert_eq!(call(method, &path, &reader).await, StatusCode::FORBIDDEN, "{path}");
    }
    let events = format!("{one}/events?follow=false");
    assert_eq!(call(Method::GET, &events, &reader).await, StatusCode::OK);
    assert_eq!(call(Method::GET, &events, &rival).await, StatusCode::NOT_FOUND);
    assert_eq!(stage.backlog("queue:orders").await, 1);
}
