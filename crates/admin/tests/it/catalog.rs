//! Projects, streams, integrations and cursors: made, shown, changed, removed, and refused with the
//! member at fault.

use http::Method;
use serde_json::{Value, json};

use crate::stage::{NOW, Stage};

#[tokio::test]
async fn a_project_comes_with_its_default_stream_and_goes_with_its_keys() {
    let stage = Stage::new().await;
    let made =
        stage.operate(Method::POST, "/v1/projects", json!({ "id": "new", "name": "New" })).await;
    assert_eq!(
        (made.status.as_u16(), made.headers["location"].to_str().unwrap()),
        (201, "/v1/projects/new")
    );
    let shown = stage.get("/v1/projects/new").await.json();
    assert_eq!(shown, made.json());
    assert_eq!((&shown["created"], &shown["default_stream"]), (&json!(NOW), &json!("events")));
    assert_eq!(stage.get("/v1/projects/new/streams/events").await.status, 200);
    let again = stage.operate(Method::POST, "/v1/projects", json!({ "id": "new" })).await;
    assert_eq!((again.status.as_u16(), &again.json()["code"]), (409, &json!("conflict")));

    let key = stage.key("new", &["manage"]).await;
    assert_eq!(stage.operate(Method::DELETE, "/v1/projects/new", json!({})).await.status, 204);
    assert_eq!(stage.get("/v1/projects/new").await.status, 404);
    assert_eq!(stage.call(Method::GET, "/v1/projects/new", Some(&key), "").await.status, 401);
}

#[tokio::test]
async fn a_default_stream_that_does_not_exist_is_refused() {
    let stage = Stage::new().await;
    let change = json!({ "default_stream": "other" });
    let refused = stage.operate(Method::PATCH, "/v1/projects/acme", change.clone()).await;
    assert_eq!(refused.status, 400, "{refused:?}");
    assert_eq!(refused.json()["errors"][0]["pointer"], "/default_stream");
    assert_eq!(stage.get("/v1/projects/acme").await.json()["default_stream"], "events");
    let streams = "/v1/projects/acme/streams";
    let made = stage.operate(Method::POST, streams, json!({ "name": "other" })).await;
    assert_eq!(made.status, 201);
    let changed = stage.operate(Method::PATCH, "/v1/projects/acme", change).await;
    assert_eq!(
        (changed.status.as_u16(), &changed.json()["default_stream"]),
        (200, &json!("other"))
    );
}

#[tokio::test]
async fn names_that_no_path_could_carry_are_refused() {
    let stage = Stage::new().await;
    for name in ["..", "a//b", "/a", "a/../b"] {
        let made =
            stage.operate(Method::POST, "/v1/projects/acme/streams", json!({ "name": name })).await;
        assert_eq!(made.status, 400, "{name}: {made:?}");
        assert_eq!(made.json()["errors"][0]["pointer"], "/name");
    }
    let made = stage.operate(Method::POST, "/v1/projects", json!({ "id": ".." })).await;
    assert_eq!((made.status.as_u16(), &made.json()["errors"][0]["pointer"]), (400, &json!("/id")));
}

#[tokio::test]
async fn a_stream_keeps_what_a_change_does_not_name() {
    let stage = Stage::new().await;
    let streams = "/v1/projects/acme/streams";
    let new = json!({ "name": "a/b", "retention": { "age_ms": 3_600_000 }, "dedup": { "window_ms": 5000 } });
    let made = stage.operate(Method::POST, streams, new).await;
    assert_eq!(
        made.headers["location"].to_str().unwrap(),
        "/v1/projects/acme/streams/a%2Fb",
        "{made:?}"
    );
    let path = "/v1/projects/acme/streams/a%2Fb";
    let shown = stage.get(path).await.json();
    assert_eq!(
        shown["retention"],
        json!({ "age_ms": 3_600_000, "max_bytes": 100_000_000_000_u64 })
    );
    assert_eq!(shown["dedup"], json!({ "window_ms": 5000, "max_ids": 1_000_000 }));
    assert_eq!((&shown["start"], &shown["readers"]), (&shown["next"], &json!(0)));

    let change =
        json!({ "dedup": null, "durability": "relaxed", "retention": { "max_bytes": null } });
    let changed = stage.operate(Method::PATCH, path, change).await.json();
    assert_eq!((&changed["dedup"], &changed["durability"]), (&Value::Null, &json!("relaxed")));
    assert_eq!(changed["retention"], json!({ "age_ms": 3_600_000, "max_bytes": null }));
    assert_eq!(stage.get(path).await.json(), changed);
    assert_eq!(stage.operate(Method::DELETE, path, json!({})).await.status, 204);
    assert_eq!(stage.operate(Method::DELETE, path, json!({})).await.status, 404);
}

