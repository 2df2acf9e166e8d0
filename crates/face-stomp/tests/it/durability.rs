//! What a receipt promises by the message's delivery mode, and that modes do not part what one
//! sender sent.

use std::time::Duration;

use outflow_face_stomp::Options;

use crate::stand::{Client, Stand};

/// How long a receipt that must not come is waited for.
const QUIET: Duration = Duration::from_millis(300);

/// Sends one message that asks for a receipt.
async fn send(client: &mut Client, headers: &str, receipt: &str) {
    let frame = format!("SEND\ndestination:/queue/held\n{headers}receipt:{receipt}\n\nx");
    client.send(&frame).await;
}

/// A server whose engine commits nothing more, with a queue that is there already.
async fn held(options: Options) -> (Stand, Client) {
    let stand = Stand::with(options).await;
    let mut client = stand.connect("1.2").await;
    send(&mut client, "persistent:true\n", "made").await;
    assert_eq!(client.frame().await.the("receipt-id"), "made");
    stand.engine.hold();
    (stand, client)
}

/// The receipt comes with the commit, and not before.
async fn waits_for_the_commit(stand: &Stand, client: &mut Client, receipt: &str) {
    let early = tokio::time::timeout(QUIET, client.frame()).await;
    assert!(early.is_err(), "{early:?} came before the commit");
    assert!(stand.engine.held() > 0);
    stand.engine.commit_all();
    assert_eq!(client.frame().await.the("receipt-id"), receipt);
}

#[tokio::test]
async fn a_persistent_send_is_answered_after_its_commit() {
    let (stand, mut client) = held(Options::default()).await;
    send(&mut client, "persistent:true\n", "kept").await;
    waits_for_the_commit(&stand, &mut client, "kept").await;
}

#[tokio::test]
async fn a_send_that_is_not_persistent_is_answered_when_it_is_queued() {
    let (stand, mut client) = held(Options::default()).await;
    send(&mut client, "", "quick").await;
    assert_eq!(client.frame().await.the("receipt-id"), "quick");
    assert_eq!(stand.engine.held(), 1);
}

#[tokio::test]
async fn every_send_is_answered_after_its_commit_where_that_is_set() {
    let mut options = Options::default();
    options.limits.all_durable = true;
    let (stand, mut client) = held(options).await;
    send(&mut client, "", "kept").await;
    waits_for_the_commit(&stand, &mut client, "kept").await;
}

#[tokio::test]
async fn one_sender_is_stored_in_order_whatever_the_modes() {
    const COUNT: usize = 300;
    let stand = Stand::new().await;
    let mut client = stand.connect("1.2").await;
    let mut text = String::new();
    for n in 0..COUNT {
        let persistent = n % 3 != 1;
        text.push_str(&format!(
            "SEND\ndestination:/queue/mixed\npersistent:{persistent}\nreceipt:{n}\n\n{n}\0"
        ));
    }
    client.raw(text.as_bytes()).await;
    for n in 0..COUNT {
        assert_eq!(client.frame().await.the("receipt-id"), n.to_string());
    }
    client.subscribe("1", "/queue/mixed", "").await;
    for n in 0..COUNT {
        assert_eq!(client.frame().await.text(), n.to_string());
    }
}

#[tokio::test]
async fn who_subscribes_after_a_receipt_gets_nothing_that_was_sent_before_it() {
    const NEWS: &str = "destination:/topic/news\n";
    let stand = Stand::new().await;
    let (mut sender, mut other) = (stand.connect("1.2").await, stand.connect("1.2").await);
    let mut keeper = stand.connect_with("1.2", "client-id:keeper\n").await;
    sender.ask("SEND", NEWS, "made").await;
    stand.engine.hold();
    sender.ask("SEND", NEWS, "before").await;
    assert_eq!(stand.engine.held(), 1, "it is answered before it is committed");
    sender.subscribe("own", "/topic/news", "").await;
    other.subscribe("another's", "/topic/news", "").await;
    // A place that is kept is stored behind it.
    let commit = async {
        while stand.engine.held() < 2 {
            tokio::task::yield_now().await;
        }
        stand.engine.commit_all();
    };
    tokio::join!(keeper.subscribe("kept", "/topic/news", "activemq.subscriptionName:n\n"), commit);
    sender.ask("SEND", NEWS, "after").await;
    for client in [&mut sender, &mut other, &mut keeper] {
        assert_eq!(client.frame().await.text(), "after");
    }
}
