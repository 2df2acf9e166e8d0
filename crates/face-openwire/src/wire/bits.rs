//! The bits of a tight frame: they stand before the data, the lowest of each byte first. Reference
//! `activemq.md`, (c2).
//!
//! Called by `reader` and `writer`.

use bytes::{BufMut as _, BytesMut};

use super::error::EncodeError;

/// The most bytes of bits that a frame can say: a Java `short`.
const BYTES_MAX: usize = i16::MAX as usize;

/// Bits being written.
#[derive(Debug, Default)]
pub(super) struct BitsOut {
    /// Those that are whole bytes.
    bytes: Vec<u8>,
    /// Those that are none yet.
    last: u8,
    /// How many these are, fewer than 8.
    taken: u8,
}

impl BitsOut {
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        (self.last, self.taken) = (0, 0);
    }

    #[inline]
    pub(super) fn push(&mut self, bit: bool) {
        self.last |= u8::from(bit) << self.taken;
        self.taken += 1;
        if self.taken == 8 {
            self.bytes.push(self.last);
            (self.last, self.taken) = (0, 0);
        }
    }

    /// How many bytes they are, the last of which may not be full.
    fn len(&self) -> usize {
        self.bytes.len() + usize::from(self.taken > 0)
    }

    /// How many bytes the bits and their count take, or the error that they are too many.
    pub(super) fn encoded_len(&self) -> Result<usize, EncodeError> {
        match self.len() {
            len @ ..64 => Ok(1 + len),
            len @ 64..256 => Ok(2 + len),
            len @ 256..=BYTES_MAX => Ok(3 + len),
            _ => Err(EncodeError::ManyBits { max: BYTES_MAX }),
        }
    }

    /// Writes their count and them.
    pub(super) fn write(&self, out: &mut BytesMut) {
        match u16::try_from(self.len()).unwrap_or(u16::MAX) {
            len @ ..64 => out.put_u8(len.to_be_bytes()[1]),
            len @ 64..256 => {
                out.put_u8(0xC0);
                out.put_u8(len.to_be_bytes()[1]);
            }
            len => {
                out.put_u8(0x80);
                out.put_u16(len);
            }
        }
        out.put_slice(&self.bytes);
        if self.taken > 0 {
            out.put_u8(self.last);
        }
    }
}

/// Bits being read: where in the frame they stand, and which is next.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct BitsIn {
    /// Where the byte with the next bit stands in the frame.
    at: usize,
    /// Where the data begins.
    end: usize,
    /// How many bits of that byte are used up.
    used: u8,
}

impl BitsIn {
    pub(super) const fn new(at: usize, end: usize) -> Self {
        Self { at, end, used: 0 }
    }

    /// The next bit of `frame`; none when they are used up.
    pub(super) fn next(&mut self, frame: &[u8]) -> Option<bool> {
        if self.at >= self.end {
            return None;
        }
        let bit = (frame.get(self.at)? >> self.used) & 1 == 1;
        self.used += 1;
        if self.used == 8 {
            self.used = 0;
            self.at += 1;
        }
        Some(bit)
    }
}
