//! Java's modified UTF-8: NUL is two bytes, and what is past U+FFFF is two surrogates of three bytes
//! each. Reference `activemq.md`, (c2) and b2.
//!
//! Called by `reader` and `writer` for every text, by [`super::primitive`] and [`super::body`], and by
//! the translation, which hands text to faces that speak UTF-8.
//!
//! A surrogate alone, which a Java string may hold and UTF-8 may not, becomes U+FFFD.

use std::borrow::Cow;

use bytes::BufMut;

/// The place of the first byte that is no modified UTF-8.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("byte {at} is not modified UTF-8")]
pub struct NotUtf8 {
    /// Where it stands.
    pub at: usize,
}

/// The text that `bytes` are; borrowed when both spell it alike.
///
/// What a careless writer leaves as it is in UTF-8, a NUL byte or four bytes for one character, is
/// taken for what it means.
///
/// # Errors
/// When a character is cut or a byte begins none.
pub fn decode(bytes: &[u8]) -> Result<Cow<'_, str>, NotUtf8> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok(Cow::Borrowed(text)),
        Err(error) => {
            let (plain, rest) = bytes.split_at_checked(error.valid_up_to()).unwrap_or((bytes, &[]));
            let mut out = String::with_capacity(bytes.len());
            out.push_str(std::str::from_utf8(plain).unwrap_or_default());
            decode_rest(rest, &mut out).map_err(|at| NotUtf8 { at: at + plain.len() })?;
            Ok(Cow::Owned(out))
        }
    }
}

/// The text that `bytes` are, each that belongs to no character as U+FFFD.
#[must_use]
pub fn decode_lossy(mut bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    loop {
        let Err(fault) = decode_rest(bytes, &mut out) else { return out };
        out.push(char::REPLACEMENT_CHARACTER);
        bytes = bytes.get(fault + 1..).unwrap_or_default();
    }
}

/// Appends what `bytes` are; the place of the first fault otherwise.
fn decode_rest(bytes: &[u8], out: &mut String) -> Result<(), usize> {
    let mut at = 0;
    while let Some(rest) = bytes.get(at..)
        && !rest.is_empty()
    {
        let (first, len) = unit(rest).ok_or(at)?;
        let second = || rest.get(len..).and_then(unit).filter(|(low, _)| is_low(*low));
        let (meant, taken) = if is_high(first)
            && let Some((low, low_len)) = second()
        {
            (0x1_0000 + ((first & 0x3FF) << 10) + (low & 0x3FF), len + low_len)
        } else {
            (first, len)
        };
        out.push(char::from_u32(meant).unwrap_or(char::REPLACEMENT_CHARACTER));
        at += taken;
    }
    Ok(())
}

const fn is_high(unit: u32) -> bool {
    matches!(unit, 0xD800..0xDC00)
}

const fn is_low(unit: u32) -> bool {
    matches!(unit, 0xDC00..0xE000)
}

/// The first character or half of one, and how many bytes it takes.
fn unit(bytes: &[u8]) -> Option<(u32, usize)> {
    let follow = |byte: &u8| (byte & 0xC0 == 0x80).then_some(u32::from(byte & 0x3F));
    let lead = *bytes.first()?;
    match lead {
        0..0x80 => Some((lead.into(), 1)),
        0xC0..0xE0 => Some((u32::from(lead & 0x1F) << 6 | bytes.get(1).and_then(follow)?, 2)),
        0xE0..0xF0 => {
            let high = bytes.get(1).and_then(follow)? << 6;
            Some((u32::from(lead & 0x0F) << 12 | high | bytes.get(2).and_then(follow)?, 3))
        }
        0xF0..0xF8 => {
            let high = bytes.get(1).and_then(follow)? << 12 | bytes.get(2).and_then(follow)? << 6;
            Some((u32::from(lead & 0x07) << 18 | high | bytes.get(3).and_then(follow)?, 4))
        }
        _ => None,
    }
}

/// How many bytes `text` takes in modified UTF-8.
#[must_use]
pub fn encoded_len(text: &str) -> usize {
    if is_alike(text.as_bytes()) {
        return text.len();
    }
    // Characters past U+FFFF are four bytes of UTF-8 and six here; NUL is one and two.
    text.bytes()
        .map(|byte| match byte {
            0 => 2,
            0xF0.. => 3,
            _ => 1,
        })
        .sum()
}

/// Whether each character is one byte in both: none is past U+007F, and none is NUL.
#[must_use]
pub fn is_plain(text: &str) -> bool {
    text.is_ascii() && is_alike(text.as_bytes())
}

/// How many bytes are looked at together: in one go, where the machine can.
const TOGETHER: usize = 64;

/// Whether `utf8` is spelt so in modified UTF-8, too: no character is past U+FFFF, and none is NUL.
#[must_use]
pub fn is_alike(utf8: &[u8]) -> bool {
    let differs = |byte: &u8| *byte == 0 || *byte >= 0xF0;
    utf8.chunks(TOGETHER)
        .all(|some| !some.iter().fold(false, |differ, byte| differ | differs(byte)))
}

/// Appends `text` in modified UTF-8.
pub fn encode(text: &str, out: &mut impl BufMut) {
    if is_alike(text.as_bytes()) {
        return out.put_slice(text.as_bytes());
    }
    for char in text.chars() {
        match u32::from(char) {
            0 => out.put_slice(&[0xC0, 0x80]),
            code if code > 0xFFFF => {
                let mut units = [0; 2];
                for unit in char.encode_utf16(&mut units) {
                    let [high, low] = unit.to_be_bytes();
                    out.put_slice(&[
                        0xE0 | high >> 4,
                        0x80 | (high & 0x0F) << 2 | low >> 6,
                        0x80 | low & 0x3F,
                    ]);
                }
            }
            _ => out.put_slice(char.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
}
