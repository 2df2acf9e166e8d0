//! The scanner that trusts nothing.
//!
//! Called by [`super::check`], the splitter and the drafts. It keeps no stack but a word of bits
//! (one per open container), so a deep text costs neither memory nor recursion.

use super::{Fault, JsonError, MAX_DEPTH, Raw};

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGHS: u64 = 0x8080_8080_8080_8080;

/// A place in a text that is known to be UTF-8, moving forward over what it has checked.
#[derive(Debug, Clone)]
pub struct Scanner<'a> {
    text: &'a [u8],
    at: usize,
    newline: bool,
}

/// One member of an object, checked.
#[derive(Debug, Clone, Copy)]
pub struct Member<'a> {
    /// The name as written between its quotes.
    pub name: Raw<'a>,
    /// Where the name's opening quote stands.
    pub name_at: usize,
    /// The value's text.
    pub value: &'a [u8],
    /// Where the value starts.
    pub value_at: usize,
    /// Whether newlines stand between the value's tokens.
    pub has_newlines: bool,
}

impl<'a> Scanner<'a> {
    /// Starts at byte `at` of `text`, which must have passed [`super::check_utf8`].
    #[must_use]
    pub const fn new(text: &'a [u8], at: usize) -> Self {
        Self { text, at, newline: false }
    }

    /// Where it stands.
    #[must_use]
    pub const fn at(&self) -> usize {
        self.at
    }

    /// The byte it stands on.
    #[must_use]
    pub fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    /// Steps over one byte.
    pub const fn step(&mut self) {
        self.at += 1;
    }

    /// Steps over white space.
    #[inline]
    pub fn space(&mut self) {
        while let Some(byte @ (b' ' | b'\t' | b'\n' | b'\r')) = self.peek() {
            self.newline |= matches!(byte, b'\n' | b'\r');
            self.at += 1;
        }
    }

    /// Steps over white space to the end.
    ///
    /// # Errors
    /// [`Fault::Trailing`] when something else comes.
    pub fn end(&mut self) -> Result<(), JsonError> {
        self.space();
        if self.at < self.text.len() { Err(self.fault(Fault::Trailing)) } else { Ok(()) }
    }

    /// An error at this place; [`Fault::Truncated`] when the text is at its end.
    #[must_use]
    #[cold]
    pub fn fault(&self, fault: Fault) -> JsonError {
        let truncated = self.at >= self.text.len();
        JsonError { at: self.at, fault: if truncated { Fault::Truncated } else { fault } }
    }

    /// Steps over one value, which starts here, nested at most `max_depth` deep.
    ///
    /// # Errors
    /// The first place where the text is not JSON.
    pub fn value(&mut self, max_depth: usize) -> Result<(), JsonError> {
        let max_depth = max_depth.min(MAX_DEPTH);
        // The kinds of the open containers, innermost in the lowest bit: 1 is an object.
        let mut open = 0_u128;
        let mut depth = 0;
        loop {
            match self.peek() {
                Some(b'"') => drop(self.string()?),
                Some(byte @ (b'{' | b'[')) => {
                    if depth == max_depth {
                        return Err(self.fault(Fault::TooDeep));
                    }
                    self.at += 1;
                    self.space();
                    if self.peek() == Some(byte + 2) {
                        self.at += 1;
                    } else {
                        open = (open << 1) | u128::from(byte == b'{');
                        depth += 1;
                        if byte == b'{' {
                            self.name()?;
                        }
                        continue;
                    }
                }
                Some(b'-' | b'0'..=b'9') => self.number()?,
                Some(b't') => self.literal(b"true")?,
                Some(b'f') => self.literal(b"false")?,
                Some(b'n') => self.literal(b"null")?,
                _ => return Err(self.fault(Fault::ExpectedValue)),
            }
            if self.close(&mut open, &mut depth)? {
                return Ok(());
            }
        }
    }

    /// After a value: closes what ends here and steps to the next value, or says that all is done.
    #[inline]
    fn close(&mut self, open: &mut u128, depth: &mut usize) -> Result<bool, JsonError> {
        loop {
            if *depth == 0 {
                return Ok(true);
            }
            self.space();
            let in_object = *open & 1 == 1;
            match (self.peek(), in_object) {
                (Some(b','), true) => {
                    self.at += 1;
                    self.space();
                    self.name()?;
                    return Ok(false);
                }
                (Some(b','), false) => {
                    self.at += 1;
                    self.space();
                    return Ok(false);
                }
                (Some(b'}'), true) | (Some(b']'), false) => {
                    self.at += 1;
                    *depth -= 1;
                    *open >>= 1;
                }
                (_, true) => return Err(self.fault(Fault::ExpectedCommaOrBrace)),
                (_, false) => return Err(self.fault(Fault::ExpectedCommaOrBracket)),
            }
        }
    }

    /// Steps over the `{` of an object.
    ///
    /// # Errors
    /// [`Fault::ExpectedObject`] when something else stands here.
    pub fn open_object(&mut self) -> Result<(), JsonError> {
        if self.peek() != Some(b'{') {
            return Err(self.fault(Fault::ExpectedObject));
        }
        self.at += 1;
        Ok(())
    }

