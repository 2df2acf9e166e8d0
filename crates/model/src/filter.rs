//! The filter language of reference `airship.md` 1.2 and 1.3, compiled once and evaluated on
//! stored lines without building a JSON tree.
//!
//! Called by faces (compiling) and the hub (evaluating). Filter objects are OR-ed, the attributes
//! of one are AND-ed, the entries of an attribute are OR-ed. Invariants: a filter is bounded in
//! text, items, matchers and depth; evaluation recurses no deeper than the filter is nested, and
//! allocates only for strings with escapes and whole-object comparisons.

mod clause;
mod compile;
pub mod event_types;
mod place;
mod predicate;
mod version;

use xxhash_rust::xxh3::xxh3_128;

use crate::json;
use crate::{Meta, Timestamp};
use clause::Clause;
use compile::{Compiler, Dialect};
pub(crate) use place::Place;

pub use event_types::EVENT_TYPES;

/// The longest filter text accepted, in bytes.
pub const MAX_BYTES: usize = 64 * 1024;
/// The deepest nesting of a filter text.
pub const MAX_DEPTH: usize = 32;
/// The most entries in all arrays of a filter together.
pub const MAX_ITEMS: usize = 1_000;
/// The most matchers in all predicates of a filter together: each may read the whole event.
pub const MAX_MATCHERS: usize = 250;

/// Why a filter was refused, with a JSON pointer to the place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason} at `{pointer}`")]
pub struct FilterError {
    /// JSON pointer into the request body, such as `/filters/0/types`.
    pub pointer: String,
    /// What is wrong, lower case.
    pub reason: String,
}

/// A compiled filter. Filter objects are OR-ed, the attributes of one are AND-ed.
#[derive(Debug, Clone)]
pub struct Filter {
    clauses: Vec<Clause>,
    questions: usize,
    fingerprint: u128,
}

impl Default for Filter {
    fn default() -> Self {
        Self::all()
    }
}

impl Filter {
    /// The filter that passes every event.
    #[must_use]
    pub fn all() -> Self {
        Self { clauses: vec![Clause::default()], questions: 1, fingerprint: 0 }
    }

    /// Compiles the JSON text of a request's `filters` member: an array of filter objects or one
    /// bare object. Event types must be among [`EVENT_TYPES`]. Pointers in errors start with
    /// `/filters`.
    ///
    /// # Errors
    /// [`FilterError`] names the place.
    pub fn parse(json: &[u8]) -> Result<Self, FilterError> {
        Self::compile(json, Dialect::Airship)
    }

    /// The same for streams that do not hold Airship's events: any event type may be named.
    ///
    /// # Errors
    /// [`FilterError`] names the place.
    pub fn parse_any_types(json: &[u8]) -> Result<Self, FilterError> {
        Self::compile(json, Dialect::AnyTypes)
    }

    /// The same for the compliance stream (`airship.md` 1.7): only `latency` and `device_types` of
    /// `email` and `sms` may be given.
    ///
    /// # Errors
    /// [`FilterError`] names the place.
    pub fn parse_compliance(json: &[u8]) -> Result<Self, FilterError> {
        Self::compile(json, Dialect::Compliance)
    }

    fn compile(text: &[u8], dialect: Dialect) -> Result<Self, FilterError> {
        let place = Place::Root("/filters");
        if text.len() > MAX_BYTES {
            return Err(place.error(format!("longer than {MAX_BYTES} bytes")));
        }
        let value = json::check(text, MAX_DEPTH).map_err(|error| place.json_error(&error))?;
        let mut compiler = Compiler::new(dialect);
        let clauses = compiler.clauses(value, &place)?;
        let mut filter = Self { clauses, questions: compiler.questions(), fingerprint: 0 };
        if !filter.is_all() {
            filter.fingerprint = fingerprint(value.text());
        }
        Ok(filter)
    }

    /// Whether it passes every event.
    #[must_use]
    pub fn is_all(&self) -> bool {
        self.clauses.iter().any(Clause::is_all)
    }

    /// Whether its answer depends on the moment of delivery (`latency`), so that results must not
    /// be kept.
    #[must_use]
    pub fn depends_on_now(&self) -> bool {
        self.clauses.iter().any(Clause::depends_on_now)
    }

    /// The same for filters that pass the same events because they were written alike, white space
    /// aside; readers with equal fingerprints share results. 0 for those that pass every event.
    #[must_use]
    pub const fn fingerprint(&self) -> u128 {
        self.fingerprint
    }

    /// Whether it may have to read events: [`Filter::decide`] does not answer for all of them.
    #[must_use]
    pub fn reads_lines(&self) -> bool {
        self.clauses.iter().any(Clause::needs_line)
    }

    /// How often it may read an event, at most: once for each of its entries and matchers.
    #[must_use]
    pub const fn questions(&self) -> usize {
        self.questions
    }

    /// The upper-case types it names explicitly, over all filter objects.
    pub fn named_types(&self) -> impl Iterator<Item = &str> {
        self.clauses.iter().flat_map(Clause::named_types)
    }

    /// The answer where the sidecar alone decides it.
    #[must_use]
    pub fn decide(&self, meta: &Meta, now: Timestamp) -> Option<bool> {
        let mut undecided = false;
        for clause in &self.clauses {
            match clause.decide(meta, now) {
                Some(true) => return Some(true),
                Some(false) => {}
                None => undecided = true,
            }
        }
        (!undecided).then_some(false)
    }

    /// Whether the event passes.
    #[must_use]
    pub fn passes(&self, meta: &Meta, line: &[u8], now: Timestamp) -> bool {
        self.passes_in_steps(meta, line, now, &mut || ())
    }

    /// As [`Filter::passes`], with a call of `step` before each reading of the event or of an element: who
    /// looks at what costs much can let others go on there.
    pub fn passes_in_steps(
        &self,
        meta: &Meta,
        line: &[u8],
        now: Timestamp,
        step: &mut impl FnMut(),
    ) -> bool {
        self.clauses.iter().any(|clause| match clause.decide(meta, now) {
            Some(answer) => answer,
            None => clause.passes_line(meta, line, step),
        })
    }
}

/// A hash of checked JSON `text` without the white space between its tokens.
fn fingerprint(text: &[u8]) -> u128 {
    let (mut in_string, mut escaped) = (false, false);
    let mut compact = text.to_vec();
    compact.retain(|&byte| {
        let keep = in_string || !matches!(byte, b' ' | b'\t' | b'\n' | b'\r');
        in_string ^= byte == b'"' && !escaped;
        escaped = in_string && byte == b'\\' && !escaped;
        keep
    });
    // 0 is kept for the filters that pass every event.
    xxh3_128(&compact).max(1)
}
