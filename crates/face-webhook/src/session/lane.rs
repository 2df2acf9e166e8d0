//! What an endpoint holds: events that have come, and the batches that were made of them.
//!
//! Called by [`Session`](super::Session). A lane is what is kept in order: a key, or all events; what
//! is in no batch stands in the [`queue`](super::queue) of its lane, what is in one in
//! [`batches`](super::batches), or [`behind`](super::behind) what comes again.
//!
//! Invariants: a lane is in one batch at most; a batch that was made keeps its offsets until it is
//! settled, whatever becomes of the events in memory; batches are made of the first events whose lanes
//! are free; the bytes of what is in memory are counted.

mod missing;
mod noted;

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use outflow_model::{Offset, Timestamp};

use super::batch::{Batch, BatchId, Sending, State, UnderWay};
use super::batches::Batches;
use super::behind::Behind;
use super::queue::Queues;
use super::strays::Strays;
use super::{Rules, offsets};
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

/// An event of ten bytes, with a key of its own.
#[cfg(test)]
#[derive(Debug)]
pub(super) struct One(pub(super) u64);

#[cfg(test)]
impl Held for One {
    fn offset(&self) -> Offset {
        Offset::new(self.0)
    }

    fn key(&self) -> u64 {
        self.0
    }

    fn bytes(&self) -> usize {
        10
    }
}

/// See the module.
#[derive(Debug)]
pub(super) struct Lanes<E> {
    /// Those that are in no batch.
    held: Queues<E>,
    pub(super) batches: Batches<E>,
    /// Batches of events that come later than some which come again.
    behind: Behind<E>,
    /// The lanes that are in a batch, and in which.
    taken: HashMap<u64, BatchId>,
    /// What is under way and known no more, and what of it was taken.
    strays: Strays,
    /// Whether events are taken now.
    is_here: bool,
    /// When one came last, or was still looked for.
    latest: Timestamp,
    /// When that was so before the first batch since the server was started; `None`: that is made.
    unsure: Option<Timestamp>,
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
            batches: Batches::default(),
            behind: Behind::default(),
            taken: HashMap::new(),
            strays: Strays::default(),
            is_here: false,
            latest: Timestamp::default(),
            unsure: None,
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
    /// A batch of lanes that are in no other.
    fn enter(&mut self, batch: Batch<E>) -> BatchId {
        let id = self.batches.enter(batch);
        let lanes = self.batches.get(id).into_iter().flat_map(|batch| &batch.lanes);
        self.taken.extend(lanes.map(|lane| (*lane, id)));
        id
    }

