//! Every line of the seed's status table, and those beyond it.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::Request;
use outflow_auth::{Revoke, Scope};
use outflow_face::{Drain, HttpLimits};
use outflow_face_ingest::Options;
use outflow_hub::IngestMode;
use outflow_store::AppendError;
use outflow_testkit::transcript::Player;
use tower::ServiceExt;

use crate::stand::{Answer, JSON, PLAIN, Stand, XML, project};

async fn with_token(stand: &Stand, token: &str, stream: &str) -> Answer {
    let request = Request::post(format!("/stream/v0/data/{stream}"))
        .header("content-type", "application/json")
        .header("authorization", format!("Bearer {token}"));
    stand.send(request.body("{}".into()).unwrap()).await
}

#[tokio::test]
async fn whoever_has_no_token_that_holds_learns_nothing() {
    let stand = Stand::new().await;
    let expired = stand.token.clone();
    let basic = stand.request(JSON, "application/json");
    let other_tenant = Request::post(format!("/stream/v0/data/{JSON}"))
        .header("content-type", "application/json")
        .header("x-amperity-tenant", "rival")
        .header("authorization", format!("Bearer {expired}"));
    let none = Request::post(format!("/stream/v0/data/{JSON}"));
    assert_eq!(stand.send(basic.body("{}".into()).unwrap()).await.status, 202);
    for request in [none, other_tenant] {
        let answer = stand.send(request.body("{}".into()).unwrap()).await;
        assert_eq!((answer.status.as_u16(), answer.text.as_str()), (401, ""));
        assert_eq!(answer.headers["www-authenticate"], "Bearer");
    }
    assert_eq!(with_token(&stand, "nonsense", JSON).await.status, 401);
    stand.clock.advance(3_700_000);
    assert_eq!(with_token(&stand, &expired, JSON).await.status, 401);
    let life = Duration::from_secs(3_600);
    let fresh = stand.auth.issue_access_token(&project("acme"), &stand.key, life, None).unwrap();
    assert_eq!(with_token(&stand, fresh.token.expose(), JSON).await.status, 202);
    stand.auth.revoke_access_tokens(&project("acme"), &stand.key, Revoke::All).await.unwrap();
    assert_eq!(with_token(&stand, fresh.token.expose(), JSON).await.status, 401);
}

#[tokio::test]
async fn foreign_missing_and_other_streams_look_the_same() {
    let stand = Stand::new().await;
    let rival = stand.token("rival", &[Scope::IngestWrite], None).await;
    let kept = stand.token("acme", &[Scope::IngestWrite], Some(JSON)).await;
    let missing = with_token(&stand, &stand.token, "is-nothing").await;
    assert_eq!(missing.status, 404);
    for (token, stream) in [(&stand.token, PLAIN), (&kept, XML), (&rival, "is-nothing")] {
        let answer = with_token(&stand, token, stream).await;
        assert_eq!((answer.status, &answer.text), (missing.status, &missing.text));
    }
    // The same id is a stream of its own in each project.
    assert_eq!(with_token(&stand, &rival, JSON).await.status, 202);
    assert!(stand.lines(JSON).await.is_empty());
    assert_eq!(with_token(&stand, &kept, JSON).await.status, 202);
    let reader = stand.token("acme", &[Scope::FeedRead, Scope::EventsRead], None).await;
    assert_eq!(with_token(&stand, &reader, JSON).await.status, 403);
    let publisher = stand.token("acme", &[Scope::EventsPublish], None).await;
    assert_eq!(with_token(&stand, &publisher, JSON).await.status, 202);
}

#[tokio::test]
async fn the_limit_is_254000_bytes_announced_or_not() {
    let stand = Stand::new().await;
    let payload = |len: usize| format!("{{\"a\":\"{}\"}}", "x".repeat(len - 8));
    assert_eq!(stand.json(payload(254_000)).await.status, 202);
    assert_eq!(stand.json(payload(254_001)).await.status, 413);
    let chunked = |len: usize| {
        let text = payload(len).into_bytes();
        let pieces: Vec<_> =
            text.chunks(1_000).map(|piece| Ok::<_, std::io::Error>(piece.to_vec())).collect();
        // It does not say how long it is.
        Body::from_stream(futures_util::stream::iter(pieces))
    };
    assert_eq!(stand.json(chunked(254_000)).await.status, 202);
    assert_eq!(stand.json(chunked(254_001)).await.status, 413);
}

