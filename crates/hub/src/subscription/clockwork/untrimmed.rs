//! Which streams could not be trimmed, and of which of them it is to be said.
//!
//! Asked by the round, which tries again each time. Such a stream grows until somebody sees why, so it
//! is said when it begins and every [`AGAIN`], not at each round.
//!
//! Invariant: nothing is kept of a stream that could be trimmed, or is gone.

use std::collections::BTreeMap;
use std::time::Duration;

use outflow_model::StreamId;
use outflow_model::clock::Moment;

use crate::subscription::timetable::after;

/// How long nothing is said of a stream of which it was said.
const AGAIN: Duration = Duration::from_secs(3_600);

/// The streams that could not be trimmed in the last round, and when it is to be said again.
#[derive(Debug, Default)]
pub(super) struct Untrimmed(BTreeMap<StreamId, Moment>);

impl Untrimmed {
    /// Takes those that could not be trimmed in this round. Gives those of which it is to be said.
    pub(super) fn note(
        &mut self,
        failed: impl IntoIterator<Item = StreamId>,
        now: Moment,
    ) -> Vec<StreamId> {
        let before = std::mem::take(&mut self.0);
        let mut news = Vec::new();
        for stream in failed {
            let said = before.get(&stream).copied().filter(|again| *again > now);
            if said.is_none() {
                news.push(stream);
            }
            self.0.insert(stream, said.unwrap_or_else(|| after(now, AGAIN)));
        }
        news
    }
}

#[cfg(test)]
mod tests {
    use outflow_model::clock::{Clock, ManualClock};

    use super::*;

    #[test]
    fn it_is_said_when_it_begins_and_every_hour() {
        let clock = ManualClock::new(outflow_model::Timestamp::from_millis(0));
        let mut untrimmed = Untrimmed::default();
        let (one, other) = (StreamId(1), StreamId(2));
        assert_eq!(untrimmed.note([one], clock.passed()), [one]);
        clock.advance(10_000);
        assert_eq!(untrimmed.note([one, other], clock.passed()), [other]);
        clock.advance(3_590_000);
        assert_eq!(untrimmed.note([one, other], clock.passed()), [one]);
        // It was trimmed, and cannot be again.
        assert_eq!(untrimmed.note([], clock.passed()), []);
        assert_eq!(untrimmed.note([one], clock.passed()), [one]);
        assert_eq!(untrimmed.note([one], clock.passed()), []);
    }
}
