//! Every refusal of a publish, as a problem document with the request's id.

use axum::response::{IntoResponse, Response};
use outflow_body::BodyError;
use outflow_face::problem::Problem;
use outflow_face::request_id::RequestId;
use outflow_hub::{DestinationError, PublishError, Unreached};
use outflow_model::ErrorCode;
use serde_json::{Value, json};

/// A refused publish. Boxed: the good way through is what should be small.
#[derive(Debug)]
pub struct Refusal(Box<Problem>);

impl Refusal {
    /// A refusal that names no place.
    pub fn new(code: ErrorCode, detail: impl Into<String>) -> Self {
        Self(Box::new(Problem::new(code, detail)))
    }

    /// A refusal for what one event is.
    fn of_event(error: &PublishError, pointer: &str, reason: &str) -> Self {
        let place = json!({ "pointer": pointer, "detail": reason });
        let detail = format!("{error}; nothing of the body was published");
        Self::new(error.code(), detail).place(place)
    }

    /// Adds the place of the fault: the `errors` member.
    #[must_use]
    pub fn place(mut self, place: Value) -> Self {
        self.0.members.insert("errors".to_owned(), Value::Array(vec![place]));
        self
    }

    /// The answer, with the request's id.
    #[must_use]
    pub fn answer(mut self, id: Option<&RequestId>) -> Response {
        if let Some(id) = id {
            self.0.members.insert("request_id".to_owned(), id.as_str().into());
        }
        self.0.into_response()
    }
}

impl From<Unreached> for Refusal {
    fn from(unreached: Unreached) -> Self {
        Self::new(unreached.code(), unreached.to_string())
    }
}

impl From<BodyError> for Refusal {
    fn from(error: BodyError) -> Self {
        Self::new(error.code(), error.to_string())
    }
}

impl From<PublishError> for Refusal {
    fn from(error: PublishError) -> Self {
        match &error {
            PublishError::Unavailable(cause) | PublishError::Uncertain(cause) => {
                tracing::warn!(cause, "events were not taken");
            }
            PublishError::Entity { index, place, reason } => {
                return Self::of_event(&error, &format!("/{index}{place}"), reason);
            }
            PublishError::EntityTooLarge { index, max } => {
                let reason = format!("the entity would have more than {max} bytes");
                return Self::of_event(&error, &format!("/{index}/body"), &reason);
            }
            PublishError::Keyed
            | PublishError::Ingest
            | PublishError::NotFound
            | PublishError::Forbidden
            | PublishError::TooLarge { .. }
            | PublishError::Refused(_)
            | PublishError::Exhausted => {}
        }
        Self::new(error.code(), error.to_string())
    }
}

/// Why the stream that a publish would have made is not there: the catalog could not be changed, or
/// it was not for the caller to make, which is answered as `unmade`.
pub(crate) fn not_made(error: &DestinationError, unmade: Unreached) -> Refusal {
    match error {
        DestinationError::Unavailable(reason) => {
            tracing::error!(reason, "a stream was not made");
            Refusal::new(ErrorCode::Unavailable, "the stream cannot be made just now")
        }
        _ => unmade.into(),
    }
}
