//! How values compare and what numbers make of each other.
//!
//! Called by `evaluate`. Nothing fails: what cannot be compared has no order, what cannot be
//! calculated has no value.

use std::cmp::Ordering;

use super::expression::{Arithmetic, Comparison};
use super::{Dialect, Value};

/// Whether `left` and `right` compare so.
pub(super) fn holds(
    comparison: Comparison,
    left: &Value<'_>,
    right: &Value<'_>,
    dialect: Dialect,
) -> bool {
    let order = order(left, right, dialect);
    match comparison {
        Comparison::Equal => order == Some(Ordering::Equal),
        Comparison::NotEqual => order != Some(Ordering::Equal),
        Comparison::Greater => order == Some(Ordering::Greater),
        Comparison::GreaterEqual => order.is_some_and(Ordering::is_ge),
        Comparison::Less => order == Some(Ordering::Less),
        Comparison::LessEqual => order.is_some_and(Ordering::is_le),
    }
}

fn order(left: &Value<'_>, right: &Value<'_>, dialect: Dialect) -> Option<Ordering> {
    match (left, right) {
        (Value::Text(left), Value::Text(right)) => Some(left.cmp(right)),
        (Value::Bool(left), Value::Bool(right)) => Some(left.cmp(right)),
        (Value::Int(left), Value::Int(right)) => Some(left.cmp(right)),
        (Value::Int(_) | Value::Float(_), Value::Int(_) | Value::Float(_)) => {
            as_float(left)?.partial_cmp(&as_float(right)?)
        }
        (Value::Text(text), other) if dialect == Dialect::StringsAsNumbers => {
            self::order(&converted(text, other)?, other, dialect)
        }
        (_, Value::Text(_)) if dialect == Dialect::StringsAsNumbers => {
            order(right, left, dialect).map(Ordering::reverse)
        }
        _ => None,
    }
}

/// `text` as what `like` is.
fn converted(text: &str, like: &Value<'_>) -> Option<Value<'static>> {
    match like {
        Value::Bool(_) => Some(Value::Bool(is_true(text))),
        Value::Int(_) | Value::Float(_) => number(text),
        Value::Text(_) => None,
    }
}

/// Whether a text is the truth `true`.
pub(super) const fn is_true(text: &str) -> bool {
    text.eq_ignore_ascii_case("true")
}

/// A text that is a number. Words such as `inf` are none.
fn number(text: &str) -> Option<Value<'static>> {
    if !text.bytes().all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(&byte)) {
        return None;
    }
    text.parse().map(Value::Int).or_else(|_| text.parse().map(Value::Float)).ok()
}

/// Whole numbers above 2^53 compare about, as in Java.
const fn as_float(value: &Value<'_>) -> Option<f64> {
    match value {
        Value::Int(number) => Some(*number as f64),
        Value::Float(number) => Some(*number),
        Value::Text(_) | Value::Bool(_) => None,
    }
}

/// What `operation` makes of two numbers. Whole numbers that outgrow 64 bits become fractions.
pub(super) fn calculate(
    operation: Arithmetic,
    left: &Value<'_>,
    right: &Value<'_>,
    dialect: Dialect,
) -> Option<Value<'static>> {
    let (left, right) = (operand(left, dialect)?, operand(right, dialect)?);
    let whole: Option<fn(i64, i64) -> Option<i64>> = match operation {
        Arithmetic::Plus => Some(i64::checked_add),
        Arithmetic::Minus => Some(i64::checked_sub),
        Arithmetic::Times => Some(i64::checked_mul),
        // As in the reference, a quotient and a remainder are never whole.
        Arithmetic::Over | Arithmetic::Modulo => None,
    };
    if let (Value::Int(left), Value::Int(right), Some(whole)) = (&left, &right, whole)
        && let Some(result) = whole(*left, *right)
    {
        return Some(Value::Int(result));
    }
    let (left, right) = (as_float(&left)?, as_float(&right)?);
    Some(Value::Float(match operation {
        Arithmetic::Plus => left + right,
        Arithmetic::Minus => left - right,
        Arithmetic::Times => left * right,
        Arithmetic::Over => left / right,
        Arithmetic::Modulo => left % right,
    }))
}

/// The number with the other sign.
pub(super) fn negate(value: &Value<'_>, dialect: Dialect) -> Option<Value<'static>> {
    match operand(value, dialect)? {
        Value::Int(number) => {
            Some(number.checked_neg().map_or_else(|| Value::Float(-(i64::MIN as f64)), Value::Int))
        }
        Value::Float(number) => Some(Value::Float(-number)),
        Value::Text(_) | Value::Bool(_) => None,
    }
}

fn operand(value: &Value<'_>, dialect: Dialect) -> Option<Value<'static>> {
    match value {
        Value::Int(number) => Some(Value::Int(*number)),
        Value::Float(number) => Some(Value::Float(*number)),
        Value::Text(text) if dialect == Dialect::StringsAsNumbers => number(text),
        Value::Text(_) | Value::Bool(_) => None,
    }
}
