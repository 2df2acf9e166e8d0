//! Messages between clients: what is sent arrives, once, in order, and as it was.
//!
//! Long because it is one list: each rule of messages with its test.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use outflow_auth::{CredentialKind, NewCredential};
use outflow_model::{Action, Draft, StreamName};

use crate::stand::{Client, Frame, Stand, key, project};

pub(crate) async fn send(client: &mut Client, destination: &str, headers: &str, body: &str) {
    client.ask("SEND", &format!("destination:{destination}\n{headers}"), body).await;
}

pub(crate) fn bodies(frames: &[Frame]) -> Vec<&str> {
    frames.iter().map(Frame::text).collect()
}

#[tokio::test]
async fn a_queue_gives_each_message_to_one_consumer_in_order() {
    let stand = Stand::new().await;
    let mut producer = stand.connect("1.2").await;
    for n in 0..10 {
        send(&mut producer, "/queue/work", "persistent:true\n", &format!("m{n}")).await;
    }
    let mut consumer = stand.connect("1.2").await;
    consumer.subscribe("1", "/queue/work", "ack:client-individual\n").await;
    let frames = consumer.frames(10).await;
    assert_eq!(bodies(&frames), ["m0", "m1", "m2", "m3", "m4", "m5", "m6", "m7", "m8", "m9"]);
    for frame in &frames {
        assert_eq!(frame.the("destination"), "/queue/work");
        assert_eq!(frame.the("subscription"), "1");
        assert_eq!(frame.the("persistent"), "true");
        consumer.ask("ACK", &format!("id:{}\n", frame.the("ack")), "").await;
    }
    assert_eq!(consumer.until_quiet().await, []);
    // Acked is gone.
    let mut late = stand.connect("1.2").await;
    late.subscribe("1", "/queue/work", "").await;
    send(&mut producer, "/queue/work", "", "last").await;
    drop(consumer);
    assert_eq!(late.frame().await.text(), "last");
}

#[tokio::test]
async fn bodies_of_any_kind_come_back_byte_for_byte_and_json_stays_json_for_http() {
    let stand = Stand::new().await;
    let mut client = stand.connect("1.2").await;
    client.subscribe("1", "/topic/any", "").await;
    let bodies: [&[u8]; 9] = [
        b"",
        b"{\"a\": 1.50,  \"a\":\"\\u00e9\"}",
        b"[1,2]",
        b"{not json}",
        b" {\"a\":1}",
        b"{\"a\":\n1}",
        "text with é and \u{0} and 😀".as_bytes(),
        b"\xff\xfe\x00",
        b"\"quoted\"",
    ];
    for body in bodies {
        let head = format!("SEND\ndestination:/topic/any\ncontent-length:{}\n\n", body.len());
        client.raw(head.as_bytes()).await;
        client.raw(body).await;
        client.raw(b"\0").await;
        let frame = client.frame().await;
        assert_eq!(frame.body, body);
        assert_eq!(frame.the("content-length"), body.len().to_string());
    }
    let stream = stand.hub.stream(&project(), &StreamName::new("any").unwrap()).unwrap();
    assert_eq!(stand.hub.stats(&stream).next.get() - stand.hub.stats(&stream).start.get(), 9);
}

