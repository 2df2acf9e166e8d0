//! A batch of events being rendered into stored lines, before they have offsets.
//!
//! Publishing renders outside every lock into a [`Draft`]; the stream's owner then stamps offsets
//! and the processed time in place, which costs a few copies an event.

use crate::meta::{Meta, META_BYTES};
use crate::{Offset, Rng, Timestamp};

/// The limits and defaults that a publisher's event is held to.
#[derive(Debug, Clone, Copy)]
pub struct Rules {
    /// The server's time; the default of `occurred`.
    pub now: Timestamp,
    /// The largest event accepted, in bytes as given.
    pub max_event_bytes: usize,
    /// The deepest nesting accepted.
    pub max_depth: usize,
    /// Events that occurred longer ago than this many milliseconds are refused.
    pub max_age_ms: i64,
    /// Events that occurred further ahead than this many milliseconds get `now`.
    pub max_ahead_ms: i64,
}

/// What was wrong with one event, and where in its text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct EventError {
    /// Zero-based byte position in the event's text.
    pub at: usize,
    /// What is wrong, lower case, for the publisher's eyes.
    pub reason: String,
    /// Whether it is the size that is wrong.
    pub too_large: bool,
}

/// A body as a face hands it over.
#[derive(Debug, Clone, Copy)]
pub enum Body<'a> {
    /// No body.
    None,
    /// JSON text, checked and kept byte for byte but for newlines between tokens.
    Json(&'a [u8]),
    /// Text: kept as a JSON string.
    Text(&'a str),
    /// Anything else: kept as base64.
    Bytes(&'a [u8]),
}

/// An event that a face built itself, as opposed to one that came as JSON text.
#[derive(Debug, Clone, Copy)]
pub struct NewEvent<'a> {
    /// The id; one is made when absent.
    pub id: Option<&'a str>,
    /// The type.
    pub event_type: &'a str,
    /// When it happened; the rules' `now` when absent.
    pub occurred: Option<Timestamp>,
    /// The key, for ordering and latest-per-key.
    pub key: Option<&'a str>,
    /// Headers in order; names may repeat.
    pub headers: &'a [(&'a str, &'a str)],
    /// The body.
    pub body: Body<'a>,
}

/// Rendered lines with their sidecars. See the module.
#[derive(Debug, Clone, Default)]
pub struct Draft {
    lines: Vec<u8>,
    metas: Vec<Meta>,
    /// Whether the publisher gave the id of each event: only those are held to dedup.
    own_ids: Vec<bool>,
}

impl Draft {
    /// Renders one event that came as a JSON object, `text`, and appends it.
    ///
    /// Members keep their order and bytes; `id`, `type`, `offset`, `occurred` and `processed` are
    /// written first by the server, `headers` and `body` last. Newlines between tokens are
    /// dropped. An `offset` or `processed` member that the publisher gave is replaced.
    ///
    /// # Errors
    /// [`EventError`] names the byte; the draft is then as it was before.
    pub fn push_json(&mut self, _text: &[u8], _rules: &Rules, _rng: &dyn Rng) -> Result<(), EventError> {
        todo!()
    }

    /// Renders one event that a face built and appends it.
    ///
    /// # Errors
    /// [`EventError`] names what is wrong; the draft is then as it was before.
    pub fn push(&mut self, _event: &NewEvent<'_>, _rules: &Rules, _rng: &dyn Rng) -> Result<(), EventError> {
        todo!()
    }

    /// How many events there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.metas.len()
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.metas.is_empty()
    }

    /// The size of the lines and sidecars in bytes.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.lines.len() + self.metas.len() * META_BYTES
    }

    /// The sidecars, in order.
    #[must_use]
    pub fn metas(&self) -> &[Meta] {
        &self.metas
    }

    /// Whether the publisher gave event `index` its id.
    #[must_use]
    pub fn has_own_id(&self, index: usize) -> bool {
        self.own_ids.get(index).copied().unwrap_or(false)
    }

    /// Drops the events whose index `drop` accepts, keeping the order of the rest.
    pub fn remove(&mut self, _drop: impl FnMut(usize) -> bool) {
        todo!()
    }

    /// Gives the events consecutive offsets from `first`, and the time they were taken.
    pub fn stamp(&mut self, _first: Offset, _processed: Timestamp) {
        todo!()
    }

    /// The lines, and the sidecars in their binary form.
    #[must_use]
    pub fn into_parts(self) -> (Vec<u8>, Vec<u8>) {
        let mut metas = Vec::with_capacity(self.metas.len() * META_BYTES);
        self.metas.iter().for_each(|meta| meta.encode(&mut metas));
        (self.lines, metas)
    }
}
