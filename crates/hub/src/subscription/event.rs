//! One event as a consumer sees it: a view into a shared block, decoded on demand.
//!
//! Made when events are handed out; read by faces and by selectors.
//!
//! Invariant: holds no bytes of its own, so a delivery costs two counted references.

use std::borrow::Cow;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use outflow_model::json::Value;
use outflow_model::json::value::Members;
use outflow_model::meta::{FLAG_BODY_BASE64, FLAG_BODY_TEXT};
use outflow_model::{Meta, Offset};
use outflow_store::Block;

use super::headers;

/// What stands between the headers and the body's value in a line.
const BEFORE_BODY: usize = r#","body":"#.len();

/// An event inside a block. See the module.
#[derive(Debug, Clone)]
pub struct EventView {
    block: Arc<Block>,
    /// Where its line starts in the block's lines.
    start: usize,
    meta: Meta,
}

/// A body, decoded as its publisher gave it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BodyView<'a> {
    /// There is none.
    None,
    /// JSON text, byte for byte but for newlines between tokens.
    Json(&'a [u8]),
    /// Text that was not JSON.
    Text(Cow<'a, str>),
    /// Bytes that were not text.
    Bytes(Vec<u8>),
}

impl EventView {
    pub(crate) const fn new(block: Arc<Block>, start: usize, meta: Meta) -> Self {
        Self { block, start, meta }
    }

    /// Its sidecar.
    #[must_use]
    pub const fn meta(&self) -> &Meta {
        &self.meta
    }

    /// Its place in its stream.
    #[must_use]
    pub const fn offset(&self) -> Offset {
        self.meta.offset
    }

    /// The stored line with its `\n`: what an NDJSON reader gets.
    #[must_use]
    pub fn line(&self) -> &[u8] {
        // The block was opened when the event was loaded.
        let Ok(lines) = self.block.lines() else { return &[] };
        lines.get(self.start..self.start + self.meta.line_len as usize).unwrap_or_default()
    }

    /// Its id, the same on every copy: printable ASCII.
    #[must_use]
    pub fn id(&self) -> &str {
        std::str::from_utf8(self.meta.id(self.line())).unwrap_or_default()
    }

    /// The id of the message that it is: its own, or the one that was too long for it or not ASCII.
    #[must_use]
    pub fn message_id(&self) -> Cow<'_, str> {
        let id = self.id();
        if !id.starts_with(headers::MADE_ID) {
            return id.into();
        }
        // Anybody may send such a header.
        let is_of = |shown: &Cow<'_, str>| headers::event_id(shown) == id;
        self.header(headers::MESSAGE_ID).filter(is_of).unwrap_or_else(|| id.into())
    }

    /// Its type: printable ASCII.
    #[must_use]
    pub fn event_type(&self) -> &str {
        std::str::from_utf8(self.meta.event_type(self.line())).unwrap_or_default()
    }

    /// Its key: what groups go by.
    #[must_use]
    pub fn key(&self) -> Option<Cow<'_, str>> {
        if self.meta.key_hash == 0 {
            return None;
        }
        let value = Members::inside(self.envelope()).called(b"key")?;
        Some(value.as_string()?.to_text())
    }

    /// Its headers in order; names may repeat.
    pub fn headers(&self) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
        let members = header_object(self.envelope()).map(Value::members).into_iter().flatten();
        members.filter_map(|(name, value)| Some((name.to_text(), value.as_string()?.to_text())))
    }

    /// The first header called exactly `name`: the one that counts where a name repeats.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<Cow<'_, str>> {
        header(self.envelope(), name)
    }

    /// Its body.
    #[must_use]
    pub fn body(&self) -> BodyView<'_> {
        let text = self.meta.body(self.line());
        if self.meta.body_start == 0 {
            return BodyView::None;
        }
        let string = || Value::new(text).as_string();
        if self.meta.flags & FLAG_BODY_TEXT != 0 {
            return string().map_or(BodyView::Json(text), |raw| BodyView::Text(raw.to_text()));
        }
        if self.meta.flags & FLAG_BODY_BASE64 != 0 {
            let bytes = string().and_then(|raw| STANDARD.decode(raw.as_written()).ok());
            return bytes.map_or(BodyView::Json(text), BodyView::Bytes);
        }
        BodyView::Json(text)
    }

    /// Its body as its publisher gave it, shared and not copied, where it is stored so: JSON, and text
    /// without escapes. UTF-8, as all that was taken.
    #[must_use]
    pub fn stored_body(&self) -> Option<Bytes> {
        let (start, len) = (self.meta.body_start as usize, self.meta.body_len as usize);
        if start == 0 || self.meta.flags & FLAG_BODY_BASE64 != 0 {
            return None;
        }
        let lines = self.block.lines().ok()?;
        let (start, end) = (self.start + start, self.start + start + len);
        let is_text = self.meta.flags & FLAG_BODY_TEXT != 0;
        match lines.get(start..end)? {
            [b'"', text @ .., b'"'] if is_text => {
                memchr::memchr(b'\\', text).is_none().then(|| lines.slice(start + 1..end - 1))
            }
            _ if is_text => None,
            _ => Some(lines.slice(start..end)),
        }
    }

    /// The members between the server's own and the body: key, others, headers.
    pub(super) fn envelope(&self) -> &[u8] {
        envelope(&self.meta, self.line())
    }
}

/// The members of `line` between the server's own and the body, with the comma before them.
pub(crate) fn envelope<'a>(meta: &Meta, line: &'a [u8]) -> &'a [u8] {
    let end = match meta.body_start as usize {
        // `}` and the newline.
        0 => line.len().saturating_sub(2),
        start => start.saturating_sub(BEFORE_BODY),
    };
    line.get(meta.others_start()..end).unwrap_or_default()
}

/// The headers' object among the members `envelope`.
pub(crate) fn header_object(envelope: &[u8]) -> Option<Value<'_>> {
    if envelope.is_empty() { None } else { Members::inside(envelope).called(b"headers") }
}

/// The first header called `name` among the members `envelope`.
pub(crate) fn header<'a>(envelope: &'a [u8], name: &str) -> Option<Cow<'a, str>> {
    let mut members = header_object(envelope)?.members();
    let (_, value) = members.find(|(known, _)| known.is(name.as_bytes()))?;
    Some(value.as_string()?.to_text())
}
