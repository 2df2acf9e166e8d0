//! Payloads to events.
//!
//! An event's body is the payload: a JSON object as it came without its newlines, XML as text, or in
//! base64 where it is not UTF-8. XML keeps its content type as a header, which alone may say how it
//! is encoded (RFC 7303 3).

use outflow_hub::{Hub, IngestFormat};
use outflow_model::Draft;
use outflow_model::draft::{Body, NewEvent};

use crate::error::Refusal;

/// The type of all events that come in here.
pub const EVENT_TYPE: &str = "INGEST";
/// The header with the content type of an XML payload.
pub const CONTENT_TYPE: &str = "content-type";
/// The longest content type that is kept.
const MAX_CONTENT_TYPE_BYTES: usize = 256;

/// The draft of one payload.
///
/// # Errors
/// 400, with the place of the fault, for what is not one JSON object; for XML only when it is empty.
pub fn draft(
    hub: &Hub,
    format: IngestFormat,
    content_type: &str,
    payload: &[u8],
) -> Result<Draft, Refusal> {
    let mut draft = Draft::default();
    let event = NewEvent {
        id: None,
        event_type: EVENT_TYPE,
        occurred: None,
        key: None,
        headers: &[],
        body: Body::None,
    };
    let kept = content_type.get(..MAX_CONTENT_TYPE_BYTES).unwrap_or(content_type);
    let headers = [(CONTENT_TYPE, kept)];
    let event = match format {
        IngestFormat::Json => {
            is_object(payload)?;
            NewEvent { body: Body::Json(payload), ..event }
        }
        IngestFormat::Xml if payload.iter().all(u8::is_ascii_whitespace) => {
            return Err(Refusal::malformed("the payload is empty"));
        }
        IngestFormat::Xml => {
            let text = std::str::from_utf8(payload);
            NewEvent {
                headers: &headers,
                body: text.map_or(Body::Bytes(payload), Body::Text),
                ..event
            }
        }
    };
    draft
        .push(&event, &hub.rules(), hub.rng())
        .map_err(|error| Refusal::of_json(payload, &error))?;
    Ok(draft)
}

/// Whether a payload begins as an object does; the rest is the model's to check.
fn is_object(payload: &[u8]) -> Result<(), Refusal> {
    let first = payload.iter().find(|byte| !byte.is_ascii_whitespace());
    match first {
        Some(b'{') => Ok(()),
        None => Err(Refusal::malformed("the payload is empty")),
        Some(_) => Err(Refusal::malformed("the payload must be one JSON object")),
    }
}
