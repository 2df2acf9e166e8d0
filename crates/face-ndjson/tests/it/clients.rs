//! Requests as each real client writes them (reference `airship.md` 4), and the answers they need.

use outflow_testkit::transcript::Head;

use crate::stand::{Stand, events};

/// The answer's head but for what differs each time.
fn fixed(head: &Head) -> Vec<String> {
    let changing = ["date", "ua-operation-id", "x-ua-operation-id"];
    let fields = head.fields.iter().filter(|(name, _)| !changing.contains(&name.as_str()));
    let mut lines: Vec<_> = fields.map(|(name, value)| format!("{name}: {value}")).collect();
    lines.sort();
    [vec![head.status.clone()], lines].concat()
}

const GZIP: [&str; 6] = [
    "HTTP/1.1 200 OK",
    "cache-control: no-store",
    "content-encoding: gzip",
    "content-type: application/vnd.urbanairship+x-ndjson; version=3;",
    "transfer-encoding: chunked",
    "vary: Accept-Encoding",
];

/// Plays `request`, with `APP`'s credentials filled in, and reads three events and a heartbeat.
async fn golden(request: &str, body: &str, expected: &[&str]) {
    let stand = Stand::new().await;
    stand.publish(&events("old", 2)).await;
    let len = body.len().to_string();
    let head =
        request.replace("TOKEN", &stand.token.1).replace("LENGTH", &len).replace('\n', "\r\n");
    // Python and Node write the head and the body apart.
    let mut player = outflow_testkit::transcript::Player::connect(stand.addr).await.unwrap();
    player.send(head).await.unwrap();
    tokio::task::yield_now().await;
    player.send(body).await.unwrap();
    let head = player.head().await.unwrap();
    assert_eq!(fixed(&head), expected);
    assert_eq!(head.field("ua-operation-id").unwrap().len(), 36);
    assert_eq!(head.field("ua-operation-id"), head.field("x-ua-operation-id"));
    let mut feed = crate::stand::feed(head, player);
    if body.contains("EARLIEST") {
        assert_eq!(feed.ids(2).await, ["old0", "old1"]);
    }
    stand.publish(&events("new", 1)).await;
    let event = feed.event().await.unwrap();
    assert_eq!(event["id"], "new0");
    for key in ["id", "type", "offset", "occurred", "processed"] {
        assert!(event[key].is_string(), "{key}");
    }
    assert_eq!(feed.line().await.unwrap(), "", "a heartbeat is one newline");
}

#[tokio::test]
async fn python() {
    let request = "POST /api/events HTTP/1.1
Host: 127.0.0.1
User-Agent: python-requests/2.32.3
Accept-Encoding: gzip, deflate
Accept: application/vnd.urbanairship+x-ndjson; version=3;
Connection: keep-alive
Content-Type: application/json
X-UA-Appkey: app
Authorization: Bearer TOKEN
Content-Length: LENGTH

";
    golden(request, "{\"start\": \"EARLIEST\"}", &GZIP).await;
}

#[tokio::test]
async fn node() {
    // It never ends its request, and sends its first `start` again with the offset.
    let request = "POST /api/events/ HTTP/1.1
Accept: application/vnd.urbanairship+x-ndjson;version=3;
Content-Type: application/json
X-UA-Appkey: app
Authorization: Bearer TOKEN
Content-Length: LENGTH
Host: 127.0.0.1
Connection: keep-alive

";
    golden(request, "{\"start\":\"EARLIEST\"}", &GZIP).await;
}

#[tokio::test]
async fn java() {
    let request = "POST /api/events/ HTTP/1.1
Accept: application/vnd.urbanairship+x-ndjson; version=3;
Authorization: Bearer TOKEN
X-UA-Appkey: app
Content-Length: LENGTH
host: 127.0.0.1
user-agent: UA Java Connect Client

";
    golden(request, "{\"start\":\"EARLIEST\",\"enable_offset_updates\":false}", &GZIP).await;
}

#[tokio::test]
async fn the_documented_curl_line() {
    use base64::Engine as _;
    let stand = Stand::new().await;
    let pair = format!("app:{}", stand.token.1);
    let basic = base64::engine::general_purpose::STANDARD.encode(pair);
    let request = format!(
        "POST /api/events/ HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Basic {basic}\r\n\
         User-Agent: curl/8.5.0\r\nAccept-Encoding: deflate, gzip, br, zstd\r\n\
         Accept: application/vnd.urbanairship+x-ndjson; version=3;\r\nContent-Length: 2\r\n\
         Content-Type: application/x-www-form-urlencoded\r\n\r\n{{}}"
    );
    let mut feed = stand.open(&request).await;
    assert_eq!(fixed(&feed.head), GZIP);
    stand.publish(&events("new", 2)).await;
    assert_eq!(feed.ids(2).await, ["new0", "new1"]);
}

#[tokio::test]
async fn curl_without_compression_shows_text() {
    let request = "POST /api/events/ HTTP/1.1
Host: 127.0.0.1
User-Agent: curl/8.5.0
Accept: */*
X-UA-Appkey: app
Authorization: Bearer TOKEN
Content-Length: LENGTH
Content-Type: application/x-www-form-urlencoded

";
    let expected: Vec<_> = GZIP.into_iter().filter(|line| !line.contains("gzip")).collect();
    golden(request, "{\"start\":\"EARLIEST\"}", &expected).await;
}

#[tokio::test]
async fn chunked_requests_and_cookies_are_taken() {
    let stand = Stand::new().await;
    let body = "14\r\n{\"start\":\"EARLIEST\"}\r\n0\r\n\r\n";
    // A cookie with the attributes that Node sends back after a 307.
    let more = "Transfer-Encoding: chunked\r\nCookie: SRVPIN=abc; Path=/; HttpOnly\r\n";
    let request =
        stand.request("/api/events/", more, "").replace("Content-Length: 0\r\n", "") + body;
    stand.publish(&events("old", 1)).await;
    assert_eq!(stand.open(&request).await.ids(1).await, ["old0"]);
}

#[tokio::test]
async fn http_2_streams_too() {
    use http_body_util::{BodyExt, Full};
    let stand = Stand::new().await;
    stand.publish(&events("old", 1)).await;
    let stream = tokio::net::TcpStream::connect(stand.addr).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http2::handshake(
        hyper_util::rt::TokioExecutor::new(),
        hyper_util::rt::TokioIo::new(stream),
    )
    .await
    .unwrap();
    tokio::spawn(connection);
    let request = http::Request::post(format!("http://{}/api/events", stand.addr))
        .header("x-ua-appkey", "app")
        .header("authorization", format!("Bearer {}", stand.token.1))
        .header("accept-encoding", "identity")
        .body(Full::new(bytes::Bytes::from("{\"start\":\"EARLIEST\"}")))
        .unwrap();
    let response = sender.send_request(request).await.unwrap();
    assert_eq!(response.status(), 200);
    let frame = response.into_body().frame().await.unwrap().unwrap();
    assert!(frame.into_data().unwrap().starts_with(b"{\"id\":\"old0\""));
}
