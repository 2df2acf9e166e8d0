//! Clients that mean harm, or are broken: each is answered or closed, the others go on.

use std::time::Duration;

use outflow_broker::{Limits, Room};
use outflow_face_stomp::Options;
use outflow_face_stomp::wire::FrameLimits;

use outflow_model::Action;

use crate::stand::{Client, Stand, key};

fn small() -> Options {
    Options {
        frame: FrameLimits {
            command_bytes: 64,
            line_bytes: 256,
            headers: 12,
            head_bytes: 1024,
            body_bytes: 4096,
        },
        max_subscriptions: 3,
        limits: Limits {
            room: Room { transactions: 2, bytes: 2048, messages: 10 },
            connect_timeout: Duration::from_millis(300),
            write_stall: Duration::from_millis(500),
            ..Limits::default()
        },
        ..Options::default()
    }
}

/// What follows is an ERROR and the end.
async fn is_refused(mut client: Client, what: &str) {
    let error = client.frame_or_end().await.unwrap_or_else(|| panic!("no answer: {what}"));
    assert_eq!(error.command, "ERROR", "{what}");
    assert_eq!(client.frame_or_end().await, None, "{what}");
}

#[tokio::test]
async fn every_limit_of_a_frame_is_an_error_and_the_end() {
    let stand = Stand::with(small()).await;
    let mut witness = stand.connect("1.2").await;
    witness.subscribe("1", "/queue/witness", "").await;
    let long = "a".repeat(5000);
    for (bytes, what) in [
        (long.clone(), "an endless command"),
        (format!("SEND\nk:{long}"), "an endless header"),
        (format!("SEND\n{}", "a:b\n".repeat(5000)), "endless headers"),
        (format!("SEND\n{}", format!("a:{}\n", "b".repeat(200)).repeat(11)), "a large head"),
        (format!("SEND\ndestination:/queue/a\n\n{long}"), "an endless body"),
        ("SEND\ndestination:/queue/a\ncontent-length:4097\n\n".to_owned(), "too long a length"),
        ("SEND\ncontent-length:18446744073709551616\n\n".to_owned(), "a length beyond numbers"),
        ("SEND\ncontent-length:-5\n\nx\0".to_owned(), "a negative length"),
        ("SEND\ncontent-length:1\n\nabc\0".to_owned(), "a length that lies"),
        ("SEND\ndestination:/queue/a\0\n\nx\0".to_owned(), "a NUL in the headers"),
        ("send\ndestination:/queue/a\n\nx\0".to_owned(), "a command in lower case"),
    ] {
        let mut client = stand.connect("1.2").await;
        client.raw_to_the_end(bytes.as_bytes()).await;
        is_refused(client, what).await;
    }
    let mut client = stand.connect("1.2").await;
    client.raw(b"SEND\ndestination:/queue/\xc3\x28\n\nx\0").await;
    is_refused(client, "headers that are no UTF-8").await;
    witness.ask("SEND", "destination:/queue/witness\n", "still here").await;
    assert_eq!(witness.frame().await.text(), "still here");
}

#[tokio::test]
async fn a_frame_cut_at_every_byte_is_the_same_frame() {
    let stand = Stand::new().await;
    let mut client = stand.connect("1.2").await;
    client.subscribe("1", "/topic/cut", "").await;
    let frame =
        "SEND\r\ndestination:/topic/cut\nk:a\\cb é\ncontent-length:8\n\nx\0é😀\0".as_bytes();
    for cut in 1..frame.len() {
        let (left, right) = frame.split_at(cut);
        client.raw(left).await;
        tokio::task::yield_now().await;
        client.raw(right).await;
        let message = client.frame().await;
        assert_eq!((message.the("k"), message.text()), ("a:b é", "x\0é😀"), "cut at {cut}");
    }
}

