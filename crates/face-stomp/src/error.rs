//! This face's answers to failures: ERROR frames.
//!
//! The specification says that an ERROR ends the connection; ActiveMQ ends it only when it cannot
//! go on, and its clients depend on that (reference `activemq.md` b1, rule 11). [`closes`] is the
//! one table of which is which. Nothing of the server's inside is in a frame.

use outflow_face::problem;
use outflow_hub::destination::DestinationError;
use outflow_hub::selector::SelectorError;
use outflow_hub::subscription::{ConsumeError, SettleError, TransactionError};
use outflow_hub::{CatalogError, PublishError};
use outflow_model::ErrorCode;
use outflow_model::draft::EventError;

use crate::session::Outbox;
use crate::wire::{Version, WireError};

/// Why a frame failed, in the words of its answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// The class.
    pub code: ErrorCode,
    /// The header `message`; ActiveMQ's words where it has some.
    pub message: String,
    /// Whether the connection ends.
    pub closes: bool,
}

/// Whether a failure of class `code` ends the connection. Bytes that are not a frame, and frames
/// that no connection may hold, end it whatever their class: see [`Failure::fatal`].
#[must_use]
pub const fn closes(code: ErrorCode) -> bool {
    match code {
        ErrorCode::Unauthenticated | ErrorCode::ShuttingDown | ErrorCode::Timeout => true,
        ErrorCode::Malformed
        | ErrorCode::Forbidden
        | ErrorCode::NotFound
        | ErrorCode::Conflict
        | ErrorCode::TooLarge
        | ErrorCode::UnsupportedMedia
        | ErrorCode::NotAcceptable
        | ErrorCode::TooManyConnections
        | ErrorCode::RateLimited
        | ErrorCode::Expired
        | ErrorCode::Unavailable
        | ErrorCode::Internal => false,
    }
}

impl Failure {
    /// A failure of class `code`.
    #[must_use]
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), closes: closes(code) }
    }

    /// A frame that does not say what it must, or says it wrongly. The connection stays.
    #[must_use]
    pub fn malformed(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::Malformed, message)
    }

    /// A failure after which the connection ends.
    #[must_use]
    pub fn fatal(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { closes: true, ..Self::new(code, message) }
    }

    /// An ack of a message that the queue has taken back: its lease has ended, or it was purged.
    #[must_use]
    pub fn taken_back() -> Self {
        Self::new(ErrorCode::NotFound, "the message was taken back before it was acked")
    }

    /// The same, but the connection stays.
    #[must_use]
    pub fn and_stays(self) -> Self {
        Self { closes: false, ..self }
    }

    /// Appends the ERROR frame. `receipt` is the frame's `receipt`, if it had one.
    pub fn write(&self, out: &mut Outbox, version: Version, receipt: Option<&str>) {
        let mut frame = out.begin(version, "ERROR");
        frame.plain("content-type", "text/plain");
        if let Some(receipt) = receipt {
            frame.header("receipt-id", receipt);
        }
        frame.header("message", &self.message);
        let mut body = self.message.clone();
        body.push_str(if self.code.is_retryable() { "\nTry again later.\n" } else { "\n" });
        frame.body(body.as_bytes());
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
        let (code, message) = match error {
            WireError::CommandTooLong { .. } => {
                (ErrorCode::TooLarge, "The maximum command length was exceeded")
            }
            WireError::LineTooLong { .. } | WireError::HeadTooLarge { .. } => {
                (ErrorCode::TooLarge, "The maximum header length was exceeded")
            }
            WireError::TooManyHeaders { .. } => {
                (ErrorCode::TooLarge, "The maximum number of headers was exceeded")
            }
            WireError::BodyTooLarge { .. } => {
                (ErrorCode::TooLarge, "The maximum data length was exceeded")
            }
            WireError::BadContentLength => {
                (ErrorCode::Malformed, "Specified content-length is not a valid integer")
            }
            WireError::NoNul => (
                ErrorCode::Malformed,
                "content-length bytes were read and there was no trailing null byte",
            ),
            WireError::NulInHead => {
                (ErrorCode::Malformed, "A NUL stands before the empty line that ends the headers")
            }
            WireError::NotUtf8 => (ErrorCode::Malformed, "The headers are not valid UTF-8"),
            WireError::NoName => (ErrorCode::Malformed, "A header has no name"),
        };
        Self::fatal(code, message)
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
        Self::new(error.code(), error.to_string())
    }
}

impl From<SelectorError> for Failure {
    fn from(error: SelectorError) -> Self {
        Self::new(error.code(), format!("The selector is not valid: {error}"))
    }
}
