//! How a field of each type is read and written.
//!
//! Called by the code that [`super::structure`]'s macro makes.

use bytes::{BufMut as _, Bytes};

use super::WireStr;
use super::cache::{NOT_KEPT, NotKept, Place, RECEIVED_BYTES_MAX};
use super::content::Content;
use super::error::{EncodeError, WireError};
use super::identity::{Cacheable, Identity};
use super::reader::Reader;
use super::structure::{Structure, TransactionId};
use super::writer::Writer;

/// A field's type.
pub(super) trait Field: Sized {
    fn read(reader: &mut Reader<'_>) -> Result<Self, WireError>;
    fn write(&self, writer: &mut Writer<'_>) -> Result<(), EncodeError>;
}

/// The type of a field that the connection's cache may stand for.
pub(super) trait CachedField: Sized {
    fn read_cached(reader: &mut Reader<'_>) -> Result<Self, WireError>;
    fn write_cached(&self, writer: &mut Writer<'_>) -> Result<(), EncodeError>;
}

impl Field for bool {
    fn read(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        reader.flag()
    }

    fn write(&self, writer: &mut Writer<'_>) -> Result<(), EncodeError> {
        writer.flag(*self);
        Ok(())
    }
}

impl Field for i8 {
    fn read(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        reader.array().map(Self::from_be_bytes)
    }

    fn write(&self, writer: &mut Writer<'_>) -> Result<(), EncodeError> {
        writer.raw(&self.to_be_bytes());
        Ok(())
    }
}

impl Field for i32 {
    fn read(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        reader.i32()
    }

    fn write(&self, writer: &mut Writer<'_>) -> Result<(), EncodeError> {
        writer.raw(&self.to_be_bytes());
        Ok(())
    }
}

impl Field for i64 {
    fn read(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        reader.i64()
    }

    fn write(&self, writer: &mut Writer<'_>) -> Result<(), EncodeError> {
        writer.i64(*self);
        Ok(())
    }
}

impl<const N: usize> Field for [u8; N] {
    fn read(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        reader.array()
    }

    fn write(&self, writer: &mut Writer<'_>) -> Result<(), EncodeError> {
        writer.raw(self);
        Ok(())
    }
}

impl Field for Option<WireStr> {
    fn read(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        reader.text()
    }

    fn write(&self, writer: &mut Writer<'_>) -> Result<(), EncodeError> {
        writer.text(self.as_deref())
    }
}

impl Field for Option<Bytes> {
    fn read(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        reader.bytes()
    }

    fn write(&self, writer: &mut Writer<'_>) -> Result<(), EncodeError> {
        writer.bytes(self.as_deref())
    }
}

impl Field for Option<Content> {
    fn read(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        Ok(reader.bytes()?.map(Content::Whole))
    }

    fn write(&self, writer: &mut Writer<'_>) -> Result<(), EncodeError> {
        writer.content(self.as_ref())
    }
}

impl<T: Structure> Field for Option<T> {
    fn read(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        reader.structure()
    }

    fn write(&self, writer: &mut Writer<'_>) -> Result<(), EncodeError> {
        writer.structure(self.as_ref())
    }
}

impl<T: Structure> Field for Option<Vec<Option<T>>> {
    fn read(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        if !reader.flag()? {
            return Ok(None);
        }
        let count = reader.elements()?;
        // Not allocated at once: the frame may not have as many.
        let mut list = Vec::new();
        for _ in 0..count {
            list.push(reader.structure()?);
        }
        Ok(Some(list))
    }

    fn write(&self, writer: &mut Writer<'_>) -> Result<(), EncodeError> {
        writer.flag(self.is_some());
        let Some(list) = self else { return Ok(()) };
        writer.elements(list.len())?;
        list.iter().try_for_each(|element| writer.structure(element.as_ref()))
    }
}

impl<T: Cacheable> CachedField for Option<T> {
    fn read_cached(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        if !reader.format().cache {
            return reader.structure();
        }
        let new = reader.flag()?;
        let at = reader.at();
        let index = reader.i16()?;
        if new {
            let value: Self = reader.structure()?;
            return match reader.cache().keep(index, value.as_ref().map(T::to_identity)) {
                Ok(()) => Ok(value),
                Err(NotKept::NoPlace) => Err(WireError::NotCached { index, at }),
                Err(NotKept::TooLarge) => Err(WireError::CacheFull { max: RECEIVED_BYTES_MAX, at }),
            };
        }
        match reader.cache().get(index) {
            None => Err(WireError::NotCached { index, at }),
            Some(None) => Ok(None),
            Some(Some(identity)) => match T::from_identity(identity) {
                Some(value) => Ok(Some(value)),
                None => Err(WireError::UnexpectedType { code: identity.type_code(), at }),
            },
        }
    }

    fn write_cached(&self, writer: &mut Writer<'_>) -> Result<(), EncodeError> {
        if !writer.format.cache {
            return writer.structure(self.as_ref());
        }
        if let Some(index) = writer.cache.last(self.as_ref()) {
            writer.flag(false);
            writer.data.put_i16(index);
            return Ok(());
        }
        let identity = self.as_ref().map(T::to_identity);
        // A branch of a distributed transaction is written out each time, as the reference frames
        // have it.
        let again = !matches!(identity, Some(Identity::TransactionId(TransactionId::Xa(_))));
        if again && let Place::Known(index) = writer.cache.place(&identity) {
            writer.flag(false);
            writer.data.put_i16(index);
            return Ok(());
        }
        writer.flag(true);
        if writer.format.tight {
            // What stands inside of it is given its place first: ActiveMQ counts a tight frame
            // before it writes it, and gives places as it has counted.
            let at = writer.data.len();
            writer.data.put_i16(NOT_KEPT);
            writer.structure(self.as_ref())?;
            let index = writer.cache.add(identity);
            if let Some(place) = writer.data.get_mut(at..at + 2) {
                place.copy_from_slice(&index.to_be_bytes());
            }
            return Ok(());
        }
        let index = writer.cache.add(identity);
        writer.data.put_i16(index);
        writer.structure(self.as_ref())
    }
}
