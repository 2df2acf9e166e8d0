//! How far a subscription is in one stream: a floor below which all is done, and what is done
//! above it.
//!
//! Called by `feed`. Stored in small pieces, so that an answer writes few bytes however much is
//! done out of order: the floor, and one entry for each run of [`CHUNK`] offsets that has something
//! done in it. Each entry holds the floor as of its writing as well; the highest counts.
//!
//! ```text
//! place/<subscription, 8 hex>/<stream, 8 hex>                  1 u8 | floor u64
//! place/<subscription, 8 hex>/<stream, 8 hex>/<chunk, 14 hex>  1 u8 | floor u64 | 0 u8 | (start u16, len u16)*
//!                                                              1 u8 | floor u64 | 1 u8 | 512 bytes, a bit an offset
//! ```
//! All numbers are little-endian.
//!
//! Invariants: nothing done is undone by a later write, also after one that failed: what is written of
//! a chunk is all of it, and every write holds the floor.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use outflow_model::{Offset, StreamId};
use outflow_store::{Condition, Op, Put};

use super::SubscriptionId;

/// How many offsets one stored entry is about.
const CHUNK: u64 = 4_096;
/// Above so many ranges a chunk is stored as bits.
const MAX_RANGES: usize = 128;
const VERSION: u8 = 1;
const RANGES: u8 = 0;
const BITS: u8 = 1;

/// Where places are in the engine's state.
pub(crate) const PLACES: &[u8] = b"place/";

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
}

impl Place {
    /// A place that has done nothing, and is not stored.
    pub(crate) fn at(floor: Offset) -> Self {
        Self { floor: floor.get(), ..Self::default() }
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
                self.dirty.insert(offset / CHUNK);
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

    /// The event at `offset` is not done after all: what was to be stored with it was not.
    pub(crate) fn reopen(&mut self, offset: Offset) {
        let offset = offset.get();
        if offset < self.floor {
            if offset + 1 < self.floor {
                self.done.insert(offset + 1, self.floor);
                self.above += self.floor - offset - 1;
                self.dirty.extend(offset / CHUNK..=self.floor / CHUNK);
            }
            self.floor = offset;
            // Written again even if it was written higher.
            self.written = u64::MAX;
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
            self.dirty.insert(offset / CHUNK);
        }
    }

    /// Whether something is not written.
    pub(crate) fn is_dirty(&self) -> bool {
        self.floor != self.written || !self.dirty.is_empty()
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
        let mut is_floor_due = self.floor != self.written;
        // Chunks that the floor has passed say nothing any more.
        while let Some(&chunk) = self.stored.first()
            && (chunk + 1) * CHUNK <= self.floor
        {
            self.stored.remove(&chunk);
            ops.push(put(chunk_key(of, stream, chunk), None));
            is_floor_due = true;
        }
        for chunk in dirty.into_iter().filter(|chunk| *chunk >= first) {
            match self.chunk(chunk) {
                Some(value) => {
                    self.stored.insert(chunk);
                    ops.push(put(chunk_key(of, stream, chunk), Some(value)));
                }
                None if self.stored.remove(&chunk) => {
                    ops.push(put(chunk_key(of, stream, chunk), None));
                    is_floor_due = true;
                }
                None => {}
            }
        }
        if is_floor_due {
            self.written = self.floor;
            let value = head(self.floor);
            ops.push(put(floor_key(of, stream), Some(value.into())));
        }
    }

    /// The stored form of a chunk; `None`: nothing above the floor is done in it.
    fn chunk(&self, chunk: u64) -> Option<Bytes> {
        let (start, end) = (chunk * CHUNK, (chunk + 1) * CHUNK);
        let before = self.done.range(..start).next_back().filter(|&(_, &to)| to > start);
        let ranges = before.into_iter().chain(self.done.range(start..end));
        let ranges: Vec<(u16, u16)> = ranges
            .map(|(&from, &to)| (from.max(start) - start, to.min(end) - start))
            .map(|(from, to)| (from as u16, (to - from) as u16))
            .collect();
        if ranges.is_empty() {
            return None;
        }
        let mut value = head(self.floor);
        if ranges.len() <= MAX_RANGES {
            value.push(RANGES);
            for (from, len) in ranges {
                value.extend_from_slice(&from.to_le_bytes());
                value.extend_from_slice(&len.to_le_bytes());
            }
        } else {
            let mut bits = [0_u8; CHUNK as usize / 8];
            for (from, len) in ranges {
                for at in usize::from(from)..usize::from(from) + usize::from(len) {
                    if let Some(byte) = bits.get_mut(at / 8) {
                        *byte |= 1 << (at % 8);
                    }
                }
            }
            value.push(BITS);
            value.extend_from_slice(&bits);
        }
        Some(value.into())
    }

    /// Takes a stored entry in; `chunk` is that of its key.
    pub(crate) fn load(&mut self, chunk: Option<u64>, value: &[u8]) -> Result<(), &'static str> {
        let (&version, rest) = value.split_first().ok_or("empty")?;
        if version != VERSION {
            return Err("written by a newer version");
        }
        let (floor, rest) = rest.split_first_chunk::<8>().ok_or("cut short")?;
        let floor = u64::from_le_bytes(*floor);
        self.raise(Offset::new(floor));
        let Some(chunk) = chunk else {
            self.written = floor;
            return Ok(());
        };
        self.stored.insert(chunk);
        let start = chunk.checked_mul(CHUNK).ok_or("no such chunk")?;
        let done = |from: u64, len: u64| (start + from, start + (from + len).min(CHUNK));
        let ranges: Vec<(u64, u64)> = match rest.split_first() {
            Some((&RANGES, pairs)) => {
                let (pairs, _) = pairs.as_chunks::<4>();
                let pair = |[a, b, c, d]: &[u8; 4]| {
                    let from = u16::from_le_bytes([*a, *b]);
                    done(u64::from(from), u64::from(u16::from_le_bytes([*c, *d])))
                };
                pairs.iter().map(pair).collect()
            }
            Some((&BITS, bits)) => {
                let bit = |at: &usize| bits.get(at / 8).is_some_and(|b| b >> (at % 8) & 1 == 1);
                (0..CHUNK as usize).filter(bit).map(|at| done(at as u64, 1)).collect()
            }
            _ => return Err("unknown form"),
        };
        for (from, to) in ranges {
            self.pass(Offset::new(from), Offset::new(to));
        }
        Ok(())
    }

