//! API keys over HTTP: made, shown without secrets, rotated, revoked, deleted.

use http::Method;
use serde_json::{Value, json};

use crate::stage::Stage;

const KEYS: &str = "/v1/projects/acme/api-keys";

pub(crate) async fn make(stage: &Stage, scopes: &[&str]) -> Value {
    let new = json!({ "name": "upstream", "scopes": scopes });
    let made = stage.operate(Method::POST, KEYS, new).await;
    assert_eq!(
        (made.status.as_u16(), &made.headers["cache-control"]),
        (201, &"no-store".parse().unwrap())
    );
    made.json()
}

pub(crate) fn path(key: &Value, last: &str) -> String {
    format!("{KEYS}/{}{last}", key["id"].as_str().unwrap())
}

/// Whether a token with the scope `events:publish` publishes.
async fn publishes(stage: &Stage, token: &Value) -> u16 {
    let events = "/v1/projects/acme/streams/events/events";
    stage.call(Method::POST, events, token.as_str(), "{}").await.status.as_u16()
}

async fn token(stage: &Stage, key: &Value, new: Value) -> Value {
    let issued = stage.operate(Method::POST, &path(key, "/tokens"), new).await;
    assert_eq!(issued.status, 201, "{issued:?}");
    issued.json()
}

#[tokio::test]
async fn a_key_goes_through_its_life() {
    let stage = Stage::new().await;
    let key = make(&stage, &["events:publish"]).await;
    assert!(key["secret"].as_str().unwrap().starts_with("ofl_"));
    let first = token(&stage, &key, json!({ "days": 3 })).await;
    assert_eq!(
        (&first["token_type"], &first["expires"]),
        (&json!("Bearer"), &json!("2026-03-04T12:00:00.000Z"))
    );
    let first = first["access_token"].clone();
    assert_eq!(publishes(&stage, &first).await, 200);

    let rotated = stage.operate(Method::POST, &path(&key, "/rotate"), json!({})).await.json();
    assert_eq!(rotated["generation"], 2);
    assert_eq!(rotated["deposed_until"], "2026-03-31T12:00:00.000Z");
    assert_ne!(rotated["secret"], key["secret"]);
    let second = token(&stage, &key, json!({ "expires": "2026-03-01T12:00:01Z" })).await;
    let second = second["access_token"].clone();
    assert_eq!((publishes(&stage, &first).await, publishes(&stage, &second).await), (200, 200));

    let revoke = async |which: &str| {
        stage.operate(Method::POST, &path(&key, "/revoke"), json!({ "tokens": which })).await.json()
    };
    assert_eq!(revoke("old").await["secret"], Value::Null);
    assert_eq!((publishes(&stage, &first).await, publishes(&stage, &second).await), (401, 200));
    assert!(revoke("all").await["secret"].is_string());
    assert_eq!(publishes(&stage, &second).await, 401);

    let shown = [stage.get(KEYS).await.json(), stage.get(&path(&key, "")).await.json()];
    for text in shown.map(|shown| shown.to_string()) {
        assert!(!text.contains("ofl_") && !text.contains("secret"), "{text}");
    }
    let third = token(&stage, &key, json!({ "days": 1 })).await["access_token"].clone();
    assert_eq!(stage.operate(Method::DELETE, &path(&key, ""), json!({})).await.status, 204);
    assert_eq!(publishes(&stage, &third).await, 401);
    assert_eq!(stage.operate(Method::DELETE, &path(&key, ""), json!({})).await.status, 404);
}

#[tokio::test]
async fn a_token_of_one_kind_does_nothing_else() {
    let stage = Stage::new().await;
    let key = make(&stage, &["streaming-ingest:write", "feed:read"]).await;
    let token = token(&stage, &key, json!({ "days": 1 })).await["access_token"].clone();
    assert_eq!(publishes(&stage, &token).await, 403);
    let keys = stage.call(Method::GET, KEYS, token.as_str(), "").await;
    assert_eq!(keys.status, 403);
    let rival = "/v1/projects/rival/streams/events/events";
    assert_eq!(stage.call(Method::POST, rival, token.as_str(), "{}").await.status, 404);
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_with_its_place() {
    let stage = Stage::new().await;
    let refused = async |path: &str, body: Value| {
        let answer = stage.operate(Method::POST, path, body).await;
        assert_eq!(answer.status, 400, "{answer:?}");
        answer.json()["errors"][0]["pointer"].as_str().unwrap().to_owned()
    };
    assert_eq!(refused(KEYS, json!({ "scopes": [] })).await, "/scopes");
    assert_eq!(refused(KEYS, json!({ "scopes": ["feed:read", "root"] })).await, "/scopes/1");
    let key = make(&stage, &["feed:read"]).await;
    let tokens = path(&key, "/tokens");
    assert_eq!(refused(&tokens, json!({})).await, "/days");
    assert_eq!(refused(&tokens, json!({ "days": 0 })).await, "/days");
    assert_eq!(refused(&tokens, json!({ "days": 3_651 })).await, "/days");
    assert_eq!(
        refused(&tokens, json!({ "days": 1, "expires": "2026-03-02T12:00:00Z" })).await,
        "/days"
    );
    assert_eq!(refused(&tokens, json!({ "expires": "2026-03-01T12:00:00Z" })).await, "/expires");
    assert_eq!(refused(&tokens, json!({ "days": 1, "scopes": ["events:read"] })).await, "/scopes");
    let nobody =
        stage.operate(Method::POST, &format!("{KEYS}/nobody/tokens"), json!({ "days": 1 })).await;
    assert_eq!(nobody.status, 404);
}
