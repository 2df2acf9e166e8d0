//! What a client and the server say to each other (reference `activemq.md` a4, a5, c4).
//!
//! Long because it is one list: each rule of a connection with its test.

use std::time::Duration;

use outflow_face_openwire::wire::primitive::{self, Primitive};
use outflow_face_openwire::wire::{
    Command, ConnectionId, ConsumerInfo, Destination, DestinationInfo, DestinationKind, Identity,
    KeepAliveInfo, LocalTransactionId, MessageDispatch, MessagePull, RemoveInfo, TransactionId,
    TransactionInfo, body,
};

use crate::stand::{Client, Stand, project, queue, text_of};

const STANDARD: i8 = 2;
const POISON: i8 = 1;
const INDIVIDUAL: i8 = 4;

/// Removes the client's consumer whose last message had this sequence.
async fn remove(client: &mut Client, id: Identity, last: i64) {
    let command_id = client.number();
    let info = RemoveInfo {
        command_id,
        response_required: true,
        object_id: Some(id),
        last_delivered_sequence_id: last,
    };
    client.ask(command_id, Command::RemoveInfo(info)).await.unwrap();
}

fn sequence(dispatch: &MessageDispatch) -> i64 {
    let message = dispatch.message.as_ref().unwrap();
    message.message_id.as_ref().unwrap().broker_sequence_id
}

#[tokio::test]
async fn a_message_goes_through_a_queue_in_every_version_and_form() {
    let stand = Stand::new().await;
    for version in 1..=12 {
        for tight in [false, true] {
            let mut client = stand.dial_as(&format!("ID:c{version}{tight}"), version, tight).await;
            client.login(&stand.secret, None).await.unwrap();
            let queue = queue(&format!("q.{version}.{tight}"));
            let sent = client.text(&queue, "{\"md5\":\"é😀\"}");
            client.publish(sent.clone()).await.unwrap();
            client.consume(1, &queue, 10).await.unwrap();
            let got = client.dispatch().await;
            assert_eq!(text_of(&got), "{\"md5\":\"é😀\"}");
            let message = got.message.as_ref().unwrap();
            let (id, expected) = (message.message_id.clone().unwrap(), sent.message_id.unwrap());
            assert_eq!(id.producer_id, expected.producer_id);
            assert_eq!(id.producer_sequence_id, expected.producer_sequence_id);
            assert_eq!(message.destination.as_ref(), Some(&queue));
            assert_eq!(
                (message.persistent, message.priority, got.redelivery_counter),
                (true, 4, 0)
            );
            client.ack(STANDARD, &got, &got).await.unwrap();
        }
    }
}

#[tokio::test]
async fn what_a_client_sends_again_is_stored_once() {
    let stand = Stand::new().await;
    let mut client = stand.connect("ID:again:1").await;
    let message = client.text(&queue("q"), "once");
    client.publish(message.clone()).await.unwrap();
    drop(client);
    let mut client = stand.connect("ID:again:1").await;
    client.publish(message).await.unwrap();
    let last = client.text(&queue("q"), "last");
    let last = outflow_face_openwire::wire::Message {
        message_id: last.message_id.map(|mut id| {
            id.producer_sequence_id = 99;
            id
        }),
        ..last
    };
    client.publish(last).await.unwrap();
    client.consume(1, &queue("q"), 10).await.unwrap();
    assert_eq!(text_of(&client.dispatch().await), "once");
    assert_eq!(text_of(&client.dispatch().await), "last");
}

