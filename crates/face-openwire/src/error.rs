//! This face's answers to failures: the exceptions that a Java client throws.
//!
//! Classes are named as JMS 1.1 has them; clients of later versions translate them (reference
//! `activemq.md` c4, Errors). [`class`] is the one table. Nothing of the server's inside is in a
//! message.

use outflow_face::problem;
use outflow_hub::destination::DestinationError;
use outflow_hub::selector::SelectorError;
use outflow_hub::subscription::{ConsumeError, SettleError, TransactionError};
use outflow_hub::{CatalogError, PublishError};
use outflow_model::ErrorCode;
use outflow_model::draft::EventError;

use crate::wire::{Throwable, WireError};

/// Why a command failed, in the words of its answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// The class.
    pub code: ErrorCode,
    /// What the client throws.
    pub class: &'static str,
    /// What it says; ActiveMQ's words where it has some.
    pub message: String,
    /// Whether the connection ends.
    pub closes: bool,
}

/// What a client throws at a failure of class `code`.
#[must_use]
pub const fn class(code: ErrorCode) -> &'static str {
    match code {
        ErrorCode::Unauthenticated => "java.lang.SecurityException",
        ErrorCode::Forbidden => "javax.jms.JMSSecurityException",
        ErrorCode::NotFound => "javax.jms.InvalidDestinationException",
        ErrorCode::TooLarge
        | ErrorCode::TooManyConnections
        | ErrorCode::RateLimited
        | ErrorCode::Unavailable => "javax.jms.ResourceAllocationException",
        ErrorCode::Malformed
        | ErrorCode::Conflict
        | ErrorCode::UnsupportedMedia
        | ErrorCode::NotAcceptable
        | ErrorCode::Expired
        | ErrorCode::Timeout
        | ErrorCode::ShuttingDown
        | ErrorCode::Internal => "javax.jms.JMSException",
    }
}

/// What a client throws when its selector is none.
const SELECTOR: &str = "javax.jms.InvalidSelectorException";
/// What a client throws when its client id is another's.
const CLIENT_ID: &str = "javax.jms.InvalidClientIDException";

impl Failure {
    /// A failure of class `code`. The connection stays.
    #[must_use]
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, class: class(code), message: message.into(), closes: false }
    }

    /// A command that does not say what it must, or says it wrongly.
    #[must_use]
    pub fn malformed(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::Malformed, message)
    }

    /// A failure after which the connection ends.
    #[must_use]
    pub fn fatal(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { closes: true, ..Self::new(code, message) }
    }

    /// A login whose client id another connection has.
    #[must_use]
    pub fn client_id(message: impl Into<String>) -> Self {
        Self { class: CLIENT_ID, ..Self::fatal(ErrorCode::Conflict, message) }
    }

    /// As it is sent.
    #[must_use]
    pub fn exception(&self) -> Throwable {
        Throwable::new(self.class, self.message.as_str())
    }

    /// The label that metrics count it under.
    #[must_use]
    pub const fn label(&self) -> &'static str {
        problem::name(self.code)
    }
}

/// What a log should know and a client must not.
fn unavailable(what: &'static str, reason: &str) {
    tracing::error!(reason, "{what}");
}

impl From<WireError> for Failure {
    fn from(error: WireError) -> Self {
        Self::fatal(ErrorCode::Malformed, format!("The frame cannot be understood: {error}"))
    }
}

impl From<EventError> for Failure {
    fn from(error: EventError) -> Self {
        let code = if error.too_large { ErrorCode::TooLarge } else { ErrorCode::Malformed };
        Self::new(code, error.reason)
    }
}

impl From<PublishError> for Failure {
    fn from(error: PublishError) -> Self {
        if let PublishError::Unavailable(reason) | PublishError::Uncertain(reason) = &error {
            unavailable("messages were not stored", reason);
        }
        Self::new(error.code(), error.to_string())
    }
}

impl From<SettleError> for Failure {
    fn from(error: SettleError) -> Self {
        if let SettleError::Unavailable(reason) | SettleError::Uncertain(reason) = &error {
            unavailable("acks were not stored", reason);
        }
        Self::new(error.code(), error.to_string())
    }
}

impl From<TransactionError> for Failure {
    fn from(error: TransactionError) -> Self {
        match error {
            TransactionError::Publish(error) => error.into(),
            TransactionError::Settle(error) => error.into(),
            error @ TransactionError::TooLarge { .. } => Self::new(error.code(), error.to_string()),
        }
    }
}

impl From<ConsumeError> for Failure {
    fn from(error: ConsumeError) -> Self {
        if let ConsumeError::Unavailable(reason) = &error {
            unavailable("a consumer was not added", reason);
        }
        Self::new(error.code(), error.to_string())
    }
}

impl From<CatalogError> for Failure {
    fn from(error: CatalogError) -> Self {
        if let CatalogError::Unavailable(reason) = &error {
            unavailable("the catalog was not changed", reason);
        }
        Self::new(error.code(), error.to_string())
    }
}

impl From<DestinationError> for Failure {
    fn from(error: DestinationError) -> Self {
        if let DestinationError::Unavailable(reason) = &error {
            unavailable("a destination was not found or made", reason);
        }
        let failure = Self::new(error.code(), error.to_string());
        match error {
            DestinationError::Name(_) | DestinationError::Wildcard => {
                Self { class: class(ErrorCode::NotFound), ..failure }
            }
            _ => failure,
        }
    }
}

impl From<SelectorError> for Failure {
    fn from(error: SelectorError) -> Self {
        let failure = Self::malformed(format!("The selector is not valid: {error}"));
        Self { class: SELECTOR, ..failure }
    }
}
