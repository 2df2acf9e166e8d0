//! Reads values of each kind from one frame, loose or tight.
//!
//! Called by the table's types, by `field` and by `codec`. Reference `activemq.md`, (c2).
//!
//! Invariants: a length is checked against what is left of the frame before anything is taken;
//! elements of lists are counted against the frame's length, so that what a frame becomes in memory
//! is at most some dozens of times its size; nesting is bounded.

use bytes::Bytes;

use super::WireStr;
use super::bits::BitsIn;
use super::cache::Received;
use super::error::WireError;
use super::format::WireFormat;
use super::structure::Structure;
use super::{table, utf8};

/// How deep values may stand inside of values: a journal's ack in a data response in a message is
/// three.
const DEPTH_MAX: usize = 16;

/// One frame on its way to a command.
pub(super) struct Reader<'a> {
    format: &'a WireFormat,
    cache: &'a mut Received,
    frame: &'a Bytes,
    /// The next byte.
    at: usize,
    /// Empty in loose frames.
    bits: BitsIn,
    depth: usize,
    /// How many more elements lists may have.
    elements: usize,
}

impl<'a> Reader<'a> {
    /// A reader of the frame that `frame` begins with, whose lists have at most `elements` elements
    /// together: as many as the whole frame may have bytes.
    pub(super) const fn new(
        format: &'a WireFormat,
        cache: &'a mut Received,
        frame: &'a Bytes,
        elements: usize,
    ) -> Self {
        Self { format, cache, frame, at: 0, bits: BitsIn::new(0, 0), depth: 0, elements }
    }

    pub(super) const fn version(&self) -> u8 {
        self.format.version
    }

    pub(super) const fn format(&self) -> &'a WireFormat {
        self.format
    }

    pub(super) const fn cache(&mut self) -> &mut Received {
        self.cache
    }

    /// Where the next byte stands.
    pub(super) const fn at(&self) -> usize {
        self.at
    }

    /// The error that a value of type `code` stands where it does not belong.
    pub(super) const fn unexpected(&self, code: u8) -> WireError {
        WireError::UnexpectedType { code, at: self.at }
    }

    /// Reads the bits that stand before a tight frame's data.
    pub(super) fn open_bits(&mut self) -> Result<(), WireError> {
        let len = match self.u8()? {
            0xC0 => self.u8()?.into(),
            0x80 => self.len16()?,
            len => len.into(),
        };
        let at = self.at;
        self.take(len)?;
        self.bits = BitsIn::new(at, self.at);
        Ok(())
    }

    fn take(&mut self, len: usize) -> Result<&'a [u8], WireError> {
        let taken = self
            .at
            .checked_add(len)
            .and_then(|end| self.frame.get(self.at..end))
            .ok_or(WireError::Truncated { at: self.at })?;
        self.at += len;
        Ok(taken)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], WireError> {
        let at = self.at;
        self.take(N)?.try_into().map_err(|_| WireError::Truncated { at })
    }

    pub(super) fn u8(&mut self) -> Result<u8, WireError> {
        self.array().map(|[byte]| byte)
    }

    pub(super) fn i16(&mut self) -> Result<i16, WireError> {
        self.array().map(i16::from_be_bytes)
    }

    pub(super) fn i32(&mut self) -> Result<i32, WireError> {
        self.array().map(i32::from_be_bytes)
    }

    /// A length of 15 bits.
    fn len16(&mut self) -> Result<usize, WireError> {
        let at = self.at;
        usize::try_from(self.i16()?).map_err(|_| WireError::NegativeLength { at })
    }

    /// A yes or no: a bit in a tight frame, a byte in a loose one.
    pub(super) fn flag(&mut self) -> Result<bool, WireError> {
        if self.format.tight {
            self.bits.next(self.frame).ok_or(WireError::FewBits { at: self.at })
        } else {
            Ok(self.u8()? != 0)
        }
    }

    pub(super) fn i64(&mut self) -> Result<i64, WireError> {
        if !self.format.tight {
            return self.array().map(i64::from_be_bytes);
        }
        match (self.flag()?, self.flag()?) {
            (false, false) => Ok(0),
            (false, true) => self.array().map(|bytes| u16::from_be_bytes(bytes).into()),
            (true, false) => self.array().map(|bytes| u32::from_be_bytes(bytes).into()),
            (true, true) => self.array().map(i64::from_be_bytes),
        }
    }

    pub(super) fn text(&mut self) -> Result<Option<WireStr>, WireError> {
        if !self.flag()? {
            return Ok(None);
        }
        let latin = self.format.tight && self.flag()?;
        let len = self.array().map(u16::from_be_bytes)?;
        let at = self.at;
        let bytes = self.take(len.into())?;
        if latin && !bytes.is_ascii() {
            // One byte a character, as its readers take it.
            return Ok(Some(bytes.iter().copied().map(char::from).collect::<String>().into()));
        }
        let text = utf8::decode(bytes).map_err(|error| WireError::NotUtf8 { at: at + error.at })?;
        Ok(Some(text.into()))
    }

    /// Bytes, as a slice of the frame.
    pub(super) fn bytes(&mut self) -> Result<Option<Bytes>, WireError> {
        if !self.flag()? {
            return Ok(None);
        }
        let at = self.at;
        let len = self.i32()?;
        let len = usize::try_from(len).map_err(|_| WireError::NegativeLength { at })?;
        let from = self.at;
        self.take(len)?;
        Ok(Some(self.frame.slice(from..self.at)))
    }

    /// How many elements a list has; they are counted.
    pub(super) fn elements(&mut self) -> Result<usize, WireError> {
        let at = self.at;
        let count = self.len16()?;
        self.elements = self.elements.checked_sub(count).ok_or(WireError::TooMany { at })?;
        Ok(count)
    }

    /// One level deeper.
    pub(super) fn nested<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<T, WireError>,
    ) -> Result<T, WireError> {
        if self.depth == DEPTH_MAX {
            return Err(WireError::TooDeep { max: DEPTH_MAX, at: self.at });
        }
        self.depth += 1;
        let value = read(self)?;
        self.depth -= 1;
        Ok(value)
    }

    /// A value that may be missing, with its code before it.
    pub(super) fn structure<T: Structure>(&mut self) -> Result<Option<T>, WireError> {
        if !self.flag()? {
            return Ok(None);
        }
        let code = self.code()?;
        if self.format.tight && is_marshal_aware(code) && self.flag()? {
            return Err(WireError::NestedFrame { at: self.at });
        }
        self.nested(|reader| T::read(code, reader)).map(Some)
    }

    /// The code of a type that the version has.
    pub(super) fn code(&mut self) -> Result<u8, WireError> {
        let code = self.u8()?;
        if code == 0 || table::since(code) > self.format.version {
            return Err(WireError::UnknownType { code, at: self.at });
        }
        Ok(code)
    }
}

/// Whether a value of this type has one bit more when it stands inside of another: "follows in an
/// encoding of its own", always no.
pub(super) const fn is_marshal_aware(code: u8) -> bool {
    matches!(code, 1 | 23..=29)
}
