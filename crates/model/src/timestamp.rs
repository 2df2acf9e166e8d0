//! A moment, in milliseconds.

use std::fmt;

/// Milliseconds since the Unix epoch, UTC. Written as `2016-12-08T21:27:01.125Z`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(i64);

/// How many bytes the written form has.
pub const RFC3339_BYTES: usize = 24;

const DAY: i64 = 86_400_000;
/// The last moment that has a four-digit year.
const MAX: i64 = 253_402_300_799_999;
/// The first moment that has a four-digit year: `0000-01-01T00:00:00.000Z`.
const MIN: i64 = -62_167_219_200_000;

impl Timestamp {
    /// Clamped to the years 0000 to 9999, which RFC 3339 can write.
    #[must_use]
    pub const fn from_millis(millis: i64) -> Self {
        Self(if millis > MAX {
            MAX
        } else if millis < MIN {
            MIN
        } else {
            millis
        })
    }

    /// Milliseconds since the Unix epoch.
    #[must_use]
    pub const fn millis(self) -> i64 {
        self.0
    }

    /// `millis` later, or earlier when negative.
    #[must_use]
    pub const fn plus_millis(self, millis: i64) -> Self {
        Self::from_millis(self.0.saturating_add(millis))
    }

    /// Writes `YYYY-MM-DDTHH:MM:SS.mmmZ` into `out`, which holds [`RFC3339_BYTES`] bytes.
    pub fn write_rfc3339(self, out: &mut [u8]) {
        let (days, ms) = (self.0.div_euclid(DAY), self.0.rem_euclid(DAY) as u32);
        let (year, month, day) = civil_from_days(days);
        let (year, month, day) = (year as u32, month as u32, day as u32);
        let (hour, minute, second, ms) =
            (ms / 3_600_000, ms / 60_000 % 60, ms / 1000 % 60, ms % 1000);
        let digit = |value: u32| b'0' + (value % 10) as u8;
        let [y3, y2, y1, y0] = [year / 1000, year / 100, year / 10, year].map(digit);
        let [m1, m0, d1, d0] = [month / 10, month, day / 10, day].map(digit);
        let [h1, h0, n1, n0] = [hour / 10, hour, minute / 10, minute].map(digit);
        let [s1, s0, f2, f1, f0] = [second / 10, second, ms / 100, ms / 10, ms].map(digit);
        if let Some(out) = out.first_chunk_mut::<RFC3339_BYTES>() {
            *out = [
                y3, y2, y1, y0, b'-', m1, m0, b'-', d1, d0, b'T', h1, h0, b':', n1, n0, b':', s1,
                s0, b'.', f2, f1, f0, b'Z',
            ];
        }
    }

    /// Reads an RFC 3339 time: any fraction (cut to milliseconds), `Z` or an offset, `T` or a
    /// space. A leap second counts as the second before it.
    #[must_use]
    pub fn parse_rfc3339(text: &[u8]) -> Option<Self> {
        let number = |at: usize, len: usize| -> Option<i64> {
            text.get(at..at + len)?.iter().try_fold(0, |acc, byte| {
                byte.is_ascii_digit().then(|| acc * 10 + i64::from(byte - b'0'))
            })
        };
        let is = |at: usize, any: &[u8]| text.get(at).is_some_and(|byte| any.contains(byte));
        if !(is(4, b"-") && is(7, b"-") && is(10, b"Tt ") && is(13, b":") && is(16, b":")) {
            return None;
        }
        let (year, month, day) = (number(0, 4)?, number(5, 2)?, number(8, 2)?);
        let (hour, minute, second) = (number(11, 2)?, number(14, 2)?, number(17, 2)?);
        if !(1..=12).contains(&month)
            || !(1..=days_in_month(year, month)).contains(&day)
            || hour > 23
            || minute > 59
            || second > 60
        {
            return None;
        }
        let mut at = 19;
        let mut fraction = 0;
        if is(at, b".") {
            let digits = text.get(at + 1..)?.iter().take_while(|b| b.is_ascii_digit()).count();
            if digits == 0 {
                return None;
            }
            fraction = number(at + 1, digits.min(3))? * 10_i64.pow(3 - digits.min(3) as u32);
            at += 1 + digits;
        }
        let shift = if is(at, b"Zz") && text.len() == at + 1 {
            0
        } else if is(at, b"+-") && is(at + 3, b":") && text.len() == at + 6 {
            let (hours, minutes) = (number(at + 1, 2)?, number(at + 4, 2)?);
            if hours > 23 || minutes > 59 {
                return None;
            }
            (hours * 60 + minutes) * if is(at, b"-") { -60_000 } else { 60_000 }
        } else {
            return None;
        };
        let of_day = ((hour * 60 + minute) * 60 + second.min(59)) * 1000 + fraction;
        Some(Self::from_millis(days_from_civil(year, month, day) * DAY + of_day - shift))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = [0; RFC3339_BYTES];
        self.write_rfc3339(&mut out);
        f.write_str(std::str::from_utf8(&out).unwrap_or_default())
    }
}

/// Days since the epoch of a date of the proleptic Gregorian calendar (H. Hinnant's algorithm).
const fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year - era * 400;
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// The inverse of [`days_from_civil`].
const fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097);
    let years = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * years + years / 4 - years / 100);
    let shifted = (5 * of_year + 2) / 153;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = years + era * 400 + if month <= 2 { 1 } else { 0 };
    (year, month, of_year - (153 * shifted + 2) / 5 + 1)
}

const fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}
