//! Typed values and maps of them: a message's properties, the bodies of map and stream messages, the
//! options of a [`super::WireFormatInfo`]. Reference `activemq.md`, (c3), "Body encodings".
//!
//! Called by [`super::body`], by `format` and by the translation.
//!
//! Invariants: at most [`VALUES_MAX`] values come of one map, at most [`DEPTH_MAX`] deep, and none
//! that the bytes do not hold; the order of entries is kept, so that what is read and written back is
//! the same bytes.

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use outflow_model::ErrorCode;

use super::{WireStr, utf8};

/// The most values in one map or list, those inside of others included.
pub const VALUES_MAX: usize = 65_536;
/// How deep maps and lists may stand inside of others.
pub const DEPTH_MAX: usize = 16;
/// From this many UTF-16 units on a string is written with a length of four bytes.
const BIG_STRING: usize = i16::MAX as usize / 4;

/// A value with its type.
#[derive(Debug, Clone, PartialEq)]
pub enum Primitive {
    /// Nothing.
    Null,
    /// Yes or no.
    Bool(bool),
    /// 8 bits.
    Byte(i8),
    /// A UTF-16 unit.
    Char(u16),
    /// 16 bits.
    Short(i16),
    /// 32 bits.
    Int(i32),
    /// 64 bits.
    Long(i64),
    /// 64 bits with a fraction.
    Double(f64),
    /// 32 bits with a fraction.
    Float(f32),
    /// Text.
    Text(WireStr),
    /// Bytes.
    Bytes(Bytes),
    /// Names and values.
    Map(Map),
    /// Values.
    List(Vec<Self>),
}

/// Names and values, in the order of the wire.
pub type Map = Vec<(WireStr, Primitive)>;

/// Why bytes are no typed values, or values no bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PrimitiveError {
    /// A value goes past the end.
    #[error("the bytes end inside a value")]
    Truncated,
    /// A length or count is negative.
    #[error("a length is negative")]
    NegativeLength,
    /// No type has this tag.
    #[error("no type of value has tag {tag}")]
    UnknownTag {
        /// The tag.
        tag: u8,
    },
    /// A text is not modified UTF-8.
    #[error("a text is not modified UTF-8")]
    NotUtf8,
    /// There are too many values.
    #[error("there are more than {VALUES_MAX} values")]
    TooMany,
    /// Maps or lists are nested too deep.
    #[error("values are nested more than {DEPTH_MAX} deep")]
    TooDeep,
    /// A text or a run of bytes is longer than the wire can say.
    #[error("a text or name is longer than the wire can say")]
    TooLong,
}

impl PrimitiveError {
    /// What the error is to a caller who knows no frames.
    #[must_use]
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::TooMany | Self::TooLong => ErrorCode::TooLarge,
            _ => ErrorCode::Malformed,
        }
    }
}

/// The map that `bytes` are; none when they say that there is none, or are none. What follows the
/// map is not looked at.
///
/// # Errors
/// When they are no map.
pub fn read_map(bytes: &Bytes) -> Result<Option<Map>, PrimitiveError> {
    if bytes.is_empty() {
        return Ok(None);
    }
    Input { bytes: bytes.clone(), values: VALUES_MAX }.map(0)
}

/// The values that `bytes` are, one after another, to their end.
///
/// # Errors
/// When they are no values.
pub fn read_values(bytes: &Bytes) -> Result<Vec<Primitive>, PrimitiveError> {
    let mut input = Input { bytes: bytes.clone(), values: VALUES_MAX };
    let mut values = Vec::new();
    while !input.bytes.is_empty() {
        values.push(input.value(0)?);
    }
    Ok(values)
}

struct Input {
    bytes: Bytes,
    /// How many more values there may be.
    values: usize,
}

macro_rules! number {
    ($input:ident, $get:ident) => {
        $input.bytes.$get().map_err(|_| PrimitiveError::Truncated)
    };
}

impl Input {
    fn take(&mut self, len: usize) -> Result<Bytes, PrimitiveError> {
        if len > self.bytes.len() {
            return Err(PrimitiveError::Truncated);
        }
        Ok(self.bytes.split_to(len))
    }

    fn len32(&mut self) -> Result<usize, PrimitiveError> {
        usize::try_from(number!(self, try_get_i32)?).map_err(|_| PrimitiveError::NegativeLength)
    }

    fn text(&mut self, len: usize) -> Result<WireStr, PrimitiveError> {
        let bytes = self.take(len)?;
        Ok(utf8::decode(&bytes).map_err(|_| PrimitiveError::NotUtf8)?.into())
    }

    fn short_text(&mut self) -> Result<WireStr, PrimitiveError> {
        let len = number!(self, try_get_u16)?;
        self.text(len.into())
    }

    fn map(&mut self, depth: usize) -> Result<Option<Map>, PrimitiveError> {
        let count = number!(self, try_get_i32)?;
        if count < 0 {
            return Ok(None);
        }
        let mut map = Map::new();
        for _ in 0..count {
            map.push((self.short_text()?, self.value(depth)?));
        }
        Ok(Some(map))
    }

