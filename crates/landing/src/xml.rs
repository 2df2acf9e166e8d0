//! XML documents as trees, named as Spark names them when it reads XML (reference
//! `aria_itas_amperity.md` 4.6): attributes begin with `_`, the text of an element that has
//! attributes or children is `_VALUE`, siblings of one name are a list, members are in the order of
//! their names. Every leaf stays text: types are the reader's affair. Space around text is layout
//! and goes, but for what is written as CDATA.
//!
//! Called by [`crate::content`]. What is not well formed is refused: the parser checks how markup is
//! nested and written, [`character`] what it does not look at. Hostile documents are met by limits:
//! a document type is refused, so that there are no entities to expand or fetch; depth, nodes and
//! attributes are counted.

mod character;
mod encoding;

use std::collections::BTreeMap;

use quick_xml::Reader;
use quick_xml::XmlVersion;
use quick_xml::events::{BytesDecl, BytesRef, BytesStart, Event};

use character::{are_parted, is_character, is_name, is_space};

/// The deepest nesting of elements.
pub const MAX_DEPTH: usize = 64;
/// The most elements, attributes and pieces of text of a document.
pub const MAX_NODES: usize = 100_000;
/// The most attributes of one element.
pub const MAX_ATTRIBUTES: usize = 1_000;
/// The member that holds text beside other members.
const VALUE: &str = "_VALUE";

/// A part of a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// An element with text alone, or an attribute.
    Text(String),
    /// Siblings of one name.
    List(Vec<Value>),
    /// An element with attributes or children.
    Map(Vec<(String, Value)>),
}

/// Why a document is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum XmlError {
    /// It is not in the encoding that it should be in.
    #[error("it is not {name} from byte {at} on")]
    Encoding {
        /// The encoding.
        name: &'static str,
        /// From which byte on.
        at: usize,
    },
    /// It is said to be in an encoding that is not read, or that it is not in.
    #[error("it cannot be read as `{0}`")]
    Charset(String),
    /// It has a character that no document has.
    #[error("it has the character U+{0:04X}, which no document may have")]
    Character(u32),
    /// Two parts of an element would have one name.
    #[error("an element has two parts that would be called `{0}`")]
    Collision(String),
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

/// How text was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// As it is; space at its ends may be layout.
    Layout,
    /// As the number or name of a character.
    Reference,
    /// As CDATA.
    Verbatim,
}

/// A piece of text between children.
#[derive(Debug, Default)]
struct Piece {
    text: String,
    /// From where to where it is to be kept whatever it is.
    kept: Option<(usize, usize)>,
}

impl Piece {
    fn push(&mut self, text: &str, kind: Kind) {
        let from = self.text.len();
        self.text.push_str(text);
        if kind == Kind::Verbatim {
            self.kept = Some((self.kept.map_or(from, |(from, _)| from), self.text.len()));
        }
    }

    /// The text without its layout.
    fn trimmed(&self) -> &str {
        let text = self.text.as_str();
        let start = text.len() - text.trim_start_matches(is_space).len();
        let end = text.trim_end_matches(is_space).len();
        let (start, end) = match self.kept {
            Some((from, to)) => (start.min(from), end.max(to)),
            None => (start, end),
        };
        text.get(start..end).unwrap_or_default()
    }
}

/// An element being read.
#[derive(Debug, Default)]
struct Open {
    name: String,
    /// Attributes, by the names that they are given.
    attributes: BTreeMap<String, Value>,
    children: BTreeMap<String, Vec<Value>>,
    texts: Vec<Piece>,
    /// Whether the last piece goes on.
    continues: bool,
}

