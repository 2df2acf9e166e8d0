//! Every status of Airship's routes: each has a body that the real clients can parse (rule 17), and the
//! headers that they heed.

use std::io::Write as _;
use std::time::Duration;

use axum::body::to_bytes;
use outflow_face::{HttpLimits, RequestId};
use outflow_face_ndjson::error::Refusal;
use outflow_model::ErrorCode;
use outflow_model::rng::SeededRng;
use outflow_testkit::transcript::Player;

use crate::answers::check_shape;
use crate::stand::Stand;

fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(plain).unwrap();
    encoder.finish().unwrap()
}

/// Sends a body in a content coding to each of Airship's routes; gives the status if it is refused.
async fn send(stand: &Stand, encoding: &str, body: &[u8]) -> Option<String> {
    let more = format!("Content-Encoding: {encoding}\r\n");
    let head = stand.request("/api/events", &more, "");
    let head = head.replace("Content-Length: 0", &format!("Content-Length: {}", body.len()));
    let mut player = Player::connect(stand.addr).await.unwrap();
    player.send([head.as_bytes(), body].concat()).await.unwrap();
    let head = player.head().await.unwrap();
    if head.status == "HTTP/1.1 200 OK" {
        return None;
    }
    assert_eq!(head.field("content-type"), Some("application/json"), "{}", head.status);
    let length = head.field("content-length").unwrap().parse().unwrap();
    check_shape(&serde_json::from_slice(&player.exactly(length).await.unwrap()).unwrap());
    Some(head.status)
}

#[tokio::test]
async fn bodies_that_cannot_be_read_are_refused() {
    let stand = Stand::new().await;
    let whole = gzip(b"{\"start\":\"LATEST\"}");
    let bomb = gzip(&vec![b' '; 32 << 20]);
    let large = vec![b' '; 3_000_000];
    for (encoding, body, status) in [
        ("gzip", whole.as_slice(), None),
        ("gzip", &whole[..whole.len() - 4], Some("HTTP/1.1 400 Bad Request")),
        ("gzip", b"{}", Some("HTTP/1.1 400 Bad Request")),
        ("gzip", &bomb, Some("HTTP/1.1 413 Payload Too Large")),
        ("identity", &large, Some("HTTP/1.1 413 Payload Too Large")),
        ("br", b"{}", Some("HTTP/1.1 415 Unsupported Media Type")),
    ] {
        assert_eq!(send(&stand, encoding, body).await.as_deref(), status, "{encoding}");
    }
}

#[tokio::test]
async fn a_body_that_does_not_come_is_408() {
    let limits = HttpLimits { body_timeout: Duration::from_millis(200), ..HttpLimits::default() };
    let stand = Stand::limited(limits, outflow_hub::Options::default()).await;
    let unfinished = stand.plain("{}").replace("Content-Length: 2", "Content-Length: 9");
    let (status, answer) = stand.refused(&unfinished).await;
    assert_eq!(status, "HTTP/1.1 408 Request Timeout");
    check_shape(&answer);
}

#[tokio::test]
async fn a_server_with_as_many_readers_as_it_may_have_says_503() {
    let options = outflow_hub::Options { max_sessions: 1, ..outflow_hub::Options::default() };
    let stand = Stand::limited(HttpLimits::default(), options).await;
    let _reading = stand.open(&stand.plain("{}")).await;
    let (status, answer) = stand.refused(&stand.plain("{}")).await;
    assert_eq!(status, "HTTP/1.1 503 Service Unavailable");
    check_shape(&answer);
}

/// Answered before it is known what is asked for, so in nobody's own shape, and the connection ends.
#[tokio::test]
async fn a_head_beyond_the_limits_is_431_with_a_problem_document() {
    let stand = Stand::new().await;
    let many: String = (0..101).map(|n| format!("X-{n}: y\r\n")).collect();
    let (head, mut player) = stand.ask(&stand.request("/api/events", &many, "")).await;
    assert_eq!(head.status, "HTTP/1.1 431 Request Header Fields Too Large");
    assert_eq!(head.field("content-type"), Some("application/problem+json"));
    let document: serde_json::Value =
        serde_json::from_slice(&player.rest().await.unwrap()).unwrap();
    assert_eq!((&document["status"], &document["code"]), (&431.into(), &"too_large".into()));
}

/// Those as well that need a fault of the server's, which no client can bring about.
#[tokio::test]
async fn every_class_of_failure_has_a_status_and_the_shape() {
    for (code, status, header) in [
        (ErrorCode::Malformed, 400, None),
        (ErrorCode::Expired, 400, None),
        (ErrorCode::Unauthenticated, 401, Some(("www-authenticate", "Bearer realm=\"events\""))),
        (ErrorCode::TooManyConnections, 402, Some(("retry-after", "30"))),
        (ErrorCode::Forbidden, 403, None),
        (ErrorCode::NotFound, 404, None),
        (ErrorCode::NotAcceptable, 406, None),
        (ErrorCode::Timeout, 408, None),
        (ErrorCode::Conflict, 409, None),
        (ErrorCode::TooLarge, 413, None),
        (ErrorCode::UnsupportedMedia, 415, None),
        (ErrorCode::RateLimited, 429, Some(("retry-after", "1"))),
        (ErrorCode::Internal, 500, None),
        (ErrorCode::Unavailable, 503, Some(("retry-after", "1"))),
        (ErrorCode::ShuttingDown, 307, Some(("set-cookie", "outflow_retry=1; Path=/"))),
    ] {
        let operation = RequestId::random(&SeededRng::new(1));
        let answer = Refusal::new(code, "what is wrong").airship(&operation);
        assert_eq!(answer.status(), status, "{code:?}");
        let headers = answer.headers().clone();
        assert_eq!(headers["content-type"], "application/json", "{code:?}");
        assert_eq!(headers["cache-control"], "no-store", "{code:?}");
        if let Some((name, value)) = header {
            assert_eq!(headers[name], value, "{code:?}");
        }
        let body = to_bytes(answer.into_body(), 1 << 16).await.unwrap();
        let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
        check_shape(&body);
        assert_eq!(body["details"]["error"], "what is wrong");
        assert_eq!(body["operation_id"], operation.as_str());
    }
    assert_eq!(Refusal::method().airship(&RequestId::random(&SeededRng::new(1))).status(), 405);
}
