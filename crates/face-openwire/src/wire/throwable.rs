//! An exception: the name of its class, its message, and, where agreed, where it was thrown and what
//! caused it. The names are text: nothing is ever looked up or made by them.
//!
//! Called by `field`'s users; the session answers with one.

use super::WireStr;
use super::error::{EncodeError, WireError};
use super::field::Field;
use super::reader::Reader;
use super::writer::Writer;

/// An exception.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Throwable {
    /// The name of its class.
    pub class: Option<WireStr>,
    /// What it says.
    pub message: Option<WireStr>,
    /// Where it was thrown. Neither read nor written without stack traces.
    pub stack: Vec<StackElement>,
    /// What caused it. Neither read nor written without stack traces.
    pub cause: Option<Box<Self>>,
}

/// One line of a stack trace.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct StackElement {
    /// The name of the class.
    pub class: Option<WireStr>,
    /// The name of the method.
    pub method: Option<WireStr>,
    /// The name of the source.
    pub file: Option<WireStr>,
    /// The line in the source.
    pub line: i32,
}

impl Throwable {
    /// An exception of a class with a message.
    pub fn new(class: impl Into<WireStr>, message: impl Into<WireStr>) -> Self {
        Self { class: Some(class.into()), message: Some(message.into()), ..Self::default() }
    }
}

impl Field for Option<Throwable> {
    fn read(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        if !reader.flag()? {
            return Ok(None);
        }
        let mut throwable =
            Throwable { class: reader.text()?, message: reader.text()?, ..Throwable::default() };
        if reader.format().stack_traces {
            for _ in 0..reader.elements()? {
                throwable.stack.push(StackElement::read(reader)?);
            }
            throwable.cause = reader.nested(Self::read)?.map(Box::new);
        }
        Ok(Some(throwable))
    }

    fn write(&self, writer: &mut Writer<'_>) -> Result<(), EncodeError> {
        write(self.as_ref(), writer)
    }
}

fn write(throwable: Option<&Throwable>, writer: &mut Writer<'_>) -> Result<(), EncodeError> {
    writer.flag(throwable.is_some());
    let Some(throwable) = throwable else { return Ok(()) };
    writer.text(throwable.class.as_deref())?;
    writer.text(throwable.message.as_deref())?;
    if !writer.format.stack_traces {
        return Ok(());
    }
    writer.elements(throwable.stack.len())?;
    throwable.stack.iter().try_for_each(|element| element.write(writer))?;
    write(throwable.cause.as_deref(), writer)
}

impl Field for StackElement {
    fn read(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        Ok(Self {
            class: reader.text()?,
            method: reader.text()?,
            file: reader.text()?,
            line: reader.i32()?,
        })
    }

    fn write(&self, writer: &mut Writer<'_>) -> Result<(), EncodeError> {
        writer.text(self.class.as_deref())?;
        writer.text(self.method.as_deref())?;
        writer.text(self.file.as_deref())?;
        writer.raw(&self.line.to_be_bytes());
        Ok(())
    }
}