#[tokio::test]
async fn what_a_client_sends_again_is_known_by_its_number() {
    let stand = Stand::new().await;
    let mut client = stand.connect("ID:number:1").await;
    let both = Destination::new(DestinationKind::Queue, "q,r");
    let first = client.text(&queue("q"), "first");
    let second = client.text(&both, "second");
    client.publish(first.clone()).await.unwrap();
    client.publish(second.clone()).await.unwrap();
    // Ids are remembered no more.
    for name in ["queue:q", "queue:r"] {
        let name = outflow_model::StreamName::new(name).unwrap();
        let stream = stand.hub.stream(&project(), &name).unwrap();
        let dedup = Some(outflow_hub::Dedup { window_ms: 1, max_ids: 1 });
        let settings = outflow_hub::StreamSettings { dedup, ..stream.settings.clone() };
        stand.hub.update_stream(&project(), &name, settings).await.unwrap();
    }
    drop(client);
    let mut client = stand.dial("ID:number:1").await;
    client.is_again = true;
    client.login(&stand.secret, None).await.unwrap();
    tokio::time::sleep(Duration::from_millis(5)).await;
    client.publish(first).await.unwrap();
    client.publish(second).await.unwrap();
    client.consume(1, &queue("q"), 10).await.unwrap();
    assert_eq!(text_of(&client.dispatch().await), "first");
    assert_eq!(text_of(&client.dispatch().await), "second");
    client.consume(2, &queue("r"), 10).await.unwrap();
    assert_eq!(text_of(&client.dispatch().await), "second");
    let mut last = client.text(&both, "last");
    last.message_id.as_mut().unwrap().producer_sequence_id = 3;
    client.publish(last).await.unwrap();
    let mut ends = [text_of(&client.dispatch().await), text_of(&client.dispatch().await)];
    ends.sort();
    assert_eq!(ends, ["last", "last"]);
}

#[tokio::test]
async fn an_id_that_no_event_may_have_is_given_back_and_recognised() {
    let stand = Stand::new().await;
    let mut client = stand.connect("ID:long:1").await;
    let long = format!("ID:{}", "x".repeat(200));
    let named = |client: &mut Client, connection: &str, view: Option<&str>| {
        let mut message = client.text(&queue("q"), "once");
        let id = message.message_id.as_mut().unwrap();
        id.text_view = view.map(Into::into);
        id.producer_id.as_mut().unwrap().connection_id = Some(connection.into());
        id.producer_sequence_id = 7;
        message
    };
    for (connection, view) in [(long.as_str(), None), ("ID:short", Some("ID:caf\u{e9}"))] {
        for _ in 0..2 {
            let message = named(&mut client, connection, view);
            client.publish(message).await.unwrap();
        }
    }
    let last = client.text(&queue("q"), "last");
    client.publish(last).await.unwrap();
    client.consume(1, &queue("q"), 10).await.unwrap();
    let first = client.dispatch().await;
    let id = first.message.as_ref().unwrap().message_id.clone().unwrap();
    assert_eq!(id.producer_id.unwrap().connection_id.as_deref(), Some(long.as_str()));
    assert_eq!(id.producer_sequence_id, 7);
    let second = client.dispatch().await;
    let id = second.message.as_ref().unwrap().message_id.clone().unwrap();
    assert_eq!(id.text_view.as_deref(), Some("ID:caf\u{e9}"));
    assert_eq!(text_of(&client.dispatch().await), "last");
    // Clients that do not give the broker's sequence back name a message by its id.
    let mut unnumbered = second.clone();
    unnumbered.message.as_mut().unwrap().message_id.as_mut().unwrap().broker_sequence_id = 0;
    client.ack(INDIVIDUAL, &unnumbered, &unnumbered).await.unwrap();
    let browser = ConsumerInfo {
        destination: Some(queue("q")),
        prefetch_size: 10,
        selector: Some(format!("JMSMessageID = '{long}:1:1:7'").into()),
        browser: true,
        ..ConsumerInfo::default()
    };
    client.consume_as(2, browser).await.unwrap();
    assert_eq!(text_of(&client.dispatch().await), "once");
    let endless = named(&mut client, "ID:short", Some(&"x".repeat(1_025)));
    let (_, refused) = client.publish(endless).await.unwrap_err();
    assert!(refused.contains("1024 bytes"), "{refused}");
}

#[tokio::test]
async fn a_text_comes_back_as_it_was_written() {
    let stand = Stand::new().await;
    let mut client = stand.connect("ID:odd:1").await;
    client.consume(1, &queue("q"), 20).await.unwrap();
    for (bytes, shown) in [
        // Half a character, which a Java string may have.
        (&b"a\xED\xA0\xBDb"[..], Some("a\u{FFFD}b")),
        (b"\xED\xB8\x80\xED\xA0\xBD", Some("\u{FFFD}\u{FFFD}")),
        (b"\xC0\x80 \xED\xA0\xBD\xED\xB8\x80", Some("\0 \u{1F600}")),
        // What careless writers leave as it is in UTF-8, or in Latin-1.
        (b"nul \0 and \xF0\x9F\x98\x80", Some("nul \0 and \u{1F600}")),
        (b"caf\xE9", None),
        (b"{\"a\":\"\xED\xA0\xBD\"}", Some("{\"a\":\"\u{FFFD}\"}")),
    ] {
        let mut content = u32::try_from(bytes.len()).unwrap().to_be_bytes().to_vec();
        content.extend_from_slice(bytes);
        let mut message = client.text(&queue("q"), "");
        message.content = Some(bytes::Bytes::from(content.clone()).into());
        client.publish(message).await.unwrap();
        let got = client.dispatch().await;
        let came = got.message.as_ref().unwrap().content.as_ref().unwrap().to_bytes();
        assert_eq!(came, content, "{shown:?}");
        assert_eq!(body::read_text(&came).ok().flatten().as_deref(), shown);
    }
}

