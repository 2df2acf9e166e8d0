//! The publish door: what goes in, what is answered, and how bad input is refused.

use std::io::Write;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use http::Method;
use outflow_face_publish::Limits;
use outflow_model::StreamId;
use outflow_store::{AppendError, Engine};
use serde_json::{Value, json};

use crate::stage::{Answer, Stage};

/// The stored lines of the first stream made, which is `events` of `acme`.
async fn stored(stage: &Stage) -> Vec<Value> {
    let (stream, _) = stage.engine.streams()[0];
    lines_of(stage, stream).await
}

async fn lines_of(stage: &Stage, stream: StreamId) -> Vec<Value> {
    let bounds = stage.engine.bounds(stream).unwrap();
    let read = stage.engine.read(stream, bounds.start, 1 << 30).await.unwrap();
    let mut lines = Vec::new();
    for block in read.blocks {
        for (_, line) in block.metas().unwrap().with_lines(block.lines().unwrap()) {
            lines.push(serde_json::from_slice(line).unwrap());
        }
    }
    lines
}

fn offsets(answer: &Answer) -> Vec<String> {
    let answer = answer.json();
    let events = answer["events"].as_array().unwrap();
    events.iter().map(|event| event["offset"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn one_event_ndjson_and_an_array_are_the_same_to_readers() {
    let stage = Stage::new().await;
    let one = stage.publish(r#"{"type":"CUSTOM","body":{"n":1.10}}"#).await;
    assert_eq!(one.status, 200, "{one:?}");
    let lines = stage.publish("{\"body\":2}\n\n  {\"body\":3}\r\n{\"body\":4}").await;
    let array = stage.publish(r#" [ {"body":5} , {"body":6} ] "#).await;
    assert_eq!((offsets(&lines).len(), offsets(&array).len()), (3, 2));
    let stored = stored(&stage).await;
    let bodies: Vec<_> = stored.iter().map(|event| event["body"].to_string()).collect();
    assert_eq!(bodies[1..], ["2", "3", "4", "5", "6"]);
    let answered: Vec<_> = [&one, &lines, &array].into_iter().flat_map(offsets).collect();
    let kept: Vec<_> = stored.iter().map(|event| event["offset"].as_str().unwrap()).collect();
    assert_eq!(answered, kept);
    let id = one.json()["events"][0]["id"].clone();
    assert_eq!(id, stored[0]["id"], "the id that the server made is answered");
}

#[tokio::test]
async fn a_copy_is_answered_with_the_first_ones_offset() {
    let stage = Stage::new().await;
    let first = stage.publish(r#"{"id":"order-1","body":1}"#).await.json();
    let second = stage
        .publish(r#"[{"id":"order-2"},{"id":"order-1","body":1},{"id":"order-2"}]"#)
        .await
        .json();
    let events = second["events"].as_array().unwrap();
    let duplicates: Vec<_> =
        events.iter().map(|event| event["duplicate"].as_bool().unwrap()).collect();
    assert_eq!(duplicates, [false, true, true]);
    assert_eq!(events[1]["offset"], first["events"][0]["offset"]);
    assert_eq!(events[2]["offset"], events[0]["offset"]);
    assert_eq!(stored(&stage).await.len(), 2);
}

#[tokio::test]
async fn a_large_batch_is_answered_in_short() {
    let stage = Stage::new().await;
    let path = "/v1/projects/acme/streams/events/events?summary=true";
    let asked = stage
        .call(Method::POST, path, Some(&stage.operator), "{\"id\":\"a\"} {\"id\":\"a\"}")
        .await
        .json();
    assert_eq!((&asked["count"], &asked["duplicates"]), (&json!(2), &json!(1)));
    assert_eq!(asked["first"], asked["last"]);
    let at_most = stage.publish("{}\n".repeat(1000)).await.json();
    assert_eq!(at_most["events"].as_array().unwrap().len(), 1000);
    let above = stage.publish("{}\n".repeat(1001)).await.json();
    assert_eq!((&above["count"], &above["duplicates"]), (&json!(1001), &json!(0)));
    let wrong =
        stage.call(Method::POST, &path.replace("true", "maybe"), Some(&stage.operator), "{}").await;
    assert_eq!(wrong.status, 400);
}

#[tokio::test]
async fn a_body_above_a_mebibyte_is_taken_whole() {
    let stage = Stage::new().await;
    let event = format!("{{\"body\":\"{}\"}}\n", "x".repeat(200));
    let count = (3 << 20) / event.len();
    let answer = stage.publish(event.repeat(count)).await;
    assert_eq!(answer.json()["count"], count, "{answer:?}");
    assert_eq!(stored(&stage).await.len(), count);
}

#[tokio::test]
async fn gzip_and_zstd_bodies_are_taken_and_bombs_are_not() {
    let stage = Stage::new().await;
    let text = b"{\"body\":1}\n{\"body\":2}\n";
    let gzip = |text: &[u8]| {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(text).unwrap();
        gzip.finish().unwrap()
    };
    assert_eq!(offsets(&stage.publish_encoded("gzip", gzip(text)).await).len(), 2);
    let zstd = zstd::encode_all(&text[..], 1).unwrap();
    assert_eq!(offsets(&stage.publish_encoded("zstd", zstd).await).len(), 2);
    let bomb = gzip(&vec![b' '; 33 << 20]);
    let refused = stage.publish_encoded("gzip", bomb).await;
    assert_eq!((refused.status.as_u16(), &refused.json()["code"]), (413, &json!("too_large")));
    let mut cut = gzip(&[text, &[b' '; 500][..]].concat());
    cut.truncate(cut.len() - 4);
    assert_eq!(stage.publish_encoded("gzip", cut).await.status, 400);
    let unknown = stage.publish_encoded("br", text.to_vec()).await;
    assert_eq!(
        (unknown.status.as_u16(), &unknown.json()["code"]),
        (415, &json!("unsupported_media"))
    );
    assert_eq!(stored(&stage).await.len(), 4, "what was refused left nothing");
}

#[tokio::test]
async fn what_small_bodies_expand_to_is_bounded_over_all_of_them() {
    let limits = Limits { body_bytes: 1 << 20, ..Limits::default() };
    let stage = Stage::with(limits, 1 << 20).await;
    let event = format!("{{\"body\":\"{}\"}}", "x".repeat(900_000));
    let small = zstd::encode_all(event.as_bytes(), 1).unwrap();
    assert!(small.len() < 1_000);
    stage.engine.hold();
    let first = stage.publish_encoded("zstd", small.clone());
    let second = async {
        while stage.engine.held() == 0 {
            tokio::task::yield_now().await;
        }
        let second = stage.publish_encoded("zstd", small.clone());
        let second = tokio::time::timeout(Duration::from_secs(10), second).await;
        stage.engine.commit_all();
        second.expect("it was taken as well")
    };
    let (first, second) = tokio::join!(first, second);
    assert_eq!((first.status.as_u16(), second.status.as_u16()), (200, 503), "{second:?}");
    assert_eq!(stage.publish_encoded("zstd", small.clone()).await.status, 200);
}

/// A body of so many bytes that notes whether it was asked for, and never comes.
struct Announced(u64, Arc<AtomicBool>);

impl http_body::Body for Announced {
    type Data = bytes::Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Self::Data>, Self::Error>>> {
        self.1.store(true, Ordering::Relaxed);
        Poll::Ready(None)
    }

    fn size_hint(&self) -> http_body::SizeHint {
        http_body::SizeHint::with_exact(self.0)
    }
}

#[tokio::test]
async fn what_is_refused_is_read_past_unless_the_client_waits_to_be_asked() {
    let stage = Stage::new().await;
    let events = "/v1/projects/acme/streams/events/events";
    for (path, token, bytes, expected) in [
        (events, "bad", 10, 401),
        ("/v1/projects/acme/streams/none/events", &*stage.operator, 10, 404),
        ("/v1/none", &*stage.operator, 10, 404),
        ("/v1/projects", "bad", 10, 405),
        (events, &*stage.operator, 33 << 20, 413),
        ("/v1/projects", &*stage.operator, 1 << 20, 413),
        ("/oauth2/token", "bad", 1 << 20, 400),
    ] {
        for waits in [true, false] {
            let asked = Arc::new(AtomicBool::new(false));
            let method = if expected == 405 { Method::PUT } else { Method::POST };
            let mut request = http::Request::builder().method(method).uri(path);
            request = request.header("authorization", format!("Bearer {token}"));
            if waits {
                request = request.header("expect", "100-continue");
            }
            let body = Body::new(Announced(bytes, asked.clone()));
            let refused = stage.send(request.body(body).unwrap()).await;
            assert_eq!(refused.status, expected, "{path}");
            assert_eq!(asked.load(Ordering::Relaxed), !waits, "{path} {expected}");
        }
    }
}

#[tokio::test]
async fn the_content_type_is_not_looked_at() {
    let stage = Stage::new().await;
    for kind in [
        "application/json",
        "application/x-ndjson",
        "application/x-www-form-urlencoded",
        "text/plain",
        "?",
    ] {
        let request = http::Request::post("/v1/projects/acme/streams/events/events")
            .header("authorization", format!("bearer {}", stage.operator))
            .header("content-type", kind);
        let answer = stage.send(request.body(Body::from("{}{}")).unwrap()).await;
        assert_eq!(offsets(&answer).len(), 2, "{kind}");
    }
}

/// Body, status, line, byte, pointer.
type Case<'a> = (&'a str, u16, Option<u64>, Option<u64>, Option<&'a str>);

#[tokio::test]
async fn bad_input_is_refused_whole_with_its_place() {
    let stage = Stage::new().await;
    let deep = format!("{{}}\n{{\"body\":{}{}}}", "[".repeat(70), "]".repeat(70));
    let large = format!("{{}}\n{{\"body\":\"{}\"}}", "x".repeat(1 << 20));
    let cases: [Case<'_>; 14] = [
        ("", 400, None, None, None),
        (" \r\n", 400, None, None, None),
        ("[]", 400, None, None, None),
        ("{}\n{\"a\":1,}", 400, Some(2), Some(10), None),
        ("{}\n\n{}\n[1]", 400, Some(4), Some(7), None),
        ("[{},{},{\"a\":tru}]", 400, Some(1), Some(15), Some("/2")),
        ("[{},7]", 400, Some(1), Some(4), Some("/1")),
        ("[{}", 400, Some(1), Some(3), Some("/1")),
        ("null", 400, Some(1), Some(0), None),
        ("{\"id\":7}", 400, Some(1), None, None),
        ("{}\n{\"occurred\":\"2025-01-01T00:00:00Z\"}", 400, Some(2), None, None),
        ("{}\n{\"body\":\"\u{1}\"}", 400, Some(2), Some(12), None),
        (&deep, 400, Some(2), None, None),
        (&large, 413, Some(2), None, None),
    ];
    for (body, status, line, byte, pointer) in cases {
        let refused = stage.publish(body.to_owned()).await;
        let problem = refused.json();
        let shown = body.get(..60).unwrap_or(body);
        assert_eq!(refused.status, status, "{shown:?}: {problem}");
        let place = &problem["errors"][0];
        assert_eq!(place["line"].as_u64(), line, "{shown:?}: {problem}");
        assert!(byte.is_none() || place["byte"].as_u64() == byte, "{shown:?}: {problem}");
        assert_eq!(place["pointer"].as_str(), pointer, "{shown:?}: {problem}");
        assert_eq!(problem["request_id"], refused.headers["x-request-id"].to_str().unwrap());
    }
    let not_utf8 = stage.publish(b"{\"body\":\"\xff\"}".to_vec()).await;
    assert_eq!((not_utf8.status.as_u16(), &not_utf8.json()["errors"][0]["byte"]), (400, &json!(9)));
    assert_eq!(stored(&stage).await.len(), 0);
}

#[tokio::test]
async fn limits_are_limits() {
    let limits = Limits { body_bytes: 1000, events: 10 };
    let stage = Stage::with(limits, 1000).await;
    assert_eq!(stage.publish("{}".repeat(10)).await.status, 200);
    let many = stage.publish("{}".repeat(11)).await;
    assert_eq!((many.status.as_u16(), &many.json()["code"]), (413, &json!("too_large")));
    assert_eq!(stage.publish(" ".repeat(1001)).await.status, 413);
    let streamed = Body::new(http_body_util::Full::from(" ".repeat(1001)));
    assert_eq!(stage.publish(streamed).await.status, 413);
}

#[tokio::test]
async fn a_full_disk_and_a_full_queue_are_answers_that_ask_to_come_again() {
    let stage = Stage::new().await;
    for error in [AppendError::Full, AppendError::Throttled] {
        stage.engine.fail_next(error.clone());
        let refused = stage.publish("{}").await;
        assert_eq!(
            (refused.status.as_u16(), &refused.json()["code"]),
            (503, &json!("unavailable")),
            "{error}"
        );
        assert!(refused.headers["retry-after"].to_str().unwrap().parse::<u32>().unwrap() >= 1);
        assert_eq!(refused.json()["retryable"], true);
    }
    assert_eq!(stage.publish("{}").await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn who_finds_no_room_waits_for_it_and_not_for_ever() {
    let limits = Limits { body_bytes: 4096, events: 10 };
    let stage = Stage::with(limits, 4096).await;
    stage.engine.hold();
    // One that holds all the room: its commit does not come yet.
    let app = stage.app.clone();
    let request = |body: String| {
        let request = http::Request::post("/v1/projects/acme/streams/events/events");
        let request = request.header("authorization", format!("Bearer {}", stage.operator));
        request.header("content-length", body.len()).body(Body::from(body)).unwrap()
    };
    let body = format!("{{\"body\":\"{}\"}}", "x".repeat(4000));
    let first = request(body.clone());
    let first = tokio::spawn({
        let app = app.clone();
        async move { app.answer(first).await }
    });
    while stage.engine.held() == 0 {
        tokio::task::yield_now().await;
    }
    let second = app.answer(request(body)).await;
    assert_eq!(second.status(), 503);
    stage.engine.commit_all();
    assert_eq!(first.await.unwrap().status(), 200);
    assert_eq!(stage.publish("{}").await.status, 200);
}

#[tokio::test]
async fn answers_have_the_members_that_the_document_names() {
    let stage = Stage::new().await;
    let document = stage.get("/v1/openapi.json").await.json();
    let named = |schema: &str| -> Vec<String> {
        let members = &document["components"]["schemas"][schema]["properties"];
        members.as_object().unwrap().keys().cloned().collect()
    };
    let members = |answer: &Value| -> Vec<String> {
        let mut members: Vec<_> = answer.as_object().unwrap().keys().cloned().collect();
        members.sort();
        members
    };
    let sorted = |mut names: Vec<String>| {
        names.sort();
        names
    };
    let listed = stage.publish("{}").await.json();
    assert_eq!(members(&listed), ["events"]);
    assert_eq!(members(&listed["events"][0]), sorted(named("PublishedEvent")));
    let path = "/v1/projects/acme/streams/events/events?summary=true";
    let counted = stage.call(Method::POST, path, Some(&stage.operator), "{}").await.json();
    assert_eq!(members(&counted), sorted(named("Summary")));
}
