//! Every status, and every bad input with its documented answer.

use base64::Engine as _;
use outflow_body::Room as _;
use outflow_model::{Action, StreamName};

use crate::stand::{DRAIN_PAUSE, ROOM, Stand, project};

/// The shape that clients read (rule 17).
pub(crate) fn check_shape(body: &serde_json::Value) {
    let members: Vec<_> = body.as_object().unwrap().keys().map(String::as_str).collect();
    let mut expected = ["ok", "error", "error_code", "details", "operation_id"];
    expected.sort_unstable();
    assert_eq!(members, expected);
    assert_eq!(body["ok"], false);
    assert!(body["error"].is_string() && body["details"]["error"].is_string());
    assert!(body["error_code"].as_u64().is_some_and(|code| code >= 40_000));
}

fn basic(user: &str, password: &str) -> String {
    base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"))
}

#[tokio::test]
async fn every_bad_request_names_its_fault() {
    let stand = Stand::new().await;
    let deep = format!("{{\"filters\":{}{}}}", "[".repeat(5_000), "]".repeat(5_000));
    for (body, fault) in [
        ("{\"start\":\"LATEST\",}", "at byte 18"),
        ("{\"start\"", "at byte 8: it ends too early"),
        ("nonsense", "at byte 1"),
        ("[]", "the body must be a JSON object"),
        ("null", "the body must be a JSON object"),
        ("{\"start\":\"FIRST\"}", "`/start`"),
        ("{\"start\":7}", "`/start`"),
        ("{\"resume_offset\":\"here\"}", "`/resume_offset`"),
        ("{\"resume_offset\":true}", "`/resume_offset`"),
        ("{\"enable_offset_updates\":1}", "`/enable_offset_updates`"),
        ("{\"colour\":\"red\"}", "`colour`"),
        ("{\"start\":\"LATEST\",\"start\":\"LATEST\"}", "`start` comes twice"),
        ("{\"filters\":[]}", "`/filters`"),
        ("{\"filters\":7}", "`/filters`"),
        ("{\"filters\":[{\"types\":[]}]}", "`/filters/0/types`"),
        ("{\"filters\":[{\"types\":[\"NONSENSE\"]}]}", "`/filters/0/types/0`"),
        ("{\"filters\":[{\"colour\":\"red\"}]}", "`colour`"),
        ("{\"filters\":[{\"latency\":-1}]}", "`/filters/0/latency`"),
        ("{\"filters\":[{\"predicates\":[{\"and\":[]}]}]}", "`/filters/0/predicates/0"),
        ("{\"subset\":{\"type\":\"SAMPLE\"}}", "`/subset/proportion`"),
        ("{\"subset\":{\"type\":\"SAMPLE\",\"proportion\":2}}", "`/subset/proportion`"),
        ("{\"subset\":{\"type\":\"PARTITION\",\"count\":0,\"selection\":0}}", "`/subset/count`"),
        (
            "{\"subset\":{\"type\":\"PARTITION\",\"count\":4,\"selection\":4}}",
            "`/subset/selection`",
        ),
        ("{\"start_time\":\"noon\"}", "`/start_time`"),
        ("{\"cursor\":\"no spaces\"}", "cursor"),
        (&deep, "`/filters"),
    ] {
        let (status, answer) = stand.refused(&stand.plain(body)).await;
        let said = answer["details"]["error"].as_str().unwrap().to_owned();
        assert_eq!(status, "HTTP/1.1 400 Bad Request", "{body:.80}: {said}");
        assert!(said.contains(fault), "{body:.80}: {said}");
        check_shape(&answer);
    }
}

#[tokio::test]
async fn what_many_send_at_once_is_bounded() {
    let stand = Stand::new().await;
    let mut others = stand.door.growing("other");
    assert!(others.grow(ROOM).await);
    let mut player = outflow_testkit::transcript::Player::connect(stand.addr).await.unwrap();
    player.send(stand.plain("{}")).await.unwrap();
    let head = player.head().await.unwrap();
    assert_eq!(head.status, "HTTP/1.1 503 Service Unavailable");
    assert_eq!(head.field("retry-after"), Some("1"));
    drop(others);
    let mut player = outflow_testkit::transcript::Player::connect(stand.addr).await.unwrap();
    player.send(stand.plain("{}")).await.unwrap();
    assert_eq!(player.head().await.unwrap().status, "HTTP/1.1 200 OK");
    // What it took is given back while the stream goes on.
    assert!(stand.door.growing("other").grow(ROOM).await);
}