/// Reads a document: `{"<root>": …}`. `charset` is what it was sent with.
///
/// # Errors
/// [`XmlError`].
pub fn parse(bytes: &[u8], charset: Option<&str>) -> Result<Value, XmlError> {
    let text = encoding::text(bytes, charset)?;
    check_characters(&text)?;
    let mut reader = Reader::from_str(&text);
    reader.config_mut().expand_empty_elements = true;
    reader.config_mut().enable_all_checks(true);
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
            Event::Text(text) if text.contains("]]>") => {
                return Err(malformed("`]]>` stands in text".to_owned()));
            }
            Event::Text(text) => tree.text(&text.xml10_content(), Kind::Layout)?,
            Event::CData(text) => tree.text(&text.xml10_content(), Kind::Verbatim)?,
            Event::GeneralRef(entity) => {
                let character = resolve(&entity).ok_or(XmlError::Entity(at))?;
                check_characters(character.encode_utf8(&mut [0; 4]))?;
                tree.text(character.encode_utf8(&mut [0; 4]), Kind::Reference)?;
            }
            Event::DocType(_) => return Err(XmlError::DocType(at)),
            Event::Decl(declaration) if at > 0 || !is_sound(&declaration) => {
                return Err(malformed("the XML declaration is wrong or not at the start".into()));
            }
            Event::PI(instruction)
                if !is_name(instruction.target())
                    || instruction.target().eq_ignore_ascii_case("xml") =>
            {
                return Err(malformed("an instruction has no name".to_owned()));
            }
            Event::Comment(_) | Event::Decl(_) | Event::PI(_) => {}
            Event::Eof => return tree.finish(),
        }
    }
}

fn check_characters(text: &str) -> Result<(), XmlError> {
    match text.chars().find(|c| !is_character(*c)) {
        Some(other) => Err(XmlError::Character(other.into())),
        None => Ok(()),
    }
}

/// Whether a declaration names a version that is read (XML 1.0 2.8: any `1.` and digits).
fn is_sound(declaration: &BytesDecl<'_>) -> bool {
    let minor = declaration.version().ok();
    let minor = minor.as_deref().and_then(|version| version.strip_prefix("1."));
    minor.is_some_and(|minor| !minor.is_empty() && minor.bytes().all(|byte| byte.is_ascii_digit()))
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
        let name = start.name().0;
        if !is_name(name) || !are_parted(start) {
            return Err(Fault::Attribute("a name or an attribute is not one".to_owned()));
        }
        let mut open = Open { name: name.to_owned(), ..Open::default() };
        for (count, attribute) in start.attributes().enumerate() {
            if count >= MAX_ATTRIBUTES {
                let what = "attributes of one element";
                return Err(Fault::Of(XmlError::Limit { what, max: MAX_ATTRIBUTES }));
            }
            self.count().map_err(Fault::Of)?;
            let attribute = attribute.map_err(|error| Fault::Attribute(error.to_string()))?;
            let name = attribute.key.0;
            if !is_name(name) {
                return Err(Fault::Attribute("an attribute's name is not one".to_owned()));
            }
            // Declarations of namespaces are no data.
            if name == "xmlns" || name.starts_with("xmlns:") {
                continue;
            }
            let value = attribute.normalized_value(XmlVersion::Implicit1_0);
            let value = value.map_err(|error| Fault::Attribute(error.to_string()))?;
            check_characters(&value).map_err(Fault::Of)?;
            open.attributes.insert(format!("_{name}"), Value::Text(value.into_owned()));
        }
        if let Some(parent) = self.open.last_mut() {
            parent.continues = false;
        }
        self.open.push(open);
        Ok(())
    }

    fn text(&mut self, text: &str, kind: Kind) -> Result<(), XmlError> {
        let Some(open) = self.open.last_mut() else {
            // Between markup outside of the root there is nothing but layout.
            let is_layout = kind == Kind::Layout && text.chars().all(is_space);
            return if is_layout { Ok(()) } else { Err(XmlError::Root) };
        };
        if text.is_empty() {
            return Ok(());
        }
        if open.continues
            && let Some(last) = open.texts.last_mut()
        {
            last.push(text, kind);
            return Ok(());
        }
        let mut piece = Piece::default();
        piece.push(text, kind);
        open.texts.push(piece);
        open.continues = true;
        self.count()
    }

    fn close(&mut self) -> Result<(), XmlError> {
        let Some(open) = self.open.pop() else { return Err(XmlError::Root) };
        let (name, value) = open.end()?;
        match self.open.last_mut() {
            Some(parent) => parent.children.entry(name).or_default().push(value),
            None => self.root = Some(Value::Map(vec![(name, value)])),
        }
        Ok(())
    }

    fn finish(self) -> Result<Value, XmlError> {
        self.root.filter(|_| self.open.is_empty()).ok_or(XmlError::Root)
    }
}

