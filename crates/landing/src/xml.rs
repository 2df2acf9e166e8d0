//! XML documents as trees, named as Spark names them when it reads XML (reference
//! `aria_itas_amperity.md` 4.6): attributes begin with `_`, the text of an element that has
//! attributes or children is `_VALUE`, siblings of one name are a list, members are in the order of
//! their names. Every leaf stays text: types are the reader's affair.
//!
//! Called by [`crate::content`]. Hostile documents are met by limits: a document type is refused, so
//! that there are no entities to expand or fetch; depth, nodes and attributes are counted.

use std::collections::BTreeMap;

use quick_xml::Reader;
use quick_xml::XmlVersion;
use quick_xml::events::{BytesRef, BytesStart, Event};

/// The deepest nesting of elements.
pub(crate) const MAX_DEPTH: usize = 64;
/// The most elements, attributes and pieces of text of a document.
pub(crate) const MAX_NODES: usize = 100_000;
/// The most attributes of one element.
pub(crate) const MAX_ATTRIBUTES: usize = 1_000;
/// The member that holds text beside other members.
const VALUE: &str = "_VALUE";

/// A part of a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Value {
    /// An element with text alone, or an attribute.
    Text(String),
    /// Siblings of one name.
    List(Vec<Value>),
    /// An element with attributes or children.
    Map(Vec<(String, Value)>),
}

/// Why a document is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum XmlError {
    /// It is not UTF-8.
    #[error("it is not utf-8 from byte {0} on")]
    Encoding(usize),
    /// It is not well formed.
    #[error("byte {at}: {reason}")]
    Malformed {
        /// The byte after which it is not.
        at: u64,
        /// What the parser says.
        reason: String,
    },
    /// It has a document type, which could define entities.
    #[error("byte {0}: it has a document type")]
    DocType(u64),
    /// It refers to an entity that is not one of the five.
    #[error("byte {0}: it refers to an entity that is not defined")]
    Entity(u64),
    /// It is too large in some way.
    #[error("it has more than {max} {what}")]
    Limit {
        /// Of what.
        what: &'static str,
        /// The limit.
        max: usize,
    },
    /// It does not have exactly one root.
    #[error("it does not have one root element")]
    Root,
}

/// An element being read.
#[derive(Debug, Default)]
struct Open {
    name: String,
    members: BTreeMap<String, Vec<Value>>,
    /// Pieces of text between its children.
    texts: Vec<String>,
    /// Whether the last piece goes on.
    continues: bool,
}

/// Reads a document: `{"<root>": …}`.
///
/// # Errors
/// [`XmlError`].
pub(crate) fn parse(bytes: &[u8]) -> Result<Value, XmlError> {
    let text =
        std::str::from_utf8(bytes).map_err(|error| XmlError::Encoding(error.valid_up_to()))?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut reader = Reader::from_str(text);
    reader.config_mut().expand_empty_elements = true;
    let mut tree = Tree::default();
    loop {
        let at = reader.buffer_position();
        let malformed = |reason: String| XmlError::Malformed { at, reason };
        match reader.read_event().map_err(|error| malformed(error.to_string()))? {
            Event::Start(start) => tree.open(&start).map_err(|fault| fault.at(at))?,
            Event::Empty(start) => {
                tree.open(&start).map_err(|fault| fault.at(at))?;
                tree.close()?;
            }
            Event::End(_) => tree.close()?,
            Event::Text(text) => tree.text(&text.xml10_content())?,
            Event::CData(text) => tree.text(&text.xml10_content())?,
            Event::GeneralRef(entity) => {
                let character = resolve(&entity).ok_or(XmlError::Entity(at))?;
                tree.text(character.encode_utf8(&mut [0; 4]))?;
            }
            Event::DocType(_) => return Err(XmlError::DocType(at)),
            Event::Comment(_) | Event::Decl(_) | Event::PI(_) => {}
            Event::Eof => return tree.finish(),
        }
    }
}

