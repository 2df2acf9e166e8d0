//! This face's answers to failures: one table from [`ErrorCode`], in two shapes.
//!
//! The vendor's, `{"ServiceResult":{"Code":…,"Message":…}}`, and a problem document (RFC 9457) for
//! those whose `Accept` asks for one (reference 2.4).

use axum::response::{IntoResponse, Response};
use http::header::{ACCEPT, ALLOW, CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue, StatusCode};
use outflow_body::BodyError;
use outflow_face::Problem;
use outflow_hub::{CatalogError, PublishError};
use outflow_model::ErrorCode;
use outflow_model::draft::EventError;
use serde::Serialize;

use crate::wire::WireError;

/// What the vendor's clients read of every answer: null when all is well and as it was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ServiceResult {
    /// The class, from the table in this module; `Timeout` and `Limited` beside good answers.
    pub code: &'static str,
    /// What is wrong, for people.
    pub message: String,
}

/// Why a call was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct Refusal {
    /// The class of the failure; decides the status.
    pub code: ErrorCode,
    /// What is wrong, for the client's developer.
    pub detail: String,
    /// The methods that are allowed, where the method was the fault.
    pub allow: Option<&'static str>,
    /// After how many seconds to try again, where that is known.
    pub retry_after: Option<u64>,
}

impl Refusal {
    /// A refusal of class `code`.
    #[must_use]
    pub fn new(code: ErrorCode, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into(), allow: None, retry_after: None }
    }

    /// The one answer to whatever is wrong with credentials, so that nothing can be learned from it.
    #[must_use]
    pub fn unauthenticated() -> Self {
        Self::new(ErrorCode::Unauthenticated, "credentials are missing or do not hold")
    }

    /// The one answer to a thing that is not there or not the caller's.
    #[must_use]
    pub fn missing(what: &str) -> Self {
        Self::new(ErrorCode::NotFound, format!("no such {what}"))
    }

    /// The status and the class's name.
    #[must_use]
    pub const fn status(&self) -> (StatusCode, &'static str) {
        if self.allow.is_some() {
            return (StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed");
        }
        match self.code {
            ErrorCode::Malformed => (StatusCode::BAD_REQUEST, "BadRequest"),
            ErrorCode::Unauthenticated => (StatusCode::UNAUTHORIZED, "Unauthorized"),
            ErrorCode::Forbidden => (StatusCode::FORBIDDEN, "Forbidden"),
            ErrorCode::NotFound => (StatusCode::NOT_FOUND, "NotFound"),
            ErrorCode::NotAcceptable => (StatusCode::NOT_ACCEPTABLE, "NotAcceptable"),
            ErrorCode::Timeout => (StatusCode::REQUEST_TIMEOUT, "RequestTimeout"),
            ErrorCode::Conflict => (StatusCode::CONFLICT, "Conflict"),
            ErrorCode::Expired => (StatusCode::GONE, "Gone"),
            ErrorCode::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "TooLarge"),
            ErrorCode::UnsupportedMedia => {
                (StatusCode::UNSUPPORTED_MEDIA_TYPE, "UnsupportedMediaType")
            }
            ErrorCode::TooManyConnections | ErrorCode::RateLimited => {
                (StatusCode::TOO_MANY_REQUESTS, "TooManyRequests")
            }
            ErrorCode::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "InternalError"),
            ErrorCode::Unavailable | ErrorCode::ShuttingDown => {
                (StatusCode::SERVICE_UNAVAILABLE, "Unavailable")
            }
        }
    }

    /// The answer, in the shape that the request's headers ask for.
    #[must_use]
    pub fn answer(&self, asked: &HeaderMap) -> Response {
        let (status, code) = self.status();
        let mut response = if asks_for_problem(asked) {
            Problem::new(self.code, self.detail.clone()).of_status(status).into_response()
        } else {
            let result = ServiceResult { code, message: self.detail.clone() };
            let body = serde_json::json!({ "ServiceResult": result });
            let mut response = (status, body.to_string()).into_response();
            let json = HeaderValue::from_static("application/json");
            response.headers_mut().insert(CONTENT_TYPE, json);
            response
        };
        let headers = response.headers_mut();
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(allow) = self.allow {
            headers.insert(ALLOW, HeaderValue::from_static(allow));
        }
        if status == StatusCode::UNAUTHORIZED {
            let both = HeaderValue::from_static("Bearer, Basic realm=\"events\"");
            headers.insert(WWW_AUTHENTICATE, both);
        }
        if let Some(seconds) = self.retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        } else if self.code.is_retryable() && self.code != ErrorCode::Internal {
            headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}

/// Whether `Accept` names problem documents.
fn asks_for_problem(headers: &HeaderMap) -> bool {
    headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok()).any(|value| {
        value.split(',').any(|item| {
            let name = item.split(';').next().unwrap_or_default().trim();
            name.eq_ignore_ascii_case("application/problem+json")
        })
    })
}

impl From<WireError> for Refusal {
    fn from(error: WireError) -> Self {
        let code = match error {
            WireError::NoSuchCall => ErrorCode::NotFound,
            WireError::Method { .. }
            | WireError::Missing { .. }
            | WireError::Twice { .. }
            | WireError::Bad { .. }
            | WireError::TooMany { .. }
            | WireError::Body
            | WireError::Encoding => ErrorCode::Malformed,
        };
        let allow = if let WireError::Method { allow } = error { Some(allow) } else { None };
        Self { allow, ..Self::new(code, error.to_string()) }
    }
}

impl From<BodyError> for Refusal {
    fn from(error: BodyError) -> Self {
        Self::new(error.code(), error.to_string())
    }
}

impl From<EventError> for Refusal {
    fn from(error: EventError) -> Self {
        let code = if error.too_large { ErrorCode::TooLarge } else { ErrorCode::Malformed };
        Self::new(code, format!("the message is not valid JSON at byte {}: {error}", error.at))
    }
}

impl From<PublishError> for Refusal {
    fn from(error: PublishError) -> Self {
        Self::new(error.code(), error.to_string())
    }
}

impl From<CatalogError> for Refusal {
    fn from(error: CatalogError) -> Self {
        if let CatalogError::Unavailable(reason) = &error {
            tracing::error!(reason, "the catalog could not be read or changed");
        }
        Self::new(error.code(), error.to_string())
    }
}
