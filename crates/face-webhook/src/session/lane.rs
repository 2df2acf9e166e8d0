//! What an endpoint holds: events that have come, and the batches that were made of them.
//!
//! Called by [`Session`](super::Session). A lane is what is kept in order: a key, or all events; what
//! is in no batch stands in the [`queue`](super::queue) of its lane.
//!
//! Invariants: a lane is in one batch at most; a batch that was made keeps its offsets until it is
//! settled, whatever becomes of the events in memory; batches are made of the first events whose lanes
//! are free; the bytes of what is in memory are counted.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::time::Duration;

use outflow_model::{Offset, Timestamp};

use super::batch::{Batch, BatchId, Sending, State};
use super::queue::Queues;
use super::{Rules, later, offsets};
use crate::wire::BatchSize;

/// What an event in memory costs beside its line, about: its place, its lease and its sidecar.
const EVENT_BYTES: usize = 256;

/// An event that an endpoint holds.
pub trait Held {
    /// Its place in its stream.
    fn offset(&self) -> Offset;

    /// What it is kept in order by, with lanes by key.
    fn key(&self) -> u64;

    /// The bytes of its line.
    fn bytes(&self) -> usize;
}

/// See the module.
#[derive(Debug)]
pub(super) struct Lanes<E> {
    /// Those that are in no batch.
    held: Queues<E>,
    batches: BTreeMap<BatchId, Batch<E>>,
    /// The lanes that are in a batch.
    taken: HashSet<u64>,
    /// Batches that are under way and known no more.
    strays: BTreeSet<BatchId>,
    flying: usize,
    next: u64,
    /// Whether events are taken now.
    is_here: bool,
    /// When one came last.
    latest: Timestamp,
    /// Until when nothing is sent, and how often what is sent then has failed: as it was noted.
    held_off: Option<(Timestamp, u32)>,
    /// How many events are in memory, and about how many bytes.
    count: usize,
    bytes: usize,
}

impl<E> Default for Lanes<E> {
    fn default() -> Self {
        Self {
            held: Queues::default(),
            batches: BTreeMap::new(),
            taken: HashSet::new(),
            strays: BTreeSet::new(),
            flying: 0,
            next: 0,
            is_here: false,
            latest: Timestamp::default(),
            held_off: None,
            count: 0,
            bytes: 0,
        }
    }
}

fn weight<E: Held>(event: &E) -> usize {
    event.bytes().saturating_add(EVENT_BYTES)
}

impl<E: Held> Lanes<E> {
    /// Sends nothing before `until`; the first batch then has failed so often.
    pub(super) fn hold_off(&mut self, until: Option<Timestamp>, failures: u32) {
        self.held_off = until.map(|until| (until, failures));
    }

    /// The first batch is of these events and of this size, as it was before.
    pub(super) fn recall(&mut self, offsets: Vec<Offset>, size: Option<BatchSize>) {
        // One event by itself may be a batch of any size: then the size is noted.
        let of_these = |size: &BatchSize| size.is_array() && size.get() >= offsets.len();
        let Some(size) = size.or_else(|| BatchSize::ALL.into_iter().find(of_these)) else { return };
        if offsets.is_empty() {
            return;
        }
        let (until, failures) = self.held_off.take().unwrap_or_default();
        self.taken.insert(0);
        let (lanes, state, events) = (vec![0], State::Waits(until), Vec::new());
        self.enter(Batch { size, lanes, offsets, events, failures, state, is_changed: false });
    }

    fn enter(&mut self, batch: Batch<E>) -> BatchId {
        let id = BatchId(self.next);
        self.next += 1;
        self.batches.insert(id, batch);
        id
    }

