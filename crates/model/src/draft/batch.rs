//! Taking a whole publish body in: one event, NDJSON, or an array.
//!
//! Called by the faces that publish. Splitting and checking are one pass. Invariant: an event that is
//! not alone and not in an array is on one line, so that a line that is cut short takes no part of the
//! next for its own, and is the one that the error names.

use std::ops::Range;

use super::{Draft, EventError, Rules, envelope};
use crate::Rng;
use crate::json::{self, MAX_DEPTH, Scanner, check_utf8, split};
use crate::meta::META_BYTES;
use crate::rng::SeededRng;

/// What a line has beyond its event's text, at most: the members that the server writes.
const ENVELOPE_BYTES: usize = 192;
/// The lines of a body take up to this many times its own size before more room is made for them
/// only as they come, and their sidecars as much again.
const MAX_GROWTH: usize = 2;

/// What is wrong with an event that goes on after the end of its line.
const CUT_SHORT: &str =
    "the line ends before the event does; of several events each must be on one line";

/// Whether the first event of a body, whose line ends at `line_end` before it does itself, is the only
/// one, written over several lines. It ends at `at`, or, when it is not `whole`, has a fault there.
fn stands_alone(body: &[u8], line_end: usize, at: usize, whole: bool) -> bool {
    let rest = body.get(at..).unwrap_or_default();
    if whole {
        return rest.trim_ascii().is_empty();
    }
    match body.get(line_end..).unwrap_or_default().trim_ascii_start().first() {
        // There is one line.
        None => false,
        // The next event, or a value of this one: then it goes on, and another event is not where the
        // fault is.
        Some(b'{') => {
            let mut before = body.get(..at).unwrap_or_default().iter().rev();
            let before = before.find(|byte| !matches!(byte, b' ' | b'\t' | b'\r'));
            let begins_line = before == Some(&b'\n');
            let may_be_cut =
                rest.trim_ascii().is_empty() || begins_line && rest.first() == Some(&b'{');
            !may_be_cut || !has_event_line(body.get(line_end..).unwrap_or_default())
        }
        Some(_) => true,
    }
}

/// Whether a line of `text` is an object by itself. Looked for only in a body that is refused, and
/// every line once.
fn has_event_line(text: &[u8]) -> bool {
    let is_object =
        |line: &[u8]| line.first() == Some(&b'{') && json::check(line, MAX_DEPTH).is_ok();
    text.split(|byte| *byte == b'\n').any(|line| is_object(line.trim_ascii()))
}

/// Where events of `body` may begin, all of which do: each at a brace, behind the end of the event
/// before it or, in an array, behind what divides them. Objects that are members' values are behind a
/// colon.
fn begins(body: &[u8]) -> impl Iterator<Item = usize> {
    let in_array = body.trim_ascii_start().first() == Some(&b'[');
    memchr::memchr_iter(b'{', body).filter(move |&at| {
        // The white space before each brace is its own: all of it is passed once.
        match body.get(..at).unwrap_or_default().trim_ascii_end().last() {
            None => true,
            Some(before) if in_array => matches!(before, b'[' | b','),
            Some(before) => *before == b'}',
        }
    })
}

/// What was wrong with one event of a body, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("event {index} on line {line}, byte {at}: {reason}")]
pub struct BodyError {
    /// Which event, from 0: the index when the body is an array.
    pub index: usize,
    /// The line of the body on which the fault stands, from 1.
    pub line: usize,
    /// The byte of the body where the fault stands, from 0.
    pub at: usize,
    /// What is wrong, lower case, for the publisher's eyes.
    pub reason: String,
    /// Whether it is the size or the number of events that is wrong.
    pub too_large: bool,
}

impl Draft {
    /// How large a draft can get by [`Draft::push_body`], at most: an event of two bytes becomes a
    /// line and a sidecar of two hundred. Found without parsing, so texts that hold braces and objects
    /// in arrays may count as more events than they are.
    #[must_use]
    pub fn most_bytes_of(body: &[u8], max_events: usize) -> usize {
        let events = begins(body).take(max_events).count();
        body.len().saturating_add(events.saturating_mul(ENVELOPE_BYTES + META_BYTES))
    }

