//! Webhooks as their managers see them, with a face that knows one fault.

use std::sync::Arc;

use http::Method;
use outflow_hub::webhook::{Asking, WebhookId};
use outflow_hub::{Webhook, WebhookAnswer, WebhookError, WebhookFault, WebhookStatus, Webhooks};
use outflow_model::rng::SeededRng;
use outflow_model::{Offset, Rng as _};
use serde_json::{Value, json};

use crate::stage::{Answer, Stage};

const PATH: &str = "/v1/projects/acme/integrations/loader/webhook";

/// Refuses URLs without TLS, and answers as an endpoint that is well.
#[derive(Debug)]
struct Face(SeededRng);

impl Webhooks for Face {
    fn check(&self, webhook: &Webhook, _: &[(String, String)]) -> Result<(), WebhookFault> {
        let fault = || WebhookFault { pointer: "/url".into(), reason: "no".into() };
        if webhook.url.starts_with("https://") { Ok(()) } else { Err(fault()) }
    }

    fn secret(&self, _: &str, given: Option<&str>) -> Result<String, WebhookFault> {
        Ok(given.map_or_else(|| format!("drawn{:08x}", self.0.next_u64()), Into::into))
    }

    fn changed<'a>(&'a self, _: &'a WebhookId, _: bool) -> Asking<'a, ()> {
        Box::pin(async { Ok(()) })
    }

    fn moved<'a>(&'a self, _: &'a WebhookId) -> Asking<'a, ()> {
        Box::pin(async { Ok(()) })
    }

    fn retry<'a>(&'a self, _: &'a WebhookId) -> Asking<'a, ()> {
        Box::pin(async { Ok(()) })
    }

    fn status<'a>(&'a self, _: &'a WebhookId) -> Asking<'a, WebhookStatus> {
        let (failures, state) = (0, "active");
        let (failing_since, next_attempt, disabled) = (None, None, None);
        let status = WebhookStatus { state, failing_since, failures, next_attempt, disabled };
        Box::pin(async { Ok(status) })
    }

    fn resend<'a>(&'a self, _: &'a WebhookId, _: Offset, _: Offset) -> Asking<'a, WebhookAnswer> {
        Box::pin(async { Err(WebhookError::NoMessage) })
    }

    fn test<'a>(&'a self, _: &'a WebhookId) -> Asking<'a, WebhookAnswer> {
        Box::pin(async { Err(WebhookError::TooOften { max: 10 }) })
    }
}

async fn stage() -> Stage {
    let stage = Stage::new().await;
    stage.hub.set_webhooks(Arc::new(Face(SeededRng::new(3))));
    stage
}

async fn post(stage: &Stage, verb: &str, body: Value) -> Answer {
    stage.operate(Method::POST, &format!("{PATH}/{verb}"), body).await
}

#[tokio::test]
async fn the_secret_is_shown_once_and_header_values_never() {
    let stage = stage().await;
    let new = json!({ "url": "https://h.example/a?b=c", "headers": [["Authorization", "canary"]] });
    let made = stage.operate(Method::PUT, PATH, new).await;
    assert_eq!(
        (made.status.as_u16(), &made.headers["cache-control"]),
        (201, &"no-store".parse().unwrap())
    );
    let made = made.json();
    let secret = made["secret"].as_str().unwrap();
    assert_eq!((&made["batch"], &made["state"]), (&json!(10), &json!("active")));
    let shown = stage.get(PATH).await;
    let text = String::from_utf8(shown.bytes.clone()).unwrap();
    assert!(!text.contains(secret) && !text.contains("canary"), "{text}");
    let shown = shown.json();
    assert_eq!(shown["headers"], json!(["Authorization"]));
    assert_eq!(shown["secret_last4"], secret[secret.len() - 4..]);
    // What is not said of secrets and headers stays; what else is not said is as by default.
    let change = json!({ "url": "https://h.example/", "batch": 1 });
    let changed = stage.operate(Method::PUT, PATH, change).await;
    assert_eq!(changed.status, 200);
    let changed = changed.json();
    assert_eq!((&changed["secret"], &changed["batch"]), (&Value::Null, &json!(1)));
    assert_eq!(changed["headers"], json!(["Authorization"]));
    let rotated = post(&stage, "rotate", json!({ "overlap_s": 60 })).await.json();
    assert_ne!(rotated["secret"], secret);
    let refused = post(&stage, "rotate", json!({ "overlap_s": 604_801 })).await;
    assert_eq!(
        (refused.status.as_u16(), &refused.json()["errors"][0]["pointer"]),
        (400, &json!("/overlap_s"))
    );
    assert_eq!(stage.operate(Method::DELETE, PATH, json!({})).await.status, 204);
    assert_eq!(stage.get(PATH).await.status, 404);
}

#[tokio::test]
async fn what_cannot_be_is_refused_with_its_place() {
    let stage = stage().await;
    for (new, pointer) in [
        (json!({ "url": "http://h.example/" }), "/url"),
        (json!({ "url": "https://h.example/", "start": "soon" }), "/start"),
        (json!({ "url": "https://h.example/", "stream": "a b" }), "/stream"),
    ] {
        let refused = stage.operate(Method::PUT, PATH, new).await;
        assert_eq!(refused.status, 400);
        assert_eq!(refused.json()["errors"][0]["pointer"], pointer);
        assert_eq!(stage.get(PATH).await.status, 404);
    }
    let new = json!({ "url": "https://h.example/", "start": "earliest" });
    assert_eq!(stage.operate(Method::PUT, PATH, new.clone()).await.status, 201);
    // It has begun, and its place is in its stream.
    assert_eq!(stage.operate(Method::PUT, PATH, new).await.status, 400);
    let other = json!({ "url": "https://h.example/", "stream": "other" });
    assert_eq!(stage.operate(Method::PUT, PATH, other).await.status, 400);
    for (from, status) in
        [("earliest", 200), ("7", 200), ("2026-03-01T00:00:00Z", 200), ("soon", 400)]
    {
        let answer = post(&stage, "replay", json!({ "from": from })).await;
        assert_eq!(answer.status, status, "{from}: {answer:?}");
    }
    assert_eq!(post(&stage, "test", json!({})).await.status, 429);
    for (body, status) in
        [(json!({ "first_offset": "7" }), 400), (json!({ "first_offset": "x" }), 400)]
    {
        assert_eq!(post(&stage, "resend", body).await.status, status);
    }
}

#[tokio::test]
async fn pausing_and_resuming_is_kept() {
    let stage = stage().await;
    let new = json!({ "url": "https://h.example/", "retry_pauses_ms": [50], "lanes": 4 });
    let made = stage.operate(Method::PUT, PATH, new).await.json();
    assert_eq!((&made["paused"], &made["retry_pauses_ms"]), (&json!(false), &json!([50])));
    assert_eq!(post(&stage, "pause", json!({})).await.json()["paused"], true);
    assert_eq!(stage.get(PATH).await.json()["paused"], true);
    let resumed = post(&stage, "resume", json!({})).await.json();
    assert_eq!((&resumed["paused"], &resumed["lanes"]), (&json!(false), &json!(4)));
    let recovered = post(&stage, "recover", json!({ "since": "2026-03-01T00:00:00Z" })).await;
    assert_eq!(recovered.json()["events"], 0);
}

#[tokio::test]
async fn without_a_face_nothing_is_made() {
    let stage = Stage::new().await;
    let new = json!({ "url": "https://h.example/" });
    assert_eq!(stage.operate(Method::PUT, PATH, new).await.status, 503);
    assert_eq!(stage.get(PATH).await.status, 404);
}
