//! What the cache holds: ids, destinations and transactions, the values that many commands repeat.
//!
//! Called by `cache` and `field`; [`super::RemoveInfo`] names what ends by one.

use bytes::Bytes;

use super::WireStr;
use super::error::{EncodeError, WireError};
use super::reader::Reader;
use super::structure::{Destination, Structure, TransactionId};
use super::table::{BrokerId, ConnectionId, ConsumerId, ProducerId, SessionId};
use super::writer::Writer;

/// A type whose values the cache may hold.
pub(super) trait Cacheable: Structure + Clone {
    fn to_identity(&self) -> Identity;
    /// None when it is of another type.
    fn from_identity(identity: &Identity) -> Option<Self>;
    /// Whether `identity` is this value.
    fn is(&self, identity: &Identity) -> bool;
}

macro_rules! identities {
    ($( $(#[$doc:meta])* $name:ident )*) => {
        /// A value that is told apart by what it names.
        #[derive(Debug, Clone, PartialEq, Eq, Hash)]
        pub enum Identity {
            $( $(#[$doc])* $name($name), )*
        }

        impl Identity {
            /// The code it is written with.
            pub(super) fn type_code(&self) -> u8 {
                match self { $( Self::$name(value) => value.code(), )* }
            }
        }

        impl Structure for Identity {
            fn code(&self) -> u8 {
                self.type_code()
            }

            fn read(code: u8, reader: &mut Reader<'_>) -> Result<Self, WireError> {
                match code {
                    100..=103 => Destination::read(code, reader).map(Self::Destination),
                    111 | 112 => TransactionId::read(code, reader).map(Self::TransactionId),
                    120 => ConnectionId::read(code, reader).map(Self::ConnectionId),
                    121 => SessionId::read(code, reader).map(Self::SessionId),
                    122 => ConsumerId::read(code, reader).map(Self::ConsumerId),
                    123 => ProducerId::read(code, reader).map(Self::ProducerId),
                    124 => BrokerId::read(code, reader).map(Self::BrokerId),
                    _ => Err(reader.unexpected(code)),
                }
            }

            fn write(&self, writer: &mut Writer<'_>) -> Result<(), EncodeError> {
                match self { $( Self::$name(value) => value.write(writer), )* }
            }
        }

        $(
            impl From<$name> for Identity {
                fn from(value: $name) -> Self {
                    Self::$name(value)
                }
            }

            impl Cacheable for $name {
                fn to_identity(&self) -> Identity {
                    Identity::$name(self.clone())
                }

                fn from_identity(identity: &Identity) -> Option<Self> {
                    match identity {
                        Identity::$name(value) => Some(value.clone()),
                        _ => None,
                    }
                }

                fn is(&self, identity: &Identity) -> bool {
                    matches!(identity, Identity::$name(known) if known == self)
                }
            }
        )*
    };
}

identities! {
    /// A connection.
    ConnectionId
    /// A session.
    SessionId
    /// A consumer.
    ConsumerId
    /// A producer.
    ProducerId
    /// A broker.
    BrokerId
    /// A destination.
    Destination
    /// A transaction.
    TransactionId
}

impl Identity {
    /// How many bytes its texts have.
    pub(super) fn weight(&self) -> usize {
        let text = |text: &Option<WireStr>| text.as_ref().map_or(0, |text| text.len());
        let bytes = |bytes: &Option<Bytes>| bytes.as_ref().map_or(0, Bytes::len);
        match self {
            Self::ConnectionId(id) => text(&id.value),
            Self::SessionId(id) => text(&id.connection_id),
            Self::ConsumerId(id) => text(&id.connection_id),
            Self::ProducerId(id) => text(&id.connection_id),
            Self::BrokerId(id) => text(&id.value),
            Self::Destination(destination) => text(&destination.physical_name),
            Self::TransactionId(TransactionId::Local(id)) => {
                id.connection_id.as_ref().map_or(0, |id| text(&id.value))
            }
            Self::TransactionId(TransactionId::Xa(id)) => {
                bytes(&id.global_transaction_id) + bytes(&id.branch_qualifier)
            }
        }
    }

    /// The same with bytes of its own, which keep no frame alive.
    pub(super) fn detached(mut self) -> Self {
        if let Self::TransactionId(TransactionId::Xa(id)) = &mut self {
            for part in [&mut id.global_transaction_id, &mut id.branch_qualifier] {
                *part = part.as_deref().map(Bytes::copy_from_slice);
            }
        }
        self
    }
}

impl Cacheable for Identity {
    fn to_identity(&self) -> Identity {
        self.clone()
    }

    fn from_identity(identity: &Identity) -> Option<Self> {
        Some(identity.clone())
    }

    fn is(&self, identity: &Identity) -> bool {
        self == identity
    }
}