#[tokio::test]
async fn a_range_is_acked_and_the_rest_comes_again() {
    let stand = Stand::new().await;
    let mut client = stand.connect("ID:range:1").await;
    for n in 0..5 {
        let message = client.text(&queue("q"), &n.to_string());
        client.publish(message).await.unwrap();
    }
    let id = client.consume(1, &queue("q"), 10).await.unwrap();
    let mut got = Vec::new();
    for _ in 0..5 {
        got.push(client.dispatch().await);
    }
    client.ack(STANDARD, &got[0], &got[1]).await.unwrap();
    client.ack(INDIVIDUAL, &got[3], &got[3]).await.unwrap();
    // The user has seen the third; the fifth was only in the window.
    remove(&mut client, Identity::ConsumerId(id), sequence(&got[2])).await;
    client.consume(2, &queue("q"), 10).await.unwrap();
    let again = client.dispatch().await;
    assert_eq!((text_of(&again).as_str(), again.redelivery_counter), ("2", 1));
    let fresh = client.dispatch().await;
    assert_eq!((text_of(&fresh).as_str(), fresh.redelivery_counter), ("4", 0));
    assert!(sequence(&fresh) > sequence(&again), "sequences rise");
}

#[tokio::test]
async fn a_poisoned_message_is_a_dead_letter() {
    let stand = Stand::new().await;
    let mut client = stand.connect("ID:poison:1").await;
    let message = client.text(&queue("q"), "bad");
    client.publish(message.clone()).await.unwrap();
    client.consume(1, &queue("q"), 10).await.unwrap();
    let got = client.dispatch().await;
    client.ack(POISON, &got, &got).await.unwrap();
    client.consume(2, &queue("ActiveMQ.DLQ"), 10).await.unwrap();
    let dead = client.dispatch().await;
    let message_of = dead.message.as_ref().unwrap();
    assert_eq!(text_of(&dead), "bad");
    assert_eq!(message_of.original_destination, Some(queue("q")));
}

#[tokio::test]
async fn a_dead_letter_says_what_it_was() {
    let stand = Stand::new().await;
    let mut client = stand.connect("ID:was:1").await;
    client.consume(1, &queue("q"), 10).await.unwrap();
    client.consume(2, &queue("ActiveMQ.DLQ"), 10).await.unwrap();
    let until = 4_102_444_800_000;
    for (persistent, expiration) in [(true, 0), (false, until)] {
        let mut message = client.text(&queue("q"), "bad");
        (message.persistent, message.expiration) = (persistent, expiration);
        let typed = vec![("n".into(), Primitive::Int(5))];
        message.marshalled_properties = Some(primitive::write_map(&typed).unwrap());
        client.publish(message).await.unwrap();
        let got = client.dispatch().await;
        assert_eq!(got.message.as_ref().unwrap().expiration, expiration);
        client.ack(POISON, &got, &got).await.unwrap();
        let dead = client.dispatch().await;
        let message = dead.message.as_ref().unwrap();
        assert!(message.persistent);
        assert_eq!(message.expiration, 0);
        let map = primitive::read_map(message.marshalled_properties.as_ref().unwrap());
        let map = map.unwrap().unwrap();
        let property = |name: &str| {
            map.iter().find(|(known, _)| &**known == name).map(|(_, value)| value.clone())
        };
        assert_eq!(property("n"), Some(Primitive::Int(5)));
        assert_eq!(property("originalExpiration"), Some(Primitive::Long(expiration)));
        let mode = (!persistent).then(|| Primitive::Text("NON_PERSISTENT".into()));
        assert_eq!(property("originalDeliveryMode"), mode);
    }
}

