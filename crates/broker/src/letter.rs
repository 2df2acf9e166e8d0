//! A message as an event to publish, the same whichever face took it, so that either face's clients
//! read what the other's sent.

use std::borrow::Cow;

use outflow_hub::schedule::Recurrence;
use outflow_model::draft::{Body, EventError, NewEvent, Rules};
use outflow_model::subset::key_hash;
use outflow_model::{Draft, ErrorCode, Rng, Timestamp};

use crate::failure::Failure;

/// The type of events that came as messages.
pub const MESSAGE_TYPE: &str = "MESSAGE";
/// When an event expires, RFC 3339 (the hub's).
pub const EXPIRES: &str = "outflow-expires";
/// Before when an event is not delivered, RFC 3339 (the hub's).
pub const DELIVER_AT: &str = "outflow-deliver-at";
/// Which connection sent an event, where that connection has a consumer that does not want its own.
pub const ORIGIN: &str = "outflow-origin";
/// What a message is for JMS, such as text or bytes, where that does not follow from the rest.
pub const KIND: &str = "outflow-body";
/// What begins so says how one wire wrote a message, for clients of that wire alone.
pub const AS_WRITTEN: &str = "outflow-openwire-";
pub use outflow_hub::subscription::headers::{MESSAGE_ID, TYPES, event_id};
/// What the hub tells of dead letters begins so.
pub const DEAD: &str = "outflow-dead-";
/// The name of the stream that a dead letter comes from.
pub const DEAD_STREAM: &str = "outflow-dead-stream";

/// The longest id that a message may have, in bytes.
pub const MAX_MESSAGE_ID_BYTES: usize = 1_024;

/// One header.
pub type Header<'a> = (Cow<'a, str>, Cow<'a, str>);

/// A body, read.
#[derive(Debug)]
pub enum Content<B> {
    /// There is none.
    None,
    /// Text.
    Text(String),
    /// Bytes that stay bytes.
    Bytes(B),
    /// Bytes that are kept as text where they are.
    Either(B),
}

/// See the module.
#[derive(Debug)]
pub struct Letter<'a, B> {
    /// The event's id, where the sender gave one.
    pub id: Option<String>,
    /// What groups messages.
    pub key: Option<Cow<'a, str>>,
    /// When the sender says that it happened.
    pub occurred: Option<Timestamp>,
    /// Two small vectors an event, this one and the references in [`Letter::push`]: what the
    /// drafts take is a slice.
    pub headers: Vec<Header<'a>>,
    /// The body.
    pub content: Content<B>,
    /// When it is published, if that is not now.
    pub recurrence: Option<Recurrence>,
    /// That the id ends in a number that grows with each event of its sender.
    pub number: Option<Numbered>,
}

/// See [`Letter::number`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Numbered {
    /// It may be sent again, after a cut; else it is sent for the first time, as far as is known.
    pub again: bool,
    /// Whose it is: of two credentials that use one name neither speaks for the other.
    pub sender: u16,
}

impl Numbered {
    /// A number of a sender that has this credential.
    #[must_use]
    pub fn by(credential: &str, again: bool) -> Self {
        Self { again, sender: (key_hash(credential.as_bytes()) as u16).max(1) }
    }
}

impl<'a, B: AsRef<[u8]>> Letter<'a, B> {
    /// A letter with room for `headers`.
    #[must_use]
    pub fn new(content: Content<B>, headers: usize) -> Self {
        let headers = Vec::with_capacity(headers);
        let (id, key, occurred, recurrence, number) = (None, None, None, None, None);
        Self { id, key, occurred, headers, content, recurrence, number }
    }

    /// Takes the id that the sender gave the message.
    ///
    /// # Errors
    /// [`Failure`] when it is longer than ids may be.
    pub fn identify(&mut self, shown: String) -> Result<(), Failure> {
        if shown.len() > MAX_MESSAGE_ID_BYTES {
            let message = format!("A message's id has at most {MAX_MESSAGE_ID_BYTES} bytes");
            return Err(Failure::new(ErrorCode::TooLarge, message));
        }
        match event_id(&shown) {
            Cow::Borrowed(_) => self.id = Some(shown),
            Cow::Owned(made) => {
                self.id = Some(made);
                self.headers.push((MESSAGE_ID.into(), shown.into()));
            }
        }
        Ok(())
    }