    /// Renders and appends every event of `body`: one JSON object, objects on one line each with
    /// white space or nothing between them (NDJSON), or an array of objects. Gives how many there
    /// were, which is 0 for a blank body or an empty array.
    ///
    /// # Errors
    /// [`BodyError`] names event, line and byte; the draft is then as it was before: a batch is
    /// taken whole or not at all.
    pub fn push_body(
        &mut self,
        body: &[u8],
        max_events: usize,
        rules: &Rules,
        rng: &dyn Rng,
    ) -> Result<usize, BodyError> {
        let before = self.len();
        // Ids are drawn from a generator of the body's own: all threads share the other.
        let ids = SeededRng::new(rng.next_u64());
        self.whole_or_not(|draft| {
            draft.push_values(body, max_events, rules, &ids).map_err(|error| BodyError {
                index: draft.len() - before,
                line: split::line_of(body, error.at),
                at: error.at,
                reason: error.reason,
                too_large: error.too_large,
            })
        })?;
        Ok(self.len() - before)
    }

    fn push_values(
        &mut self,
        body: &[u8],
        max_events: usize,
        rules: &Rules,
        rng: &dyn Rng,
    ) -> Result<(), EventError> {
        check_utf8(body)?;
        let before = self.len();
        // Of NDJSON the first event, of one event all.
        let first = memchr::memchr(b'\n', body).unwrap_or(body.len());
        self.lines.reserve(first + ENVELOPE_BYTES);
        let mut scanner = Scanner::new(body, 0);
        let mut steps = split::Steps::enter(&mut scanner);
        let may_span = steps.in_array();
        // Where the line ends on which the event begins, or one before it.
        let mut line_end = 0;
        while steps.next(&mut scanner)? {
            let start = scanner.at();
            if self.len() - before >= max_events {
                let reason = format!("more than {max_events} events in one request");
                return Err(EventError { at: start, reason, too_large: true });
            }
            let mark = (self.lines.len(), self.len());
            let pushed =
                envelope::push_next(self, &mut scanner, rules, rng).map_err(|mut error| {
                    // A fault of size is counted from the event's start, all others from the body's.
                    error.at += if error.too_large { start } else { 0 };
                    error
                });
            if !may_span {
                if line_end <= start {
                    let rest = body.get(start..).unwrap_or_default();
                    line_end = memchr::memchr(b'\n', rest).map_or(body.len(), |len| start + len);
                }
                let end = pushed.as_ref().map_or_else(|error| error.at, |()| scanner.at());
                let is_of_one_line = end <= line_end
                    || pushed.as_ref().is_err_and(|error| error.too_large)
                    || (mark.1 == before && stands_alone(body, line_end, end, pushed.is_ok()));
                if !is_of_one_line {
                    self.truncate(mark.0, mark.1);
                    return Err(EventError::new(line_end, CUT_SHORT));
                }
            }
            pushed?;
            if self.len() - before == 1 {
                self.make_room(body.len(), start..scanner.at(), max_events);
            }
        }
        Ok(())
    }

    /// Makes room for all events of a body of `len` bytes, as if they were like the first, whose
    /// text is at `text`: a buffer that grows while it is filled is copied as often. What a body
    /// makes of this is in proportion to its own size.
    fn make_room(&mut self, len: usize, text: Range<usize>, max_events: usize) {
        let last = self.len().checked_sub(1).and_then(|last| self.metas().get(last));
        let line = last.map_or(0, |meta| meta.line_len as usize);
        let rest = len.saturating_sub(text.end);
        let events = (rest / text.len().max(1)).min(max_events);
        // Some are longer than the first.
        let lines = events * line + events * line / 16;
        self.lines.reserve(lines.min(MAX_GROWTH * len));
        self.metas.reserve((events * META_BYTES).min(MAX_GROWTH * len));
        self.ids.reserve(events);
    }
}
