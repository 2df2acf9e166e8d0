//! The field table: every type, its code, its fields in the order of the wire, and the version that
//! brought each. Reference `activemq.md`, (c3).
//!
//! Read by nobody at run time: [`super::structure`] makes each type, its reader and its writer of its
//! rows. A row without versions is in all of them.
//!
//! Long because it is one table.

use bytes::Bytes;

use super::WireStr;
use super::content::Content;
use super::error::{EncodeError, WireError};
use super::field::{CachedField, Field};
use super::identity::Identity;
use super::password::Password;
use super::reader::Reader;
use super::structure::{
    DestinationKind, Fields, MessageKind, Structure, TransactionId, read_field, structure,
    write_field,
};
use super::throwable::Throwable;
use super::writer::Writer;

/// The version that brought a type; 1 for most.
pub(super) const fn since(code: u8) -> u8 {
    match code {
        20 => 2,
        19 | 29 => 3,
        92 => 12,
        _ => 1,
    }
}

structure! {
    fields,
    /// A message.
    Message + /// What its body is; the code it is written with.
    kind: MessageKind {
        /// The sender's number of this command.
        command_id: i32;
        /// Whether the sender wants a response.
        response_required: bool;
        /// Who sent it.
        producer_id: Option<ProducerId> = cached;
        /// Where it was sent.
        destination: Option<Destination> = cached;
        /// The transaction it was sent in.
        transaction_id: Option<TransactionId> = cached;
        /// Where it was sent to first, when it has been sent on.
        original_destination: Option<Destination> = cached;
        /// Its id.
        message_id: Option<MessageId>;
        /// The transaction it was first sent in.
        original_transaction_id: Option<TransactionId> = cached;
        /// `JMSXGroupID`.
        group_id: Option<WireStr>;
        /// `JMSXGroupSeq`.
        group_sequence: i32;
        /// `JMSCorrelationID`.
        correlation_id: Option<WireStr>;
        /// Whether it outlives a restart.
        persistent: bool;
        /// When it expires, in milliseconds since 1970; 0 is never.
        expiration: i64;
        /// From 0 to 9 for messages, to 127 for consumers; the highest goes first.
        priority: i8;
        /// `JMSReplyTo`.
        reply_to: Option<Destination>;
        /// When it was sent, in milliseconds since 1970.
        timestamp: i64;
        /// `JMSType`.
        jms_type: Option<WireStr>;
        /// The body, as its kind of message has it.
        content: Option<Content>;
        /// The properties, as [`super::primitive`] reads them.
        marshalled_properties: Option<Bytes>;
        /// What an advisory tells of.
        data_structure: Option<Box<Command>>;
        /// The one consumer it is for.
        target_consumer_id: Option<ConsumerId> = cached;
        /// Whether `content` is deflated.
        compressed: bool;
        /// How often it was delivered before.
        redelivery_counter: i32;
        /// The brokers it came through.
        broker_path: Option<Vec<Option<BrokerId>>>;
        /// When the broker took it, in milliseconds since 1970.
        arrival: i64;
        /// `JMSXUserID`.
        user_id: Option<WireStr>;
        /// Whether a bridge on demand received it.
        received_by_df_bridge: bool;
        /// Whether it may be dropped for a slow consumer.
        droppable [2..]: bool;
        /// The brokers of its cluster.
        cluster [3..]: Option<Vec<Option<BrokerId>>>;
        /// When the broker took it, in milliseconds since 1970.
        broker_in_time [3..]: i64;
        /// When the broker handed it out, in milliseconds since 1970.
        broker_out_time [3..]: i64;
        /// `JMSXGroupFirstForConsumer`.
        group_first_for_consumer [10..]: bool;
    }
}

structure! {
    fields,
    /// Where the body of a message is, when it is not in it.
    Blob {
        /// Where the body is.
        remote_blob_url: Option<WireStr>;
        /// What it is.
        mime_type: Option<WireStr>;
        /// Whether the broker deletes it.
        deleted_by_broker: bool;
    }
}