#[tokio::test]
async fn a_pull_gives_one_message_or_says_that_there_is_none() {
    let stand = Stand::new().await;
    let mut client = stand.connect("ID:pull:1").await;
    let id = client.consume(1, &queue("q"), 0).await.unwrap();
    let pull = |timeout| {
        let consumer_id = Some(id.clone());
        Command::MessagePull(MessagePull { consumer_id, timeout, ..MessagePull::default() })
    };
    client.send(&pull(-1)).await;
    assert_eq!(client.dispatch().await.message, None);
    client.send(&pull(200)).await;
    assert_eq!(client.dispatch().await.message, None);
    for text in ["1", "2"] {
        let message = client.text(&queue("q"), text);
        client.publish(message).await.unwrap();
    }
    client.send(&pull(0)).await;
    let got = client.dispatch().await;
    assert_eq!(text_of(&got), "1");
    client.ack(STANDARD, &got, &got).await.unwrap();
    client.send(&pull(10_000)).await;
    assert_eq!(text_of(&client.dispatch().await), "2");
}

#[tokio::test]
async fn a_look_through_a_queue_takes_nothing_and_ends() {
    let stand = Stand::new().await;
    let mut client = stand.connect("ID:look:1").await;
    let message = client.text(&queue("q"), "seen");
    client.publish(message).await.unwrap();
    let info = ConsumerInfo {
        destination: Some(queue("q")),
        browser: true,
        prefetch_size: 500,
        ..ConsumerInfo::default()
    };
    client.consume_as(1, info).await.unwrap();
    let seen = client.dispatch().await;
    assert_eq!(text_of(&seen), "seen");
    assert_eq!(client.dispatch().await.message, None);
    client.ack(STANDARD, &seen, &seen).await.unwrap();
    client.consume(2, &queue("q"), 10).await.unwrap();
    assert_eq!(text_of(&client.dispatch().await), "seen");
}

/// Begins (0), commits (2) or rolls back (4) the client's transaction `value`.
async fn transact(client: &mut Client, id: &TransactionId, kind: i8) {
    let command_id = client.number();
    let info = TransactionInfo {
        command_id,
        response_required: true,
        transaction_id: Some(id.clone()),
        kind,
        ..TransactionInfo::default()
    };
    client.ask(command_id, Command::TransactionInfo(info)).await.unwrap();
}

#[tokio::test]
async fn a_transaction_is_all_or_nothing() {
    let stand = Stand::new().await;
    let mut client = stand.connect("ID:tx:1").await;
    let connection_id = Some(ConnectionId { value: Some("ID:tx:1".into()) });
    let id = |value| {
        let connection_id = connection_id.clone();
        TransactionId::Local(LocalTransactionId { value, connection_id })
    };
    for (value, end) in [(1, 4), (2, 2)] {
        transact(&mut client, &id(value), 0).await;
        let mut message = client.text(&queue("q"), &format!("of {value}"));
        message.transaction_id = Some(id(value));
        client.send(&Command::Message(Box::new(message))).await;
        transact(&mut client, &id(value), end).await;
    }
    client.consume(1, &queue("q"), 10).await.unwrap();
    let got = client.dispatch().await;
    assert_eq!(text_of(&got), "of 2", "what was rolled back was not sent");
    // What is rolled back after an ack is still the client's; what is committed is gone.
    for (value, end) in [(3, 4), (4, 2)] {
        transact(&mut client, &id(value), 0).await;
        let message_id = got.message.as_ref().unwrap().message_id.clone();
        let ack = outflow_face_openwire::wire::MessageAck {
            consumer_id: got.consumer_id.clone(),
            transaction_id: Some(id(value)),
            ack_type: STANDARD,
            first_message_id: message_id.clone(),
            last_message_id: message_id,
            message_count: 1,
            ..Default::default()
        };
        client.send(&Command::MessageAck(ack)).await;
        transact(&mut client, &id(value), end).await;
    }
    drop(client);
    let mut client = stand.connect("ID:tx:2").await;
    let message = client.text(&queue("q"), "after");
    client.publish(message).await.unwrap();
    client.consume(1, &queue("q"), 10).await.unwrap();
    assert_eq!(text_of(&client.dispatch().await), "after");
}

