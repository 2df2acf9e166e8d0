//! Typed properties as headers, which are texts, and back.
//!
//! [`TYPES`] keeps the types of those that are no texts: `i:count;d:price`, a letter,
//! a colon and the header's name, with semicolons between them.

use std::borrow::Cow;
use std::fmt::Write;

use bytes::Bytes;
use outflow_broker::letter::{Header, TYPES};

use crate::error::Failure;
use crate::wire::primitive::{self, Map, Primitive};

/// What stands before the name of a property that is also the name of a header of ours.
const PREFIX: &str = outflow_hub::subscription::headers::PROPERTY;

/// The headers that say what no property says.
const TAKEN: [&str; 15] = [
    "type",
    "priority",
    "persistent",
    "correlation-id",
    "reply-to",
    "destination",
    "message-id",
    "timestamp",
    "expires",
    "content-length",
    "amq-msg-type",
    "receipt",
    "transaction",
    "JMSXGroupSeq",
    "JMSXUserID",
];

/// How many properties a message may have.
const MAX_PROPERTIES: usize = 1_000;

/// Appends the headers that the properties `map` are.
///
/// # Errors
/// [`Failure`] when they cannot be read, or one has a type that no header can hold.
pub(super) fn read(map: &Bytes, headers: &mut Vec<Header<'_>>) -> Result<(), Failure> {
    let map = primitive::read_map(map)
        .map_err(|error| Failure::malformed(format!("The properties are malformed: {error}")))?;
    let Some(map) = map else { return Ok(()) };
    if map.len() > MAX_PROPERTIES {
        let most = format!("A message may have at most {MAX_PROPERTIES} properties");
        return Err(Failure::malformed(most));
    }
    let mut types = String::new();
    for (name, value) in map {
        let (letter, text) = match value {
            Primitive::Null => continue,
            Primitive::Text(text) => ("", text.to_string()),
            Primitive::Bool(value) => ("z", value.to_string()),
            Primitive::Byte(value) => ("b", value.to_string()),
            Primitive::Short(value) => ("s", value.to_string()),
            Primitive::Int(value) => ("i", value.to_string()),
            Primitive::Long(value) => ("l", value.to_string()),
            Primitive::Float(value) => ("f", value.to_string()),
            Primitive::Double(value) => ("d", value.to_string()),
            Primitive::Char(unit) => ("c", unit.to_string()),
            Primitive::Bytes(_) | Primitive::Map(_) | Primitive::List(_) => {
                let message = format!("The property {name} is neither a text nor a number");
                return Err(Failure::malformed(message));
            }
        };
        let is_taken = name.starts_with("outflow-") || TAKEN.contains(&&*name);
        let name = if is_taken { [PREFIX, &*name].concat() } else { name.to_string() };
        if !letter.is_empty() && !name.contains(';') {
            let separator = if types.is_empty() { "" } else { ";" };
            // Writing to a string does not fail.
            let _ = write!(types, "{separator}{letter}:{name}");
        }
        headers.push((name.into(), text.into()));
    }
    if !types.is_empty() {
        headers.push((TYPES.into(), types.into()));
    }
    Ok(())
}

/// The properties of a message that is being written.
#[derive(Debug, Default)]
pub(super) struct Properties<'a> {
    types: Option<Cow<'a, str>>,
    map: Vec<(Cow<'a, str>, Primitive)>,
}

impl<'a> Properties<'a> {
    /// Takes what [`TYPES`] says.
    pub(super) fn types(&mut self, types: Cow<'a, str>) {
        self.types = Some(types);
    }

    /// Adds a text.
    pub(super) fn text(&mut self, name: Cow<'a, str>, value: Cow<'a, str>) {
        self.map.push((name, Primitive::Text(value.into())));
    }

    /// Adds the property that a header is; the first of a name counts.
    pub(super) fn push(&mut self, header: Cow<'a, str>, value: Cow<'a, str>) {
        let letter = self.types.as_deref().and_then(|types| {
            let mut types = types.split(';').filter_map(|one| one.split_once(':'));
            types.find(|(_, name)| *name == header).map(|(letter, _)| letter)
        });
        let typed = letter.and_then(|letter| typed(letter, &value));
        let name = match header.strip_prefix(PREFIX) {
            Some(name) => Cow::Owned(name.to_owned()),
            None => header,
        };
        if !self.map.iter().any(|(known, _)| *known == name) {
            self.map.push((name, typed.unwrap_or_else(|| Primitive::Text(value.into()))));
        }
    }

    /// As messages have them; `None`: there are none.
    pub(super) fn into_bytes(self) -> Option<Bytes> {
        if self.map.is_empty() {
            return None;
        }
        let map: Map = self.map.into_iter().map(|(name, value)| (name.into(), value)).collect();
        primitive::write_map(&map).ok()
    }
}

/// The value of a property that is no text; `None`: it is none of its type.
fn typed(letter: &str, text: &str) -> Option<Primitive> {
    Some(match letter {
        "z" => Primitive::Bool(text.parse().ok()?),
        "b" => Primitive::Byte(text.parse().ok()?),
        "s" => Primitive::Short(text.parse().ok()?),
        "i" => Primitive::Int(text.parse().ok()?),
        "l" => Primitive::Long(text.parse().ok()?),
        "f" => Primitive::Float(text.parse().ok()?),
        "d" => Primitive::Double(text.parse().ok()?),
        "c" => Primitive::Char(text.parse().ok()?),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What becomes of properties on their way through an event's headers.
    fn through(map: &Map) -> Map {
        let mut headers = Vec::new();
        read(&primitive::write_map(map).unwrap(), &mut headers).unwrap();
        let mut properties = Properties::default();
        if let Some((_, types)) = headers.iter().find(|(name, _)| name == TYPES) {
            properties.types(types.clone());
        }
        for (name, value) in headers.into_iter().filter(|(name, _)| name != TYPES) {
            properties.push(name, value);
        }
        let bytes = properties.into_bytes();
        bytes.map(|bytes| primitive::read_map(&bytes).unwrap().unwrap()).unwrap_or_default()
    }

    #[test]
    fn properties_keep_their_types_and_names() {
        let map: Map = vec![
            ("text".into(), Primitive::Text("5".into())),
            ("yes".into(), Primitive::Bool(true)),
            ("byte".into(), Primitive::Byte(-3)),
            ("short".into(), Primitive::Short(300)),
            ("int".into(), Primitive::Int(5)),
            ("long".into(), Primitive::Long(1 << 40)),
            ("float".into(), Primitive::Float(2.5)),
            ("double".into(), Primitive::Double(0.1)),
            ("char".into(), Primitive::Char(0x20AC)),
            ("type".into(), Primitive::Text("a header's name".into())),
            ("outflow-expires".into(), Primitive::Int(7)),
        ];
        assert_eq!(through(&map), map);
        assert_eq!(through(&Map::new()), Map::new());
    }

    #[test]
    fn a_property_that_is_no_text_or_number_is_refused() {
        let map: Map = vec![("list".into(), Primitive::List(Vec::new()))];
        let mut headers = Vec::new();
        let refused = read(&primitive::write_map(&map).unwrap(), &mut headers).unwrap_err();
        assert!(refused.message.contains("list"), "{refused}");
    }
}
