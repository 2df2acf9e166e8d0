//! For how long an endpoint has done nothing but fail, and when that is too long.
//!
//! Told of every attempt's end. Operators hear of it at 50, 70, 90 and 100 per cent of the time that
//! is allowed; at 100 the endpoint is disabled. One success, and it is well.
//!
//! Time in which nothing was sent as there was nothing to send counts little: of each such stretch a tenth
//! of what is allowed at most.
//!
//! Invariants: an endpoint is disabled by an attempt that fails when the time is over, never by the time
//! alone: while nothing is sent, or the server is down, nothing fails; and by none before operators have
//! heard of an earlier one; each alert is given once, the later ones for the earlier ones when they come due
//! together; what is kept is what [`Failing`] says, so that a restart neither forgets nor repeats
//! one; a clock that is set back postpones, and never disables.

use std::time::Duration;

use outflow_model::Timestamp;

/// At which parts of the time operators hear of it, in per cent.
const STEPS: [u8; 4] = [50, 70, 90, DISABLES];
/// At which it is disabled.
const DISABLES: u8 = 100;

/// Which part of the time allowed counts of a stretch in which nothing was sent, at most.
const RESTS: u32 = 10;

/// An endpoint that fails: what is stored of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Failing {
    /// When it first failed after it was last well.
    pub since: Timestamp,
    /// How often it has failed since then, at least once.
    pub failures: u32,
    /// The last alert given, in per cent; 0: none.
    pub told: u8,
}

/// What operators hear.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Alert {
    /// Which part of the time has passed, in per cent. At 100 the endpoint is disabled.
    pub percent: u8,
    /// Since when it fails.
    pub since: Timestamp,
    /// How often it has failed.
    pub failures: u32,
}

/// After how long operators first hear of what fails.
#[must_use]
pub fn first_alert(allowed: Duration) -> Duration {
    allowed.saturating_mul(STEPS[0].into()) / 100
}

impl Alert {
    /// Whether the time is over.
    #[must_use]
    pub const fn disables(&self) -> bool {
        self.percent >= DISABLES
    }
}

/// How an endpoint is. See the module.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Health {
    failing: Option<Failing>,
}

impl Health {
    /// As it was stored; `None`: well.
    #[must_use]
    pub const fn new(failing: Option<Failing>) -> Self {
        Self { failing }
    }

    /// What is to be stored; `None`: it is well.
    #[must_use]
    pub const fn failing(&self) -> Option<Failing> {
        self.failing
    }

    /// An attempt succeeded; says whether it was failing before.
    pub const fn succeed(&mut self) -> bool {
        self.failing.take().is_some()
    }

    /// An attempt failed; gives the number of failures in a row.
    pub fn fail(&mut self, now: Timestamp) -> u32 {
        let failing = self.failing.get_or_insert(Failing { since: now, failures: 0, told: 0 });
        failing.failures = failing.failures.saturating_add(1);
        failing.failures
    }

    /// Nothing was sent for so long, as there was nothing.
    pub fn rest(&mut self, rested: Duration, allowed: Duration) {
        if let Some(failing) = &mut self.failing {
            let free = rested.saturating_sub(allowed / RESTS).as_millis();
            let since = failing.since.plus_millis(i64::try_from(free).unwrap_or(i64::MAX));
            failing.since = since;
        }
    }

    /// The alert that is due, if one is; it counts as given. `allowed` is the time after which an
    /// endpoint is disabled, `has_failed`: an attempt has failed just now.
    pub fn alert(&mut self, now: Timestamp, allowed: Duration, has_failed: bool) -> Option<Alert> {
        let failing = self.failing.as_mut()?;
        let is_due = |percent: &u8| {
            let may_be = *percent < DISABLES || (has_failed && failing.told > 0);
            failing.at(*percent, allowed) <= now && may_be
        };
        let percent = STEPS.into_iter().rev().find(is_due).filter(|at| *at > failing.told)?;
        failing.told = percent;
        Some(Alert { percent, since: failing.since, failures: failing.failures })
    }

    /// When the next alert is due that needs no attempt, if nothing succeeds before.
    #[must_use]
    pub fn next_alert(&self, allowed: Duration) -> Option<Timestamp> {
        let failing = self.failing?;
        let next = STEPS.into_iter().find(|step| *step > failing.told && *step < DISABLES);
        next.map(|percent| failing.at(percent, allowed))
    }
}

