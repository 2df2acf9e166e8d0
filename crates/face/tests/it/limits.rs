//! Peers that hold a connection without using it, and the way out.

use std::time::Duration;

use outflow_face::{HttpLimits, Phase};
use outflow_testkit::transcript::Player;

use crate::server::{OWN, start};

/// Limits that a test can wait for.
fn short() -> HttpLimits {
    HttpLimits {
        header_timeout: Duration::from_millis(300),
        body_timeout: Duration::from_millis(300),
        write_stall: Duration::from_millis(500),
        ..HttpLimits::default()
    }
}

const GET: &str = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";

#[tokio::test]
async fn a_request_is_answered_and_the_connection_kept() {
    let server = start(short(), None);
    let mut player = Player::connect(server.addr).await.unwrap();
    for _ in 0..3 {
        player.send(GET).await.unwrap();
        assert_eq!(player.head().await.unwrap().status, "HTTP/1.1 200 OK");
        assert_eq!(player.exactly(2).await.unwrap(), b"hi");
    }
    assert_eq!(server.counters.slow_heads.get(), 0);
}

#[tokio::test]
async fn silence_and_a_trickling_head_end_the_connection() {
    let server = start(short(), None);
    for begun in ["", "PRI * HT", "GET / HTTP/1.1\r\nHost: "] {
        let mut player = Player::connect(server.addr).await.unwrap();
        player.send(begun).await.unwrap();
        if !begun.is_empty() {
            // Who has said something is told.
            told(&mut player, "408 Request Timeout", "timeout").await;
        }
        assert_eq!(player.rest().await.unwrap(), b"");
    }
    let mut player = Player::connect(server.addr).await.unwrap();
    player.send("GET / HTTP/1.1\r\n").await.unwrap();
    let trickle = async {
        loop {
            tokio::time::sleep(Duration::from_millis(50)).await;
            if player.send("X: y\r\n").await.is_err() {
                break;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(10), trickle).await.unwrap();
    assert_eq!(server.counters.slow_heads.get(), 4);
}

#[tokio::test]
async fn a_second_head_has_its_time_too() {
    let server = start(short(), None);
    let mut player = Player::connect(server.addr).await.unwrap();
    player.send(GET).await.unwrap();
    player.head().await.unwrap();
    player.exactly(2).await.unwrap();
    player.send("GET /").await.unwrap();
    player.rest().await.unwrap();
    assert_eq!(server.counters.slow_heads.get(), 1);
}

#[tokio::test]
async fn a_body_that_does_not_come_is_answered_with_408() {
    let server = start(short(), None);
    let mut player = Player::connect(server.addr).await.unwrap();
    player.send("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nab").await.unwrap();
    assert_eq!(player.head().await.unwrap().status, "HTTP/1.1 408 Request Timeout");
}

#[tokio::test]
async fn a_body_that_was_asked_for_has_a_bodys_time() {
    let limits = HttpLimits { body_timeout: Duration::from_secs(5), ..short() };
    let server = start(limits, None);
    let mut player = Player::connect(server.addr).await.unwrap();
    let fields = "Host: x\r\nContent-Length: 5\r\nExpect: 100-continue";
    player.send(format!("POST /echo HTTP/1.1\r\n{fields}\r\n\r\n")).await.unwrap();
    assert_eq!(player.head().await.unwrap().status, "HTTP/1.1 100 Continue");
    player.send("ab").await.unwrap();
    // Longer than a head may take.
    tokio::time::sleep(Duration::from_millis(700)).await;
    player.send("cde").await.unwrap();
    assert_eq!(player.head().await.unwrap().status, "HTTP/1.1 200 OK");
    assert_eq!(player.exactly(5).await.unwrap(), b"abcde");
    assert_eq!(server.counters.slow_heads.get(), 0);
    // The next head has a head's.
    player.send("GET /").await.unwrap();
    player.rest().await.unwrap();
    assert_eq!(server.counters.slow_heads.get(), 1);
}

#[tokio::test]
async fn a_peer_that_reads_nothing_is_cut_off() {
    let server = start(short(), None);
    let mut player = Player::connect(server.addr).await.unwrap();
    player.send("GET /flood HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let cut = async {
        while server.counters.stalled_writes.get() == 0 || server.counters.open.get() != 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), cut).await.unwrap();
}

#[tokio::test]
async fn too_many_or_too_large_headers_are_answered_with_431() {
    let server = start(HttpLimits::default(), None);
    let many: String = (0..101).map(|n| format!("X-{n}: y\r\n")).collect();
    let large = format!("X-Large: {}\r\n", "y".repeat(70 << 10));
    for headers in [many, large] {
        let mut player = Player::connect(server.addr).await.unwrap();
        player.send(format!("GET / HTTP/1.1\r\nHost: x\r\n{headers}\r\n")).await.unwrap();
        told(&mut player, "431 Request Header Fields Too Large", "too_large").await;
        assert_eq!(player.rest().await.unwrap(), b"");
    }
}

#[tokio::test]
async fn a_head_that_cannot_be_read_is_answered_with_a_document() {
    let server = start(HttpLimits::default(), None);
    for head in
        ["GE\0T / HTTP/1.1\r\n\r\n", "GET / HTTP/1.1\r\nHost: x\r\na b: c\r\n\r\n", "hello\r\n\r\n"]
    {
        let mut player = Player::connect(server.addr).await.unwrap();
        player.send(head).await.unwrap();
        told(&mut player, "400 Bad Request", "malformed").await;
        assert_eq!(player.rest().await.unwrap(), b"");
    }
    // Also behind a request on the same connection.
    let mut player = Player::connect(server.addr).await.unwrap();
    player.send(GET).await.unwrap();
    player.head().await.unwrap();
    assert_eq!(player.exactly(2).await.unwrap(), b"hi");
    player.send(format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "y".repeat(65_535))).await.unwrap();
    told(&mut player, "414 URI Too Long", "too_large").await;
}

