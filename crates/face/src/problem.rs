//! Problem documents (RFC 9457): the error answers of our own HTTP interfaces.
//!
//! Made by `admin` and by the generic routes of faces; a face that imitates another protocol
//! answers in that protocol's words instead.

use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};
use outflow_model::ErrorCode;
use serde_json::{Map, Value};

/// The status that our own interfaces give an error.
#[must_use]
pub const fn status(code: ErrorCode) -> StatusCode {
    match code {
        ErrorCode::Malformed => StatusCode::BAD_REQUEST,
        ErrorCode::Unauthenticated => StatusCode::UNAUTHORIZED,
        ErrorCode::Forbidden => StatusCode::FORBIDDEN,
        ErrorCode::NotFound => StatusCode::NOT_FOUND,
        ErrorCode::Conflict => StatusCode::CONFLICT,
        ErrorCode::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        ErrorCode::UnsupportedMedia => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        ErrorCode::NotAcceptable => StatusCode::NOT_ACCEPTABLE,
        ErrorCode::TooManyConnections | ErrorCode::RateLimited => StatusCode::TOO_MANY_REQUESTS,
        ErrorCode::Expired => StatusCode::GONE,
        ErrorCode::Unavailable | ErrorCode::ShuttingDown => StatusCode::SERVICE_UNAVAILABLE,
        ErrorCode::Timeout => StatusCode::REQUEST_TIMEOUT,
        ErrorCode::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// The stable name of an error, the `code` member of a problem.
#[must_use]
pub const fn name(code: ErrorCode) -> &'static str {
    match code {
        ErrorCode::Malformed => "malformed",
        ErrorCode::Unauthenticated => "unauthenticated",
        ErrorCode::Forbidden => "forbidden",
        ErrorCode::NotFound => "not_found",
        ErrorCode::Conflict => "conflict",
        ErrorCode::TooLarge => "too_large",
        ErrorCode::UnsupportedMedia => "unsupported_media",
        ErrorCode::NotAcceptable => "not_acceptable",
        ErrorCode::TooManyConnections => "too_many_connections",
        ErrorCode::RateLimited => "rate_limited",
        ErrorCode::Expired => "expired",
        ErrorCode::Unavailable => "unavailable",
        ErrorCode::ShuttingDown => "shutting_down",
        ErrorCode::Timeout => "timeout",
        ErrorCode::Internal => "internal",
    }
}

/// A problem document: `type`, `title`, `status`, `detail`, `code`, `retryable` and whatever
/// else helps. The document's status is the answer's.
#[derive(Debug, Clone, PartialEq)]
pub struct Problem {
    /// What went wrong.
    pub code: ErrorCode,
    /// The status, which decides the title.
    pub status: StatusCode,
    /// What went wrong this time, for people.
    pub detail: String,
    /// Further members, such as `line` and `byte`.
    pub members: Map<String, Value>,
    /// After how many seconds to try again, where that may help.
    pub retry_after: u32,
}

impl Problem {
    /// A problem without further members.
    #[must_use]
    pub fn new(code: ErrorCode, detail: impl Into<String>) -> Self {
        let (status, detail) = (status(code), detail.into());
        Self { code, status, detail, members: Map::new(), retry_after: 1 }
    }

    /// With another status than errors of its code usually have.
    #[must_use]
    pub const fn of_status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }

    /// To be tried again after so many seconds, and not after one.
    #[must_use]
    pub const fn after(mut self, seconds: u32) -> Self {
        self.retry_after = seconds;
        self
    }

    /// Adds a member.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.members.insert(name.to_owned(), value.into());
        self
    }

    /// The document.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let mut document = self.members.clone();
        document.insert("type".to_owned(), "about:blank".into());
        let title = self.status.canonical_reason().unwrap_or_default();
        document.insert("title".to_owned(), title.into());
        document.insert("status".to_owned(), self.status.as_u16().into());
        document.insert("code".to_owned(), name(self.code).into());
        document.insert("detail".to_owned(), self.detail.as_str().into());
        document.insert("retryable".to_owned(), self.code.is_retryable().into());
        Value::Object(document)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = (self.status, self.to_json().to_string()).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if self.code == ErrorCode::Unauthenticated {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if self.code.is_retryable() && self.code != ErrorCode::Internal {
            headers.insert(RETRY_AFTER, self.retry_after.into());
        }
        response
    }
}