structure! {
    fields,
    /// A destination.
    Destination + /// What it is; the code it is written with.
    kind: DestinationKind {
        /// Its name, with its options behind a `?`.
        physical_name: Option<WireStr>;
    }
}

macro_rules! header {
    (plain, $structure:ident) => {{
        let _ = $structure;
        (0, false)
    }};
    ($base:ident, $structure:ident) => {
        ($structure.command_id, $structure.response_required)
    };
}

macro_rules! commands {
    ($( $(#[$doc:meta])* $code:literal $name:ident : $base:ident { $($rows:tt)* } )*) => {
        $( structure! { $base, $(#[$doc])* $code $name { $($rows)* } } )*

        /// What one frame holds: a command, or, inside of one, anything else of the table.
        #[derive(Debug, Clone, PartialEq, Eq, Hash)]
        pub enum Command {
            /// Nothing; a whole frame only.
            Null,
            $( $(#[$doc])* $name($name), )*
            /// A message, of any kind.
            Message(Box<Message>),
            /// A destination, of any kind.
            Destination(Destination),
        }

        impl Structure for Command {
            fn code(&self) -> u8 {
                match self {
                    Self::Null => 0,
                    $( Self::$name(_) => $code, )*
                    Self::Message(message) => message.code(),
                    Self::Destination(destination) => destination.code(),
                }
            }

            fn read(code: u8, reader: &mut Reader<'_>) -> Result<Self, WireError> {
                Ok(match code {
                    $( $code => Self::$name(<$name>::read_fields(reader)?), )*
                    23..=29 => Self::Message(Structure::read(code, reader)?),
                    100..=103 => Self::Destination(Structure::read(code, reader)?),
                    _ => return Err(reader.unexpected(code)),
                })
            }

            fn write(&self, writer: &mut Writer<'_>) -> Result<(), EncodeError> {
                match self {
                    Self::Null => Ok(()),
                    $( Self::$name(structure) => structure.write_fields(writer), )*
                    Self::Message(message) => message.write(writer),
                    Self::Destination(destination) => destination.write(writer),
                }
            }
        }

        impl Command {
            /// Its number, and whether its sender wants a response.
            const fn header(&self) -> (i32, bool) {
                match self {
                    Self::Null | Self::Destination(_) => (0, false),
                    $( Self::$name(structure) => header!($base, structure), )*
                    Self::Message(message) => (message.command_id, message.response_required),
                }
            }

            const fn rust_name(&self) -> &'static str {
                match self {
                    Self::Null => "null",
                    $( Self::$name(_) => stringify!($name), )*
                    Self::Message(message) => message.kind.name(),
                    Self::Destination(destination) => destination.kind.name(),
                }
            }
        }

        $( impl From<$name> for Command {
            fn from(structure: $name) -> Self {
                Self::$name(structure)
            }
        } )*
    };
}

impl Command {
    /// The sender's number of it; 0 for what is no command.
    #[must_use]
    pub const fn command_id(&self) -> i32 {
        self.header().0
    }

    /// Whether its sender wants a response.
    #[must_use]
    pub const fn response_required(&self) -> bool {
        self.header().1
    }

    /// The name of its type, as the reference has it.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self.rust_name() {
            "XaTransactionId" => "XATransactionId",
            name => name,
        }
    }

    /// The code of its type.
    #[must_use]
    pub fn type_code(&self) -> u8 {
        self.code()
    }
}

impl From<Message> for Command {
    fn from(message: Message) -> Self {
        Self::Message(Box::new(message))
    }
}

impl From<Destination> for Command {
    fn from(destination: Destination) -> Self {
        Self::Destination(destination)
    }
}

commands! {
    /// What a side can speak; the first frame each way.
    1 WireFormatInfo: plain {
        /// Always `ActiveMQ`.
        magic: [u8; 8];
        /// The newest version the sender speaks.
        version: i32;
        /// The properties, as [`super::primitive`] reads them.
        marshalled_properties: Option<Bytes>;
    }
    /// The broker tells who it is.
    2 BrokerInfo: command {
        /// The broker.
        broker_id: Option<BrokerId> = cached;
        /// Where it can be reached.
        broker_url: Option<WireStr>;
        /// Its peers.
        peer_broker_infos: Option<Vec<Option<Box<BrokerInfo>>>>;
        /// Its name.
        broker_name: Option<WireStr>;
        /// Whether it only follows another.
        slave_broker: bool;
        /// Whether others follow it.
        master_broker: bool;
        /// Whether another takes over when it fails.
        fault_tolerant_configuration: bool;
        /// Whether a bridge carries both ways.
        duplex_connection [2..]: bool;
        /// Whether it is a bridge.
        network_connection [2..]: bool;
        /// The connection's number.
        connection_id [2..]: i64;
        /// Where blobs go.
        broker_upload_url [3..]: Option<WireStr>;
        /// Options of a bridge.
        network_properties [3..]: Option<WireStr>;
    }
    /// A connection begins.
    3 ConnectionInfo: command {
        /// The connection.
        connection_id: Option<ConnectionId> = cached;
        /// The client id, `connection.setClientID`.
        client_id: Option<WireStr>;
        /// The password. Never printed.
        password: Option<Password>;
        /// The user.
        user_name: Option<WireStr>;
        /// The brokers it came through.
        broker_path: Option<Vec<Option<BrokerId>>>;
        /// Whether a broker connects to the one it follows.
        broker_master_connector: bool;
        /// Whether it takes a [`ConnectionControl`].
        manageable: bool;
        /// Whether the client decides on the connection's life.
        client_master [2..]: bool;
        /// Whether the client reconnects by itself.
        fault_tolerant [6..]: bool;
        /// Whether it was connected before, and does so again.
        failover_reconnect [6..]: bool;
        /// The client's address, as told.
        client_ip [8..]: Option<WireStr>;
    }
    /// A session begins.
    4 SessionInfo: command {
        /// The session; -1 is there without being announced.
        session_id: Option<SessionId> = cached;
    }
    /// A consumer begins.
    5 ConsumerInfo: command {
        /// The consumer.
        consumer_id: Option<ConsumerId> = cached;
        /// Whether it only looks.
        browser: bool;
        /// Where it goes, or comes from.
        destination: Option<Destination> = cached;
        /// How many messages it takes before it acknowledges; 0 is none before it pulls.
        prefetch_size: i32;
        /// How many may wait for a slow consumer of a topic.
        maximum_pending_message_limit: i32;
        /// Whether the broker may hand out on another thread.
        dispatch_async: bool;
        /// Which messages it wants.
        selector: Option<WireStr>;
        /// The client id, `connection.setClientID`.
        client_id [10..]: Option<WireStr>;
        /// The name of a durable subscription.
        subscription_name: Option<WireStr>;
        /// Whether the connection's own messages are left out.
        no_local: bool;
        /// Whether one consumer gets everything.
        exclusive: bool;
        /// Whether it wants what was sent before.
        retroactive: bool;
        /// From 0 to 9 for messages, to 127 for consumers; the highest goes first.
        priority: i8;
        /// The brokers it came through.
        broker_path: Option<Vec<Option<BrokerId>>>;
        /// A further filter of a bridge.
        additional_predicate: Option<Box<Command>>;
        /// Whether it is a bridge's.
        network_subscription: bool;
        /// Whether acks come in ranges, late.
        optimized_acknowledge: bool;
        /// Whether acks never come in ranges.
        no_range_acks: bool;
        /// The consumers behind a bridge.
        network_consumer_path [4..]: Option<Vec<Option<ConsumerId>>>;
    }
    /// A producer begins.
    6 ProducerInfo: command {
        /// Who sent it.
        producer_id: Option<ProducerId> = cached;
        /// Where it goes, or comes from.
        destination: Option<Destination> = cached;
        /// The brokers it came through.
        broker_path: Option<Vec<Option<BrokerId>>>;
        /// Whether the broker may hand out on another thread.
        dispatch_async [2..]: bool;
        /// How many bytes may be unanswered by [`ProducerAck`]; 0 is any.
        window_size [3..]: i32;
    }
    /// A transaction goes on. Its `kind`: 0 begin, 1 prepare, 2 commit in one phase, 3 commit in two,
    /// 4 roll back, 5 recover, 6 forget, 7 end.
    7 TransactionInfo: command {
        /// The connection.
        connection_id: Option<ConnectionId> = cached;
        /// The transaction it belongs to.
        transaction_id: Option<TransactionId> = cached;
        /// What happens to it.
        kind: i8;
    }
    /// A destination is made or removed.
    8 DestinationInfo: command {
        /// The connection.
        connection_id: Option<ConnectionId> = cached;
        /// Where it goes, or comes from.
        destination: Option<Destination> = cached;
        /// 0 adds, 1 removes.
        operation_type: i8;
        /// How long to wait for its consumers to go, in milliseconds.
        timeout: i64;
        /// The brokers it came through.
        broker_path: Option<Vec<Option<BrokerId>>>;
    }
    /// A durable subscription is removed.
    9 RemoveSubscriptionInfo: command {
        /// The connection.
        connection_id: Option<ConnectionId> = cached;
        /// The name of a durable subscription.
        subscription_name: Option<WireStr>;
        /// The client id, `connection.setClientID`.
        client_id: Option<WireStr>;
    }
    /// A sign of life.
    10 KeepAliveInfo: command {}
    /// The sender closes.
    11 ShutdownInfo: command {}
    /// A connection, session, consumer or producer ends.
    12 RemoveInfo: command {
        /// What ends: a connection, session, consumer or producer.
        object_id: Option<Identity> = cached;
        /// The last message the consumer was given: its `broker_sequence_id`; -1 is none, -2 not known.
        last_delivered_sequence_id [5..]: i64;
    }
    /// An order to a broker.
    14 ControlCommand: command {
        /// What to do.
        command: Option<WireStr>;
    }
    /// What is buffered is to be sent.
    15 FlushCommand: command {}
    /// What went wrong with what had no answer.
    16 ConnectionError: command {
        /// What went wrong.
        exception: Option<Throwable>;
        /// The connection.
        connection_id: Option<ConnectionId>;
    }
    /// A consumer is changed.
    17 ConsumerControl: command {
        /// Where it goes, or comes from.
        destination [6..]: Option<Destination>;
        /// Whether to close.
        close: bool;
        /// The consumer.
        consumer_id: Option<ConsumerId>;
        /// The new prefetch.
        prefetch: i32;
        /// Whether to flush.
        flush [2..]: bool;
        /// Whether to start.
        start [2..]: bool;
        /// Whether to stop.
        stop [2..]: bool;
    }
    /// A connection is told of changes.
    18 ConnectionControl: command {
        /// Whether to close.
        close: bool;
        /// Whether the broker goes away.
        exit: bool;
        /// Whether the client is to reconnect by itself.
        fault_tolerant: bool;
        /// Whether to go on.
        resume: bool;
        /// Whether to pause.
        suspend: bool;
        /// The other brokers, with commas between.
        connected_brokers [6..]: Option<WireStr>;
        /// Where to connect instead.
        reconnect_to [6..]: Option<WireStr>;
        /// Whether to spread connections anew.
        rebalance_connection [6..]: bool;
        /// What is to be given when connecting again.
        token [8..]: Option<Bytes>;
    }
    /// So much of a producer's window is free again.
    19 ProducerAck: command {
        /// Who sent it.
        producer_id: Option<ProducerId>;
        /// How many bytes of messages are answered.
        size: i32;
    }
    /// A consumer without prefetch asks for a message.
    20 MessagePull: command {
        /// The consumer.
        consumer_id: Option<ConsumerId> = cached;
        /// Where it goes, or comes from.
        destination: Option<Destination> = cached;
        /// How long to wait, in milliseconds; 0 is for ever, -1 not at all.
        timeout: i64;
        /// Told again with the message.
        correlation_id [3..]: Option<WireStr>;
        /// The message wanted, when it is a certain one.
        message_id [3..]: Option<MessageId>;
    }
    /// A message for a consumer.
    21 MessageDispatch: command {
        /// The consumer.
        consumer_id: Option<ConsumerId> = cached;
        /// Where the message comes from.
        destination: Option<Destination> = cached;
        /// The message; none ends a pull or a look through a queue.
        message: Option<Box<Message>>;
        /// How often the message was delivered before.
        redelivery_counter: i32;
    }
    /// A consumer has messages, or has done with them.
    22 MessageAck: command {
        /// Where it goes, or comes from.
        destination: Option<Destination> = cached;
        /// The transaction it belongs to.
        transaction_id: Option<TransactionId> = cached;
        /// The consumer.
        consumer_id: Option<ConsumerId> = cached;
        /// 0 delivered, 1 poison, 2 standard, 3 redelivered, 4 individual, 5 unmatched, 6 expired.
        ack_type: i8;
        /// The first of a range; none is the beginning.
        first_message_id: Option<MessageId>;
        /// The last of a range, or the only one.
        last_message_id: Option<MessageId>;
        /// How many it covers.
        message_count: i32;
        /// Why the client gave up.
        poison_cause [7..]: Option<Throwable>;
    }
    /// A command was carried out.
    30 Response: command {
        /// `JMSCorrelationID`.
        correlation_id: i32;
    }
    /// A command was refused.
    31 ExceptionResponse: response {
        /// What went wrong.
        exception: Option<Throwable>;
    }
    /// A command was carried out; this came of it.
    32 DataResponse: response {
        /// What was asked for.
        data: Option<Box<Command>>;
    }
    /// A command was carried out; these came of it.
    33 DataArrayResponse: response {
        /// What was asked for.
        data: Option<Vec<Option<Box<Command>>>>;
    }
    /// A command was carried out; this number came of it.
    34 IntegerResponse: response {
        /// The number asked for.
        result: i32;
    }
    /// A broker was found.
    40 DiscoveryEvent: plain {
        /// The service.
        service_name: Option<WireStr>;
        /// Its name.
        broker_name: Option<WireStr>;
    }
    /// An ack, as a journal keeps it.
    50 JournalTopicAck: plain {
        /// Where it goes, or comes from.
        destination: Option<Destination>;
        /// The message it is about.
        message_id: Option<MessageId>;
        /// The message's sequence in the store.
        message_sequence_id: i64;
        /// The name of a durable subscription.
        subscription_name: Option<WireStr>;
        /// The client id, `connection.setClientID`.
        client_id: Option<WireStr>;
        /// The transaction it belongs to.
        transaction_id: Option<TransactionId>;
    }
    /// An ack, as a journal keeps it.
    52 JournalQueueAck: plain {
        /// Where it goes, or comes from.
        destination: Option<Destination>;
        /// The ack.
        message_ack: Option<Box<MessageAck>>;
    }
    /// A note in a journal.
    53 JournalTrace: plain {
        /// The note.
        message: Option<WireStr>;
    }
    /// A transaction, as a journal keeps it.
    54 JournalTransaction: plain {
        /// The transaction it belongs to.
        transaction_id: Option<TransactionId>;
        /// What happens to it.
        kind: i8;
        /// Whether the transaction was prepared.
        was_prepared: bool;
    }
    /// A durable subscription.
    55 SubscriptionInfo: plain {
        /// The client id, `connection.setClientID`.
        client_id: Option<WireStr>;
        /// Where it goes, or comes from.
        destination: Option<Destination> = cached;
        /// Which messages it wants.
        selector: Option<WireStr>;
        /// The name of a durable subscription.
        subscription_name: Option<WireStr>;
        /// What was subscribed to.
        subscribed_destination [3..]: Option<Destination>;
        /// Whether the connection's own messages are left out.
        no_local [11..]: bool;
    }
    /// A part of a command.
    60 PartialCommand: plain {
        /// The command it is a part of.
        command_id: i32;
        /// The part.
        data: Option<Bytes>;
    }
    /// The last part of a command.
    61 LastPartialCommand: plain {
        /// The command it is a part of.
        command_id: i32;
        /// The part.
        data: Option<Bytes>;
    }
    /// Commands are to be sent again.
    65 ReplayCommand: command {
        /// The first command to send again.
        first_nak_number: i32;
        /// The last command to send again.
        last_nak_number: i32;
    }
    /// A broker tells another what it handed out.
    90 MessageDispatchNotification: command {
        /// The consumer.
        consumer_id: Option<ConsumerId> = cached;
        /// Where it goes, or comes from.
        destination: Option<Destination> = cached;
        /// The order of delivery.
        delivery_sequence_id: i64;
        /// The message it is about.
        message_id: Option<MessageId>;
    }
    /// What a bridge lets through.
    91 NetworkBridgeFilter: plain {
        /// How many brokers it passes.
        network_ttl [..10]: i32;
        /// The broker behind the bridge.
        network_broker_id: Option<BrokerId> = cached;
        /// How many brokers a message passes.
        message_ttl [10..]: i32;
        /// How many brokers a subscription passes.
        consumer_ttl [10..]: i32;
    }
    /// A broker's durable subscriptions.
    92 BrokerSubscriptionInfo: command {
        /// The broker.
        broker_id: Option<BrokerId>;
        /// Its name.
        broker_name: Option<WireStr>;
        /// Its subscriptions.
        subscription_infos: Option<Vec<Option<Box<ConsumerInfo>>>>;
    }
    /// A message: its producer and its number. As text, `producer:sequence`.
    110 MessageId: plain {
        /// A foreign id to show instead.
        text_view [10..]: Option<WireStr>;
        /// Who sent it.
        producer_id: Option<ProducerId> = cached;
        /// The producer's number of it; it only rises.
        producer_sequence_id: i64;
        /// The broker's number of it; it only rises.
        broker_sequence_id: i64;
    }
    /// A transaction of one connection.
    111 LocalTransactionId: plain {
        /// Its number within the connection.
        value: i64;
        /// Its connection.
        connection_id: Option<ConnectionId> = cached;
    }
    /// A branch of a distributed transaction.
    112 XaTransactionId: plain {
        /// The format of the parts.
        format_id: i32;
        /// The transaction.
        global_transaction_id: Option<Bytes>;
        /// The branch.
        branch_qualifier: Option<Bytes>;
    }
    /// A connection.
    120 ConnectionId: plain {
        /// Its text.
        value: Option<WireStr>;
    }
    /// A session of a connection.
    121 SessionId: plain {
        /// Its connection, as text.
        connection_id: Option<WireStr>;
        /// Its number within the connection.
        value: i64;
    }
    /// A consumer of a session.
    122 ConsumerId: plain {
        /// Its connection, as text.
        connection_id: Option<WireStr>;
        /// Its session's number.
        session_id: i64;
        /// Its number within the session.
        value: i64;
    }
    /// A producer of a session.
    123 ProducerId: plain {
        /// Its connection, as text.
        connection_id: Option<WireStr>;
        /// Its number within the session.
        value: i64;
        /// Its session's number.
        session_id: i64;
    }
    /// A broker.
    124 BrokerId: plain {
        /// Its text.
        value: Option<WireStr>;
    }
}
