//! This face's answers to failures: one table from [`ErrorCode`], in Airship's shape.
//!
//! Clients read the body as a JSON object whatever the status (rule 17): `{"ok":false,"error":…,
//! "error_code":…,"details":{"error":…},"operation_id":…}`, with its length.

use axum::response::{IntoResponse, Response};
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, SET_COOKIE, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use outflow_body::BodyError;
use outflow_face::RequestId;
use outflow_hub::{CatalogError, ReadError};
use outflow_model::ErrorCode;
use outflow_model::filter::FilterError;
use serde_json::json;

/// The header that Airship's Go client reads the operation's id from.
const OPERATION_ID: HeaderName = HeaderName::from_static("ua-operation-id");
/// The same under the name that Airship's documents print.
const X_OPERATION_ID: HeaderName = HeaderName::from_static("x-ua-operation-id");

/// Why a request was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct Refusal {
    /// The class of the failure; decides the status.
    pub code: ErrorCode,
    /// What is wrong, for the client's developer.
    pub detail: String,
    /// Whether the method was the fault, which has a status of its own.
    pub method: bool,
}

impl Refusal {
    /// A refusal of class `code`.
    #[must_use]
    pub fn new(code: ErrorCode, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into(), method: false }
    }

    /// The request cannot be understood.
    #[must_use]
    pub fn malformed(detail: impl Into<String>) -> Self {
        Self::new(ErrorCode::Malformed, detail)
    }

    /// The one answer to whatever is wrong with credentials, so that nothing can be learned from it.
    #[must_use]
    pub fn unauthenticated() -> Self {
        Self::new(ErrorCode::Unauthenticated, "credentials are missing or do not match the app key")
    }

    /// The method is not POST.
    #[must_use]
    pub fn method() -> Self {
        Self { method: true, ..Self::malformed("only POST is allowed here") }
    }

    /// The status and Airship's `error_code`.
    #[must_use]
    pub const fn status(&self) -> (StatusCode, u32) {
        if self.method {
            return (StatusCode::METHOD_NOT_ALLOWED, 40501);
        }
        match self.code {
            ErrorCode::Malformed => (StatusCode::BAD_REQUEST, 40001),
            ErrorCode::Expired => (StatusCode::BAD_REQUEST, 40002),
            ErrorCode::Unauthenticated => (StatusCode::UNAUTHORIZED, 40101),
            ErrorCode::TooManyConnections => (StatusCode::PAYMENT_REQUIRED, 40201),
            ErrorCode::Forbidden => (StatusCode::FORBIDDEN, 40301),
            ErrorCode::NotFound => (StatusCode::NOT_FOUND, 40401),
            ErrorCode::NotAcceptable => (StatusCode::NOT_ACCEPTABLE, 40601),
            ErrorCode::Timeout => (StatusCode::REQUEST_TIMEOUT, 40801),
            ErrorCode::Conflict => (StatusCode::CONFLICT, 40901),
            ErrorCode::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, 41301),
            ErrorCode::UnsupportedMedia => (StatusCode::UNSUPPORTED_MEDIA_TYPE, 41501),
            ErrorCode::RateLimited => (StatusCode::TOO_MANY_REQUESTS, 42901),
            ErrorCode::Internal => (StatusCode::INTERNAL_SERVER_ERROR, 50001),
            ErrorCode::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, 50301),
            // Node's client dies of any 5xx (reference 1.6); with a 307 every client asks again.
            ErrorCode::ShuttingDown => (StatusCode::TEMPORARY_REDIRECT, 50302),
        }
    }

    /// The answer in Airship's shape.
    #[must_use]
    pub fn airship(&self, operation: &RequestId) -> Response {
        let (status, error_code) = self.status();
        let title = match self.code {
            // The texts that clients' scripts match (reference 1.6) are in `error` and `details`.
            ErrorCode::Forbidden => self.detail.as_str(),
            _ => status.canonical_reason().unwrap_or("Error"),
        };
        let body = json!({
            "ok": false,
            "error": title,
            "error_code": error_code,
            "details": { "error": self.detail },
            "operation_id": operation.as_str(),
        });
        let mut response = (status, body.to_string()).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        identify(headers, operation);
        match status {
            StatusCode::UNAUTHORIZED => {
                headers
                    .insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"events\""));
            }
            StatusCode::METHOD_NOT_ALLOWED => {
                headers.insert(ALLOW, HeaderValue::from_static("POST"));
            }
            // Clients are told to wait 30 s for a free connection (reference 1.6).
            StatusCode::PAYMENT_REQUIRED => {
                headers.insert(RETRY_AFTER, HeaderValue::from_static("30"));
            }
            // Exactly one cookie and no `Location` (rule 19): clients then ask the same address.
            StatusCode::TEMPORARY_REDIRECT => {
                headers.insert(SET_COOKIE, HeaderValue::from_static("outflow_retry=1; Path=/"));
            }
            StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS => {
                headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
            }
            _ => {}
        }
        response
    }
}

/// Puts the operation's id into an answer, under both of its names.
pub fn identify(headers: &mut HeaderMap, operation: &RequestId) {
    headers.insert(OPERATION_ID, operation.header());
    headers.insert(X_OPERATION_ID, operation.header());
}

impl From<BodyError> for Refusal {
    fn from(error: BodyError) -> Self {
        Self::new(error.code(), error.to_string())
    }
}

impl From<FilterError> for Refusal {
    fn from(error: FilterError) -> Self {
        Self::malformed(error.to_string())
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
            tracing::error!(reason, "a cursor could not be read");
        }
        Self::new(error.code(), error.to_string())
    }
}
