//! A SEND frame as an event to publish.

use std::borrow::Cow;

use outflow_broker::Letter as Event;
use outflow_broker::letter::{
    AS_WRITTEN, Content, EXPIRES, KIND, MESSAGE_ID, ORIGIN, is_text, priority,
};
use outflow_model::draft::Rules;
use outflow_model::{ErrorCode, Timestamp};

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
        if text.eq_ignore_ascii_case("text") {
            Some(Self::Text)
        } else if text.eq_ignore_ascii_case("bytes") {
            Some(Self::Bytes)
        } else {
            None
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
    /// The event.
    pub event: Event<'a, &'a [u8]>,
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
    /// What [`USER_ID`] shall say; `None`: what the sender says.
    pub user: Option<&'a str>,
}

/// Who sent a message.
const USER_ID: &str = "JMSXUserID";

/// What only MESSAGE and the transport may say, and what a message may not forge.
const DROPPED: [&str; 9] = [
    "message-id",
    "subscription",
    "ack",
    "redelivered",
    "browser",
    ORIGIN,
    KIND,
    MESSAGE_ID,
    "original-destination",
];

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
            event: Event::new(Content::Either(frame.body()), frame.headers().size_hint().0),
        };
        let (mut counted, mut marked, mut media_type) = (false, None, None);
        for (name, value) in frame.headers() {
            match &*name {
                "destination" if letter.destination.is_empty() => letter.destination = value,
                "receipt" => drop(letter.receipt.get_or_insert(value)),
                "transaction" => drop(letter.transaction.get_or_insert(value)),
                "content-length" => counted = true,
                "destination" => {}
                "JMSXGroupID" => drop(letter.event.key.get_or_insert(value)),
                "timestamp" => {
                    if let Ok(at) = value.trim().parse() {
                        letter.event.happened(at, reading.rules);
                    }
                }
                "expires" => {
                    let at = millis(&name, &value)?;
                    if at > 0 {
                        letter.event.time(EXPIRES, Timestamp::from_millis(at));
                    }
                }
                "priority" => letter.event.keep(name, said_priority(&value)?.into()),
                _ if DROPPED.contains(&&*name) || name.starts_with(AS_WRITTEN) => {}
                USER_ID if reading.user.is_some() => {}
                _ => {
                    match &*name {
                        "persistent" => letter.persistent = value.eq_ignore_ascii_case("true"),
                        "amq-msg-type" if marked.is_none() => marked = Some(said_kind(&value)?),
                        "content-type" => media_type = Some(is_text(&value)),
                        _ => {}
                    }
                    let value = if name == "reply-to" { respell(value) } else { value };
                    letter.event.keep(name, value);
                }
            }
        }
        let kind = marked.unwrap_or_else(|| {
            let said = reading.text_rule == TextRule::ContentType && media_type == Some(true);
            if !counted || said { Kind::Text } else { Kind::Bytes }
        });
        letter.mark(kind, marked.is_some(), media_type == Some(true));
        letter.event.schedule(reading.rules)?;
        if let Some(origin) = reading.origin {
            letter.event.headers.push((ORIGIN.into(), origin.to_owned().into()));
        }
        if let Some(user) = reading.user {
            letter.event.headers.push((USER_ID.into(), user.to_owned().into()));
        }
        Ok(letter)
    }

    /// Writes the kind down where [`kind_of`] would find another.
    fn mark(&mut self, kind: Kind, is_marked: bool, says_text: bool) {
        if is_marked {
            return;
        }
        let media_type = says_text.then_some("text/plain");
        let is_base64 = match &self.event.content {
            Content::Bytes(body) | Content::Either(body) => std::str::from_utf8(body).is_err(),
            Content::None | Content::Text(_) => false,
        };
        if kind_of(None, media_type, is_base64, true) != kind {
            self.event.keep(KIND.into(), kind.as_str().into());
        }
    }
}

/// A header in milliseconds.
fn millis(name: &str, value: &str) -> Result<i64, Failure> {
    value.trim().parse().map_err(|_| {
        Failure::malformed(format!("The header {name} is not a number of milliseconds"))
    })
}

/// What a header says that the message is. Maps, streams and objects have bodies that only JMS
/// clients can write (ActiveMQ's `LegacyFrameTranslator`).
fn said_kind(value: &str) -> Result<Kind, Failure> {
    Kind::parse(value).ok_or_else(|| {
        let said: String = value.chars().take(64).collect();
        Failure::malformed(format!("Unsupported message type '{said}'"))
    })
}

/// What a header says of the priority.
fn said_priority(value: &str) -> Result<&'static str, Failure> {
    let number = value.trim().parse();
    number
        .map(priority)
        .map_err(|_| Failure::new(ErrorCode::Malformed, "The header priority is not a number"))
}