#[tokio::test]
async fn an_event_published_by_http_is_a_message() {
    let stand = Stand::new().await;
    let mut client = stand.connect("1.2").await;
    // The first send makes the stream.
    send(&mut client, "/topic/feed", "", "x").await;
    client.subscribe("1", "/topic/feed", "").await;
    let stream = stand.hub.stream(&project(), &StreamName::new("feed").unwrap()).unwrap();
    let grant = stand
        .auth
        .authenticate(&outflow_auth::Presented::Bearer { project: None, token: &stand.secret })
        .unwrap();
    let mut draft = Draft::default();
    for event in [
        r#"{"id":"e1","type":"OPEN","key":"k","headers":{"a":"b:c","subscription":"forged"},"body":{"n":1}}"#,
        r#"{"id":"e2","type":"CLOSE","device":{"x":1}}"#,
    ] {
        draft.push_json(event.as_bytes(), &stand.hub.rules(), stand.hub.rng()).unwrap();
    }
    stand.hub.publish(&grant, &stream, draft).await.unwrap();
    let first = client.frame().await;
    assert_eq!((first.text(), first.the("message-id")), (r#"{"n":1}"#, "e1"));
    assert_eq!((first.the("type"), first.the("a")), ("OPEN", "b:c"));
    assert_eq!(first.the("content-type"), "application/json");
    assert_eq!((first.the("JMSXGroupID"), first.the("subscription")), ("k", "1"));
    assert_eq!(first.headers.iter().filter(|(name, _)| name == "subscription").count(), 1);
    // Without a body it is told whole.
    let second = client.frame().await;
    let line: serde_json::Value = serde_json::from_slice(&second.body).unwrap();
    assert_eq!((&line["id"], &line["device"]["x"]), (&"e2".into(), &1.into()));
}

#[tokio::test]
async fn what_was_not_acked_comes_back_in_order_and_says_so() {
    let stand = Stand::new().await;
    let mut producer = stand.connect("1.2").await;
    for body in ["a", "b", "c"] {
        send(&mut producer, "/queue/back", "", body).await;
    }
    for version in ["1.0", "1.1", "1.2"] {
        let mut consumer = stand.connect(version).await;
        consumer.subscribe("1", "/queue/back", "ack:client\n").await;
        assert_eq!(bodies(&consumer.frames(3).await), ["a", "b", "c"]);
        // Unsubscribing gives them back as well as going away does.
        consumer.ask("UNSUBSCRIBE", "id:1\n", "").await;
        consumer.subscribe("2", "/queue/back", "ack:client\n").await;
        let again = consumer.frames(3).await;
        assert_eq!(bodies(&again), ["a", "b", "c"]);
        assert!(again.iter().all(|frame| frame.the("redelivered") == "true"));
    }
}

#[tokio::test]
async fn acks_of_all_versions_count_as_they_say() {
    let stand = Stand::new().await;
    let mut producer = stand.connect("1.2").await;
    for version in ["1.0", "1.1", "1.2"] {
        let queue = format!("/queue/acks.{version}");
        for body in ["a", "b", "c", "d"] {
            send(&mut producer, &queue, "", body).await;
        }
        let mut consumer = stand.connect(version).await;
        consumer.subscribe("s", &queue, "ack:client\n").await;
        let frames = consumer.frames(4).await;
        let ack = |frame: &Frame| match version {
            "1.0" => format!("message-id:{}\n", frame.the("message-id")),
            "1.1" => format!("message-id:{}\nsubscription:s\n", frame.the("message-id")),
            _ => format!("id:{}\n", frame.the("ack")),
        };
        // Cumulative: the third counts for the first two.
        consumer.ask("ACK", &ack(&frames[2]), "").await;
        // Twice is an error, and the connection stays.
        consumer.send(&format!("ACK\nreceipt:r\n{}\n", ack(&frames[1]))).await;
        let error = consumer.frame().await;
        assert_eq!((error.command.as_str(), error.get("receipt-id")), ("ERROR", Some("r")));
        drop(consumer);
        let mut next = stand.connect(version).await;
        next.subscribe("s", &queue, "").await;
        assert_eq!(next.frame().await.text(), "d");
    }
}

#[tokio::test]
async fn an_individual_ack_counts_for_its_message_only() {
    let stand = Stand::new().await;
    let mut producer = stand.connect("1.2").await;
    for body in ["a", "b", "c"] {
        send(&mut producer, "/queue/one", "", body).await;
    }
    let mut consumer = stand.connect("1.1").await;
    consumer.subscribe("s", "/queue/one", "ack:client-individual\n").await;
    let frames = consumer.frames(3).await;
    let id = frames[1].the("message-id");
    consumer.ask("ACK", &format!("message-id:{id}\nsubscription:s\n"), "").await;
    drop(consumer);
    let mut next = stand.connect("1.2").await;
    next.subscribe("s", "/queue/one", "").await;
    assert_eq!(bodies(&next.frames(2).await), ["a", "c"]);
}

#[tokio::test]
async fn a_refused_message_goes_to_the_dead_letters() {
    let stand = Stand::new().await;
    let mut client = stand.connect("1.2").await;
    client.subscribe("2", "/queue/ActiveMQ.DLQ", "").await;
    client.subscribe("1", "/queue/nack", "ack:client-individual\n").await;
    send(&mut client, "/queue/nack", "k:v\n", "n").await;
    let message = client.frame().await;
    client.ask("NACK", &format!("id:{}\n", message.the("ack")), "").await;
    let dead = client.frame().await;
    assert_eq!((dead.text(), dead.the("k")), ("n", "v"));
    assert_eq!(dead.the("destination"), "/queue/ActiveMQ.DLQ");
    assert_eq!(dead.the("original-destination"), "/queue/nack");
    assert_eq!(dead.the("message-id"), message.the("message-id"));
    assert!(dead.get("dlqDeliveryFailureCause").is_some());
    assert!(!dead.headers.iter().any(|(name, _)| name.starts_with("outflow-dead-s")));
}

#[tokio::test]
async fn a_transaction_is_whole_or_nothing() {
    let stand = Stand::new().await;
    let mut client = stand.connect("1.2").await;
    client.subscribe("1", "/queue/tx", "ack:client-individual\nactivemq.prefetchSize:1\n").await;
    client.ask("BEGIN", "transaction:t\n", "").await;
    send(&mut client, "/queue/tx", "transaction:t\n", "n").await;
    assert_eq!(client.until_quiet().await, []);
    client.send("COMMIT\ntransaction:t\nreceipt:c\n\n").await;
    let mut frames = client.frames(2).await;
    frames.sort_by(|a, b| a.command.cmp(&b.command));
    assert_eq!((frames[0].text(), frames[1].the("receipt-id")), ("n", "c"));
    // Acks of an aborted transaction never were: the same id acks again.
    let ack = frames[0].the("ack").to_owned();
    client.ask("BEGIN", "transaction:a\n", "").await;
    client.ask("ACK", &format!("transaction:a\nid:{ack}\n"), "").await;
    send(&mut client, "/queue/tx", "transaction:a\n", "never").await;
    client.ask("ABORT", "transaction:a\n", "").await;
    client.ask("BEGIN", "transaction:b\n", "").await;
    client.ask("ACK", &format!("transaction:b\nid:{ack}\n"), "").await;
    // More messages than are sent at once: an ack in the transaction makes room for the next.
    send(&mut client, "/queue/tx", "", "m").await;
    let next = client.frame().await;
    assert_eq!(next.text(), "m");
    client.ask("ACK", &format!("transaction:b\nid:{}\n", next.the("ack")), "").await;
    client.ask("COMMIT", "transaction:b\n", "").await;
    drop(client);
    let mut late = stand.connect("1.2").await;
    late.subscribe("1", "/queue/tx", "").await;
    assert_eq!(late.until_quiet().await, []);
}

#[tokio::test]
async fn a_feed_is_mirrored_to_destination_ids_and_balanced_over_connections() {
    let stand = Stand::new().await;
    let mut mirrors = [stand.connect("1.2").await, stand.connect("1.1").await];
    mirrors[0].subscribe("1", "/queue/destA.RTO.n1", "").await;
    // A bare name is a queue, too.
    mirrors[1].subscribe("2", "destB.RTO.n1", "").await;
    let mut producer = stand.connect("1.2").await;
    send(&mut producer, "/topic/RTO.n1", "content-type:application/json\n", r#"{"md5":"x"}"#).await;
    for (mirror, name) in mirrors.iter_mut().zip(["/queue/destA.RTO.n1", "/queue/destB.RTO.n1"]) {
        let frame = mirror.frame().await;
        assert_eq!((frame.the("destination"), frame.text()), (name, r#"{"md5":"x"}"#));
        assert_eq!(frame.the("original-destination"), "/topic/RTO.n1");
    }
    // A second connection of one destination id shares with the first.
    let mut second = stand.connect("1.2").await;
    second.subscribe("1", "/queue/destA.RTO.n1", "").await;
    for n in 0..20 {
        send(&mut producer, "/topic/RTO.n1", "", &n.to_string()).await;
    }
    let mut all = mirrors[0].until_quiet().await;
    assert!(!all.is_empty() && all.len() < 20, "{} of 20", all.len());
    while all.len() < 20 {
        all.push(second.frame().await);
    }
    let mut numbers: Vec<u32> = all.iter().map(|frame| frame.text().parse().unwrap()).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (0..20).collect::<Vec<_>>());
}

#[tokio::test]
async fn wildcards_and_composites_reach_what_they_name() {
    let stand = Stand::new().await;
    let mut client = stand.connect("1.2").await;
    client.subscribe("1", "/topic/w.1.>", "").await;
    client.subscribe("2", "/topic/w.1.*", "").await;
    for (topic, body) in [("w.1.a", "1"), ("w.1", "2"), ("w.1.a.b", "3")] {
        send(&mut client, &format!("/topic/{topic}"), "", body).await;
    }
    let mut seen = Vec::new();
    for frame in client.frames(4).await {
        let parts = [frame.the("subscription"), frame.the("destination"), frame.text()];
        seen.push(parts.map(str::to_owned));
    }
    seen.sort();
    assert_eq!(
        seen,
        [
            ["1", "/topic/w.1", "2"],
            ["1", "/topic/w.1.a", "1"],
            ["1", "/topic/w.1.a.b", "3"],
            ["2", "/topic/w.1.a", "1"],
        ]
        .map(|row| row.map(str::to_owned))
    );
    client.subscribe("3", "/queue/c1,/queue/c2", "").await;
    send(&mut client, "/queue/c1,/queue/c2", "", "x").await;
    let mut both: Vec<String> =
        client.frames(2).await.iter().map(|frame| frame.the("destination").to_owned()).collect();
    both.sort();
    assert_eq!(both, ["/queue/c1", "/queue/c2"]);
}

#[tokio::test]
async fn selectors_choose_and_the_rest_waits_for_others() {
    let stand = Stand::new().await;
    let mut client = stand.connect("1.2").await;
    client.subscribe("high", "/queue/sel", "selector:n > 5 AND JMSType = 'T'\n").await;
    for n in [3, 10, 7] {
        send(&mut client, "/queue/sel", &format!("n:{n}\ntype:T\n"), &n.to_string()).await;
    }
    assert_eq!(bodies(&client.frames(2).await), ["10", "7"]);
    client.subscribe("all", "/queue/sel", "").await;
    let rest = client.frame().await;
    assert_eq!((rest.text(), rest.the("subscription")), ("3", "all"));
}

#[tokio::test]
async fn a_browser_looks_and_takes_nothing() {
    let stand = Stand::new().await;
    let mut client = stand.connect("1.2").await;
    for body in ["x", "y"] {
        send(&mut client, "/queue/look", "", body).await;
    }
    client.subscribe("b", "/queue/look", "browser:true\nack:client\n").await;
    let frames = client.frames(3).await;
    assert_eq!(bodies(&frames[..2]), ["x", "y"]);
    assert!(frames[0].get("ack").is_none());
    assert_eq!((frames[2].the("browser"), frames[2].the("message-id")), ("end", "0"));
    client.subscribe("c", "/queue/look", "").await;
    assert_eq!(bodies(&client.frames(2).await), ["x", "y"]);
}

#[tokio::test]
async fn a_durable_subscriber_misses_nothing_while_it_is_away() {
    let stand = Stand::new().await;
    let mut producer = stand.connect("1.2").await;
    let durable = "activemq.subscriptionName:news\nack:client\n";
    {
        let mut subscriber = stand.connect_with("1.2", "client-id:c1\n").await;
        subscriber.subscribe("1", "/topic/news", durable).await;
        subscriber.ask("DISCONNECT", "", "").await;
        assert_eq!(subscriber.frame_or_end().await, None);
    }
    send(&mut producer, "/topic/news", "", "while away").await;
    let mut subscriber = stand.connect_with("1.2", "client-id:c1\n").await;
    subscriber.subscribe("1", "/topic/news", durable).await;
    assert_eq!(subscriber.frame().await.text(), "while away");
    subscriber.ask("UNSUBSCRIBE", "id:1\nactivemq.subscriptionName:news\n", "").await;
    send(&mut producer, "/topic/news", "", "missed").await;
    subscriber.subscribe("1", "/topic/news", durable).await;
    assert_eq!(subscriber.until_quiet().await, []);
}

#[tokio::test]
async fn a_kind_of_message_that_only_jms_clients_write_is_refused() {
    let stand = Stand::new().await;
    let mut client = stand.connect("1.2").await;
    client.send("SEND\ndestination:/queue/kinds\namq-msg-type:map\n\n{\"a\":1}").await;
    let refused = client.frame().await;
    assert_eq!(refused.command, "ERROR");
    assert_eq!(refused.the("message"), "Unsupported message type 'map'");
    for kind in ["TEXT", "bytes"] {
        client.ask("SEND", &format!("destination:/queue/kinds\namq-msg-type:{kind}\n"), kind).await;
    }
    client.subscribe("1", "/queue/kinds", "").await;
    assert_eq!(client.frame().await.text(), "TEXT");
    assert_eq!(client.frame().await.text(), "bytes");
}

#[tokio::test]
async fn a_durable_subscription_has_one_consumer() {
    let stand = Stand::new().await;
    let mut subscriber = stand.connect_with("1.2", "client-id:c1\n").await;
    let durable = "activemq.subscriptionName:news\n";
    subscriber.subscribe("1", "/topic/news", durable).await;
    let again = format!("id:2\ndestination:/topic/news\n{durable}");
    subscriber.send(&format!("SUBSCRIBE\n{again}\n")).await;
    let refused = subscriber.frame().await;
    assert_eq!(refused.command, "ERROR");
    let message = "Durable consumer is in use for client: c1 and subscriptionName: news";
    assert_eq!(refused.the("message"), message);
    subscriber.ask("UNSUBSCRIBE", "id:1\n", "").await;
    subscriber.subscribe("2", "/topic/news", durable).await;
}

#[tokio::test]
async fn a_request_is_answered_over_a_temporary_queue() {
    let stand = Stand::new().await;
    let mut asker = stand.connect("1.2").await;
    let mut answerer = stand.connect("1.2").await;
    answerer.subscribe("1", "/queue/ask", "").await;
    asker.subscribe("1", "/temp-queue/t1", "").await;
    send(&mut asker, "/queue/ask", "reply-to:/temp-queue/t1\ncorrelation-id:7\n", "?").await;
    let question = answerer.frame().await;
    let reply_to = question.the("reply-to").to_owned();
    assert!(reply_to.starts_with("/remote-temp-queue/"), "{reply_to}");
    send(&mut answerer, &reply_to, "correlation-id:7\nreply-to:/temp-queue/t1\n", "!").await;
    let answer = asker.frame().await;
    assert_eq!((answer.text(), answer.the("destination")), ("!", "/temp-queue/t1"));
    // To itself, a connection's temporary queue goes by its alias.
    send(&mut asker, "/temp-queue/t1", "reply-to:/temp-queue/t1\n", "x").await;
    assert_eq!(asker.frame().await.the("reply-to"), "/temp-queue/t1");
    // Nobody else consumes it, and it goes with its connection.
    let theft = format!("SUBSCRIBE\nid:9\ndestination:{reply_to}\nreceipt:r\n\n");
    answerer.send(&theft).await;
    assert_eq!(answerer.frame().await.command, "ERROR");
    asker.ask("DISCONNECT", "", "").await;
    assert_eq!(asker.frame_or_end().await, None);
    let name = reply_to.replace("/remote-temp-queue/", "temp-queue:");
    while stand.hub.subscription(&project(), &name).is_some() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn no_local_leaves_out_what_the_connection_sent_itself() {
    let stand = Stand::new().await;
    let mut client = stand.connect("1.2").await;
    let mut other = stand.connect("1.2").await;
    client.subscribe("1", "/topic/local", "activemq.noLocal:true\n").await;
    send(&mut client, "/topic/local", "", "mine").await;
    send(&mut other, "/topic/local", "", "theirs").await;
    let frame = client.frame().await;
    assert_eq!(frame.text(), "theirs");
    assert!(!frame.headers.iter().any(|(name, _)| name.starts_with("outflow-")));
}

#[tokio::test]
async fn receipts_come_in_order_however_much_is_sent_at_once() {
    let stand = Stand::new().await;
    let mut client = stand.connect("1.2").await;
    let mut text = String::new();
    for n in 0..3_000 {
        let (queue, persistent) = (n % 7, n % 3 == 0);
        text.push_str(&format!(
            "SEND\ndestination:/queue/q{queue}\npersistent:{persistent}\nreceipt:{n}\n\nm{n}\0"
        ));
    }
    client.raw(text.as_bytes()).await;
    for n in 0..3_000 {
        assert_eq!(client.frame().await.the("receipt-id"), n.to_string());
    }
}

/// What a client sends and closes behind is taken all the same.
#[tokio::test]
async fn a_half_closed_connection_gets_its_receipts() {
    let stand = Stand::new().await;
    let mut client = stand.connect("1.2").await;
    client.send("SEND\ndestination:/queue/half\nreceipt:r\npersistent:true\n\nx").await;
    client.half_close().await;
    assert_eq!(client.frame().await.the("receipt-id"), "r");
    assert_eq!(client.frame_or_end().await, None);
}

#[tokio::test]
async fn heart_beats_come_and_silence_ends_the_connection() {
    let stand = Stand::new().await;
    let mut client = stand.connect_with("1.2", "heart-beat:0,100\n").await;
    client.wait_for_beats(4).await;
    let mut silent = stand.connect_with("1.2", "heart-beat:100,0\n").await;
    assert_eq!(silent.frame_or_end().await, None);
}

#[tokio::test]
async fn a_credential_reaches_what_it_may_and_ends_with_its_revocation() {
    let stand = Stand::new().await;
    let user = NewCredential {
        kind: CredentialKind::User,
        user: Some("12345".to_owned()),
        destinations: Some(outflow_auth::user::namespace("mine").unwrap()),
        ..key(&[Action::Read])
    };
    let issued = stand.auth.issue(user).await.unwrap();
    let login = format!("login:12345\npasscode:{}\n", issued.secret.expose());
    let mut client = stand.dial().await;
    client.send(&format!("CONNECT\naccept-version:1.2\n{login}\n")).await;
    assert_eq!(client.frame().await.command, "CONNECTED");
    client.speak("1.2");
    client.subscribe("1", "/queue/dest.RTO.mine", "").await;
    for (frame, what) in [
        ("SUBSCRIBE\nid:2\ndestination:/queue/dest.RTO.theirs\nreceipt:r\n\n", "another's feed"),
        ("SUBSCRIBE\nid:3\ndestination:/topic/RTO.theirs\nreceipt:r\n\n", "another's topic"),
        ("SUBSCRIBE\nid:4\ndestination:/topic/>\nreceipt:r\n\n", "all there is"),
        ("SEND\ndestination:/topic/RTO.mine\nreceipt:r\n\nx", "publishing"),
        ("SEND\ndestination:/queue/dest.RTO.mine\nreceipt:r\n\nx", "publishing to the queue"),
    ] {
        client.send(frame).await;
        let refused = client.frame().await;
        assert_eq!(
            (refused.command.as_str(), refused.get("receipt-id")),
            ("ERROR", Some("r")),
            "{what}"
        );
    }
    stand.auth.revoke(&issued.credential.id).await.unwrap();
    assert_eq!(client.frame().await.command, "ERROR");
    assert_eq!(client.frame_or_end().await, None);
    let mut wrong = stand.dial().await;
    wrong.send(&format!("CONNECT\naccept-version:1.2\n{login}\n")).await;
    let refused = wrong.frame().await;
    assert_eq!(refused.the("message"), "User name [12345] or password is invalid.");
    assert_eq!(wrong.frame_or_end().await, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revoked_client_that_never_stops_sending_is_ended() {
    let stand = Stand::new().await;
    let issued = stand.auth.issue(key(&[Action::Publish])).await.unwrap();
    let mut client = stand.dial().await;
    let login = format!("login:{}\npasscode:{}\n", project(), issued.secret.expose());
    client.send(&format!("CONNECT\naccept-version:1.2\n{login}\n")).await;
    assert_eq!(client.frame().await.command, "CONNECTED");
    let written = Arc::new(AtomicU64::new(0));
    let flood = tokio::spawn({
        let written = Arc::clone(&written);
        async move {
            let sends = "SEND\ndestination:/queue/flood\n\nx\0".repeat(1000);
            client.flood(sends.as_bytes(), &written).await;
        }
    });
    while written.load(Relaxed) < 100 {
        tokio::task::yield_now().await;
    }
    stand.auth.revoke(&issued.credential.id).await.unwrap();
    tokio::time::timeout(std::time::Duration::from_secs(10), flood)
        .await
        .expect("the client still sends")
        .unwrap();
}
