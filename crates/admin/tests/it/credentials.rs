//! Tokens, keys and operators: shown once, limited, revoked.

use std::time::Duration;

use http::Method;
use outflow_model::Timestamp;
use serde_json::{Value, json};

use crate::stage::Stage;

const TOKENS: &str = "/v1/projects/acme/integrations/loader/tokens";

#[tokio::test]
async fn a_secret_is_in_the_answer_that_makes_it_and_nowhere_else() {
    let stage = Stage::new().await;
    let mut secrets = Vec::new();
    let new = [
        (TOKENS, json!({ "name": "loader-1" })),
        ("/v1/projects/acme/keys", json!({ "actions": ["publish"] })),
        ("/v1/projects/acme/keys", json!({ "kind": "master" })),
        ("/v1/operators", json!({ "name": "second" })),
    ];
    for (path, body) in new {
        let made = stage.operate(Method::POST, path, body).await;
        assert_eq!(made.status, 201, "{made:?}");
        assert_eq!(made.headers["cache-control"], "no-store");
        let made = made.json();
        secrets.push(made["secret"].as_str().unwrap().to_owned());
        assert!(secrets.last().unwrap().ends_with(made["last4"].as_str().unwrap()));
    }
    let mut seen = String::new();
    for path in
        [TOKENS, "/v1/projects/acme/keys", "/v1/operators", "/v1/projects", "/v1/projects/acme"]
    {
        seen.push_str(&String::from_utf8(stage.get(path).await.bytes).unwrap());
    }
    assert!(seen.contains("loader-1"));
    for secret in secrets.iter().chain([&stage.operator]) {
        assert!(!seen.contains(secret), "a list shows a secret");
    }
}

#[tokio::test]
async fn an_integration_has_25_tokens_at_most() {
    let stage = Stage::new().await;
    for _ in 0..25 {
        assert_eq!(stage.operate(Method::POST, TOKENS, json!({})).await.status, 201);
    }
    let refused = stage.operate(Method::POST, TOKENS, json!({})).await;
    assert_eq!((refused.status.as_u16(), &refused.json()["code"]), (409, &json!("conflict")));
    let list = stage.get(TOKENS).await.json();
    let first = list["items"][0]["id"].as_str().unwrap();
    let gone = stage.operate(Method::DELETE, &format!("{TOKENS}/{first}"), json!({})).await;
    assert_eq!(gone.status, 204);
    assert_eq!(stage.operate(Method::POST, TOKENS, json!({})).await.status, 201);
}

#[tokio::test]
async fn a_credential_ends_when_it_is_revoked_or_its_time_is_up() {
    let stage = Stage::new().await;
    let new = json!({ "actions": ["manage"], "expires": "2026-03-01T13:00:00Z" });
    let made = stage.operate(Method::POST, "/v1/projects/acme/keys", new).await.json();
    let secret = made["secret"].as_str();
    let works =
        async || stage.call(Method::GET, "/v1/projects/acme", secret, "").await.status == 200;
    assert!(works().await);
    stage.clock.set(Timestamp::parse_rfc3339(b"2026-03-01T13:00:01Z").unwrap());
    assert!(!works().await);

    let made = stage
        .operate(Method::POST, "/v1/projects/acme/keys", json!({ "actions": ["manage"] }))
        .await
        .json();
    let (id, secret) = (made["id"].as_str().unwrap(), made["secret"].as_str());
    let path = format!("/v1/projects/acme/keys/{id}");
    // Another tenant cannot revoke it, nor can it be reached through another list.
    let rival = stage.key("rival", &["manage"]).await;
    let foreign = format!("/v1/projects/rival/keys/{id}");
    assert_eq!(stage.call(Method::DELETE, &foreign, Some(&rival), "").await.status, 404);
    assert_eq!(
        stage.operate(Method::DELETE, &format!("{TOKENS}/{id}"), json!({})).await.status,
        404
    );
    assert_eq!(
        stage.operate(Method::DELETE, &format!("/v1/operators/{id}"), json!({})).await.status,
        404
    );
    assert_eq!(stage.call(Method::GET, "/v1/projects/acme", secret, "").await.status, 200);
    assert_eq!(stage.operate(Method::DELETE, &path, json!({})).await.status, 204);
    assert_eq!(stage.call(Method::GET, "/v1/projects/acme", secret, "").await.status, 401);
    assert_eq!(stage.operate(Method::DELETE, &path, json!({})).await.status, 404);
}

