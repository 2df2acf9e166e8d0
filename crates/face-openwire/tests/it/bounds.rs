//! What a connection may ask for, and what becomes of what is refused.

use std::time::Duration;

use outflow_broker::Limits;
use outflow_face_openwire::Options;
use outflow_face_openwire::wire::{
    Command, Destination, DestinationKind, LocalTransactionId, MessageAck, ProducerInfo,
    StackElement, Throwable, TransactionId,
};
use outflow_model::Action;

use crate::stand::{Stand, key, queue, text_of};

fn topic(name: &str) -> Destination {
    Destination::new(DestinationKind::Topic, name)
}

#[tokio::test]
async fn consumers_of_advisories_are_bounded_in_number_and_in_topics() {
    let stand = Stand::new().await;
    let mut client = stand.connect("ID:asks:1").await;
    let many = |count: usize| {
        let all = (0..count).map(|at| format!("ActiveMQ.Advisory.Consumer.Queue.q{at}"));
        topic(&all.collect::<Vec<_>>().join(","))
    };
    let (_, message) = client.consume(1, &many(17), 1).await.unwrap_err();
    assert_eq!(message, "A consumer of advisories may have at most 16 topics");
    for value in 0..64 {
        client.consume(value + 2, &many(16), 1).await.unwrap();
    }
    let (_, message) = client.consume(100, &many(1), 1).await.unwrap_err();
    assert_eq!(message, "A connection may have at most 64 consumers of advisories");
    client.consume(101, &queue("q"), 1).await.unwrap();
}

#[tokio::test]
async fn a_refused_message_opens_its_producers_window_again() {
    let stand = Stand::new().await;
    let mut client = stand.connect("ID:sends:1").await;
    let mut message = client.text(&queue("q"), &"x".repeat(5000));
    // Of a transaction that nobody has begun.
    message.transaction_id = Some(TransactionId::Local(LocalTransactionId::default()));
    let info = ProducerInfo {
        command_id: client.number(),
        response_required: true,
        producer_id: message.producer_id.clone(),
        window_size: 4096,
        ..ProducerInfo::default()
    };
    client.ask(info.command_id, Command::ProducerInfo(info)).await.unwrap();
    let producer_id = message.producer_id.clone();
    client.send(&Command::Message(Box::new(message))).await;
    assert!(matches!(client.next().await, Command::ConnectionError(_)));
    let Command::ProducerAck(ack) = client.next().await else { panic!("no window") };
    assert!(ack.producer_id == producer_id && ack.size > 5000);
}

#[tokio::test]
async fn half_frames_of_all_connections_are_bounded_together() {
    let limits = Limits { held_bytes: 1 << 20, ..Limits::default() };
    let stand = Stand::with(Options { limits, ..Options::default() }).await;
    let half = [&800_000_u32.to_be_bytes()[..], &[0; 600_000]].concat();
    let mut first = stand.connect("ID:half:1").await;
    first.raw(&half).await;
    let mut second = stand.connect("ID:half:2").await;
    second.raw(&half).await;
    // One of them is told.
    let mut told = tokio::select! {
        told = first.read() => told,
        told = second.read() => told,
    };
    let Some(Command::ConnectionError(error)) = told.take() else { panic!("{told:?}") };
    let thrown = error.exception.unwrap();
    assert_eq!(thrown.class.as_deref(), Some("javax.jms.ResourceAllocationException"));
}

#[tokio::test]
async fn a_frame_that_stops_halfway_ends_its_connection() {
    let limits = Limits { frame_timeout: Duration::from_millis(300), ..Limits::default() };
    let stand = Stand::with(Options { limits, ..Options::default() }).await;
    let mut stuck = stand.connect("ID:stuck:1").await;
    stuck.raw(&[&1_000_u32.to_be_bytes()[..], &[0; 500]].concat()).await;
    let Some(Command::ConnectionError(error)) = stuck.read().await else { panic!("no error") };
    let thrown = error.exception.unwrap();
    assert_eq!(thrown.message.as_deref(), Some("The rest of the frame did not come in time"));
    assert_eq!(stuck.read().await, None);
}

#[tokio::test]
async fn who_may_send_nothing_holds_no_more_than_an_exception() {
    let stand = Stand::new().await;
    let issued = stand.auth.issue(key(&[Action::Read])).await.unwrap();
    let mut client = stand.dial("ID:reads:1").await;
    client.login(issued.secret.expose(), None).await.unwrap();
    client.consume(1, &queue("q"), 10).await.unwrap();
    let small = client.text(&queue("q"), "small");
    let (class, _) = client.publish(small).await.unwrap_err();
    assert_eq!(class, "javax.jms.JMSSecurityException");
    client.raw(&1_048_577_u32.to_be_bytes()).await;
    let Some(Command::ConnectionError(error)) = client.read().await else { panic!("no error") };
    let told = error.exception.unwrap().message.unwrap();
    assert!(told.ends_with("the frame has 1048577 bytes, the most is 1048576"), "{told}");
    assert_eq!(client.read().await, None);
    // Who may send is not held to that.
    let mut client = stand.connect("ID:sends:2").await;
    let large = client.text(&queue("q"), &"x".repeat(100_000));
    client.publish(large).await.unwrap();
}

/// An exception as an application's framework throws it: caused by others, each through some hundreds of calls.
fn thrown(causes: usize) -> Throwable {
    let place = |line| StackElement {
        class: Some("com.example.framework.interceptor.TransactionInterceptor".into()),
        method: Some("invokeWithinTransaction".into()),
        file: Some("TransactionInterceptor.java".into()),
        line,
    };
    let cause = (causes > 0).then(|| Box::new(thrown(causes - 1)));
    let stack = (0..250).map(place).collect();
    Throwable { stack, cause, ..Throwable::new("java.lang.IllegalStateException", "it broke") }
}

#[tokio::test]
async fn who_may_send_nothing_gives_a_message_up_with_all_that_its_exception_says() {
    let stand = Stand::new().await;
    let mut sender = stand.connect("ID:sends:1").await;
    let message = sender.text(&queue("q"), "bad");
    sender.publish(message).await.unwrap();
    let issued = stand.auth.issue(key(&[Action::Read])).await.unwrap();
    let mut client = stand.dial("ID:reads:1").await;
    client.login(issued.secret.expose(), None).await.unwrap();
    client.consume(1, &queue("q"), 10).await.unwrap();
    let got = client.dispatch().await;
    let id = got.message.as_ref().unwrap().message_id.clone();
    let ack = MessageAck {
        command_id: client.number(),
        response_required: true,
        consumer_id: got.consumer_id.clone(),
        ack_type: 1,
        first_message_id: id.clone(),
        last_message_id: id,
        message_count: 1,
        poison_cause: Some(thrown(3)),
        ..MessageAck::default()
    };
    client.ask(ack.command_id, Command::MessageAck(ack)).await.unwrap();
    sender.consume(1, &queue("ActiveMQ.DLQ"), 10).await.unwrap();
    assert_eq!(text_of(&sender.dispatch().await), "bad");
}
