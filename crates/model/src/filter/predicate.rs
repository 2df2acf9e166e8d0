//! JSON predicates (reference `airship.md` 1.3): compiling them and asking them of an event.
//!
//! Called by `clause` and `compile`. The grammar:
//! `pred = {"and": [pred]} | {"or": [pred]} | {"not": pred or [pred]} | matcher`,
//! `matcher = {"scope": str or [str], "key": str, "value": test, "ignore_case": bool}`.

use std::cmp::Ordering;

use super::compile::{Compiler, text};
use super::version::Constraint;
use super::{FilterError, Place};
use crate::Meta;
use crate::json::value::Members;
use crate::json::{Kind, Number, Pattern, Value};

/// What a predicate is asked of.
#[derive(Debug, Clone, Copy)]
pub(super) enum Root<'a> {
    /// A stored event.
    Event {
        /// Its sidecar.
        meta: &'a Meta,
        /// Its line.
        line: &'a [u8],
    },
    /// An element of an array.
    Value(Value<'a>),
}

impl<'a> Root<'a> {
    /// The value itself.
    fn whole(self) -> Value<'a> {
        match self {
            Self::Event { line, .. } => Value::new(line),
            Self::Value(value) => value,
        }
    }

    /// The member called `name`.
    pub(super) fn member(self, name: &str) -> Option<Value<'a>> {
        let Self::Event { meta, line } = self else { return self.whole().get(name.as_bytes()) };
        // The sidecar knows where the body stands and where the publisher's other members do, so
        // neither is searched for the other.
        let (body, others) = (meta.body_start as usize, meta.others_start());
        let others = if body == 0 { line.get(others..) } else { line.get(others..body) };
        match name {
            "body" if body == 0 => None,
            "body" => Some(Value::new(meta.body(line))),
            "id" | "type" | "offset" | "occurred" | "processed" => {
                Value::new(line).get(name.as_bytes())
            }
            _ => Members::inside(others.unwrap_or_default()).called(name.as_bytes()),
        }
    }
}

/// A predicate, compiled.
#[derive(Debug, Clone)]
pub(super) enum Predicate {
    And(Vec<Predicate>),
    Or(Vec<Predicate>),
    Not(Box<Predicate>),
    Matcher {
        /// The names to walk down; empty for the root itself.
        path: Vec<Box<str>>,
        test: Test,
        ignore_case: bool,
    },
}

/// What a matcher asks of its value.
#[derive(Debug, Clone)]
pub(super) enum Test {
    Equals(Pattern),
    /// Between two numbers, both included and kept as written.
    Range {
        at_least: Option<Box<[u8]>>,
        at_most: Option<Box<[u8]>>,
    },
    /// Whether it is there and not null.
    IsPresent(bool),
    Version(Constraint),
    /// Whether an element, or the one at `index`, passes.
    ArrayContains {
        predicate: Box<Predicate>,
        index: Option<usize>,
    },
}

impl Predicate {
    /// Whether it holds, with a call of `step` before each reading.
    pub(super) fn holds(&self, root: Root<'_>, step: &mut impl FnMut()) -> bool {
        match self {
            Self::And(all) => all.iter().all(|predicate| predicate.holds(root, step)),
            Self::Or(any) => any.iter().any(|predicate| predicate.holds(root, step)),
            Self::Not(predicate) => !predicate.holds(root, step),
            Self::Matcher { path, test, ignore_case } => {
                step();
                let value = match path.split_first() {
                    None => Some(root.whole()),
                    Some((first, rest)) => rest.iter().fold(root.member(first), |value, name| {
                        step();
                        value.and_then(|value| value.get(name.as_bytes()))
                    }),
                };
                test.holds(value.unwrap_or(Value::new(b"null")), *ignore_case, step)
            }
        }
    }
}

impl Test {
    fn holds(&self, value: Value<'_>, ignore_case: bool, step: &mut impl FnMut()) -> bool {
        match (self, value.kind()) {
            (Self::Equals(wanted), _) => wanted.equals(value, ignore_case),
            (Self::IsPresent(wanted), kind) => !matches!(kind, Kind::Null) == *wanted,
            (Self::Range { at_least, at_most }, Kind::Number(number)) => {
                let order = |bound: &[u8]| number.compare(Number::new(bound));
                at_least.as_deref().is_none_or(|bound| order(bound) != Ordering::Less)
                    && at_most.as_deref().is_none_or(|bound| order(bound) != Ordering::Greater)
            }
            (Self::Version(constraint), Kind::String(raw)) => constraint.admits(&raw.to_text()),
            (Self::ArrayContains { predicate, index }, Kind::Array) => {
                let mut elements = value.elements();
                let holds = |element| predicate.holds(Root::Value(element), step);
                match *index {
                    Some(index) => elements.nth(index).is_some_and(holds),
                    None => elements.any(holds),
                }
            }
            (Self::Range { .. } | Self::Version(_) | Self::ArrayContains { .. }, _) => false,
        }
    }
}

