//! Every refusal of this interface, and the one table from the errors of the storeys below.
//!
//! Handlers return [`Refused`]; [`name_request`] puts the request's id into it on the way out.

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::CONTENT_TYPE;
use outflow_auth::{AccessError, AuthError, IssueError};
use outflow_body::BodyError;
use outflow_face::problem::Problem;
use outflow_face::request_id::RequestId;
use outflow_hub::subscription::{ConsumeError, PreparedError, SettleError, TransactionError};
use outflow_hub::{CatalogError, PublishError, Unreached, WebhookError, WebhookFault};
use outflow_model::ErrorCode;
use serde_json::json;

/// A refused request. Boxed: the good way through is what should be small.
#[derive(Debug)]
pub(crate) struct Refused(Box<Problem>);

impl Refused {
    pub(crate) fn new(code: ErrorCode, detail: impl Into<String>) -> Self {
        Self(Box::new(Problem::new(code, detail)))
    }

    /// The answer for what does not exist and for what is someone else's.
    pub(crate) fn missing(what: &str) -> Self {
        Self::new(ErrorCode::NotFound, format!("there is no such {what}"))
    }

    /// A member of the request that breaks a rule; `pointer` is a JSON pointer to it.
    pub(crate) fn member(pointer: impl Into<String>, reason: impl Into<String>) -> Self {
        let (pointer, reason) = (pointer.into(), reason.into());
        let detail = if pointer.is_empty() {
            reason.clone()
        } else {
            format!("`{pointer}` is not acceptable: {reason}")
        };
        Self::new(ErrorCode::Malformed, detail)
            .place(json!({ "pointer": pointer, "detail": reason }))
    }

    /// Adds the place of the fault: the `errors` member.
    pub(crate) fn place(mut self, place: serde_json::Value) -> Self {
        self.0.members.insert("errors".to_owned(), serde_json::Value::Array(vec![place]));
        self
    }

    /// Adds the request's id.
    pub(crate) fn named(mut self, id: Option<&RequestId>) -> Self {
        if let Some(id) = id {
            self.0.members.insert("request_id".to_owned(), id.as_str().into());
        }
        self
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let problem = *self.0;
        let mut response = problem.clone().into_response();
        response.extensions_mut().insert(problem);
        response
    }
}

/// Writes the request's id into a refusal. Around every route.
pub(crate) async fn name_request(request: Request, next: Next) -> Response {
    let id = request.extensions().get::<RequestId>().cloned();
    let mut response = next.run(request).await;
    match (response.extensions_mut().remove::<Problem>(), id) {
        (Some(problem), Some(id)) => Refused(Box::new(problem)).named(Some(&id)).into_response(),
        _ => response,
    }
}

impl From<CatalogError> for Refused {
    fn from(error: CatalogError) -> Self {
        if let CatalogError::Unavailable(cause) = &error {
            tracing::warn!(cause, "the catalog cannot be read or changed");
        }
        Self::new(error.code(), error.to_string())
    }
}

impl From<WebhookError> for Refused {
    fn from(error: WebhookError) -> Self {
        let problem = Problem::new(error.code(), error.to_string());
        Self(Box::new(match error {
            WebhookError::TooOften { seconds, .. } => problem.after(seconds),
            _ => problem,
        }))
    }
}

impl From<WebhookFault> for Refused {
    fn from(fault: WebhookFault) -> Self {
        Self::member(fault.pointer, fault.reason)
    }
}

impl From<Unreached> for Refused {
    fn from(unreached: Unreached) -> Self {
        Self::new(unreached.code(), unreached.to_string())
    }
}

impl From<ConsumeError> for Refused {
    fn from(error: ConsumeError) -> Self {
        if let ConsumeError::Unavailable(cause) = &error {
            tracing::warn!(cause, "a subscription cannot be read");
        }
        Self::new(error.code(), error.to_string())
    }
}

impl From<TransactionError> for Refused {
    fn from(error: TransactionError) -> Self {
        match &error {
            TransactionError::Settle(
                SettleError::Unavailable(cause) | SettleError::Uncertain(cause),
            )
            | TransactionError::Publish(
                PublishError::Unavailable(cause) | PublishError::Uncertain(cause),
            ) => tracing::warn!(cause, "events were not moved"),
            TransactionError::Settle(_)
            | TransactionError::Publish(_)
            | TransactionError::TooLarge { .. } => {}
        }
        Self::new(error.code(), error.to_string())
    }
}

