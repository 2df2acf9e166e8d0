//! When to try again what failed.
//!
//! Called after each failure of an endpoint. The default is the schedule of Standard Webhooks 1.0.0
//! (reference `trust_ux.md` 1.3): at once, then after 5 s, 5 min, 30 min, 2 h, 5 h, 10 h, 14 h, 20 h
//! and 24 h. It does not end: its last pause comes again, until the endpoint is disabled for having
//! done nothing but fail.
//!
//! Invariant: no answer brings an attempt forward, or puts it off without end. A `Retry-After` is kept to
//! within [`Schedule::longest_wish`]; pauses differ between endpoints that failed together.

use std::time::{Duration, UNIX_EPOCH};

use outflow_model::{Rng, Timestamp};

/// Pauses vary by this part of themselves, up and down, in per mille.
const JITTER_PER_MILLE: u64 = 200;
/// The shortest pause after an endpoint said that it has too much to do (429), or did not answer in
/// time: what Svix waits.
const THROTTLED: Duration = Duration::from_secs(60);
/// The most pauses of a schedule.
pub const MAX_PAUSES: usize = 32;
/// The longest pause: a week.
pub const MAX_PAUSE: Duration = Duration::from_secs(7 * 24 * 3_600);

/// Why a schedule was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ScheduleError {
    /// It has no pauses, or too many.
    #[error("there must be 1 to {MAX_PAUSES} pauses")]
    Count,
    /// A pause is of no length, or too long.
    #[error("pause {at} must last from 1 ms to 7 days")]
    Pause {
        /// Which, from 0.
        at: usize,
    },
}

/// What an endpoint wishes for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Wish {
    /// Whether it has too much to do.
    pub is_throttled: bool,
    /// After how long it wants the next attempt.
    pub retry_after: Option<Duration>,
}

/// The pauses after one failure, two, three. See the module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    pauses: Vec<Duration>,
    longest_wish: Duration,
}

impl Schedule {
    /// A schedule of these pauses, the last of which comes again and again.
    ///
    /// # Errors
    /// [`ScheduleError`].
    pub fn new(pauses: Vec<Duration>) -> Result<Self, ScheduleError> {
        if !(1..=MAX_PAUSES).contains(&pauses.len()) {
            return Err(ScheduleError::Count);
        }
        let is_bad = |pause: &Duration| pause.as_millis() == 0 || *pause > MAX_PAUSE;
        match pauses.iter().position(is_bad) {
            Some(at) => Err(ScheduleError::Pause { at }),
            None => Ok(Self { pauses, ..Self::default() }),
        }
    }

    /// The longest `Retry-After` that is honoured; a longer one counts as this. An hour, unless
    /// the schedule itself waits longer.
    #[must_use]
    pub const fn longest_wish(&self) -> Duration {
        self.longest_wish
    }

    /// The longest pause that there may ever be.
    #[must_use]
    pub fn longest_pause(&self) -> Duration {
        let longest = self.pauses.iter().copied().max().unwrap_or_default();
        let longest = longest.max(self.longest_wish).max(THROTTLED);
        let spread = u32::try_from(1_000 + JITTER_PER_MILLE).unwrap_or(u32::MAX);
        longest.saturating_mul(spread) / 1_000
    }

    /// The pause after so many failures in a row, at least one: as scheduled, a fifth more or less;
    /// not less than was wished for.
    #[must_use]
    pub fn pause(&self, failures: u32, wish: Wish, rng: &dyn Rng) -> Duration {
        let at = usize::try_from(failures.saturating_sub(1)).unwrap_or(usize::MAX);
        let pause = self.pauses.get(at).or(self.pauses.last()).copied().unwrap_or(MAX_PAUSE);
        let pause = spread(pause, 1_000 - JITTER_PER_MILLE, 2 * JITTER_PER_MILLE, rng);
        let throttled = if wish.is_throttled { THROTTLED } else { Duration::ZERO };
        let wished = wish.retry_after.unwrap_or_default().min(self.longest_wish);
        // Who was told the same by one endpoint must not come back to it together.
        let least = spread(throttled.max(wished), 1_000, JITTER_PER_MILLE, rng);
        pause.max(least)
    }
}

impl Default for Schedule {
    fn default() -> Self {
        const MINUTE: u64 = 60;
        const HOUR: u64 = 3_600;
        let pauses = [
            5,
            5 * MINUTE,
            30 * MINUTE,
            2 * HOUR,
            5 * HOUR,
            10 * HOUR,
            14 * HOUR,
            20 * HOUR,
            24 * HOUR,
        ];
        Self {
            pauses: pauses.into_iter().map(Duration::from_secs).collect(),
            longest_wish: Duration::from_secs(HOUR),
        }
    }
}

/// `time` times a number from `from` to `from + width` per mille.
fn spread(time: Duration, from: u64, width: u64, rng: &dyn Rng) -> Duration {
    let per_mille = from + rng.below(width + 1);
    let millis = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    Duration::from_millis(millis.saturating_mul(per_mille) / 1_000)
}

