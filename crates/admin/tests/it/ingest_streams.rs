//! Ingest streams over HTTP: made with an id of the seed's form, shown, set, removed.

use http::Method;
use serde_json::json;

use crate::stage::Stage;

const STREAMS: &str = "/v1/projects/acme/ingest-streams";

#[tokio::test]
async fn an_ingest_stream_goes_through_its_life() {
    let stage = Stage::new().await;
    let new = json!({ "name": "orders", "description": "from the shop", "format": "xml" });
    let made = stage.operate(Method::POST, STREAMS, new).await;
    assert_eq!(made.status, 201);
    let view = made.json();
    let id = view["id"].as_str().unwrap().to_owned();
    let digits = id.strip_prefix("is-").unwrap();
    assert!(digits.len() == 9 && digits.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{id}");
    assert_eq!(view["path"], format!("/stream/v0/data/{id}"));
    assert_eq!((&view["format"], &view["mode"]), (&json!("xml"), &json!("active")));
    let one = format!("{STREAMS}/{id}");
    let changed =
        stage.operate(Method::PATCH, &one, json!({ "mode": "drop", "name": "all" })).await;
    assert_eq!((&changed.json()["mode"], &changed.json()["name"]), (&json!("drop"), &json!("all")));
    assert_eq!(stage.get(&one).await.json()["description"], "from the shop");
    let second = stage.operate(Method::POST, STREAMS, json!({})).await.json();
    assert_ne!(second["id"], id.as_str());
    assert_eq!(stage.get(STREAMS).await.json()["items"].as_array().unwrap().len(), 2);
    // It is a stream of the project; others are not ingest streams.
    assert_eq!(stage.get(&format!("/v1/projects/acme/streams/{id}")).await.status, 200);
    assert_eq!(stage.get(&format!("{STREAMS}/events")).await.status, 404);
    let foreign = format!("/v1/projects/rival/ingest-streams/{id}");
    assert_eq!(stage.get(&foreign).await.status, 404);
    assert_eq!(stage.operate(Method::DELETE, &one, json!({})).await.status, 204);
    assert_eq!(stage.get(&one).await.status, 404);
}
