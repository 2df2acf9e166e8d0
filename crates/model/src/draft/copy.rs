//! Copying a stored event: into another stream, under other headers.
//!
//! Called by [`super::Draft`] for whoever moves events. Id, type, time, key, the publisher's other
//! members and the body are the same bytes; of an event that is published anew, id and time are new.

use super::render::Head;
use super::{Draft, Rules};
use crate::json::string::write_string;
use crate::meta::{FLAG_NUMBERED, SENDER_SHIFT};
use crate::{Meta, Rng, Timestamp};

/// Appends the event of `line` without the headers called one of `dropped`, and with `added`.
pub(super) fn push(
    draft: &mut Draft,
    line: &[u8],
    meta: &Meta,
    dropped: &[&str],
    added: &[(&str, &str)],
) {
    // What the server writes first is written anew; `processed` and the offset are stamped later.
    let (id, event_type) = (meta.id(line), meta.event_type(line));
    let head = Head::resume(draft, id, event_type, meta);
    push_rest(draft, head, (line, meta), dropped, added);
}

/// The same, as an event of its own.
pub(super) fn push_anew(
    draft: &mut Draft,
    (line, meta): (&[u8], &Meta),
    dropped: &[&str],
    added: &[(&str, &str)],
    rules: &Rules,
    rng: &dyn Rng,
) {
    let event_type = meta.event_type(line);
    let head = Head::begin(draft, None, event_type, rules.now, rules, rng).like(meta);
    push_rest(draft, head, (line, meta), dropped, added);
}

/// Appends what follows the head.
fn push_rest(
    draft: &mut Draft,
    mut head: Head,
    (line, meta): (&[u8], &Meta),
    dropped: &[&str],
    added: &[(&str, &str)],
) {
    let out = &mut draft.lines;
    let mut headers = None;
    for (name, value) in meta.others(line) {
        if name.is(b"headers") {
            headers = Some(value);
            continue;
        }
        out.extend_from_slice(b",\"");
        out.extend_from_slice(name.as_written());
        out.extend_from_slice(b"\":");
        out.extend_from_slice(value.text());
    }
    let start = out.len();
    out.extend_from_slice(b",\"headers\":");
    let empty = out.len();
    let mut before = b'{';
    let kept = headers.into_iter().flat_map(crate::json::Value::members);
    for (name, value) in kept.filter(|(name, _)| !dropped.iter().any(|d| name.is(d.as_bytes()))) {
        out.push(before);
        out.push(b'"');
        out.extend_from_slice(name.as_written());
        out.extend_from_slice(b"\":");
        out.extend_from_slice(value.text());
        before = b',';
    }
    for (name, value) in added {
        out.push(before);
        write_string(name, out);
        out.push(b':');
        write_string(value, out);
        before = b',';
    }
    if out.len() == empty {
        out.truncate(start);
    } else {
        out.push(b'}');
    }
    if meta.body_start != 0 {
        head.begin_body(out);
        out.extend_from_slice(meta.body(line));
        head.end_body(out);
    }
    // As long as the stored line, but for headers that are bounded: it cannot be too long.
    let _ = head.finish(draft, false);
}

impl Head {
    /// Writes the head of a line again, from its sidecar.
    fn resume(draft: &mut Draft, id: &[u8], event_type: &[u8], of: &Meta) -> Self {
        let at: Timestamp = of.occurred;
        Self::write(draft, id, event_type, at).like(of)
    }

    /// The same, with what does not follow from the head itself.
    const fn like(mut self, of: &Meta) -> Self {
        self.meta.key_hash = of.key_hash;
        self.meta.device = of.device;
        // The copy's place says nothing of its sender's.
        let flags = of.flags & !FLAG_NUMBERED;
        self.meta.flags = flags & ((1 << SENDER_SHIFT) - 1);
        self
    }
}
