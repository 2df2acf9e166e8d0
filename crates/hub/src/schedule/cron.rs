//! Times by a cron entry: `minute hour day-of-month month day-of-week`, in UTC.
//!
//! Called by the broker faces, which read entries, and by [`super`], which asks for times. The grammar is
//! that of ActiveMQ's `CronParser`: `*` or `?` for all, numbers, ranges `a-b`, lists with commas, and a
//! step behind a slash, which keeps the values that it divides. Days of the week are 0 (Sunday) to 6;
//! 7 is Sunday as well. Where both kinds of days are chosen, one of them is enough (crontab(5)).
//!
//! Invariant: an entry that was read has times.

use std::fmt;

use outflow_model::Timestamp;

/// The longest entry, in bytes.
const MAX_BYTES: usize = 255;
const MINUTE_MS: i64 = 60_000;
const DAY_MINUTES: i64 = 1_440;
/// How many days are looked through for the next time: any that comes at all, the 29th of February
/// of a year behind 1900 or 2100 included, comes within eight years and a day.
const DAYS: i64 = 8 * 366 + 1;

/// Why a text is no cron entry.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CronError {
    /// It has not five fields.
    #[error("a cron entry has 5 fields, not {0}")]
    Fields(usize),
    /// It is too long.
    #[error("a cron entry has at most {MAX_BYTES} bytes")]
    TooLong,
    /// A field is none.
    #[error(
        "the field {name} is not valid: it is made of *, numbers from {first} to {last}, ranges, lists and steps"
    )]
    Field {
        /// Which.
        name: &'static str,
        /// Its least value.
        first: u32,
        /// Its greatest value.
        last: u32,
    },
    /// There is no such day.
    #[error("the cron entry has no time: there is no such day")]
    Never,
}

/// The values of one field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Values {
    /// A bit for each.
    bits: u64,
    /// Whether it chooses: it was not written as all.
    chooses: bool,
}

impl Values {
    const fn has(self, value: i64) -> bool {
        value >= 0 && value < 64 && self.bits >> value & 1 == 1
    }
}

/// What a field may hold.
struct Field {
    name: &'static str,
    first: u32,
    last: u32,
}

const MINUTES: Field = Field { name: "minute", first: 0, last: 59 };
const HOURS: Field = Field { name: "hour", first: 0, last: 23 };
const DAYS_OF_MONTH: Field = Field { name: "day of month", first: 1, last: 31 };
const MONTHS: Field = Field { name: "month", first: 1, last: 12 };
const DAYS_OF_WEEK: Field = Field { name: "day of week", first: 0, last: 7 };

impl Field {
    fn parse(&self, text: &str) -> Result<Values, CronError> {
        let Self { name, first, last } = *self;
        let refused = || CronError::Field { name, first, last };
        let (base, step) = match text.split_once('/') {
            Some((base, step)) => (base, Some(step)),
            None => (text, None),
        };
        let mut bits = 0;
        for item in base.split(',') {
            bits |= self.item(item).ok_or_else(refused)?;
        }
        if let Some(step) = step {
            let step = number(step).filter(|step| *step > 0).ok_or_else(refused)?;
            bits = (first..=last)
                .filter(|value| value % step == 0)
                .fold(0, |kept, value| kept | (bits & (1 << value)));
        }
        if bits == 0 {
            return Err(refused());
        }
        Ok(Values { bits, chooses: !matches!(text, "*" | "?") })
    }

    /// The bits of all, of a number, or of a range.
    fn item(&self, text: &str) -> Option<u64> {
        let (from, to) = match (text, text.split_once('-')) {
            ("*" | "?", _) => (self.first, self.last),
            (_, Some((from, to))) => (number(from)?, number(to)?),
            (one, None) => (number(one)?, number(one)?),
        };
        let is_range = self.first <= from && from <= to && to <= self.last;
        is_range.then(|| (from..=to).fold(0, |bits, value| bits | (1 << value)))
    }
}

/// A number of one or two digits.
fn number(text: &str) -> Option<u32> {
    let is_short = matches!(text.len(), 1 | 2) && text.bytes().all(|byte| byte.is_ascii_digit());
    if is_short { text.parse().ok() } else { None }
}

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cron {
    text: String,
    minutes: Values,
    hours: Values,
    days: Values,
    months: Values,
    weekdays: Values,
}

impl fmt::Display for Cron {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Cron {
    /// Reads an entry.
    ///
    /// # Errors
    /// [`CronError`] names the field.
    pub fn parse(text: &str) -> Result<Self, CronError> {
        if text.len() > MAX_BYTES {
            return Err(CronError::TooLong);
        }
        let fields: Vec<&str> = text.split_ascii_whitespace().collect();
        let &[minute, hour, day, month, weekday] = fields.as_slice() else {
            return Err(CronError::Fields(fields.len()));
        };
        let mut weekdays = DAYS_OF_WEEK.parse(weekday)?;
        weekdays.bits |= weekdays.bits >> 7;
        let cron = Self {
            text: fields.join(" "),
            minutes: MINUTES.parse(minute)?,
            hours: HOURS.parse(hour)?,
            days: DAYS_OF_MONTH.parse(day)?,
            months: MONTHS.parse(month)?,
            weekdays,
        };
        cron.next(Timestamp::default()).map(|_| ()).ok_or(CronError::Never)?;
        Ok(cron)
    }