#[tokio::test]
async fn a_bad_request_by_head_is_answered_without_a_body() {
    let server = start(short(), None);
    let fields: String = (0..101).map(|n| format!("X-{n}: y\r\n")).collect();
    let many = format!("HEAD / HTTP/1.1\r\nHost: x\r\n{fields}\r\n");
    let bad = "HEAD / HTTP/1.1\r\nHost: x\r\na b: c\r\n\r\n";
    for (request, status) in [
        (bad, "400 Bad Request"),
        (&many, "431 Request Header Fields Too Large"),
        ("HEAD / HTTP/1.1\r\nHost: ", "408 Request Timeout"),
    ] {
        for is_second in [false, true] {
            let mut player = Player::connect(server.addr).await.unwrap();
            if is_second {
                player.send(GET).await.unwrap();
                player.head().await.unwrap();
                assert_eq!(player.exactly(2).await.unwrap(), b"hi");
            }
            let (begin, rest) = request.split_at(2);
            player.send(begin).await.unwrap();
            tokio::time::sleep(Duration::from_millis(20)).await;
            player.send(rest).await.unwrap();
            let head = player.head().await.unwrap();
            assert_eq!(head.status, format!("HTTP/1.1 {status}"));
            assert!(head.field("content-length").unwrap().parse::<usize>().unwrap() > 0);
            assert_eq!(player.rest().await.unwrap(), b"", "{status}, second {is_second}");
        }
    }
    // One that hyper takes and we refuse, on a connection that goes on.
    let mut player = Player::connect(server.addr).await.unwrap();
    player.send("HEAD / HTTP/1.1\r\n\r\n").await.unwrap();
    let head = player.head().await.unwrap();
    assert_eq!(head.status, "HTTP/1.1 400 Bad Request");
    assert!(head.field("content-length").unwrap().parse::<usize>().unwrap() > 0);
    player.send("HEAD / HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    assert_eq!(player.head().await.unwrap().status, "HTTP/1.1 200 OK");
    // It is the request at hand that counts.
    player.send(bad.replacen("HEAD", "GET", 1)).await.unwrap();
    told(&mut player, "400 Bad Request", "malformed").await;
}

#[tokio::test]
async fn what_a_body_says_is_never_taken_for_an_answer() {
    let server = start(short(), None);
    let mut player = Player::connect(server.addr).await.unwrap();
    // Its answer's last piece goes out by itself, while the next head has begun.
    player.send("GET /pieces HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let head = player.head().await.unwrap();
    assert_eq!(head.field("content-length"), Some(&*(OWN.len() * 2).to_string()));
    player.send("GET ").await.unwrap();
    assert_eq!(player.exactly(OWN.len() * 2).await.unwrap(), OWN.repeat(2).as_bytes());
}

/// Reads an answer and its document, which says the same.
async fn told(player: &mut Player, status: &str, code: &str) {
    let head = player.head().await.unwrap();
    assert_eq!(head.status, format!("HTTP/1.1 {status}"));
    assert_eq!(head.field("content-type"), Some("application/problem+json"));
    assert_eq!(head.field("connection"), Some("close"));
    assert!(head.field("date").is_some());
    let len = head.field("content-length").unwrap().parse().unwrap();
    let document: serde_json::Value =
        serde_json::from_slice(&player.exactly(len).await.unwrap()).unwrap();
    let (number, title) = status.split_once(' ').unwrap();
    assert_eq!(document["status"].to_string(), number);
    assert_eq!((document["title"].as_str(), document["code"].as_str()), (Some(title), Some(code)));
}

#[tokio::test]
async fn a_request_that_names_no_host_or_several_is_answered_with_400() {
    let server = start(HttpLimits::default(), None);
    let mut player = Player::connect(server.addr).await.unwrap();
    for hosts in ["", "Host: x\r\nHost: y\r\n"] {
        player.send(format!("GET / HTTP/1.1\r\n{hosts}\r\n")).await.unwrap();
        let head = player.head().await.unwrap();
        assert_eq!(head.status, "HTTP/1.1 400 Bad Request");
        let len = head.field("content-length").unwrap().parse().unwrap();
        let text = String::from_utf8(player.exactly(len).await.unwrap()).unwrap();
        assert!(text.contains("one Host header"), "{text}");
    }
    // The connection goes on, and HTTP/1.0 needs none.
    player.send(GET).await.unwrap();
    assert_eq!(player.head().await.unwrap().status, "HTTP/1.1 200 OK");
    let mut old = Player::connect(server.addr).await.unwrap();
    old.send("GET / HTTP/1.0\r\n\r\n").await.unwrap();
    assert_eq!(old.head().await.unwrap().status, "HTTP/1.0 200 OK");
}

#[tokio::test]
async fn a_request_that_gives_its_length_twice_is_refused_and_the_last() {
    let server = start(HttpLimits::default(), None);
    let (number, chunks) = ("Content-Length: 5\r\n", "Transfer-Encoding: chunked\r\n");
    let smuggled = format!("0\r\n\r\n{GET}");
    for fields in [format!("{number}{chunks}"), format!("{chunks}{number}")] {
        let mut player = Player::connect(server.addr).await.unwrap();
        // Not the first of the connection.
        player.send(GET).await.unwrap();
        player.head().await.unwrap();
        player.exactly(2).await.unwrap();
        let (begin, end) = fields.split_at(7);
        player.send(format!("POST /echo HTTP/1.1\r\nHost: x\r\n{begin}")).await.unwrap();
        tokio::time::sleep(Duration::from_millis(20)).await;
        player.send(format!("{end}\r\n{smuggled}")).await.unwrap();
        told(&mut player, "400 Bad Request", "malformed").await;
        assert_eq!(player.rest().await.unwrap(), b"", "nothing else is answered");
    }
    // Each by itself is taken, also where the body looks like such a head.
    let mut player = Player::connect(server.addr).await.unwrap();
    let body = format!("x\r\n{number}{chunks}\r\n");
    let (length, size) = (body.len(), format!("{:x}", body.len()));
    for request in [
        format!("Content-Length: {length}\r\n\r\n{body}"),
        format!("{chunks}\r\n{size}\r\n{body}\r\n0\r\n\r\n"),
    ] {
        player.send(format!("POST /echo HTTP/1.1\r\nHost: x\r\n{request}")).await.unwrap();
        assert_eq!(player.head().await.unwrap().status, "HTTP/1.1 200 OK");
        assert_eq!(player.exactly(length).await.unwrap(), body.as_bytes());
    }
}

#[tokio::test]
async fn a_request_whose_end_others_may_see_elsewhere_is_refused_and_the_last() {
    let server = start(HttpLimits::default(), None);
    let (number, chunks) = ("Content-Length: 4\r\n", "Transfer-Encoding: chunked\r\n");
    let (body, chunked) = ("abcd", "4\r\nabcd\r\n0\r\n\r\n");
    let (bad, unknown) =
        (("400 Bad Request", "malformed"), ("501 Not Implemented", "unsupported_media"));
    for (fields, body, (status, code)) in [
        ("Transfer-Encoding: chunked, chunked\r\n".to_owned(), chunked, bad),
        (chunks.repeat(2), chunked, bad),
        (format!("Transfer-Encoding: identity\r\n{chunks}"), chunked, unknown),
        ("Transfer-Encoding: gzip, chunked\r\n".to_owned(), chunked, unknown),
        (number.repeat(2), body, bad),
        (format!("X: y\n{number}"), body, bad),
        (number.replace('\r', ""), body, bad),
        (format!("{chunks}X: y\n"), chunked, bad),
    ] {
        let mut player = Player::connect(server.addr).await.unwrap();
        // Not the first of the connection, and not in one piece.
        player.send(GET).await.unwrap();
        player.head().await.unwrap();
        player.exactly(2).await.unwrap();
        let (begin, end) = fields.split_at(7);
        player.send(format!("POST /echo HTTP/1.1\r\nHost: x\r\n{begin}")).await.unwrap();
        tokio::time::sleep(Duration::from_millis(20)).await;
        player.send(format!("{end}\r\n{body}{GET}")).await.unwrap();
        told(&mut player, status, code).await;
        assert_eq!(player.rest().await.unwrap(), b"", "nothing else is answered: {fields:?}");
    }
    let mut player = Player::connect(server.addr).await.unwrap();
    for (fields, body) in
        [(number, body), (chunks, chunked), ("Transfer-Encoding: \tChunked \r\n", chunked)]
    {
        let request = format!("POST /echo HTTP/1.1\r\nHost: x\r\n{fields}\r\n{body}");
        player.send(request).await.unwrap();
        assert_eq!(player.head().await.unwrap().status, "HTTP/1.1 200 OK");
        assert_eq!(player.exactly(4).await.unwrap(), b"abcd");
    }
}

#[tokio::test]
async fn a_body_that_nobody_reads_is_not_taken_for_a_head() {
    let server = start(HttpLimits::default(), None);
    let body = "a\nContent-Length: 1\r\n".repeat(500);
    for piece in [body.len(), 3_000] {
        let mut player = Player::connect(server.addr).await.unwrap();
        let (length, fields) = (body.len(), "Host: x\r\nContent-Length");
        player.send(format!("POST / HTTP/1.1\r\n{fields}: {length}\r\n\r\n")).await.unwrap();
        for piece in body.as_bytes().chunks(piece) {
            player.send(piece).await.unwrap();
        }
        let head = player.head().await.unwrap();
        assert_eq!(head.status, "HTTP/1.1 405 Method Not Allowed");
        // It goes on unless more of the body was to come.
        let sent =
            player.send("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n-").await;
        if let (Ok(()), Ok(head)) = (sent, player.head().await) {
            assert_eq!(head.status, "HTTP/1.1 200 OK");
        }
    }
}

#[tokio::test]
async fn a_body_behind_the_end_of_a_head_that_came_before_an_answer_is_not_taken_for_a_head() {
    let server = start(HttpLimits::default(), None);
    let body = "{}\n{}\n";
    let post = format!("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n", body.len());
    // How much of the second head is left when the first request is answered.
    for left in [1, 2, 3, 4, 5, 20, post.len()] {
        let mut player = Player::connect(server.addr).await.unwrap();
        let (begin, rest) = post.split_at(post.len() - left);
        player.send(format!("{GET}{begin}")).await.unwrap();
        player.head().await.unwrap();
        assert_eq!(player.exactly(2).await.unwrap(), b"hi");
        player.send(format!("{rest}{body}{GET}")).await.unwrap();
        assert_eq!(player.head().await.unwrap().status, "HTTP/1.1 200 OK", "{left} left");
        assert_eq!(player.exactly(body.len()).await.unwrap(), body.as_bytes());
        assert_eq!(player.head().await.unwrap().status, "HTTP/1.1 200 OK", "{left} left");
    }
}

#[tokio::test]
async fn what_no_route_saw_is_answered_with_its_id_and_in_the_paths_own_words() {
    let server = start(HttpLimits::default(), None);
    let mut player = Player::connect(server.addr).await.unwrap();
    let bad = "Host: x\r\nHost: y\r\nX-Request-Id: mine\r\n\r\n";
    player.send(format!("GET / HTTP/1.1\r\n{bad}")).await.unwrap();
    let head = player.head().await.unwrap();
    assert_eq!(head.field("x-request-id"), Some("mine"));
    let len = head.field("content-length").unwrap().parse().unwrap();
    let document: serde_json::Value =
        serde_json::from_slice(&player.exactly(len).await.unwrap()).unwrap();
    assert_eq!(document["request_id"], "mine");
    player.send(format!("GET /own HTTP/1.1\r\n{bad}")).await.unwrap();
    let head = player.head().await.unwrap();
    assert_eq!(head.field("x-request-id"), Some("mine"));
    let said = "400 Bad Request mine: an HTTP/1.1 request has exactly one Host header";
    assert_eq!(player.exactly(said.len()).await.unwrap(), said.as_bytes());
}

#[tokio::test]
async fn a_request_with_two_logins_is_refused() {
    let server = start(HttpLimits::default(), None);
    let mut player = Player::connect(server.addr).await.unwrap();
    let login = "Authorization: Bearer a\r\n";
    player.send(format!("GET / HTTP/1.1\r\nHost: x\r\n{login}{login}\r\n")).await.unwrap();
    let head = player.head().await.unwrap();
    assert_eq!(head.status, "HTTP/1.1 400 Bad Request");
    let len = head.field("content-length").unwrap().parse().unwrap();
    let text = String::from_utf8(player.exactly(len).await.unwrap()).unwrap();
    assert!(text.contains("several `authorization` headers"), "{text}");
    player.send(format!("GET / HTTP/1.1\r\nHost: x\r\n{login}\r\n")).await.unwrap();
    assert_eq!(player.head().await.unwrap().status, "HTTP/1.1 200 OK");
}

#[tokio::test]
async fn a_problem_is_a_document() {
    let server = start(HttpLimits::default(), None);
    let mut player = Player::connect(server.addr).await.unwrap();
    player.send("GET /lost HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let head = player.head().await.unwrap();
    assert_eq!(head.status, "HTTP/1.1 404 Not Found");
    assert_eq!(head.field("content-type"), Some("application/problem+json"));
    let len = head.field("content-length").unwrap().parse().unwrap();
    let document: serde_json::Value =
        serde_json::from_slice(&player.exactly(len).await.unwrap()).unwrap();
    assert_eq!(
        (document["code"].as_str(), document["line"].as_u64()),
        (Some("not_found"), Some(3))
    );
}

#[tokio::test]
async fn stopping_lets_requests_finish_and_a_second_signal_cuts() {
    let server = start(HttpLimits::default(), None);
    let mut busy = Player::connect(server.addr).await.unwrap();
    busy.send("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nab").await.unwrap();
    let mut flooded = Player::connect(server.addr).await.unwrap();
    flooded.send("GET /flood HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    flooded.head().await.unwrap();

    // While draining the port stays open.
    server.drain.advance(Phase::Draining);
    let mut late = Player::connect(server.addr).await.unwrap();
    late.send(GET).await.unwrap();
    assert_eq!(late.head().await.unwrap().status, "HTTP/1.1 200 OK");

    server.drain.advance(Phase::Stopping);
    late.exactly(2).await.unwrap();
    assert_eq!(late.rest().await.unwrap(), b"", "idle connections are closed");
    busy.send("cd").await.unwrap();
    assert_eq!(busy.head().await.unwrap().status, "HTTP/1.1 200 OK");
    assert_eq!(busy.exactly(4).await.unwrap(), b"abcd");
    assert!(Player::connect(server.addr).await.is_err(), "the port is closed");
    assert!(!server.task.is_finished());

    server.drain.advance(Phase::Now);
    tokio::time::timeout(Duration::from_secs(5), server.task).await.unwrap().unwrap();
}