    fn value(&mut self, depth: usize) -> Result<Primitive, PrimitiveError> {
        if depth == DEPTH_MAX {
            return Err(PrimitiveError::TooDeep);
        }
        self.values = self.values.checked_sub(1).ok_or(PrimitiveError::TooMany)?;
        Ok(match number!(self, try_get_u8)? {
            0 => Primitive::Null,
            1 => Primitive::Bool(number!(self, try_get_u8)? != 0),
            2 => Primitive::Byte(number!(self, try_get_i8)?),
            3 => Primitive::Char(number!(self, try_get_u16)?),
            4 => Primitive::Short(number!(self, try_get_i16)?),
            5 => Primitive::Int(number!(self, try_get_i32)?),
            6 => Primitive::Long(number!(self, try_get_i64)?),
            7 => Primitive::Double(number!(self, try_get_f64)?),
            8 => Primitive::Float(number!(self, try_get_f32)?),
            9 => Primitive::Text(self.short_text()?),
            10 => {
                let len = self.len32()?;
                Primitive::Bytes(self.take(len)?)
            }
            11 => Primitive::Map(self.map(depth + 1)?.unwrap_or_default()),
            12 => {
                let mut list = Vec::new();
                for _ in 0..self.len32()? {
                    list.push(self.value(depth + 1)?);
                }
                Primitive::List(list)
            }
            13 => {
                let len = self.len32()?;
                Primitive::Text(self.text(len)?)
            }
            tag => return Err(PrimitiveError::UnknownTag { tag }),
        })
    }
}

/// The bytes of `map`.
///
/// # Errors
/// When a name or value is longer than the wire can say.
pub fn write_map(map: &Map) -> Result<Bytes, PrimitiveError> {
    let mut out = BytesMut::new();
    put_map(map, &mut out)?;
    Ok(out.freeze())
}

/// The bytes of `values`, one after another.
///
/// # Errors
/// When a value is longer than the wire can say.
pub fn write_values(values: &[Primitive]) -> Result<Bytes, PrimitiveError> {
    let mut out = BytesMut::new();
    values.iter().try_for_each(|value| put_value(value, &mut out))?;
    Ok(out.freeze())
}

fn put_map(map: &Map, out: &mut BytesMut) -> Result<(), PrimitiveError> {
    put_len32(map.len(), out)?;
    map.iter().try_for_each(|(name, value)| {
        put_short_text(name, out)?;
        put_value(value, out)
    })
}

fn put_len32(len: usize, out: &mut BytesMut) -> Result<(), PrimitiveError> {
    out.put_i32(i32::try_from(len).map_err(|_| PrimitiveError::TooLong)?);
    Ok(())
}

/// Appends a text with a length of two bytes: a name.
pub(crate) fn put_short_text(text: &str, out: &mut BytesMut) -> Result<(), PrimitiveError> {
    let len = u16::try_from(utf8::encoded_len(text)).map_err(|_| PrimitiveError::TooLong)?;
    out.put_u16(len);
    utf8::encode(text, out);
    Ok(())
}

/// Whether `text` is written with a length of two bytes. No text has more units than bytes.
fn is_short(text: &str) -> bool {
    text.len() < BIG_STRING || text.encode_utf16().count() < BIG_STRING
}

/// Appends a text as a value.
pub(crate) fn put_text(text: &str, out: &mut BytesMut) -> Result<(), PrimitiveError> {
    if is_short(text) {
        out.put_u8(9);
        return put_short_text(text, out);
    }
    out.put_u8(13);
    put_len32(utf8::encoded_len(text), out)?;
    utf8::encode(text, out);
    Ok(())
}

/// Appends a value.
pub(crate) fn put_value(value: &Primitive, out: &mut BytesMut) -> Result<(), PrimitiveError> {
    match value {
        Primitive::Null => out.put_u8(0),
        Primitive::Bool(value) => out.put_slice(&[1, u8::from(*value)]),
        Primitive::Byte(value) => {
            out.put_u8(2);
            out.put_i8(*value);
        }
        Primitive::Char(value) => {
            out.put_u8(3);
            out.put_u16(*value);
        }
        Primitive::Short(value) => {
            out.put_u8(4);
            out.put_i16(*value);
        }
        Primitive::Int(value) => {
            out.put_u8(5);
            out.put_i32(*value);
        }
        Primitive::Long(value) => {
            out.put_u8(6);
            out.put_i64(*value);
        }
        Primitive::Double(value) => {
            out.put_u8(7);
            out.put_f64(*value);
        }
        Primitive::Float(value) => {
            out.put_u8(8);
            out.put_f32(*value);
        }
        Primitive::Text(text) => put_text(text, out)?,
        Primitive::Bytes(bytes) => {
            out.put_u8(10);
            put_len32(bytes.len(), out)?;
            out.put_slice(bytes);
        }
        Primitive::Map(map) => {
            out.put_u8(11);
            put_map(map, out)?;
        }
        Primitive::List(list) => {
            out.put_u8(12);
            put_len32(list.len(), out)?;
            list.iter().try_for_each(|value| put_value(value, out))?;
        }
    }
    Ok(())
}
