//! This face's answers to failures: the exceptions that a Java client throws.
//!
//! Classes are named as JMS 1.1 has them; clients of later versions translate them (reference
//! `activemq.md` c4, Errors). [`class`] is the one table. Why things fail is the
//! broker session's to say.

use outflow_broker::About;
pub use outflow_broker::Failure;
use outflow_model::ErrorCode;

use crate::wire::{Throwable, WireError};

/// What a client throws at a failure.
#[must_use]
pub const fn class(failure: &Failure) -> &'static str {
    match failure.about {
        About::Anything | About::TakenBack => by_code(failure.code),
        About::Destination => "javax.jms.InvalidDestinationException",
        About::Selector => "javax.jms.InvalidSelectorException",
        About::Client => "javax.jms.InvalidClientIDException",
        About::Transaction => "javax.jms.JMSException",
        About::RolledBack => "javax.jms.TransactionRolledBackException",
        About::Unregistered => "java.lang.IllegalStateException",
        About::Distributed => "javax.transaction.xa.XAException",
    }
}

/// What a client throws at a failure of class `code`.
const fn by_code(code: ErrorCode) -> &'static str {
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

/// Whether a failure ends the connection.
#[must_use]
pub fn closes(failure: &Failure) -> bool {
    failure.ends.unwrap_or(false)
}

/// A failure as it is sent.
#[must_use]
pub fn exception(failure: &Failure) -> Throwable {
    Throwable::new(class(failure), failure.message.as_str())
}

impl From<WireError> for Failure {
    fn from(error: WireError) -> Self {
        Self::fatal(ErrorCode::Malformed, format!("The frame cannot be understood: {error}"))
    }
}
