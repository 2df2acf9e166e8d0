//! What an endpoint holds: events that have come, and the batches that were made of them.
//!
//! Called by [`Session`](super::Session). A lane is what is kept in order: a key, or all events.
//!
//! Invariants: a lane is in one batch at most; a batch that was made keeps its offsets until it is
//! settled, whatever becomes of the events in memory; batches are made of the first events whose lanes
//! are free.

use std::collections::{BTreeMap, BTreeSet, HashSet, VecDeque};
use std::time::Duration;

use outflow_model::{Offset, Timestamp};

use super::{Rules, offsets};

/// An event that an endpoint holds.
pub trait Held {
    /// Its place in its stream.
    fn offset(&self) -> Offset;

    /// What it is kept in order by, with lanes by key.
    fn key(&self) -> u64;

    /// The bytes of its line.
    fn bytes(&self) -> usize;
}

/// A batch of one endpoint. Never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BatchId(pub u64);

/// Where a batch is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Flying,
    /// It is sent again then.
    Waits(Timestamp),
}

#[derive(Debug)]
struct Batch<E> {
    /// Its lanes, each once.
    lanes: Vec<u64>,
    offsets: Vec<Offset>,
    /// Those of its events that are in memory.
    events: Vec<E>,
    failures: u32,
    state: State,
}

impl<E> Batch<E> {
    const fn is_whole(&self) -> bool {
        self.events.len() == self.offsets.len()
    }
}

/// See the module.
#[derive(Debug)]
pub(super) struct Lanes<E> {
    /// Those that are in no batch, with the time at which they came.
    held: VecDeque<(Timestamp, E)>,
    batches: BTreeMap<BatchId, Batch<E>>,
    /// The lanes that are in a batch.
    taken: HashSet<u64>,
    /// Batches that are under way and known no more.
    strays: BTreeSet<BatchId>,
    flying: usize,
    next: u64,
    /// Whether events are taken now.
    is_here: bool,
    /// Until when nothing is sent, and how often what is sent then has failed: as it was noted.
    held_off: Option<(Timestamp, u32)>,
}

impl<E> Default for Lanes<E> {
    fn default() -> Self {
        Self {
            held: VecDeque::new(),
            batches: BTreeMap::new(),
            taken: HashSet::new(),
            strays: BTreeSet::new(),
            flying: 0,
            next: 0,
            is_here: false,
            held_off: None,
        }
    }
}

fn lane_of<E: Held>(rules: &Rules, event: &E) -> u64 {
    if rules.by_key { event.key() } else { 0 }
}

impl<E: Held> Lanes<E> {
    /// Sends nothing before `until`; the first batch then has failed so often.
    pub(super) fn hold_off(&mut self, until: Option<Timestamp>, failures: u32) {
        self.held_off = until.map(|until| (until, failures));
    }

    /// The first batch is of these events, as it was before.
    pub(super) fn recall(&mut self, offsets: Vec<Offset>) {
        if offsets.is_empty() {
            return;
        }
        let (until, failures) = self.held_off.take().unwrap_or_default();
        self.taken.insert(0);
        let (lanes, state) = (vec![0], State::Waits(until));
        self.enter(Batch { lanes, offsets, events: Vec::new(), failures, state });
    }

    fn enter(&mut self, batch: Batch<E>) -> BatchId {
        let id = BatchId(self.next);
        self.next += 1;
        self.batches.insert(id, batch);
        id
    }

    /// A batch's events, all of them, and how often it has failed.
    pub(super) fn batch(&self, id: BatchId) -> Option<(&[E], u32)> {
        let batch = self.batches.get(&id)?;
        Some((&batch.events, batch.failures))
    }

    /// The offsets of the one batch there is.
    pub(super) fn at_hand(&self) -> &[Offset] {
        let first = self.batches.first_key_value();
        first.map(|(_, batch)| batch.offsets.as_slice()).unwrap_or_default()
    }

    pub(super) fn failures(&self, id: BatchId) -> Option<u32> {
        self.batches.get(&id).map(|batch| batch.failures)
    }

    /// How many are under way.
    pub(super) fn flying(&self) -> usize {
        self.flying + self.strays.len()
    }

    /// Events are taken from now on.
    pub(super) const fn come(&mut self) {
        self.is_here = true;
    }

    /// Events have come, in order.
    pub(super) fn arrive(&mut self, events: Vec<E>, now: Timestamp) {
        for event in events {
            let offset = event.offset();
            let mut event = Some(event);
            let mut lost = Vec::new();
            for (id, batch) in &mut self.batches {
                if batch.is_whole() {
                    continue;
                }
                if batch.offsets.binary_search(&offset).is_ok() {
                    batch.events.extend(event.take());
                } else if batch.offsets.last().is_some_and(|last| *last < offset) {
                    // What has not come before it is no longer there.
                    batch.offsets = offsets(&batch.events);
                    lost.extend(Some(*id).filter(|_| batch.events.is_empty()));
                }
            }
            for id in lost {
                self.take(id);
            }
            self.held.extend(event.map(|event| (now, event)));
        }
    }

