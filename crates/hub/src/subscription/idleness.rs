//! For how long nobody has used a subscription.
//!
//! Each subscription has one. Who uses the subscription touches it; the clockwork's round asks how long it
//! is, warns by it and stores it.
//!
//! Invariant: while the server runs only time that passes counts, so that a clock that is set forward lets
//! nothing expire at once, and one that is set back keeps nothing. Over a restart the time of day tells.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use outflow_model::Timestamp;
use outflow_model::clock::Moment;

use super::timetable::Now;

/// See the module. Times are in milliseconds of the time that passes.
#[derive(Debug)]
pub(super) struct Idleness {
    /// When it was last used.
    used: AtomicI64,
    /// What is stored of that.
    noted: AtomicI64,
    /// Whether it was warned that it will expire.
    warned: AtomicBool,
}

const fn millis(moment: Moment) -> i64 {
    moment.millis_since(Moment::from_millis(0))
}

impl Idleness {
    /// Of one that was last used at `used`.
    pub(super) fn since(used: Timestamp, now: Now) -> Self {
        let unused = now.day.millis().saturating_sub(used.millis()).max(0);
        let used = millis(now.passed).saturating_sub(unused);
        Self {
            used: AtomicI64::new(used),
            noted: AtomicI64::new(used),
            warned: AtomicBool::new(false),
        }
    }

    /// It is used now.
    pub(super) fn touch(&self, now: Moment) {
        self.used.store(millis(now), Ordering::Relaxed);
    }

    /// For how many milliseconds it was not.
    pub(super) fn unused(&self, now: Moment) -> i64 {
        millis(now).saturating_sub(self.used.load(Ordering::Relaxed))
    }

    /// The time of day at which it was last used.
    pub(super) fn last_used(&self, now: Now) -> Timestamp {
        now.shown(Moment::from_millis(self.used.load(Ordering::Relaxed)))
    }

    /// It may now be idle for so long: one that was for most of that already is warned of first, and
    /// has the tenth of the time that is left after a warning.
    pub(super) fn spare(&self, expiry: Option<Duration>, now: Moment) {
        self.warned.store(false, Ordering::Relaxed);
        let Some(expiry) = expiry else { return };
        let expiry = i64::try_from(expiry.as_millis()).unwrap_or(i64::MAX);
        let least = millis(now).saturating_sub(expiry - expiry / 10);
        self.used.fetch_max(least, Ordering::Relaxed);
    }

    /// Whether it was warned that it will expire.
    pub(super) fn is_warned(&self) -> bool {
        self.warned.load(Ordering::Relaxed)
    }

    /// It is close to its end, or not; gives whether it has to be warned of.
    pub(super) fn come_close(&self, is_close: bool) -> bool {
        !self.warned.swap(is_close, Ordering::Relaxed) && is_close
    }

    /// When it was last used, to be stored, if that is `step` milliseconds from what is.
    pub(super) fn note(&self, step: i64, now: Now) -> Option<Timestamp> {
        let used = self.used.load(Ordering::Relaxed);
        if used.saturating_sub(self.noted.load(Ordering::Relaxed)) < step {
            return None;
        }
        self.noted.store(used, Ordering::Relaxed);
        Some(self.last_used(now))
    }
}
