//! JSON numbers compared by value, exactly, whatever their size: no rounding through a double.
//!
//! Called by [`super::Pattern`] and by the filters' ranges.

use std::cmp::Ordering;

/// Exponents beyond this are taken as this: numbers that differ only beyond 10^(10^15) compare as
/// equal.
const EXPONENT_MAX: i64 = 1_000_000_000_000_000;

/// A checked JSON number, as written.
#[derive(Debug, Clone, Copy)]
pub struct Number<'a>(&'a [u8]);

/// A number's value: `0.digits * 10^exponent`; zero has no digits.
struct Decimal<'a> {
    negative: bool,
    /// The digits before the point, from the first that is not 0.
    whole: &'a [u8],
    /// The digits after it; from the first that is not 0 when `whole` is empty.
    fraction: &'a [u8],
    exponent: i64,
}

impl<'a> Number<'a> {
    /// Takes `text` as a checked number.
    #[must_use]
    pub const fn new(text: &'a [u8]) -> Self {
        Self(text)
    }

    /// The text as written.
    #[must_use]
    pub const fn as_written(self) -> &'a [u8] {
        self.0
    }

    /// Its value when it is written as digits only, and fits.
    #[must_use]
    pub fn as_u64(self) -> Option<u64> {
        self.0.iter().try_fold(0_u64, |value, byte| {
            let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
            value.checked_mul(10)?.checked_add(digit)
        })
    }

    /// The nearest double.
    #[must_use]
    pub fn as_f64(self) -> Option<f64> {
        std::str::from_utf8(self.0).ok()?.parse().ok()
    }

    /// Compares by value.
    #[must_use]
    pub fn compare(self, other: Number<'_>) -> Ordering {
        if self.0 == other.0 {
            return Ordering::Equal;
        }
        let (left, right) = (Decimal::of(self.0), Decimal::of(other.0));
        match (left.sign(), right.sign()) {
            (1, 1) => left.compare_magnitude(&right),
            (-1, -1) => right.compare_magnitude(&left),
            (left, right) => left.cmp(&right),
        }
    }
}

impl<'a> Decimal<'a> {
    fn of(text: &'a [u8]) -> Self {
        let (negative, text) = match text.strip_prefix(b"-") {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let split = |text: &'a [u8], at: Option<usize>| match at {
            Some(at) => {
                (text.get(..at).unwrap_or_default(), text.get(at + 1..).unwrap_or_default())
            }
            None => (text, Default::default()),
        };
        let (mantissa, exponent) = split(text, memchr::memchr2(b'e', b'E', text));
        let (whole, fraction) = split(mantissa, memchr::memchr(b'.', mantissa));
        let mut value = Self { negative, whole, fraction, exponent: parse_exponent(exponent) };
        value.whole = strip_zeros(whole);
        value.exponent += value.whole.len() as i64;
        if value.whole.is_empty() {
            value.fraction = strip_zeros(fraction);
            value.exponent -= (fraction.len() - value.fraction.len()) as i64;
        }
        value
    }

    fn sign(&self) -> i8 {
        match (self.whole.is_empty() && self.fraction.is_empty(), self.negative) {
            (true, _) => 0,
            (false, true) => -1,
            (false, false) => 1,
        }
    }

    fn compare_magnitude(&self, other: &Decimal<'_>) -> Ordering {
        self.exponent.cmp(&other.exponent).then_with(|| {
            let (mut left, mut right) = (self.digits(), other.digits());
            loop {
                match (left.next(), right.next()) {
                    (None, None) => return Ordering::Equal,
                    (left, right) => {
                        let order = left.unwrap_or(b'0').cmp(&right.unwrap_or(b'0'));
                        if order.is_ne() {
                            return order;
                        }
                    }
                }
            }
        })
    }

    fn digits(&self) -> impl Iterator<Item = u8> {
        self.whole.iter().chain(self.fraction).copied()
    }
}

fn strip_zeros(digits: &[u8]) -> &[u8] {
    let zeros = digits.iter().take_while(|&&digit| digit == b'0').count();
    digits.get(zeros..).unwrap_or_default()
}

fn parse_exponent(text: &[u8]) -> i64 {
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, text),
    };
    let value = digits.iter().fold(0_i64, |value, digit| {
        (value * 10 + i64::from(digit.wrapping_sub(b'0'))).min(EXPONENT_MAX)
    });
    if negative { -value } else { value }
}