/// Reads a `Retry-After` (RFC 9110 10.2.3): seconds, or a date, which counts from `now`; one that is
/// over wishes for no pause. `None`: it says neither.
#[must_use]
pub fn retry_after(text: &str, now: Timestamp) -> Option<Duration> {
    let text = text.trim();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        // What is too long to be read is far away.
        return Some(text.parse().map_or(Duration::MAX, Duration::from_secs));
    }
    let date = httpdate::parse_http_date(text).ok()?;
    let date = date.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    let left = i64::try_from(date).unwrap_or(i64::MAX).saturating_sub(now.millis());
    Some(Duration::from_millis(u64::try_from(left).unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use outflow_model::rng::SeededRng;
    use proptest::prelude::*;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn wish(seconds: u64) -> Wish {
        Wish { is_throttled: false, retry_after: Some(Duration::from_secs(seconds)) }
    }

    #[test]
    fn pauses_are_those_of_standard_webhooks_within_a_fifth() {
        let rng = SeededRng::new(1);
        let schedule = Schedule::default();
        let expected =
            [5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400, 86_400, 86_400];
        assert_eq!(expected[..9].iter().sum::<u64>(), 75 * 3_600 + 35 * 60 + 5);
        for (failures, seconds) in (1..).zip(expected) {
            let mut seen = Vec::new();
            for _ in 0..500 {
                seen.push(schedule.pause(failures, Wish::default(), &rng).as_millis() as u64);
            }
            let (least, most) = (*seen.iter().min().unwrap(), *seen.iter().max().unwrap());
            assert!((seconds * 800..=seconds * 820).contains(&least), "{failures}: {least}");
            assert!((seconds * 1_180..=seconds * 1_200).contains(&most), "{failures}: {most}");
        }
    }

    #[test]
    fn a_wish_is_honoured_but_brings_nothing_forward_and_has_an_end() {
        let rng = SeededRng::new(2);
        let schedule = Schedule::default();
        for _ in 0..200 {
            let after = |failures, wish| schedule.pause(failures, wish, &rng);
            assert!((SECOND * 120..=SECOND * 144).contains(&after(1, wish(120))));
            assert!(
                (SECOND * 240..=SECOND * 360).contains(&after(2, wish(1))),
                "not brought forward"
            );
            assert!((SECOND * 4..=SECOND * 6).contains(&after(1, wish(0))));
            assert!(
                (SECOND * 3_600..=SECOND * 4_320).contains(&after(1, wish(u64::MAX))),
                "clamped"
            );
            let endless = Wish { is_throttled: true, retry_after: Some(Duration::MAX) };
            assert!((SECOND * 3_600..=SECOND * 4_320).contains(&after(1, endless)));
            let throttled = Wish { is_throttled: true, retry_after: None };
            assert!((SECOND * 60..=SECOND * 72).contains(&after(1, throttled)));
        }
    }

    #[test]
    fn a_schedule_of_ones_own_is_checked() {
        assert_eq!(Schedule::new(Vec::new()), Err(ScheduleError::Count));
        assert_eq!(Schedule::new(vec![SECOND; 33]), Err(ScheduleError::Count));
        let pauses = vec![SECOND, Duration::from_micros(999)];
        assert_eq!(Schedule::new(pauses), Err(ScheduleError::Pause { at: 1 }));
        assert_eq!(Schedule::new(vec![MAX_PAUSE + SECOND]), Err(ScheduleError::Pause { at: 0 }));
        let schedule = Schedule::new(vec![SECOND, MAX_PAUSE]).unwrap();
        let rng = SeededRng::new(3);
        assert!(schedule.pause(1, Wish::default(), &rng) < SECOND * 2);
        assert!(schedule.pause(u32::MAX, Wish::default(), &rng) > SECOND * 400_000);
        assert!(schedule.pause(0, Wish::default(), &rng) < SECOND * 2);
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now = Timestamp::parse_rfc3339(b"2016-12-08T21:27:01.000Z").unwrap();
        let read = |text| retry_after(text, now);
        assert_eq!(read("120"), Some(SECOND * 120));
        assert_eq!(read(" 0 "), Some(Duration::ZERO));
        assert_eq!(read("99999999999999999999999"), Some(Duration::MAX));
        assert_eq!(read("Thu, 08 Dec 2016 21:28:01 GMT"), Some(SECOND * 60));
        assert_eq!(read("Thursday, 08-Dec-16 21:28:01 GMT"), Some(SECOND * 60));
        assert_eq!(read("Thu Dec  8 21:28:01 2016"), Some(SECOND * 60));
        assert_eq!(read("Thu, 08 Dec 2016 21:26:01 GMT"), Some(Duration::ZERO), "over");
        for none in ["", "-1", "1.5", "+5", "soon", "Thu, 08 Dec 2016", "12 0", "１２"] {
            assert_eq!(read(none), None, "{none:?}");
        }
    }

    proptest! {
        #[test]
        fn no_text_and_no_wish_makes_a_pause_endless(
            text in "\\PC{0,40}", failures: u32, seed: u64, is_throttled: bool, millis: i64,
        ) {
            let retry_after = retry_after(&text, Timestamp::from_millis(millis));
            let schedule = Schedule::default();
            let wish = Wish { is_throttled, retry_after };
            let pause = schedule.pause(failures, wish, &SeededRng::new(seed));
            prop_assert!(pause >= SECOND * 4 && pause <= SECOND * 103_680);
        }
    }
}
