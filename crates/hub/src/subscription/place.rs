//! How far a subscription is in one stream: a floor below which all is done, and what is done
//! above it.
//!
//! Called by `feed`. Stored in small pieces, so that an answer writes few bytes however much is
//! done out of order: the floor, and one entry for each run of [`CHUNK`] offsets that has something
//! done in it; `stored` has their form. A long stretch that is done altogether, as below an event
//! far back that is to be done again, has one entry: a run (`runs`). Each entry holds the floor as of its writing as well; the
//! highest counts. `given` says how far events were ever handed out. `unsure` knows which writes have not come to their end.
//!
//! Invariants: nothing done is undone by a later write, also after one that failed: what is written of
//! a chunk is all of it, and every write holds the floor.

mod given;
mod runs;
mod stored;
#[cfg(test)]
mod tests;
mod unsure;

use std::collections::{BTreeMap, BTreeSet};

use outflow_model::{Offset, StreamId};
use outflow_store::Op;

use super::SubscriptionId;
use given::Given;
use runs::Runs;
pub(crate) use stored::{PLACES, erase, leftovers, parse_key};
use stored::{chunk_key, floor_key, head, put, run};
use unsure::Unsure;

/// How many offsets one stored entry is about.
const CHUNK: u64 = 4_096;

/// See the module.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Place {
    floor: u64,
    /// Disjoint ranges above the floor, from the key to before the value, none touching another.
    done: BTreeMap<u64, u64>,
    /// How many offsets they hold.
    above: u64,
    /// The floor as it was last written.
    written: u64,
    /// Chunks that have changed since they were written.
    dirty: BTreeSet<u64>,
    /// Chunks that have an entry.
    stored: BTreeSet<u64>,
    /// Those of them whose entry is about more chunks than their own.
    runs: Runs,
    /// What was written and may yet fail.
    unsure: Unsure,
    /// How far events were handed out.
    given: Given,
}

impl Place {
    /// A place that has done nothing, and is not stored.
    pub(crate) fn at(floor: Offset) -> Self {
        Self { floor: floor.get(), ..Self::default() }
    }

    /// The same, not stored, with nothing done from `start` on; what is done before stays so.
    pub(crate) fn back_to(&self, start: Offset) -> Self {
        let mut place = Self::at(self.floor().min(start));
        for (&from, &to) in self.done.range(..start.get()) {
            let to = to.min(start.get());
            place.mark(from, to);
            let (first, last) = (from / CHUNK, (to - 1) / CHUNK);
            place.dirty.extend([first, last]);
            place.dirty.extend(place.runs.enter(first + 1, last));
        }
        place
    }

    /// Everything below is done.
    pub(crate) const fn floor(&self) -> Offset {
        Offset::new(self.floor)
    }

    /// Whether the event at `offset` is done.
    pub(crate) fn is_done(&self, offset: Offset) -> bool {
        let offset = offset.get();
        if offset < self.floor || self.done.is_empty() {
            return offset < self.floor;
        }
        self.done.range(..=offset).next_back().is_some_and(|(_, &end)| offset < end)
    }

    /// The first offset from `offset` on that is not done.
    pub(crate) fn first_open(&self, offset: Offset) -> Offset {
        let at = offset.get().max(self.floor);
        let run = self.done.range(..=at).next_back().filter(|&(_, &end)| at < end);
        Offset::new(run.map_or(at, |(_, &end)| end))
    }

    /// How many offsets from the floor up to before `end` are not done.
    pub(crate) fn open_before(&self, end: Offset) -> u64 {
        let all = end.get().saturating_sub(self.floor);
        if self.done.last_key_value().is_none_or(|(_, &last)| last <= end.get()) {
            return all.saturating_sub(self.above);
        }
        let within = |(&from, &to): (&u64, &u64)| to.min(end.get()).saturating_sub(from);
        all - self.done.range(..end.get()).map(within).sum::<u64>()
    }

    /// One event is done: to be written.
    pub(crate) fn ack(&mut self, offset: Offset) {
        let offset = offset.get();
        if offset >= self.floor {
            self.mark(offset, offset + 1);
            if offset >= self.floor {
                self.dirty.insert(self.runs.entry_of(offset / CHUNK));
            }
        }
    }

    /// The events from `from` up to before `to` need not be delivered. Not worth a write of its
    /// own: they would be passed over again.
    pub(crate) fn pass(&mut self, from: Offset, to: Offset) {
        let from = from.get().max(self.floor);
        if from < to.get() {
            self.mark(from, to.get());
        }
    }

    /// The event at `offset` is handed out. Says whether it may have been before the server started:
    /// of all that was handed out then, but for the last commit before a crash.
    pub(crate) fn give(&mut self, offset: Offset) -> bool {
        self.given.give(offset.get())
    }

    /// Whether it is to be written how far events were handed out.
    pub(crate) const fn is_giving_due(&self) -> bool {
        self.given.is_dirty()
    }

    /// Nothing is handed out any more. Says whether there is something to be written for it.
    pub(crate) fn end_giving(&mut self) -> bool {
        self.given.end()
    }

    /// Everything below `floor` is done: to be written.
    pub(crate) fn raise(&mut self, floor: Offset) {
        self.pass(self.floor(), floor);
    }