#[tokio::test]
async fn an_integration_is_changed_member_by_member() {
    let stage = Stage::new().await;
    let path = "/v1/projects/acme/integrations/loader";
    let change = json!({ "event_types": ["open", "CUSTOM"], "max_connections": 3, "description": "nightly" });
    let changed = stage.operate(Method::PATCH, path, change).await.json();
    assert_eq!(changed["event_types"], json!(["CUSTOM", "OPEN"]));
    let changed = stage.operate(Method::PATCH, path, json!({ "event_types": null })).await.json();
    assert_eq!((&changed["event_types"], &changed["max_connections"]), (&Value::Null, &json!(3)));
    assert_eq!(stage.get(path).await.json(), changed);
    assert_eq!(stage.operate(Method::DELETE, path, json!({})).await.status, 204);
    assert_eq!(stage.get(path).await.status, 404);
}

#[tokio::test]
async fn a_cursor_is_where_it_was_put() {
    let stage = Stage::new().await;
    let reader = stage.key("acme", &["read"]).await;
    let path = "/v1/projects/acme/streams/events/cursors/loader";
    let call =
        async |method, body: Value| stage.call(method, path, Some(&reader), body.to_string()).await;
    assert_eq!(call(Method::GET, json!({})).await.status, 404);
    let put = call(Method::PUT, json!({ "offset": "1000000000000041" })).await;
    assert_eq!(
        (put.status.as_u16(), &put.json()["offset"]),
        (200, &json!("1000000000000041")),
        "{put:?}"
    );
    assert_eq!(call(Method::GET, json!({})).await.json()["offset"], "1000000000000041");
    let list = stage.get("/v1/projects/acme/streams/events/cursors").await.json();
    assert_eq!(
        (&list["items"][0]["name"], &list["items"][0]["updated"]),
        (&json!("loader"), &json!(NOW))
    );
    for wrong in
        [json!({ "offset": "x" }), json!({ "offset": "-1" }), json!({ "offset": 5 }), json!({})]
    {
        assert_eq!(call(Method::PUT, wrong.clone()).await.status, 400, "{wrong}");
    }
    assert_eq!(call(Method::DELETE, json!({})).await.status, 204);
    assert_eq!(call(Method::DELETE, json!({})).await.status, 404);
}

#[tokio::test]
async fn lists_are_cut_into_pages_that_fit_together() {
    let stage = Stage::new().await;
    for n in 0..7 {
        let name = format!("s{n}");
        stage.operate(Method::POST, "/v1/projects/acme/streams", json!({ "name": name })).await;
    }
    let mut names: Vec<String> = Vec::new();
    let mut after = String::new();
    loop {
        let path = format!("/v1/projects/acme/streams?limit=3{after}");
        let page = stage.get(&path).await.json();
        let items = page["items"].as_array().unwrap();
        assert!(!items.is_empty() && items.len() <= 3);
        names.extend(items.iter().map(|item| item["name"].as_str().unwrap().to_owned()));
        match page["next"].as_str() {
            Some(next) => after = format!("&after={next}"),
            None => break,
        }
    }
    assert_eq!(names, ["events", "s0", "s1", "s2", "s3", "s4", "s5", "s6"]);
    for wrong in ["limit=0", "limit=1001", "limit=x", "limti=3"] {
        let refused = stage.get(&format!("/v1/projects/acme/streams?{wrong}")).await;
        assert_eq!(refused.status, 400, "{wrong}: {refused:?}");
    }
}

