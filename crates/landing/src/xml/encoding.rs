//! The bytes of a document as text: UTF-8, UTF-16, ISO-8859-1 and US-ASCII.
//!
//! Called by [`super`]. What says which it is, in this order (RFC 7303 3.2; XML 1.0, appendix F): a
//! byte order mark, the `charset` that the document was sent with, how a first `<` is written, the
//! declaration. Any other encoding is a reason to fail, by its name.

use std::borrow::Cow;

use super::XmlError;

/// How far a declaration is looked for.
const MAX_DECLARATION_BYTES: usize = 256;

/// An encoding that is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Encoding {
    Utf8,
    Ascii,
    Latin1,
    Utf16 { is_little: bool },
}

/// The text of `bytes` without its byte order mark; `charset` is what it was sent with.
pub(super) fn text<'a>(bytes: &'a [u8], charset: Option<&str>) -> Result<Cow<'a, str>, XmlError> {
    let (marked, bytes) = match bytes {
        [0xEF, 0xBB, 0xBF, rest @ ..] => (Some(Encoding::Utf8), rest),
        [0xFE, 0xFF, rest @ ..] => (Some(Encoding::Utf16 { is_little: false }), rest),
        [0xFF, 0xFE, rest @ ..] => (Some(Encoding::Utf16 { is_little: true }), rest),
        all => (None, all),
    };
    let (seen, is_sure) = match (marked, bytes) {
        (Some(marked), _) => (marked, true),
        (None, [b'<', 0, ..]) => (Encoding::Utf16 { is_little: true }, true),
        (None, [0, b'<', ..]) => (Encoding::Utf16 { is_little: false }, true),
        (None, _) => (Encoding::Utf8, false),
    };
    let encoding = match charset {
        _ if is_sure => seen,
        Some(charset) => named(charset, seen)?,
        None => declared(bytes).map_or(Ok(seen), |name| named(name, seen))?,
    };
    let text = decode(bytes, encoding)?;
    // A mark tells a reader what it reads, so that a declaration of something else is an error
    // (XML 1.0 4.3.3), unless whoever sent it said what counts.
    if is_sure
        && charset.is_none()
        && let Some(name) = declared(text.as_bytes())
        && named(name, seen)? != seen
    {
        return Err(XmlError::Charset(name.to_owned()));
    }
    Ok(text)
}

/// The encoding of this name; one of UTF-16 is as it was `seen` to be.
fn named(name: &str, seen: Encoding) -> Result<Encoding, XmlError> {
    let is = |names: &[&str]| names.iter().any(|one| one.eq_ignore_ascii_case(name));
    let is_utf16 = matches!(seen, Encoding::Utf16 { .. });
    if is(&["utf-8", "utf8"]) {
        Ok(Encoding::Utf8)
    } else if is(&["us-ascii", "ascii"]) {
        Ok(Encoding::Ascii)
    } else if is(&["iso-8859-1", "iso8859-1", "iso_8859-1", "latin1"]) {
        Ok(Encoding::Latin1)
    } else if is(&["utf-16", "utf16"]) && is_utf16 {
        Ok(seen)
    } else if is(&["utf-16le"]) {
        Ok(Encoding::Utf16 { is_little: true })
    } else if is(&["utf-16be"]) {
        Ok(Encoding::Utf16 { is_little: false })
    } else {
        Err(XmlError::Charset(name.chars().take(40).collect()))
    }
}

/// What a declaration at the beginning says, if its letters are those of ASCII.
fn declared(bytes: &[u8]) -> Option<&str> {
    let front = bytes.get(..MAX_DECLARATION_BYTES).unwrap_or(bytes);
    let front = front.strip_prefix(b"<?xml")?;
    let end = memchr::memmem::find(front, b"?>")?;
    let declaration = std::str::from_utf8(front.get(..end)?).ok()?;
    let (_, value) = declaration.split_once("encoding")?;
    let value = value.trim_start().strip_prefix('=')?.trim_start();
    let quote = value.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    value.get(1..)?.split_once(quote).map(|(name, _)| name)
}

