//! Blocks of events to SSE frames. No I/O.
//!
//! A block is rendered once into one buffer for all who read it in the same form; what a connection
//! sends is a slice of that. Frames of the feeds are as reference 1.4 shows them: an id, the kind, and exactly two
//! data lines, the header and the entity's fields. None of what is written can hold a newline: ids
//! and types are printable, and stored JSON stands on one line. What some clients' languages take
//! for the end of a line, U+0085, U+2028 and U+2029, is written as JSON's escapes of it: PyPI's
//! `sseclient` splits frames by Python's `splitlines`.

use std::collections::BTreeSet;
use std::io::Write as _;

use bytes::Bytes;
use outflow_hub::extraction::LOAD_END;
use outflow_hub::{Block, BlockError};
use outflow_model::json::Value;
use outflow_model::timestamp::RFC3339_BYTES;
use outflow_model::{Meta, Offset, StreamId, StreamName, Timestamp};

use crate::translate;

/// A comment line. Without a blank line behind it: some clients take that for an empty event
/// (reference 1.6).
pub const HEARTBEAT: Bytes = Bytes::from_static(b":\n");

/// What the events of a stream are rendered as.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Form {
    /// Changes of entities: of these types, or of all.
    Changes(Option<BTreeSet<String>>),
    /// Entities of a stream as they were when they were read.
    Loads {
        /// The stream.
        of: StreamName,
        /// What stands before is of a former stream of its name.
        begins: Offset,
    },
    /// Whole lines, named by their types or not.
    Lines {
        /// Whether they are: `EventSource.onmessage` gets only what is not named.
        named: bool,
    },
}

/// A block's frames, one after another.
#[derive(Debug, Clone)]
pub struct Frames {
    bytes: Bytes,
    /// Where each event ends.
    ends: Vec<u32>,
}

impl Frames {
    /// Renders the events of `block`.
    ///
    /// # Errors
    /// [`BlockError`] when the block's stored form is damaged.
    pub fn render(block: &Block, stream: StreamId, form: &Form) -> Result<Self, BlockError> {
        let (lines, metas) = (block.lines()?, block.metas()?);
        let mut out = Vec::with_capacity(lines.len() + lines.len() / 4);
        let mut ends = Vec::with_capacity(metas.len());
        for (meta, line) in metas.with_lines(lines) {
            let is_event = match form {
                Form::Lines { named } => plain(&meta, line, stream, *named, &mut out),
                Form::Loads { begins, .. } if meta.offset < *begins => false,
                Form::Loads { of, .. } if meta.event_type(line) == LOAD_END.as_bytes() => {
                    end_of_load(&meta, line, of, &mut out)
                }
                Form::Loads { of, .. } if !is_of(of, meta.others(line).called(b"stream")) => false,
                Form::Loads { .. } => entity(&meta, line, stream, meta.occurred, &mut out),
                Form::Changes(types) if is_among(types.as_ref(), &meta, line) => {
                    entity(&meta, line, stream, meta.processed, &mut out)
                }
                Form::Changes(_) => false,
            };
            // Blocks are bounded far below this.
            let Ok(end) = u32::try_from(out.len()) else { return Err(BlockError::Corrupt) };
            if is_event {
                ends.push(end);
            }
        }
        Ok(Self { bytes: out.into(), ends })
    }

    /// All frames up to the end of the event number `max`, and how many events are among them.
    #[must_use]
    pub fn up_to(&self, max: u64) -> (Bytes, u64) {
        let last = max.checked_sub(1).and_then(|last| usize::try_from(last).ok());
        match last.and_then(|last| self.ends.get(last)) {
            Some(&end) => (self.bytes.slice(..end as usize), max),
            None => (self.bytes.clone(), self.ends.len() as u64),
        }
    }

    /// Whether there is nothing to send.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }
}

/// After how long to connect again: a line that belongs to the event behind it. In a block of its
/// own it would be an empty event for some clients (reference 1.6).
#[must_use]
pub fn retry(ms: u128) -> Bytes {
    format!("retry: {ms}\n").into()
}

/// A comment line.
#[must_use]
pub fn comment(text: &str) -> Bytes {
    format!(": {text}\n").into()
}