#[tokio::test]
async fn requests_beyond_their_limits_fail_and_the_connection_stays() {
    let stand = Stand::with(small()).await;
    let mut client = stand.connect("1.2").await;
    let mut fails = async |frame: &str, what: &str| {
        client.send(frame).await;
        let error = client.frame().await;
        assert_eq!(
            (error.command.as_str(), error.get("receipt-id")),
            ("ERROR", Some("r")),
            "{what}"
        );
    };
    for (headers, what) in [
        ("destination:/queue/a\nselector:((((((\n", "an open selector"),
        ("destination:/queue/a\nactivemq.prefetchSize:many\n", "a prefetch that is no number"),
        ("destination:/queue/\n", "a destination without a name"),
        ("destination:\n", "no destination"),
        ("destination:/topic/a\nactivemq.subscriptionName:n\n", "durable without a client id"),
        ("destination:/remote-temp-queue/ID-1:t\n", "another's temporary queue"),
    ] {
        fails(&format!("SUBSCRIBE\nid:x\nreceipt:r\n{headers}\n"), what).await;
    }
    let deep = format!("{}a = 1{}", "(".repeat(100), ")".repeat(100));
    fails(
        &format!("SUBSCRIBE\nid:x\nreceipt:r\ndestination:/queue/a\nselector:{deep}\n\n"),
        "a deep selector",
    )
    .await;
    let composite = vec!["/queue/a"; 25].join(",");
    fails(
        &format!("SEND\nreceipt:r\ndestination:{composite},/topic/>\n\nx"),
        "sending to a wildcard",
    )
    .await;
    for headers in
        ["expires:soon", "priority:high", "AMQ_SCHEDULED_DELAY:x", "AMQ_SCHEDULED_CRON:* * *"]
    {
        fails(&format!("SEND\nreceipt:r\ndestination:/queue/a\n{headers}\n\nx"), headers).await;
    }
    for (frame, what) in [
        ("ACK\nreceipt:r\nid:0-0\n\n", "an ack of nothing"),
        ("ACK\nreceipt:r\nid:99999999999-1\n\n", "an ack beyond numbers"),
        ("ACK\nreceipt:r\n\n", "an ack without an id"),
        ("NACK\nreceipt:r\nmessage-id:x\nsubscription:y\n\n", "a nack of nothing"),
        ("COMMIT\nreceipt:r\n\n", "no transaction"),
        ("ABORT\nreceipt:r\ntransaction:none\n\n", "an unknown transaction"),
        ("SEND\nreceipt:r\ntransaction:none\ndestination:/queue/a\n\nx", "a send in it"),
        ("UNSUBSCRIBE\nreceipt:r\n\n", "unsubscribing from nothing"),
    ] {
        fails(frame, what).await;
    }
    for n in 0..3 {
        client.subscribe(&n.to_string(), "/queue/a", "").await;
    }
    client.send("SUBSCRIBE\nid:9\ndestination:/queue/a\nreceipt:r\n\n").await;
    assert_eq!(client.frame().await.command, "ERROR");
    for name in ["t1", "t2"] {
        client.ask("BEGIN", &format!("transaction:{name}\n"), "").await;
    }
    client.send("BEGIN\ntransaction:t3\nreceipt:r\n\n").await;
    assert_eq!(client.frame().await.command, "ERROR");
    let body = "b".repeat(1500);
    client.ask("SEND", "transaction:t1\ndestination:/queue/tx\n", &body).await;
    client.send(&format!("SEND\ntransaction:t2\ndestination:/queue/tx\nreceipt:r\n\n{body}")).await;
    assert_eq!(client.frame().await.command, "ERROR");
    client.ask("COMMIT", "transaction:t1\n", "").await;
    assert_eq!(client.until_quiet().await, []);
}

#[tokio::test]
async fn acks_of_others_messages_are_none() {
    let stand = Stand::new().await;
    let mut owner = stand.connect("1.2").await;
    owner.subscribe("1", "/queue/mine", "ack:client-individual\n").await;
    owner.ask("SEND", "destination:/queue/mine\n", "m").await;
    let message = owner.frame().await;
    let mut thief = stand.connect("1.2").await;
    thief.subscribe("1", "/queue/other", "ack:client-individual\n").await;
    for id in [format!("id:{}", message.the("ack")), format!("id:{}", message.the("message-id"))] {
        thief.send(&format!("ACK\n{id}\nreceipt:r\n\n")).await;
        assert_eq!(thief.frame().await.command, "ERROR");
    }
    owner.ask("ACK", &format!("id:{}\n", message.the("ack")), "").await;
}