    /// Everything that was taken is given back; batches keep their offsets.
    pub(super) fn let_go(&mut self) {
        self.is_here = false;
        self.held = VecDeque::new();
        self.batches.values_mut().for_each(|batch| batch.events = Vec::new());
    }

    /// No batch is known any more. What is under way is waited for.
    pub(super) fn forget(&mut self) {
        let flying = self.batches.iter().filter(|(_, batch)| batch.state == State::Flying);
        self.strays.extend(flying.map(|(id, _)| *id));
        self.flying = 0;
        self.batches = BTreeMap::new();
        self.held = VecDeque::new();
        self.taken = HashSet::new();
        self.held_off = None;
    }

    /// A batch is settled: gives its events.
    pub(super) fn take(&mut self, id: BatchId) -> Option<Vec<E>> {
        self.strays.remove(&id);
        let batch = self.batches.remove(&id)?;
        self.flying -= usize::from(batch.state == State::Flying);
        for lane in batch.lanes {
            self.taken.remove(&lane);
        }
        Some(batch.events).filter(|events| !events.is_empty())
    }

    /// A batch is sent again then.
    pub(super) fn fail(&mut self, id: BatchId, until: Timestamp) {
        self.strays.remove(&id);
        let Some(batch) = self.batches.get_mut(&id) else { return };
        self.flying -= usize::from(batch.state == State::Flying);
        batch.failures = batch.failures.saturating_add(1);
        batch.state = State::Waits(until);
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
            let (offsets, lanes) = (offsets(&events), vec![lane]);
            let (failures, state) = (batch.failures, batch.state);
            self.enter(Batch { lanes, offsets, events, failures, state });
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

    /// The next batch whose time has come; it is under way from now on.
    pub(super) fn next_due(&mut self, now: Timestamp) -> Option<BatchId> {
        let is_due = |batch: &Batch<E>| match batch.state {
            State::Waits(until) => until <= now && batch.is_whole(),
            State::Flying => false,
        };
        let (id, batch) = self.batches.iter_mut().find(|(_, batch)| is_due(batch))?;
        batch.state = State::Flying;
        self.flying += 1;
        Some(*id)
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
        let size = rules.size.get();
        let (mut chosen, mut bytes, mut first, mut is_full) = (Vec::new(), 0_usize, None, false);
        for (at, (came, event)) in self.held.iter().enumerate() {
            if self.taken.contains(&lane_of(rules, event)) {
                continue;
            }
            bytes = bytes.saturating_add(event.bytes());
            if !chosen.is_empty() && bytes > rules.max_bytes {
                is_full = true;
                break;
            }
            first.get_or_insert(*came);
            chosen.push(at);
            if chosen.len() >= size {
                is_full = true;
                break;
            }
        }
        if !is_full && first.is_none_or(|first| now < after(first, linger)) {
            return None;
        }
        let events = self.remove(&chosen);
        let mut lanes: Vec<u64> = events.iter().map(|event| lane_of(rules, event)).collect();
        lanes.sort_unstable();
        lanes.dedup();
        self.taken.extend(&lanes);
        let (_, failures) = self.held_off.take().unwrap_or_default();
        let offsets = offsets(&events);
        self.flying += 1;
        let state = State::Flying;
        Some((self.enter(Batch { lanes, offsets, events, failures, state }), is_full))
    }

    /// Takes the events at these places out of those that are held.
    fn remove(&mut self, chosen: &[usize]) -> Vec<E> {
        let is_front = chosen.last().is_some_and(|last| last + 1 == chosen.len());
        if is_front {
            return self.held.drain(..chosen.len()).map(|(_, event)| event).collect();
        }
        let mut places = chosen.iter().peekable();
        let mut events = Vec::with_capacity(chosen.len());
        let all = std::mem::take(&mut self.held);
        for (at, (came, event)) in all.into_iter().enumerate() {
            if places.next_if(|place| **place == at).is_some() {
                events.push(event);
            } else {
                self.held.push_back((came, event));
            }
        }
        events
    }

    /// When a batch is sent although it is not full.
    pub(super) fn lingers_until(&self, rules: &Rules, linger: Duration) -> Option<Timestamp> {
        let is_busy = self.flying() >= rules.lanes || (!rules.by_key && !self.batches.is_empty());
        if is_busy {
            return None;
        }
        let is_free = |event: &E| !self.taken.contains(&lane_of(rules, event));
        let first = self.held.iter().find(|(_, event)| is_free(event));
        first.map(|(came, _)| after(*came, linger))
    }
}

fn after(at: Timestamp, by: Duration) -> Timestamp {
    at.plus_millis(i64::try_from(by.as_millis()).unwrap_or(i64::MAX))
}
