//! What headers and destinations may ask for beside the usual.

use crate::stand::{Frame, Stand};

fn texts(frames: &[Frame]) -> Vec<&str> {
    frames.iter().map(Frame::text).collect()
}

#[tokio::test]
async fn options_behind_a_destination_are_honoured() {
    let stand = Stand::new().await;
    let mut client = stand.connect("1.2").await;
    for n in [3, 10, 7] {
        let headers = format!("destination:/queue/options?x=y\nn:{n}\n");
        client.ask("SEND", &headers, &n.to_string()).await;
    }
    let spelt = "/queue/options?consumer.prefetchSize=1&consumer.selector=n%20%3E+5";
    client.subscribe("1", spelt, "ack:client-individual\n").await;
    let first = client.frame().await;
    assert_eq!((first.text(), first.the("destination")), ("10", "/queue/options"));
    assert_eq!(client.until_quiet().await, [], "one at a time");
    client.ask("ACK", &format!("id:{}\n", first.the("ack")), "").await;
    assert_eq!(client.frame().await.text(), "7");
    // A header says more than an option.
    client.ask("UNSUBSCRIBE", "id:1\n", "").await;
    let header = "selector:n < 5\nactivemq.prefetchSize:9\nack:client\n";
    client.subscribe("2", spelt, header).await;
    assert_eq!(texts(&client.until_quiet().await), ["3"]);
    let wrong = "SUBSCRIBE\nid:3\ndestination:/queue/q?consumer.prefetchSize=many\nreceipt:r\n\n";
    client.send(wrong).await;
    assert_eq!(client.frame().await.command, "ERROR");
}

#[tokio::test]
async fn a_message_keeps_its_time_and_a_priority_that_there_is() {
    let stand = Stand::new().await;
    let mut client = stand.connect("1.2").await;
    client.subscribe("1", "/queue/said", "").await;
    let earlier = (stand.hub.clock().now().millis() - 60_000).to_string();
    for (given, expected) in [("7", "7"), ("15", "9"), ("-3", "0")] {
        let headers = format!("timestamp:{earlier}\npriority:{given}\n");
        client.ask("SEND", &format!("destination:/queue/said\n{headers}"), "x").await;
        let frame = client.frame().await;
        assert_eq!((frame.the("timestamp"), frame.the("priority")), (&*earlier, expected));
    }
}

#[tokio::test]
async fn an_empty_destination_id_is_refused() {
    let stand = Stand::new().await;
    let mut client = stand.connect("1.2").await;
    for destination in ["/queue/.RTO.n1", ".RTO.n1", "/queue/Consumer..RTO.n1"] {
        client.send(&format!("SUBSCRIBE\nid:1\nreceipt:r\ndestination:{destination}\n\n")).await;
        let refused = client.frame().await;
        assert_eq!(refused.command, "ERROR", "{destination}");
        assert!(refused.the("message").contains("empty element"), "{refused:?}");
    }
    assert!(stand.hub.subscriptions(&crate::stand::project()).is_empty());
}