#[tokio::test]
async fn a_frame_may_come_slowly_but_not_stop_halfway() {
    let frame_timeout = Duration::from_secs(1);
    let limits = Limits { frame_timeout, ..Limits::default() };
    let stand = Stand::with(Options { limits, ..Options::default() }).await;
    let mut slow = stand.connect("1.2").await;
    for piece in ["SEND\nreceipt:r\ndesti", "nation:/queue/slow\n", "\n", "bo", "dy", "\0"] {
        slow.raw(piece.as_bytes()).await;
        tokio::time::sleep(frame_timeout / 4).await;
    }
    assert_eq!(slow.frame().await.command, "RECEIPT");
    let mut stuck = stand.connect("1.2").await;
    stuck.raw(b"SEND\ndestination:/queue/slow\n\nhal").await;
    let error = stuck.frame().await;
    assert_eq!(error.the("message"), "The rest of the frame did not come in time");
    assert_eq!(stuck.frame_or_end().await, None);
    // Between frames a client may be silent.
    slow.raw(b"\n").await;
    tokio::time::sleep(frame_timeout * 2).await;
    slow.ask("SEND", "destination:/queue/slow\n", "more").await;
}

#[tokio::test]
async fn who_does_not_log_in_in_time_is_cut() {
    let stand = Stand::with(small()).await;
    let mut silent = stand.dial().await;
    let mut trickling = stand.dial().await;
    trickling.raw(b"CONN").await;
    assert_eq!(silent.frame_or_end().await, None);
    assert_eq!(trickling.frame_or_end().await, None);
}

/// Who asks for messages and reads none holds what the socket holds, and is cut.
#[tokio::test]
async fn who_takes_no_bytes_is_cut_and_its_messages_go_to_others() {
    let stand = Stand::with(small()).await;
    let mut stuck = stand.connect("1.2").await;
    stuck
        .send(
            "SUBSCRIBE\nid:1\ndestination:/queue/big\nack:client\nactivemq.prefetchSize:30000\n\n",
        )
        .await;
    let mut producer = stand.connect("1.2").await;
    let body = "b".repeat(4000);
    let frame = format!("SEND\ndestination:/queue/big\n\n{body}\0");
    for _ in 0..40 {
        producer.raw(frame.repeat(200).as_bytes()).await;
    }
    producer.ask("SEND", "destination:/queue/big\n", "last").await;
    let mut next = stand.connect("1.2").await;
    next.subscribe("1", "/queue/big", "").await;
    // What the stuck one held comes when it is cut, behind the last or before it.
    let mut lasts = 0;
    for _ in 0..8_001 {
        lasts += usize::from(next.frame().await.text() == "last");
    }
    assert_eq!(lasts, 1);
}

/// Before a login nothing is done, whatever is sent.
#[tokio::test]
async fn strangers_reach_nothing() {
    let stand = Stand::new().await;
    let mut stranger = stand.dial().await;
    for frame in [
        "SEND\ndestination:/queue/a\nreceipt:r\n\nx",
        "SUBSCRIBE\nid:1\ndestination:/topic/>\nreceipt:r\n\n",
        "BEGIN\ntransaction:t\nreceipt:r\n\n",
        "DISCONNECT\nreceipt:r\n\n",
    ] {
        stranger.send(frame).await;
        let error = stranger.frame().await;
        assert_eq!((error.command.as_str(), error.the("message")), ("ERROR", "Not connected."));
    }
    for login in ["", "login:broker\n", "login:broker\npasscode:wrong\n", "passcode:x\n"] {
        let mut stranger = stand.dial().await;
        stranger.send(&format!("CONNECT\naccept-version:1.2\n{login}\n")).await;
        is_refused(stranger, login).await;
    }
}

#[tokio::test]
async fn a_drain_ends_connections_after_what_is_under_way() {
    let stand = Stand::new().await;
    let mut client = stand.connect("1.2").await;
    let sends: String = (0..500)
        .map(|n| format!("SEND\ndestination:/queue/d\npersistent:true\nreceipt:{n}\n\nx\0"))
        .collect();
    client.raw(sends.as_bytes()).await;
    assert_eq!(client.frame().await.the("receipt-id"), "0");
    stand.drain.advance(outflow_face::Phase::Stopping);
    // Every receipt comes whole and in order, then the end; what the queue has is what was answered.
    let mut next = 1;
    while let Some(frame) = client.frame_or_end().await {
        assert_eq!(frame.the("receipt-id"), next.to_string());
        next += 1;
    }
    let queue = stand.hub.subscription(&crate::stand::project(), "queue:d").unwrap();
    assert_eq!(stand.hub.subscription_stats(&queue).backlog, next);
    assert_eq!(next, 500, "what had come was under way");
}

