//! A JSON value kept to compare others with: deep equality.
//!
//! Called by filters (`equals`). The wanted value is taken apart once; each comparison is one pass
//! over the other text, however many members either has.

use std::borrow::Cow;
use std::cmp::Ordering;

use super::{Kind, Number, Value};

/// A wanted value. See the module.
#[derive(Debug, Clone)]
pub enum Pattern {
    /// `null`.
    Null,
    /// A boolean.
    Bool(bool),
    /// A number as written; compared by value.
    Number(Box<[u8]>),
    /// A string, unescaped.
    String(Box<str>),
    /// An array.
    Array(Box<[Pattern]>),
    /// An object, by name in byte order; each name once.
    Object(Box<[(Box<str>, Pattern)]>),
}

impl Pattern {
    /// Takes a checked value apart. Recurses as deep as the value is nested.
    #[must_use]
    pub fn of(value: Value<'_>) -> Self {
        match value.kind() {
            Kind::Null => Self::Null,
            Kind::Bool(value) => Self::Bool(value),
            Kind::Number(number) => Self::Number(number.as_written().into()),
            Kind::String(raw) => Self::String(raw.to_text().into()),
            Kind::Array => Self::Array(value.elements().map(Self::of).collect()),
            Kind::Object => {
                let members = value.members();
                let mut members: Vec<(Box<str>, Self)> =
                    members.map(|(name, value)| (name.to_text().into(), Self::of(value))).collect();
                // The last of equal names counts: the sort is stable, so reverse, then keep firsts.
                members.reverse();
                members.sort_by(|left, right| left.0.cmp(&right.0));
                members.dedup_by(|later, first| later.0 == first.0);
                Self::Object(members.into())
            }
        }
    }

    /// Whether `value` is equal: numbers by value, strings after unescaping (`ignore_case` applies
    /// to them, not to names), arrays in order, objects in any order.
    #[must_use]
    pub fn equals(&self, value: Value<'_>, ignore_case: bool) -> bool {
        match (self, value.kind()) {
            (Self::Null, Kind::Null) => true,
            (Self::Bool(wanted), Kind::Bool(found)) => *wanted == found,
            (Self::Number(wanted), Kind::Number(found)) => {
                found.compare(Number::new(wanted)) == Ordering::Equal
            }
            (Self::String(wanted), Kind::String(found)) if ignore_case => {
                found.is_ignoring_case(wanted)
            }
            (Self::String(wanted), Kind::String(found)) => found.is(wanted.as_bytes()),
            (Self::Array(wanted), Kind::Array) => {
                let mut found = value.elements();
                wanted.iter().all(|wanted| {
                    found.next().is_some_and(|found| wanted.equals(found, ignore_case))
                }) && found.next().is_none()
            }
            (Self::Object(wanted), Kind::Object) => object_equals(wanted, value, ignore_case),
            _ => false,
        }
    }
}

fn object_equals(wanted: &[(Box<str>, Pattern)], value: Value<'_>, ignore_case: bool) -> bool {
    // One answer for each wanted name. Objects are rarely compared whole, so this may allocate.
    let mut equal = vec![false; wanted.len()];
    for (name, found) in value.members() {
        let name: Cow<'_, [u8]> = name.unescape();
        let place = wanted.binary_search_by(|(wanted, _)| wanted.as_bytes().cmp(&name));
        let Some((place, (_, wanted))) = place.ok().and_then(|at| Some((at, wanted.get(at)?)))
        else {
            return false;
        };
        if let Some(equal) = equal.get_mut(place) {
            *equal = wanted.equals(found, ignore_case);
        }
    }
    equal.iter().all(|&equal| equal)
}