    /// The first time after `after`; `None`: only at the end of all time.
    #[must_use]
    pub fn next(&self, after: Timestamp) -> Option<Timestamp> {
        let minute = after.millis().div_euclid(MINUTE_MS) + 1;
        let (first, from) = (minute.div_euclid(DAY_MINUTES), minute.rem_euclid(DAY_MINUTES));
        for day in first..first.saturating_add(DAYS) {
            let from = if day == first { from } else { 0 };
            if self.is_day(day)
                && let Some(at) = self.minute_of_day(from)
            {
                let millis =
                    day.checked_mul(DAY_MINUTES)?.checked_add(at)?.checked_mul(MINUTE_MS)?;
                return Some(Timestamp::from_millis(millis));
            }
        }
        None
    }

    /// The first of its minutes in a day from `from` on.
    fn minute_of_day(&self, from: i64) -> Option<i64> {
        (from..DAY_MINUTES).find(|at| self.hours.has(at / 60) && self.minutes.has(at % 60))
    }

    /// Whether it has a day, counted from 1970-01-01, which was a Thursday.
    fn is_day(&self, day: i64) -> bool {
        let (month, of_month) = month_and_day(day);
        let by_week = self.weekdays.has((day + 4).rem_euclid(7));
        let by_month = self.days.has(of_month);
        self.months.has(month)
            && match (self.days.chooses, self.weekdays.chooses) {
                (true, true) => by_month || by_week,
                (true, false) => by_month,
                (false, _) => by_week,
            }
    }
}

/// The month and the day of the month of a day counted from 1970-01-01. Eras of 400 years, which begin
/// in March, so that the day of a leap year comes last.
const fn month_and_day(day: i64) -> (i64, i64) {
    let of_era = day.saturating_add(719_468).rem_euclid(146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let of_month = of_year - (153 * month + 2) / 5 + 1;
    (if month < 10 { month + 3 } else { month - 9 }, of_month)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn next(entry: &str, after: &str) -> String {
        let after = Timestamp::parse_rfc3339(after.as_bytes()).unwrap();
        Cron::parse(entry).unwrap().next(after).unwrap().to_string()
    }

    #[test]
    fn the_next_time_is_the_first_that_all_fields_have() {
        for (entry, after, expected) in [
            ("* * * * *", "2026-01-01T00:00:00Z", "2026-01-01T00:01"),
            ("0 * * * *", "2026-01-01T00:00:00Z", "2026-01-01T01:00"),
            ("0 * * * *", "2026-12-31T23:59:59.999Z", "2027-01-01T00:00"),
            ("*/15 8-9 * * *", "2026-01-01T08:46:00Z", "2026-01-01T09:00"),
            ("5,10/5 0 1 * ?", "2026-01-01T00:05:00Z", "2026-01-01T00:10"),
            ("30 12 29 2 *", "2026-01-01T00:00:00Z", "2028-02-29T12:30"),
            ("30 12 29 2 *", "2096-03-01T00:00:00Z", "2104-02-29T12:30"),
            ("0 0 31 * *", "2026-01-31T00:00:00Z", "2026-03-31T00:00"),
            // 2026-01-05 is a Monday, and the 13th a Tuesday.
            ("0 0 * * 1", "2026-01-01T00:00:00Z", "2026-01-05T00:00"),
            ("0 0 * * 7", "2026-01-01T00:00:00Z", "2026-01-04T00:00"),
            ("0 0 13 * 1", "2026-01-12T00:00:00Z", "2026-01-13T00:00"),
            ("0 0 13 * 1", "2026-01-13T00:00:00Z", "2026-01-19T00:00"),
            ("0 0 1 1-3/3 *", "2026-01-01T00:00:00Z", "2026-03-01T00:00"),
        ] {
            let found = next(entry, after);
            assert!(found.starts_with(expected), "{entry} after {after}: {found}");
        }
    }

    #[test]
    fn every_minute_of_four_years_is_found_in_its_order() {
        let cron = Cron::parse("0 0 * * *").unwrap();
        let mut at = Timestamp::parse_rfc3339(b"2023-12-31T12:00:00Z").unwrap();
        for _ in 0..1_500 {
            let next = cron.next(at).unwrap();
            assert_eq!(next.millis() % 86_400_000, 0);
            assert!((1..=86_400_000).contains(&(next.millis() - at.millis())));
            at = next;
        }
    }

    #[test]
    fn what_is_no_entry_is_refused_with_its_field() {
        assert_eq!(Cron::parse("* * * *"), Err(CronError::Fields(4)));
        assert_eq!(Cron::parse(""), Err(CronError::Fields(0)));
        assert_eq!(Cron::parse("0 0 31 2,4 *"), Err(CronError::Never));
        assert_eq!(Cron::parse(&"1,".repeat(200)), Err(CronError::TooLong));
        for bad in ["60", "-1", "1-", "5-1", "*/0", "*/x", "a", "1,,2", "/", "1/2/3", "+1", "*-5"] {
            let refused = Cron::parse(&format!("{bad} * * * *")).unwrap_err();
            assert!(refused.to_string().contains("minute"), "{bad}: {refused}");
        }
        Cron::parse("* 24 * * *").unwrap_err();
        Cron::parse("* * 0 * *").unwrap_err();
        Cron::parse("* * * 13 *").unwrap_err();
        Cron::parse("* * * * 8").unwrap_err();
        assert_eq!(Cron::parse(" 1  2 * * * ").unwrap().to_string(), "1 2 * * *");
    }
}
