//! Cutting a body into the JSON values it holds: one value, several with white space or nothing
//! between them (NDJSON), or one array of them.
//!
//! Called by [`crate::Draft::push_body`], which checks and splits in one pass, and through
//! [`Values`] by whoever wants the pieces.

use super::{Fault, JsonError, Scanner, check_utf8};

/// Steps a scanner from value to value.
#[derive(Debug, Clone)]
pub(crate) struct Steps {
    in_array: bool,
    started: bool,
    closed: bool,
}

impl Steps {
    /// Enters the body, and its array if it is one.
    pub(crate) fn enter(scanner: &mut Scanner<'_>) -> Self {
        scanner.space();
        let in_array = scanner.peek() == Some(b'[');
        if in_array {
            scanner.step();
        }
        Self { in_array, started: false, closed: false }
    }

    /// Whether the values are in an array.
    pub(crate) const fn in_array(&self) -> bool {
        self.in_array
    }

    /// Moves to where the next value starts; `false` at the end of the body.
    pub(crate) fn next(&mut self, scanner: &mut Scanner<'_>) -> Result<bool, JsonError> {
        scanner.space();
        let first = !std::mem::replace(&mut self.started, true);
        if !self.in_array || self.closed {
            return Ok(scanner.peek().is_some());
        }
        match scanner.peek() {
            Some(b']') => {
                self.closed = true;
                scanner.step();
                scanner.end()?;
                Ok(false)
            }
            Some(b',') if !first => {
                scanner.step();
                scanner.space();
                Ok(true)
            }
            _ if first => Ok(true),
            _ => Err(scanner.fault(Fault::ExpectedCommaOrBracket)),
        }
    }
}

/// One value of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece<'a> {
    /// The line it starts on, from 1.
    pub line: usize,
    /// Its place among the values, from 0.
    pub index: usize,
    /// The byte of the body where it starts.
    pub at: usize,
    /// Its text, checked.
    pub text: &'a [u8],
}

/// The values of a body, each checked. Ends after the first error.
#[derive(Debug, Clone)]
pub struct Values<'a> {
    body: &'a [u8],
    scanner: Scanner<'a>,
    /// `None` until the text is known to be UTF-8.
    steps: Option<Steps>,
    max_depth: usize,
    index: usize,
    line: usize,
    counted: usize,
    done: bool,
}

impl<'a> Values<'a> {
    /// The values of `body`, nested at most `max_depth` deep each.
    #[must_use]
    pub const fn new(body: &'a [u8], max_depth: usize) -> Self {
        let scanner = Scanner::new(body, 0);
        Self { body, scanner, steps: None, max_depth, index: 0, line: 1, counted: 0, done: false }
    }

    fn piece(&mut self) -> Result<Option<Piece<'a>>, JsonError> {
        if self.steps.is_none() {
            check_utf8(self.body)?;
        }
        let steps = self.steps.get_or_insert_with(|| Steps::enter(&mut self.scanner));
        if !steps.next(&mut self.scanner)? {
            return Ok(None);
        }
        let at = self.scanner.at();
        self.scanner.value(self.max_depth)?;
        let text = self.body.get(at..self.scanner.at()).unwrap_or_default();
        self.line += newlines(self.body.get(self.counted..at).unwrap_or_default());
        self.counted = at;
        self.index += 1;
        Ok(Some(Piece { line: self.line, index: self.index - 1, at, text }))
    }
}

impl<'a> Iterator for Values<'a> {
    type Item = Result<Piece<'a>, JsonError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        let piece = self.piece().transpose();
        self.done = !matches!(piece, Some(Ok(_)));
        piece
    }
}

/// How many `\n` there are in `text`.
pub(crate) fn newlines(text: &[u8]) -> usize {
    memchr::memchr_iter(b'\n', text).count()
}

/// The line, from 1, on which byte `at` of `body` stands.
#[must_use]
pub fn line_of(body: &[u8], at: usize) -> usize {
    1 + newlines(body.get(..at).unwrap_or(body))
}
