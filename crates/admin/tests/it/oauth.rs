//! The token endpoint: every way to ask, and every error of RFC 6749 5.2.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{Method, Request};
use outflow_body::Room as _;
use serde_json::{Value, json};

use crate::api_keys::make;
use crate::stage::{Answer, ROOM, Stage};

const FORM: &str = "application/x-www-form-urlencoded";

async fn ask(stage: &Stage, headers: &[(&str, &str)], body: &str) -> Answer {
    let mut request = Request::post("/oauth2/token");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let answer = stage.send(request.body(body.to_owned().into()).unwrap()).await;
    assert_eq!(answer.headers["cache-control"], "no-store, no-cache, must-revalidate");
    assert_eq!(answer.headers["pragma"], "no-cache");
    assert_eq!(answer.headers[CONTENT_TYPE], "application/json");
    answer
}

async fn client(stage: &Stage) -> (String, String) {
    let key = make(stage, &["streaming-ingest:write", "events:publish"]).await;
    let text = |name: &str| key[name].as_str().unwrap().to_owned();
    (text("id"), text("secret"))
}

#[tokio::test]
async fn every_way_to_ask_gets_a_token_that_works() {
    let stage = Stage::new().await;
    let (id, secret) = client(&stage).await;
    let form =
        |id: &str| format!("grant_type=client_credentials&client_id={id}&client_secret={secret}");
    let members =
        json!({ "grant_type": "client_credentials", "client_id": id, "client_secret": secret });
    let basic = format!("Basic {}", STANDARD.encode(format!("{id}:{secret}")));
    let json = members.to_string();
    let ways = [
        ask(&stage, &[("content-type", FORM)], &form(&id)).await,
        ask(&stage, &[("content-type", FORM)], &(form("acme") + "&audience=x&scope=")).await,
        ask(&stage, &[("content-type", "application/json")], &json).await,
        ask(&stage, &[("content-type", "application/JSON; charset=utf-8")], &json).await,
        ask(
            &stage,
            &[("content-type", FORM), ("authorization", &basic)],
            &format!("grant_type=client_credentials&client_id={id}"),
        )
        .await,
        ask(&stage, &[("content-type", FORM), ("x-amperity-tenant", "acme")], &form(&id)).await,
    ];
    for answer in ways {
        let granted = answer.json();
        assert_eq!(answer.status, 200, "{granted}");
        assert_eq!(
            (&granted["token_type"], &granted["expires_in"]),
            (&json!("Bearer"), &json!(3600))
        );
        assert_eq!(granted["scope"], "streaming-ingest:write events:publish");
        let events = "/v1/projects/acme/streams/events/events";
        let token = granted["access_token"].as_str();
        assert_eq!(stage.call(Method::POST, events, token, "{}").await.status, 200);
        // A token that holds is a secret, too.
        let again = format!(
            "grant_type=client_credentials&client_id={id}&client_secret={}",
            token.unwrap()
        );
        assert_eq!(ask(&stage, &[("content-type", FORM)], &again).await.status, 200);
    }
    let request = Request::post("/api/v0/oauth2/token").header(CONTENT_TYPE, FORM);
    let answer = stage.send(request.body(form(&id).into()).unwrap()).await;
    assert_eq!(answer.status, 200);
}

