//! This face's answers to failures: ERROR frames.
//!
//! The specification says that an ERROR ends the connection; ActiveMQ ends it only when it cannot
//! go on, and its clients depend on that (reference `activemq.md` b1, rule 11). [`closes`] is the
//! one table of which is which. Nothing of the server's inside is in a frame. Why things fail is the
//! broker session's to say.

pub use outflow_broker::Failure;
use outflow_model::ErrorCode;

use crate::session::Outbox;
use crate::wire::{Version, WireError};

/// Whether a failure ends the connection: what it says itself, else by its class. Bytes that are not
/// a frame, and frames that no connection may hold, end it whatever their class.
#[must_use]
pub fn closes(failure: &Failure) -> bool {
    failure.ends.unwrap_or(match failure.code {
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
    })
}

/// Appends the ERROR frame. `receipt` is the frame's `receipt`, if it had one.
pub fn write(failure: &Failure, out: &mut Outbox, version: Version, receipt: Option<&str>) {
    let mut frame = out.begin(version, "ERROR");
    frame.plain("content-type", "text/plain");
    if let Some(receipt) = receipt {
        frame.header("receipt-id", receipt);
    }
    frame.header("message", &failure.message);
    let mut body = failure.message.clone();
    body.push_str(if failure.code.is_retryable() { "\nTry again later.\n" } else { "\n" });
    frame.body(body.as_bytes());
}

impl From<WireError> for Failure {
    fn from(error: WireError) -> Self {
        // Clients know ActiveMQ's words; behind them stands the limit, which an operator may have set.
        let exceeded = |what: &str, max: usize, unit: &str| {
            let message = format!("The maximum {what} was exceeded: {max}{unit}");
            Self::fatal(ErrorCode::TooLarge, message)
        };
        let (code, message) = match error {
            WireError::CommandTooLong { max } => {
                return exceeded("command length", max, " bytes");
            }
            WireError::LineTooLong { max } => {
                return exceeded("header length", max, " bytes in a line");
            }
            WireError::HeadTooLarge { max } => {
                return exceeded("header length", max, " bytes in all headers");
            }
            WireError::TooManyHeaders { max } => return exceeded("number of headers", max, ""),
            WireError::BodyTooLarge { max } => return exceeded("data length", max, " bytes"),
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
