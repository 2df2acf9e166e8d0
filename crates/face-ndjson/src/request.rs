//! Reading the request body: strict JSON, every fault named with its place.
//!
//! The content type is not looked at (rule 13) and an empty body is `{}` (rule 12). Values keep their
//! text here; [`crate::translate`] gives them their meaning.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::error::Refusal;

/// The members of a request body, each as its JSON text; none is there twice.
#[derive(Debug, Default)]
pub struct Body<'a> {
    /// `start`.
    pub start: Option<&'a RawValue>,
    /// `resume_offset`.
    pub resume_offset: Option<&'a RawValue>,
    /// `filters`.
    pub filters: Option<&'a RawValue>,
    /// `subset`.
    pub subset: Option<&'a RawValue>,
    /// `enable_offset_updates`.
    pub enable_offset_updates: Option<&'a RawValue>,
    /// `start_time`, our extension.
    pub start_time: Option<&'a RawValue>,
    /// `cursor`, our extension.
    pub cursor: Option<&'a RawValue>,
}

impl<'a> Body<'a> {
    /// Reads the bytes of a body.
    ///
    /// # Errors
    /// 400 that names the byte, counted from 0, or the member.
    pub fn read(bytes: &'a [u8]) -> Result<Self, Refusal> {
        let mut body = Self::default();
        if bytes.trim_ascii().is_empty() {
            return Ok(body);
        }
        for (name, value) in members(bytes)? {
            let place = match &*name {
                "start" => &mut body.start,
                "resume_offset" => &mut body.resume_offset,
                "filters" => &mut body.filters,
                "subset" => &mut body.subset,
                "enable_offset_updates" => &mut body.enable_offset_updates,
                "start_time" => &mut body.start_time,
                "cursor" => &mut body.cursor,
                _ => {
                    return Err(Refusal::malformed(format!(
                        "unknown attribute `{}`",
                        shown(&name)
                    )));
                }
            };
            if place.replace(value).is_some() {
                return Err(Refusal::malformed(format!("attribute `{name}` comes twice")));
            }
        }
        Ok(body)
    }
}

/// The members of the JSON object `bytes`, in order, repeated ones included.
fn members(bytes: &[u8]) -> Result<Vec<(Cow<'_, str>, &RawValue)>, Refusal> {
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let at = error.valid_up_to();
        match error.error_len() {
            Some(_) => Refusal::malformed(format!("the body is not valid UTF-8 at byte {at}")),
            None => cut_short(bytes),
        }
    })?;
    match serde_json::from_str::<Members<'_>>(text) {
        Ok(members) => Ok(members.0),
        Err(error) if error.is_eof() => Err(cut_short(bytes)),
        // Another value than an object.
        Err(error) if error.is_data() && !text.trim_start().starts_with('{') => {
            Err(Refusal::malformed("the body must be a JSON object"))
        }
        Err(error) => {
            let at = byte_of(text, error.line(), error.column());
            let reason = error.to_string();
            let reason = reason.split(" at line ").next().unwrap_or_default();
            Err(Refusal::malformed(format!("the body is not valid JSON at byte {at}: {reason}")))
        }
    }
}

/// The answer to a body that ends too early. Node's client counts characters for Content-Length, so
/// that a body with others than ASCII loses its end (reference 4): say so.
fn cut_short(bytes: &[u8]) -> Refusal {
    let mut detail =
        format!("the body is not valid JSON at byte {}: it ends too early", bytes.len());
    if !bytes.is_ascii() {
        detail.push_str(
            "; it holds non-ASCII characters, and a client that counts characters instead of bytes for \
             Content-Length cuts such a body short: write them as \\u escapes",
        );
    }
    Refusal::malformed(detail)
}

/// The position, counted from 0, of a 1-based line and column in bytes.
fn byte_of(text: &str, line: usize, column: usize) -> usize {
    let before: usize = text.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum();
    (before + column.saturating_sub(1)).min(text.len())
}

/// A name from outside, cut and without what would confuse a reader of the message.
pub(crate) fn shown(name: &str) -> String {
    name.chars().take(64).map(|c| if c.is_control() || c == '`' { '?' } else { c }).collect()
}

struct Members<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(name) = map.next_key::<Name<'de>>()? {
                    members.push((name.0, map.next_value()?));
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Object)
    }
}

/// A member's name, borrowed where it has no escapes.
struct Name<'a>(Cow<'a, str>);

impl<'de> Deserialize<'de> for Name<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl<'de> Visitor<'de> for Text {
            type Value = Name<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Name(text.into()))
            }

            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Name(text.to_owned().into()))
            }
        }
        deserializer.deserialize_str(Text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(body: &str) -> String {
        Body::read(body.as_bytes()).unwrap_err().detail
    }

    #[test]
    fn nothing_and_an_empty_object_are_the_same() {
        for body in ["", " \r\n", "{}", " { } "] {
            assert!(Body::read(body.as_bytes()).unwrap().start.is_none(), "{body:?}");
        }
    }

    #[test]
    fn every_fault_names_its_place() {
        assert_eq!(
            fault("{\"start\":\"LATEST\",}"),
            "the body is not valid JSON at byte 18: trailing comma"
        );
        assert_eq!(
            fault("{\n \"start\" \"x\"}"),
            "the body is not valid JSON at byte 11: expected `:`"
        );
        assert_eq!(fault("{\"start\""), "the body is not valid JSON at byte 8: it ends too early");
        assert_eq!(fault("{\"from\":1}"), "unknown attribute `from`");
        assert_eq!(fault("{\"start\":1,\"start\":2}"), "attribute `start` comes twice");
        for other in ["[]", "null", "\"x\"", " 7"] {
            assert_eq!(fault(other), "the body must be a JSON object", "{other}");
        }
        assert!(fault("{} {}").contains("at byte 3: trailing characters"), "{}", fault("{} {}"));
        let bad = Body::read(b"{\"start\":\"\xff\"}").unwrap_err().detail;
        assert_eq!(bad, "the body is not valid UTF-8 at byte 10");
    }

    #[test]
    fn a_body_cut_by_node_is_explained() {
        let whole = "{\"filters\":[{\"devices\":[{\"named_user_id\":\"Zoë\"}]}]}";
        let cut = whole.chars().count();
        assert!(fault(&whole[..cut]).contains("write them as \\u escapes"));
        let mut inside = whole.as_bytes()[..whole.find('ë').unwrap() + 1].to_vec();
        assert!(Body::read(&inside).unwrap_err().detail.contains("\\u escapes"));
        inside.truncate(10);
        assert!(!Body::read(&inside).unwrap_err().detail.contains("\\u escapes"));
    }
}
