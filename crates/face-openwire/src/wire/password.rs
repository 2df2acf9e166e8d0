//! A password as a peer wrote it: carried, compared, never printed.

use std::fmt;

use super::WireStr;
use super::error::{EncodeError, WireError};
use super::field::Field;
use super::reader::Reader;
use super::writer::Writer;

/// A password.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Password(WireStr);

impl Password {
    /// The password with this text.
    pub fn new(text: impl Into<WireStr>) -> Self {
        Self(text.into())
    }

    /// Its text, for the one who checks it.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Password(..)")
    }
}

impl Field for Option<Password> {
    fn read(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        Ok(Option::<WireStr>::read(reader)?.map(Password))
    }

    fn write(&self, writer: &mut Writer<'_>) -> Result<(), EncodeError> {
        writer.text(self.as_ref().map(Password::reveal))
    }
}
