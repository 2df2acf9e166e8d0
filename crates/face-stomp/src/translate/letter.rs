//! A SEND frame as an event to publish.

use std::borrow::Cow;

use outflow_model::draft::{Body, EventError, NewEvent, Rules};
use outflow_model::{Draft, ErrorCode, Rng, Timestamp};

use super::{DELIVER_AT, EXPIRES, KIND, MESSAGE_TYPE, ORIGIN};
use crate::config::TextRule;
use crate::error::Failure;
use crate::wire::Frame;

/// What a message is for JMS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A `TextMessage`.
    Text,
    /// A `BytesMessage`.
    Bytes,
}

impl Kind {
    /// As `amq-msg-type` says it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Bytes => "bytes",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        match text {
            "text" => Some(Self::Text),
            "bytes" => Some(Self::Bytes),
            _ => None,
        }
    }
}

/// What an event is for JMS: what its header `amq-msg-type` says, or [`KIND`]; else text where
/// `content-type` says so and the body is no base64; else bytes for what came as a message, and text
/// for all other events.
#[must_use]
pub fn kind_of(
    said: Option<&str>,
    content_type: Option<&str>,
    is_base64: bool,
    is_message: bool,
) -> Kind {
    if let Some(kind) = said.and_then(Kind::parse) {
        return kind;
    }
    let text = !is_base64 && (!is_message || content_type.is_some_and(is_text));
    if text { Kind::Text } else { Kind::Bytes }
}

/// Whether a media type means text.
fn is_text(media_type: &str) -> bool {
    let essence = media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence.starts_with("text/")
        || matches!(essence.as_str(), "application/json" | "application/xml")
        || essence.ends_with("+json")
        || essence.ends_with("+xml")
}

/// One header.
type Header<'a> = (Cow<'a, str>, Cow<'a, str>);

/// A SEND frame, read: what the session decides by, and the event.
#[derive(Debug)]
pub struct Letter<'a> {
    /// Where to, as spelt; empty when it is missing.
    pub destination: Cow<'a, str>,
    /// The transaction it belongs to.
    pub transaction: Option<Cow<'a, str>>,
    /// The receipt it asks for.
    pub receipt: Option<Cow<'a, str>>,
    /// Whether it asks to be on the disk before it is answered.
    pub persistent: bool,
    key: Option<Cow<'a, str>>,
    occurred: Option<Timestamp>,
    /// Two small vectors an event, this one and the references in [`Letter::push`]: what the
    /// drafts take is a slice.
    headers: Vec<Header<'a>>,
    body: &'a [u8],
}

/// What a letter is read by.
#[derive(Debug, Clone, Copy)]
pub struct Reading<'a> {
    /// The rules of the moment.
    pub rules: &'a Rules,
    /// See [`TextRule`].
    pub text_rule: TextRule,
    /// What [`ORIGIN`] shall say, if anything.
    pub origin: Option<&'a str>,
}

/// What only MESSAGE and the transport may say, and what a message may not forge.
const DROPPED: [&str; 7] =
    ["message-id", "subscription", "ack", "redelivered", "browser", ORIGIN, "original-destination"];

