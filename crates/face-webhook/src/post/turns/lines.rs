//! Endpoints that wait in one place, in the order in which they came.
//!
//! Held by [`Turns`](super::Turns) for each project and for each host. Those that answered quickly the last
//! time stand apart, as there is room kept for them.
//!
//! Invariant: who came first goes first, but for those that may not go now.

use std::collections::BTreeMap;

/// Endpoints in the order in which they came.
pub(super) type Line = BTreeMap<u64, u64>;

/// Where an endpoint stands: with those of its project that are ready, with those that wait for its host, or
/// with those of its project that wait until fewer slow ones are under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum At {
    Ready,
    Host,
    Slow,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Lines {
    quick: Line,
    others: Line,
}

impl Lines {
    pub(super) fn insert(&mut self, is_quick: bool, ticket: u64, endpoint: u64) {
        self.line(is_quick).insert(ticket, endpoint);
    }

    pub(super) fn remove(&mut self, is_quick: bool, ticket: u64) {
        self.line(is_quick).remove(&ticket);
    }

    const fn line(&mut self, is_quick: bool) -> &mut Line {
        if is_quick { &mut self.quick } else { &mut self.others }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.quick.is_empty() && self.others.is_empty()
    }

    /// Whether one is here that may go, if only quick ones may.
    pub(super) fn has_any(&self, only_quick: bool) -> bool {
        !self.quick.is_empty() || (!only_quick && !self.others.is_empty())
    }

    /// The first of those that were not quick.
    pub(super) fn first_other(&self) -> Option<u64> {
        self.others.first_key_value().map(|(_, endpoint)| *endpoint)
    }

    /// Takes out the first, of the quick ones if only those may go.
    pub(super) fn pop(&mut self, only_quick: bool) -> Option<u64> {
        let (quick, other) = (self.quick.first_key_value(), self.others.first_key_value());
        let is_quick = match (quick, other) {
            (Some((first, _)), Some((other, _))) => only_quick || first < other,
            (first, _) => only_quick || first.is_some(),
        };
        self.line(is_quick).pop_first().map(|(_, endpoint)| endpoint)
    }
}
