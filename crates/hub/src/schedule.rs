//! Schedules: events that are published again and again, at times that their publisher chose.
//!
//! Called by the broker faces through [`Hub::schedule`](crate::Hub::schedule) and
//! [`Transaction::schedule`](crate::subscription::Transaction::schedule), and by the clockwork when one
//! is due. An event that comes once, later, needs none: it is stored at once, with the time from which
//! it may be seen. [`cron`] reads and finds times, `table` is what memory has of all schedules, `add`
//! begins and ends them, `firing` publishes what is due, `record` is what the disk has.
//!
//! Invariants: a schedule is stored before it is answered; each event of it is published in one batch
//! with what is left of it, so that a crash neither repeats nor loses one; the event itself is on the
//! disk only, once. What was due while the server was down comes once, at its start. How many there
//! are, and how large, is bounded for each credential and project.

mod add;
pub mod cron;
pub(crate) mod firing;
mod record;
mod table;

use outflow_model::Timestamp;

pub(crate) use add::Coming;
pub use cron::{Cron, CronError};
pub(crate) use table::Schedules;

/// How many schedules one credential may have.
pub const MAX_SCHEDULES: usize = 1_000;
/// How many bytes of events those of one credential may have together.
pub const MAX_BYTES: usize = 64 << 20;
/// The largest event of a schedule, in bytes as it is stored: what the state takes as one value.
pub const MAX_EVENT_BYTES: usize = 512 << 10;
/// The shortest time between two events of a schedule, in milliseconds.
pub const MIN_PERIOD_MS: u64 = 100;
/// How many times what one credential may have a project may.
const CREDENTIALS: usize = 10;

/// When an event is published again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recurrence {
    /// The times at which it begins, each time anew; `None`: once, when it is asked for.
    pub cron: Option<Cron>,
    /// How many milliseconds after its beginning the first event comes; 0: as many as `period` has.
    /// Nothing where `cron` comes without repeats.
    pub delay: u64,
    /// How many milliseconds lie between two events.
    pub period: u64,
    /// How many events follow the first; `None`: they never end.
    pub repeats: Option<u32>,
}

/// What a schedule comes to at a time that it is due.
#[derive(Debug, PartialEq, Eq)]
struct Turn {
    /// Whether its event is published.
    publishes: bool,
    /// A schedule that begins now: the repeats of this time of its cron entry, and its first event.
    begins: Option<(Timestamp, Recurrence)>,
    /// When it is due again, and what it is then; `None`: it is over.
    next: Option<(Timestamp, Recurrence)>,
}

impl Recurrence {
    /// Whether each time of its cron entry begins a series of events.
    const fn is_series(&self) -> bool {
        self.cron.is_some() && !matches!(self.repeats, Some(0))
    }

    /// The milliseconds from its beginning to its first event.
    const fn first_delay(&self) -> i64 {
        let delay = if self.delay > 0 { self.delay } else { self.period };
        if delay > i64::MAX as u64 { i64::MAX } else { delay as i64 }
    }

    /// When it is due for the first time; `None`: never.
    fn first(&self, now: Timestamp) -> Option<Timestamp> {
        match &self.cron {
            Some(cron) => cron.next(now),
            None => Some(now.plus_millis(self.first_delay())),
        }
    }

    /// What it comes to now that it is due, at `due` or later. A time that has passed meanwhile does
    /// not come again.
    fn turn(&self, due: Timestamp, now: Timestamp) -> Turn {
        if let Some(cron) = &self.cron {
            let begins = self.is_series().then(|| {
                let series = Self { cron: None, ..self.clone() };
                (due.plus_millis(series.first_delay()).max(now), series)
            });
            let next = cron.next(now.max(due)).map(|at| (at, self.clone()));
            return Turn { publishes: begins.is_none(), begins, next };
        }
        let left = match self.repeats {
            Some(repeats) => repeats.checked_sub(1).map(Some),
            None => Some(None),
        };
        let next = left.map(|repeats| {
            let period = i64::try_from(self.period).unwrap_or(i64::MAX);
            let planned = due.plus_millis(period);
            let at = if planned > now { planned } else { now.plus_millis(period) };
            (at, Self { repeats, ..self.clone() })
        });
        Turn { publishes: true, begins: None, next }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    fn every(period: u64, repeats: Option<u32>) -> Recurrence {
        Recurrence { cron: None, delay: 0, period, repeats }
    }

    #[test]
    fn a_period_keeps_its_times_and_does_not_catch_up() {
        let one = Recurrence { delay: 5_000, ..every(1_000, Some(1)) };
        assert_eq!(one.first(at(10)), Some(at(5_010)));
        assert_eq!(every(1_000, None).first(at(10)), Some(at(1_010)));
        let turn = one.turn(at(5_010), at(5_100));
        let left = Recurrence { repeats: Some(0), ..one.clone() };
        assert!(turn.publishes && turn.begins.is_none());
        assert_eq!(turn.next, Some((at(6_010), left.clone())));
        // The server was down for an hour: it goes on from now.
        assert_eq!(one.turn(at(5_010), at(3_600_000)).next, Some((at(3_601_000), left.clone())));
        assert_eq!(left.turn(at(6_010), at(6_010)).next, None);
        let endless = every(1_000, None);
        assert_eq!(endless.turn(at(0), at(0)).next, Some((at(1_000), endless)));
    }

    #[test]
    fn a_cron_entry_publishes_or_begins_a_series_each_time() {
        let cron = Cron::parse("0 * * * *").unwrap();
        let hour = 3_600_000;
        let plain = Recurrence { cron: Some(cron.clone()), ..every(0, Some(0)) };
        assert_eq!(plain.first(at(1)), Some(at(hour)));
        let turn = plain.turn(at(hour), at(hour + 5));
        assert_eq!((turn.publishes, turn.next), (true, Some((at(2 * hour), plain))));
        let series = Recurrence { cron: Some(cron), delay: 1_000, period: 500, repeats: Some(9) };
        let turn = series.turn(at(hour), at(hour + 5));
        let begun = Recurrence { delay: 1_000, ..every(500, Some(9)) };
        assert_eq!(turn.begins, Some((at(hour + 1_000), begun)));
        assert_eq!((turn.publishes, turn.next), (false, Some((at(2 * hour), series))));
    }
}