    /// A batch as it is sent; `None`: it is known no more, or its events were given back.
    pub(super) fn batch(&self, id: BatchId) -> Option<Sending<'_, E>> {
        let batch = self.batches.get(&id).filter(|batch| batch.is_whole())?;
        Some(Sending { events: &batch.events, failures: batch.failures, size: batch.size })
    }

    /// The offsets of the one batch there is, and its size.
    pub(super) fn at_hand(&self) -> Option<(&[Offset], BatchSize)> {
        let (_, batch) = self.batches.first_key_value()?;
        Some((&batch.offsets, batch.size))
    }

    /// How many events batches have, in memory or not.
    pub(super) fn at_hand_count(&self) -> usize {
        self.batches.values().map(|batch| batch.offsets.len()).sum()
    }

    pub(super) fn failures(&self, id: BatchId) -> Option<u32> {
        self.batches.get(&id).map(|batch| batch.failures)
    }

    /// Whether something has failed and is sent again.
    pub(super) fn has_failed(&self) -> bool {
        self.held_off.is_some() || self.batches.values().any(|batch| batch.failures > 0)
    }

    /// How many are under way.
    pub(super) fn flying(&self) -> usize {
        self.flying + self.strays.len()
    }

    /// How many events are in memory.
    pub(super) const fn count(&self) -> usize {
        self.count
    }

    /// About how many bytes they have.
    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Events are taken from now on.
    pub(super) const fn come(&mut self, now: Timestamp) {
        (self.is_here, self.latest) = (true, now);
    }

    /// Events have come, in order.
    pub(super) fn arrive(&mut self, events: Vec<E>, by_key: bool, now: Timestamp) {
        self.latest = now;
        let is_awaited = self.batches.values().any(Batch::is_awaited);
        for event in events {
            self.count += 1;
            self.bytes = self.bytes.saturating_add(weight(&event));
            let stays = if is_awaited { self.bring(event, by_key) } else { Some(event) };
            if let Some(event) = stays {
                let lane = if by_key { event.key() } else { 0 };
                self.held.push(lane, !self.taken.contains(&lane), now, event);
            }
        }
    }

    /// Gives an event to the batch that it is of; gives back one that is of none.
    fn bring(&mut self, event: E, by_key: bool) -> Option<E> {
        let offset = event.offset();
        let mut event = Some(event);
        let mut over = Vec::new();
        for (id, batch) in self.batches.iter_mut().filter(|(_, batch)| batch.is_awaited()) {
            if batch.offsets.binary_search(&offset).is_ok() {
                batch.events.extend(event.take());
            } else if batch.offsets.last().is_some_and(|last| *last < offset) {
                // What has not come before it is no longer there.
                batch.settle_for_less();
                over.extend(Some(*id).filter(|_| batch.events.is_empty()));
            } else if !by_key
                && batch.events.is_empty()
                && batch.offsets.first().is_some_and(|first| offset < *first)
            {
                // The place was moved back since it was made: what comes first goes first.
                over.push(*id);
            }
        }
        for id in over {
            self.take(id);
        }
        event
    }

    /// Batches of which a part has come are what has come, when the rest has been missing for
    /// `patience`: nothing is left behind it whose coming would show that it is gone.
    pub(super) fn settle_for_less(&mut self, now: Timestamp, patience: Duration) {
        if self.misses_until(patience).is_some_and(|until| until <= now) {
            let partial = self.batches.values_mut().filter(|batch| batch.is_partial());
            partial.for_each(Batch::settle_for_less);
        }
    }

    /// When a part of a batch has been missing for `patience`; `None`: none is.
    pub(super) fn misses_until(&self, patience: Duration) -> Option<Timestamp> {
        let misses = self.is_here && self.batches.values().any(Batch::is_partial);
        misses.then(|| later(self.latest, patience))
    }

    /// Everything that was taken is given back; batches keep their offsets.
    pub(super) fn let_go(&mut self) {
        self.is_here = false;
        self.held = Queues::default();
        self.batches.values_mut().for_each(|batch| batch.events = Vec::new());
        (self.count, self.bytes) = (0, 0);
    }

    /// Takes out what is not under way, to be given back; batches keep their offsets.
    pub(super) fn shed(&mut self) -> Vec<E> {
        let mut events = self.held.drain();
        for batch in self.batches.values_mut().filter(|batch| !batch.is_flying()) {
            events.append(&mut batch.events);
        }
        self.lose(&events);
        events
    }

    /// Events are in memory no more.
    fn lose(&mut self, events: &[E]) {
        self.count = self.count.saturating_sub(events.len());
        let bytes = events.iter().map(weight).fold(0, usize::saturating_add);
        self.bytes = self.bytes.saturating_sub(bytes);
    }

    /// No batch is known any more. What is under way is waited for.
    pub(super) fn forget(&mut self) {
        let flying = self.batches.iter().filter(|(_, batch)| batch.is_flying());
        self.strays.extend(flying.map(|(id, _)| *id));
        self.flying = 0;
        self.batches = BTreeMap::new();
        self.held = Queues::default();
        self.taken = HashSet::new();
        self.held_off = None;
        (self.count, self.bytes) = (0, 0);
    }

    /// A batch is settled: gives its events.
    pub(super) fn take(&mut self, id: BatchId) -> Option<Vec<E>> {
        self.strays.remove(&id);
        let batch = self.batches.remove(&id)?;
        self.flying -= usize::from(batch.is_flying());
        for lane in &batch.lanes {
            self.taken.remove(lane);
            self.held.release(*lane);
        }
        self.lose(&batch.events);
        Some(batch.events).filter(|events| !events.is_empty())
    }

    /// A batch is sent again then.
    pub(super) fn fail(&mut self, id: BatchId, until: Timestamp) {
        if let Some(batch) = self.land(id, until) {
            batch.failures = batch.failures.saturating_add(1);
        }
    }

    /// A batch that was to be sent was not. Nor was it noted.
    pub(super) fn take_back(&mut self, id: BatchId, now: Timestamp) {
        if let Some(batch) = self.land(id, now) {
            batch.is_changed = true;
        }
    }

    /// A batch is under way no more; it waits until then.
    fn land(&mut self, id: BatchId, until: Timestamp) -> Option<&mut Batch<E>> {
        self.strays.remove(&id);
        let batch = self.batches.get_mut(&id)?;
        self.flying -= usize::from(batch.is_flying());
        batch.state = State::Waits(until);
        Some(batch)
    }

    /// Makes one batch for each lane of this one.
    pub(super) fn part(&mut self, id: BatchId) {
        let is_mixed = |batch: &Batch<E>| batch.lanes.len() > 1 && batch.is_whole();
        if !self.batches.get(&id).is_some_and(is_mixed) {
            return;
        }
        let Some(batch) = self.batches.remove(&id) else { return };
        let mut by_lane: BTreeMap<u64, Vec<E>> = BTreeMap::new();
        for event in batch.events {
            by_lane.entry(event.key()).or_default().push(event);
        }
        for (lane, events) in by_lane {
            let (offsets, lanes, size) = (offsets(&events), vec![lane], batch.size);
            let (failures, state, is_changed) = (batch.failures, batch.state, false);
            self.enter(Batch { size, lanes, offsets, events, failures, state, is_changed });
        }
    }

    /// What waits is sent now.
    pub(super) fn hurry(&mut self, now: Timestamp) {
        for batch in self.batches.values_mut() {
            if let State::Waits(until) = &mut batch.state {
                *until = now.min(*until);
            }
        }
        if let Some((until, _)) = &mut self.held_off {
            *until = now.min(*until);
        }
    }

    /// When something is sent again, if anything waits.
    pub(super) fn next_attempt(&self) -> Option<Timestamp> {
        let until = |batch: &Batch<E>| match batch.state {
            // What is not all there waits for events, and not for a time.
            State::Waits(until) if batch.is_whole() || !self.is_here => Some(until),
            State::Waits(_) | State::Flying => None,
        };
        let noted = self.held_off.filter(|_| !self.is_here).map(|(until, _)| until);
        self.batches.values().filter_map(until).chain(noted).min()
    }

    /// When the time of the first batch comes that waits, whether its events are here or not.
    pub(super) fn first_wait(&self) -> Option<Timestamp> {
        let until = |batch: &Batch<E>| match batch.state {
            State::Waits(until) => Some(until),
            State::Flying => None,
        };
        self.batches.values().filter_map(until).min()
    }

    /// The next batch whose time has come, and whether it is as it was noted; it is under way from now
    /// on.
    pub(super) fn next_due(&mut self, now: Timestamp) -> Option<(BatchId, bool)> {
        let is_due = |batch: &Batch<E>| match batch.state {
            State::Waits(until) => until <= now && batch.is_whole(),
            State::Flying => false,
        };
        let (id, batch) = self.batches.iter_mut().find(|(_, batch)| is_due(batch))?;
        batch.state = State::Flying;
        self.flying += 1;
        Some((*id, !std::mem::take(&mut batch.is_changed)))
    }

    /// Makes a batch of the first events whose lanes are free, if it is full or has waited
    /// `linger`; it is under way from now on. Says whether it is full.
    pub(super) fn cut(
        &mut self,
        rules: &Rules,
        now: Timestamp,
        linger: Duration,
    ) -> Option<(BatchId, bool)> {
        if !rules.by_key && !self.batches.is_empty() {
            return None;
        }
        let (mut lanes, is_full) = self.held.first(rules.size.get(), rules.max_bytes);
        if !is_full && self.held.came().is_none_or(|came| now < later(came, linger)) {
            return None;
        }
        let events = self.held.take(&lanes);
        lanes.sort_unstable();
        lanes.dedup();
        self.taken.extend(&lanes);
        let (_, failures) = self.held_off.take().unwrap_or_default();
        let (size, offsets) = (rules.size, offsets(&events));
        self.flying += 1;
        let (state, is_changed) = (State::Flying, false);
        let batch = Batch { size, lanes, offsets, events, failures, state, is_changed };
        Some((self.enter(batch), is_full))
    }

    /// When a batch is sent although it is not full.
    pub(super) fn lingers_until(&self, rules: &Rules, linger: Duration) -> Option<Timestamp> {
        let is_busy = self.flying() >= rules.lanes || (!rules.by_key && !self.batches.is_empty());
        if is_busy {
            return None;
        }
        self.held.came().map(|came| later(came, linger))
    }
}
