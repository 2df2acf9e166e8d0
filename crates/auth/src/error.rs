//! What can go wrong, and whose fault it is.

use outflow_model::ErrorCode;
use outflow_store::{AppendError, StateError};

/// Why credentials could not be loaded or changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    /// The engine did not take or give the state. Nothing changed; try again.
    #[error("credentials cannot be read or changed just now: {0}")]
    Unavailable(String),
    /// Stored credentials cannot be understood; the operator must look at them.
    #[error("stored credentials cannot be read: {0}")]
    Corrupt(String),
}

impl AuthError {
    /// The class of the failure, for the faces' tables.
    #[must_use]
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::Unavailable(_) => ErrorCode::Unavailable,
            Self::Corrupt(_) => ErrorCode::Internal,
        }
    }
}

impl From<AppendError> for AuthError {
    fn from(error: AppendError) -> Self {
        Self::Unavailable(error.to_string())
    }
}

impl From<StateError> for AuthError {
    fn from(error: StateError) -> Self {
        Self::Unavailable(error.to_string())
    }
}

/// Why a credential was not issued.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IssueError {
    /// The integration or project has as many as it may have: revoke one first.
    #[error("there may be at most {max} credentials of this kind; revoke one first")]
    TooMany {
        /// The limit.
        max: usize,
    },
    /// The project has a user of this name.
    #[error("the project has a user of this name")]
    Exists,
    /// Whoever it is for is gone, or on its way out.
    #[error("there is no such project or integration")]
    NoOwner,
    /// The request does not make sense.
    #[error("{0}")]
    Invalid(&'static str),
    /// See [`AuthError`].
    #[error(transparent)]
    Auth(#[from] AuthError),
}

impl IssueError {
    /// The class of the failure, for the faces' tables.
    #[must_use]
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::TooMany { .. } | Self::Exists => ErrorCode::Conflict,
            Self::NoOwner => ErrorCode::NotFound,
            Self::Invalid(_) => ErrorCode::Malformed,
            Self::Auth(error) => error.code(),
        }
    }
}