    /// Nothing is written yet of the place of a subscription made now.
    pub(crate) const fn unwrite(&mut self) {
        self.written = u64::MAX;
    }
}

fn head(floor: u64) -> Vec<u8> {
    let mut value = vec![VERSION];
    value.extend_from_slice(&floor.to_le_bytes());
    value
}

fn put(key: Bytes, value: Option<Bytes>) -> Op {
    Op::Put(Put { key, value, condition: Condition::Any })
}

/// The key of a floor, and the front of the keys of its chunks.
pub(crate) fn floor_key(of: SubscriptionId, stream: StreamId) -> Bytes {
    format!("place/{:08x}/{:08x}", of.0, stream.0).into()
}

fn chunk_key(of: SubscriptionId, stream: StreamId, chunk: u64) -> Bytes {
    format!("place/{:08x}/{:08x}/{chunk:014x}", of.0, stream.0).into()
}

/// Whose place an entry is, and which chunk of it.
pub(crate) fn parse_key(key: &[u8]) -> Option<(SubscriptionId, StreamId, Option<u64>)> {
    let text = std::str::from_utf8(key.strip_prefix(PLACES)?).ok()?;
    let mut parts = text.split('/');
    let mut number = || u32::from_str_radix(parts.next()?, 16).ok();
    let (subscription, stream) = (SubscriptionId(number()?), StreamId(number()?));
    match parts.next() {
        None => Some((subscription, stream, None)),
        Some(chunk) => Some((subscription, stream, Some(u64::from_str_radix(chunk, 16).ok()?))),
    }
}

/// What removes a stored place.
pub(crate) fn erase(place: &Place, of: SubscriptionId, stream: StreamId, ops: &mut Vec<Op>) {
    ops.push(put(floor_key(of, stream), None));
    ops.extend(place.stored.iter().map(|&chunk| put(chunk_key(of, stream, chunk), None)));
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    const BASE: u64 = 3 * CHUNK - 40;
    const ME: SubscriptionId = SubscriptionId(7);
    const STREAM: StreamId = StreamId(9);

    fn reload(state: &BTreeMap<Bytes, Bytes>) -> Place {
        let mut place = Place::at(Offset::new(BASE));
        for (key, value) in state {
            let (of, stream, chunk) = parse_key(key).unwrap();
            assert_eq!((of, stream), (ME, STREAM));
            place.load(chunk, value).unwrap();
        }
        place
    }

    proptest! {
        /// What is stored is what was done, however it was done and undone.
        #[test]
        fn a_stored_place_reads_back(steps in prop::collection::vec((0..400_u64, 0..8_u8), 1..300)) {
            let mut place = Place::at(Offset::new(BASE));
            let (mut model, mut state) = (std::collections::BTreeSet::new(), BTreeMap::new());
            // What failed to be stored is above what was stored: only that is ever undone.
            let mut stored_floor = Offset::ZERO;
            for (at, what) in steps {
                // Spread over several chunks, some dense.
                let offset = BASE + if at % 3 == 0 { at * 40 } else { at };
                match what {
                    0 if offset < stored_floor.get() => {}
                    0 => {
                        place.reopen(Offset::new(offset));
                        model.remove(&offset);
                    }
                    1 => {
                        let end = offset + at % 90;
                        place.pass(Offset::new(offset), Offset::new(end));
                        model.extend(offset..end);
                    }
                    _ => {
                        place.ack(Offset::new(offset));
                        model.insert(offset);
                    }
                }
                if what % 2 == 0 {
                    stored_floor = place.floor();
                    let mut ops = Vec::new();
                    place.write(ME, STREAM, &mut ops);
                    for op in ops {
                        let Op::Put(put) = op else { panic!("{op:?}") };
                        match put.value {
                            Some(value) => state.insert(put.key, value),
                            None => state.remove(&put.key),
                        };
                    }
                }
            }
            // What was passed over without a write is written with its chunk only.
            place.dirty.extend(BASE / CHUNK..BASE / CHUNK + 8);
            let mut ops = Vec::new();
            place.write(ME, STREAM, &mut ops);
            for op in ops {
                let Op::Put(put) = op else { panic!("{op:?}") };
                match put.value {
                    Some(value) => state.insert(put.key, value),
                    None => state.remove(&put.key),
                };
            }
            let loaded = reload(&state);
            for offset in BASE..BASE + 20_000 {
                prop_assert_eq!(place.is_done(Offset::new(offset)), model.contains(&offset), "{}", offset);
                prop_assert_eq!(loaded.is_done(Offset::new(offset)), model.contains(&offset), "stored {}", offset);
            }
            let end = BASE + 20_000;
            prop_assert_eq!(place.open_before(Offset::new(end)), 20_000 - model.len() as u64);
            prop_assert!(state.len() <= 8);
        }
    }
}
