//! What an event does not say of the bytes that its sender wrote, kept beside it for consumers of the
//! same wire, so that a body leaves as it came.
//!
//! Called by [`super::letter`] and [`super::message`].
//!
//! An event holds what a message says, which is for all faces. Mostly the sender's bytes follow from
//! it: text and typed bytes are those bytes. What does not follow is kept as it came, as base64 in a
//! header that other faces do not show: a body that is deflated, a text or a map of properties that
//! is written as no Java client would.
//!
//! Invariant: it makes no event larger than events may be. Where it would it is left out, and the
//! message leaves as the event says it, inflated.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use outflow_broker::Letter;
use outflow_broker::letter::{AS_WRITTEN, MESSAGE_TYPE};
use outflow_model::draft::Rules;

/// The content.
const CONTENT: &str = "outflow-openwire-content";
/// The content, where it is deflated.
const DEFLATED: &str = "outflow-openwire-deflated";
/// The properties.
const PROPERTIES: &str = "outflow-openwire-properties";

/// Keeps the content that came, if there is room.
pub(super) fn keep_content(
    letter: &mut Letter<'_, Bytes>,
    content: &Bytes,
    deflated: bool,
    rules: &Rules,
) {
    keep(letter, if deflated { DEFLATED } else { CONTENT }, content, rules);
}

/// Keeps the properties that came, if there is room.
pub(super) fn keep_properties(letter: &mut Letter<'_, Bytes>, properties: &Bytes, rules: &Rules) {
    keep(letter, PROPERTIES, properties, rules);
}

fn keep(letter: &mut Letter<'_, Bytes>, name: &'static str, bytes: &Bytes, rules: &Rules) {
    let headers = letter.headers.iter().map(|(name, value)| name.len() + value.len());
    // As the draft counts it: one that was small enough without is not refused for this.
    let names = letter.id.as_deref().map_or(0, str::len) + MESSAGE_TYPE.len() + name.len();
    let key = letter.key.as_deref().map_or(0, str::len);
    let size = letter.body_len() + names + key + headers.sum::<usize>();
    let room = rules.max_event_bytes.saturating_sub(size);
    if bytes.len().div_ceil(3).saturating_mul(4) <= room {
        letter.headers.push((name.into(), STANDARD.encode(bytes).into()));
    }
}

/// What was kept of a message, as its event's headers have it.
#[derive(Debug, Default)]
pub(super) struct Kept<'e> {
    content: Option<Cow<'e, str>>,
    /// Whether `content` is deflated.
    deflated: bool,
    properties: Option<Cow<'e, str>>,
}

impl<'e> Kept<'e> {
    /// Whether a header is one of these; nothing else is told by it then.
    pub(super) fn is_one(name: &str) -> bool {
        name.starts_with(AS_WRITTEN)
    }

    /// Takes one of these headers.
    pub(super) fn take(&mut self, name: &str, value: Cow<'e, str>) {
        match name {
            CONTENT | DEFLATED => {
                self.content = Some(value);
                self.deflated = name == DEFLATED;
            }
            PROPERTIES => self.properties = Some(value),
            // Of a version to come.
            _ => {}
        }
    }

    /// Whether there is content.
    pub(super) const fn has_content(&self) -> bool {
        self.content.is_some()
    }

    /// Whether there are properties.
    pub(super) const fn has_properties(&self) -> bool {
        self.properties.is_some()
    }

    /// The content, and whether it is deflated.
    pub(super) fn content(&self) -> Option<(Bytes, bool)> {
        Some((read(self.content.as_deref()?)?, self.deflated))
    }

    /// The properties.
    pub(super) fn properties(&self) -> Option<Bytes> {
        read(self.properties.as_deref()?)
    }
}

/// Whoever publishes may write any header: what is no base64 is not there.
fn read(text: &str) -> Option<Bytes> {
    STANDARD.decode(text).ok().map(Bytes::from)
}
