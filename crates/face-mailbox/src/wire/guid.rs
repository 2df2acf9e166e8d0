//! GUIDs as .NET writes and reads them.

use std::fmt;

/// A GUID. Written as `8-4-4-4-12` lower-case hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Guid(u128);

/// The bits of a version 8 UUID (RFC 9562 5.8) that are its maker's: all but version and variant.
const OWN_BITS: u32 = 122;
const VERSION: u128 = 0x8 << 76;
const VARIANT: u128 = 0x2 << 62;

impl Guid {
    /// The GUID that carries the low 122 bits of `own`, as a version 8 UUID.
    #[must_use]
    pub const fn of(own: u128) -> Self {
        let low = own & ((1 << 62) - 1);
        let middle = (own >> 62) & 0xfff;
        let high = (own >> 74) & ((1 << 48) - 1);
        Self((high << 80) | VERSION | (middle << 64) | VARIANT | low)
    }

    /// What [`Guid::of`] was given; `None` for a GUID that it did not make.
    #[must_use]
    pub const fn own(self) -> Option<u128> {
        if self.0 & (0xf << 76) != VERSION || self.0 & (0x3 << 62) != VARIANT {
            return None;
        }
        let low = self.0 & ((1 << 62) - 1);
        let middle = (self.0 >> 64) & 0xfff;
        Some(((self.0 >> 80) << 74 | (middle << 62) | low) & ((1 << OWN_BITS) - 1))
    }

    /// All 128 bits.
    #[must_use]
    pub const fn bits(self) -> u128 {
        self.0
    }

    /// Reads the forms that .NET's `Guid.Parse` reads and clients send: with or without dashes,
    /// in braces or parentheses, in any case, with blanks around.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let inner = text.strip_prefix('{').map_or_else(
            || text.strip_prefix('(').map_or(Some(text), |rest| rest.strip_suffix(')')),
            |rest| rest.strip_suffix('}'),
        )?;
        let dashed = inner.len() == 36;
        if !dashed && inner.len() != 32 {
            return None;
        }
        let mut bits = 0_u128;
        for (at, byte) in inner.bytes().enumerate() {
            if dashed && matches!(at, 8 | 13 | 18 | 23) {
                if byte != b'-' {
                    return None;
                }
                continue;
            }
            let digit = char::from(byte).to_digit(16)?;
            bits = (bits << 4) | u128::from(digit);
        }
        Some(Self(bits))
    }
}

impl fmt::Display for Guid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bits = self.0;
        let (a, b, c) = ((bits >> 96) as u32, (bits >> 80) as u16, (bits >> 64) as u16);
        let (d, e) = ((bits >> 48) as u16, (bits as u64) & 0xffff_ffff_ffff);
        write!(f, "{a:08x}-{b:04x}-{c:04x}-{d:04x}-{e:012x}")
    }
}
