//! Batches that were at hand when events before theirs came again: they are sent behind those, as they
//! were.
//!
//! Held by [`Lanes`](super::lane::Lanes) of an endpoint in order; with lanes by key it is empty. They hold
//! no events, only which ones they have.
//!
//! Invariant: each stands before those that it was put on, and there are [`MAX`] at most: what there is no
//! room for is made into batches anew.

use outflow_model::{Offset, Timestamp};

use super::batch::{Batch, State};
use crate::wire::BatchSize;

/// How many there are at most: one more for each time that what comes again stands before all of them.
const MAX: usize = 8;

/// See the module. The last one is sent first.
#[derive(Debug)]
pub(super) struct Behind<E>(Vec<Batch<E>>);

impl<E> Default for Behind<E> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<E> Behind<E> {
    /// A batch stands behind what comes again, and before all that are here.
    pub(super) fn push(&mut self, batch: Batch<E>) {
        if self.0.len() >= MAX {
            self.0.remove(0);
        }
        self.0.push(Batch { events: Vec::new(), ..batch });
    }

    /// As they were noted: the first is sent last.
    pub(super) fn recall(&mut self, noted: Vec<(Vec<Offset>, BatchSize)>, failures: u32) {
        for (offsets, size) in noted {
            if !offsets.is_empty() {
                let state = State::Waits(Timestamp::default());
                self.push(Batch { failures, ..Batch::new(size, vec![0], offsets, state) });
            }
        }
    }

    /// What is noted of them.
    pub(super) fn note(&self) -> impl Iterator<Item = (Vec<Offset>, BatchSize)> {
        self.0.iter().map(|batch| (batch.offsets.clone(), batch.size))
    }

    /// The first event of the one that is sent first.
    pub(super) fn first(&self) -> Option<Offset> {
        self.0.last()?.offsets.first().copied()
    }

    /// Takes out the one that is sent first.
    pub(super) fn pop(&mut self) -> Option<Batch<E>> {
        self.0.pop()
    }

    /// Changes all of them.
    pub(super) fn change_all(&mut self, change: impl FnMut(&mut Batch<E>)) {
        self.0.iter_mut().for_each(change);
    }
}