/// A body of so many bytes that notes whether it was asked for, and never comes.
struct Announced(u64, Arc<AtomicBool>);

impl http_body::Body for Announced {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, Infallible>>> {
        self.1.store(true, Ordering::Relaxed);
        Poll::Ready(None)
    }

    fn size_hint(&self) -> http_body::SizeHint {
        http_body::SizeHint::with_exact(self.0)
    }
}

#[tokio::test]
async fn who_waits_to_be_asked_for_too_large_a_payload_is_not_asked() {
    let stand = Stand::new().await;
    for (waits, bytes, status) in [(true, 254_001, 413), (false, 254_001, 413), (true, 9, 400)] {
        let mut request = stand.request(JSON, "application/json");
        if waits {
            request = request.header("expect", "100-continue");
        }
        let asked = Arc::new(AtomicBool::new(false));
        let body = Body::new(Announced(bytes, asked.clone()));
        let answer = stand.send(request.body(body).unwrap()).await;
        assert_eq!(answer.status, status);
        assert_eq!(asked.load(Ordering::Relaxed), !(waits && status == 413), "{waits} {bytes}");
    }
}

#[tokio::test]
async fn another_kind_of_payload_is_415() {
    let stand = Stand::new().await;
    for (stream, content_type) in [
        (JSON, "application/xml"),
        (JSON, "application/x-ndjson"),
        (JSON, "application/x-www-form-urlencoded"),
        (XML, "application/json"),
    ] {
        let request = stand.request(stream, content_type).body("{}".into()).unwrap();
        assert_eq!(stand.send(request).await.status, 415, "{content_type}");
    }
    let request = stand.request(JSON, "application/json").header("content-encoding", "br");
    assert_eq!(stand.send(request.body("{}".into()).unwrap()).await.status, 415);
}

#[tokio::test(start_paused = true)]
async fn a_project_over_its_rate_is_told_when_to_come_again() {
    let options = Options { requests_per_second: 3, ..Options::default() };
    let stand = Stand::with(options).await;
    for _ in 0..3 {
        assert_eq!(stand.json("{}").await.status, 202);
    }
    let answer = stand.json("{}").await;
    assert_eq!(
        (answer.status.as_u16(), &answer.headers["retry-after"]),
        (429, &"1".parse().unwrap())
    );
    let rival = stand.token("rival", &[Scope::IngestWrite], None).await;
    assert_eq!(with_token(&stand, &rival, JSON).await.status, 202);
    tokio::time::advance(Duration::from_secs(1)).await;
    assert_eq!(stand.json("{}").await.status, 202);
}

#[tokio::test]
async fn a_full_disk_and_a_dead_engine_are_to_be_tried_again() {
    let stand = Stand::new().await;
    stand.engine.fail_next(AppendError::Full);
    let answer = stand.json("{}").await;
    assert_eq!(
        (answer.status.as_u16(), &answer.headers["retry-after"]),
        (503, &"1".parse().unwrap())
    );
    stand.engine.fail_next(AppendError::Stopped("the disk is gone".into()));
    let answer = stand.json("{}").await;
    assert_eq!((answer.status.as_u16(), answer.headers.contains_key("retry-after")), (500, true));
    assert!(!answer.text.contains("the disk is gone"), "{}", answer.text);
    assert_eq!(stand.json("{}").await.status, 202);
}

#[tokio::test(start_paused = true)]
async fn a_commit_that_takes_too_long_is_504_and_may_be_stored_all_the_same() {
    let stand = Stand::new().await;
    stand.engine.hold();
    let answer = stand.json("{}").await;
    assert_eq!((answer.status.as_u16(), answer.headers.contains_key("retry-after")), (504, true));
    says_504(answer.text.as_bytes());
    stand.engine.commit_all();
    assert_eq!(stand.lines(JSON).await.len(), 1);
}

