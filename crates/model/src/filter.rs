//! The filter language of reference `airship.md` 1.2 and 1.3, compiled once and evaluated on
//! stored lines without building a JSON tree.

use crate::{Meta, Timestamp};

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
#[derive(Debug, Clone, Default)]
pub struct Filter {}

impl Filter {
    /// The filter that passes every event.
    #[must_use]
    pub fn all() -> Self {
        Self::default()
    }

    /// Compiles the JSON text of a request's `filters` member: an array of filter objects or one
    /// bare object. Pointers in errors start with `/filters`.
    ///
    /// # Errors
    /// [`FilterError`] names the place.
    pub fn parse(_json: &[u8]) -> Result<Self, FilterError> {
        todo!()
    }

    /// Whether it passes every event.
    #[must_use]
    pub fn is_all(&self) -> bool {
        todo!()
    }

    /// Whether its answer depends on the moment of delivery (`latency`), so that results must not
    /// be kept.
    #[must_use]
    pub fn depends_on_now(&self) -> bool {
        todo!()
    }

    /// The same for filters that pass the same events because they were written alike; readers
    /// with equal fingerprints share results.
    #[must_use]
    pub fn fingerprint(&self) -> u128 {
        todo!()
    }

    /// The upper-case types it names explicitly, over all filter objects.
    pub fn named_types(&self) -> impl Iterator<Item = &str> {
        [].into_iter()
    }

    /// The answer where the sidecar alone decides it.
    #[must_use]
    pub fn decide(&self, _meta: &Meta, _now: Timestamp) -> Option<bool> {
        todo!()
    }

    /// Whether the event passes.
    #[must_use]
    pub fn passes(&self, _meta: &Meta, _line: &[u8], _now: Timestamp) -> bool {
        todo!()
    }
}
