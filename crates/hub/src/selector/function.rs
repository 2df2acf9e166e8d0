//! The functions a selector may call.
//!
//! Called by `parser`. Lists are nothing but what `INLIST` looks through, so they need no values of
//! their own. Where the reference takes a regular expression, a literal is taken, with what has a
//! meaning there behind a `\`.

use super::SelectorError;
use super::expression::{Expression, List};
use super::parser::{Parser, Piece};
use super::token::{Token, error};

type Parsed<T = Piece> = Result<T, SelectorError>;

const NO_MATCHER: &str =
    "regular expressions are not offered here; use `LIKE`, or a literal without special characters";

/// What has a meaning in a regular expression.
const fn is_special(character: char) -> bool {
    matches!(
        character,
        '.' | '\\' | '[' | ']' | '^' | '$' | '?' | '*' | '+' | '{' | '}' | '|' | '(' | ')'
    )
}

/// The regular expression that matches `literal` and nothing else.
pub(super) fn escaped(literal: &str) -> String {
    let mut out = String::with_capacity(literal.len());
    for character in literal.chars() {
        if is_special(character) {
            out.push('\\');
        }
        out.push(character);
    }
    out
}

/// The only text that `pattern` matches; `None` when there may be others.
fn literal(pattern: &str) -> Option<String> {
    let mut out = String::with_capacity(pattern.len());
    let mut characters = pattern.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => out.push(characters.next().filter(|next| is_special(*next))?),
            other if is_special(other) => return None,
            other => out.push(other),
        }
    }
    Some(out).filter(|out| !out.is_empty())
}

impl Parser<'_> {
    /// A call of the function `name`, whose place is `at`; the bracket is next.
    pub(super) fn call(&mut self, at: usize, name: &str) -> Parsed {
        self.expect("(")?;
        let call = match name.to_ascii_uppercase().as_str() {
            "INLIST" => self.in_list(at),
            "REPLACE" => self.replace(at),
            "REGEX" => Err(error(at, NO_MATCHER)),
            "SPLIT" | "MAKELIST" => Err(error(at, "a list can stand in `INLIST` only")),
            _ => Err(error(at, "there is no such function")),
        }?;
        self.expect(")")?;
        Ok(call)
    }

    fn in_list(&mut self, at: usize) -> Parsed {
        let (list, height) = self.list()?;
        self.expect(",")?;
        let value = self.argument()?;
        let height = height.max(value.height);
        let value = Box::new(value.expression);
        self.node(at, height, Expression::InList { list, value })
    }

    fn replace(&mut self, at: usize) -> Parsed {
        let text = self.argument()?;
        self.expect(",")?;
        let from = self.separator()?;
        self.expect(",")?;
        let (place, to) = self.text("a text in quotes")?;
        if to.contains(['$', '\\']) {
            return Err(error(place, NO_MATCHER));
        }
        let height = text.height;
        let text = Box::new(text.expression);
        self.node(at, height, Expression::Replace { text, from, to: to.into() })
    }

    /// A list with the height of its highest part.
    fn list(&mut self) -> Parsed<(List, usize)> {
        let wanted = "`SPLIT(…)` or `MAKELIST(…)`";
        let name = match &self.token {
            Token::Name(name) => name.to_ascii_uppercase(),
            _ => return Err(self.unexpected(wanted)),
        };
        if !matches!(name.as_str(), "SPLIT" | "MAKELIST") {
            return Err(self.unexpected(wanted));
        }
        self.advance()?;
        self.expect("(")?;
        let list = if name == "SPLIT" { self.split()? } else { self.make_list()? };
        self.expect(")")?;
        Ok(list)
    }

    fn split(&mut self) -> Parsed<(List, usize)> {
        let text = self.argument()?;
        self.expect(",")?;
        let separator = self.separator()?;
        let mut limit = 0;
        if self.take_sign(",")? {
            let negative = self.take_sign("-")?;
            let Token::Int(number) = self.token else {
                return Err(self.unexpected("a whole number"));
            };
            self.advance()?;
            limit = if negative { -number } else { number };
        }
        let list = List::Split { text: Box::new(text.expression), separator, limit };
        Ok((list, text.height))
    }

    fn make_list(&mut self) -> Parsed<(List, usize)> {
        let (mut values, mut height) = (Vec::new(), 0);
        loop {
            let value = self.argument()?;
            height = height.max(value.height);
            values.push(value.expression);
            if !self.take_sign(",")? {
                return Ok((List::Of(values), height));
            }
        }
    }

    fn argument(&mut self) -> Parsed {
        self.nested(self.at, Self::any)
    }

    fn separator(&mut self) -> Parsed<Box<str>> {
        let (at, pattern) = self.text("a text in quotes")?;
        let literal = literal(&pattern).ok_or_else(|| error(at, NO_MATCHER))?;
        Ok(literal.into())
    }
}
