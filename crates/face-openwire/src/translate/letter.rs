//! A message as an event to publish.

use bytes::Bytes;
use outflow_broker::Letter;
use outflow_broker::letter::{Content, DELIVER_AT, EXPIRES, KIND, ORIGIN, priority};
use outflow_model::draft::Rules;
use outflow_model::{ErrorCode, Timestamp};

use super::{as_written, properties};
use crate::error::Failure;
use crate::translate::{destination, id};
use crate::wire::body::{Body, BodyError};
use crate::wire::primitive::{self, PrimitiveError};
use crate::wire::{Message, MessageKind, body, utf8};

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
    let (content, follows) = content(message, rules.max_event_bytes)?;
    let mut letter = Letter::new(content, HEADERS);
    if let Some(shown) = message.message_id.as_ref().and_then(id::shown) {
        letter.identify(shown)?;
    }
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
    // Those whose bytes do not follow from the headers that they become.
    let mut odd = None;
    if let Some(map) = &message.marshalled_properties {
        odd = (!properties::read(map, &mut letter.headers)?).then_some(map);
    }
    letter.schedule(rules)?;
    let is_scheduled =
        letter.recurrence.is_some() || letter.headers.iter().any(|(name, _)| name == DELIVER_AT);
    if let Some(origin) = origin {
        letter.headers.push((ORIGIN.into(), origin.into()));
    }
    if let Some(content) = message.content.as_ref().filter(|_| !follows) {
        as_written::keep_content(&mut letter, &content.to_bytes(), message.compressed, rules);
    }
    // What is scheduled is delivered without the properties that say so.
    if let Some(map) = odd.filter(|_| !is_scheduled) {
        as_written::keep_properties(&mut letter, map, rules);
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

/// The body as its sender gave it, and whether the bytes that came follow from it. One that is
/// deflated is inflated for those who read the event, to what events may have at most.
fn content(message: &Message, max: usize) -> Result<(Content<Bytes>, bool), Failure> {
    let unreadable = |error: BodyError| {
        Failure::new(error.code(), format!("The message's body cannot be read: {error}"))
    };
    let Some(stored) = &message.content else { return Ok((Content::None, true)) };
    let stored = stored.to_bytes();
    if !message.compressed {
        match message.kind {
            // Typed values are kept as they are written, and not looked into.
            MessageKind::Map | MessageKind::Stream | MessageKind::Object => {
                return Ok((Content::Bytes(stored), true));
            }
            MessageKind::Bytes => return Ok((Content::Either(stored), true)),
            MessageKind::Text => {
                if let Some(text) = plain_text(&stored) {
                    return Ok((Content::Either(text), true));
                }
            }
            MessageKind::Plain | MessageKind::Blob(_) => {}
        }
    }
    let rewritten = |bytes: Result<Bytes, PrimitiveError>| {
        bytes.map(Content::Bytes).map_err(|error| unreadable(error.into()))
    };
    Ok(match body::read(message, max).map_err(unreadable)? {
        Body::Nothing => (Content::None, false),
        Body::Text(text) => {
            let is_same = || body::write_text(&text).is_ok_and(|written| written == stored);
            let follows = !message.compressed && is_same();
            (Content::Text(text), follows)
        }
        // The bytes that came keep what no text says.
        Body::Odd(text) => (Content::Text(text), false),
        Body::Bytes(bytes) => (Content::Either(bytes), false),
        Body::Object(bytes) => (Content::Bytes(bytes), false),
        Body::Map(map) => (rewritten(primitive::write_map(&map))?, false),
        Body::Stream(values) => (rewritten(primitive::write_values(&values))?, false),
    })
}

/// The text of a text message where it is written as in UTF-8, and nothing follows it.
fn plain_text(content: &Bytes) -> Option<Bytes> {
    let (length, text) = content.split_first_chunk::<4>()?;
    let is_whole = usize::try_from(i32::from_be_bytes(*length)) == Ok(text.len());
    let is_plain = is_whole && utf8::is_alike(text) && std::str::from_utf8(text).is_ok();
    is_plain.then(|| content.slice(length.len()..))
}