    /// Keeps a header; the first of a name counts.
    pub fn keep(&mut self, name: Cow<'a, str>, value: Cow<'a, str>) {
        if !self.headers.iter().any(|(known, _)| *known == name) {
            self.headers.push((name, value));
        }
    }

    /// Keeps a time.
    pub fn time(&mut self, name: &'static str, at: Timestamp) {
        self.keep(name.into(), at.to_string().into());
    }

    /// Takes when the sender says that it happened, in milliseconds since 1970; it is left to the
    /// server when that is nothing sensible.
    pub fn happened(&mut self, millis: i64, rules: &Rules) {
        let oldest = rules.now.millis().saturating_sub(rules.max_age_ms);
        self.occurred = (millis > oldest).then(|| Timestamp::from_millis(millis));
    }

    /// The size of the body in bytes.
    #[must_use]
    pub fn body_len(&self) -> usize {
        match &self.content {
            Content::None => 0,
            Content::Text(text) => text.len(),
            Content::Bytes(bytes) | Content::Either(bytes) => bytes.as_ref().len(),
        }
    }

    /// Appends the event to `draft`.
    ///
    /// # Errors
    /// [`EventError`] when it is larger than events may be; the draft is as it was.
    pub fn push(&self, draft: &mut Draft, rules: &Rules, rng: &dyn Rng) -> Result<(), EventError> {
        self.push_event(draft, rules, rng)?;
        if let (Some(number), None) = (self.number, &self.recurrence) {
            draft.number_last(number.again, number.sender);
        }
        Ok(())
    }

    fn push_event(
        &self,
        draft: &mut Draft,
        rules: &Rules,
        rng: &dyn Rng,
    ) -> Result<(), EventError> {
        let headers: Vec<(&str, &str)> =
            self.headers.iter().map(|(name, value)| (&**name, &**value)).collect();
        let mut event = NewEvent {
            id: self.id.as_deref(),
            event_type: MESSAGE_TYPE,
            occurred: self.occurred,
            key: self.key.as_deref().filter(|key| !key.is_empty()),
            headers: &headers,
            body: Body::None,
        };
        let text = match &self.content {
            Content::None => None,
            Content::Text(text) => Some(text.as_str()),
            Content::Bytes(bytes) => {
                event.body = Body::Bytes(bytes.as_ref());
                None
            }
            Content::Either(bytes) => {
                event.body = Body::Bytes(bytes.as_ref());
                std::str::from_utf8(bytes.as_ref()).ok()
            }
        };
        let Some(text) = text else { return draft.push(&event, rules, rng) };
        if is_one_line(text.as_bytes()) {
            event.body = Body::Json(text.as_bytes());
            match draft.push(&event, rules, rng) {
                Err(error) if !error.too_large => {}
                pushed => return pushed,
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

/// Whether a media type means text.
#[must_use]
pub fn is_text(media_type: &str) -> bool {
    let essence = media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence.starts_with("text/")
        || matches!(essence.as_str(), "application/json" | "application/xml")
        || essence.ends_with("+json")
        || essence.ends_with("+xml")
}

/// A priority, 0 to 9; what lies beyond is the nearest of them.
#[must_use]
pub fn priority(value: i64) -> &'static str {
    const PRIORITIES: [&str; 10] = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"];
    let at = usize::try_from(value.clamp(0, 9)).unwrap_or(4);
    PRIORITIES.get(at).copied().unwrap_or("4")
}

/// A time that an event says, in milliseconds since 1970; 0: it is none.
#[must_use]
pub fn millis(time: &str) -> i64 {
    Timestamp::parse_rfc3339(time.as_bytes()).map_or(0, Timestamp::millis)
}