#[tokio::test]
async fn credentials_come_first_and_all_faults_look_alike() {
    let stand = Stand::new().await;
    let (token, master) = (&stand.token.1, &stand.master);
    let post = |path: &str, headers: &str| {
        format!("POST {path} HTTP/1.1\r\nHost: x\r\n{headers}Content-Length: 1\r\n\r\n{{")
    };
    let bearer = format!("Authorization: Bearer {token}\r\n");
    let of_master = format!("Authorization: Basic {}\r\n", basic("app", master));
    let of_token = format!("Authorization: Basic {}\r\n", basic("app", token));
    for (path, headers) in [
        ("/api/events", String::new()),
        ("/api/events", bearer.clone()),
        ("/api/events", "X-UA-Appkey: app\r\nAuthorization: Bearer wrong\r\n".to_owned()),
        ("/api/events", "X-UA-Appkey: app\r\nAuthorization: Digest x\r\n".to_owned()),
        ("/api/events", "X-UA-Appkey: app\r\nAuthorization: Basic %%%\r\n".to_owned()),
        ("/api/events", format!("X-UA-Appkey: nobody\r\n{bearer}")),
        ("/api/events", format!("X-UA-Appkey: other\r\n{of_token}")),
        ("/api/events", of_master.clone()),
        ("/api/events/general", format!("X-UA-Appkey: app\r\n{bearer}")),
        ("/api/events/general", format!("X-UA-Appkey: app\r\n{of_token}")),
        ("/api/events/general", format!("X-UA-Appkey: other\r\n{of_master}")),
        ("/api/events/general", of_master.clone()),
    ] {
        let (status, answer) = stand.refused(&post(path, &headers)).await;
        assert_eq!(status, "HTTP/1.1 401 Unauthorized", "{path} {headers}");
        check_shape(&answer);
    }
    // With good ones the body is looked at.
    let both = format!("X-UA-Appkey: app\r\n{bearer}");
    assert_eq!(stand.refused(&post("/api/events", &both)).await.0, "HTTP/1.1 400 Bad Request");
    assert_eq!(stand.refused(&post("/api/events", &of_token)).await.0, "HTTP/1.1 400 Bad Request");
}

#[tokio::test]
async fn basic_is_refused_where_the_project_does_not_allow_it() {
    let stand = Stand::new().await;
    let mut changed = (*stand.hub.project(&project()).unwrap()).clone();
    changed.basic_auth = false;
    stand.hub.update_project(changed).await.unwrap();
    let pair = basic("app", &stand.token.1);
    let request = format!(
        "POST /api/events HTTP/1.1\r\nHost: x\r\nAuthorization: Basic {pair}\r\nContent-Length: 2\r\n\r\n{{}}"
    );
    assert_eq!(stand.refused(&request).await.0, "HTTP/1.1 401 Unauthorized");
}

#[tokio::test]
async fn every_other_status() {
    let stand = Stand::new().await;
    let refused = async |request: &str| {
        let (status, answer) = stand.refused(request).await;
        check_shape(&answer);
        (status, answer["details"]["error"].as_str().unwrap().to_owned())
    };
    let (status, said) =
        refused(&stand.plain("{\"filters\":[{\"types\":[\"LOCATION\",\"COMPLIANCE\"]}]}")).await;
    assert_eq!(status, "HTTP/1.1 403 Forbidden");
    assert!(
        said.starts_with("Requested event types to which client is not entitled "),
        "scripts match it: {said}"
    );
    assert!(said.contains("LOCATION") && said.contains("COMPLIANCE") && said.contains(','));

    let version = stand.request(
        "/api/events",
        "Accept: application/vnd.urbanairship+x-ndjson; version=2;\r\n",
        "{}",
    );
    assert_eq!(refused(&version).await.0, "HTTP/1.1 406 Not Acceptable");
    let coding = stand.request("/api/events", "Accept-Encoding: br, *;q=0\r\n", "{}");
    assert_eq!(refused(&coding).await.0, "HTTP/1.1 406 Not Acceptable");
    let get = stand.plain("").replace("POST", "GET");
    assert_eq!(refused(&get).await.0, "HTTP/1.1 405 Method Not Allowed");

    stand.hub.delete_stream(&project(), &StreamName::new("events").unwrap()).await.unwrap();
    assert_eq!(refused(&stand.plain("{}")).await.0, "HTTP/1.1 404 Not Found");

    stand.hub.drain(std::time::Duration::ZERO);
}

