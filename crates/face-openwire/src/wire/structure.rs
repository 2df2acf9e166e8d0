//! What the table's types are made with: the traits, the macro that makes a type of its rows, and
//! the types that share fields among several codes.
//!
//! Called by [`super::table`] and by the fields that hold other structures.

use super::error::{EncodeError, WireError};
use super::reader::Reader;
use super::table::{Blob, LocalTransactionId, XaTransactionId};
use super::writer::Writer;

pub use super::table::{Destination, Message};

/// A run of fields, in the table's order.
pub(super) trait Fields: Sized {
    fn read_fields(reader: &mut Reader<'_>) -> Result<Self, WireError>;
    fn write_fields(&self, writer: &mut Writer<'_>) -> Result<(), EncodeError>;
}

/// What stands in a frame behind its code.
pub(super) trait Structure: Sized {
    /// The code that it is written with.
    fn code(&self) -> u8;
    /// Reads what follows `code`; an error when that code is none of this type.
    fn read(code: u8, reader: &mut Reader<'_>) -> Result<Self, WireError>;
    fn write(&self, writer: &mut Writer<'_>) -> Result<(), EncodeError>;
}

impl<T: Structure> Structure for Box<T> {
    fn code(&self) -> u8 {
        self.as_ref().code()
    }

    fn read(code: u8, reader: &mut Reader<'_>) -> Result<Self, WireError> {
        T::read(code, reader).map(Self::new)
    }

    fn write(&self, writer: &mut Writer<'_>) -> Result<(), EncodeError> {
        self.as_ref().write(writer)
    }
}

/// Makes one type of its rows. A row is `field [versions]: type = cached;`: the versions, where the
/// field is not in all, and `cached`, where the connection's cache may stand for it.
macro_rules! structure {
    // A command: what a peer may answer.
    (command, $(#[$doc:meta])* $code:literal $name:ident { $($rows:tt)* }) => {
        structure! { plain, $(#[$doc])* $code $name {
            /// The sender's number of this command; answers tell it as `correlation_id`.
            command_id: i32;
            /// Whether the sender wants a response.
            response_required: bool;
            $($rows)*
        } }
    };
    // An answer to a command.
    (response, $(#[$doc:meta])* $code:literal $name:ident { $($rows:tt)* }) => {
        structure! { command, $(#[$doc])* $code $name {
            /// The `command_id` of the command answered.
            correlation_id: i32;
            $($rows)*
        } }
    };
    (plain, $(#[$doc:meta])* $code:literal $name:ident { $($rows:tt)* }) => {
        structure! { fields, $(#[$doc])* $name { $($rows)* } }

        impl $crate::wire::structure::Structure for $name {
            fn code(&self) -> u8 {
                $code
            }

            fn read(code: u8, reader: &mut Reader<'_>) -> Result<Self, WireError> {
                if code == $code {
                    Self::read_fields(reader)
                } else {
                    Err(reader.unexpected(code))
                }
            }

            fn write(&self, writer: &mut Writer<'_>) -> Result<(), EncodeError> {
                self.write_fields(writer)
            }
        }
    };
    // Fields without a code of their own, with `extra` ones that are not on the wire.
    (fields, $(#[$doc:meta])* $name:ident $( + $(#[$extra_doc:meta])* $extra:ident : $extra_ty:ty )? {
        $(
            $(#[$field_doc:meta])*
            $field:ident $([$versions:expr])? : $ty:ty $(= $how:ident)? ;
        )*
    }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
        pub struct $name {
            $( $(#[$extra_doc])* pub $extra: $extra_ty, )?
            $( $(#[$field_doc])* pub $field: $ty, )*
        }

        impl Fields for $name {
            #[allow(unused_variables, reason = "some types have no field")]
            fn read_fields(reader: &mut Reader<'_>) -> Result<Self, WireError> {
                Ok(Self {
                    $( $extra: Default::default(), )?
                    $( $field: read_field!(reader, $ty, [$($versions)?], [$($how)?]), )*
                })
            }

            #[allow(unused_variables, reason = "some types have no field")]
            fn write_fields(&self, writer: &mut Writer<'_>) -> Result<(), EncodeError> {
                $( write_field!(writer, self.$field, [$($versions)?], [$($how)?]); )*
                Ok(())
            }
        }
    };
}

macro_rules! read_field {
    ($reader:ident, $ty:ty, [], []) => {
        <$ty as Field>::read($reader)?
    };
    ($reader:ident, $ty:ty, [], [cached]) => {
        <$ty as CachedField>::read_cached($reader)?
    };
    ($reader:ident, $ty:ty, [$versions:expr], $how:tt) => {
        if ($versions).contains(&$reader.version()) {
            read_field!($reader, $ty, [], $how)
        } else {
            Default::default()
        }
    };
}

macro_rules! write_field {
    ($writer:ident, $self:ident . $field:ident, [], []) => {
        $self.$field.write($writer)?
    };
    ($writer:ident, $self:ident . $field:ident, [], [cached]) => {
        $self.$field.write_cached($writer)?
    };
    ($writer:ident, $self:ident . $field:ident, [$versions:expr], $how:tt) => {
        if ($versions).contains(&$writer.version()) {
            write_field!($writer, $self.$field, [], $how);
        }
    };
}

pub(super) use {read_field, structure, write_field};

/// What a message's body is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub enum MessageKind {
    /// No body: properties only.
    #[default]
    Plain,
    /// Bytes as they are.
    Bytes,
    /// Names and typed values.
    Map,
    /// A serialised Java object; never decoded here.
    Object,
    /// Typed values one after another.
    Stream,
    /// Text: its length and modified UTF-8.
    Text,
    /// A body kept elsewhere, and where.
    Blob(Box<Blob>),
}

impl MessageKind {
    const fn code(&self) -> u8 {
        match self {
            Self::Plain => 23,
            Self::Bytes => 24,
            Self::Map => 25,
            Self::Object => 26,
            Self::Stream => 27,
            Self::Text => 28,
            Self::Blob(_) => 29,
        }
    }
}

impl MessageKind {
    /// The name of its type, as the reference has it.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Plain => "ActiveMQMessage",
            Self::Bytes => "ActiveMQBytesMessage",
            Self::Map => "ActiveMQMapMessage",
            Self::Object => "ActiveMQObjectMessage",
            Self::Stream => "ActiveMQStreamMessage",
            Self::Text => "ActiveMQTextMessage",
            Self::Blob(_) => "ActiveMQBlobMessage",
        }
    }
}

impl Structure for Message {
    fn code(&self) -> u8 {
        self.kind.code()
    }

    fn read(code: u8, reader: &mut Reader<'_>) -> Result<Self, WireError> {
        let kind = match code {
            23 => MessageKind::Plain,
            24 => MessageKind::Bytes,
            25 => MessageKind::Map,
            26 => MessageKind::Object,
            27 => MessageKind::Stream,
            28 => MessageKind::Text,
            29 => MessageKind::Blob(Box::default()),
            _ => return Err(reader.unexpected(code)),
        };
        let mut message = Self::read_fields(reader)?;
        message.kind = kind;
        if let MessageKind::Blob(blob) = &mut message.kind {
            **blob = Blob::read_fields(reader)?;
        }
        Ok(message)
    }

    fn write(&self, writer: &mut Writer<'_>) -> Result<(), EncodeError> {
        self.write_fields(writer)?;
        match &self.kind {
            MessageKind::Blob(blob) => blob.write_fields(writer),
            _ => Ok(()),
        }
    }
}

/// What a destination is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DestinationKind {
    /// Each message goes to one consumer.
    #[default]
    Queue,
    /// Each message goes to every consumer.
    Topic,
    /// A queue that lives as long as the connection that made it.
    TempQueue,
    /// A topic that lives as long as the connection that made it.
    TempTopic,
}

impl DestinationKind {
    /// The name of its type, as the reference has it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Queue => "ActiveMQQueue",
            Self::Topic => "ActiveMQTopic",
            Self::TempQueue => "ActiveMQTempQueue",
            Self::TempTopic => "ActiveMQTempTopic",
        }
    }
}

impl Structure for Destination {
    fn code(&self) -> u8 {
        match self.kind {
            DestinationKind::Queue => 100,
            DestinationKind::Topic => 101,
            DestinationKind::TempQueue => 102,
            DestinationKind::TempTopic => 103,
        }
    }

    fn read(code: u8, reader: &mut Reader<'_>) -> Result<Self, WireError> {
        let kind = match code {
            100 => DestinationKind::Queue,
            101 => DestinationKind::Topic,
            102 => DestinationKind::TempQueue,
            103 => DestinationKind::TempTopic,
            _ => return Err(reader.unexpected(code)),
        };
        Ok(Self { kind, ..Self::read_fields(reader)? })
    }

    fn write(&self, writer: &mut Writer<'_>) -> Result<(), EncodeError> {
        self.write_fields(writer)
    }
}

impl Destination {
    /// The destination of this kind and name.
    #[must_use]
    pub fn new(kind: DestinationKind, name: impl Into<super::WireStr>) -> Self {
        Self { kind, physical_name: Some(name.into()) }
    }

    /// Its name; empty when the peer gave none.
    #[must_use]
    pub fn name(&self) -> &str {
        self.physical_name.as_deref().unwrap_or_default()
    }
}

/// A transaction: one of this connection, or a part of one that others take part in.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum TransactionId {
    /// A transaction of one connection.
    Local(LocalTransactionId),
    /// A branch of a distributed transaction.
    Xa(XaTransactionId),
}

impl Structure for TransactionId {
    fn code(&self) -> u8 {
        match self {
            Self::Local(id) => id.code(),
            Self::Xa(id) => id.code(),
        }
    }

    fn read(code: u8, reader: &mut Reader<'_>) -> Result<Self, WireError> {
        match code {
            111 => LocalTransactionId::read(code, reader).map(Self::Local),
            112 => XaTransactionId::read(code, reader).map(Self::Xa),
            _ => Err(reader.unexpected(code)),
        }
    }

    fn write(&self, writer: &mut Writer<'_>) -> Result<(), EncodeError> {
        match self {
            Self::Local(id) => id.write(writer),
            Self::Xa(id) => id.write(writer),
        }
    }
}
