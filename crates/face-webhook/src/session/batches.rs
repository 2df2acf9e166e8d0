//! The batches of an endpoint, and what is asked of all of them together.
//!
//! Held by [`Lanes`](super::lane::Lanes). An endpoint with lanes by key may have a batch for each of
//! thousands of keys, and is looked at whenever a request of it ends: what waits stands in order of its
//! time, and what is only counted is counted as it changes.
//!
//! Invariant: a batch is changed through this alone, so that what is known of all is so.

use std::collections::{BTreeMap, BTreeSet};

use outflow_model::{Offset, Timestamp};

use super::Held;
use super::batch::{Batch, BatchId, State};

/// What counts of one batch.
#[derive(Debug, Clone, Copy)]
struct Mark {
    /// Until when it waits; `None`: it is under way.
    until: Option<Timestamp>,
    is_whole: bool,
    is_partial: bool,
    has_failed: bool,
    since: Option<Timestamp>,
    /// How many events it has, in memory or not.
    count: usize,
    last: Offset,
}

impl Mark {
    fn of<E: Held>(batch: &Batch<E>) -> Self {
        let until = match batch.state {
            State::Waits(until) => Some(until),
            State::Flying => None,
        };
        Self {
            until,
            is_whole: batch.is_whole(),
            is_partial: batch.is_partial(),
            has_failed: batch.failures > 0,
            since: batch.since,
            count: batch.offsets.len(),
            last: batch.offsets.last().copied().unwrap_or_default(),
        }
    }
}

/// See the module.
#[derive(Debug)]
pub(super) struct Batches<E> {
    all: BTreeMap<BatchId, Batch<E>>,
    next: u64,
    /// Those that wait and are all there, by their time.
    whole: BTreeSet<(Timestamp, BatchId)>,
    /// Those that wait and lack events, by their time and by their last event.
    lacking: BTreeSet<(Timestamp, BatchId)>,
    lacking_by_last: BTreeSet<(Offset, BatchId)>,
    /// Those that fail and are not told of, by when that began.
    untold: BTreeSet<(Timestamp, BatchId)>,
    /// How many are under way, have come in part, have failed.
    flying: usize,
    partial: usize,
    failed: usize,
    /// How many events they have, in memory or not.
    count: usize,
}

impl<E> Default for Batches<E> {
    fn default() -> Self {
        Self {
            all: BTreeMap::new(),
            next: 0,
            whole: BTreeSet::new(),
            lacking: BTreeSet::new(),
            lacking_by_last: BTreeSet::new(),
            untold: BTreeSet::new(),
            flying: 0,
            partial: 0,
            failed: 0,
            count: 0,
        }
    }
}

impl<E: Held> Batches<E> {
    /// A new one.
    pub(super) fn enter(&mut self, batch: Batch<E>) -> BatchId {
        let id = BatchId(self.next);
        self.next += 1;
        self.count_in(id, Mark::of(&batch));
        self.all.insert(id, batch);
        id
    }

    pub(super) fn get(&self, id: BatchId) -> Option<&Batch<E>> {
        self.all.get(&id)
    }

    pub(super) fn first(&self) -> Option<&Batch<E>> {
        self.all.values().next()
    }

    pub(super) fn remove(&mut self, id: BatchId) -> Option<Batch<E>> {
        let batch = self.all.remove(&id)?;
        self.count_out(id, Mark::of(&batch));
        Some(batch)
    }

    /// Changes one; gives what `change` gives.
    pub(super) fn change<R>(
        &mut self,
        id: BatchId,
        change: impl FnOnce(&mut Batch<E>) -> R,
    ) -> Option<R> {
        let batch = self.all.get_mut(&id)?;
        let before = Mark::of(batch);
        let result = change(batch);
        let after = Mark::of(batch);
        self.count_out(id, before);
        self.count_in(id, after);
        Some(result)
    }

    /// Changes all of them: as much work as there are.
    pub(super) fn change_all(&mut self, mut change: impl FnMut(&mut Batch<E>)) {
        let ids: Vec<BatchId> = self.all.keys().copied().collect();
        for id in ids {
            self.change(id, &mut change);
        }
    }

    /// Forgets all; gives those that are under way. None is called as one of before.
    pub(super) fn clear(&mut self) -> Vec<(BatchId, Batch<E>)> {
        let all = std::mem::replace(self, Self { next: self.next, ..Self::default() }).all;
        all.into_iter().filter(|(_, batch)| batch.is_flying()).collect()
    }

