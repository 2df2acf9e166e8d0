//! Acks and removals of what is not there, and credit that must not get lost (reference
//! `activemq.md` a4).

use outflow_face_openwire::Options;
use outflow_face_openwire::wire::{
    Command, ConnectionId, ConsumerId, Destination, DestinationKind, Identity, LocalTransactionId,
    MessageAck, MessageDispatch, MessageId, MessagePull, RemoveInfo, TransactionId,
    TransactionInfo,
};

use crate::stand::{Client, Stand, Thrown, queue, text_of};

const POISON: i8 = 1;
const STANDARD: i8 = 2;
const BEGIN: i8 = 0;
const COMMIT: i8 = 2;

/// A message that the server has never sent.
fn unknown(of: &MessageDispatch) -> MessageDispatch {
    let mut unknown = of.clone();
    let message = unknown.message.as_mut().unwrap();
    let broker_sequence_id = 1 << 40;
    message.message_id = Some(MessageId { broker_sequence_id, ..MessageId::default() });
    unknown
}

async fn remove(client: &mut Client, id: Identity) -> Result<(), Thrown> {
    let command_id = client.number();
    let info = RemoveInfo {
        command_id,
        response_required: true,
        object_id: Some(id),
        last_delivered_sequence_id: -2,
    };
    client.ask(command_id, Command::RemoveInfo(info)).await
}

async fn transact(client: &mut Client, id: &TransactionId, kind: i8) -> Result<(), Thrown> {
    let command_id = client.number();
    let info = TransactionInfo {
        command_id,
        response_required: true,
        transaction_id: Some(id.clone()),
        kind,
        ..TransactionInfo::default()
    };
    client.ask(command_id, Command::TransactionInfo(info)).await
}

#[tokio::test]
async fn whoever_waits_is_told_that_there_is_nothing_to_ack_or_remove() {
    let stand = Stand::new().await;
    let mut client = stand.connect("ID:none:1").await;
    let message = client.text(&queue("q"), "there");
    client.publish(message).await.unwrap();
    let id = client.consume(1, &queue("q"), 10).await.unwrap();
    let got = client.dispatch().await;
    let none = unknown(&got);
    let (class, message) = client.ack(POISON, &none, &none).await.unwrap_err();
    assert_eq!(class, "javax.jms.JMSException");
    assert!(message.contains("Could not correlate acknowledgment"), "{message}");
    // What is done already may be acked again.
    client.ack(STANDARD, &got, &got).await.unwrap();
    client.ack(STANDARD, &got, &got).await.unwrap();
    remove(&mut client, Identity::ConsumerId(id.clone())).await.unwrap();
    let (class, message) = remove(&mut client, Identity::ConsumerId(id)).await.unwrap_err();
    assert_eq!(class, "java.lang.IllegalStateException");
    assert!(message.contains("had not been registered"), "{message}");
}

#[tokio::test]
async fn a_transaction_that_acks_what_the_client_has_not_is_rolled_back() {
    let stand = Stand::new().await;
    let mut client = stand.connect("ID:lost:1").await;
    let message = client.text(&queue("in"), "work");
    client.publish(message).await.unwrap();
    client.consume(1, &queue("in"), 10).await.unwrap();
    let got = client.dispatch().await;
    let connection_id = Some(ConnectionId { value: Some("ID:lost:1".into()) });
    let id = TransactionId::Local(LocalTransactionId { value: 1, connection_id });
    transact(&mut client, &id, BEGIN).await.unwrap();
    let mut result = client.text(&queue("out"), "of work that comes again");
    result.transaction_id = Some(id.clone());
    client.send(&Command::Message(Box::new(result))).await;
    // As it came on a connection before: the lease is not this one's.
    let message_id = unknown(&got).message.unwrap().message_id;
    client
        .send(&Command::MessageAck(MessageAck {
            consumer_id: got.consumer_id.clone(),
            transaction_id: Some(id.clone()),
            ack_type: STANDARD,
            first_message_id: message_id.clone(),
            last_message_id: message_id,
            message_count: 1,
            ..MessageAck::default()
        }))
        .await;
    let (class, _) = transact(&mut client, &id, COMMIT).await.unwrap_err();
    assert_eq!(class, "javax.jms.TransactionRolledBackException");
    let last = client.text(&queue("out"), "later");
    client.publish(last).await.unwrap();
    client.consume(2, &queue("out"), 10).await.unwrap();
    assert_eq!(text_of(&client.dispatch().await), "later");
}

