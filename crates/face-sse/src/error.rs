//! This face's answers to failures: problem documents, by `face`'s one table from [`ErrorCode`].
//!
//! 401 for anything wrong with the token, so that a client fetches a new one; 410 for a place that
//! is no longer kept (reference 1.2 and 1.3).

use axum::response::{IntoResponse, Response};
use outflow_face::{Problem, RequestId};
use outflow_hub::{CatalogError, ReadError};
use outflow_model::ErrorCode;

/// Why a request was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct Refusal {
    /// The class of the failure; decides the status.
    pub code: ErrorCode,
    /// What is wrong, for the client's developer.
    pub detail: String,
}

impl Refusal {
    /// A refusal of class `code`.
    #[must_use]
    pub fn new(code: ErrorCode, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into() }
    }

    /// The request cannot be understood.
    #[must_use]
    pub fn malformed(detail: impl Into<String>) -> Self {
        Self::new(ErrorCode::Malformed, detail)
    }

    /// The one answer to whatever is wrong with a token.
    #[must_use]
    pub fn unauthenticated() -> Self {
        Self::new(ErrorCode::Unauthenticated, "a valid bearer token is needed")
    }

    /// The answer for what does not exist and for what is someone else's.
    #[must_use]
    pub fn missing(what: &str) -> Self {
        Self::new(ErrorCode::NotFound, format!("there is no such {what}"))
    }

    /// The place asked for is not kept.
    #[must_use]
    pub fn expired() -> Self {
        let detail = "the event after which to resume is unknown or no longer kept; load anew, or \
                      begin with `from`";
        Self::new(ErrorCode::Expired, detail)
    }
}

impl Refusal {
    /// The answer to the request called `id`.
    #[must_use]
    pub fn answer(self, id: Option<&RequestId>) -> Response {
        let problem = Problem::new(self.code, self.detail);
        match id {
            Some(id) => problem.with("request_id", id.as_str()).into_response(),
            None => problem.into_response(),
        }
    }
}

impl From<ReadError> for Refusal {
    fn from(error: ReadError) -> Self {
        if let ReadError::Unavailable(reason) = &error {
            tracing::error!(reason, "a read could not be opened");
        }
        Self::new(error.code(), error.to_string())
    }
}

impl From<CatalogError> for Refusal {
    fn from(error: CatalogError) -> Self {
        if let CatalogError::Unavailable(reason) = &error {
            tracing::error!(reason, "a feed could not be looked up");
        }
        Self::new(error.code(), error.to_string())
    }
}