impl<'a> Letter<'a> {
    /// Reads `frame`. `respell` gives `reply-to` the spelling that other connections understand.
    ///
    /// # Errors
    /// [`Failure`] names the header that cannot be understood.
    pub fn read(
        frame: &Frame<'a>,
        reading: &Reading<'_>,
        respell: impl Fn(Cow<'a, str>) -> Cow<'a, str>,
    ) -> Result<Self, Failure> {
        let mut letter = Self {
            destination: Cow::Borrowed(""),
            transaction: None,
            receipt: None,
            persistent: false,
            key: None,
            occurred: None,
            headers: Vec::with_capacity(frame.headers().size_hint().0),
            body: frame.body(),
        };
        let (mut counted, mut marked, mut media_type) = (false, None, None);
        for (name, value) in frame.headers() {
            match &*name {
                "destination" if letter.destination.is_empty() => letter.destination = value,
                "receipt" => drop(letter.receipt.get_or_insert(value)),
                "transaction" => drop(letter.transaction.get_or_insert(value)),
                "content-length" => counted = true,
                "destination" => {}
                "JMSXGroupID" => drop(letter.key.get_or_insert(value)),
                "timestamp" => letter.occurred = occurred(&value, reading.rules),
                "expires" => {
                    let at = millis(&name, &value)?;
                    if at > 0 {
                        letter.time(EXPIRES, Timestamp::from_millis(at));
                    }
                }
                "priority" => letter.keep(name, Cow::Borrowed(priority(&value)?)),
                "AMQ_SCHEDULED_DELAY" => {
                    let delay = millis(&name, &value)?.max(0);
                    letter.time(DELIVER_AT, reading.rules.now.plus_millis(delay));
                }
                "AMQ_SCHEDULED_PERIOD" | "AMQ_SCHEDULED_REPEAT" | "AMQ_SCHEDULED_CRON" => {
                    return Err(Failure::malformed(format!(
                        "{name} is not supported: a message is delivered once, after \
                         AMQ_SCHEDULED_DELAY milliseconds"
                    )));
                }
                _ if DROPPED.contains(&&*name) => {}
                _ => {
                    match &*name {
                        "persistent" => letter.persistent = value.eq_ignore_ascii_case("true"),
                        "amq-msg-type" => marked = Kind::parse(&value),
                        "content-type" => media_type = Some(is_text(&value)),
                        _ => {}
                    }
                    let value = if name == "reply-to" { respell(value) } else { value };
                    letter.keep(name, value);
                }
            }
        }
        let kind = marked.unwrap_or_else(|| {
            let said = reading.text_rule == TextRule::ContentType && media_type == Some(true);
            if !counted || said { Kind::Text } else { Kind::Bytes }
        });
        letter.mark(kind, marked.is_some(), media_type == Some(true));
        if let Some(origin) = reading.origin {
            letter.headers.push((ORIGIN.into(), origin.to_owned().into()));
        }
        Ok(letter)
    }

    /// Keeps a header; the first of a name counts (rule 5).
    fn keep(&mut self, name: Cow<'a, str>, value: Cow<'a, str>) {
        if !self.headers.iter().any(|(known, _)| *known == name) {
            self.headers.push((name, value));
        }
    }

    fn time(&mut self, name: &'static str, at: Timestamp) {
        self.keep(name.into(), at.to_string().into());
    }

    /// Writes the kind down where [`kind_of`] would find another.
    fn mark(&mut self, kind: Kind, is_marked: bool, says_text: bool) {
        if is_marked {
            return;
        }
        let media_type = says_text.then_some("text/plain");
        let is_base64 = std::str::from_utf8(self.body).is_err();
        if kind_of(None, media_type, is_base64, true) != kind {
            self.keep(KIND.into(), kind.as_str().into());
        }
    }

    /// The size of the body in bytes.
    #[must_use]
    pub const fn body_len(&self) -> usize {
        self.body.len()
    }

    /// Appends the event to `draft`.
    ///
    /// # Errors
    /// [`EventError`] when it is larger than events may be; the draft is as it was.
    pub fn push(&self, draft: &mut Draft, rules: &Rules, rng: &dyn Rng) -> Result<(), EventError> {
        let headers: Vec<(&str, &str)> =
            self.headers.iter().map(|(name, value)| (&**name, &**value)).collect();
        let mut event = NewEvent {
            id: None,
            event_type: MESSAGE_TYPE,
            occurred: self.occurred,
            key: self.key.as_deref().filter(|key| !key.is_empty()),
            headers: &headers,
            body: Body::Bytes(self.body),
        };
        let Ok(text) = std::str::from_utf8(self.body) else {
            return draft.push(&event, rules, rng);
        };
        if is_one_line(self.body) {
            event.body = Body::Json(self.body);
            match draft.push(&event, rules, rng) {
                Err(error) if !error.too_large => {}
                done => return done,
            }
        }
        event.body = Body::Text(text);
        draft.push(&event, rules, rng)
    }
}

/// Whether a body may be one line of JSON that stays as it is, byte for byte. Only objects and
/// arrays: `5` or `true` alone is more likely a text.
fn is_one_line(body: &[u8]) -> bool {
    let pair = (body.first(), body.last());
    matches!(pair, (Some(b'{'), Some(b'}')) | (Some(b'['), Some(b']')))
        && memchr::memchr2(b'\n', b'\r', body).is_none()
}

/// A header in milliseconds.
fn millis(name: &str, value: &str) -> Result<i64, Failure> {
    value.trim().parse().map_err(|_| {
        Failure::malformed(format!("The header {name} is not a number of milliseconds"))
    })
}

/// A priority, 0 to 9; what lies beyond is the nearest of them.
fn priority(value: &str) -> Result<&'static str, Failure> {
    const PRIORITIES: [&str; 10] = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"];
    let number: i64 = value
        .trim()
        .parse()
        .map_err(|_| Failure::new(ErrorCode::Malformed, "The header priority is not a number"))?;
    Ok(PRIORITIES.get(number.clamp(0, 9) as usize).copied().unwrap_or("4"))
}

/// When the client says that it happened; left to the server when it says nothing sensible.
fn occurred(value: &str, rules: &Rules) -> Option<Timestamp> {
    let at: i64 = value.trim().parse().ok()?;
    let oldest = rules.now.millis().saturating_sub(rules.max_age_ms);
    (at > oldest).then(|| Timestamp::from_millis(at))
}
