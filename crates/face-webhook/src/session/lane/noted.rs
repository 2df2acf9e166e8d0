//! What was noted of batches before the server was started.
//!
//! Called by [`Session::new`](super::super::Session::new), before anything else. Of an endpoint in order; with lanes by
//! key nothing of the batches is noted.

use outflow_model::{Offset, Timestamp};

use super::{Held, Lanes};
use crate::session::batch::{Batch, State};
use crate::wire::BatchSize;

impl<E: Held> Lanes<E> {
    /// Sends nothing before `until`; the first batch then has failed so often.
    pub(in crate::session) fn hold_off(&mut self, until: Option<Timestamp>, failures: u32) {
        self.held_off = until.map(|until| (until, failures));
    }

    /// The first batch is of these events and of this size, as it was before.
    pub(in crate::session) fn recall(&mut self, offsets: Vec<Offset>, size: Option<BatchSize>) {
        // One event by itself may be a batch of any size: then the size is noted.
        let of_these = |size: &BatchSize| size.is_array() && size.get() >= offsets.len();
        let Some(size) = size.or_else(|| BatchSize::ALL.into_iter().find(of_these)) else { return };
        if offsets.is_empty() {
            return;
        }
        let (until, failures) = self.held_off.take().unwrap_or_default();
        let batch = Batch::new(size, vec![0], offsets, State::Waits(until));
        self.enter(Batch { failures, ..batch });
    }

    /// These batches stand behind it, the first one last.
    pub(in crate::session) fn recall_behind(
        &mut self,
        noted: Vec<(Vec<Offset>, BatchSize)>,
        failures: u32,
    ) {
        self.behind.recall(noted, failures);
    }

    /// A full batch may have been sent that was not noted: nothing less is cut while what it had is looked for.
    pub(in crate::session) const fn be_unsure(&mut self) {
        self.unsure = Some(Timestamp::from_millis(0));
    }
}
