//! OpenWire frames: bytes to commands and back. No I/O, no meaning.
//!
//! Called by the listener (framing, decoding), the session (encoding) and the translation
//! (properties and bodies). [`Decoder`] and [`Encoder`] are the two directions of one connection;
//! each keeps its own cache. [`table`] says which fields each type has, in which version; `reader`
//! and `writer` say how a value of each kind stands in a frame. Reference `activemq.md`, part (c).
//!
//! Loose and tight differ in the primitives only: where loose writes a byte of its own for a yes or
//! no, tight takes a bit of a stream of bits that stands before the data. So every type is read and
//! written in one pass, in one order.
//!
//! Invariants: what one frame makes is bounded by the frame's length; nesting is bounded; a field
//! newer than the version agreed on is neither read nor written; a type that is not in the table is
//! refused; an exception is text, and no class is looked up by its name.

mod bits;
pub mod body;
mod cache;
mod codec;
mod content;
mod error;
mod field;
mod format;
mod identity;
mod password;
pub mod primitive;
mod reader;
mod spelling;
mod structure;
pub mod table;
mod throwable;
pub mod utf8;
mod writer;

use std::sync::Arc;

pub use codec::{Decoder, Encoder};
pub use content::Content;
pub use error::{EncodeError, WireError};
pub use format::{MAGIC, Offer, OfferError, VERSION_MAX, WireFormat};
pub use identity::Identity;
pub use password::Password;
pub use structure::{Destination, DestinationKind, Message, MessageKind, TransactionId};
pub use table::{
    Blob, BrokerId, BrokerInfo, BrokerSubscriptionInfo, Command, ConnectionControl,
    ConnectionError, ConnectionId, ConnectionInfo, ConsumerControl, ConsumerId, ConsumerInfo,
    ControlCommand, DataArrayResponse, DataResponse, DestinationInfo, DiscoveryEvent,
    ExceptionResponse, FlushCommand, IntegerResponse, JournalQueueAck, JournalTopicAck,
    JournalTrace, JournalTransaction, KeepAliveInfo, LastPartialCommand, LocalTransactionId,
    MessageAck, MessageDispatch, MessageDispatchNotification, MessageId, MessagePull,
    NetworkBridgeFilter, PartialCommand, ProducerAck, ProducerId, ProducerInfo, RemoveInfo,
    RemoveSubscriptionInfo, ReplayCommand, Response, SessionId, SessionInfo, ShutdownInfo,
    SubscriptionInfo, TransactionInfo, WireFormatInfo, XaTransactionId,
};
pub use throwable::{StackElement, Throwable};

/// A string as commands hold it. Shared, because ids are kept and compared more often than read.
pub type WireStr = Arc<str>;
