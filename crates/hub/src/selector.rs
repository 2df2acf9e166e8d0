//! Selectors: the SQL-92 subset that message brokers let a consumer filter with (reference
//! `activemq.md` a5), compiled once and evaluated per event.
//!
//! Called by the faces (compiling) and by subscriptions (evaluating). `token` reads words,
//! `parser` makes an `expression` of them, `evaluate` gives its truth for one event.
//! Which names an event's properties have is the subscriptions' to say.
//!
//! Deviations from the reference, on purpose: `NOT` binds looser than a comparison, as SQL says;
//! an absent property makes every comparison unknown, on either side; `"…"` quotes a name that is
//! no identifier; what is no number where one is needed is unknown, not a fault. `REGEX`, and
//! `SPLIT` or `REPLACE` by more than a literal, are refused: there is no matcher here whose time is
//! bounded. So are `XPATH` and `XQUERY`.
//!
//! Invariants: a selector is bounded in text, nesting, nodes and names, and its evaluation in
//! steps, so that no text and no event makes one evaluation long; a property is looked up once per
//! evaluation; nothing here panics whatever the text.

mod compare;
mod evaluate;
mod expression;
mod function;
mod gapped;
mod like;
mod parser;
mod token;

use std::borrow::Cow;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use outflow_model::ErrorCode;

use evaluate::Evaluation;
use expression::{Expression, Shown};
use parser::Parser;

/// The longest selector accepted, in bytes.
pub const MAX_BYTES: usize = 32 << 10;
/// The deepest nesting of a selector; chains of one operator other than `AND` and `OR` count.
pub const MAX_DEPTH: usize = 64;
/// The most operators, operands and list entries of a selector together.
pub const MAX_NODES: usize = 2_000;
/// The most different properties a selector may name.
pub const MAX_NAMES: usize = 32;
/// The most steps one evaluation takes on texts (`LIKE`, `SPLIT`, `REPLACE`, `+`, numbers that are
/// texts), each about a nanosecond. What would need more is unknown.
pub const MAX_STEPS: u32 = 1 << 20;

/// What a client writes before a selector to have [`Dialect::StringsAsNumbers`].
const CONVERT: &str = "convert_string_expressions:";

/// How texts compare with what is no text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// Never equal, as in Java: for properties that have types.
    Plain,
    /// A text that is a number compares as one, and `true` is true: for protocols whose headers
    /// are all texts (STOMP). A selector that begins with `convert_string_expressions:` always
    /// means this one.
    StringsAsNumbers,
}

/// A property's value.
#[derive(Debug, Clone, PartialEq)]
pub enum Value<'a> {
    /// A text.
    Text(Cow<'a, str>),
    /// A whole number.
    Int(i64),
    /// Any other number.
    Float(f64),
    /// True or false.
    Bool(bool),
}

/// What a selector looks at.
pub trait Properties {
    /// The value of the property with this name; `None` when there is none.
    fn get(&self, name: &str) -> Option<Value<'_>>;
}

/// Why a selector was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason} (at character {})", .at + 1)]
pub struct SelectorError {
    /// Where the fault is: the zero-based byte position in the text.
    pub at: usize,
    /// What is wrong.
    pub reason: String,
}

impl SelectorError {
    /// The class of the failure, for the faces' tables.
    #[must_use]
    pub const fn code(&self) -> ErrorCode {
        ErrorCode::Malformed
    }
}

/// A compiled selector. Cheap to clone; equal when the texts and dialects are.
#[derive(Clone)]
pub struct Selector {
    inner: Arc<Inner>,
}

struct Inner {
    text: Box<str>,
    dialect: Dialect,
    expression: Expression,
    /// The properties it names; an expression holds their places here.
    names: Vec<Box<str>>,
}

impl Selector {
    /// Compiles `text`.
    ///
    /// # Errors
    /// [`SelectorError`] names the place.
    pub fn parse(text: &str, dialect: Dialect) -> Result<Self, SelectorError> {
        if text.len() > MAX_BYTES {
            let reason = format!("a selector may have at most {MAX_BYTES} bytes");
            return Err(SelectorError { at: MAX_BYTES, reason });
        }
        let (start, spoken) = match text.strip_prefix(CONVERT) {
            Some(_) => (CONVERT.len(), Dialect::StringsAsNumbers),
            None => (0, dialect),
        };
        let (expression, names) = Parser::new(text, start)?.selector()?;
        let inner = Inner { text: text.into(), dialect: spoken, expression, names };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// The text it was compiled from.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.inner.text
    }

    /// How it compares.
    #[must_use]
    pub fn dialect(&self) -> Dialect {
        self.inner.dialect
    }

    /// Whether it is true of what has these properties; unknown counts as not.
    #[must_use]
    pub fn matches(&self, properties: &dyn Properties) -> bool {
        self.weigh(properties).0
    }

    /// The same, and how many steps it took, about: as many as a text of its length has words, at
    /// least.
    pub(crate) fn weigh(&self, properties: &dyn Properties) -> (bool, usize) {
        let Inner { dialect, expression, names, text } = &*self.inner;
        let evaluation = Evaluation::new(properties, names, *dialect);
        let truth = evaluation.truth(expression) == Some(true);
        (truth, text.len() + evaluation.steps() as usize)
    }

    /// How many properties it names.
    pub(crate) fn names(&self) -> usize {
        self.inner.names.len()
    }

    /// The text with every bracket written and nothing left out: selectors that are written alike
    /// but for spaces, comments, needless brackets and case of reserved words have the same.
    #[must_use]
    pub fn canonical(&self) -> String {
        Shown { expression: &self.inner.expression, names: &self.inner.names }.to_string()
    }
}

impl PartialEq for Selector {
    fn eq(&self, other: &Self) -> bool {
        self.dialect() == other.dialect() && self.text() == other.text()
    }
}

impl Eq for Selector {}

impl Hash for Selector {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.text(), self.dialect()).hash(state);
    }
}

impl fmt::Debug for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Selector({:?}, {:?})", self.text(), self.dialect())
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}
