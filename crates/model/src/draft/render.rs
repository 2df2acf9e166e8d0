//! Writing lines: the head that every line starts with, events that a face built, and the stamp.
//!
//! Called by [`super::Draft`] and `envelope`. What is written first is fixed by the layout:
//! `{"id":"` id `","type":"` type `","offset":"` 16 `","occurred":"` 24 `","processed":"` 24 `"`.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::envelope::{hold_to_rules, name_error, not_reserved};
use super::{Body, Draft, EventError, NewEvent, Rules};
use crate::id::{EventId, EventType};
use crate::json::string::write_string;
use crate::json::{append_one_line, check};
use crate::meta::{FLAG_BODY_BASE64, FLAG_BODY_TEXT, Meta};
use crate::offset::OFFSET_DIGITS;
use crate::timestamp::RFC3339_BYTES;
use crate::{Offset, Rng, Timestamp, subset};

const BEFORE_ID: &[u8] = b"{\"id\":\"";
const BEFORE_TYPE: &[u8] = b"\",\"type\":\"";
const BEFORE_OFFSET: &[u8] = b"\",\"offset\":\"";
const BEFORE_OCCURRED: &[u8] = b"\",\"occurred\":\"";
const BEFORE_PROCESSED: &[u8] = b"\",\"processed\":\"";
const UUID_BYTES: usize = 36;

/// What follows the type, with zeros for the offset and both times.
const TIMES: [u8; 106] =
    *b"\",\"offset\":\"0000000000000000\",\"occurred\":\"000000000000000000000000\",\"processed\":\"000000000000000000000000\"";

/// A line being written, and its sidecar so far.
pub(super) struct Head {
    pub(super) meta: Meta,
    line_start: usize,
}

impl Head {
    /// Writes the head of a line. A missing id is made.
    pub(super) fn begin(
        draft: &mut Draft,
        id: Option<&[u8]>,
        event_type: &[u8],
        occurred: Timestamp,
        rules: &Rules,
        rng: &dyn Rng,
    ) -> Self {
        let mut made = [0; UUID_BYTES];
        let id = id.unwrap_or_else(|| {
            made = uuid_v7(rules.now, rng);
            &made
        });
        Self::write(draft, id, event_type, occurred)
    }

    /// Writes the head of a line with this id.
    pub(super) fn write(
        draft: &mut Draft,
        id: &[u8],
        event_type: &[u8],
        occurred: Timestamp,
    ) -> Self {
        let time = match draft.written {
            Some((at, text)) if at == occurred => text,
            _ => draft.written.insert((occurred, rfc3339(occurred))).1,
        };
        let line_start = draft.lines.len();
        let out = &mut draft.lines;
        for part in [BEFORE_ID, id, BEFORE_TYPE, event_type, &TIMES] {
            out.extend_from_slice(part);
        }
        let at = out.len() - TIMES.len() + BEFORE_OFFSET.len() + OFFSET_DIGITS;
        put(out, at + BEFORE_OCCURRED.len(), &time);
        let meta = Meta {
            occurred,
            id_hash: subset::id_hash(id),
            type_hash: subset::type_hash(event_type),
            // Both were checked against limits that fit.
            id_len: id.len() as u16,
            type_len: event_type.len() as u8,
            ..Meta::default()
        };
        Self { meta, line_start }
    }

    pub(super) fn begin_body(&mut self, out: &mut Vec<u8>) {
        out.extend_from_slice(b",\"body\":");
        self.meta.body_start = (out.len() - self.line_start) as u32;
    }

    pub(super) fn end_body(&mut self, out: &[u8]) {
        self.meta.body_len = (out.len() - self.line_start) as u32 - self.meta.body_start;
    }

    /// Ends the line and takes its sidecar in.
    pub(super) fn finish(mut self, draft: &mut Draft, own_id: bool) -> Result<(), EventError> {
        draft.lines.extend_from_slice(b"}\n");
        let len = draft.lines.len() - self.line_start;
        // Also what makes the casts above harmless.
        self.meta.line_len =
            u32::try_from(len).map_err(|_| EventError::too_large(u32::MAX as usize))?;
        self.meta.encode(&mut draft.metas);
        draft.ids.push(u8::from(own_id));
        Ok(())
    }
}

/// Appends an event that a face built. On an error the draft is left half written.
pub(super) fn push_built(
    draft: &mut Draft,
    event: &NewEvent<'_>,
    rules: &Rules,
    rng: &dyn Rng,
) -> Result<(), EventError> {
    if size(event) > rules.max_event_bytes {
        return Err(EventError::too_large(rules.max_event_bytes));
    }
    let (id, event_type) = (event.id.map(str::as_bytes), event.event_type.as_bytes());
    if let Some(id) = id {
        EventId::check(id).map_err(|error| name_error(0, "id", id, &error))?;
    }
    EventType::check(event_type).map_err(|error| name_error(0, "type", event_type, &error))?;
    not_reserved(event_type, 0)?;
    let occurred = hold_to_rules(event.occurred.unwrap_or(rules.now), rules)
        .map_err(|reason| EventError::new(0, reason))?;
    let mut head = Head::begin(draft, id, event_type, occurred, rules, rng);
    let out = &mut draft.lines;
    if let Some(key) = event.key {
        head.meta.key_hash = subset::key_hash(key.as_bytes());
        out.extend_from_slice(b",\"key\":");
        write_string(key, out);
    }
    if let Body::Bytes(_) = event.body {
        out.extend_from_slice(b",\"content_encoding\":\"base64\"");
    }
    write_headers(event.headers, out);
    if !matches!(event.body, Body::None) {
        head.begin_body(out);
        head.meta.flags = write_body(&event.body, rules, out)?;
        head.end_body(out);
    }
    head.finish(draft, event.id.is_some())
}