#[tokio::test]
async fn a_draining_server_makes_every_client_ask_again() {
    let stand = Stand::new().await;
    stand.hub.drain(std::time::Duration::ZERO);
    let pair = basic("app", &stand.master);
    let general = format!(
        "POST /api/events/general HTTP/1.1\r\nHost: x\r\nX-UA-Appkey: app\r\n\
         Authorization: Basic {pair}\r\nContent-Length: 2\r\n\r\n{{}}"
    );
    for request in [stand.plain("{}"), general] {
        let began = tokio::time::Instant::now();
        let (head, mut player) = stand.ask(&request).await;
        assert!(began.elapsed() >= DRAIN_PAUSE, "clients come back at a bearable rate");
        assert_eq!(head.status, "HTTP/1.1 307 Temporary Redirect");
        let cookies = head.fields.iter().filter(|(name, _)| name == "set-cookie");
        let cookies: Vec<_> = cookies.map(|(_, value)| value.as_str()).collect();
        assert_eq!(cookies, ["outflow_retry=1; Path=/"], "exactly one");
        assert_eq!(head.field("location"), None);
        assert_eq!(head.field("connection"), Some("close"));
        let length = head.field("content-length").unwrap().parse().unwrap();
        check_shape(&serde_json::from_slice(&player.exactly(length).await.unwrap()).unwrap());
    }
    // The cookie comes back verbatim, attributes and all, and does no harm.
    let cookie = "Accept-Encoding: identity\r\nCookie: outflow_retry=1; Path=/\r\n";
    let again = stand.request("/api/events", cookie, "{}");
    assert_eq!(stand.refused(&again).await.0, "HTTP/1.1 307 Temporary Redirect");
    let key = stand.key(&[Action::Read]).await;
    let generic = format!(
        "GET /v1/projects/app/streams/events/events HTTP/1.1\r\nHost: x\r\n\
         Authorization: Bearer {key}\r\n\r\n"
    );
    let (head, _) = stand.ask(&generic).await;
    assert_eq!(head.status, "HTTP/1.1 503 Service Unavailable");
    assert!(head.field("retry-after").is_some() && head.field("set-cookie").is_none());
}

#[test]
fn a_drain_holds_clients_for_less_than_their_patience() {
    let pause = outflow_face_ndjson::Options::default().drain_pause;
    assert!(pause < std::time::Duration::from_secs(5), "Java's client gives up");
}

#[tokio::test]
async fn compliance_filters_are_restricted() {
    let stand = Stand::new().await;
    let send = async |body: &str| {
        let (pair, len) = (basic("app", &stand.master), body.len());
        let request = format!(
            "POST /api/events/general HTTP/1.1\r\nHost: x\r\nX-UA-Appkey: app\r\n\
             Authorization: Basic {pair}\r\nContent-Length: {len}\r\n\r\n{body}"
        );
        stand.ask(&request).await.0.status
    };
    for (filters, status) in [
        ("{\"device_types\":[\"email\",\"SMS\"]}", "HTTP/1.1 200 OK"),
        ("[{\"latency\":1000}]", "HTTP/1.1 200 OK"),
        ("[{\"device_types\":[\"ios\"]}]", "HTTP/1.1 400 Bad Request"),
        ("[{\"types\":[\"COMPLIANCE\"]}]", "HTTP/1.1 400 Bad Request"),
    ] {
        assert_eq!(send(&format!("{{\"filters\":{filters}}}")).await, status, "{filters}");
    }
}

#[tokio::test]
async fn the_generic_route_answers_with_problems() {
    let stand = Stand::new().await;
    let key = stand.key(&[Action::Read]).await;
    let writer = stand.key(&[Action::Publish]).await;
    let get = |token: &str, path: &str| {
        format!(
            "GET /v1/projects/{path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n"
        )
    };
    for (token, path, status) in [
        ("wrong", "app/streams/events/events", 401),
        (&key, "app/streams/none/events", 404),
        (&key, "other/streams/events/events", 404),
        (&writer, "app/streams/events/events", 403),
        (&key, "app/streams/events/events?start=never", 400),
        (&key, "app/streams/events/events?follow=maybe", 400),
        (&key, "app/streams/events/events?limit=many", 400),
        (&key, "app/streams/events/events?limit=1&limit=2", 400),
        (&key, "app/streams/events/events?colour=red", 400),
        (&key, "app/streams/events/events?filters=%5B%5D", 400),
    ] {
        let (line, answer) = stand.refused(&get(token, path)).await;
        assert!(line.contains(&status.to_string()), "{path}: {line}");
        assert_eq!(answer["status"], status);
        assert!(answer["detail"].is_string() && answer["code"].is_string());
    }
}
