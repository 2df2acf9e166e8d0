//! The words of a selector: names, literals, signs, and what lies between them.
//!
//! Called by `parser`. Invariant: every token is a part of the text, and the position given is
//! where it begins.

use std::borrow::Cow;

use super::SelectorError;

/// A reserved word, in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Word {
    Not,
    And,
    Or,
    Between,
    Like,
    Escape,
    In,
    Is,
    True,
    False,
    Null,
    XPath,
    XQuery,
}

const WORDS: [(&str, Word); 13] = [
    ("NOT", Word::Not),
    ("AND", Word::And),
    ("OR", Word::Or),
    ("BETWEEN", Word::Between),
    ("LIKE", Word::Like),
    ("ESCAPE", Word::Escape),
    ("IN", Word::In),
    ("IS", Word::Is),
    ("TRUE", Word::True),
    ("FALSE", Word::False),
    ("NULL", Word::Null),
    ("XPATH", Word::XPath),
    ("XQUERY", Word::XQuery),
];

/// The signs; of two that begin alike the longer stands first.
const SIGNS: [&str; 14] = ["<>", "<=", ">=", "=", "<", ">", "(", ")", ",", "+", "-", "*", "/", "%"];

/// One word.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Token<'a> {
    Word(Word),
    Name(Cow<'a, str>),
    Text(Cow<'a, str>),
    Int(i64),
    Float(f64),
    Sign(&'static str),
    End,
}

/// Whether `name` can be written without quotes.
pub(super) fn is_plain_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes.next().is_some_and(|byte| is_name_byte(byte) && !byte.is_ascii_digit())
        && bytes.all(is_name_byte)
        && reserved(name).is_none()
}

fn reserved(name: &str) -> Option<Word> {
    WORDS.iter().find(|(text, _)| text.eq_ignore_ascii_case(name)).map(|&(_, word)| word)
}

const fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$')
}