/// What the event's parts add up to, in bytes.
fn size(event: &NewEvent<'_>) -> usize {
    let headers = event.headers.iter().map(|(name, value)| name.len() + value.len());
    let body = match event.body {
        Body::None => 0,
        Body::Json(body) | Body::Bytes(body) => body.len(),
        Body::Text(body) => body.len(),
    };
    let names = event.id.map_or(0, str::len) + event.event_type.len();
    body + names + event.key.map_or(0, str::len) + headers.sum::<usize>()
}

fn write_headers(headers: &[(&str, &str)], out: &mut Vec<u8>) {
    if headers.is_empty() {
        return;
    }
    out.extend_from_slice(b",\"headers\":");
    let mut before = b'{';
    for (name, value) in headers {
        out.push(before);
        write_string(name, out);
        out.push(b':');
        write_string(value, out);
        before = b',';
    }
    out.push(b'}');
}

/// Writes the body's value; gives its flags.
fn write_body(body: &Body<'_>, rules: &Rules, out: &mut Vec<u8>) -> Result<u32, EventError> {
    match *body {
        Body::None => Ok(0),
        Body::Json(text) => {
            append_one_line(check(text, rules.max_depth.saturating_sub(1))?.text(), out);
            Ok(0)
        }
        Body::Text(text) => {
            write_string(text, out);
            Ok(FLAG_BODY_TEXT)
        }
        Body::Bytes(bytes) => {
            out.push(b'"');
            out.extend_from_slice(STANDARD.encode(bytes).as_bytes());
            out.push(b'"');
            Ok(FLAG_BODY_BASE64)
        }
    }
}

fn rfc3339(time: Timestamp) -> [u8; RFC3339_BYTES] {
    let mut text = [0; RFC3339_BYTES];
    time.write_rfc3339(&mut text);
    text
}

/// A UUID of version 7 (RFC 9562): the time in milliseconds, then randomness.
pub(super) fn uuid_v7(now: Timestamp, rng: &dyn Rng) -> [u8; UUID_BYTES] {
    const RANDOM: u128 = (0xFFF << 64) | ((1 << 62) - 1);
    let mut random = [0; 16];
    rng.fill(&mut random);
    let random = u128::from_le_bytes(random);
    let millis = now.millis().max(0) as u128 & 0xFFFF_FFFF_FFFF;
    let fixed = (millis << 80) | (0x7 << 76) | (0x2 << 62);
    let mut hex = [0; 32];
    for (digits, byte) in
        hex.as_chunks_mut().0.iter_mut().zip((fixed | (random & RANDOM)).to_be_bytes())
    {
        *digits = hex_digits(byte);
    }
    let mut out = [b'-'; UUID_BYTES];
    for (from, to) in [(0..8, 0), (8..12, 9), (12..16, 14), (16..20, 19), (20..32, 24)] {
        put(&mut out, to, hex.get(from).unwrap_or_default());
    }
    out
}

/// A byte's two digits, without a branch or a table.
const fn hex_digits(byte: u8) -> [u8; 2] {
    const fn digit(nibble: u8) -> u8 {
        nibble + b'0' + (nibble > 9) as u8 * (b'a' - b'0' - 10)
    }
    [digit(byte >> 4), digit(byte & 15)]
}

/// Puts offsets and the processed time into `lines` and `metas`.
pub(super) fn stamp(lines: &mut [u8], metas: &mut [u8], first: Offset, processed: Timestamp) {
    let time = rfc3339(processed);
    let mut digits = [0; OFFSET_DIGITS];
    first.write_digits(&mut digits);
    let mut rest = lines;
    let mut offset = first;
    for sidecar in metas.as_chunks_mut().0 {
        let meta = Meta::from_bytes(sidecar);
        let Some((line, after)) = rest.split_at_mut_checked(meta.line_len as usize) else { return };
        let names = usize::from(meta.id_len) + usize::from(meta.type_len);
        let at = BEFORE_ID.len() + BEFORE_TYPE.len() + BEFORE_OFFSET.len() + names;
        put(line, at, &digits);
        let at =
            at + OFFSET_DIGITS + BEFORE_OCCURRED.len() + RFC3339_BYTES + BEFORE_PROCESSED.len();
        put(line, at, &time);
        Meta::stamp(sidecar, offset, processed);
        offset = offset.next();
        increment(&mut digits);
        rest = after;
    }
}

#[inline]
fn put(line: &mut [u8], at: usize, bytes: &[u8]) {
    if let Some(place) = line.get_mut(at..at + bytes.len()) {
        place.copy_from_slice(bytes);
    }
}

/// Adds one to a decimal number: cheaper than dividing each offset into its digits again.
fn increment(digits: &mut [u8]) {
    for digit in digits.iter_mut().rev() {
        if *digit < b'9' {
            *digit += 1;
            return;
        }
        *digit = b'0';
    }
}