    /// A batch as it is sent; `None`: it is known no more, or its events were given back.
    pub(super) fn batch(&self, id: BatchId) -> Option<Sending<'_, E>> {
        let batch = self.batches.get(id).filter(|batch| batch.is_whole())?;
        Some(Sending { events: &batch.events, failures: batch.failures, size: batch.size })
    }

    /// What a request has that is under way.
    pub(super) fn under_way(&self, id: BatchId) -> Option<UnderWay<'_>> {
        let Some(Batch { offsets, failures, size, .. }) = self.batches.get(id) else {
            return self.strays.get(id);
        };
        Some(UnderWay { offsets, failures: *failures, size: *size })
    }

    /// The batches that stand behind the one there is, the first of them last; also of what was taken and
    /// comes again, which stands first.
    pub(super) fn behind(&self) -> Vec<(Vec<Offset>, BatchSize)> {
        self.behind.note().chain(self.strays.note()).collect()
    }

    /// The offsets of the one batch there is, and its size.
    pub(super) fn at_hand(&self) -> Option<(&[Offset], BatchSize)> {
        let batch = self.batches.first()?;
        Some((&batch.offsets, batch.size))
    }

    /// How many events batches have, in memory or not.
    pub(super) const fn at_hand_count(&self) -> usize {
        self.batches.count()
    }

    pub(super) fn failures(&self, id: BatchId) -> Option<u32> {
        self.batches.get(id).map(|batch| batch.failures)
    }

    /// Whether something has failed and is sent again.
    pub(super) const fn has_failed(&self) -> bool {
        self.held_off.is_some() || self.batches.has_failed()
    }

    /// How many are under way.
    pub(super) fn flying(&self) -> usize {
        self.batches.flying() + self.strays.len()
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

    /// Events have come, in order; gives those that are done already.
    pub(super) fn arrive(&mut self, events: Vec<E>, by_key: bool, now: Timestamp) -> Vec<E> {
        self.latest = now;
        let mut done = Vec::new();
        for event in events {
            if self.strays.is_done(event.offset()) {
                done.push(event);
            } else {
                self.put(event, by_key, now);
            }
        }
        done
    }

    /// Puts an event where it belongs: into the batch that it is of, or with those that are of none.
    fn put(&mut self, event: E, by_key: bool, now: Timestamp) {
        self.count += 1;
        self.bytes = self.bytes.saturating_add(weight(&event));
        let lane = if by_key { event.key() } else { 0 };
        let is_awaited = self.batches.is_awaited();
        let stays = if is_awaited { self.bring(event, lane, by_key) } else { Some(event) };
        if let Some(event) = stays {
            self.held.push(lane, !self.taken.contains_key(&lane), now, event);
        }
    }

    /// Goes on with the batch that stood behind what came again, once all of that is settled.
    pub(super) fn take_up(&mut self, now: Timestamp) {
        while self.batches.is_empty()
            && let (Some(first), Some(held)) = (self.behind.first(), self.held.first_offset())
            && held >= first
            && let Some(batch) = self.behind.pop()
        {
            self.enter(batch);
            // What has come of it finds it; the rest may take its time from now on.
            self.latest = now;
            let events = self.held.drain();
            self.lose(&events);
            for event in events {
                self.put(event, false, now);
            }
        }
    }

    /// Gives an event to the batch that it is of; gives back one that is of none.
    fn bring(&mut self, event: E, lane: u64, by_key: bool) -> Option<E> {
        let offset = event.offset();
        // What has not come before it is no longer there.
        while let Some(id) = self.batches.lacking_before(offset) {
            let is_gone = self.batches.change(id, |batch| {
                batch.settle_for_less();
                batch.events.is_empty()
            });
            if is_gone != Some(false) {
                self.take(id);
            }
        }
        let Some(&id) = self.taken.get(&lane) else { return Some(event) };
        let Some(batch) = self.batches.get(id).filter(|batch| batch.is_awaited()) else {
            return Some(event);
        };
        if batch.offsets.binary_search(&offset).is_ok() {
            self.batches.change(id, |batch| batch.events.push(event));
            return None;
        }
        // What stands before it comes again: what comes first goes first.
        let is_before = batch.offsets.first().is_some_and(|first| offset < *first);
        if !by_key
            && batch.events.is_empty()
            && is_before
            && let Some(batch) = self.batches.remove(id)
        {
            self.taken.remove(&lane);
            self.held.release(lane);
            self.behind.push(batch);
        }
        Some(event)
    }

    /// Whether there is nothing to be sent.
    pub(super) fn is_empty(&self) -> bool {
        self.count == 0 && self.batches.is_empty()
    }

    /// Everything that was taken is given back; batches keep their offsets.
    pub(super) fn let_go(&mut self) {
        self.is_here = false;
        self.held = Queues::default();
        self.batches.change_all(|batch| batch.events = Vec::new());
        (self.count, self.bytes) = (0, 0);
    }

    /// Takes out what is not under way, to be given back; batches keep their offsets.
    pub(super) fn shed(&mut self) -> Vec<E> {
        let mut events = self.held.drain();
        self.batches.change_all(|batch| {
            if !batch.is_flying() {
                events.append(&mut batch.events);
            }
        });
        self.lose(&events);
        events
    }

    /// Events are in memory no more.
    pub(super) fn lose(&mut self, events: &[E]) {
        self.count = self.count.saturating_sub(events.len());
        let bytes = events.iter().map(weight).fold(0, usize::saturating_add);
        self.bytes = self.bytes.saturating_sub(bytes);
    }

    /// No batch is known any more. What is under way is waited for.
    pub(super) fn forget(&mut self) {
        for (id, batch) in self.batches.clear() {
            self.strays.enter(id, batch);
        }
        self.behind = Behind::default();
        self.held = Queues::default();
        self.taken = HashMap::new();
        self.held_off = None;
        (self.count, self.bytes) = (0, 0);
    }

    /// What stands from there on comes again, also what is under way and will be taken, or was since it was
    /// given back.
    pub(super) fn come_again(&mut self, from: Offset) {
        self.strays.come_again(from);
        self.batches.change_all(|batch| {
            if batch.is_flying() {
                batch.again = batch.again.min(from);
            }
        });
    }

    /// Whether the events of a batch were given back while it was under way.
    pub(super) fn is_given_back(&self, id: BatchId) -> bool {
        self.batches.get(id).is_some_and(|batch| !batch.is_whole())
    }

    /// A batch was taken: gives its events. Those that were given back before are done when they come
    /// again.
    pub(super) fn finish(&mut self, id: BatchId) -> Option<Vec<E>> {
        if self.strays.take(id) {
            return None;
        }
        if let Some(batch) = self.batches.get(id).filter(|batch| !batch.is_whole()) {
            self.strays.remember(&batch.offsets, batch.size, batch.again);
        }
        self.take(id)
    }

    /// A batch is settled: gives its events.
    pub(super) fn take(&mut self, id: BatchId) -> Option<Vec<E>> {
        self.strays.end(id);
        let batch = self.batches.remove(id)?;
        for lane in &batch.lanes {
            self.taken.remove(lane);
            self.held.release(*lane);
        }
        self.lose(&batch.events);
        Some(batch.events).filter(|events| !events.is_empty())
    }

    /// A batch has failed, and is sent again then.
    pub(super) fn fail(&mut self, id: BatchId, now: Timestamp, until: Timestamp) {
        self.land(id, until, |batch| {
            batch.since = batch.since.or(Some(now).filter(|_| batch.failures == 0));
            batch.failures = batch.failures.saturating_add(1);
        });
    }

    /// A batch that was to be sent was not. Nor was it noted.
    pub(super) fn take_back(&mut self, id: BatchId, now: Timestamp) {
        self.land(id, now, |batch| batch.is_changed = true);
    }

    /// A batch is under way no more; it waits until then.
    fn land(&mut self, id: BatchId, until: Timestamp, note: impl FnOnce(&mut Batch<E>)) {
        self.strays.end(id);
        self.batches.change(id, |batch| {
            batch.state = State::Waits(until);
            note(batch);
        });
    }

    /// Whether a batch can be parted: it is all there, and of more than one lane.
    pub(super) fn is_mixed(&self, id: BatchId) -> bool {
        self.batches.get(id).is_some_and(|batch| batch.lanes.len() > 1 && batch.is_whole())
    }

    /// Makes one batch for each lane of this one, which wait until then and have not failed.
    pub(super) fn part(&mut self, id: BatchId, until: Timestamp) {
        if !self.is_mixed(id) {
            return;
        }
        let Some(batch) = self.batches.remove(id) else { return };
        let mut by_lane: BTreeMap<u64, Vec<E>> = BTreeMap::new();
        for event in batch.events {
            by_lane.entry(event.key()).or_default().push(event);
        }
        // Of some nothing may be left: what was hidden, or is retained no longer.
        for lane in batch.lanes.iter().filter(|lane| !by_lane.contains_key(lane)) {
            self.taken.remove(lane);
            self.held.release(*lane);
        }
        for (lane, events) in by_lane {
            let waits = State::Waits(until);
            let one = Batch::new(batch.size, vec![lane], offsets(&events), waits);
            self.enter(Batch { events, ..one });
        }
    }

    /// What waits is sent now, as if it had not failed.
    pub(super) fn begin_anew(&mut self, now: Timestamp) {
        self.hurry(now);
        self.batches.change_all(|batch| (batch.failures, batch.since) = (0, None));
        self.behind.change_all(|batch| batch.failures = 0);
        self.held_off = None;
    }

    /// What waits is sent now.
    pub(super) fn hurry(&mut self, now: Timestamp) {
        let hurry = |batch: &mut Batch<E>| {
            if let State::Waits(until) = &mut batch.state {
                *until = now.min(*until);
            }
        };
        self.batches.change_all(hurry);
        self.behind.change_all(hurry);
        if let Some((until, _)) = &mut self.held_off {
            *until = now.min(*until);
        }
    }

    /// When something is sent again, if anything waits.
    pub(super) fn next_attempt(&self) -> Option<Timestamp> {
        // What is not all there waits for events, and not for a time.
        let lacking = self.batches.first_lacking().filter(|_| !self.is_here);
        let noted = self.held_off.filter(|_| !self.is_here).map(|(until, _)| until);
        let known = self.batches.first_whole().into_iter().chain(lacking);
        known.map(|(until, _)| until).chain(noted).min()
    }

    /// When the time of the first batch comes that waits, whether its events are here or not.
    pub(super) fn first_wait(&self) -> Option<Timestamp> {
        let all = self.batches.first_whole().into_iter().chain(self.batches.first_lacking());
        all.map(|(until, _)| until).min()
    }

    /// The next batch whose time has come, and whether it is as it was noted; it is under way from now
    /// on.
    pub(super) fn next_due(&mut self, now: Timestamp) -> Option<(BatchId, bool)> {
        let (_, id) = self.batches.first_whole().filter(|(until, _)| *until <= now)?;
        let is_changed = self.batches.change(id, |batch| {
            (batch.state, batch.again) = (State::Flying, Offset::LAST);
            std::mem::take(&mut batch.is_changed)
        })?;
        self.unsure = None;
        Some((id, !is_changed))
    }

    /// Makes a batch of the first events whose lanes are free, if it is full or has waited
    /// `linger`; it is under way from now on. Says whether it would be the same another time, as one that
    /// is full is.
    pub(super) fn cut(
        &mut self,
        rules: &Rules,
        now: Timestamp,
        linger: Duration,
    ) -> Option<(BatchId, bool)> {
        if !rules.by_key && !self.batches.is_empty() {
            return None;
        }
        let (mut lanes, mut is_full) = self.held.first(rules.size.get(), rules.max_bytes);
        let mut is_known = is_full;
        if let Some(first) = self.behind.first() {
            // Nothing of a batch is made part of another.
            let room = self.held.count_before(first);
            if room < lanes.len() {
                lanes.truncate(room);
                (is_full, is_known) = (room > 0, false);
            }
        }
        if lanes.is_empty() {
            return None;
        }
        if !is_full && self.waits_until(linger).is_none_or(|until| now < until) {
            return None;
        }
        self.unsure = None;
        let events = self.held.take(&lanes);
        lanes.sort_unstable();
        lanes.dedup();
        let (_, failures) = self.held_off.take().unwrap_or_default();
        let batch = Batch::new(rules.size, lanes, offsets(&events), State::Flying);
        Some((self.enter(Batch { events, failures, ..batch }), is_known))
    }
}
