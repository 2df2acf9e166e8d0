//! Writes values of each kind into one frame, loose or tight.
//!
//! Called by the table's types, by `field` and by `codec`. Reference `activemq.md`, (c2).

use bytes::{BufMut as _, BytesMut};

use super::bits::BitsOut;
use super::cache::Sent;
use super::content::Content;
use super::error::EncodeError;
use super::format::WireFormat;
use super::reader::is_marshal_aware;
use super::structure::Structure;
use super::{table, utf8};

/// The longest text of a tight frame, in bytes: one less than a Java `short` holds.
const TIGHT_TEXT_MAX: usize = i16::MAX as usize - 1;
/// The longest text of a loose frame, in bytes.
const LOOSE_TEXT_MAX: usize = u16::MAX as usize;
/// The longest list.
const LIST_MAX: usize = i16::MAX as usize;

/// One command on its way to a frame.
pub(super) struct Writer<'a> {
    pub(super) format: &'a WireFormat,
    pub(super) cache: &'a mut Sent,
    /// Only tight frames have any.
    pub(super) bits: &'a mut BitsOut,
    pub(super) data: &'a mut BytesMut,
}

impl Writer<'_> {
    pub(super) const fn version(&self) -> u8 {
        self.format.version
    }

    /// A yes or no: a bit in a tight frame, a byte in a loose one.
    pub(super) fn flag(&mut self, value: bool) {
        if self.format.tight {
            self.bits.push(value);
        } else {
            self.data.put_u8(value.into());
        }
    }

    pub(super) fn raw(&mut self, bytes: &[u8]) {
        self.data.put_slice(bytes);
    }

    pub(super) fn i64(&mut self, value: i64) {
        if !self.format.tight {
            self.data.put_i64(value);
        } else if value == 0 {
            self.flag(false);
            self.flag(false);
        } else if let Ok(short) = u16::try_from(value) {
            self.flag(false);
            self.flag(true);
            self.data.put_u16(short);
        } else if let Ok(int) = u32::try_from(value) {
            self.flag(true);
            self.flag(false);
            self.data.put_u32(int);
        } else {
            self.flag(true);
            self.flag(true);
            self.data.put_i64(value);
        }
    }

    pub(super) fn text(&mut self, text: Option<&str>) -> Result<(), EncodeError> {
        self.flag(text.is_some());
        let Some(text) = text else { return Ok(()) };
        let plain = utf8::is_plain(text);
        let len = if plain { text.len() } else { utf8::encoded_len(text) };
        let max = if self.format.tight { TIGHT_TEXT_MAX } else { LOOSE_TEXT_MAX };
        let short = u16::try_from(len)
            .ok()
            .filter(|_| len <= max)
            .ok_or(EncodeError::TextTooLong { len, max })?;
        if self.format.tight {
            self.flag(plain);
        }
        self.data.put_u16(short);
        utf8::encode(text, self.data);
        Ok(())
    }

    pub(super) fn bytes(&mut self, bytes: Option<&[u8]>) -> Result<(), EncodeError> {
        self.flag(bytes.is_some());
        let Some(bytes) = bytes else { return Ok(()) };
        self.len32(bytes.len())?;
        self.data.put_slice(bytes);
        Ok(())
    }

    /// A body, from where it is.
    pub(super) fn content(&mut self, content: Option<&Content>) -> Result<(), EncodeError> {
        self.flag(content.is_some());
        let Some(content) = content else { return Ok(()) };
        self.len32(content.len())?;
        content.put(self.data);
        Ok(())
    }

    fn len32(&mut self, len: usize) -> Result<(), EncodeError> {
        let max = i32::MAX.unsigned_abs().into();
        let len32 = i32::try_from(len);
        self.data.put_i32(len32.map_err(|_| EncodeError::TooLarge { len: len as u64, max })?);
        Ok(())
    }

    /// How many elements a list has.
    pub(super) fn elements(&mut self, len: usize) -> Result<(), EncodeError> {
        let short =
            i16::try_from(len).map_err(|_| EncodeError::ListTooLong { len, max: LIST_MAX })?;
        self.data.put_i16(short);
        Ok(())
    }

    /// A value that may be missing, with its code before it.
    pub(super) fn structure<T: Structure>(&mut self, value: Option<&T>) -> Result<(), EncodeError> {
        self.flag(value.is_some());
        let Some(value) = value else { return Ok(()) };
        let code = value.code();
        self.code(code)?;
        if self.format.tight && is_marshal_aware(code) {
            self.flag(false);
        }
        value.write(self)
    }

    /// The code of a type that the version has.
    pub(super) fn code(&mut self, code: u8) -> Result<(), EncodeError> {
        let version = self.format.version;
        if table::since(code) > version {
            return Err(EncodeError::NewerType { code, version });
        }
        self.data.put_u8(code);
        Ok(())
    }
}
