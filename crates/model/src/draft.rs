//! A batch of events being rendered into stored lines, before they have offsets.
//!
//! Publishing renders outside every lock into a [`Draft`]; the stream's owner then stamps offsets
//! and the processed time in place, which costs a few copies an event. Called by the hub and by
//! every face that takes events in.
//!
//! A line is `{"id":…,"type":…,"offset":…,"occurred":…,"processed":…`, then `key` if given, the
//! publisher's other members in their order and bytes, then `headers` and `body`, then `}` and one
//! newline. Invariant: the five first members stand at places that follow from the lengths of id
//! and type alone, so a line is stamped without being read.

mod batch;
mod copy;
mod envelope;
mod keep;
mod keyed;
mod render;

pub use batch::BodyError;
pub use keyed::EntityEvent;

use crate::json::JsonError;
use crate::meta::{FLAG_NUMBERED, META_BYTES, Meta, MetaSlice, SENDER_SHIFT};
use crate::timestamp::RFC3339_BYTES;
use crate::{Offset, Rng, Timestamp};

/// The limits and defaults that a publisher's event is held to.
#[derive(Debug, Clone, Copy)]
pub struct Rules {
    /// The server's time; the default of `occurred`.
    pub now: Timestamp,
    /// The largest event accepted, in bytes as given.
    pub max_event_bytes: usize,
    /// The deepest nesting accepted, the event's own object included; at most
    /// [`crate::json::MAX_DEPTH`].
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

impl EventError {
    fn new(at: usize, reason: impl Into<String>) -> Self {
        Self { at, reason: reason.into(), too_large: false }
    }

    fn too_large(max: usize) -> Self {
        let reason = format!("the event is larger than {max} bytes");
        Self { at: max, reason, too_large: true }
    }
}

impl From<JsonError> for EventError {
    fn from(error: JsonError) -> Self {
        Self::new(error.at, error.fault.to_string())
    }
}

/// A body as a face hands it over.
#[derive(Debug, Clone, Copy)]
pub enum Body<'a> {
    /// No body.
    None,
    /// JSON text, checked and kept byte for byte but for newlines between tokens.
    Json(&'a [u8]),
    /// Text: kept as a JSON string, [`crate::meta::FLAG_BODY_TEXT`] set.
    Text(&'a str),
    /// Anything else: kept as base64, [`crate::meta::FLAG_BODY_BASE64`] set and the member
    /// `"content_encoding":"base64"` put before the headers.
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

/// The publisher gave the event its id: only those are held to dedup.
const OWN: u8 = 1;
/// See [`Draft::may_be_again`].
const AGAIN: u8 = 2;

/// Rendered lines with their sidecars. See the module.
#[derive(Debug, Clone, Default)]
pub struct Draft {
    lines: Vec<u8>,
    /// In their binary form, [`META_BYTES`] each.
    metas: Vec<u8>,
    /// What is said of the id of each event: [`OWN`] and [`AGAIN`].
    ids: Vec<u8>,
    /// The members between envelope and headers of the event at hand; kept for its capacity.
    others: Vec<u8>,
    /// The last time written: events of one batch often share theirs.
    written: Option<(Timestamp, [u8; RFC3339_BYTES])>,
}

impl Draft {
    /// Renders one event that came as a JSON object, `text`, and appends it.
    ///
    /// Members keep their order and bytes; `id`, `type`, `offset`, `occurred` and `processed` are
    /// written first by the server, `headers` and `body` last. Newlines between tokens are
    /// dropped. An `offset` or `processed` member that the publisher gave is replaced. A missing
    /// `id` is made (UUID version 7), a missing `type` is `EVENT`.
    ///
    /// # Errors
    /// [`EventError`] names the byte; the draft is then as it was before.
    pub fn push_json(
        &mut self,
        text: &[u8],
        rules: &Rules,
        rng: &dyn Rng,
    ) -> Result<(), EventError> {
        if text.len() > rules.max_event_bytes {
            return Err(EventError::too_large(rules.max_event_bytes));
        }
        crate::json::check_utf8(text)?;
        self.whole_or_not(|draft| envelope::push_whole(draft, text, rules, rng))
    }

    /// Renders one event that a face built and appends it.
    ///
    /// # Errors
    /// [`EventError`] names what is wrong; `at` counts in a JSON body, and is 0 for all else. The
    /// draft is then as it was before.
    pub fn push(
        &mut self,
        event: &NewEvent<'_>,
        rules: &Rules,
        rng: &dyn Rng,
    ) -> Result<(), EventError> {
        self.whole_or_not(|draft| render::push_built(draft, event, rules, rng))
    }

    /// Appends a copy of a stored event, to stand in another stream: without the headers called
    /// one of `dropped`, and with `added`. It is not held to dedup.
    pub fn push_copy(
        &mut self,
        line: &[u8],
        meta: &Meta,
        dropped: &[&str],
        added: &[(&str, &str)],
    ) {
        copy::push(self, line, meta, dropped, added);
    }

    /// As [`Draft::push_copy`], but as an event of its own: with an id that is made, and the rules'
    /// `now` as the time at which it happened.
    pub fn push_anew(
        &mut self,
        line: &[u8],
        meta: &Meta,
        dropped: &[&str],
        added: &[(&str, &str)],
        rules: &Rules,
        rng: &dyn Rng,
    ) {
        copy::push_anew(self, (line, meta), dropped, added, rules, rng);
    }

    /// How many events there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.metas.len() / META_BYTES
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.metas.is_empty()
    }

    /// The size of the lines and sidecars in bytes.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.lines.len() + self.metas.len()
    }

    /// The sidecars, in order.
    #[must_use]
    pub fn metas(&self) -> MetaSlice<'_> {
        MetaSlice::new(&self.metas)
    }