#[tokio::test]
async fn before_its_login_a_client_may_hold_no_more_than_a_login() {
    let stand = Stand::new().await;
    let half = vec![b'x'; 64 << 10];
    for (head, what) in [
        ("CONNECT\ncontent-length:1048000\n\n", "a length that is said"),
        ("CONNECT\n\n", "a body without an end"),
        ("SEND\ncontent-length:1048000\n\n", "another frame"),
    ] {
        let mut client = stand.dial().await;
        client.raw_to_the_end(head.as_bytes()).await;
        client.raw_to_the_end(&half).await;
        is_refused(client, what).await;
    }
    // What a login may have is enough for a token, and what follows in the same packet waits for it.
    let mut client = stand.dial().await;
    let (login, token, body) = (stand.login(), "t".repeat(8 << 10), "y".repeat(100 << 10));
    let connect = format!("CONNECT\naccept-version:1.2\n{login}token:{token}\n\n\0");
    let send = format!("SEND\ndestination:/queue/q\nreceipt:r\n\n{body}\0");
    client.raw((connect + &send).as_bytes()).await;
    assert_eq!(client.frame().await.command, "CONNECTED");
    assert_eq!(client.frame().await.command, "RECEIPT");
}

/// A login that may consume, and send nothing.
async fn consumer(stand: &Stand) -> Client {
    let issued = stand.auth.issue(key(&[Action::Read])).await.unwrap();
    let mut client = stand.dial().await;
    let secret = issued.secret.expose();
    client.send(&format!("CONNECT\naccept-version:1.2\nlogin:broker\npasscode:{secret}\n\n")).await;
    assert_eq!(client.frame().await.command, "CONNECTED");
    client.speak("1.2");
    client
}

#[tokio::test]
async fn a_send_to_where_it_may_not_go_is_refused_at_its_head_and_its_body_is_not_held() {
    // Not one of the bodies has room.
    let limits = Limits { held_bytes: 128 << 10, ..Limits::default() };
    let stand = Stand::with(Options { limits, ..Options::default() }).await;
    let (half, rest) = ("h".repeat(500_000), "r".repeat(100_000));
    let said = half.len() + rest.len();
    for length in [format!("content-length:{said}\n"), String::new()] {
        let mut client = consumer(&stand).await;
        for n in 0..2 {
            let head = format!("SEND\nreceipt:{n}\ndestination:/queue/theirs\n{length}\n");
            client.raw(head.as_bytes()).await;
            client.raw(half.as_bytes()).await;
            let error = client.frame().await;
            assert_eq!(error.command, "ERROR");
            assert_eq!(error.the("receipt-id"), n.to_string());
            client.raw(rest.as_bytes()).await;
            client.raw(b"\0").await;
        }
        // It is told of nothing more, and may go on.
        client.ask("BEGIN", "transaction:t\n", "").await;
        assert_eq!(client.until_quiet().await, []);
    }
    assert!(stand.hub.subscription(&crate::stand::project(), "queue:theirs").is_none());
    // One in a transaction dooms it.
    let mut client = consumer(&stand).await;
    client.ask("BEGIN", "transaction:t\n", "").await;
    client.raw(b"SEND\ntransaction:t\ndestination:/queue/theirs\n\nbegun").await;
    assert_eq!(client.frame().await.command, "ERROR");
    client.raw(b"\0").await;
    client.send("COMMIT\ntransaction:t\nreceipt:r\n\n").await;
    assert_eq!(client.frame().await.command, "ERROR");
}

#[tokio::test]
async fn frames_that_have_no_use_for_a_body_have_none_to_speak_of() {
    let stand = Stand::new().await;
    let body = "b".repeat(2_000);
    for (frame, what) in [
        ("SUBSCRIBE\nid:1\ndestination:/queue/q\ncontent-length:2000\n\n".to_owned(), "said"),
        (format!("SUBSCRIBE\nid:1\ndestination:/queue/q\n\n{body}"), "not said"),
        ("MESSAGE\ndestination:/queue/q\n\nbegun".to_owned(), "the server's"),
    ] {
        let mut client = stand.connect("1.2").await;
        client.raw_to_the_end(frame.as_bytes()).await;
        is_refused(client, what).await;
    }
    let mut client = stand.connect("1.2").await;
    client.ask("SUBSCRIBE", "id:1\ndestination:/queue/q\n", "a little").await;
}
