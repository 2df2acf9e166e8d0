//! Transactions that fail: nothing of them is applied, and COMMIT says so; and what comes before what
//! when one is committed.

use outflow_broker::{Limits, Room};
use outflow_face_stomp::Options;

use crate::stand::{Client, Stand};

/// Sends a frame with a receipt; gives the answer.
async fn answer(client: &mut Client, command: &str, headers: &str, body: &str) -> String {
    client.send(&format!("{command}\nreceipt:r\n{headers}\n{body}")).await;
    let answer = client.frame().await;
    assert_eq!(answer.get("receipt-id"), Some("r"), "{answer:?}");
    answer.command
}

/// What a consumer that comes now gets of a queue.
async fn rest(stand: &Stand, queue: &str) -> Vec<String> {
    let mut late = stand.connect("1.2").await;
    late.subscribe("1", queue, "").await;
    late.until_quiet().await.iter().map(|frame| frame.text().to_owned()).collect()
}

#[tokio::test]
async fn a_refused_send_dooms_its_transaction() {
    let options = Options {
        limits: Limits {
            room: Room { bytes: 2_000, ..Limits::default().room },
            ..Limits::default()
        },
        ..Options::default()
    };
    let stand = Stand::with(options).await;
    let mut client = stand.connect("1.2").await;
    let large = "x".repeat(3_000);
    for (headers, body, what) in [
        ("destination:/queue/doomed\n", large.as_str(), "larger than transactions may be"),
        ("destination:/queue/doomed\npriority:high\n", "b", "a header that is no number"),
        ("destination:/queue/\n", "b", "no destination"),
        ("destination:/queue/doomed.*\n", "b", "a destination that is not found"),
    ] {
        client.ask("BEGIN", "transaction:t\n", "").await;
        let send = "destination:/queue/doomed\ntransaction:t\n";
        client.ask("SEND", send, "a").await;
        let refused = format!("{headers}transaction:t\n");
        assert_eq!(answer(&mut client, "SEND", &refused, body).await, "ERROR", "{what}");
        // Whatever follows is not taken either, so that nobody takes it for stored.
        assert_eq!(answer(&mut client, "SEND", send, "c").await, "ERROR", "{what}");
        assert_eq!(answer(&mut client, "COMMIT", "transaction:t\n", "").await, "ERROR", "{what}");
        assert_eq!(rest(&stand, "/queue/doomed").await, Vec::<String>::new(), "{what}");
        // The transaction is over: its name is free.
        client.ask("BEGIN", "transaction:t\n", "").await;
        client.ask("ABORT", "transaction:t\n", "").await;
    }
    // Others go on.
    client.ask("BEGIN", "transaction:bad\n", "").await;
    client.ask("BEGIN", "transaction:good\n", "").await;
    let bad = "destination:/queue/\ntransaction:bad\n";
    assert_eq!(answer(&mut client, "SEND", bad, "b").await, "ERROR");
    client.ask("SEND", "destination:/queue/doomed\ntransaction:good\n", "kept").await;
    client.ask("COMMIT", "transaction:good\n", "").await;
    assert_eq!(rest(&stand, "/queue/doomed").await, ["kept"]);
}

#[tokio::test]
async fn a_refused_ack_dooms_its_transaction_and_gives_the_messages_back() {
    let stand = Stand::new().await;
    let mut client = stand.connect("1.2").await;
    for body in ["a", "b"] {
        client.ask("SEND", "destination:/queue/acked\n", body).await;
    }
    client.subscribe("1", "/queue/acked", "ack:client-individual\n").await;
    let frames = client.frames(2).await;
    let first = format!("id:{}\ntransaction:t\n", frames[0].the("ack"));
    client.ask("BEGIN", "transaction:t\n", "").await;
    client.ask("SEND", "destination:/queue/answers\ntransaction:t\n", "answer").await;
    client.ask("ACK", &first, "").await;
    assert_eq!(answer(&mut client, "ACK", "id:9-9\ntransaction:t\n", "").await, "ERROR");
    assert_eq!(answer(&mut client, "COMMIT", "transaction:t\n", "").await, "ERROR");
    assert_eq!(rest(&stand, "/queue/answers").await, Vec::<String>::new());
    // The message is the client's again: the same ack works.
    client.ask("ACK", &format!("id:{}\n", frames[0].the("ack")), "").await;
    drop(client);
    assert_eq!(rest(&stand, "/queue/acked").await, ["b"]);
}

#[tokio::test]
async fn acking_and_aborting_over_and_over_brings_no_more_messages() {
    let stand = Stand::new().await;
    let mut client = stand.connect("1.2").await;
    for n in 0..10 {
        client.ask("SEND", "destination:/queue/credit\n", &n.to_string()).await;
    }
    let prefetch = "ack:client-individual\nactivemq.prefetchSize:1\n";
    client.subscribe("1", "/queue/credit", prefetch).await;
    let mut seen = client.frames(1).await;
    let ack = format!("id:{}\ntransaction:t\n", seen[0].the("ack"));
    for _ in 0..5 {
        client.ask("BEGIN", "transaction:t\n", "").await;
        client.ask("ACK", &ack, "").await;
        seen.extend(client.until_quiet().await);
        client.ask("ABORT", "transaction:t\n", "").await;
    }
    // One, and one more while the first was acked in a transaction.
    let bodies: Vec<&str> = seen.iter().map(|frame| frame.text()).collect();
    assert_eq!(bodies, ["0", "1"]);
}

/// As from ActiveMQ (`stomp-probe.txt`, "tx after commit").
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_commit_is_answered_before_what_it_sent_arrives() {
    let stand = Stand::new().await;
    let mut client = stand.connect("1.2").await;
    client.subscribe("1", "/queue/own", "").await;
    for n in 0..300 {
        let send = format!("SEND\ndestination:/queue/own\ntransaction:t\n\n{n}\0");
        let frames =
            format!("BEGIN\ntransaction:t\n\n\0{send}COMMIT\ntransaction:t\nreceipt:{n}\n\n\0");
        client.raw(frames.as_bytes()).await;
        let [answer, message] = [client.frame().await, client.frame().await];
        assert_eq!(
            (answer.command.as_str(), answer.get("receipt-id")),
            ("RECEIPT", Some(&*n.to_string()))
        );
        assert_eq!(message.text(), n.to_string());
    }
}