#[tokio::test]
async fn a_connection_id_is_taken_over_and_its_messages_come_again() {
    let stand = Stand::new().await;
    let mut first = stand.connect("ID:over:1").await;
    let message = first.text(&queue("q"), "held");
    first.publish(message).await.unwrap();
    first.consume(1, &queue("q"), 10).await.unwrap();
    first.dispatch().await;
    let mut second = stand.connect("ID:over:1").await;
    assert!(first.read().await.is_none(), "the connection that had the id ends");
    second.consume(1, &queue("q"), 10).await.unwrap();
    let again = second.dispatch().await;
    assert_eq!((text_of(&again).as_str(), again.redelivery_counter), ("held", 1));
}

#[tokio::test]
async fn who_copies_a_connection_id_does_not_reach_its_temporary_queues() {
    let stand = Stand::new().await;
    let replies = Destination::new(DestinationKind::TempQueue, "ID:mine:1:1");
    let make = |client: &mut Client, operation_type| {
        let command_id = client.number();
        DestinationInfo {
            command_id,
            response_required: true,
            destination: Some(replies.clone()),
            operation_type,
            ..DestinationInfo::default()
        }
    };
    let mut owner = stand.connect("ID:mine:1").await;
    let info = make(&mut owner, 0);
    owner.ask(info.command_id, Command::DestinationInfo(info)).await.unwrap();
    owner.consume(1, &replies, 10).await.unwrap();
    let mut copy = stand.dial("ID:mine:1").await;
    copy.login(&stand.other, None).await.unwrap();
    for operation_type in [0, 1] {
        let info = make(&mut copy, operation_type);
        let refused = copy.ask(info.command_id, Command::DestinationInfo(info)).await;
        assert_eq!(refused.unwrap_err().0, "javax.jms.JMSSecurityException");
    }
    copy.consume(1, &replies, 10).await.unwrap_err();
    let reply = copy.text(&replies, "for the owner");
    copy.publish(reply).await.unwrap();
    assert_eq!(text_of(&owner.dispatch().await), "for the owner");
}

#[tokio::test]
async fn a_login_that_is_wrong_is_answered_and_ends() {
    let stand = Stand::new().await;
    let mut client = stand.dial("ID:wrong:1").await;
    let (class, message) = client.login("nothing", None).await.unwrap_err();
    assert_eq!(class, "java.lang.SecurityException");
    assert!(message.contains("User name [broker] or password is invalid."), "{message}");
    assert!(client.read().await.is_none());
}

#[tokio::test]
async fn a_client_id_is_one_connections() {
    let options = outflow_face_openwire::Options {
        limits: outflow_broker::Limits {
            client_id_wait: Duration::from_millis(200),
            ..outflow_broker::Limits::default()
        },
        ..outflow_face_openwire::Options::default()
    };
    let stand = Stand::with(options).await;
    let mut first = stand.dial("ID:one:1").await;
    first.login(&stand.secret, Some("same")).await.unwrap();
    let mut second = stand.dial("ID:two:1").await;
    let (class, message) = second.login(&stand.secret, Some("same")).await.unwrap_err();
    assert_eq!(class, "javax.jms.InvalidClientIDException");
    assert!(message.contains("Client: same already connected"), "{message}");
}

#[tokio::test]
async fn who_is_asked_for_a_reply_knows_where_to_send_it() {
    let stand = Stand::new().await;
    let advisories = Destination::new(
        DestinationKind::Topic,
        "ActiveMQ.Advisory.TempQueue,ActiveMQ.Advisory.TempTopic",
    );
    let mut server = stand.connect("ID:server:1").await;
    server.consume(1, &advisories, 1000).await.unwrap();
    let mut client = stand.connect("ID:client:1").await;
    let reply_to = Destination::new(DestinationKind::TempQueue, "ID:client:1:1");
    let told = |dispatch: &MessageDispatch| {
        let message = dispatch.message.as_ref().unwrap();
        let Some(Command::DestinationInfo(info)) = message.data_structure.as_deref() else {
            panic!("{message:?} tells of no destination");
        };
        (info.destination.clone().unwrap(), info.operation_type)
    };
    for operation_type in [0, 1] {
        let command_id = client.number();
        let info = DestinationInfo {
            command_id,
            response_required: true,
            destination: Some(reply_to.clone()),
            operation_type,
            ..DestinationInfo::default()
        };
        client.ask(command_id, Command::DestinationInfo(info)).await.unwrap();
        assert_eq!(told(&server.dispatch().await), (reply_to.clone(), operation_type));
        if operation_type == 0 {
            let (class, _) = server.consume(2, &reply_to, 1).await.unwrap_err();
            assert_eq!(class, "javax.jms.InvalidDestinationException");
            let message = server.text(&reply_to, "pong");
            server.publish(message).await.unwrap();
            client.consume(2, &reply_to, 10).await.unwrap();
            assert_eq!(text_of(&client.dispatch().await), "pong");
        }
    }
    let message = server.text(&reply_to, "late");
    let (class, _) = server.publish(message).await.unwrap_err();
    assert_eq!(class, "javax.jms.InvalidDestinationException");
}

