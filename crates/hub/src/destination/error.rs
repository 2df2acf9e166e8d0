//! What can go wrong with destinations.

use outflow_model::ErrorCode;

use crate::CatalogError;

/// Why a destination cannot be used. Nothing was made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DestinationError {
    /// The name is none.
    #[error("the destination's name {0}")]
    Name(&'static str),
    /// The credential does not reach it, whether it is there or not.
    #[error("the credential does not allow this destination")]
    Forbidden,
    /// It stands for several where one is meant.
    #[error("a destination with wildcards cannot be sent to")]
    Wildcard,
    /// The credential has, or the project has, as many destinations as it may have.
    #[error("there may be at most {max} destinations here; delete one first")]
    TooMany {
        /// The limit.
        max: usize,
    },
    /// It is temporary, and its connection has not made it, or is gone.
    #[error("the destination {0} does not exist")]
    Gone(String),
    /// Somebody consumes from it.
    #[error("the subscription has a consumer; close it first")]
    InUse,
    /// A durable subscriber was asked for in a way that has no meaning.
    #[error("{0}")]
    Durable(&'static str),
    /// It cannot be looked up or made just now: try again. The text is for the log.
    #[error("the destination cannot be used just now; try again")]
    Unavailable(String),
}

impl DestinationError {
    /// The class of the failure, for the faces' tables.
    #[must_use]
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::Name(_) | Self::Wildcard | Self::Durable(_) => ErrorCode::Malformed,
            Self::Forbidden => ErrorCode::Forbidden,
            Self::Gone(_) => ErrorCode::NotFound,
            Self::TooMany { .. } | Self::InUse => ErrorCode::Conflict,
            Self::Unavailable(_) => ErrorCode::Unavailable,
        }
    }
}

impl From<CatalogError> for DestinationError {
    /// Of what was checked before: names and rights are not in doubt any more.
    fn from(error: CatalogError) -> Self {
        match error {
            CatalogError::TooMany { max } => Self::TooMany { max },
            other => Self::Unavailable(other.to_string()),
        }
    }
}
