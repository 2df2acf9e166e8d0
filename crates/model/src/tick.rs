//! A place in the order of everything that happens to a project's entities.

use std::fmt;

/// A number that orders the changes of all keyed streams of a project, and the loads made of them:
/// it only grows and is never used twice.
///
/// Like offsets, ticks start at 10^15 and stay below 2^53: every one has sixteen digits, so a line
/// is rendered before its tick is known, and JavaScript reads it exactly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tick(u64);

/// How many decimal digits every tick has.
pub const TICK_DIGITS: usize = 16;

impl Tick {
    /// The first tick of every project: 10^15.
    pub const FIRST: Self = Self(1_000_000_000_000_000);
    /// The last tick a project may ever use: 2^53 - 1.
    pub const LAST: Self = Self((1 << 53) - 1);

    /// Takes a number in the range of ticks.
    #[must_use]
    pub fn new(raw: u64) -> Option<Self> {
        (Self::FIRST.0..=Self::LAST.0).contains(&raw).then_some(Self(raw))
    }

    /// Reads the sixteen digits of a tick.
    #[must_use]
    pub fn from_digits(digits: &[u8]) -> Option<Self> {
        if digits.len() != TICK_DIGITS || !digits.iter().all(u8::is_ascii_digit) {
            return None;
        }
        let raw = digits.iter().fold(0, |raw: u64, digit| raw * 10 + u64::from(digit - b'0'));
        Self::new(raw)
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The tick `n` places on; `None` beyond the last.
    #[must_use]
    pub fn plus(self, n: u64) -> Option<Self> {
        Self::new(self.0.checked_add(n)?)
    }

    /// The sixteen digits.
    #[must_use]
    pub const fn digits(self) -> [u8; TICK_DIGITS] {
        let (mut digits, mut rest, mut at) = ([b'0'; TICK_DIGITS], self.0, TICK_DIGITS);
        while let Some((before, _)) = digits.split_at_mut_checked(at)
            && let Some(digit) = before.last_mut()
        {
            *digit = b'0' + (rest % 10) as u8;
            rest /= 10;
            at -= 1;
        }
        digits
    }
}

impl fmt::Display for Tick {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
