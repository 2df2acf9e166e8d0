//! Walking JSON that was checked before: stored lines, and texts that passed [`super::check`].
//!
//! Called by filters and faces. Where an object repeats a name the last one counts, as it does for
//! nearly every JSON reader that gets the event later.

use super::scan::skip_plain;
use super::{Number, Raw};

/// The text of one checked JSON value, without white space around it.
#[derive(Debug, Clone, Copy)]
pub struct Value<'a>(&'a [u8]);

/// What a value is.
#[derive(Debug, Clone, Copy)]
pub enum Kind<'a> {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number.
    Number(Number<'a>),
    /// A string.
    String(Raw<'a>),
    /// An array; see [`Value::elements`].
    Array,
    /// An object; see [`Value::members`].
    Object,
}

impl<'a> Value<'a> {
    /// Takes `text` as a checked value.
    #[must_use]
    pub const fn new(text: &'a [u8]) -> Self {
        Self(text.trim_ascii())
    }

    /// The text.
    #[must_use]
    pub const fn text(self) -> &'a [u8] {
        self.0
    }

    /// What it is.
    #[must_use]
    pub fn kind(self) -> Kind<'a> {
        match self.0 {
            [b'"', raw @ .., b'"'] => Kind::String(Raw::new(raw)),
            [b'{', ..] => Kind::Object,
            [b'[', ..] => Kind::Array,
            [b't', ..] => Kind::Bool(true),
            [b'f', ..] => Kind::Bool(false),
            [b'-' | b'0'..=b'9', ..] => Kind::Number(Number::new(self.0)),
            _ => Kind::Null,
        }
    }

    /// The string it is.
    #[must_use]
    pub fn as_string(self) -> Option<Raw<'a>> {
        if let Kind::String(raw) = self.kind() { Some(raw) } else { None }
    }

    /// The number it is.
    #[must_use]
    pub fn as_number(self) -> Option<Number<'a>> {
        if let Kind::Number(number) = self.kind() { Some(number) } else { None }
    }

    /// The boolean it is.
    #[must_use]
    pub fn as_bool(self) -> Option<bool> {
        if let Kind::Bool(value) = self.kind() { Some(value) } else { None }
    }

    /// The members of an object, in order; none of anything else.
    #[must_use]
    pub fn members(self) -> Members<'a> {
        Members(Walk { text: if self.0.first() == Some(&b'{') { self.0 } else { &[] }, at: 1 })
    }

    /// The elements of an array, in order; none of anything else.
    #[must_use]
    pub fn elements(self) -> Elements<'a> {
        Elements(Walk { text: if self.0.first() == Some(&b'[') { self.0 } else { &[] }, at: 1 })
    }

    /// The last member called `name`.
    #[must_use]
    pub fn get(self, name: &[u8]) -> Option<Self> {
        self.members().called(name)
    }
}

/// See [`Value::members`].
#[derive(Debug, Clone)]
pub struct Members<'a>(Walk<'a>);

impl<'a> Members<'a> {
    /// The members of an object's text that starts between two of them.
    #[must_use]
    pub const fn inside(text: &'a [u8]) -> Self {
        Self(Walk { text, at: 0 })
    }

    /// The last of them called `name`.
    #[must_use]
    pub fn called(self, name: &[u8]) -> Option<Value<'a>> {
        self.filter(|(member, _)| member.is(name)).last().map(|(_, value)| value)
    }
}

impl<'a> Iterator for Members<'a> {
    type Item = (Raw<'a>, Value<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        self.0.separator();
        if self.0.peek() != Some(b'"') {
            return None;
        }
        let name = self.0.item();
        self.0.separator();
        let value = self.0.item();
        if value.is_empty() {
            return None;
        }
        let raw = name.get(1..name.len().saturating_sub(1)).unwrap_or_default();
        Some((Raw::new(raw), Value(value)))
    }
}

/// See [`Value::elements`].
#[derive(Debug, Clone)]
pub struct Elements<'a>(Walk<'a>);

impl<'a> Iterator for Elements<'a> {
    type Item = Value<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.separator();
        let value = self.0.item();
        (!value.is_empty()).then_some(Value(value))
    }
}

/// A place inside a container.
#[derive(Debug, Clone)]
struct Walk<'a> {
    text: &'a [u8],
    at: usize,
}

impl<'a> Walk<'a> {
    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    /// Steps over white space, commas and colons.
    fn separator(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r' | b',' | b':') = self.peek() {
            self.at += 1;
        }
    }

    /// Steps over one value; empty at the container's end.
    fn item(&mut self) -> &'a [u8] {
        let start = self.at;
        match self.peek() {
            Some(b'"') => self.skip_string(),
            Some(b'{' | b'[') => self.skip_container(),
            Some(_) => {
                while let Some(byte) = self.peek()
                    && !matches!(byte, b',' | b'}' | b']' | b' ' | b'\t' | b'\n' | b'\r')
                {
                    self.at += 1;
                }
            }
            None => {}
        }
        self.text.get(start..self.at.min(self.text.len())).unwrap_or_default()
    }

    fn skip_string(&mut self) {
        self.at += 1;
        loop {
            self.at = skip_plain(self.text, self.at);
            self.at += match self.peek() {
                Some(b'"') => break self.at += 1,
                Some(b'\\') => 2,
                Some(_) => 1,
                None => break self.at = self.text.len(),
            };
        }
    }

    fn skip_container(&mut self) {
        let mut depth = 0_usize;
        while let Some(byte) = self.peek() {
            match byte {
                b'"' => {
                    self.skip_string();
                    continue;
                }
                b'{' | b'[' => depth += 1,
                b'}' | b']' => depth = depth.saturating_sub(1),
                _ => {}
            }
            self.at += 1;
            if depth == 0 {
                return;
            }
        }
    }
}