#[tokio::test]
async fn a_transaction_that_acks_some_of_a_range_only_is_rolled_back() {
    let stand = Stand::new().await;
    let mut client = stand.connect("ID:part:1").await;
    for text in ["1", "2", "3"] {
        let message = client.text(&queue("in"), text);
        client.publish(message).await.unwrap();
    }
    client.consume(1, &queue("in"), 10).await.unwrap();
    let got = [client.dispatch().await, client.dispatch().await, client.dispatch().await];
    let id_of = |at: usize| got[at].message.as_ref().unwrap().message_id.clone();
    let connection_id = Some(ConnectionId { value: Some("ID:part:1".into()) });
    let id = |value| {
        TransactionId::Local(LocalTransactionId { value, connection_id: connection_id.clone() })
    };
    let ack = |transaction: &TransactionId, first, last, message_count| {
        Command::MessageAck(MessageAck {
            consumer_id: got[0].consumer_id.clone(),
            transaction_id: Some(transaction.clone()),
            ack_type: STANDARD,
            first_message_id: id_of(first),
            last_message_id: id_of(last),
            message_count,
            ..MessageAck::default()
        })
    };
    client.ack(STANDARD, &got[0], &got[0]).await.unwrap();
    transact(&mut client, &id(1), BEGIN).await.unwrap();
    let mut result = client.text(&queue("out"), "of work of which some comes again");
    result.transaction_id = Some(id(1));
    client.send(&Command::Message(Box::new(result))).await;
    client.send(&ack(&id(1), 0, 1, 2)).await;
    let (class, _) = transact(&mut client, &id(1), COMMIT).await.unwrap_err();
    assert_eq!(class, "javax.jms.TransactionRolledBackException");
    // What a transaction has acked is counted again by what it acks later.
    transact(&mut client, &id(2), BEGIN).await.unwrap();
    client.send(&ack(&id(2), 1, 1, 1)).await;
    client.send(&ack(&id(2), 1, 2, 2)).await;
    transact(&mut client, &id(2), COMMIT).await.unwrap();
    let last = client.text(&queue("in"), "last");
    client.publish(last).await.unwrap();
    assert_eq!(text_of(&client.dispatch().await), "last");
    let first = client.text(&queue("out"), "first");
    client.publish(first).await.unwrap();
    client.consume(2, &queue("out"), 10).await.unwrap();
    assert_eq!(text_of(&client.dispatch().await), "first");
}

#[tokio::test]
async fn a_transaction_that_acks_what_another_has_acked_is_rolled_back() {
    let stand = Stand::new().await;
    let mut client = stand.connect("ID:two:1").await;
    for text in ["1", "2"] {
        let message = client.text(&queue("in"), text);
        client.publish(message).await.unwrap();
    }
    client.consume(1, &queue("in"), 10).await.unwrap();
    let got = [client.dispatch().await, client.dispatch().await];
    let id_of = |at: usize| got[at].message.as_ref().unwrap().message_id.clone();
    let connection_id = Some(ConnectionId { value: Some("ID:two:1".into()) });
    let id = |value| {
        TransactionId::Local(LocalTransactionId { value, connection_id: connection_id.clone() })
    };
    let ack = |value, last, message_count| {
        Command::MessageAck(MessageAck {
            consumer_id: got[0].consumer_id.clone(),
            transaction_id: Some(id(value)),
            ack_type: STANDARD,
            first_message_id: id_of(0),
            last_message_id: id_of(last),
            message_count,
            ..MessageAck::default()
        })
    };
    transact(&mut client, &id(1), BEGIN).await.unwrap();
    client.send(&ack(1, 0, 1)).await;
    // The same alone, and with one that is with the client.
    for (value, last, count) in [(2, 0, 1), (3, 1, 2)] {
        transact(&mut client, &id(value), BEGIN).await.unwrap();
        let mut result = client.text(&queue("out"), "of work that comes again");
        result.transaction_id = Some(id(value));
        client.send(&Command::Message(Box::new(result))).await;
        client.send(&ack(value, last, count)).await;
        let (class, _) = transact(&mut client, &id(value), COMMIT).await.unwrap_err();
        assert_eq!(class, "javax.jms.TransactionRolledBackException", "{count}");
    }
    // The first has it still, and may say so twice.
    client.send(&ack(1, 0, 1)).await;
    transact(&mut client, &id(1), COMMIT).await.unwrap();
    client.ack(STANDARD, &got[1], &got[1]).await.unwrap();
    let last = client.text(&queue("out"), "last");
    client.publish(last).await.unwrap();
    client.consume(2, &queue("out"), 10).await.unwrap();
    assert_eq!(text_of(&client.dispatch().await), "last");
}