    fn mark(&mut self, mut from: u64, mut to: u64) {
        if from <= self.floor {
            self.floor = self.floor.max(to);
            self.settle_floor();
            return;
        }
        if let Some((&before, &end)) = self.done.range(..=from).next_back()
            && end >= from
        {
            (from, to) = (before, to.max(end));
        }
        while let Some((&start, &end)) = self.done.range(from..=to).next() {
            self.done.remove(&start);
            self.above -= end - start;
            to = to.max(end);
        }
        self.done.insert(from, to);
        self.above += to - from;
    }

    /// Takes ranges into the floor that it has reached.
    fn settle_floor(&mut self) {
        while let Some((&start, &end)) = self.done.first_key_value()
            && start <= self.floor
        {
            self.done.remove(&start);
            self.above -= end - start;
            self.floor = self.floor.max(end);
        }
    }

    /// The event at `offset` is not done after all: what was to be stored with it was not, or it is to be
    /// done again.
    pub(crate) fn reopen(&mut self, offset: Offset) {
        let offset = offset.get();
        let chunk = offset / CHUNK;
        if offset < self.floor {
            let last = self.floor / CHUNK;
            if offset + 1 < self.floor {
                self.done.insert(offset + 1, self.floor);
                self.above += self.floor - offset - 1;
            }
            self.floor = offset;
            // Written again even if it was written higher; so is every entry, each of which holds it.
            self.written = u64::MAX;
            self.runs.pass(last);
            self.dirty.extend(self.stored.range(chunk..));
            self.dirty.extend([chunk, last]);
            self.dirty.extend(self.runs.enter(chunk + 1, last));
        } else if let Some((&start, &end)) = self.done.range(..=offset).next_back()
            && offset < end
        {
            self.done.remove(&start);
            if start < offset {
                self.done.insert(start, offset);
            }
            if offset + 1 < end {
                self.done.insert(offset + 1, end);
            }
            self.above -= 1;
            self.dirty.insert(chunk);
            self.dirty.extend(self.runs.part(chunk));
        }
    }

    /// Whether something is not written.
    pub(crate) fn is_dirty(&self) -> bool {
        self.floor != self.written || !self.dirty.is_empty() || self.given.is_dirty()
    }

    /// How far the floor is above what is written of it.
    pub(crate) const fn unwritten(&self) -> u64 {
        self.floor.saturating_sub(self.written)
    }

    /// Appends what writes the changes since the last call.
    pub(crate) fn write(&mut self, of: SubscriptionId, stream: StreamId, ops: &mut Vec<Op>) {
        let dirty = std::mem::take(&mut self.dirty);
        let first = self.floor / CHUNK;
        // A write before may have failed: with a chunk that goes, the floor it held goes too.
        let mut is_floor_due = self.floor != self.written || self.given.is_dirty();
        self.runs.pass(first);
        // Chunks that the floor has passed say nothing any more.
        while let Some(&chunk) = self.stored.first()
            && (chunk + 1) * CHUNK <= self.floor
        {
            self.stored.remove(&chunk);
            self.unsure.wrote(chunk);
            ops.push(put(chunk_key(of, stream, chunk), None));
            is_floor_due = true;
        }
        for chunk in dirty.into_iter().filter(|chunk| *chunk >= first) {
            let value = match self.runs.count(chunk) {
                Some(count) => Some(run(self.floor, count)),
                // The entry of its run says it.
                None if self.runs.entry_of(chunk) != chunk => None,
                None => self.chunk(chunk),
            };
            match value {
                Some(value) => {
                    self.stored.insert(chunk);
                    self.unsure.wrote(chunk);
                    ops.push(put(chunk_key(of, stream, chunk), Some(value)));
                }
                None if self.stored.remove(&chunk) => {
                    self.unsure.wrote(chunk);
                    ops.push(put(chunk_key(of, stream, chunk), None));
                    is_floor_due = true;
                }
                None => {}
            }
        }
        if is_floor_due {
            self.written = self.floor;
            let mut value = head(self.floor);
            value.extend_from_slice(&self.given.write().to_le_bytes());
            ops.push(put(floor_key(of, stream), Some(value.into())));
        }
    }

    /// Whether it is on the disk that the event at `offset`, which is done, is so.
    pub(crate) fn is_durable(&self, offset: Offset) -> bool {
        let offset = offset.get();
        if offset < self.floor {
            return offset < self.unsure.sure_floor();
        }
        let chunk = self.runs.entry_of(offset / CHUNK);
        !self.dirty.contains(&chunk) && !self.unsure.holds(chunk)
    }

    /// What says that the event at `offset` is done is to be written, again if it was.
    pub(crate) fn rewrite(&mut self, offset: Offset) {
        if offset.get() < self.floor {
            self.unwrite();
        } else {
            self.dirty.insert(self.runs.entry_of(offset.get() / CHUNK));
        }
    }

    /// All writes before the last turn of the page have succeeded: turns it again.
    pub(crate) fn turn_page(&mut self) {
        let written = Some(self.written).filter(|written| *written != u64::MAX);
        self.unsure.turn(written);
    }

    /// A write has failed: what it may have held is to be written again.
    pub(crate) fn doubt(&mut self) {
        for chunk in self.unsure.take() {
            self.dirty.insert(chunk);
            // An entry that was to go may still be there.
            self.stored.insert(chunk);
        }
        self.unwrite();
    }

    /// Nothing is written yet of the place of a subscription made now.
    pub(crate) const fn unwrite(&mut self) {
        self.written = u64::MAX;
    }
}
