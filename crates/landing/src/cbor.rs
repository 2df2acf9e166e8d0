//! CBOR (RFC 8949) of landed XML, by `cbor4ii`: text, arrays and maps with text keys, lengths in their
//! shortest form.
//!
//! Called by [`crate::content`]. A file is one array of unknown length, so that it can be written
//! record by record and is one well-formed item all the same, which readers such as Python's `cbor2`
//! and Jackson take as a whole (reference `aria_itas_amperity.md` 4.6).

use std::convert::Infallible;

use cbor4ii::core::enc::{Encode, Error, Write};
use cbor4ii::core::types::{Array, Map};

use crate::xml::Value;

/// Where records go: into memory, which cannot fail.
struct Rows<'a>(&'a mut Vec<u8>);

impl Write for Rows<'_> {
    type Error = Infallible;

    fn push(&mut self, input: &[u8]) -> Result<(), Infallible> {
        self.0.extend_from_slice(input);
        Ok(())
    }
}

/// Values are nested no deeper than XML may be, which bounds the recursion.
impl Encode for Value {
    fn encode<W: Write>(&self, writer: &mut W) -> Result<(), Error<W::Error>> {
        match self {
            Self::Text(text) => text.encode(writer),
            Self::List(items) => items.as_slice().encode(writer),
            Self::Map(members) => Map(members.as_slice()).encode(writer),
        }
    }
}

/// Begins a file.
pub(crate) fn begin(out: &mut Vec<u8>) {
    let _ = Array::unbounded(&mut Rows(out));
}

/// Appends `value` to a file.
pub(crate) fn write(value: &Value, out: &mut Vec<u8>) {
    let _ = value.encode(&mut Rows(out));
}

/// Ends a file.
pub(crate) fn end(out: &mut Vec<u8>) {
    let _ = Array::end(&mut Rows(out));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_have_their_shortest_form() {
        for (len, expected) in [
            (0, &[0x60][..]),
            (23, &[0x77]),
            (24, &[0x78, 24]),
            (255, &[0x78, 255]),
            (256, &[0x79, 1, 0]),
            (65_535, &[0x79, 255, 255]),
            (65_536, &[0x7A, 0, 1, 0, 0]),
        ] {
            let mut out = Vec::new();
            write(&Value::Text("x".repeat(len)), &mut out);
            assert_eq!(out.get(..expected.len()), Some(expected), "{len}");
            assert_eq!(out.len(), expected.len() + len);
        }
    }

    #[test]
    fn a_file_is_written_as_the_standard_has_it() {
        let text = |text: &str| Value::Text(text.to_owned());
        let tree = Value::Map(vec![
            ("a".to_owned(), Value::List(vec![text("1"), text("")])),
            ("b".to_owned(), Value::Map(Vec::new())),
        ]);
        let mut out = Vec::new();
        begin(&mut out);
        write(&tree, &mut out);
        write(&text("é"), &mut out);
        end(&mut out);
        let tree = [0xA2, 0x61, b'a', 0x82, 0x61, b'1', 0x60, 0x61, b'b', 0xA0];
        assert_eq!(out, [&[0x9F][..], &tree, &[0x62, 0xC3, 0xA9, 0xFF]].concat());
    }
}