#[tokio::test]
async fn a_refusal_names_the_member_and_the_request() {
    let stage = Stage::new().await;
    let (projects, streams) = ("/v1/projects", "/v1/projects/acme/streams");
    let (integrations, keys) = ("/v1/projects/acme/integrations", "/v1/projects/acme/keys");
    let long = "x".repeat(129);
    let cases = [
        (projects, json!({ "id": "" }), "/id"),
        (projects, json!({ "id": "a b" }), "/id"),
        (projects, json!({ "id": "a", "name": long }), "/name"),
        (projects, json!({ "id": "a", "name": "tab\there" }), "/name"),
        (projects, json!({ "id": "a", "limits": { "connections": 0 } }), "/limits/connections"),
        (
            projects,
            json!({ "id": "a", "limits": { "connections": "many" } }),
            "/limits/connections",
        ),
        (projects, json!({ "id": "a", "default_stream": "?" }), "/default_stream"),
        (streams, json!({ "name": "a", "retention": { "age_ms": 0 } }), "/retention/age_ms"),
        (streams, json!({ "name": "a", "dedup": { "max_ids": 99_999_999 } }), "/dedup/max_ids"),
        (streams, json!({ "name": "a", "durability": "perhaps" }), "/durability"),
        (integrations, json!({ "id": "a", "event_types": ["OPEN", "A\"B"] }), "/event_types/1"),
        (integrations, json!({ "id": "a", "event_types": [] }), "/event_types"),
        (integrations, json!({ "id": "a", "max_connections": -1 }), "/max_connections"),
        (keys, json!({ "actions": [] }), "/actions"),
        (keys, json!({ "actions": ["fly"] }), "/actions/0"),
        (keys, json!({ "kind": "master", "actions": ["read"] }), "/actions"),
        (keys, json!({ "actions": ["read"], "expires": "tomorrow" }), "/expires"),
        (keys, json!({ "actions": ["read"], "expires": "2020-01-01T00:00:00Z" }), "/expires"),
    ];
    for (path, body, pointer) in cases {
        let refused = stage.operate(Method::POST, path, body.clone()).await;
        let problem = refused.json();
        assert_eq!(refused.status, 400, "{body}: {problem}");
        assert_eq!(problem["errors"][0]["pointer"], pointer, "{body}: {problem}");
        assert_eq!(problem["code"], "malformed");
        assert_eq!(problem["request_id"], refused.headers["x-request-id"].to_str().unwrap());
        assert_eq!(refused.headers["content-type"], "application/problem+json");
    }
}

