//! Keys whose events are never taken while others are: the endpoint does not fail, and nothing else tells of them.
//!
//! Called by [`Session::apply`](super::Session::apply), with lanes by key.
//!
//! Invariants: each batch is told of once, when it has failed for as long as the first alert of an endpoint that
//! only fails takes; those that come due together are told of as one; what such an alert tells of is not told again. How
//! long a key fails counts from when the server was started, as nothing of the keys' batches is noted.

use outflow_model::{Offset, Timestamp};

use super::batch::BatchId;
use super::lane::Lanes;
use super::{Held, Output, Session, later};
use crate::health;

/// What operators hear.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stuck {
    /// How many keys.
    pub keys: usize,
    /// Since when the first of them fails.
    pub since: Timestamp,
    /// How often that one has failed.
    pub failures: u32,
    /// Its first event.
    pub first: Offset,
}

impl<E: Held> Session<E> {
    /// When the next key is told of, if it is not taken before.
    pub(super) fn next_stuck(&self) -> Option<Timestamp> {
        let (since, _) = self.lanes.first_untold().filter(|_| self.rules.by_key)?;
        Some(later(since, health::first_alert(self.rules.disable_after)))
    }

    /// Tells of the keys for which it is time.
    pub(super) fn look_at_keys(&mut self, now: Timestamp) {
        if !self.is_open() {
            return;
        }
        let mut stuck: Option<Stuck> = None;
        while self.next_stuck().is_some_and(|due| due <= now)
            && let Some((_, id)) = self.lanes.first_untold()
            && let Some(one) = self.lanes.tell_of(id)
        {
            let is_told_of = self.health.failing().is_some_and(|all| all.since <= one.since);
            if !is_told_of {
                let keys = stuck.as_ref().map_or(0, |known| known.keys).saturating_add(one.keys);
                stuck = Some(Stuck { keys, ..stuck.unwrap_or(one) });
            }
        }
        self.outputs.extend(stuck.map(Output::Stuck));
    }
}

impl<E: Held> Lanes<E> {
    /// Which batch has failed for longest of those that are not told of, and since when.
    fn first_untold(&self) -> Option<(Timestamp, BatchId)> {
        self.batches.first_untold()
    }

    /// Counts a batch as told of; gives what is told.
    fn tell_of(&mut self, id: BatchId) -> Option<Stuck> {
        self.batches.change(id, |batch| {
            let since = batch.since.take()?;
            let first = batch.offsets.first().copied().unwrap_or_default();
            Some(Stuck { keys: batch.lanes.len(), since, failures: batch.failures, first })
        })?
    }
}
