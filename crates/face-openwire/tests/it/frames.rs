//! Commands and frames that several tests send.

use bytes::{Bytes, BytesMut};
use outflow_face_openwire::wire::{
    BrokerId, Command, ConnectionError, ConnectionId, ConnectionInfo, ConsumerId, ConsumerInfo,
    Destination, DestinationKind, Encoder, KeepAliveInfo, LocalTransactionId, Message,
    MessageDispatch, MessageId, MessageKind, Password, ProducerId, StackElement, Throwable,
    TransactionId, WireFormat, XaTransactionId,
};

pub(crate) fn connection_info(password: &str) -> Command {
    ConnectionInfo {
        command_id: 1,
        response_required: true,
        connection_id: Some(ConnectionId { value: Some("ID:host-1:1".into()) }),
        client_id: Some("n\u{e4}me\0\u{1F600}".into()),
        password: Some(Password::new(password)),
        user_name: Some("ada".into()),
        broker_path: Some(vec![Some(BrokerId { value: Some("b".into()) }), None]),
        manageable: true,
        client_ip: Some("127.0.0.1".into()),
        ..ConnectionInfo::default()
    }
    .into()
}

pub(crate) fn message(kind: MessageKind) -> Message {
    let producer =
        ProducerId { connection_id: Some("ID:host-1:1".into()), value: 3, session_id: 2 };
    Message {
        kind,
        command_id: 9,
        producer_id: Some(producer.clone()),
        destination: Some(Destination::new(DestinationKind::Queue, "orders")),
        transaction_id: Some(TransactionId::Local(LocalTransactionId {
            value: 70_000,
            connection_id: Some(ConnectionId { value: Some("ID:host-1:1".into()) }),
        })),
        original_transaction_id: Some(TransactionId::Xa(XaTransactionId {
            format_id: -1,
            global_transaction_id: Some(Bytes::from_static(&[1, 2, 3])),
            branch_qualifier: None,
        })),
        message_id: Some(MessageId {
            text_view: None,
            producer_id: Some(producer),
            producer_sequence_id: 5_000_000_000,
            broker_sequence_id: -1,
        }),
        content: Some(Bytes::from_static(b"\0\0\0\x04text").into()),
        marshalled_properties: Some(Bytes::from_static(&[0, 0, 0, 0])),
        priority: 4,
        expiration: 65_535,
        timestamp: 65_536,
        persistent: true,
        data_structure: Some(Box::new(connection_info("secret"))),
        target_consumer_id: Some(ConsumerId {
            connection_id: Some("ID:host-1:1".into()),
            session_id: -1,
            value: i64::from(u32::MAX),
        }),
        ..Message::default()
    }
}

/// Commands that between them have a value of every kind.
pub(crate) fn commands() -> Vec<Command> {
    let cause = Throwable::new("java.io.IOException", "gone");
    let exception = Throwable {
        stack: vec![StackElement {
            class: Some("a.B".into()),
            method: Some("c".into()),
            file: None,
            line: -2,
        }],
        cause: Some(Box::new(cause)),
        ..Throwable::new("javax.jms.JMSException", "no")
    };
    vec![
        KeepAliveInfo { command_id: 7, response_required: true }.into(),
        connection_info("secret"),
        ConsumerInfo { browser: true, prefetch_size: 1000, ..ConsumerInfo::default() }.into(),
        ConnectionError { exception: Some(exception), ..ConnectionError::default() }.into(),
        Command::Null,
        MessageDispatch {
            message: Some(Box::new(message(MessageKind::Text))),
            redelivery_counter: 1,
            ..MessageDispatch::default()
        }
        .into(),
        message(MessageKind::Blob(Box::default())).into(),
        connection_info("secret"),
    ]
}

/// Their frames without sizes, in the four ways of writing them, each on a connection of its own.
pub(crate) fn golden() -> Vec<(WireFormat, Bytes)> {
    let mut frames = Vec::new();
    for (tight, cache) in [(false, false), (false, true), (true, false), (true, true)] {
        let format = WireFormat {
            version: 12,
            tight,
            cache,
            stack_traces: true,
            size_prefix: false,
            ..WireFormat::initial(1 << 20)
        };
        for command in commands() {
            let mut out = BytesMut::new();
            Encoder::new(format.clone()).encode(&command, &mut out).unwrap();
            frames.push((format.clone(), out.freeze()));
        }
    }
    frames
}