#[tokio::test]
async fn what_came_again_is_acked_by_the_sequence_that_it_came_with_first() {
    let stand = Stand::new().await;
    let mut sender = stand.connect("ID:again:1").await;
    for text in ["1", "2", "3"] {
        let message = sender.text(&queue("in"), text);
        sender.publish(message).await.unwrap();
    }
    let mut client = stand.connect("ID:again:2").await;
    client.consume(1, &queue("in"), 10).await.unwrap();
    let first = [client.dispatch().await, client.dispatch().await, client.dispatch().await];
    drop(client);
    let mut client = stand.dial("ID:again:2").await;
    client.is_again = true;
    client.login(&stand.secret, None).await.unwrap();
    client.consume(1, &queue("in"), 10).await.unwrap();
    for before in &first {
        let again = client.dispatch().await;
        assert_eq!(text_of(&again), text_of(before));
    }
    // A client whose commit is in doubt gives to its user what it has, not what came again.
    let message_id = |at: usize| first[at].message.as_ref().unwrap().message_id.clone();
    let connection_id = Some(ConnectionId { value: Some("ID:again:2".into()) });
    let id = TransactionId::Local(LocalTransactionId { value: 1, connection_id });
    transact(&mut client, &id, BEGIN).await.unwrap();
    let ack = MessageAck {
        consumer_id: first[0].consumer_id.clone(),
        transaction_id: Some(id.clone()),
        ack_type: STANDARD,
        first_message_id: message_id(0),
        last_message_id: message_id(1),
        message_count: 2,
        ..MessageAck::default()
    };
    // Whatever a transaction acks twice it acks.
    for _ in 0..2 {
        client.send(&Command::MessageAck(ack.clone())).await;
    }
    transact(&mut client, &id, COMMIT).await.unwrap();
    client.ack(POISON, &first[2], &first[2]).await.unwrap();
    client.consume(2, &queue("ActiveMQ.DLQ"), 10).await.unwrap();
    assert_eq!(text_of(&client.dispatch().await), "3");
    // Done is done.
    drop(client);
    let mut other = stand.connect("ID:again:3").await;
    other.consume(1, &queue("in"), 10).await.unwrap();
    let last = sender.text(&queue("in"), "last");
    sender.publish(last).await.unwrap();
    assert_eq!(text_of(&other.dispatch().await), "last");
}

#[tokio::test]
async fn who_waits_for_a_message_of_any_queue_gets_that_of_a_new_one() {
    let stand = Stand::new().await;
    let mut client = stand.connect("ID:wide:1").await;
    let id: ConsumerId = client.consume(1, &queue("wide.*"), 0).await.unwrap();
    let pull = MessagePull { consumer_id: Some(id), timeout: 0, ..MessagePull::default() };
    client.send(&Command::MessagePull(pull)).await;
    for text in ["first", "second"] {
        let message = client.text(&queue("wide.new"), text);
        client.publish(message).await.unwrap();
    }
    assert_eq!(text_of(&client.dispatch().await), "first");
}

#[tokio::test]
async fn the_consumer_that_a_client_has_for_itself_is_not_its_users() {
    let stand = Stand::with(Options { max_consumers: 1, ..Options::default() }).await;
    let mut client = stand.connect("ID:few:1").await;
    let topic = |name: &str| Destination::new(DestinationKind::Topic, name);
    client.consume(1, &topic("ActiveMQ.Advisory.TempQueue"), 1000).await.unwrap();
    client.consume(2, &queue("q"), 10).await.unwrap();
    for (value, destination) in [(3, queue("r")), (4, topic("ActiveMQ.Advisory.TempTopic"))] {
        let (class, _) = client.consume(value, &destination, 10).await.unwrap_err();
        assert_eq!(class, "javax.jms.ResourceAllocationException");
    }
}

#[tokio::test]
async fn who_waits_for_a_message_does_not_get_less_for_one_that_no_frame_can_hold() {
    let max = 64 << 10;
    let stand = Stand::with(Options { max_frame_bytes: max, ..Options::default() }).await;
    // What comes out says its destination twice: one that just goes in does not.
    let mut client = stand.dial_as("ID:bury:1", 12, false).await;
    let secret = stand.secret.clone();
    client.login(&secret, None).await.unwrap();
    let queue = queue(&"q".repeat(200));
    let id = client.consume(1, &queue, 0).await.unwrap();
    let pull = MessagePull { consumer_id: Some(id), timeout: 0, ..MessagePull::default() };
    client.send(&Command::MessagePull(pull)).await;
    let large = client.text(&queue, &"x".repeat(max - 500));
    client.publish(large).await.unwrap();
    let small = client.text(&queue, "small");
    client.publish(small).await.unwrap();
    assert_eq!(text_of(&client.dispatch().await), "small");
}
