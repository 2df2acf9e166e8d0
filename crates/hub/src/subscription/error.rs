//! What can go wrong with subscriptions, whose fault it is, and whether to try again.

use outflow_model::{ErrorCode, Timestamp};
use outflow_store::AppendError;

use super::LeaseId;
use crate::PublishError;

/// Why a consumer was not added, or a subscription not looked at.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConsumeError {
    /// There is no such subscription, or it is someone else's.
    #[error("no such subscription")]
    NotFound,
    /// The credential may not read its streams.
    #[error("the credential may not consume from this subscription")]
    Forbidden,
    /// It has as many consumers as it may have, or this connection has.
    #[error("there may be at most {max} consumers here")]
    TooMany {
        /// The limit.
        max: usize,
    },
    /// It is to have one consumer, and has it.
    #[error("the subscription has a consumer")]
    InUse,
    /// The server is going away; connect again.
    #[error("the server is shutting down; connect again")]
    ShuttingDown,
    /// The storage cannot be read: try again. The text is for the log.
    #[error("events cannot be read just now; try again")]
    Unavailable(String),
}

impl ConsumeError {
    /// The class of the failure, for the faces' tables.
    #[must_use]
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::NotFound => ErrorCode::NotFound,
            Self::Forbidden => ErrorCode::Forbidden,
            Self::TooMany { .. } => ErrorCode::TooManyConnections,
            Self::InUse => ErrorCode::Conflict,
            Self::ShuttingDown => ErrorCode::ShuttingDown,
            Self::Unavailable(_) => ErrorCode::Unavailable,
        }
    }
}

/// Why leases were not settled.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettleError {
    /// There is no such consumer or subscription.
    #[error("no such consumer")]
    NotFound,
    /// The credential may not consume here.
    #[error("the credential may not consume from this subscription")]
    Forbidden,
    /// There is no such lease: settled before, timed out, or never given to this consumer.
    /// Nothing of the call was applied.
    #[error("no lease {lease} is held here")]
    Unknown {
        /// Which.
        lease: LeaseId,
    },
    /// The dead letters of one transaction would be more than can be stored at once: settle in parts.
    #[error("a transaction may hold at most {max} bytes of events and dead letters")]
    TooLarge {
        /// The limit.
        max: usize,
    },
    /// One transaction answers more events than it may: commit in parts.
    #[error("a transaction may hold at most {max} answers")]
    TooMany {
        /// The limit.
        max: usize,
    },
    /// It was not stored: the disk is full, or too much is waiting. Events that were to be acked
    /// together with something stored are held or handed out again. The text is for the log.
    #[error("the answer could not be stored just now")]
    Unavailable(String),
    /// The engine stopped: whether it was stored is decided when it starts again. The text is for
    /// the log.
    #[error("whether the answer was stored is not certain")]
    Uncertain(String),
}

impl SettleError {
    /// The class of the failure, for the faces' tables.
    #[must_use]
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::NotFound | Self::Unknown { .. } => ErrorCode::NotFound,
            Self::Forbidden => ErrorCode::Forbidden,
            Self::TooLarge { .. } | Self::TooMany { .. } => ErrorCode::TooLarge,
            Self::Unavailable(_) => ErrorCode::Unavailable,
            Self::Uncertain(_) => ErrorCode::Internal,
        }
    }
}

impl From<AppendError> for SettleError {
    fn from(error: AppendError) -> Self {
        match error {
            AppendError::Stopped(reason) => Self::Uncertain(reason),
            other => Self::Unavailable(other.to_string()),
        }
    }
}

/// Why an event was not leased.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LeaseError {
    /// There is no such subscription, or it is someone else's.
    #[error("no such subscription")]
    NotFound,
    /// The credential may not consume here.
    #[error("the credential may not consume from this subscription")]
    Forbidden,
    /// The event is settled, no longer retained, or was never held.
    #[error("the event is not there any more")]
    Gone,
    /// Someone else holds it, or its turn has not come.
    #[error("the event is held")]
    Held {
        /// When it may come free; `None`: not known.
        until: Option<Timestamp>,
    },
    /// The storage cannot be read: try again. The text is for the log.
    #[error("events cannot be read just now; try again")]
    Unavailable(String),
}

impl LeaseError {
    /// The class of the failure, for the faces' tables.
    #[must_use]
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::NotFound | Self::Gone => ErrorCode::NotFound,
            Self::Forbidden => ErrorCode::Forbidden,
            Self::Held { .. } => ErrorCode::Conflict,
            Self::Unavailable(_) => ErrorCode::Unavailable,
        }
    }
}

/// Why a transaction was not committed. Nothing of it was stored, unless it says so; its leases
/// are held again by those who held them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TransactionError {
    /// One of its publishes was refused.
    #[error(transparent)]
    Publish(#[from] PublishError),
    /// One of its answers was refused.
    #[error(transparent)]
    Settle(#[from] SettleError),
    /// It holds more than it may: commit in parts.
    #[error("a transaction may hold at most {max} bytes of events")]
    TooLarge {
        /// The limit.
        max: usize,
    },
}

impl TransactionError {
    /// The class of the failure, for the faces' tables.
    #[must_use]
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::Publish(error) => error.code(),
            Self::Settle(error) => error.code(),
            Self::TooLarge { .. } => ErrorCode::TooLarge,
        }
    }
}