    fn count_in(&mut self, id: BatchId, mark: Mark) {
        match mark.until {
            None => self.flying += 1,
            Some(until) if mark.is_whole => {
                self.whole.insert((until, id));
            }
            Some(until) => {
                self.lacking.insert((until, id));
                self.lacking_by_last.insert((mark.last, id));
            }
        }
        self.untold.extend(mark.since.map(|since| (since, id)));
        self.partial += usize::from(mark.is_partial);
        self.failed += usize::from(mark.has_failed);
        self.count += mark.count;
    }

    fn count_out(&mut self, id: BatchId, mark: Mark) {
        match mark.until {
            None => self.flying -= 1,
            Some(until) if mark.is_whole => {
                self.whole.remove(&(until, id));
            }
            Some(until) => {
                self.lacking.remove(&(until, id));
                self.lacking_by_last.remove(&(mark.last, id));
            }
        }
        if let Some(since) = mark.since {
            self.untold.remove(&(since, id));
        }
        self.partial -= usize::from(mark.is_partial);
        self.failed -= usize::from(mark.has_failed);
        self.count -= mark.count;
    }

    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// How many are under way.
    pub(super) const fn flying(&self) -> usize {
        self.flying
    }

    /// How many events they have, in memory or not.
    pub(super) const fn count(&self) -> usize {
        self.count
    }

    /// Whether one has failed and is sent again.
    pub(super) const fn has_failed(&self) -> bool {
        self.failed > 0
    }

    /// Whether events of one are still to come, with it in memory or in part.
    pub(super) fn is_awaited(&self) -> bool {
        !self.lacking.is_empty()
    }

    /// Whether one has come in part.
    pub(super) const fn is_partial(&self) -> bool {
        self.partial > 0
    }

    /// Which has failed for longest of those that are not told of, and since when.
    pub(super) fn first_untold(&self) -> Option<(Timestamp, BatchId)> {
        self.untold.first().copied()
    }

    /// When the first comes of those that are all there.
    pub(super) fn first_whole(&self) -> Option<(Timestamp, BatchId)> {
        self.whole.first().copied()
    }

    /// When the first comes of those that lack events.
    pub(super) fn first_lacking(&self) -> Option<(Timestamp, BatchId)> {
        self.lacking.first().copied()
    }

    /// One that waits for its time, and of which nothing has come.
    pub(super) fn absent(&self) -> Option<BatchId> {
        let lacking = self.lacking.iter().map(|(_, id)| *id);
        lacking.into_iter().find(|id| self.get(*id).is_some_and(|batch| batch.events.is_empty()))
    }

    /// One whose events all stand before this one, and which lacks some of them.
    pub(super) fn lacking_before(&self, offset: Offset) -> Option<BatchId> {
        let (last, id) = self.lacking_by_last.first()?;
        Some(*id).filter(|_| *last < offset)
    }
}

#[cfg(test)]
mod tests {
    use super::super::lane::One;
    use super::*;
    use crate::wire::BatchSize;

    fn batch(offset: u64, state: State) -> Batch<One> {
        let offsets = vec![Offset::new(offset)];
        let events = vec![One(offset)];
        Batch { events, ..Batch::new(BatchSize::ONE, vec![offset], offsets, state) }
    }

    #[test]
    fn what_is_known_of_all_follows_each() {
        let at = Timestamp::from_millis;
        let mut batches = Batches::default();
        let first = batches.enter(batch(7, State::Waits(at(20))));
        let second = batches.enter(batch(5, State::Waits(at(10))));
        let third = batches.enter(batch(6, State::Flying));
        assert_eq!((batches.first_whole(), batches.flying()), (Some((at(10), second)), 1));
        assert_eq!((batches.count(), batches.is_awaited()), (3, false));
        batches.change_all(|batch| batch.events.clear());
        assert_eq!(
            (batches.first_whole(), batches.first_lacking()),
            (None, Some((at(10), second)))
        );
        assert_eq!(batches.lacking_before(Offset::new(5)), None);
        assert_eq!(batches.lacking_before(Offset::new(6)), Some(second));
        batches.change(third, |batch| (batch.state, batch.failures) = (State::Waits(at(5)), 1));
        assert_eq!((batches.flying(), batches.has_failed()), (0, true));
        assert_eq!(batches.first_lacking(), Some((at(5), third)));
        assert!(batches.remove(third).is_some() && batches.remove(second).is_some());
        assert_eq!((batches.has_failed(), batches.first_lacking()), (false, Some((at(20), first))));
        batches.change(first, |batch| batch.state = State::Flying);
        let under_way: Vec<BatchId> = batches.clear().into_iter().map(|(id, _)| id).collect();
        assert_eq!((under_way, batches.flying(), batches.count()), (vec![first], 0, 0));
        assert!(batches.is_empty() && batches.enter(batch(8, State::Flying)) > third);
    }
}