/// The document of a 504 says what its status line says.
fn says_504(document: &[u8]) {
    let document: serde_json::Value = serde_json::from_slice(document).unwrap();
    assert_eq!((&document["status"], &document["title"]), (&504.into(), &"Gateway Timeout".into()));
    assert_eq!((&document["code"], &document["retryable"]), (&"timeout".into(), &true.into()));
}

#[tokio::test]
async fn a_payload_that_stalls_is_504() {
    let stand = Stand::new().await;
    let limits = HttpLimits { body_timeout: Duration::from_millis(200), ..HttpLimits::default() };
    let listener = outflow_face::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let mut player = Player::connect(listener.local_addr().unwrap()).await.unwrap();
    let (app, drain, counters) = (stand.app.clone(), Drain::new(), Arc::default());
    let serving = tokio::spawn(outflow_face::serve(listener, None, app, limits, drain, counters));
    let fields = format!("Host: x\r\nAuthorization: Bearer {}\r\n", stand.token);
    let fields = format!("{fields}Content-Type: application/json\r\nContent-Length: 9\r\n");
    let head = format!("POST /stream/v0/data/{JSON} HTTP/1.1\r\n{fields}\r\n");
    player.send(format!("{head}{{\"a\":")).await.unwrap();
    let head = player.head().await.unwrap();
    assert_eq!(head.status, "HTTP/1.1 504 Gateway Timeout");
    assert_eq!(head.field("retry-after"), Some("1"));
    let length = head.field("content-length").unwrap().parse().unwrap();
    says_504(&player.exactly(length).await.unwrap());
    assert!(stand.lines(JSON).await.is_empty());
    serving.abort();
}

#[tokio::test]
async fn a_stream_can_be_set_to_drop_or_to_reject() {
    let stand = Stand::new().await;
    stand.set(JSON, IngestMode::Drop).await;
    assert_eq!(stand.json("{}").await.status, 204);
    stand.set(JSON, IngestMode::Reject).await;
    let answer = stand.json("{}").await;
    assert_eq!((answer.status.as_u16(), answer.headers.contains_key("retry-after")), (409, false));
    assert!(stand.lines(JSON).await.is_empty());
    stand.set(JSON, IngestMode::Active).await;
    assert_eq!(stand.json("{}").await.status, 202);
}

#[tokio::test(start_paused = true)]
async fn bodies_that_come_slowly_keep_nobody_out() {
    let stand = Stand::with(Options { held_bytes: 64 << 10, ..Options::default() }).await;
    for _ in 0..100 {
        let begun = stream::once(async { Ok::<_, Infallible>(Bytes::from_static(b"{")) });
        let body = Body::from_stream(begun.chain(stream::pending()));
        let request = stand.request(JSON, "application/json").body(body).unwrap();
        let app = stand.app.clone();
        tokio::spawn(async move { app.oneshot(request).await });
    }
    tokio::task::yield_now().await;
    assert_eq!(stand.json("{}").await.status, 202);
}

#[tokio::test]
async fn a_header_that_is_there_twice_is_refused() {
    let stand = Stand::new().await;
    for (name, value) in [
        ("authorization", "Bearer other"),
        ("content-type", "application/json"),
        ("x-amperity-tenant", "acme"),
    ] {
        let request = stand.request(JSON, "application/json").header(name, value);
        let answer = stand.send(request.body("{}".into()).unwrap()).await;
        assert_eq!(answer.status, 400, "{name}");
        assert!(answer.text.contains(&format!("several `{name}` headers")), "{}", answer.text);
    }
}

#[tokio::test]
async fn an_id_that_is_no_text_names_no_stream() {
    let stand = Stand::new().await;
    let answer =
        stand.send(stand.request("%ff", "application/json").body("{}".into()).unwrap()).await;
    assert_eq!((answer.status.as_u16(), answer.text.contains("not_found")), (404, true));
    let request = Request::post("/stream/v0/data/%ff").body(Body::from("{}")).unwrap();
    let answer = stand.send(request).await;
    assert_eq!((answer.status.as_u16(), &*answer.text), (401, ""));
}
