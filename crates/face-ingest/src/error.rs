//! This face's answers to failures: one table from [`ErrorCode`], which is the seed's (seed 002,
//! "HTTP response status codes").
//!
//! Bodies are problem documents (RFC 9457), but for 401, which has none, so that nothing can be
//! learned from it. What the table says to try again has a `Retry-After`.

use axum::response::{IntoResponse, Response};
use http::header::{RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};
use outflow_body::BodyError;
use outflow_face::Problem;
use outflow_face::request_id::RequestId;
use outflow_hub::PublishError;
use outflow_model::ErrorCode;
use outflow_model::draft::EventError;

/// Why a request was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct Refusal {
    /// The class of the failure; decides the status.
    pub code: ErrorCode,
    /// What is wrong, for the client's developer.
    pub detail: String,
    /// The line of the payload, from 1, and its byte, from 0, where that is the fault.
    pub place: Option<(usize, usize)>,
    /// After how many seconds to try again, where that is known.
    pub retry_after: Option<u64>,
    /// Why, for the log alone.
    pub cause: Option<String>,
}

impl Refusal {
    /// A refusal of class `code`.
    #[must_use]
    pub fn new(code: ErrorCode, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into(), place: None, retry_after: None, cause: None }
    }

    /// 400.
    #[must_use]
    pub fn malformed(detail: impl Into<String>) -> Self {
        Self::new(ErrorCode::Malformed, detail)
    }

    /// The one answer to a stream that is not there, not the caller's or no ingest stream.
    #[must_use]
    pub fn no_such_stream() -> Self {
        Self::new(ErrorCode::NotFound, "there is no such stream")
    }

    /// The refusal of a payload that is not one JSON object, with its place.
    #[must_use]
    pub fn of_json(payload: &[u8], error: &EventError) -> Self {
        if error.too_large {
            return Self::new(ErrorCode::TooLarge, error.to_string());
        }
        let line = outflow_model::json::split::line_of(payload, error.at);
        let detail = format!("line {line}, byte {}: {error}", error.at);
        Self { place: Some((line, error.at)), ..Self::malformed(detail) }
    }

    /// The status.
    #[must_use]
    pub const fn status(&self) -> StatusCode {
        match self.code {
            ErrorCode::Malformed | ErrorCode::NotAcceptable | ErrorCode::Expired => {
                StatusCode::BAD_REQUEST
            }
            ErrorCode::Unauthenticated => StatusCode::UNAUTHORIZED,
            ErrorCode::Forbidden => StatusCode::FORBIDDEN,
            ErrorCode::NotFound => StatusCode::NOT_FOUND,
            ErrorCode::Conflict => StatusCode::CONFLICT,
            ErrorCode::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            ErrorCode::UnsupportedMedia => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            ErrorCode::TooManyConnections | ErrorCode::RateLimited => StatusCode::TOO_MANY_REQUESTS,
            ErrorCode::Unavailable | ErrorCode::ShuttingDown => StatusCode::SERVICE_UNAVAILABLE,
            ErrorCode::Timeout => StatusCode::GATEWAY_TIMEOUT,
            ErrorCode::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// The answer to the request of this id.
    #[must_use]
    pub fn answer(&self, id: Option<&RequestId>) -> Response {
        let mut response = if self.code == ErrorCode::Unauthenticated {
            let mut response = StatusCode::UNAUTHORIZED.into_response();
            let bearer = HeaderValue::from_static("Bearer");
            response.headers_mut().insert(WWW_AUTHENTICATE, bearer);
            response
        } else {
            let problem = Problem::new(self.code, self.detail.clone());
            let mut problem = problem.of_status(self.status());
            if let Some((line, byte)) = self.place {
                problem = problem.with("line", line).with("byte", byte);
            }
            if let Some(id) = id {
                problem = problem.with("request_id", id.as_str());
            }
            problem.into_response()
        };
        let seconds = self.retry_after.unwrap_or(1);
        if self.code.is_retryable() {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

impl From<BodyError> for Refusal {
    fn from(error: BodyError) -> Self {
        Self::new(error.code(), error.to_string())
    }
}

impl From<PublishError> for Refusal {
    fn from(error: PublishError) -> Self {
        let (code, detail) = (error.code(), error.to_string());
        match error {
            // The stream went since it was looked up.
            PublishError::NotFound => Self::no_such_stream(),
            PublishError::Unavailable(cause) | PublishError::Uncertain(cause) => {
                Self { cause: Some(cause), ..Self::new(code, detail) }
            }
            PublishError::Forbidden
            | PublishError::TooLarge { .. }
            | PublishError::Refused(_)
            | PublishError::Entity { .. }
            | PublishError::EntityTooLarge { .. }
            | PublishError::Keyed
            | PublishError::Ingest
            | PublishError::Exhausted => Self::new(code, detail),
        }
    }
}