fn decode(bytes: &[u8], encoding: Encoding) -> Result<Cow<'_, str>, XmlError> {
    match encoding {
        Encoding::Utf8 => match std::str::from_utf8(bytes) {
            Ok(text) => Ok(Cow::Borrowed(text)),
            Err(error) => Err(XmlError::Encoding { name: "utf-8", at: error.valid_up_to() }),
        },
        Encoding::Ascii => match bytes.iter().position(|byte| !byte.is_ascii()) {
            Some(at) => Err(XmlError::Encoding { name: "us-ascii", at }),
            None => Ok(String::from_utf8_lossy(bytes)),
        },
        Encoding::Latin1 => Ok(bytes.iter().copied().map(char::from).collect()),
        Encoding::Utf16 { is_little } => {
            let (pairs, rest) = bytes.as_chunks::<2>();
            let unit = if is_little { u16::from_le_bytes } else { u16::from_be_bytes };
            let mut text = String::with_capacity(pairs.len());
            for (at, c) in char::decode_utf16(pairs.iter().map(|pair| unit(*pair))).enumerate() {
                let fault = |_| XmlError::Encoding { name: "utf-16", at: at * 2 };
                text.push(c.map_err(fault)?);
            }
            if rest.is_empty() {
                Ok(Cow::Owned(text))
            } else {
                Err(XmlError::Encoding { name: "utf-16", at: bytes.len() })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn utf16(text: &str, unit: fn(u16) -> [u8; 2]) -> Vec<u8> {
        text.encode_utf16().flat_map(unit).collect()
    }

    #[test]
    fn marks_charsets_and_declarations_say_what_bytes_are() {
        let (le, be) = (u16::to_le_bytes, u16::to_be_bytes);
        let latin = b"<?xml version='1.0' encoding='ISO-8859-1'?><a>\xe9</a>";
        for (bytes, charset, end) in [
            (b"<a>\xc3\xa9</a>".to_vec(), None, "<a>é</a>"),
            (b"\xef\xbb\xbf<a/>".to_vec(), None, "<a/>"),
            (utf16("\u{feff}<a>é😀</a>", le), None, "<a>é😀</a>"),
            (utf16("\u{feff}<a>é😀</a>", be), None, "<a>é😀</a>"),
            (utf16("<?xml version=\"1.0\" encoding=\"UTF-16\"?><a/>", be), None, "<a/>"),
            (utf16("<a/>", le), Some("utf-16"), "<a/>"),
            (utf16("a", le), Some("utf-16le"), "a"),
            (latin.to_vec(), None, "<a>é</a>"),
            // Whoever sends it may have encoded it anew.
            ("<?xml version='1.0' encoding='latin1'?><a>é</a>".into(), Some("UTF-8"), "<a>é</a>"),
            (b"<a>\xe9</a>".to_vec(), Some("iso-8859-1"), "<a>é</a>"),
        ] {
            let read = text(&bytes, charset).unwrap();
            assert!(read.ends_with(end), "{read}");
        }
    }

    #[test]
    fn what_is_not_what_it_says_is_refused_by_name() {
        let le = u16::to_le_bytes;
        let refused = |bytes: &[u8], charset| text(bytes, charset).unwrap_err().to_string();
        assert_eq!(refused(b"<a>\xff</a>", None), "it is not utf-8 from byte 3 on");
        let declared = |name: &str| format!("<?xml version='1.0' encoding='{name}'?><a/>");
        for name in ["windows-1252", "utf-16", "x"] {
            let reason = refused(declared(name).as_bytes(), None);
            assert_eq!(reason, format!("it cannot be read as `{name}`"));
        }
        assert!(refused(&utf16("\u{feff}<a/>", le)[..7], None).contains("utf-16"));
        assert!(refused(b"\xff\xfe\x00\xd8<\x00", None).contains("utf-16"), "half a pair");
        assert!(refused(&utf16(&declared("utf-8"), le), None).contains("utf-8"));
        assert!(refused(b"<a>\xc3\xa9</a>", Some("us-ascii")).contains("us-ascii"));
    }
}
