//! When to try again what failed.
//!
//! Called by [`crate::lander`], for each stream apart.

use outflow_model::{Rng, Timestamp};

/// After how long the first failure is followed by another attempt, in milliseconds.
const FIRST_MS: i64 = 1_000;
/// The longest time between two attempts, in milliseconds.
const LONGEST_MS: i64 = 60_000;

/// The pause after failures in a row: twice as long after each, up to a minute; between half of it
/// and all, so that streams that failed together do not come back together.
#[derive(Debug, Default)]
pub(crate) struct Backoff {
    failures: u32,
    until: Timestamp,
}

impl Backoff {
    /// Notes a failure.
    pub(crate) fn fail(&mut self, now: Timestamp, rng: &dyn Rng) {
        let longest = (FIRST_MS << self.failures.min(16)).min(LONGEST_MS);
        self.failures = self.failures.saturating_add(1);
        let half = longest / 2;
        let more = i64::try_from(rng.below(half.unsigned_abs() + 1)).unwrap_or(half);
        self.until = now.plus_millis(half + more);
    }

    /// Whether it is time to try again; also when the clock was set back.
    pub(crate) fn is_over(&self, now: Timestamp) -> bool {
        let left = self.until.millis() - now.millis();
        !(1..=LONGEST_MS).contains(&left)
    }
}

#[cfg(test)]
mod tests {
    use outflow_model::rng::SeededRng;

    use super::*;

    #[test]
    fn pauses_grow_to_a_minute_and_differ() {
        let rng = SeededRng::new(1);
        let now = Timestamp::from_millis(1_000_000_000);
        let mut backoff = Backoff::default();
        for expected in [1, 2, 4, 8, 16, 32, 60, 60, 60] {
            backoff.fail(now, &rng);
            assert!(!backoff.is_over(now.plus_millis(expected * 500 - 1)), "{expected}");
            assert!(backoff.is_over(now.plus_millis(expected * 1_000)), "{expected}");
        }
        assert!(backoff.is_over(now.plus_millis(-3_600_000)), "the clock was set back");
    }
}
