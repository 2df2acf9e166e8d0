//! Keyed streams and extractions over HTTP.

use std::time::Duration;

use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::stage::Stage;

const STREAMS: &str = "/v1/projects/acme/streams";
const BILLING: &str = "/v1/projects/acme/streams/billing";
const JOBS: &str = "/v1/projects/acme/extractions";

fn types() -> Value {
    json!([
        { "name": "Invoice", "keys": [["invoice_no"]], "group": "Financial", "depends_on": ["Account"] },
        { "name": "Account", "keys": [["account_no"], ["userid"]] },
        { "name": "Plan", "keys": [["plan_no"]] },
    ])
}

async fn keyed(stage: &Stage) {
    let body = json!({ "name": "billing", "entities": types() });
    let made = stage.operate(Method::POST, STREAMS, body).await;
    assert_eq!(made.status, StatusCode::CREATED, "{made:?}");
}

#[tokio::test]
async fn a_stream_declares_its_entities_and_shows_them() {
    let stage = Stage::new().await;
    keyed(&stage).await;
    let shown = stage.get(BILLING).await.json();
    let names: Vec<&str> = shown["entities"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["Account", "Invoice", "Plan"], "in order of dependency");
    assert_eq!(shown["entities"][0]["keys"], json!([["account_no"], ["userid"]]));
    assert_eq!(shown["feed_types"], Value::Null);
    assert_eq!(shown["retention"]["age_ms"], 48 * 3_600_000, "as long as feeds promise");
    let said = json!({ "name": "said", "entities": types(), "retention": { "age_ms": 5000 } });
    let said = stage.operate(Method::POST, STREAMS, said).await.json();
    assert_eq!(said["retention"]["age_ms"], 5000, "what is said holds");
    let plain = stage.operate(Method::POST, STREAMS, json!({ "name": "plain" })).await.json();
    assert_eq!(plain["retention"]["age_ms"], 7 * 86_400_000);
    let changed = json!({ "feed_types": ["Invoice"] });
    let changed = stage.operate(Method::PATCH, BILLING, changed).await.json();
    assert_eq!(changed["feed_types"], json!(["Account", "Invoice"]), "with what it needs");
    let all = stage.operate(Method::PATCH, BILLING, json!({ "feed_types": null })).await.json();
    assert_eq!(all["feed_types"], Value::Null);

    for (body, pointer) in [
        (json!([{ "name": "A", "keys": [] }]), "/entities/0/keys"),
        (
            json!([{ "name": "A", "keys": [["x"]], "depends_on": ["B"] }]),
            "/entities/0/depends_on/0",
        ),
        (json!([{ "name": "A", "key": ["x"] }]), "/entities/0/key"),
    ] {
        let body = json!({ "name": "bad", "entities": body });
        let refused = stage.operate(Method::POST, STREAMS, body).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST);
        assert_eq!(refused.json()["errors"][0]["pointer"], pointer);
    }
    let gone = json!({ "entities": [{ "name": "Account", "keys": [["account_no"]] }] });
    assert_eq!(stage.operate(Method::PATCH, BILLING, gone).await.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn an_event_that_is_no_change_is_refused_by_its_place() {
    let stage = Stage::new().await;
    keyed(&stage).await;
    let event = |ids: Value| json!({ "type": "create", "ref": { "type": "Account", "ids": ids }, "body": {} });
    let path = format!("{BILLING}/events");
    let body = json!([event(json!({ "account_no": 1 })), event(json!({ "userid": "u" }))]);
    let refused = stage.operate(Method::POST, &path, body).await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST);
    assert_eq!(refused.json()["errors"][0]["pointer"], "/1/ref/ids/account_no");
    let taken = stage.operate(Method::POST, &path, event(json!({ "account_no": 1 }))).await;
    assert_eq!(taken.status, StatusCode::OK);
}

#[tokio::test]
async fn an_entity_that_would_be_larger_than_is_kept_is_413() {
    let stage = Stage::new().await;
    keyed(&stage).await;
    let update = |fields: Value| json!({ "type": "update", "ref": { "type": "Account", "ids": { "account_no": 1 } }, "body": fields });
    let path = format!("{BILLING}/events");
    let half = "x".repeat(150 << 10);
    let taken = stage.operate(Method::POST, &path, update(json!({ "a": half }))).await;
    assert_eq!(taken.status, StatusCode::OK);
    // Neither event is too large, nor is the batch: what they make of the entity is.
    let body = json!([update(json!({ "c": 1 })), update(json!({ "b": half }))]);
    let refused = stage.operate(Method::POST, &path, body).await;
    assert_eq!((refused.status.as_u16(), &refused.json()["code"]), (413, &json!("too_large")));
    assert_eq!(refused.json()["errors"][0]["pointer"], "/1/body");
    let again = stage.operate(Method::POST, &path, update(json!({ "c": 1 }))).await;
    assert_eq!(again.status, StatusCode::OK);
}

#[tokio::test]
async fn a_job_is_started_watched_and_listed() {
    let stage = Stage::new().await;
    let none = stage.operate(Method::POST, JOBS, json!({})).await;
    assert_eq!(
        (none.status, none.json()["errors"][0]["pointer"].as_str()),
        (StatusCode::BAD_REQUEST, Some("/stream"))
    );
    keyed(&stage).await;
    let event = json!({ "type": "create", "ref": { "type": "Account", "ids": { "account_no": 1 } }, "body": {} });
    stage.operate(Method::POST, &format!("{BILLING}/events"), event).await;
    let started = stage.operate(Method::POST, JOBS, json!({ "groups": ["Financial"] })).await;
    assert_eq!(started.status, StatusCode::CREATED, "{started:?}");
    assert_eq!(started.headers["location"], "/v1/projects/acme/extractions/1");
    assert_eq!(started.json()["types"], json!(["Account", "Invoice"]));
    let one = format!("{JOBS}/1");
    let mut shown = stage.get(&one).await.json();
    while shown["state"] == "queued" || shown["state"] == "running" {
        tokio::time::sleep(Duration::from_millis(2)).await;
        shown = stage.get(&one).await.json();
    }
    assert_eq!((&shown["state"], &shown["entities"]), (&json!("done"), &json!(1)), "{shown}");
    let cancelled = stage.operate(Method::POST, &format!("{one}/cancel"), json!({})).await;
    assert_eq!(cancelled.json()["state"], "done", "it was over");
    assert_eq!(stage.get(JOBS).await.json()["items"].as_array().unwrap().len(), 1);
    let unknown = stage.operate(Method::POST, JOBS, json!({ "types": ["Order"] })).await;
    assert_eq!(unknown.status, StatusCode::BAD_REQUEST);
    assert_eq!(stage.get(&format!("{JOBS}/9")).await.status, StatusCode::NOT_FOUND);
    assert_eq!(stage.get(&format!("{JOBS}/x")).await.status, StatusCode::NOT_FOUND);
}
