//! Who reaches what: every route with every kind of caller, generated from the document, so that
//! a route without a row here fails.

use http::{Method, StatusCode};
use serde_json::json;

use crate::document::operations;
use crate::stage::{Answer, Stage};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scope {
    Public,
    Anyone,
    Operator,
    /// Needs `manage` to see, and an operator to do.
    OperatorInProject,
    Manage,
    Read,
    Publish,
}

fn scope(operation: &str) -> Scope {
    match operation {
        "get_openapi" => Scope::Public,
        "list_event_types" | "list_projects" => Scope::Anyone,
        "create_project" | "list_operators" | "create_operator" | "revoke_operator" => {
            Scope::Operator
        }
        "delete_project" => Scope::OperatorInProject,
        "get_project" | "update_project" => Scope::Manage,
        "list_streams" | "create_stream" | "get_stream" | "update_stream" | "delete_stream" => {
            Scope::Manage
        }
        "list_integrations" | "create_integration" | "get_integration" => Scope::Manage,
        "update_integration" | "delete_integration" => Scope::Manage,
        "list_tokens" | "create_token" | "revoke_token" => Scope::Manage,
        "list_keys" | "create_key" | "revoke_key" => Scope::Manage,
        "list_api_keys" | "create_api_key" | "get_api_key" | "delete_api_key" => Scope::Manage,
        "issue_access_token" | "rotate_api_key" | "revoke_access_tokens" => Scope::Manage,
        "exchange" | "exchange_v0" => Scope::Public,
        "list_ingest_streams" | "create_ingest_stream" | "get_ingest_stream" => Scope::Manage,
        "update_ingest_stream" | "delete_ingest_stream" => Scope::Manage,
        "list_extractions" | "start_extraction" | "get_extraction" => Scope::Manage,
        "cancel_extraction" => Scope::Manage,
        "list_prepared_transactions" | "commit_prepared_transaction" => Scope::Manage,
        "roll_back_prepared_transaction" => Scope::Manage,
        "get_webhook" | "put_webhook" | "delete_webhook" | "test_webhook" => Scope::Manage,
        "rotate_webhook_secret" | "pause_webhook" | "resume_webhook" => Scope::Manage,
        "list_webhook_attempts" => Scope::Manage,
        "retry_webhook" | "replay_webhook" | "recover_webhook" | "resend_webhook" => Scope::Manage,
        "list_users" | "create_user" | "delete_user" => Scope::Manage,
        "list_subscriptions"
        | "get_subscription"
        | "update_subscription"
        | "delete_subscription" => Scope::Manage,
        "purge_subscription" | "move_events" => Scope::Manage,
        "browse_subscription" => Scope::Read,
        "list_landed_files" | "get_landed_file" | "get_failed_file" => Scope::Read,
        "list_cursors" | "get_cursor" | "put_cursor" | "delete_cursor" => Scope::Read,
        "publish" => Scope::Publish,
        unknown => panic!("`{unknown}` has no row in the matrix"),
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Principal {
    None,
    Malformed,
    Revoked,
    Reader,
    Publisher,
    Owner,
    RivalOwner,
    Operator,
}

const PRINCIPALS: [Principal; 8] = [
    Principal::None,
    Principal::Malformed,
    Principal::Revoked,
    Principal::Reader,
    Principal::Publisher,
    Principal::Owner,
    Principal::RivalOwner,
    Principal::Operator,
];

async fn token(stage: &Stage, principal: Principal) -> Option<String> {
    Some(match principal {
        Principal::None => return None,
        Principal::Malformed => "not a token".to_owned(),
        Principal::Revoked => {
            let path = "/v1/projects/acme/keys";
            let made =
                stage.operate(Method::POST, path, json!({ "actions": ["manage"] })).await.json();
            let gone = format!("{path}/{}", made["id"].as_str().unwrap());
            assert_eq!(stage.operate(Method::DELETE, &gone, json!({})).await.status, 204);
            made["secret"].as_str().unwrap().to_owned()
        }
        Principal::Reader => stage.key("acme", &["read"]).await,
        Principal::Publisher => stage.key("acme", &["publish"]).await,
        Principal::Owner => stage.key("acme", &["manage"]).await,
        Principal::RivalOwner => stage.key("rival", &["manage", "read", "publish"]).await,
        Principal::Operator => stage.operator.clone(),
    })
}

/// The refusal that a caller must meet, if any.
fn refusal(scope: Scope, principal: Principal, in_project: bool) -> Option<StatusCode> {
    let allowed = match principal {
        Principal::None | Principal::Malformed | Principal::Revoked => {
            return (scope != Scope::Public).then_some(StatusCode::UNAUTHORIZED);
        }
        Principal::RivalOwner if in_project => return Some(StatusCode::NOT_FOUND),
        Principal::Operator => true,
        Principal::Reader => scope == Scope::Read,
        Principal::Publisher => scope == Scope::Publish,
        Principal::Owner | Principal::RivalOwner => scope == Scope::Manage,
    };
    let allowed = allowed || matches!(scope, Scope::Public | Scope::Anyone);
    (!allowed).then_some(StatusCode::FORBIDDEN)
}

fn fill(path: &str, project: &str) -> String {
    let path = path.replace("{project}", project).replace("{stream}", "events");
    let path = path.replace("{subscription}", "queue:orders");
    path.replace("{integration}", "loader").replace("{id}", "nobody").replace("{name}", "place")
}

#[tokio::test]
async fn every_route_treats_every_caller_as_it_should() {
    let mut cases = 0;
    for (method, path, operation) in operations() {
        let scope = scope(&operation);
        for principal in PRINCIPALS {
            let stage = Stage::new().await;
            let token = token(&stage, principal).await;
            let answer =
                stage.call(method.clone(), &fill(&path, "acme"), token.as_deref(), "{}").await;
            let expected = refusal(scope, principal, path.contains("{project}"));
            let met = Some(answer.status).filter(|status| match *status {
                StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => true,
                StatusCode::NOT_FOUND => answer.json()["detail"] == "there is no such project",
                _ => false,
            });
            assert_eq!(met, expected, "{operation} as {principal:?}: {answer:?}");
            assert!(answer.status.as_u16() < 500, "{operation} as {principal:?}: {answer:?}");
            cases += 1;
        }
    }
    assert!(cases >= 200, "{cases}");
}

/// An answer without what differs between any two requests.
fn likeness(answer: &Answer) -> (StatusCode, String, Vec<String>) {
    let id = answer.headers["x-request-id"].to_str().unwrap();
    let body = String::from_utf8(answer.bytes.clone()).unwrap().replace(id, "ID");
    (answer.status, body, answer.headers.keys().map(ToString::to_string).collect())
}

#[tokio::test]
async fn the_foreign_and_the_missing_look_the_same() {
    let stage = Stage::new().await;
    for actions in [&["manage", "read", "publish"][..], &["read"], &["publish"]] {
        let token = stage.key("rival", actions).await;
        for (method, path, operation) in operations() {
            if !path.contains("{project}") {
                continue;
            }
            let foreign =
                stage.call(method.clone(), &fill(&path, "acme"), Some(&token), "not json").await;
            let missing =
                stage.call(method, &fill(&path, "nowhere"), Some(&token), "not json").await;
            assert_eq!(likeness(&foreign), likeness(&missing), "{operation} with {actions:?}");
        }
    }
}

#[tokio::test]
async fn a_list_shows_a_tenant_itself_only() {
    let stage = Stage::new().await;
    let everything = stage.get("/v1/projects").await.json();
    assert_eq!(everything["items"].as_array().unwrap().len(), 2);
    for actions in [&["manage"][..], &["read"], &["publish"]] {
        let token = stage.key("acme", actions).await;
        let seen = stage.call(Method::GET, "/v1/projects", Some(&token), "").await.json();
        let ids: Vec<_> =
            seen["items"].as_array().unwrap().iter().map(|item| item["id"].clone()).collect();
        assert_eq!(ids, ["acme"], "{actions:?}");
    }
}

#[tokio::test]
async fn a_key_for_some_streams_knows_no_others() {
    let stage = Stage::new().await;
    for name in ["orders", "returns"] {
        stage.operate(Method::POST, "/v1/projects/acme/streams", json!({ "name": name })).await;
    }
    let new = json!({ "actions": ["publish", "read"], "streams": ["orders"] });
    let key = stage.operate(Method::POST, "/v1/projects/acme/keys", new).await.json();
    let key = key["secret"].as_str();
    let publish = async |stream: &str| {
        let path = format!("/v1/projects/acme/streams/{stream}/events");
        stage.call(Method::POST, &path, key, "{}").await
    };
    assert_eq!(publish("orders").await.status, 200);
    let (other, missing) = (publish("returns").await, publish("nowhere").await);
    assert_eq!(likeness(&other), likeness(&missing));
    // A key that could issue others is not to be kept from anything by a list it could step over.
    let new = json!({ "actions": ["manage"], "streams": ["orders"] });
    let refused = stage.operate(Method::POST, "/v1/projects/acme/keys", new).await;
    assert_eq!(
        (refused.status.as_u16(), &refused.json()["errors"][0]["pointer"]),
        (400, &json!("/streams"))
    );
}

#[tokio::test]
async fn tenants_do_not_set_their_own_limits() {
    let stage = Stage::new().await;
    let owner = stage.key("acme", &["manage"]).await;
    let change = json!({ "name": "Acme Ltd", "limits": { "connections": 1_000_000 } }).to_string();
    let refused = stage.call(Method::PATCH, "/v1/projects/acme", Some(&owner), change).await;
    assert_eq!(refused.status, 403);
    assert_eq!(stage.get("/v1/projects/acme").await.json()["name"], "");
    let change = json!({ "limits": { "connections": 12 } });
    let changed = stage.operate(Method::PATCH, "/v1/projects/acme", change).await;
    assert_eq!(changed.json()["limits"]["connections"], 12);
}
