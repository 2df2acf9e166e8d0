//! Where the time comes from.
//!
//! There are two: the time of day, which can be set, and the time that passes, which cannot. A span
//! (how long a lock holds, a pause) is counted by the second; what is stored, shown or given as a time
//! of day is the first.

use std::fmt::Debug;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use crate::Timestamp;

/// The one source of time. Everything that stores or compares a time asks this trait, so that tests
/// and the simulator decide what time it is.
pub trait Clock: Send + Sync + Debug + 'static {
    /// The current time of day in milliseconds since the Unix epoch. May go backwards, as real clocks
    /// do.
    fn now(&self) -> Timestamp;

    /// The time that has passed since some moment; whatever the time of day is set to, it never goes
    /// back and does not jump.
    fn passed(&self) -> Moment;
}

/// A point of the time that passes. It means nothing to another process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Moment(i64);

impl Moment {
    /// One that never comes.
    pub const NEVER: Self = Self(i64::MAX);

    /// So many milliseconds after the clock's beginning.
    #[must_use]
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// `by` later.
    #[must_use]
    pub fn plus(self, by: Duration) -> Self {
        Self(self.0.saturating_add(millis(by)))
    }

    /// How many milliseconds it is after `other`; less than 0: before.
    #[must_use]
    pub const fn millis_since(self, other: Self) -> i64 {
        self.0.saturating_sub(other.0)
    }
}

fn millis(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}

/// The operating system's clock.
#[derive(Debug, Default, Clone, Copy)]
pub struct SystemClock;

/// When the process first asked how much time has passed.
static BEGAN: OnceLock<Instant> = OnceLock::new();

impl Clock for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that asks the system for the time"
    )]
    fn now(&self) -> Timestamp {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        Timestamp::from_millis(since.map_or(0, millis))
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that asks the system for the time"
    )]
    fn passed(&self) -> Moment {
        let now = Instant::now();
        Moment::default().plus(now.saturating_duration_since(*BEGAN.get_or_init(|| now)))
    }
}

/// A clock that a test moves by hand.
#[derive(Debug, Default)]
pub struct ManualClock {
    now: AtomicI64,
    passed: AtomicI64,
}

impl ManualClock {
    /// A clock that stands at `at`.
    #[must_use]
    pub fn new(at: Timestamp) -> Self {
        Self { now: AtomicI64::new(at.millis()), passed: AtomicI64::new(0) }
    }

    /// Sets the time of day to `at`, forwards or backwards; no time passes.
    pub fn set(&self, at: Timestamp) {
        self.now.store(at.millis(), Ordering::SeqCst);
    }

    /// Lets `millis` pass. Less than 0 sets the time of day back.
    pub fn advance(&self, millis: i64) {
        self.now.fetch_add(millis, Ordering::SeqCst);
        self.passed.fetch_add(millis.max(0), Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.now.load(Ordering::SeqCst))
    }

    fn passed(&self) -> Moment {
        Moment(self.passed.load(Ordering::SeqCst))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_passes_whatever_the_time_of_day_is_set_to() {
        let at = Timestamp::from_millis;
        let clock = ManualClock::new(at(1_000_000));
        let began = clock.passed();
        clock.set(at(400_000));
        assert_eq!((clock.now(), clock.passed()), (at(400_000), began));
        clock.advance(5_000);
        assert_eq!((clock.now(), clock.passed().millis_since(began)), (at(405_000), 5_000));
        clock.advance(-100_000);
        assert_eq!((clock.now(), clock.passed().millis_since(began)), (at(305_000), 5_000));
        let first = SystemClock.passed();
        assert!(SystemClock.passed() >= first);
    }
}