#[tokio::test]
async fn every_error_is_the_one_of_the_standard() {
    let stage = Stage::new().await;
    let (id, secret) = client(&stage).await;
    let grant = "grant_type=client_credentials";
    let both = format!("client_id={id}&client_secret={secret}");
    let wrong = format!("{grant}&client_id={id}&client_secret=wrong");
    let cases = [
        (FORM, both.clone(), "invalid_request"),
        (FORM, format!("grant_type=password&{both}"), "unsupported_grant_type"),
        (FORM, format!("{grant}&client_id={id}"), "invalid_request"),
        (FORM, format!("{grant}&{both}&client_id={id}"), "invalid_request"),
        (FORM, format!("{grant}&{both}&scope=%zz"), "invalid_request"),
        (FORM, format!("{grant}&{both}&scope=feed:read"), "invalid_scope"),
        (FORM, format!("{grant}&{both}&scope=root"), "invalid_scope"),
        (FORM, wrong.clone(), "invalid_client"),
        (FORM, format!("{grant}&client_id=nobody&client_secret={secret}"), "invalid_client"),
        (FORM, format!("{grant}&client_id=rival&client_secret={secret}"), "invalid_client"),
        ("text/plain", format!("{grant}&{both}"), "invalid_request"),
        ("application/json", "{".to_owned(), "invalid_request"),
        (
            "application/json",
            json!({ "grant_type": 1, "client_secret": secret }).to_string(),
            "invalid_request",
        ),
        (FORM, "x".repeat(40_000), "invalid_request"),
    ];
    for (content_type, body, error) in cases {
        let answer = ask(&stage, &[("content-type", content_type)], &body).await;
        let said = answer.json();
        assert_eq!(
            (answer.status.as_u16(), &said["error"]),
            (400, &json!(error)),
            "{body}: {said}"
        );
        let description = said["error_description"].as_str().unwrap();
        assert!(!description.is_empty() && !description.contains(&secret), "{description}");
        assert_eq!(said.as_object().unwrap().len(), 2);
    }
    let unknown = ask(&stage, &[("content-type", FORM)], &wrong.replace(&id, "nobody")).await;
    let known = ask(&stage, &[("content-type", FORM)], &wrong).await;
    assert_eq!(unknown.bytes, known.bytes);
}

#[tokio::test]
async fn who_logs_in_by_a_header_is_refused_by_one() {
    let stage = Stage::new().await;
    let (id, secret) = client(&stage).await;
    let grant = "grant_type=client_credentials";
    let pair = STANDARD.encode(format!("{id}:wrong"));
    for login in [format!("Basic {pair}"), "Basic !".to_owned()] {
        let headers = [("content-type", FORM), (AUTHORIZATION.as_str(), &login)];
        let answer = ask(&stage, &headers, grant).await;
        let said = answer.json();
        assert_eq!((answer.status.as_u16(), &said["error"]), (401, &json!("invalid_client")));
        assert_eq!(answer.headers["www-authenticate"], "Basic realm=\"token\"");
    }
    let basic = format!("Basic {}", STANDARD.encode(format!("{id}:{secret}")));
    let headers = [("content-type", FORM), (AUTHORIZATION.as_str(), basic.as_str())];
    let twice = ask(&stage, &headers, &format!("{grant}&client_secret={secret}")).await;
    let said: Value = twice.json();
    assert_eq!((twice.status.as_u16(), &said["error"]), (400, &json!("invalid_request")));
    let other = [
        ("content-type", FORM),
        ("x-amperity-tenant", "rival"),
        (AUTHORIZATION.as_str(), basic.as_str()),
    ];
    assert_eq!(ask(&stage, &other, grant).await.status, 401);
}

#[tokio::test]
async fn what_many_send_at_once_is_bounded() {
    let stage = Stage::new().await;
    let (id, secret) = client(&stage).await;
    let form = format!("grant_type=client_credentials&client_id={id}&client_secret={secret}");
    let mut held = Vec::new();
    for project in ["a", "b", "c", "d"] {
        let mut room = stage.small.growing(project);
        assert!(room.grow(ROOM / 4).await);
        held.push(room);
    }
    let refused = ask(&stage, &[("content-type", FORM)], &form).await;
    assert_eq!(
        (refused.status.as_u16(), &refused.headers["retry-after"]),
        (503, &"1".parse().unwrap())
    );
    assert_eq!(refused.json()["error"], "temporarily_unavailable");
    let made = stage.operate(Method::POST, "/v1/projects", json!({ "id": "more" })).await;
    assert_eq!((made.status.as_u16(), &made.json()["code"]), (503, &json!("unavailable")));
    assert!(made.headers.contains_key("retry-after"));
    held.clear();
    assert_eq!(ask(&stage, &[("content-type", FORM)], &form).await.status, 200);
    let made = stage.operate(Method::POST, "/v1/projects", json!({ "id": "more" })).await;
    assert_eq!(made.status, 201, "{made:?}");
}