impl Compiler {
    /// A predicate. Recurses as deep as the filter is nested, which is bounded.
    pub(super) fn predicate(
        &mut self,
        value: Value<'_>,
        place: &Place<'_>,
    ) -> Result<Predicate, FilterError> {
        let names = ["and", "or", "not", "scope", "key", "value", "ignore_case"];
        let [and, or, not, scope, key, test, ignore_case] = place.members(value, names)?;
        let given = |all: &[Option<Value<'_>>]| all.iter().flatten().count();
        let (joints, parts) = (given(&[and, or, not]), given(&[scope, key, test, ignore_case]));
        if joints > 1 || (joints == 1 && parts > 0) {
            return Err(place.error("`and`, `or` or `not` must stand alone"));
        }
        let at = |name| Place::Member(place, name);
        match (and, or, not, test) {
            (Some(all), ..) => {
                Ok(Predicate::And(self.entries(all, &at("and"), Self::predicate)?))
            }
            (_, Some(any), ..) => {
                Ok(Predicate::Or(self.entries(any, &at("or"), Self::predicate)?))
            }
            (_, _, Some(not), _) => Ok(Predicate::Not(Box::new(self.negated(not, &at("not"))?))),
            (.., Some(test)) => {
                self.count_matcher(place)?;
                let path = self.path(scope, key, place)?;
                let test = self.test(test, &at("value"))?;
                let ignore_case = flag(ignore_case, &at("ignore_case"))?;
                Ok(Predicate::Matcher { path, test, ignore_case })
            }
            (None, None, None, None) => Err(place.error("must have `and`, `or`, `not` or `value`")),
        }
    }

    /// What `not` negates: a predicate, or an array of exactly one, as the SDKs write it.
    fn negated(&mut self, value: Value<'_>, place: &Place<'_>) -> Result<Predicate, FilterError> {
        if value.text().first() != Some(&b'[') {
            return self.predicate(value, place);
        }
        let mut all = self.entries(value, place, Self::predicate)?;
        match (all.pop(), all.is_empty()) {
            (Some(only), true) => Ok(only),
            _ => Err(place.error("must have exactly one predicate")),
        }
    }

    fn path(
        &mut self,
        scope: Option<Value<'_>>,
        key: Option<Value<'_>>,
        place: &Place<'_>,
    ) -> Result<Vec<Box<str>>, FilterError> {
        let mut path = Vec::new();
        if let Some(scope) = scope {
            let place = Place::Member(place, "scope");
            if scope.as_string().is_some() {
                path.push(text(scope, &place)?.into());
            } else {
                path = self
                    .entries(scope, &place, |_, name, place| text(name, place).map(Into::into))?;
            }
        }
        if let Some(key) = key {
            path.push(text(key, &Place::Member(place, "key"))?.into());
        }
        Ok(path)
    }

    fn test(&mut self, value: Value<'_>, place: &Place<'_>) -> Result<Test, FilterError> {
        let names = [
            "equals",
            "at_least",
            "at_most",
            "is_present",
            "version_matches",
            "version",
            "array_contains",
            "index",
        ];
        let [equals, at_least, at_most, is_present, version, alias, contains, index] =
            place.members(value, names)?;
        let version = version.or(alias);
        let kinds = [equals, at_least.or(at_most), is_present, version, contains];
        if kinds.iter().flatten().count() != 1 || (index.is_some() && contains.is_none()) {
            return Err(place.error(
                "must have exactly one of `equals`, `at_least` and `at_most`, `is_present`, \
                 `version_matches`, `array_contains`",
            ));
        }
        if let Some(wanted) = equals {
            return Ok(Test::Equals(Pattern::of(wanted)));
        }
        if let Some(predicate) = contains {
            let inner = Place::Member(place, "array_contains");
            let predicate = Box::new(self.predicate(predicate, &inner)?);
            let index =
                index.map(|index| whole(index, &Place::Member(place, "index"))).transpose()?;
            return Ok(Test::ArrayContains { predicate, index });
        }
        if let Some(wanted) = is_present {
            return Ok(Test::IsPresent(flag(Some(wanted), &Place::Member(place, "is_present"))?));
        }
        if let Some(wanted) = version {
            let place = Place::Member(place, "version_matches");
            let constraint = Constraint::parse(&text(wanted, &place)?);
            let wrong = || place.error("not a version, a prefix such as `1.2.+` or a range");
            return constraint.map(Test::Version).ok_or_else(wrong);
        }
        range(at_least, at_most, place)
    }
}

fn range(
    at_least: Option<Value<'_>>,
    at_most: Option<Value<'_>>,
    place: &Place<'_>,
) -> Result<Test, FilterError> {
    let number = |value: Option<Value<'_>>, name| -> Result<Option<Box<[u8]>>, FilterError> {
        let Some(value) = value else { return Ok(None) };
        match value.as_number() {
            Some(number) => Ok(Some(number.as_written().into())),
            None => Err(Place::Member(place, name).error("must be a number")),
        }
    };
    let (at_least, at_most) = (number(at_least, "at_least")?, number(at_most, "at_most")?);
    if let (Some(least), Some(most)) = (&at_least, &at_most)
        && Number::new(least).compare(Number::new(most)) == Ordering::Greater
    {
        return Err(place.error("`at_least` is greater than `at_most`"));
    }
    Ok(Test::Range { at_least, at_most })
}

fn flag(value: Option<Value<'_>>, place: &Place<'_>) -> Result<bool, FilterError> {
    match value.map(Value::as_bool) {
        None => Ok(false),
        Some(Some(flag)) => Ok(flag),
        Some(None) => Err(place.error("must be true or false")),
    }
}

fn whole(value: Value<'_>, place: &Place<'_>) -> Result<usize, FilterError> {
    let number = value.as_number().and_then(|number| number.as_u64());
    let number = number.and_then(|number| usize::try_from(number).ok());
    number.ok_or_else(|| place.error("must be a whole number, 0 or more"))
}
