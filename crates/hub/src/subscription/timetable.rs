//! What is due when, by two times: the one that passes, by which spans are counted, and that of the
//! day, which can be set.
//!
//! Used by `queue` for a subscription's alarms, and by `clockwork` for those of all. A lease, a delay or
//! a pause is a span: a clock that is set must neither end it nor make it last. An event that is
//! scheduled for a time of day is due when the clock shows that.

use std::collections::BTreeSet;
use std::time::Duration;

use outflow_model::Timestamp;
use outflow_model::clock::{Clock, Moment};

/// What the clocks say at one moment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Now {
    /// The time of day.
    pub(crate) day: Timestamp,
    /// The time that passes.
    pub(crate) passed: Moment,
}

impl Now {
    pub(crate) fn of(clock: &dyn Clock) -> Self {
        Self { day: clock.now(), passed: clock.passed() }
    }

    /// `by` from now, and a moment at least.
    pub(crate) fn after(self, by: Duration) -> Moment {
        after(self.passed, by)
    }

    /// The time of day that it will be at `moment` unless the clock is set.
    pub(crate) fn shown(self, moment: Moment) -> Timestamp {
        self.day.plus_millis(moment.millis_since(self.passed))
    }
}

/// `by` after `now`, and a moment at least.
pub(crate) fn after(now: Moment, by: Duration) -> Moment {
    now.plus(by.max(Duration::from_millis(1)))
}

/// When something is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum When {
    /// When so much time has passed.
    Passed(Moment),
    /// At a time of day.
    Day(Timestamp),
}

impl From<Moment> for When {
    fn from(moment: Moment) -> Self {
        Self::Passed(moment)
    }
}

impl From<Timestamp> for When {
    fn from(at: Timestamp) -> Self {
        Self::Day(at)
    }
}

impl When {
    pub(crate) fn is_due(self, now: Now) -> bool {
        match self {
            Self::Passed(moment) => moment <= now.passed,
            Self::Day(at) => at <= now.day,
        }
    }
}

/// Things that are due, in their order by either time.
#[derive(Debug)]
pub(crate) struct Timetable<T> {
    passed: BTreeSet<(Moment, T)>,
    day: BTreeSet<(Timestamp, T)>,
}

impl<T> Default for Timetable<T> {
    fn default() -> Self {
        Self { passed: BTreeSet::new(), day: BTreeSet::new() }
    }
}

impl<T: Ord> Timetable<T> {
    pub(crate) fn insert(&mut self, at: impl Into<When>, one: T) {
        match at.into() {
            When::Passed(moment) => self.passed.insert((moment, one)),
            When::Day(at) => self.day.insert((at, one)),
        };
    }

    pub(crate) fn remove(&mut self, at: impl Into<When>, one: T) {
        match at.into() {
            When::Passed(moment) => self.passed.remove(&(moment, one)),
            When::Day(at) => self.day.remove(&(at, one)),
        };
    }

    pub(crate) fn retain(&mut self, keeps: impl Fn(&T) -> bool) {
        self.passed.retain(|(_, one)| keeps(one));
        self.day.retain(|(_, one)| keeps(one));
    }

    pub(crate) fn clear(&mut self) {
        self.passed.clear();
        self.day.clear();
    }

    /// Takes one that is due: of each time the earliest first.
    pub(crate) fn pop_due(&mut self, now: Now) -> Option<T> {
        if self.passed.first().is_some_and(|(moment, _)| *moment <= now.passed) {
            return self.passed.pop_first().map(|(_, one)| one);
        }
        if self.day.first().is_some_and(|(at, _)| *at <= now.day) {
            return self.day.pop_first().map(|(_, one)| one);
        }
        None
    }

    /// When the first are due.
    pub(crate) fn firsts(&self) -> Firsts {
        Firsts {
            passed: self.passed.first().map(|(moment, _)| *moment),
            day: self.day.first().map(|(at, _)| *at),
        }
    }
}

/// When the first of a timetable are due, by either time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Firsts {
    pub(crate) passed: Option<Moment>,
    pub(crate) day: Option<Timestamp>,
}

impl Firsts {
    /// Takes in `others`; gives those that are earlier than what was known.
    pub(crate) fn hasten(&mut self, others: Self) -> impl Iterator<Item = When> {
        let passed = others.passed.filter(|at| self.passed.is_none_or(|known| *at < known));
        let day = others.day.filter(|at| self.day.is_none_or(|known| *at < known));
        self.passed = passed.or(self.passed);
        self.day = day.or(self.day);
        passed.map(When::Passed).into_iter().chain(day.map(When::Day))
    }

    /// How long it is until the first of them, and those at a time of day `also`.
    pub(crate) fn wait(self, now: Now, also: Option<Timestamp>) -> Option<Duration> {
        let passed = self.passed.map(|moment| moment.millis_since(now.passed));
        let day = self.day.into_iter().chain(also).min();
        let day = day.map(|at| at.millis() - now.day.millis());
        let millis = passed.into_iter().chain(day).min()?;
        Some(Duration::from_millis(u64::try_from(millis).unwrap_or(0)))
    }

    /// The time of day at which the first of them is due.
    pub(crate) fn shown(self, now: Now) -> Option<Timestamp> {
        self.passed.map(|moment| now.shown(moment)).into_iter().chain(self.day).min()
    }
}