/// Reads tokens one by one.
pub(super) struct Lexer<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Lexer<'a> {
    /// Begins at byte `at` of `text`.
    pub(super) const fn new(text: &'a str, at: usize) -> Self {
        Self { text, at }
    }

    /// The next token with its place.
    pub(super) fn next(&mut self) -> Result<(usize, Token<'a>), SelectorError> {
        self.skip()?;
        let at = self.at;
        let Some(first) = self.rest().bytes().next() else { return Ok((at, Token::End)) };
        let token = match first {
            b'\'' => Token::Text(self.quoted('\'', "the text has no closing quote")?),
            b'"' => match self.quoted('"', "the name has no closing quote")? {
                name if name.is_empty() => return Err(error(at, "a name may not be empty")),
                name => Token::Name(name),
            },
            b'0'..=b'9' => self.number()?,
            b'.' if self.rest().as_bytes().get(1).is_some_and(u8::is_ascii_digit) => {
                self.number()?
            }
            byte if is_name_byte(byte) => {
                let name = self.take_while(is_name_byte);
                reserved(name).map_or(Token::Name(Cow::Borrowed(name)), Token::Word)
            }
            _ => self.sign()?,
        };
        Ok((at, token))
    }

    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn take_while(&mut self, wanted: impl Fn(u8) -> bool) -> &'a str {
        let rest = self.rest();
        let len = rest.bytes().position(|byte| !wanted(byte)).unwrap_or(rest.len());
        self.at += len;
        rest.get(..len).unwrap_or_default()
    }

    /// Passes over white space and comments.
    fn skip(&mut self) -> Result<(), SelectorError> {
        loop {
            self.take_while(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | b'\x0c'));
            if self.rest().starts_with("--") {
                self.take_while(|byte| !matches!(byte, b'\n' | b'\r'));
            } else if let Some(comment) = self.rest().strip_prefix("/*") {
                let end = comment.find("*/");
                let end = end.ok_or_else(|| error(self.at, "the comment has no end"))?;
                self.at += 2 + end + 2;
            } else {
                return Ok(());
            }
        }
    }

    /// What stands between quotes; the quote itself is written twice.
    fn quoted(&mut self, quote: char, unclosed: &str) -> Result<Cow<'a, str>, SelectorError> {
        let start = self.at + 1;
        let mut end = start;
        loop {
            let rest = self.text.get(end..).unwrap_or_default();
            let found = rest.find(quote).ok_or_else(|| error(self.at, unclosed))?;
            end += found;
            if !rest.get(found + 1..).is_some_and(|more| more.starts_with(quote)) {
                break;
            }
            end += 2;
        }
        self.at = end + 1;
        let inside = self.text.get(start..end).unwrap_or_default();
        if inside.contains(quote) {
            let (twice, once) = (String::from_iter([quote, quote]), quote.to_string());
            return Ok(Cow::Owned(inside.replace(&twice, &once)));
        }
        Ok(Cow::Borrowed(inside))
    }

    fn number(&mut self) -> Result<Token<'a>, SelectorError> {
        let at = self.at;
        let literal = self.literal();
        // `12abc` is neither a number nor a name.
        if self.rest().bytes().next().is_some_and(|byte| is_name_byte(byte) || byte == b'.') {
            return Err(error(self.at, "this does not belong to a number"));
        }
        if literal.bytes().any(|byte| matches!(byte, b'.' | b'e' | b'E')) && !is_hex(literal) {
            return float(at, literal);
        }
        let whole = |digits: &str, radix| {
            i64::from_str_radix(digits, radix).map(Token::Int).map_err(|_| {
                let kind = if radix == 8 { "octal" } else { "hexadecimal" };
                error(at, &format!("this is no {kind} number of 63 bits"))
            })
        };
        if is_hex(literal) {
            return whole(literal.get(2..).unwrap_or_default(), 16);
        }
        let digits = literal.trim_end_matches(['l', 'L']);
        if digits.len() > 1 && digits.starts_with('0') {
            return whole(digits, 8);
        }
        digits.parse().map(Token::Int).or_else(|_| float(at, digits))
    }

    /// As many bytes as make a number.
    fn literal(&mut self) -> &'a str {
        let start = self.at;
        if is_hex(self.rest()) {
            self.at += 2;
            self.take_while(|byte| byte.is_ascii_hexdigit());
        } else {
            let digits = |lexer: &mut Self| lexer.take_while(|byte| byte.is_ascii_digit()).len();
            let whole = digits(self);
            if self.rest().starts_with('.') {
                self.at += 1;
                digits(self);
            } else if self.rest().starts_with(['l', 'L']) && whole > 0 {
                self.at += 1;
                return self.text.get(start..self.at).unwrap_or_default();
            }
            if let Some(rest) = self.rest().strip_prefix(['e', 'E']) {
                let signed = rest.starts_with(['+', '-']);
                let exponent = rest.get(usize::from(signed)..).unwrap_or_default();
                if exponent.starts_with(|first: char| first.is_ascii_digit()) {
                    self.at += 1 + usize::from(signed);
                    digits(self);
                }
            }
        }
        self.text.get(start..self.at).unwrap_or_default()
    }

    fn sign(&mut self) -> Result<Token<'a>, SelectorError> {
        let rest = self.rest();
        match SIGNS.iter().find(|sign| rest.starts_with(**sign)) {
            Some(sign) => {
                self.at += sign.len();
                Ok(Token::Sign(sign))
            }
            None => Err(error(self.at, "this character does not belong here")),
        }
    }
}

fn is_hex(literal: &str) -> bool {
    let digits = literal.strip_prefix("0x").or_else(|| literal.strip_prefix("0X"));
    digits.is_some_and(|digits| digits.starts_with(|first: char| first.is_ascii_hexdigit()))
}

fn float<'a>(at: usize, literal: &str) -> Result<Token<'a>, SelectorError> {
    match literal.parse::<f64>() {
        Ok(number) if number.is_finite() => Ok(Token::Float(number)),
        _ => Err(error(at, "the number is too large")),
    }
}

/// An error at byte `at`.
pub(super) fn error(at: usize, reason: &str) -> SelectorError {
    SelectorError { at, reason: reason.to_owned() }
}