    /// The next member of the object that was opened, or `None` after its `}`. `first` says that
    /// no member came before; the value may be nested `max_depth` deep.
    ///
    /// # Errors
    /// The first place where the text is not JSON.
    #[inline]
    pub fn member(
        &mut self,
        first: bool,
        max_depth: usize,
    ) -> Result<Option<Member<'a>>, JsonError> {
        self.space();
        match self.peek() {
            Some(b'}') => {
                self.at += 1;
                return Ok(None);
            }
            Some(b',') if !first => {
                self.at += 1;
                self.space();
            }
            _ if !first => return Err(self.fault(Fault::ExpectedCommaOrBrace)),
            _ => {}
        }
        let name_at = self.at;
        let name = self.name()?;
        let value_at = self.at;
        self.newline = false;
        self.value(max_depth)?;
        let value = self.text.get(value_at..self.at).unwrap_or_default();
        Ok(Some(Member { name, name_at, value, value_at, has_newlines: self.newline }))
    }

    /// Steps over a member's name and colon, to its value.
    #[inline]
    fn name(&mut self) -> Result<Raw<'a>, JsonError> {
        if self.peek() != Some(b'"') {
            return Err(self.fault(Fault::ExpectedName));
        }
        let name = self.string()?;
        self.space();
        if self.peek() != Some(b':') {
            return Err(self.fault(Fault::ExpectedColon));
        }
        self.at += 1;
        self.space();
        Ok(name)
    }

    /// Steps over a string, which starts here.
    #[inline]
    fn string(&mut self) -> Result<Raw<'a>, JsonError> {
        self.at += 1;
        let start = self.at;
        loop {
            self.at = skip_plain(self.text, self.at);
            match self.peek() {
                Some(b'"') => {
                    let raw = self.text.get(start..self.at).unwrap_or_default();
                    self.at += 1;
                    return Ok(Raw::new(raw));
                }
                Some(b'\\') => self.escape()?,
                Some(0..=0x1F) => return Err(self.fault(Fault::ControlCharacter)),
                Some(_) => self.at += 1,
                None => return Err(self.fault(Fault::Truncated)),
            }
        }
    }

    fn escape(&mut self) -> Result<(), JsonError> {
        self.at += 1;
        match self.peek() {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.at += 1,
            Some(b'u') => {
                let start = self.at - 1;
                let lone = JsonError { at: start, fault: Fault::LoneSurrogate };
                match self.hex4()? {
                    0xD800..=0xDBFF => {
                        if self.text.get(self.at..self.at + 2) != Some(b"\\u") {
                            return Err(lone);
                        }
                        self.at += 1;
                        if !(0xDC00..=0xDFFF).contains(&self.hex4()?) {
                            return Err(lone);
                        }
                    }
                    0xDC00..=0xDFFF => return Err(lone),
                    _ => {}
                }
            }
            _ => return Err(self.fault(Fault::BadEscape)),
        }
        Ok(())
    }

    /// Reads the four digits behind the `u` that it stands on.
    fn hex4(&mut self) -> Result<u32, JsonError> {
        self.at += 1;
        let mut code = 0;
        for _ in 0..4 {
            let digit = self.peek().and_then(|byte| char::from(byte).to_digit(16));
            code = code * 16 + digit.ok_or_else(|| self.fault(Fault::BadEscape))?;
            self.at += 1;
        }
        Ok(code)
    }

    fn number(&mut self) -> Result<(), JsonError> {
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        match self.peek() {
            Some(b'0') => {
                self.at += 1;
                if matches!(self.peek(), Some(b'0'..=b'9')) {
                    return Err(self.fault(Fault::BadNumber));
                }
            }
            _ => self.digits()?,
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(())
    }

    /// One digit or more.
    #[inline]
    fn digits(&mut self) -> Result<(), JsonError> {
        let start = self.at;
        while let Some(b'0'..=b'9') = self.peek() {
            self.at += 1;
        }
        if self.at == start { Err(self.fault(Fault::BadNumber)) } else { Ok(()) }
    }

    fn literal(&mut self, literal: &[u8]) -> Result<(), JsonError> {
        for &byte in literal {
            if self.peek() != Some(byte) {
                return Err(self.fault(Fault::ExpectedValue));
            }
            self.at += 1;
        }
        Ok(())
    }
}

/// Steps from `at` to the first quote, backslash or control character, eight bytes at a time and
/// thirty-two in long strings; may stop up to seven bytes early near the end of the text.
#[inline]
pub(super) fn skip_plain(text: &[u8], mut at: usize) -> usize {
    let long = at + LONG;
    while let Some(word) = text.get(at..).and_then(|rest| rest.first_chunk()) {
        let stops = string_stops(u64::from_le_bytes(*word));
        if stops != 0 {
            return at + stops.trailing_zeros() as usize / 8;
        }
        at += 8;
        if at == long {
            at = skip_chunks(text, at);
        }
    }
    at
}

/// After how many bytes a string counts as long.
const LONG: usize = 24;

/// Steps over chunks without any byte that ends a plain run.
fn skip_chunks(text: &[u8], mut at: usize) -> usize {
    // Compiled to vector instructions, having no way out in the middle.
    let is_plain = |chunk: &&[u8; 32]| {
        let stops = chunk.iter().map(|&byte| byte < 0x20 || byte == b'"' || byte == b'\\');
        !stops.fold(false, |any, stop| any | stop)
    };
    while text.get(at..).and_then(|rest| rest.first_chunk()).filter(is_plain).is_some() {
        at += 32;
    }
    at
}

/// The high bit of every byte that ends a plain run of a string: `"`, `\` or a control character.
/// Bits above the lowest one set may be wrong, which is why only the lowest is used.
const fn string_stops(word: u64) -> u64 {
    let quote = word ^ (ONES * b'"' as u64);
    let backslash = word ^ (ONES * b'\\' as u64);
    let quotes = quote.wrapping_sub(ONES) & !quote;
    let backslashes = backslash.wrapping_sub(ONES) & !backslash;
    let controls = word.wrapping_sub(ONES * 0x20) & !word;
    (quotes | backslashes | controls) & HIGHS
}
