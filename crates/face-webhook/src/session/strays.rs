//! Requests whose events were given back while they were under way: what they come to still counts.
//!
//! Held by [`Lanes`](super::lane::Lanes). A place that is moved takes back what an endpoint has, also of
//! what is just being sent. What the endpoint takes then is done when it comes again, and not sent twice;
//! but for what is to come again whether it was taken or not, as a replay says.
//!
//! Invariant: what is kept is bounded, by the requests under way and by [`MAX_TAKEN`].

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use outflow_model::Offset;

use super::batch::{Batch, BatchId, UnderWay};
use crate::wire::BatchSize;

/// How many events are remembered at most that were taken and have not come again: as many as the most
/// lanes have under way. What is forgotten is sent again.
const MAX_TAKEN: usize = 10_000;
/// How many of their batches are.
const MAX_BATCHES: usize = 8;

/// A request under way whose batch is known no more.
#[derive(Debug)]
struct Stray {
    offsets: Vec<Offset>,
    failures: u32,
    size: BatchSize,
    /// What stands from there on comes again, also if it is taken.
    again: Offset,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Strays {
    under_way: BTreeMap<BatchId, Stray>,
    /// What was taken, and comes again.
    taken: BTreeSet<Offset>,
    /// The batches that had it: after a restart it is sent as it was.
    batches: VecDeque<(Vec<Offset>, BatchSize)>,
}

impl Strays {
    /// A batch that is under way is known no more.
    pub(super) fn enter<E>(&mut self, id: BatchId, batch: Batch<E>) {
        let Batch { offsets, failures, size, again, .. } = batch;
        self.under_way.insert(id, Stray { offsets, failures, size, again });
    }

    /// How many are under way.
    pub(super) fn len(&self) -> usize {
        self.under_way.len()
    }

    /// What one has that is under way.
    pub(super) fn get(&self, id: BatchId) -> Option<UnderWay<'_>> {
        let Stray { offsets, failures, size, .. } = self.under_way.get(&id)?;
        Some(UnderWay { offsets, failures: *failures, size: *size })
    }

    /// One has ended, and was not taken.
    pub(super) fn end(&mut self, id: BatchId) {
        self.under_way.remove(&id);
    }

    /// One was taken; says whether it is one.
    pub(super) fn take(&mut self, id: BatchId) -> bool {
        let stray = self.under_way.remove(&id);
        let is_one = stray.is_some();
        if let Some(Stray { offsets, size, again, .. }) = stray {
            self.remember(&offsets, size, again);
        }
        is_one
    }

    /// These were taken and come again: those before `again` are done then.
    pub(super) fn remember(&mut self, offsets: &[Offset], size: BatchSize, again: Offset) {
        if self.batches.len() >= MAX_BATCHES {
            self.batches.pop_front();
        }
        self.batches.push_back((offsets.to_vec(), size));
        self.taken.extend(offsets.iter().filter(|offset| **offset < again));
        while self.taken.len() > MAX_TAKEN {
            self.taken.pop_first();
        }
    }

    /// The batches of what was taken and has not come again.
    pub(super) fn note(&self) -> impl Iterator<Item = (Vec<Offset>, BatchSize)> {
        let comes = |offsets: &[Offset]| offsets.iter().any(|one| self.taken.contains(one));
        self.batches.iter().filter(move |(offsets, _)| comes(offsets)).cloned()
    }

    /// What stands from there on is to come again, whether it was taken or not.
    pub(super) fn come_again(&mut self, from: Offset) {
        drop(self.taken.split_off(&from));
        self.under_way.values_mut().for_each(|one| one.again = one.again.min(from));
    }

    /// Whether an event that has come is done already.
    pub(super) fn is_done(&mut self, offset: Offset) -> bool {
        !self.taken.is_empty() && self.taken.remove(&offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_taken_is_done_once_but_for_what_is_to_come_again() {
        let offsets: Vec<Offset> = (1..=4).map(Offset::new).collect();
        let mut strays = Strays::default();
        strays.remember(&offsets, BatchSize::default(), Offset::new(4));
        assert!(strays.is_done(Offset::new(1)) && !strays.is_done(Offset::new(1)));
        assert!(!strays.is_done(Offset::new(4)), "it is sent again");
        strays.come_again(Offset::new(3));
        assert_eq!(strays.note().collect::<Vec<_>>(), [(offsets, BatchSize::default())]);
        assert!(strays.is_done(Offset::new(2)) && !strays.is_done(Offset::new(3)));
        assert_eq!(strays.note().count(), 0, "all is done, or is made into batches anew");
        let many: Vec<Offset> = (0..20_000).map(Offset::new).collect();
        strays.remember(&many, BatchSize::default(), Offset::LAST);
        assert_eq!(strays.taken.len(), MAX_TAKEN);
    }
}