#[tokio::test]
async fn removing_an_integration_ends_its_tokens() {
    let stage = Stage::new().await;
    let token = stage.operate(Method::POST, TOKENS, json!({})).await.json();
    let token = token["secret"].as_str();
    let cursors = "/v1/projects/acme/streams/events/cursors";
    assert_eq!(stage.call(Method::GET, cursors, token, "").await.status, 200);
    let path = "/v1/projects/acme/integrations/loader";
    assert_eq!(stage.operate(Method::DELETE, path, json!({})).await.status, 204);
    assert_eq!(stage.call(Method::GET, cursors, token, "").await.status, 401);
}

#[tokio::test]
async fn the_last_operator_stays() {
    let stage = Stage::new().await;
    let revoke = async |operator: &Value| {
        let path = format!("/v1/operators/{}", operator["id"].as_str().unwrap());
        stage.operate(Method::DELETE, &path, json!({})).await.status.as_u16()
    };
    let first = stage.get("/v1/operators").await.json()["items"][0].clone();
    assert_eq!(revoke(&first).await, 409);
    let until = json!({ "expires": "2026-03-02T00:00:00Z" });
    let passing = stage.operate(Method::POST, "/v1/operators", until).await.json();
    assert_eq!(revoke(&first).await, 409, "the other one ends by itself");
    assert_eq!(revoke(&passing).await, 204);
    stage.operate(Method::POST, "/v1/operators", json!({})).await;
    assert_eq!(revoke(&first).await, 204);
    assert_eq!(stage.get("/v1/operators").await.status, 401);
}

#[tokio::test]
async fn nothing_is_issued_for_a_project_or_integration_that_is_on_its_way_out() {
    let stage = Stage::new().await;
    let loader = "/v1/projects/acme/integrations/loader";
    let key = json!({ "name": "late", "scopes": ["feed:read"] });
    // With how many batches what there is is revoked.
    for (path, issue, body, revoking) in [
        (loader, "/tokens", json!({ "name": "late" }), 1),
        ("/v1/projects/acme", "/keys", json!({ "name": "late", "actions": ["read"] }), 0),
        ("/v1/projects/rival", "/api-keys", key, 0),
    ] {
        // What there was is revoked, and that it is forgotten waits for the disk.
        stage.engine.hold();
        let deleting = stage.operate(Method::DELETE, path, json!({}));
        let issuing = async {
            for batch in 0..=revoking {
                while stage.engine.held() == 0 {
                    tokio::task::yield_now().await;
                }
                assert!(batch == revoking || stage.engine.commit_next());
            }
            let path = format!("{path}{issue}");
            let late = stage.operate(Method::POST, &path, body.clone());
            let late = tokio::time::timeout(Duration::from_secs(10), late).await;
            stage.engine.commit_all();
            late.expect("it waits to be issued")
        };
        let (deleted, late) = tokio::join!(deleting, issuing);
        assert_eq!((deleted.status.as_u16(), late.status.as_u16()), (204, 404), "{path}");
        let after = stage.operate(Method::POST, &format!("{path}{issue}"), body).await;
        assert_eq!(after.status, 404, "{path}");
    }
    // Another of the name has what is issued for it, and nothing else.
    let again = stage.operate(Method::POST, "/v1/projects", json!({ "id": "acme" })).await;
    assert_eq!(again.status, 201);
    let keys = stage.operate(Method::GET, "/v1/projects/acme/keys", json!({})).await;
    assert_eq!(keys.json()["items"], json!([]), "{keys:?}");
    let body = json!({ "name": "new", "actions": ["read"] });
    let issued = stage.operate(Method::POST, "/v1/projects/acme/keys", body).await;
    assert_eq!(issued.status, 201, "{issued:?}");
}
