//! A one-pass JSON checker and reader over bytes. Builds no tree and changes no byte.
//!
//! Called by [`crate::draft`] (publishing), [`crate::filter`] (compiling and evaluating) and by
//! whoever splits a body into values. Two kinds of readers live here:
//! - [`Scanner`] trusts nothing: strict RFC 8259, plus a depth limit and no lone surrogates;
//! - [`Value`] walks text that was checked before. On other text it answers nonsense, but it never
//!   panics, never runs for ever and never reads outside.
//!
//! Invariant used all over: in checked JSON a raw newline can only stand between two tokens, because
//! strings may not hold control characters. So dropping every newline byte changes no value.

pub mod number;
pub mod pattern;
pub mod scan;
pub mod split;
pub mod string;
pub mod value;

pub use number::Number;
pub use pattern::Pattern;
pub use scan::{Member, Scanner};
pub use split::{Piece, Values};
pub use string::Raw;
pub use value::{Kind, Value};

/// The deepest nesting that any caller may ask for.
pub const MAX_DEPTH: usize = 128;

/// What is wrong with a JSON text, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{fault}")]
pub struct JsonError {
    /// Zero-based byte position in the text.
    pub at: usize,
    /// What is wrong there.
    pub fault: Fault,
}

/// The ways in which a text is not acceptable JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The bytes are not UTF-8.
    #[error("not valid utf-8")]
    NotUtf8,
    /// It ends where more is needed.
    #[error("the text ends too early")]
    Truncated,
    /// Something else than a value.
    #[error("expected a json value")]
    ExpectedValue,
    /// Something else than an object, where only an object will do.
    #[error("expected a json object")]
    ExpectedObject,
    /// A member does not start with its name.
    #[error("expected a member name in double quotes")]
    ExpectedName,
    /// A name without its colon.
    #[error("expected `:` after a member name")]
    ExpectedColon,
    /// An object goes on wrongly.
    #[error("expected `,` or `}}` after a member")]
    ExpectedCommaOrBrace,
    /// An array goes on wrongly.
    #[error("expected `,` or `]` after an element")]
    ExpectedCommaOrBracket,
    /// A raw control character in a string.
    #[error("control character in a string; it must be escaped")]
    ControlCharacter,
    /// A backslash with something unknown behind it.
    #[error("unknown escape in a string")]
    BadEscape,
    /// Half of a surrogate pair: not a character.
    #[error("lone surrogate in a string")]
    LoneSurrogate,
    /// Not a number as RFC 8259 writes it.
    #[error("malformed number")]
    BadNumber,
    /// Nested too deeply.
    #[error("nested too deeply")]
    TooDeep,
    /// Something follows the value.
    #[error("unexpected text after the value")]
    Trailing,
}

/// Checks that `text` is UTF-8.
///
/// # Errors
/// The position of the first byte that is not.
pub fn check_utf8(text: &[u8]) -> Result<(), JsonError> {
    if simdutf8::basic::from_utf8(text).is_ok() {
        return Ok(());
    }
    let at = simdutf8::compat::from_utf8(text).map_or_else(|error| error.valid_up_to(), |_| 0);
    Err(JsonError { at, fault: Fault::NotUtf8 })
}

/// Checks that `text` is exactly one JSON value with white space around it at most, nested no
/// deeper than `max_depth` (at most [`MAX_DEPTH`]), and gives that value.
///
/// # Errors
/// The first place where it is not.
pub fn check(text: &[u8], max_depth: usize) -> Result<Value<'_>, JsonError> {
    check_utf8(text)?;
    let mut scanner = Scanner::new(text, 0);
    scanner.space();
    let start = scanner.at();
    scanner.value(max_depth)?;
    let end = scanner.at();
    scanner.end()?;
    Ok(Value::new(text.get(start..end).unwrap_or_default()))
}

/// Appends checked JSON `text` to `out` without its newlines.
pub fn append_one_line(text: &[u8], out: &mut Vec<u8>) {
    let mut from = 0;
    for newline in memchr::memchr2_iter(b'\n', b'\r', text) {
        out.extend_from_slice(text.get(from..newline).unwrap_or_default());
        from = newline + 1;
    }
    out.extend_from_slice(text.get(from..).unwrap_or_default());
}
