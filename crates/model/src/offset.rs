//! A place in a stream.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// A position in a stream: a number that only grows and is never used twice.
///
/// Offsets start at [`Offset::FIRST`], so that every offset has sixteen digits: a stored line can
/// be rendered before its offset is known and stamped in place afterwards. They stay below 2^53,
/// because JavaScript clients hold them in a double (reference `airship.md`, rule 8).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Offset(u64);

/// How many decimal digits every stored offset has.
pub const OFFSET_DIGITS: usize = 16;

impl Offset {
    /// Below every event: a read from here starts at the earliest retained one.
    pub const ZERO: Self = Self(0);
    /// The offset of the first event of every stream: 10^15.
    pub const FIRST: Self = Self(1_000_000_000_000_000);
    /// The last offset a stream may ever use: 2^53 - 1, some 8 * 10^15 events after the first.
    pub const LAST: Self = Self((1 << 53) - 1);

    /// Wraps a raw number.
    #[must_use]
    pub const fn new(raw: u64) -> Self {
        Self(raw)
    }

    /// The raw number.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The offset `n` places on, saturating.
    #[must_use]
    pub const fn plus(self, n: u64) -> Self {
        Self(self.0.saturating_add(n))
    }

    /// The next offset.
    #[must_use]
    pub const fn next(self) -> Self {
        self.plus(1)
    }

    /// Writes the decimal digits into `out`, which holds [`OFFSET_DIGITS`] bytes, zero-padded.
    pub fn write_digits(self, out: &mut [u8]) {
        let mut rest = self.0;
        for digit in out.iter_mut().rev() {
            *digit = b'0' + (rest % 10) as u8;
            rest /= 10;
        }
    }

    /// Reads an offset as clients write it: decimal digits, or the unpadded base64url form of
    /// those digits that Airship's documents also show (`MTIzNQ` for `1235`).
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        parse_digits(text.as_bytes()).or_else(|| parse_digits(&decode_base64url(text)?)).map(Self)
    }
}

impl fmt::Display for Offset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

fn parse_digits(text: &[u8]) -> Option<u64> {
    if text.is_empty() || text.len() > 20 || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}

fn decode_base64url(text: &str) -> Option<Vec<u8>> {
    if text.len() > 28 { None } else { URL_SAFE_NO_PAD.decode(text).ok() }
}