/// The character of a reference: by number, or one of the five names (XML 1.0 4.6).
fn resolve(entity: &BytesRef<'_>) -> Option<char> {
    if entity.is_char_ref() {
        return entity.resolve_char_ref().ok().flatten();
    }
    match &*entity.xml10_content() {
        "amp" => Some('&'),
        "lt" => Some('<'),
        "gt" => Some('>'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        _ => None,
    }
}

/// A fault of a start tag, whose place its caller knows.
enum Fault {
    Attribute(String),
    Of(XmlError),
}

impl Fault {
    fn at(self, at: u64) -> XmlError {
        match self {
            Self::Attribute(reason) => XmlError::Malformed { at, reason },
            Self::Of(error) => error,
        }
    }
}

/// The document as far as it was read: no recursion, so a deep one costs no stack.
#[derive(Debug, Default)]
struct Tree {
    open: Vec<Open>,
    root: Option<Value>,
    nodes: usize,
}

impl Tree {
    fn count(&mut self) -> Result<(), XmlError> {
        self.nodes += 1;
        let max = MAX_NODES;
        if self.nodes > max { Err(XmlError::Limit { what: "nodes", max }) } else { Ok(()) }
    }

    fn open(&mut self, start: &BytesStart<'_>) -> Result<(), Fault> {
        if self.open.is_empty() && self.root.is_some() {
            return Err(Fault::Of(XmlError::Root));
        }
        if self.open.len() >= MAX_DEPTH {
            return Err(Fault::Of(XmlError::Limit { what: "levels", max: MAX_DEPTH }));
        }
        self.count().map_err(Fault::Of)?;
        let mut open = Open { name: start.name().0.to_owned(), ..Open::default() };
        for (count, attribute) in start.attributes().enumerate() {
            if count >= MAX_ATTRIBUTES {
                let what = "attributes of one element";
                return Err(Fault::Of(XmlError::Limit { what, max: MAX_ATTRIBUTES }));
            }
            self.count().map_err(Fault::Of)?;
            let attribute = attribute.map_err(|error| Fault::Attribute(error.to_string()))?;
            let name = attribute.key.0;
            // Declarations of namespaces are no data.
            if name == "xmlns" || name.starts_with("xmlns:") {
                continue;
            }
            let value = attribute.normalized_value(XmlVersion::Implicit1_0);
            let value = value.map_err(|error| Fault::Attribute(error.to_string()))?;
            let value = Value::Text(value.into_owned());
            open.members.entry(format!("_{name}")).or_default().push(value);
        }
        if let Some(parent) = self.open.last_mut() {
            parent.continues = false;
        }
        self.open.push(open);
        Ok(())
    }

    fn text(&mut self, text: &str) -> Result<(), XmlError> {
        if text.is_empty() {
            return Ok(());
        }
        let Some(open) = self.open.last_mut() else {
            return if text.trim().is_empty() { Ok(()) } else { Err(XmlError::Root) };
        };
        if open.continues
            && let Some(last) = open.texts.last_mut()
        {
            last.push_str(text);
            return Ok(());
        }
        open.texts.push(text.to_owned());
        open.continues = true;
        self.count()
    }

    fn close(&mut self) -> Result<(), XmlError> {
        let Some(open) = self.open.pop() else { return Err(XmlError::Root) };
        let (name, value) = open.end();
        match self.open.last_mut() {
            Some(parent) => parent.members.entry(name).or_default().push(value),
            None => self.root = Some(Value::Map(vec![(name, value)])),
        }
        Ok(())
    }

    fn finish(self) -> Result<Value, XmlError> {
        self.root.filter(|_| self.open.is_empty()).ok_or(XmlError::Root)
    }
}

impl Open {
    /// The element's name and value. Space around text is the writer's layout and goes.
    fn end(self) -> (String, Value) {
        let Self { name, mut members, texts, .. } = self;
        let texts = texts.iter().map(|text| text.trim()).filter(|text| !text.is_empty());
        let mut texts: Vec<_> = texts.map(|text| Value::Text(text.to_owned())).collect();
        if members.is_empty() {
            // Comments part text, too; without children its pieces are one.
            let pieces = texts.iter().map(|text| match text {
                Value::Text(text) => text.as_str(),
                Value::List(_) | Value::Map(_) => "",
            });
            return (name, Value::Text(pieces.collect()));
        }
        if !texts.is_empty() {
            members.entry(VALUE.to_owned()).or_default().append(&mut texts);
        }
        let one = |(name, mut values): (String, Vec<Value>)| {
            let single = if values.len() == 1 { values.pop() } else { None };
            (name, single.unwrap_or(Value::List(values)))
        };
        (name, Value::Map(members.into_iter().map(one).collect()))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value as Json, json};

    use super::*;

    fn shown(value: &Value) -> Json {
        match value {
            Value::Text(text) => json!(text),
            Value::List(items) => items.iter().map(shown).collect(),
            Value::Map(members) => {
                members.iter().map(|(name, value)| (name.clone(), shown(value))).collect()
            }
        }
    }

    fn read(text: &str) -> Result<Json, XmlError> {
        parse(text.as_bytes()).map(|value| shown(&value))
    }

    #[test]
    fn the_documents_of_the_seed_are_named_as_spark_names_them() {
        let seed = "<records>\n<record>\n<field1>value1</field1>\n</record>\n<record>\n<field1>value2</field1>\n</record>\n</records>\n";
        let expected = json!({"records": {"record": [{"field1": "value1"}, {"field1": "value2"}]}});
        assert_eq!(read(seed), Ok(expected));
        for (text, expected) in [
            ("<a/>", json!({"a": ""})),
            ("<a> x </a>", json!({"a": "x"})),
            ("<a b='1'/>", json!({"a": {"_b": "1"}})),
            ("<a b='1'>x</a>", json!({"a": {"_VALUE": "x", "_b": "1"}})),
            ("<a><z/><b>1</b><z/></a>", json!({"a": {"b": "1", "z": ["", ""]}})),
            ("<a>x<b/>y</a>", json!({"a": {"_VALUE": ["x", "y"], "b": ""}})),
            ("<n:a xmlns:n='u'><n:b>1</n:b></n:a>", json!({"n:a": {"n:b": "1"}})),
            ("<?xml version='1.0'?><!-- c --><a>01.50</a>", json!({"a": "01.50"})),
            ("<a>&lt;&#65;&amp;<![CDATA[<b>]]></a>", json!({"a": "<A&<b>"})),
            ("\u{feff}<é ü='&gt;'>ß</é>", json!({"é": {"_VALUE": "ß", "_ü": ">"}})),
        ] {
            assert_eq!(read(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn hostile_documents_are_refused() {
        let laughs = "<!DOCTYPE a [<!ENTITY b \"x\">]><a>&b;</a>";
        assert!(matches!(read(laughs), Err(XmlError::DocType(0))));
        assert!(matches!(read("<a>&b;</a>"), Err(XmlError::Entity(_))));
        let deep = |depth: usize| format!("{}{}", "<a>".repeat(depth), "</a>".repeat(depth));
        assert!(read(&deep(MAX_DEPTH)).is_ok());
        assert!(matches!(read(&deep(200_000)), Err(XmlError::Limit { what: "levels", .. })));
        let wide = format!("<a>{}</a>", "<b/>".repeat(MAX_NODES));
        assert!(matches!(read(&wide), Err(XmlError::Limit { what: "nodes", .. })));
        let many: String = (0..=MAX_ATTRIBUTES).map(|n| format!(" a{n}='1'")).collect();
        assert!(matches!(read(&format!("<a{many}/>")), Err(XmlError::Limit { .. })));
        let utf16: Vec<u8> = "<a/>".encode_utf16().flat_map(u16::to_le_bytes).collect();
        assert_eq!(parse(&[&[0xFF, 0xFE][..], &utf16].concat()), Err(XmlError::Encoding(0)));
        for wrong in [
            "",
            " ",
            "x",
            "<a>",
            "</a>",
            "<a></b>",
            "<a/><b/>",
            "<a/>x",
            "<a b/>",
            "<a b='1' b='2'/>",
            "<a>&#0;</a>",
        ] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_judged_without_a_fault(bytes: Vec<u8>, text in "[<>/a&;='\" !\\[\\]-]{0,60}") {
            let _ = parse(&bytes);
            let _ = parse(text.as_bytes());
        }
    }
}