#[tokio::test]
async fn a_sign_of_life_is_answered() {
    let stand = Stand::new().await;
    let mut client = stand.connect("ID:alive:1").await;
    let asked = KeepAliveInfo { response_required: true, ..KeepAliveInfo::default() };
    client.send(&Command::KeepAliveInfo(asked)).await;
    let Command::KeepAliveInfo(answer) = client.next().await else { panic!("no sign of life") };
    assert!(!answer.response_required);
}

#[tokio::test]
async fn nothing_is_done_for_who_has_not_logged_in() {
    let stand = Stand::new().await;
    let mut client = stand.dial("ID:nobody:1").await;
    let message = client.text(&queue("q"), "x");
    client.publish(message).await.unwrap_err();
    assert!(client.read().await.is_none());
}

#[tokio::test]
async fn a_queues_message_is_not_lost_to_who_hears_none_of_its_own() {
    let stand = Stand::new().await;
    let mut client = stand.connect("ID:local:1").await;
    let deaf = ConsumerInfo {
        destination: Some(queue("q")),
        prefetch_size: 10,
        no_local: true,
        ..ConsumerInfo::default()
    };
    client.consume_as(1, deaf).await.unwrap();
    let message = client.text(&queue("q"), "own");
    client.publish(message).await.unwrap();
    assert_eq!(text_of(&client.dispatch().await), "own");
}

#[tokio::test]
async fn a_temporary_queue_that_no_connection_made_is_refused() {
    let stand = Stand::new().await;
    let mut client = stand.connect("ID:temp:1").await;
    for name in ["ID:temp:1:1", "ID:temp:1:1:1", "ID:temp:9:1"] {
        let temporary = Destination::new(DestinationKind::TempQueue, name);
        let (class, _) = client.consume(1, &temporary, 1).await.unwrap_err();
        assert_eq!(class, "javax.jms.InvalidDestinationException", "{name}");
    }
}

#[tokio::test]
async fn who_has_not_logged_in_sends_small_frames_only() {
    let stand = Stand::new().await;
    let mut client = stand.dial("ID:large:1").await;
    let text = "x".repeat(100_000);
    let large = client.text(&queue("q"), &text);
    client.send(&Command::Message(Box::new(large))).await;
    let said = client.next().await;
    assert!(matches!(said, Command::ConnectionError(_)), "{said:?}");
    let mut client = stand.connect("ID:large:2").await;
    let large = client.text(&queue("q"), &text);
    client.publish(large).await.unwrap();
}

#[tokio::test]
async fn a_consumer_of_advisories_is_told_once() {
    let stand = Stand::new().await;
    let mut client = stand.connect("ID:told:1").await;
    let temporary = Destination::new(DestinationKind::TempQueue, "ID:told:1:1");
    let command_id = client.number();
    let made = DestinationInfo {
        command_id,
        response_required: true,
        connection_id: Some(ConnectionId { value: Some("ID:told:1".into()) }),
        destination: Some(temporary),
        ..DestinationInfo::default()
    };
    client.ask(command_id, Command::DestinationInfo(made)).await.unwrap();
    let topic = Destination::new(DestinationKind::Topic, "ActiveMQ.Advisory.TempQueue");
    let first = client.consume(1, &topic, 10).await.unwrap();
    let second = client.consume(2, &topic, 10).await.unwrap();
    client.consume(1, &topic, 10).await.unwrap();
    for consumer in [first, second] {
        assert_eq!(client.dispatch().await.consumer_id, Some(consumer));
    }
    // Nothing else came before the answer to this.
    let message = client.text(&queue("q"), "last");
    client.publish(message).await.unwrap();
    client.consume(3, &queue("q"), 1).await.unwrap();
    assert_eq!(text_of(&client.dispatch().await), "last");
}