impl Open {
    /// The element's name and value.
    ///
    /// Attributes, text and children are told apart by their names. Where those are the same, as of
    /// an attribute `b` and a child `_b`, no reader could: that is refused.
    fn end(self) -> Result<(String, Value), XmlError> {
        let Self { name, attributes, children, texts, .. } = self;
        let texts = texts.iter().map(Piece::trimmed).filter(|text| !text.is_empty());
        let texts: Vec<_> = texts.map(|text| Value::Text(text.to_owned())).collect();
        if attributes.is_empty() && children.is_empty() {
            let text = texts.into_iter().next();
            return Ok((name, text.unwrap_or_else(|| Value::Text(String::new()))));
        }
        let mut members = BTreeMap::new();
        let children = children.into_iter().map(|(name, values)| (name, one_or_all(values)));
        let text = (!texts.is_empty()).then(|| (VALUE.to_owned(), one_or_all(texts)));
        for (name, value) in attributes.into_iter().chain(text).chain(children) {
            if members.contains_key(&name) {
                return Err(XmlError::Collision(name));
            }
            members.insert(name, value);
        }
        Ok((name, Value::Map(members.into_iter().collect())))
    }
}

/// One value as it is, several as a list.
fn one_or_all(mut values: Vec<Value>) -> Value {
    let single = if values.len() == 1 { values.pop() } else { None };
    single.unwrap_or(Value::List(values))
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
        parse(text.as_bytes(), None).map(|value| shown(&value))
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
            ("<a><![CDATA[ b ]]></a>", json!({"a": " b "})),
            ("<a> x <![CDATA[ ]]> </a>", json!({"a": "x  "})),
            ("<a>\n<b/><![CDATA[]]>\n</a>", json!({"a": {"b": ""}})),
            ("<a>\u{a0}x\u{a0}</a>", json!({"a": "\u{a0}x\u{a0}"})),
            ("<a>x<!-- c -->y]]</a>", json!({"a": "xy]]"})),
            ("<a>]]&gt;</a>", json!({"a": "]]>"})),
            ("<a b = '1'\n\tc=\"'\" />", json!({"a": {"_b": "1", "_c": "'"}})),
            ("<a><_b>1</_b></a>", json!({"a": {"_b": "1"}})),
            ("<?xml version='1.1' standalone='yes'?>\n<?p q?><a/>\n", json!({"a": ""})),
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
        let utf16 = parse(&[&[0xFF, 0xFE][..], &utf16].concat(), None);
        assert_eq!(utf16.map(|value| shown(&value)), Ok(json!({"a": ""})));
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
            "<a\0/>",
            "<1a/>",
            "<a 1b='1'/>",
            "<a b\0='1'/>",
            "<a>]]></a>",
            "<a>\u{1}</a>",
            "<a>\u{ffff}</a>",
            "<a>&#1;</a>",
            "<a>&#xD800;</a>",
            "<a b='&#1;'/>",
            "<a b='<'/>",
            "<a b='1'c='2'/>",
            "<a b='&x;'/>",
            "<a>&</a>",
            "<a><!-- -- --></a>",
            "<a><!-- \u{1} --></a>",
            " <?xml version='1.0'?><a/>",
            "<a><?xml version='1.0'?></a>",
            "<?xml?><a/>",
            "<?xml version='2.0'?><a/>",
            "<a><?1?></a>",
            "<a/>&#32;",
            "<a/><![CDATA[ ]]>",
            "<a b='1'><_b>2</_b></a>",
            "<a>x<_VALUE>y</_VALUE></a>",
            "<a VALUE='1'>x</a>",
        ] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_judged_without_a_fault(bytes: Vec<u8>, text in "[<>/a&;='\" !\\[\\]-]{0,60}") {
            let _ = parse(&bytes, None);
            let _ = parse(text.as_bytes(), Some("utf-8"));
        }
    }
}