#[tokio::test]
async fn a_word_that_is_none_is_told_which_there_are() {
    let stage = Stage::new().await;
    let acme = "/v1/projects/acme";
    let durability = "expected `synced` or `relaxed`";
    let cases = [
        ("/streams", r#"{"name":"a","durability":5}"#, "/durability", durability),
        ("/streams", r#"{"name":"a","durability":null,"dedup":true}"#, "/dedup", "an object"),
        ("/streams", r#"{"durability":[1],"name":"a"}"#, "/durability", durability),
        ("/streams", r#"{"durability":{},"name":"a"}"#, "/durability", durability),
        ("/streams", r#"{"name":"a","durability":"?"}"#, "/durability", durability),
        ("/ingest-streams", r#"{"format":null}"#, "/format", "null, expected `json` or `xml`"),
        ("/ingest-streams", r#"{"mode":true}"#, "/mode", "one of `active`, `drop`, `reject`"),
        ("/keys", r#"{"kind":1}"#, "/kind", "integer `1`, expected `key` or `master`"),
        ("/keys", r#"{"actions":["read",7]}"#, "/actions/1", "`read`, `publish`, `manage`"),
        ("/users", r#"{"user":"a","actions":[7]}"#, "/actions/0", "`read` or `publish`"),
        // What is too large for any number is JSON, too.
        (
            "/streams",
            r#"{"name":"a","retention":{"age_ms":1e999}}"#,
            "/retention/age_ms",
            "number out of range",
        ),
        // Where something else is amiss as well, the place is told at least.
        ("/streams", r#"{"name":"a","durability":5,"dedup":1}"#, "/durability", "expected"),
    ];
    for (path, body, pointer, words) in cases {
        let path = format!("{acme}{path}");
        let refused = stage.call(Method::POST, &path, Some(&stage.operator), body.to_owned()).await;
        let problem = refused.json();
        assert_eq!(refused.status, 400, "{body}: {problem}");
        let fault = &problem["errors"][0];
        assert_eq!(fault["pointer"], pointer, "{body}: {problem}");
        let detail = fault["detail"].as_str().unwrap();
        assert!(detail.contains(words), "{body}: {problem}");
        assert!(problem["detail"].as_str().unwrap().contains(pointer), "{body}: {problem}");
    }
    // What is no JSON is still called that.
    for body in ["{\"durability\":5", "{\"durability\":x}", "{\"name\":\"a\",\"durability\":}"] {
        let path = format!("{acme}/streams");
        let refused = stage.call(Method::POST, &path, Some(&stage.operator), body.to_owned()).await;
        let detail = refused.json()["detail"].as_str().unwrap().to_owned();
        assert!(detail.starts_with("the body is not JSON"), "{body}: {detail}");
    }
}

#[tokio::test]
async fn unknown_doubled_and_broken_members_are_refused() {
    let stage = Stage::new().await;
    let unknown =
        stage.operate(Method::POST, "/v1/projects", json!({ "id": "a", "admin": true })).await;
    assert!(unknown.json()["detail"].as_str().unwrap().contains("`admin`"), "{unknown:?}");
    let raw = async |body: &str| {
        let answer =
            stage.call(Method::POST, "/v1/projects", Some(&stage.operator), body.to_owned()).await;
        assert_eq!(answer.status, 400, "{answer:?}");
        answer.json()
    };
    assert!(raw(r#"{"id":"a","id":"b"}"#).await["detail"].as_str().unwrap().contains("duplicate"));
    let broken = raw("{\"id\":\n \"a\",}").await;
    assert_eq!(
        (&broken["errors"][0]["line"], &broken["errors"][0]["column"]),
        (&json!(2), &json!(6))
    );
    raw("").await;
    raw("[]").await;
    raw(r#"{"id":"a"} trailing"#).await;
    raw(&"[".repeat(200_000)).await;
    let large = format!(r#"{{"id":"a","name":"{}"}}"#, "x".repeat(300_000));
    let large = stage.call(Method::POST, "/v1/projects", Some(&stage.operator), large).await;
    assert_eq!((large.status.as_u16(), &large.json()["code"]), (413, &json!("too_large")));
}

#[tokio::test]
async fn routes_and_methods_that_do_not_exist_are_problems_too() {
    let stage = Stage::new().await;
    let nowhere = stage.get("/v1/nowhere").await;
    assert_eq!((nowhere.status.as_u16(), &nowhere.json()["code"]), (404, &json!("not_found")));
    let method = stage.operate(Method::PUT, "/v1/projects", json!({})).await;
    assert_eq!(
        (method.status.as_u16(), &method.json()["code"]),
        (405, &json!("method_not_allowed"))
    );
    assert!(method.headers.contains_key("allow"));
}

#[tokio::test]
async fn event_types_name_their_switches() {
    let stage = Stage::new().await;
    let types = stage.get("/v1/event-types?limit=1000").await.json();
    let types = types["items"].as_array().unwrap();
    let switch =
        |name: &str| types.iter().find(|kind| kind["type"] == name).unwrap()["switch"].clone();
    assert_eq!(types.len(), 44);
    assert_eq!(
        (switch("LOCATION"), switch("COMPLIANCE")),
        (json!("send_location"), json!("compliance"))
    );
    assert_eq!(switch("OPEN"), Value::Null);
}
