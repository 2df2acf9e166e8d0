//! Batches whose events do not come, or not all of them.
//!
//! Called by [`Session`](super::super::Session) as time passes. What a filter hides, or retention has taken, never
//! comes; what is only late would be another message without it.
//!
//! Invariant: no time counts in which the hub still looks for events.

use std::time::Duration;

use outflow_model::Timestamp;

use super::{Held, Lanes};
use crate::session::{Rules, later};

impl<E: Held> Lanes<E> {
    /// Batches of which a part has come are what has come, when the rest has been missing for
    /// `patience`: nothing is left behind it whose coming would show that it is gone.
    pub(in crate::session) fn settle_for_less(&mut self, now: Timestamp, patience: Duration) {
        if self.misses_until(patience).is_some_and(|until| until <= now) {
            self.batches.change_all(|batch| {
                if batch.is_partial() {
                    batch.settle_for_less();
                }
            });
        }
    }

    /// When a part of a batch has been missing for `patience`; `None`: none is.
    pub(in crate::session) fn misses_until(&self, patience: Duration) -> Option<Timestamp> {
        let misses = self.is_here && self.batches.is_partial();
        misses.then(|| later(self.latest, patience))
    }

    /// When what nothing has come of is waited for no more: batches, or what failed before the server was started;
    /// `None`: there is no such thing.
    pub(in crate::session) fn absent_until(&self, absence: Duration) -> Option<Timestamp> {
        let is_lacking = self.batches.is_awaited() || (self.held_off.is_some() && self.count == 0);
        (self.is_here && is_lacking).then(|| later(self.latest, absence))
    }

    /// Batches are no more of which nothing has come for `absence`. Says whether there were any.
    pub(in crate::session) fn forget_absent(&mut self, now: Timestamp, absence: Duration) -> bool {
        if self.absent_until(absence).is_none_or(|until| now < until) {
            return false;
        }
        let mut is_any = self.count == 0 && self.held_off.take().is_some();
        while let Some(id) = self.batches.absent() {
            self.take(id);
            is_any = true;
        }
        is_any
    }

    /// The hub still looks for what may come: nothing is missing yet.
    pub(in crate::session) fn look(&mut self, now: Timestamp) {
        self.latest = now;
        self.unsure = self.unsure.map(|_| now);
    }

    /// Whether something is given up, or sent without what may come, as time passes.
    pub(in crate::session) fn is_expecting(&self) -> bool {
        let is_missing = self.absent_until(Duration::ZERO).is_some();
        let is_cut = self.unsure.is_some() && self.held.came().is_some();
        self.is_here && (is_missing || self.batches.is_partial() || is_cut)
    }

    /// When a batch is sent although it is not full.
    pub(in crate::session) fn lingers_until(
        &self,
        rules: &Rules,
        linger: Duration,
    ) -> Option<Timestamp> {
        let is_busy = self.flying() >= rules.lanes || (!rules.by_key && !self.batches.is_empty());
        if is_busy {
            return None;
        }
        self.waits_until(linger)
    }

    /// Until when the first event waits for others.
    pub(super) fn waits_until(&self, linger: Duration) -> Option<Timestamp> {
        let began =
            self.held.came().map(|came| self.unsure.map_or(came, |looked| came.max(looked)));
        began.map(|began| later(began, linger))
    }
}
