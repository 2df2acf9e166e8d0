//! Taking a whole publish body in: one event, NDJSON, or an array.
//!
//! Called by the faces that publish. Splitting and checking are one pass.

use super::{Draft, EventError, Rules, envelope};
use crate::Rng;
use crate::json::{Scanner, check_utf8, split};

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
    /// Renders and appends every event of `body`: one JSON object, objects with white space or
    /// nothing between them (NDJSON), or an array of objects. Gives how many there were, which is
    /// 0 for a blank body or an empty array.
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
        // Lines grow by the envelope's fixed parts, some 130 bytes; NDJSON has most to gain.
        self.lines.reserve(body.len() + body.len() / 2);
        self.whole_or_not(|draft| {
            draft.push_values(body, max_events, rules, rng).map_err(|error| BodyError {
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
        let mut scanner = Scanner::new(body, 0);
        let mut steps = split::Steps::enter(&mut scanner);
        while steps.next(&mut scanner)? {
            let start = scanner.at();
            if self.len() - before >= max_events {
                let reason = format!("more than {max_events} events in one request");
                return Err(EventError { at: start, reason, too_large: true });
            }
            envelope::push_next(self, &mut scanner, rules, rng).map_err(|mut error| {
                // A fault of size is counted from the event's start, all others from the body's.
                error.at += if error.too_large { start } else { 0 };
                error
            })?;
        }
        Ok(())
    }
}
