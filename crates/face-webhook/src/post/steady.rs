//! The time that a post counts by: it passes as time does, whatever the system's clock is set to.
//!
//! Held by the post, whose sessions and timers know no other. Lingering, pauses and how long an endpoint
//! has failed are spans of time: a clock that is set back by an hour must not make them last an hour
//! longer, nor one that is set forward end them. The clock's own time is for what others see or what
//! outlasts the server.
//!
//! Invariants: it never goes back; what is written down in the clock's time comes back as the same moment
//! while the clock is not set.

use outflow_model::{Clock, Timestamp};
use tokio::time::Instant;

/// See the module.
#[derive(Debug, Clone, Copy)]
pub(super) struct Steady {
    began: Instant,
    base: Timestamp,
}

impl Steady {
    /// Begins at the clock's time.
    pub(super) fn new(clock: &dyn Clock) -> Self {
        Self { began: Instant::now(), base: clock.now() }
    }

    pub(super) fn now(&self) -> Timestamp {
        let passed = self.began.elapsed().as_millis();
        self.base.plus_millis(i64::try_from(passed).unwrap_or(i64::MAX))
    }

    /// How many milliseconds the clock is ahead; less than 0: behind.
    pub(super) fn ahead(&self, clock: &dyn Clock) -> i64 {
        clock.now().millis().saturating_sub(self.now().millis())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use outflow_model::clock::ManualClock;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_passes_whatever_the_clock_is_set_to() {
        let at = Timestamp::from_millis;
        let clock = ManualClock::new(at(1_000_000));
        let steady = Steady::new(&clock);
        assert_eq!((steady.now(), steady.ahead(&clock)), (at(1_000_000), 0));
        clock.set(at(400_000));
        assert_eq!((steady.now(), steady.ahead(&clock)), (at(1_000_000), -600_000));
        tokio::time::advance(Duration::from_secs(5)).await;
        assert_eq!((steady.now(), steady.ahead(&clock)), (at(1_005_000), -605_000));
        clock.set(at(2_005_000));
        assert_eq!(steady.ahead(&clock), 1_000_000);
    }
}
