//! What of an endpoint outlasts the server.
//!
//! Said by the [`Session`](super::Session), which begins with it again; stored by the post, in the form of
//! [`note`](crate::note).

use outflow_model::{Offset, Timestamp};

use super::rules::{Disabled, Rules};
use super::{later, since};
use crate::health::Failing;
use crate::wire::BatchSize;

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Note {
    /// Since when it fails.
    pub failing: Option<Failing>,
    /// When it is tried again.
    pub next_attempt: Option<Timestamp>,
    /// Since when nothing was sent to one that fails: it waits for its next attempt, or there is nothing to
    /// send.
    pub quiet: Option<Timestamp>,
    /// Why it is disabled, and since when.
    pub disabled: Option<(Disabled, Timestamp)>,
    /// The offsets of the batch that is sent next: it could be cut elsewhere.
    pub at_hand: Vec<Offset>,
    /// How many events batches had at most when it was made.
    pub size: Option<BatchSize>,
    /// The same of the batches that stand behind it, the first of these last: what comes again goes before
    /// what was at hand.
    pub behind: Vec<(Vec<Offset>, BatchSize)>,
}

impl Note {
    /// The same with all times so many milliseconds later.
    #[must_use]
    pub fn shifted(self, millis: i64) -> Self {
        let later = |at: Timestamp| at.plus_millis(millis);
        let failing = self.failing.map(|one| Failing { since: later(one.since), ..one });
        let disabled = self.disabled.map(|(why, at)| (why, later(at)));
        let (next_attempt, quiet) = (self.next_attempt.map(later), self.quiet.map(later));
        Self { failing, disabled, next_attempt, quiet, ..self }
    }

    /// With no time that lies further ahead than it ever may, as it does where the clock was set back: what it
    /// waits for begins again then, and is no longer than it was.
    #[must_use]
    pub fn within(mut self, now: Timestamp, rules: &Rules) -> Self {
        let longest = rules.schedule.longest_pause();
        let pause = |at| self.quiet.map_or(longest, |quiet| since(quiet, at).min(longest));
        self.next_attempt = self.next_attempt.map(|at| at.min(later(now, pause(at))));
        self.quiet = self.quiet.map(|at| at.min(now));
        if let Some(failing) = &mut self.failing {
            failing.since = failing.since.min(now);
        }
        self
    }
}
