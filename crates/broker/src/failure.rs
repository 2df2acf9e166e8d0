//! Why something that a client asked for failed: the causes that the hub names, as both faces tell
//! them. How a face writes them is in its own `error.rs`.
//!
//! Nothing of the server's inside is in a message; what a log should know is logged here.

use outflow_face::problem;
use outflow_hub::destination::DestinationError;
use outflow_hub::selector::SelectorError;
use outflow_hub::subscription::{ConsumeError, PreparedError, SettleError, TransactionError};
use outflow_hub::{CatalogError, PublishError};
use outflow_model::ErrorCode;
use outflow_model::draft::EventError;

/// What a failure is about, where clients tell it apart from others of its class.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum About {
    /// Nothing that a client tells apart.
    #[default]
    Anything,
    /// A destination that cannot be used.
    Destination,
    /// A selector that is none.
    Selector,
    /// A client id that another connection has.
    Client,
    /// A transaction that is not open.
    Transaction,
    /// A transaction that was not committed.
    RolledBack,
    /// A transaction over several servers.
    Distributed,
    /// Something that is not there to be removed.
    Unregistered,
    /// A message that the queue has taken back before it was acked.
    TakenBack,
}

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// The class.
    pub code: ErrorCode,
    /// What the client is told; ActiveMQ's words where it has some.
    pub message: String,
    /// What it is about.
    pub about: About,
    /// Whether the connection ends; `None`: as its class has it in the face's table.
    pub ends: Option<bool>,
}

impl Failure {
    /// A failure of class `code`.
    #[must_use]
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), about: About::Anything, ends: None }
    }

    /// Something that does not say what it must, or says it wrongly.
    #[must_use]
    pub fn malformed(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::Malformed, message)
    }

    /// A failure after which the connection ends.
    #[must_use]
    pub fn fatal(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { ends: Some(true), ..Self::new(code, message) }
    }

    /// An ack of a message that the queue has taken back: its lease has ended, or it was purged.
    #[must_use]
    pub fn taken_back() -> Self {
        Self::new(ErrorCode::NotFound, "the message was taken back before it was acked")
            .about(About::TakenBack)
    }

    /// A durable subscription that another consumer has, in ActiveMQ's words.
    #[must_use]
    pub fn durable_in_use(client: Option<&str>, name: &str) -> Self {
        let client = client.unwrap_or_default();
        let message =
            format!("Durable consumer is in use for client: {client} and subscriptionName: {name}");
        Self::new(ErrorCode::Conflict, message)
    }

    /// The same, but the connection stays.
    #[must_use]
    pub fn and_stays(self) -> Self {
        Self { ends: Some(false), ..self }
    }

    /// The same, said to be about something.
    #[must_use]
    pub fn about(self, about: About) -> Self {
        Self { about, ..self }
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
        let message = match &error {
            PublishError::NotFound => "The destination does not exist, or was deleted".to_owned(),
            error => error.to_string(),
        };
        Self::new(error.code(), message)
    }
}

impl From<SettleError> for Failure {
    fn from(error: SettleError) -> Self {
        if let SettleError::Unavailable(reason) | SettleError::Uncertain(reason) = &error {
            unavailable("acks were not stored", reason);
        }
        let message = match &error {
            SettleError::NotFound => {
                "The subscription has ended: its destination was deleted".to_owned()
            }
            error => error.to_string(),
        };
        Self::new(error.code(), message)
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

impl From<PreparedError> for Failure {
    fn from(error: PreparedError) -> Self {
        match error {
            PreparedError::Transaction(error) => error.into(),
            PreparedError::Unknown => {
                Self::new(error.code(), error.to_string()).about(About::Transaction)
            }
            other => Self::new(other.code(), other.to_string()),
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
        let about = match error {
            DestinationError::Name(_) | DestinationError::Wildcard => About::Destination,
            _ => About::Anything,
        };
        Self::new(error.code(), error.to_string()).about(about)
    }
}

impl From<SelectorError> for Failure {
    fn from(error: SelectorError) -> Self {
        let message = format!("The selector is not valid: {error}");
        Self::new(error.code(), message).about(About::Selector)
    }
}
