//! The truth of a selector for one event, in three values: `None` is unknown.
//!
//! Called by [`Selector::matches`](super::Selector::matches). Nothing is allocated but for texts
//! that `+` and `REPLACE` make; a property is asked for when it is first needed, and once.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::fmt::Write as _;

use super::compare::{calculate, holds, is_true, negate};
use super::expression::{Arithmetic, Comparison, Expression, List};
use super::like::Budget;
use super::{Dialect, MAX_NAMES, MAX_STEPS, Properties, Value};

/// The longest text that is made on the way, in bytes; a longer one is unknown.
const MAX_MADE_BYTES: usize = 64 << 10;

/// One evaluation.
pub(super) struct Evaluation<'p> {
    properties: &'p dyn Properties,
    names: &'p [Box<str>],
    /// What was asked for already, by place in `names`.
    known: [OnceCell<Option<Value<'p>>>; MAX_NAMES],
    dialect: Dialect,
    budget: Budget,
}

impl<'p> Evaluation<'p> {
    /// Prepares an evaluation; nothing is asked for yet.
    pub(super) fn new(
        properties: &'p dyn Properties,
        names: &'p [Box<str>],
        dialect: Dialect,
    ) -> Self {
        let known = [const { OnceCell::new() }; MAX_NAMES];
        Self { properties, names, known, dialect, budget: Budget::new(MAX_STEPS) }
    }

    /// How many steps it has taken.
    pub(super) const fn steps(&self) -> u32 {
        MAX_STEPS - self.budget.left()
    }

    /// Compares. Texts are gone through, those that are to be numbers as a whole.
    fn holds(&self, comparison: Comparison, left: &Value<'_>, right: &Value<'_>) -> Option<bool> {
        let steps = match (left, right) {
            (Value::Text(left), Value::Text(right)) => left.len().min(right.len()),
            (one, other) => self.to_read(one) + self.to_read(other),
        };
        self.budget.spend(steps)?;
        Some(holds(comparison, left, right, self.dialect))
    }

    /// How much there is to read of what is to be a number.
    fn to_read(&self, value: &Value<'_>) -> usize {
        match value {
            Value::Text(text) if self.dialect == Dialect::StringsAsNumbers => text.len(),
            Value::Text(_) | Value::Int(_) | Value::Float(_) | Value::Bool(_) => 0,
        }
    }

    /// Whether `expression` is true or false.
    pub(super) fn truth(&self, expression: &Expression) -> Option<bool> {
        match expression {
            Expression::Bool(truth) => Some(*truth),
            Expression::Not(inner) => self.truth(inner).map(|truth| !truth),
            Expression::And(all) => self.all(all.iter().map(|one| self.truth(one)), false),
            Expression::Or(all) => self.all(all.iter().map(|one| self.truth(one)), true),
            Expression::Compare(comparison, operands) => {
                let [left, right] = &**operands;
                let (left, right) = (self.value(left)?, self.value(right)?);
                self.holds(*comparison, &left, &right)
            }
            Expression::Between { operands, negated } => {
                let [value, low, high] = &**operands;
                self.between([value, low, high], *negated)
            }
            Expression::IsNull { value, negated } => Some(self.value(value).is_none() != *negated),
            Expression::Like { value, pattern, negated } => match self.value(value)? {
                Value::Text(text) => {
                    pattern.matches(&text, &self.budget).map(|alike| alike != *negated)
                }
                Value::Int(_) | Value::Float(_) | Value::Bool(_) => Some(*negated),
            },
            Expression::In { value, texts, negated } => match self.value(value)? {
                Value::Text(text) => {
                    let found = texts.binary_search_by(|one| (**one).cmp(&*text)).is_ok();
                    Some(found != *negated)
                }
                Value::Int(_) | Value::Float(_) | Value::Bool(_) => None,
            },
            Expression::InList { list, value } => self.in_list(list, value),
            Expression::Property(_) => match self.value(expression)? {
                Value::Bool(truth) => Some(truth),
                Value::Text(text) => {
                    Some(self.dialect == Dialect::StringsAsNumbers && is_true(&text))
                }
                Value::Int(_) | Value::Float(_) => Some(false),
            },
            Expression::Null
            | Expression::Int(_)
            | Expression::Float(_)
            | Expression::Text(_)
            | Expression::Negate(_)
            | Expression::Arithmetic(..)
            | Expression::Replace { .. } => None,
        }
    }

    /// `AND` when it is decided by a false one, `OR` when by a true one.
    fn all(&self, truths: impl IntoIterator<Item = Option<bool>>, decisive: bool) -> Option<bool> {
        let mut answer = Some(!decisive);
        for truth in truths {
            match truth {
                Some(truth) if truth == decisive => return Some(decisive),
                Some(_) => {}
                None => answer = None,
            }
        }
        answer
    }

    fn between(&self, [value, low, high]: [&Expression; 3], negated: bool) -> Option<bool> {
        let value = self.value(value)?;
        let (above, below) = if negated {
            (Comparison::Less, Comparison::Greater)
        } else {
            (Comparison::GreaterEqual, Comparison::LessEqual)
        };
        let holds = |comparison, bound: &Expression| {
            self.value(bound).and_then(|bound| self.holds(comparison, &value, &bound))
        };
        self.all([holds(above, low), holds(below, high)], negated)
    }

