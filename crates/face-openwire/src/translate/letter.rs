//! A message as an event to publish.

use bytes::Bytes;
use outflow_broker::Letter;
use outflow_broker::letter::{Content, EXPIRES, KIND, ORIGIN, priority};
use outflow_model::draft::Rules;
use outflow_model::{ErrorCode, Timestamp};

use super::properties;
use crate::error::Failure;
use crate::translate::{destination, id};
use crate::wire::body::{Body, BodyError};
use crate::wire::primitive::{self, PrimitiveError};
use crate::wire::{Message, MessageKind, body};

/// A message, read: the event.
pub type Event<'a> = Letter<'a, Bytes>;

/// How many headers a usual message has.
const HEADERS: usize = 12;

/// Reads `message`. `origin` is what [`ORIGIN`] shall say, if anything.
///
/// # Errors
/// [`Failure`] names what cannot be understood.
pub fn read<'a>(
    message: &'a Message,
    rules: &Rules,
    origin: Option<&'a str>,
) -> Result<Event<'a>, Failure> {
    let mut letter = Letter::new(content(message, rules.max_event_bytes)?, HEADERS);
    letter.id = message.message_id.as_ref().and_then(id::to_event);
    letter.key = message.group_id.as_deref().map(Into::into);
    if message.timestamp > 0 {
        letter.happened(message.timestamp, rules);
    }
    let mut add = |name: &'static str, value| letter.headers.push((name.into(), value));
    add(KIND, kind(&message.kind)?.into());
    add("persistent", if message.persistent { "true" } else { "false" }.into());
    if message.priority != 4 {
        add("priority", priority(message.priority.into()).into());
    }
    for (name, value) in [
        ("type", &message.jms_type),
        ("correlation-id", &message.correlation_id),
        ("JMSXUserID", &message.user_id),
    ] {
        if let Some(value) = value {
            add(name, (&**value).into());
        }
    }
    if let Some(reply_to) = &message.reply_to {
        add("reply-to", destination::to_header(reply_to).into());
    }
    if message.group_sequence != 0 {
        add("JMSXGroupSeq", message.group_sequence.to_string().into());
    }
    if message.expiration > 0 {
        letter.time(EXPIRES, Timestamp::from_millis(message.expiration));
    }
    if let Some(map) = &message.marshalled_properties {
        properties::read(map, &mut letter.headers)?;
    }
    letter.schedule(rules)?;
    if let Some(origin) = origin {
        letter.headers.push((ORIGIN.into(), origin.into()));
    }
    Ok(letter)
}

/// How [`KIND`] says what a message is.
fn kind(kind: &MessageKind) -> Result<&'static str, Failure> {
    match kind {
        MessageKind::Plain => Ok("message"),
        MessageKind::Text => Ok("text"),
        MessageKind::Bytes => Ok("bytes"),
        MessageKind::Map => Ok("map"),
        MessageKind::Stream => Ok("stream"),
        MessageKind::Object => Ok("object"),
        MessageKind::Blob(_) => Err(Failure::new(
            ErrorCode::UnsupportedMedia,
            "A message whose body is kept elsewhere is not supported; send the bytes",
        )),
    }
}

/// The body as its sender gave it. One that is compressed is inflated to what events may have at
/// most.
fn content(message: &Message, max: usize) -> Result<Content<Bytes>, Failure> {
    let unreadable = |error: BodyError| {
        Failure::new(error.code(), format!("The message's body cannot be read: {error}"))
    };
    let Some(stored) = &message.content else { return Ok(Content::None) };
    // Typed values are kept as they are written, and not looked into.
    if !message.compressed && matches!(message.kind, MessageKind::Map | MessageKind::Stream) {
        return Ok(Content::Bytes(stored.clone()));
    }
    let rewritten = |bytes: Result<Bytes, PrimitiveError>| {
        bytes.map(Content::Bytes).map_err(|error| unreadable(error.into()))
    };
    match body::read(message, max).map_err(unreadable)? {
        Body::Nothing => Ok(Content::None),
        Body::Text(text) => Ok(Content::Text(text)),
        Body::Bytes(bytes) => Ok(Content::Either(bytes)),
        Body::Object(bytes) => Ok(Content::Bytes(bytes)),
        Body::Map(map) => rewritten(primitive::write_map(&map)),
        Body::Stream(values) => rewritten(primitive::write_values(&values)),
    }
}
