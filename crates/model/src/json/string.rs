//! JSON strings: reading them without copying where possible, comparing and writing them.
//!
//! Called by the scanner, [`super::Value`], filters and drafts.

use std::borrow::Cow;

/// What stands between the quotes of a checked JSON string, escapes and all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Raw<'a>(&'a [u8]);

impl<'a> Raw<'a> {
    /// Takes `raw` as the inside of a checked string.
    #[must_use]
    pub const fn new(raw: &'a [u8]) -> Self {
        Self(raw)
    }

    /// The bytes as written.
    #[must_use]
    pub const fn as_written(self) -> &'a [u8] {
        self.0
    }

    /// Whether it is written with escapes.
    #[must_use]
    pub fn has_escapes(self) -> bool {
        self.0.contains(&b'\\')
    }

    /// The text it stands for, UTF-8.
    #[must_use]
    pub fn unescape(self) -> Cow<'a, [u8]> {
        match memchr::memchr(b'\\', self.0) {
            None => Cow::Borrowed(self.0),
            Some(first) => Cow::Owned(unescape_from(self.0, first)),
        }
    }

    /// The text it stands for; what is not UTF-8 becomes U+FFFD.
    #[must_use]
    pub fn to_text(self) -> Cow<'a, str> {
        match self.unescape() {
            Cow::Borrowed(bytes) => String::from_utf8_lossy(bytes),
            Cow::Owned(bytes) => Cow::Owned(String::from_utf8_lossy(&bytes).into_owned()),
        }
    }

    /// Whether it stands for exactly `text`.
    #[must_use]
    pub fn is(self, text: &[u8]) -> bool {
        // An escape is always longer than what it stands for, so most strings differ in length.
        if self.0.len() == text.len() {
            return self.0 == text && !self.has_escapes();
        }
        self.0.len() > text.len() && self.has_escapes() && *self.unescape() == *text
    }

    /// Whether it stands for `text` when case is ignored, character by character.
    #[must_use]
    pub fn is_ignoring_case(self, text: &str) -> bool {
        if self.0.is_ascii() && text.is_ascii() && !self.has_escapes() {
            return self.0.eq_ignore_ascii_case(text.as_bytes());
        }
        self.to_text().chars().map(fold).eq(text.chars().map(fold))
    }
}

/// One character's case-folded form, as Java's `equalsIgnoreCase` compares: to upper, then to lower
/// case, each only where the result is a single character.
fn fold(character: char) -> char {
    fn single(mut mapped: impl Iterator<Item = char>, otherwise: char) -> char {
        match (mapped.next(), mapped.next()) {
            (Some(one), None) => one,
            _ => otherwise,
        }
    }
    let upper = single(character.to_uppercase(), character);
    single(upper.to_lowercase(), upper)
}

/// Unescapes `raw`, whose first backslash stands at `first`.
fn unescape_from(raw: &[u8], first: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(raw.len());
    let (plain, mut rest) = raw.split_at_checked(first).unwrap_or((raw, &[]));
    out.extend_from_slice(plain);
    while let [b'\\', code, after @ ..] = rest {
        rest = after;
        match code {
            b'u' => rest = unescape_unicode(after, &mut out),
            b'b' => out.push(8),
            b'f' => out.push(12),
            b'n' => out.push(b'\n'),
            b'r' => out.push(b'\r'),
            b't' => out.push(b'\t'),
            other => out.push(*other),
        }
        let run = memchr::memchr(b'\\', rest).unwrap_or(rest.len());
        let (plain, after) = rest.split_at_checked(run).unwrap_or((rest, &[]));
        out.extend_from_slice(plain);
        rest = after;
    }
    out
}

/// Decodes the digits after `\u`, and the second half of a pair; gives what comes after.
fn unescape_unicode<'a>(text: &'a [u8], out: &mut Vec<u8>) -> &'a [u8] {
    let hex4 = |at: usize| -> Option<u32> {
        let digits = std::str::from_utf8(text.get(at..at + 4)?).ok()?;
        u32::from_str_radix(digits, 16).ok()
    };
    let (code, len) = match (hex4(0), text.get(4..6), hex4(6)) {
        (Some(high @ 0xD800..=0xDBFF), Some(b"\\u"), Some(low @ 0xDC00..=0xDFFF)) => {
            (Some(0x1_0000 + ((high - 0xD800) << 10) + (low - 0xDC00)), 10)
        }
        (code, ..) => (code, 4),
    };
    let character = code.and_then(char::from_u32).unwrap_or(char::REPLACEMENT_CHARACTER);
    out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
    text.get(len..).unwrap_or_default()
}

/// Appends `text` to `out` as a JSON string with its quotes.
pub fn write_string(text: &str, out: &mut Vec<u8>) {
    const HEX: [u8; 16] = *b"0123456789abcdef";
    out.push(b'"');
    let mut rest = text.as_bytes();
    while let Some(stop) = rest.iter().position(|&byte| byte < 0x20 || matches!(byte, b'"' | b'\\'))
    {
        let (plain, after) = rest.split_at_checked(stop).unwrap_or((rest, &[]));
        out.extend_from_slice(plain);
        let Some((&byte, after)) = after.split_first() else { break };
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            _ => {
                let digit = |nibble: u8| HEX.get(usize::from(nibble)).copied().unwrap_or(b'0');
                out.extend_from_slice(b"\\u00");
                out.extend_from_slice(&[digit(byte >> 4), digit(byte & 15)]);
            }
        }
        rest = after;
    }
    out.extend_from_slice(rest);
    out.push(b'"');
}
