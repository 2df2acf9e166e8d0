//! CBOR (RFC 8949), as much as landed XML needs: text, arrays and maps with text keys.
//!
//! Called by [`crate::content`]. A file is one array of unknown length, so that it can be written
//! record by record and is one well-formed item all the same, which readers such as Python's `cbor2`
//! and Jackson take as a whole (reference `aria_itas_amperity.md` 4.6).

use crate::xml::Value;

const TEXT: u8 = 3;
const ARRAY: u8 = 4;
const MAP: u8 = 5;

/// How a file begins.
pub(crate) const BEGIN: u8 = 0x9F;
/// How it ends.
pub(crate) const END: u8 = 0xFF;

/// Appends `value`. Values are nested no deeper than XML may be, which bounds the recursion.
pub(crate) fn write(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Text(text) => write_text(text, out),
        Value::List(items) => {
            head(ARRAY, items.len(), out);
            items.iter().for_each(|item| write(item, out));
        }
        Value::Map(members) => {
            head(MAP, members.len(), out);
            for (name, value) in members {
                write_text(name, out);
                write(value, out);
            }
        }
    }
}

fn write_text(text: &str, out: &mut Vec<u8>) {
    head(TEXT, text.len(), out);
    out.extend_from_slice(text.as_bytes());
}

/// The major type and the length, in the shortest form (RFC 8949 4.2.1).
fn head(major: u8, len: usize, out: &mut Vec<u8>) {
    let major = major << 5;
    match len as u64 {
        len @ 0..=23 => out.push(major | len as u8),
        len @ 24..=0xFF => out.extend([major | 24, len as u8]),
        len @ 0x100..=0xFFFF => {
            out.push(major | 25);
            out.extend((len as u16).to_be_bytes());
        }
        len @ 0x1_0000..=0xFFFF_FFFF => {
            out.push(major | 26);
            out.extend((len as u32).to_be_bytes());
        }
        len => {
            out.push(major | 27);
            out.extend(len.to_be_bytes());
        }
    }
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
    fn a_tree_is_written_as_the_standard_has_it() {
        let text = |text: &str| Value::Text(text.to_owned());
        let tree = Value::Map(vec![
            ("a".to_owned(), Value::List(vec![text("1"), text("")])),
            ("b".to_owned(), Value::Map(Vec::new())),
        ]);
        let mut out = Vec::new();
        write(&tree, &mut out);
        assert_eq!(out, [0xA2, 0x61, b'a', 0x82, 0x61, b'1', 0x60, 0x61, b'b', 0xA0]);
    }
}