    /// The lines, one after another; the offsets and processed times are zeros until stamped.
    #[must_use]
    pub fn lines(&self) -> &[u8] {
        &self.lines
    }

    /// Whether the publisher gave event `index` its id.
    #[must_use]
    pub fn has_own_id(&self, index: usize) -> bool {
        self.ids.get(index).is_some_and(|said| said & OWN != 0)
    }

    /// Says that the id of the last event, which its publisher gave, is the name of its sender, a
    /// colon and a number that grows with each event of the sender; and whether the sender may send it
    /// `again`, after a cut, so that it is a copy where one of the same or a later number was
    /// stored before by the same `sender`, which tells credentials apart.
    pub fn number_last(&mut self, again: bool, sender: u16) {
        if let (Some(said), true) = (self.ids.last_mut(), again) {
            *said |= AGAIN;
        }
        if let Some(flags) = self.metas.last_chunk_mut::<4>() {
            let of = u32::from(sender) << SENDER_SHIFT;
            *flags = (u32::from_le_bytes(*flags) | FLAG_NUMBERED | of).to_le_bytes();
        }
    }

    /// Whether event `index` is numbered and may have been sent before.
    #[must_use]
    pub fn may_be_again(&self, index: usize) -> bool {
        self.ids.get(index).is_some_and(|said| said & AGAIN != 0)
    }

    /// Drops the events whose index `drop` accepts, keeping the order of the rest.
    pub fn remove(&mut self, mut drop: impl FnMut(usize) -> bool) {
        let (mut from, mut to, mut kept) = (0, 0, 0);
        for index in 0..self.len() {
            let line_len = self.metas().get(index).map_or(0, |meta| meta.line_len as usize);
            let end = from + line_len;
            if !drop(index) {
                if from != to && end <= self.lines.len() {
                    self.lines.copy_within(from..end, to);
                }
                let sidecar = index * META_BYTES;
                self.metas.copy_within(sidecar..sidecar + META_BYTES, kept * META_BYTES);
                self.ids.swap(kept, index);
                to += line_len;
                kept += 1;
            }
            from = end;
        }
        self.truncate(to, kept);
    }

    /// Gives the events consecutive offsets from `first`, and the time they were taken.
    pub fn stamp(&mut self, first: Offset, processed: Timestamp) {
        render::stamp(&mut self.lines, &mut self.metas, first, processed);
    }

    /// The lines, and the sidecars in their binary form.
    #[must_use]
    pub fn into_parts(self) -> (Vec<u8>, Vec<u8>) {
        (self.lines, self.metas)
    }

    /// Does `push`; when it fails, the draft is as it was before.
    fn whole_or_not<E>(&mut self, push: impl FnOnce(&mut Self) -> Result<(), E>) -> Result<(), E> {
        let (lines, events) = (self.lines.len(), self.len());
        push(self).inspect_err(|_| self.truncate(lines, events))
    }

    /// Drops what comes after `lines` bytes and `events` events.
    fn truncate(&mut self, lines: usize, events: usize) {
        self.lines.truncate(lines);
        self.metas.truncate(events * META_BYTES);
        self.ids.truncate(events);
    }
}
