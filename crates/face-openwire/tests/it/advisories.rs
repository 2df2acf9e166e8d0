//! What connections are told of each other (reference `activemq.md` a5, Advisories).

use outflow_face_openwire::wire::primitive::{self, Primitive};
use outflow_face_openwire::wire::{
    BrokerId, Command, Destination, DestinationKind, Identity, MessageDispatch, ProducerId,
    ProducerInfo, RemoveInfo,
};

use crate::stand::{Client, Stand, queue};

fn topic(name: &str) -> Destination {
    Destination::new(DestinationKind::Topic, name)
}

/// What an advisory tells, and how many it counts.
fn told(dispatch: &MessageDispatch, count: &str) -> (Command, Option<i32>) {
    let message = dispatch.message.as_ref().unwrap();
    assert_eq!(message.jms_type.as_deref(), Some("Advisory"));
    let properties = message.marshalled_properties.as_ref().unwrap();
    let properties = primitive::read_map(properties).unwrap().unwrap();
    let count = properties.iter().find_map(|(name, value)| match value {
        Primitive::Int(value) if &**name == count => Some(*value),
        _ => None,
    });
    ((**message.data_structure.as_ref().unwrap()).clone(), count)
}

async fn remove(client: &mut Client, identity: Identity) {
    let command_id = client.number();
    let info = RemoveInfo {
        command_id,
        response_required: true,
        object_id: Some(identity),
        last_delivered_sequence_id: -1,
    };
    client.ask(command_id, Command::RemoveInfo(info)).await.unwrap();
}

#[tokio::test]
async fn consumers_are_told_of_with_their_count() {
    let stand = Stand::new().await;
    let mut there = stand.connect("ID:there:1").await;
    let first = there.consume(1, &queue("q"), 1).await.unwrap();
    let mut watcher = stand.connect("ID:watcher:1").await;
    let asked = topic("ActiveMQ.Advisory.Consumer.Queue.q");
    let id = watcher.consume(1, &asked, 100).await.unwrap();
    let dispatch = watcher.dispatch().await;
    let target = dispatch.message.as_ref().unwrap().target_consumer_id.clone();
    assert_eq!(target, Some(id), "what was there is told to the new one alone");
    let (Command::ConsumerInfo(info), count) = told(&dispatch, "consumerCount") else {
        panic!("{dispatch:?}")
    };
    assert_eq!((info.consumer_id, count), (Some(first.clone()), Some(1)));
    there.consume(2, &queue("q"), 1).await.unwrap();
    assert_eq!(told(&watcher.dispatch().await, "consumerCount").1, Some(2));
    there.consume(3, &queue("another"), 1).await.unwrap();
    remove(&mut there, Identity::from(first.clone())).await;
    let (Command::RemoveInfo(info), count) = told(&watcher.dispatch().await, "consumerCount")
    else {
        panic!("no removal")
    };
    assert_eq!((info.object_id, count), (Some(Identity::from(first)), Some(1)));
    drop(there);
    assert_eq!(told(&watcher.dispatch().await, "consumerCount").1, Some(0));
}

#[tokio::test]
async fn connections_producers_and_destinations_are_told_of() {
    let stand = Stand::new().await;
    let mut watcher = stand.connect("ID:watcher:1").await;
    let all = "ActiveMQ.Advisory.Connection,ActiveMQ.Advisory.Producer.>,ActiveMQ.Advisory.Queue";
    watcher.consume(1, &topic(all), 100).await.unwrap();
    let Command::ConnectionInfo(own) = told(&watcher.dispatch().await, "").0 else {
        panic!("it is there itself")
    };
    assert!(own.password.is_none());
    let mut other = stand.connect("ID:other:1").await;
    let Command::ConnectionInfo(info) = told(&watcher.dispatch().await, "").0 else {
        panic!("no connection")
    };
    assert_eq!(info.client_id.as_deref(), Some("ID:other:1"));
    let connection_id = Some("ID:other:1".into());
    let producer_id = Some(ProducerId { connection_id, value: 1, session_id: 1 });
    let command_id = other.number();
    let producer = ProducerInfo {
        command_id,
        response_required: true,
        producer_id,
        destination: Some(queue("q")),
        ..ProducerInfo::default()
    };
    other.ask(command_id, Command::ProducerInfo(producer)).await.unwrap();
    let (Command::ProducerInfo(_), Some(1)) = told(&watcher.dispatch().await, "producerCount")
    else {
        panic!("no producer")
    };
    for _ in 0..2 {
        let message = other.text(&queue("q"), "x");
        other.publish(message).await.unwrap();
    }
    let Command::DestinationInfo(made) = told(&watcher.dispatch().await, "").0 else {
        panic!("no queue")
    };
    assert_eq!((made.destination, made.operation_type), (Some(queue("q")), 0));
    drop(other);
    let (Command::RemoveInfo(_), Some(0)) = told(&watcher.dispatch().await, "producerCount") else {
        panic!("the producer stays")
    };
    let Command::RemoveInfo(gone) = told(&watcher.dispatch().await, "").0 else {
        panic!("the connection stays")
    };
    assert!(matches!(gone.object_id, Some(Identity::ConnectionId(_))));
}

#[tokio::test]
async fn of_a_producer_no_more_is_kept_than_is_told() {
    let stand = Stand::new().await;
    let mut watcher = stand.connect("ID:watcher:1").await;
    watcher.consume(1, &topic("ActiveMQ.Advisory.Producer.>"), 100).await.unwrap();
    let mut client = stand.connect("ID:large:1").await;
    let mut producer = |connection: &str, to: &str, path: usize| {
        let command_id = client.number();
        let connection_id = Some(connection.into());
        let broker = BrokerId { value: Some("b".repeat(1_000).into()) };
        ProducerInfo {
            command_id,
            response_required: true,
            producer_id: Some(ProducerId { connection_id, value: 1, session_id: 1 }),
            destination: Some(queue(to)),
            broker_path: Some(vec![Some(broker); path]),
            ..ProducerInfo::default()
        }
    };
    let (long, name) = ("x".repeat(256), "q,".repeat(2_100));
    let refused = [producer(&long, "q", 0), producer("ID:large:1", &name, 0)];
    let taken = producer("ID:large:1", "q", 500);
    for info in refused {
        let number = info.command_id;
        client.ask(number, Command::ProducerInfo(info)).await.unwrap_err();
    }
    client.ask(taken.command_id, Command::ProducerInfo(taken)).await.unwrap();
    let (Command::ProducerInfo(info), Some(1)) = told(&watcher.dispatch().await, "producerCount")
    else {
        panic!("no producer")
    };
    assert_eq!((info.destination, info.broker_path), (Some(queue("q")), None));
}
