//! A message as an event to publish.

use std::borrow::Cow;

use bytes::Bytes;
use outflow_model::draft::{self, EventError, NewEvent, Rules};
use outflow_model::{Draft, ErrorCode, Rng, Timestamp};

use super::{DELIVER_AT, EXPIRES, KIND, MESSAGE_TYPE, ORIGIN, properties};
use crate::error::Failure;
use crate::translate::{destination, id};
use crate::wire::body::{Body, BodyError};
use crate::wire::primitive::{self, PrimitiveError};
use crate::wire::{Message, MessageKind, body};

/// One header.
pub(super) type Header<'a> = (Cow<'a, str>, Cow<'a, str>);

/// A message, read: the event.
#[derive(Debug)]
pub struct Letter<'a> {
    id: Option<String>,
    key: Option<&'a str>,
    occurred: Option<Timestamp>,
    /// Two small vectors an event, this one and the references in [`Letter::push`]: what the
    /// drafts take is a slice.
    headers: Vec<Header<'a>>,
    content: Content,
}

/// A body, read.
#[derive(Debug)]
enum Content {
    None,
    Text(String),
    /// Bytes that stay bytes.
    Bytes(Bytes),
    /// Bytes that are kept as text where they are.
    Either(Bytes),
}

/// The property by which a message is delivered later (reference `activemq.md` a5, Scheduled).
const DELAY: &str = "AMQ_SCHEDULED_DELAY";
/// Those by which it is delivered more than once.
const REPEATED: [&str; 3] = ["AMQ_SCHEDULED_PERIOD", "AMQ_SCHEDULED_REPEAT", "AMQ_SCHEDULED_CRON"];

impl<'a> Letter<'a> {
    /// Reads `message`. `origin` is what [`ORIGIN`] shall say, if anything.
    ///
    /// # Errors
    /// [`Failure`] names what cannot be understood.
    pub fn read(
        message: &'a Message,
        rules: &Rules,
        origin: Option<&'a str>,
    ) -> Result<Self, Failure> {
        let oldest = rules.now.millis().saturating_sub(rules.max_age_ms);
        let sent = message.timestamp;
        let mut letter = Self {
            id: message.message_id.as_ref().and_then(id::to_event),
            key: message.group_id.as_deref().filter(|key| !key.is_empty()),
            occurred: (sent > 0 && sent > oldest).then(|| Timestamp::from_millis(sent)),
            headers: Vec::with_capacity(12),
            content: content(message, rules.max_event_bytes)?,
        };
        letter.keep(KIND, kind(&message.kind)?);
        letter.keep("persistent", if message.persistent { "true" } else { "false" });
        if message.priority != 4 {
            letter.headers.push(("priority".into(), priority(message.priority).into()));
        }
        for (name, value) in [
            ("type", &message.jms_type),
            ("correlation-id", &message.correlation_id),
            ("JMSXUserID", &message.user_id),
        ] {
            if let Some(value) = value {
                letter.headers.push((name.into(), Cow::Borrowed(value)));
            }
        }
        if let Some(reply_to) = &message.reply_to {
            letter.headers.push(("reply-to".into(), destination::to_header(reply_to).into()));
        }
        if message.expiration > 0 {
            letter.time(EXPIRES, Timestamp::from_millis(message.expiration));
        }
        if message.group_sequence != 0 {
            let sequence = message.group_sequence.to_string();
            letter.headers.push(("JMSXGroupSeq".into(), sequence.into()));
        }
        if let Some(map) = &message.marshalled_properties {
            properties::read(map, &mut letter.headers)?;
        }
        letter.schedule(rules)?;
        if let Some(origin) = origin {
            letter.keep(ORIGIN, origin);
        }
        Ok(letter)
    }

    /// Takes the properties that say when the message is delivered.
    fn schedule(&mut self, rules: &Rules) -> Result<(), Failure> {
        if let Some((name, _)) = self.headers.iter().find(|(name, _)| REPEATED.contains(&&**name)) {
            return Err(Failure::malformed(format!(
                "{name} is not supported: a message is delivered once, after {DELAY} milliseconds"
            )));
        }
        let Some(at) = self.headers.iter().position(|(name, _)| name == DELAY) else {
            return Ok(());
        };
        let (_, delay) = self.headers.remove(at);
        let delay: i64 = delay.parse().map_err(|_| {
            Failure::malformed(format!("The property {DELAY} is not a number of milliseconds"))
        })?;
        self.time(DELIVER_AT, rules.now.plus_millis(delay.max(0)));
        Ok(())
    }

    fn keep(&mut self, name: &'static str, value: &'a str) {
        self.headers.push((name.into(), value.into()));
    }

    fn time(&mut self, name: &'static str, at: Timestamp) {
        self.headers.push((name.into(), at.to_string().into()));
    }

    /// About how many bytes the event has.
    #[must_use]
    pub fn body_len(&self) -> usize {
        match &self.content {
            Content::None => 0,
            Content::Text(text) => text.len(),
            Content::Bytes(bytes) | Content::Either(bytes) => bytes.len(),
        }
    }

    /// Appends the event to `draft`.
    ///
    /// # Errors
    /// [`EventError`] when it is larger than events may be; the draft is as it was.
    pub fn push(&self, draft: &mut Draft, rules: &Rules, rng: &dyn Rng) -> Result<(), EventError> {
        let headers: Vec<(&str, &str)> =
            self.headers.iter().map(|(name, value)| (&**name, &**value)).collect();
        let mut event = NewEvent {
            id: self.id.as_deref(),
            event_type: MESSAGE_TYPE,
            occurred: self.occurred,
            key: self.key,
            headers: &headers,
            body: draft::Body::None,
        };
        let text = match &self.content {
            Content::None => return draft.push(&event, rules, rng),
            Content::Text(text) => text,
            Content::Bytes(bytes) => {
                event.body = draft::Body::Bytes(bytes);
                return draft.push(&event, rules, rng);
            }
            Content::Either(bytes) => match std::str::from_utf8(bytes) {
                Ok(text) => text,
                Err(_) => {
                    event.body = draft::Body::Bytes(bytes);
                    return draft.push(&event, rules, rng);
                }
            },
        };
        if is_one_line(text.as_bytes()) {
            event.body = draft::Body::Json(text.as_bytes());
            match draft.push(&event, rules, rng) {
                Err(error) if !error.too_large => {}
                pushed => return pushed,
            }
        }
        event.body = draft::Body::Text(text);
        draft.push(&event, rules, rng)
    }
}

/// Whether a body that is JSON stays as it is, byte for byte. Only objects and arrays: `5` or
/// `true` alone is more likely a text.
fn is_one_line(body: &[u8]) -> bool {
    let pair = (body.first(), body.last());
    matches!(pair, (Some(b'{'), Some(b'}')) | (Some(b'['), Some(b']')))
        && memchr::memchr2(b'\n', b'\r', body).is_none()
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
fn content(message: &Message, max: usize) -> Result<Content, Failure> {
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

/// A priority, 0 to 9; what lies beyond is the nearest of them.
fn priority(value: i8) -> &'static str {
    const PRIORITIES: [&str; 10] = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"];
    PRIORITIES.get(usize::from(value.clamp(0, 9).unsigned_abs())).copied().unwrap_or("4")
}