impl Failing {
    /// When a part of the time has passed.
    fn at(&self, percent: u8, allowed: Duration) -> Timestamp {
        let part = allowed.as_millis().saturating_mul(u128::from(percent)) / 100;
        self.since.plus_millis(i64::try_from(part).unwrap_or(i64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600_000;
    const ALLOWED: Duration = Duration::from_secs(100 * 3_600);

    fn at(hours: i64) -> Timestamp {
        Timestamp::from_millis(hours * HOUR)
    }

    fn percent(health: &mut Health, hours: i64) -> Option<u8> {
        health.alert(at(hours), ALLOWED, true).map(|alert| alert.percent)
    }

    #[test]
    fn alerts_are_given_once_each_on_time() {
        let mut health = Health::default();
        assert_eq!(health.next_alert(ALLOWED), None);
        assert_eq!((health.fail(at(1)), health.fail(at(2))), (1, 2));
        let mut seen = Vec::new();
        while let Some(due) = health.next_alert(ALLOWED) {
            assert_eq!(health.alert(due.plus_millis(-1), ALLOWED, false), None);
            let alert = health.alert(due, ALLOWED, false).unwrap();
            assert_eq!((alert.since, alert.failures), (at(1), 2));
            assert_eq!(health.alert(due, ALLOWED, false), None, "twice");
            seen.push((due, alert.percent, alert.disables()));
        }
        assert_eq!(seen, [(at(51), 50, false), (at(71), 70, false), (at(91), 90, false)]);
    }

    #[test]
    fn the_time_alone_disables_nothing() {
        let mut health = Health::default();
        health.fail(at(0));
        assert_eq!(health.alert(at(5_000), ALLOWED, false).map(|one| one.percent), Some(90));
        assert_eq!(health.alert(at(6_000), ALLOWED, false), None);
        health.fail(at(6_001));
        let last = health.alert(at(6_001), ALLOWED, true).unwrap();
        assert!(last.disables() && last.failures == 2 && last.since == at(0));
    }

    #[test]
    fn a_success_makes_it_well() {
        let mut health = Health::default();
        assert!(!health.succeed());
        health.fail(at(0));
        assert_eq!(percent(&mut health, 60), Some(50));
        assert!(health.succeed());
        assert_eq!((health.failing(), percent(&mut health, 1_000)), (None, None));
        assert_eq!(health.fail(at(1_000)), 1);
        assert_eq!(percent(&mut health, 1_049), None, "the time begins anew");
    }

    #[test]
    fn what_came_due_together_is_told_as_one() {
        let mut health = Health::default();
        health.fail(at(0));
        assert_eq!(percent(&mut health, 95), Some(90));
        assert_eq!(percent(&mut health, 99), None);
        assert_eq!(percent(&mut health, 5_000), Some(100));
        assert_eq!(percent(&mut health, 9_000), None);
    }

    #[test]
    fn a_restart_neither_forgets_nor_repeats() {
        let mut health = Health::default();
        health.fail(at(0));
        assert_eq!(percent(&mut health, 50), Some(50));
        let mut again = Health::new(health.failing());
        assert_eq!(percent(&mut again, 69), None);
        assert_eq!(percent(&mut again, 70), Some(70));
        assert_eq!(again.fail(at(71)), 2);
    }

    #[test]
    fn two_refusals_far_apart_are_no_failure_for_all_the_time_between() {
        let mut health = Health::default();
        health.fail(at(0));
        health.rest(Duration::from_secs(1_000 * 3_600), ALLOWED);
        health.fail(at(1_000));
        assert_eq!(health.failing().unwrap().since, at(990));
        assert_eq!(percent(&mut health, 1_000), None);
        // Nor is it disabled where that is not known, before anyone has heard of it.
        let mut unknown = Health::default();
        unknown.fail(at(0));
        unknown.fail(at(1_000));
        assert_eq!(percent(&mut unknown, 1_000), Some(90));
        assert_eq!(percent(&mut unknown, 1_001), Some(100));
    }

    #[test]
    fn a_clock_that_jumps_back_disables_nothing() {
        let mut health = Health::default();
        health.fail(at(1_000));
        assert_eq!(percent(&mut health, 0), None);
        assert_eq!(percent(&mut health, -1_000_000), None);
        assert_eq!(health.alert(at(1_000), Duration::MAX, true), None);
    }
}
