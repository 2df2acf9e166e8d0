//! Destinations that come and go: queues made after a consumer with wildcards, temporary ones.

use outflow_model::StreamName;

use crate::stand::{Client, Stand, project};

async fn send(client: &mut Client, destination: &str, headers: &str, body: &str) {
    client.ask("SEND", &format!("destination:{destination}\n{headers}"), body).await;
}

#[tokio::test]
async fn a_consumer_with_wildcards_gets_queues_that_are_made_later() {
    let stand = Stand::new().await;
    let mut producer = stand.connect("1.2").await;
    let mut consumer = stand.connect("1.2").await;
    send(&mut producer, "/queue/work.old", "", "before").await;
    consumer.subscribe("all", "/queue/work.>", "ack:client-individual\n").await;
    assert_eq!(consumer.frame().await.text(), "before");
    send(&mut producer, "/queue/work.new.1", "", "later").await;
    let later = consumer.frame().await;
    assert_eq!((later.text(), later.the("destination")), ("later", "/queue/work.new.1"));
    assert_eq!(later.the("subscription"), "all");
    consumer.ask("ACK", &format!("id:{}\n", later.the("ack")), "").await;
    // Virtual queues, too, and also where there was none at first.
    consumer.subscribe("feed", "/queue/*.RTO.n1", "").await;
    let mut customer = stand.connect("1.2").await;
    customer.subscribe("1", "/queue/d1.RTO.n1", "ack:client-individual\n").await;
    drop(customer);
    // Whichever of the two is there: it must not be lost.
    send(&mut producer, "/topic/RTO.n1", "", "fed").await;
    let fed = consumer.frame().await;
    assert_eq!((fed.text(), fed.the("destination")), ("fed", "/queue/d1.RTO.n1"));
    // A queue that is deleted and made again is one more that is made later.
    let subscription = stand.hub.subscription(&project(), "queue:work.new.1").unwrap();
    stand.hub.delete_subscription(&subscription).await.unwrap();
    let name = StreamName::new("queue:work.new.1").unwrap();
    stand.hub.delete_stream(&project(), &name).await.unwrap();
    let mut producer = stand.connect("1.2").await;
    send(&mut producer, "/queue/work.new.1", "", "again").await;
    assert_eq!(consumer.frame().await.text(), "again");
    // Nothing comes after the end of the subscription.
    consumer.ask("UNSUBSCRIBE", "id:all\n", "").await;
    send(&mut producer, "/queue/work.new.2", "", "never").await;
    assert_eq!(consumer.until_quiet().await, []);
}

#[tokio::test]
async fn only_its_connection_makes_a_temporary_destination() {
    let stand = Stand::new().await;
    let mut client = stand.connect("1.2").await;
    for destination in
        ["/remote-temp-queue/nobody", "/remote-temp-topic/nobody", "temp-queue://nobody:1"]
    {
        client.send(&format!("SEND\nreceipt:r\ndestination:{destination}\n\nx")).await;
        let refused = client.frame().await;
        assert_eq!((refused.command.as_str(), refused.the("receipt-id")), ("ERROR", "r"));
        assert!(refused.the("message").contains("does not exist"), "{refused:?}");
    }
    assert_eq!(stand.hub.streams(&project()).len(), 0, "nothing was made");
    // Naming it as the place for answers makes it: they may be there before the consumer.
    send(&mut client, "/queue/ask", "reply-to:/temp-queue/t\n", "?").await;
    let mut answerer = stand.connect("1.2").await;
    answerer.subscribe("1", "/queue/ask", "").await;
    let reply_to = answerer.frame().await.the("reply-to").to_owned();
    send(&mut answerer, &reply_to, "", "!").await;
    client.subscribe("1", "/temp-queue/t", "").await;
    assert_eq!(client.frame().await.text(), "!");
    // Once its connection is gone, it is refused again.
    client.ask("DISCONNECT", "", "").await;
    assert_eq!(client.frame_or_end().await, None);
    let name = reply_to.replace("/remote-temp-queue/", "temp-queue:");
    let is_there = |stand: &Stand| {
        let streams = stand.hub.streams(&project());
        streams.iter().any(|stream| stream.name.as_str() == name)
    };
    while is_there(&stand) {
        tokio::task::yield_now().await;
    }
    // What was remembered of it may fail once more; then it is looked up.
    for _ in 0..2 {
        answerer.send(&format!("SEND\nreceipt:r\ndestination:{reply_to}\n\nx")).await;
        assert_eq!(answerer.frame().await.command, "ERROR");
    }
    assert!(!is_there(&stand));
}

#[tokio::test]
async fn a_queue_that_an_operator_deletes_is_made_again_by_the_next_send() {
    let stand = Stand::new().await;
    let mut producer = stand.connect("1.2").await;
    let name = StreamName::new("queue:q").unwrap();
    for n in 0..3 {
        // The connection remembers where it sent to.
        send(&mut producer, "/queue/q", "persistent:true\n", &format!("m{n}")).await;
        send(&mut producer, "/queue/q", "persistent:true\n", "next").await;
        let mut consumer = stand.connect("1.2").await;
        consumer.subscribe("1", "/queue/q", "").await;
        assert_eq!(consumer.frame().await.text(), format!("m{n}"));
        drop(consumer);
        let subscription = stand.hub.subscription(&project(), "queue:q").unwrap();
        stand.hub.delete_subscription(&subscription).await.unwrap();
        stand.hub.delete_stream(&project(), &name).await.unwrap();
    }
}

#[tokio::test]
async fn a_commit_to_a_queue_that_was_deleted_meanwhile_makes_it_again() {
    let stand = Stand::new().await;
    let mut producer = stand.connect("1.2").await;
    let name = StreamName::new("queue:q").unwrap();
    producer.ask("BEGIN", "transaction:t\n", "").await;
    for n in 0..2 {
        let to = "destination:/queue/q\ntransaction:t\n";
        producer.ask("SEND", to, &format!("m{n}")).await;
    }
    let subscription = stand.hub.subscription(&project(), "queue:q").unwrap();
    stand.hub.delete_subscription(&subscription).await.unwrap();
    stand.hub.delete_stream(&project(), &name).await.unwrap();
    producer.ask("COMMIT", "transaction:t\n", "").await;
    let mut consumer = stand.connect("1.2").await;
    consumer.subscribe("1", "/queue/q", "").await;
    for n in 0..2 {
        assert_eq!(consumer.frame().await.text(), format!("m{n}"));
    }
    assert_eq!(consumer.until_quiet().await, []);
}

#[tokio::test]
async fn a_message_whose_sender_says_nothing_is_not_persistent_to_selectors_either() {
    let stand = Stand::new().await;
    let mut client = stand.connect("1.2").await;
    let selects = |mode| format!("selector:JMSDeliveryMode = '{mode}'\n");
    client.subscribe("kept", "/topic/t", &selects("PERSISTENT")).await;
    client.subscribe("not", "/topic/t", &selects("NON_PERSISTENT")).await;
    for (headers, expected) in
        [("", "not"), ("persistent:false\n", "not"), ("persistent:true\n", "kept")]
    {
        client.send(&format!("SEND\ndestination:/topic/t\n{headers}\nx")).await;
        assert_eq!(client.frame().await.the("subscription"), expected, "{headers:?}");
    }
}