    fn value<'e>(&'e self, expression: &'e Expression) -> Option<Value<'e>> {
        match expression {
            Expression::Null => None,
            Expression::Int(number) => Some(Value::Int(*number)),
            Expression::Float(number) => Some(Value::Float(*number)),
            Expression::Text(text) => Some(Value::Text(Cow::Borrowed(text))),
            Expression::Property(place) => self.property(*place),
            Expression::Negate(inner) => {
                let value = self.value(inner)?;
                self.budget.spend(self.to_read(&value))?;
                negate(&value, self.dialect)
            }
            Expression::Arithmetic(operation, operands) => {
                let [left, right] = &**operands;
                let (left, right) = (self.value(left)?, self.value(right)?);
                match (operation, left) {
                    (Arithmetic::Plus, Value::Text(left)) => self.join(&left, &right),
                    (_, left) => {
                        self.budget.spend(self.to_read(&left) + self.to_read(&right))?;
                        calculate(*operation, &left, &right, self.dialect)
                    }
                }
            }
            Expression::Replace { text, from, to } => match self.value(text)? {
                Value::Text(text) => self.replace(&text, from, to),
                Value::Int(_) | Value::Float(_) | Value::Bool(_) => None,
            },
            Expression::Bool(_)
            | Expression::Not(_)
            | Expression::And(_)
            | Expression::Or(_)
            | Expression::Compare(..)
            | Expression::Between { .. }
            | Expression::IsNull { .. }
            | Expression::Like { .. }
            | Expression::In { .. }
            | Expression::InList { .. } => self.truth(expression).map(Value::Bool),
        }
    }

    fn property(&self, place: usize) -> Option<Value<'_>> {
        let (name, cell) = (self.names.get(place)?, self.known.get(place)?);
        let value = cell.get_or_init(|| self.properties.get(name)).as_ref()?;
        Some(match value {
            Value::Text(text) => Value::Text(Cow::Borrowed(text)),
            Value::Int(number) => Value::Int(*number),
            Value::Float(number) => Value::Float(*number),
            Value::Bool(truth) => Value::Bool(*truth),
        })
    }

    /// A text with what follows it.
    fn join(&self, left: &str, right: &Value<'_>) -> Option<Value<'static>> {
        let mut made = match right {
            Value::Text(text) => self.room(left.len().checked_add(text.len())?)?,
            Value::Int(_) | Value::Float(_) | Value::Bool(_) => self.room(left.len())?,
        };
        made.push_str(left);
        let written = match right {
            Value::Text(text) => made.write_str(text),
            Value::Int(number) => write!(made, "{number}"),
            Value::Float(number) => write!(made, "{number:?}"),
            Value::Bool(truth) => write!(made, "{truth}"),
        };
        written.ok()?;
        Some(Value::Text(Cow::Owned(made)))
    }

    fn replace(&self, text: &str, from: &str, to: &str) -> Option<Value<'static>> {
        self.budget.spend(text.len())?;
        let count = text.matches(from).count();
        self.room(count.checked_mul(to.len())?.checked_add(text.len())?)?;
        Some(Value::Text(Cow::Owned(text.replace(from, to))))
    }

    /// Room for a text of so many bytes, if it may be made.
    fn room(&self, bytes: usize) -> Option<String> {
        self.budget.spend(bytes)?;
        (bytes <= MAX_MADE_BYTES).then(|| String::with_capacity(bytes))
    }

    /// As in the reference, an absent value is in no list.
    fn in_list(&self, list: &List, value: &Expression) -> Option<bool> {
        let Some(value) = self.value(value) else { return Some(false) };
        let equals = |one: &Value<'_>| self.holds(Comparison::Equal, one, &value) == Some(true);
        match list {
            List::Of(values) => {
                Some(values.iter().any(|one| self.value(one).is_some_and(|one| equals(&one))))
            }
            List::Split { text, separator, limit } => {
                let Value::Text(text) = self.value(text)? else { return None };
                self.budget.spend(text.len() * 2)?;
                let is_value = |part: &str| equals(&Value::Text(Cow::Borrowed(part)));
                Some(split(&text, separator, *limit).any(is_value))
            }
        }
    }
}

/// The parts of `text` as Java's `String.split` gives them: at most `limit` when that is above 0;
/// empty ones at the end go when it is 0.
fn split<'t>(text: &'t str, separator: &'t str, limit: i64) -> impl Iterator<Item = &'t str> {
    let most = usize::try_from(limit).ok().filter(|limit| *limit > 0).unwrap_or(usize::MAX);
    let mut kept = text;
    if limit == 0 {
        while let Some(shorter) = kept.strip_suffix(separator) {
            kept = shorter;
        }
    }
    // A text of separators only has no parts; one without any is its own only part.
    let is_nothing = kept.is_empty() && !text.is_empty();
    kept.splitn(most, separator).filter(move |_| !is_nothing)
}