fn begin(meta: &Meta, stream: StreamId, out: &mut Vec<u8>) {
    out.extend_from_slice(b"id: ");
    out.extend_from_slice(translate::id(stream, meta.offset).as_bytes());
}

/// An event of a feed; nothing for one that was published before the stream was keyed.
fn entity(meta: &Meta, line: &[u8], stream: StreamId, at: Timestamp, out: &mut Vec<u8>) -> bool {
    let (Some(tick), Some(entity_ref)) = (meta.tick(line), meta.others(line).called(b"ref")) else {
        return false;
    };
    let mut time = [0; RFC3339_BYTES];
    at.write_rfc3339(&mut time);
    begin(meta, stream, out);
    for part in [&b"\nevent: "[..], meta.event_type(line), b"\ndata:{\"ref\":"] {
        out.extend_from_slice(part);
    }
    json(entity_ref.text(), out);
    for part in [&b",\"tstamp\":\""[..], &time, b"\",\"tick\":", &tick.digits(), b"}\ndata:"] {
        out.extend_from_slice(part);
    }
    // Clients split the data at the newline: there is always a second line.
    let payload = meta.body(line);
    json(if payload.first() == Some(&b'{') { payload } else { b"{}" }, out);
    out.extend_from_slice(b"\n\n");
    true
}

fn plain(meta: &Meta, line: &[u8], stream: StreamId, named: bool, out: &mut Vec<u8>) -> bool {
    begin(meta, stream, out);
    if named {
        out.extend_from_slice(b"\nevent: ");
        out.extend_from_slice(meta.event_type(line));
    }
    out.extend_from_slice(b"\ndata: ");
    json(line.trim_ascii_end(), out);
    out.extend_from_slice(b"\n\n");
    true
}

/// Stored JSON, its line separators escaped. They stand inside of strings only, where the escapes
/// mean the same.
fn json(text: &[u8], out: &mut Vec<u8>) {
    let mut rest = text;
    while let Some(at) = memchr::memchr2(0xC2, 0xE2, rest) {
        let (before, from) = rest.split_at(at);
        out.extend_from_slice(before);
        let (escape, length) = match from {
            [0xC2, 0x85, ..] => (&b"\\u0085"[..], 2),
            [0xE2, 0x80, 0xA8, ..] => (&b"\\u2028"[..], 3),
            [0xE2, 0x80, 0xA9, ..] => (&b"\\u2029"[..], 3),
            _ => (from.get(..1).unwrap_or_default(), 1),
        };
        out.extend_from_slice(escape);
        rest = from.get(length..).unwrap_or_default();
    }
    out.extend_from_slice(rest);
}

/// The comment that marks where a load ends: old clients pass over it.
fn end_of_load(meta: &Meta, line: &[u8], of: &StreamName, out: &mut Vec<u8>) -> bool {
    let body = Value::new(meta.body(line));
    if !is_of(of, body.get(b"stream")) {
        return false;
    }
    let job = body.get(b"job").and_then(Value::as_string);
    let job = job.map(|job| job.to_text().into_owned()).unwrap_or_default();
    // Only extractions write this; a line of anybody else's would be theirs to end.
    if job.is_empty() || !job.bytes().all(|byte| byte.is_ascii_digit()) {
        return false;
    }
    // Writing into memory cannot fail.
    let _ = writeln!(out, ": end-of-load job={job}");
    false
}

/// Whether what an extraction wrote is of the stream that was asked for. What does not say was
/// written when nothing did, and goes to all.
fn is_of(of: &StreamName, stream: Option<Value<'_>>) -> bool {
    stream.and_then(Value::as_string).is_none_or(|stream| *stream.to_text() == *of.as_str())
}

fn is_among(types: Option<&BTreeSet<String>>, meta: &Meta, line: &[u8]) -> bool {
    let Some(types) = types else { return true };
    let entity_ref = meta.others(line).called(b"ref");
    let name = entity_ref.and_then(|one| one.get(b"type")).and_then(Value::as_string);
    name.is_some_and(|name| types.contains(&*name.to_text()))
}