impl From<PreparedError> for Refused {
    fn from(error: PreparedError) -> Self {
        match error {
            PreparedError::Transaction(error) => error.into(),
            PreparedError::Unknown => Self::missing("prepared transaction"),
            PreparedError::Exists
            | PreparedError::Busy
            | PreparedError::Name
            | PreparedError::TooMany { .. }
            | PreparedError::TooMuch { .. } => Self::new(error.code(), error.to_string()),
        }
    }
}

impl From<AuthError> for Refused {
    fn from(error: AuthError) -> Self {
        tracing::warn!(%error, "credentials cannot be read or changed");
        let detail = match error {
            AuthError::Unavailable(_) => {
                "credentials cannot be read or changed just now; try again"
            }
            AuthError::Corrupt(_) => {
                "stored credentials cannot be read; the operator must look at them"
            }
        };
        Self::new(error.code(), detail)
    }
}

impl From<IssueError> for Refused {
    fn from(error: IssueError) -> Self {
        match error {
            IssueError::Auth(error) => error.into(),
            IssueError::TooMany { .. }
            | IssueError::Exists
            | IssueError::NoOwner
            | IssueError::Invalid(_) => Self::new(error.code(), error.to_string()),
        }
    }
}

impl From<AccessError> for Refused {
    fn from(error: AccessError) -> Self {
        match error {
            AccessError::Client => Self::missing("API key"),
            AccessError::Scope => Self::member("/scopes", error.to_string()),
            AccessError::Lifetime => Self::member("/days", error.to_string()),
        }
    }
}

impl From<BodyError> for Refused {
    fn from(error: BodyError) -> Self {
        Self::new(error.code(), error.to_string())
    }
}

/// A problem document as the OpenAPI document describes it.
#[cfg(test)]
#[derive(serde::Serialize, utoipa::ToSchema)]
#[schema(as = Problem)]
pub(crate) struct ProblemSchema {
    /// Always `about:blank`: `code` tells problems apart.
    r#type: String,
    /// The status in words.
    title: String,
    /// The HTTP status.
    status: u16,
    /// What is wrong this time, for people.
    detail: String,
    /// What is wrong, for programs; these names are stable.
    #[schema(example = "not_found")]
    code: String,
    /// Whether the same request may succeed later.
    retryable: bool,
    /// The places of the fault.
    errors: Option<Vec<ProblemPlace>>,
    /// What to name when asking the operator.
    request_id: Option<String>,
}

/// The place of a fault.
#[cfg(test)]
#[derive(serde::Serialize, utoipa::ToSchema)]
pub(crate) struct ProblemPlace {
    /// JSON pointer into the request's body; in an array of events, to the event.
    pointer: Option<String>,
    /// The line of the body, from 1.
    line: Option<u64>,
    /// The byte of the decoded body, from 0.
    byte: Option<u64>,
    /// What is wrong there.
    detail: String,
}

/// Answers a path that no route has. For `server` to set as the merged router's fallback.
pub async fn no_such_route(request: Request) -> Response {
    let id = request.extensions().get::<RequestId>().cloned();
    let (parts, body) = request.into_parts();
    outflow_body::discard_unread(&parts.headers, Some(body)).await;
    Refused::missing("route").named(id.as_ref()).into_response()
}

/// Answers a method that a route does not have. For `server` to set as the merged router's
/// fallback for methods.
pub async fn method_not_allowed(request: Request) -> Response {
    let id = request.extensions().get::<RequestId>().cloned();
    let (parts, body) = request.into_parts();
    outflow_body::discard_unread(&parts.headers, Some(body)).await;
    let refused = Refused::new(ErrorCode::Malformed, "this route does not have that method");
    let mut document = refused.named(id.as_ref()).0.to_json();
    // No error of the storeys below is like this one, so it has a status and a code of its own.
    if let Some(members) = document.as_object_mut() {
        members.insert("status".to_owned(), StatusCode::METHOD_NOT_ALLOWED.as_u16().into());
        members.insert("title".to_owned(), "Method Not Allowed".into());
        members.insert("code".to_owned(), "method_not_allowed".into());
    }
    let headers = [(CONTENT_TYPE, "application/problem+json")];
    (StatusCode::METHOD_NOT_ALLOWED, headers, document.to_string()).into_response()
}
