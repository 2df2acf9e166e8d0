//! Things at their time: messages that come later, again, or not any more, and receipts of acks.

use crate::messages::{bodies, send};
use crate::stand::{Stand, project};

#[tokio::test]
async fn expired_and_delayed_messages_keep_their_time() {
    let stand = Stand::new().await;
    let mut client = stand.connect("1.2").await;
    client.subscribe("1", "/queue/time", "").await;
    send(&mut client, "/queue/time", "expires:1\n", "long gone").await;
    let began = tokio::time::Instant::now();
    send(&mut client, "/queue/time", "AMQ_SCHEDULED_DELAY:1500\n", "later").await;
    let frame = client.frame().await;
    assert_eq!(frame.text(), "later");
    assert!(began.elapsed() >= std::time::Duration::from_millis(1400));
}

#[tokio::test]
async fn a_repeated_message_comes_each_time_as_one_of_its_own() {
    let stand = Stand::new().await;
    let mut client = stand.connect("1.2").await;
    client.subscribe("1", "/queue/again", "").await;
    client.ask("BEGIN", "transaction:t\n", "").await;
    for headers in ["", "transaction:t\n"] {
        let when = "AMQ_SCHEDULED_PERIOD:100\nAMQ_SCHEDULED_REPEAT:1\n";
        send(&mut client, "/queue/again", &format!("{headers}{when}kept:yes\n"), "tick").await;
        if !headers.is_empty() {
            client.ask("COMMIT", "transaction:t\n", "").await;
        }
        let frames = [client.frame().await, client.frame().await];
        assert_eq!(bodies(&frames), ["tick", "tick"]);
        let [first, second] = &frames;
        assert_ne!(first.the("message-id"), second.the("message-id"));
        assert_eq!(first.the("scheduledJobId"), second.the("scheduledJobId"));
        assert_eq!(first.the("kept"), "yes");
        assert_eq!(first.get("AMQ_SCHEDULED_PERIOD"), None);
    }
}

#[tokio::test]
async fn a_receipt_tells_of_the_acks_before_it_which_asked_for_none() {
    let stand = Stand::new().await;
    let mut client = stand.connect("1.2").await;
    client.subscribe("1", "/queue/acks", "ack:client-individual\n").await;
    send(&mut client, "/queue/acks", "persistent:true\n", "x").await;
    let ack = client.frame().await.the("ack").to_owned();
    // How far it was handed out is on the disk, so that only the ack is held back.
    client.ask("BEGIN", "transaction:a\n", "").await;
    stand.engine.hold();
    client.send(&format!("ACK\nid:{ack}\n\n")).await;
    let queue = stand.hub.subscription(&project(), "queue:acks").unwrap();
    while stand.hub.subscription_stats(&queue).in_flight > 0 {
        tokio::task::yield_now().await;
    }
    client.send("ABORT\ntransaction:a\nreceipt:r\n\n").await;
    let early = tokio::time::timeout(std::time::Duration::from_millis(200), client.frame()).await;
    assert!(early.is_err(), "{early:?} before the ack was on the disk");
    stand.engine.commit_all();
    assert_eq!(client.frame().await.the("receipt-id"), "r");
}
