//! What an endpoint may be sent is other than it was: what it holds is looked at again.
//!
//! Called by [`Session::apply`](super::Session::apply). The hub knows what may be sent, so what is not under
//! way goes back to it and is handed out again as far as it may be, in its order. With lanes by key the requests
//! under way keep theirs only; what comes back of them is looked at as well before it is sent again.
//!
//! Invariants: no batch that was made before is sent without this; a lane stays with its batch until that is
//! settled, so that what stands behind it there waits for it.

use outflow_model::Timestamp;

use super::batch::{Batch, BatchId};
use super::lane::Lanes;
use super::{Held, Output, Session};

impl<E: Held> Session<E> {
    /// See the module. The batches `unsent` were to be sent, and were not.
    pub(super) fn look_again(&mut self, unsent: &[BatchId], now: Timestamp) {
        for batch in unsent {
            self.lanes.take_back(*batch, now);
        }
        let goes_on = self.rules.by_key && self.is_joined && self.away.is_none();
        if goes_on && self.lanes.flying() > 0 {
            self.lanes.outdate();
            let events = self.lanes.shed();
            // What has not come by then is no more.
            self.lanes.come(now);
            self.give_back_these(events);
            return;
        }
        // It comes back at once, as another consumer, which is handed what may be seen.
        self.away = self.away.max(Some(now));
        self.give_back();
    }

    /// What has come back of a request is looked at again, if it was under way meanwhile.
    pub(super) fn look_at_landed(&mut self, batch: BatchId) {
        let events = self.lanes.shed_outdated(batch);
        self.give_back_these(events);
    }

    pub(super) fn give_back_these(&mut self, events: Vec<E>) {
        if !events.is_empty() {
            self.outputs.push(Output::GiveBack(events));
        }
    }
}

impl<E: Held> Lanes<E> {
    /// What is under way is looked at again if it comes back.
    fn outdate(&mut self) {
        self.batches.change_all(|batch| batch.is_outdated = batch.is_flying());
    }

    /// Whether a batch is under way that is looked at again if it comes back.
    pub(super) fn is_outdated(&self, id: BatchId) -> bool {
        self.batches.get(id).is_some_and(|batch| batch.is_outdated)
    }

    /// Takes out the events of a batch that has landed and is to be looked at, to be given back.
    fn shed_outdated(&mut self, id: BatchId) -> Vec<E> {
        if !self.is_outdated(id) {
            return Vec::new();
        }
        let empty = |batch: &mut Batch<E>| {
            batch.is_outdated = false;
            std::mem::take(&mut batch.events)
        };
        let events = self.batches.change(id, empty).unwrap_or_default();
        self.lose(&events);
        events
    }
}
