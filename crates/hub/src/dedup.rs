//! The window in which copies of an event are recognised by id.
//!
//! Called by `publish` under the stream's lock. Holds the 128-bit hash of every id of the last
//! while with its offset, bounded by time and count, in about 64 bytes each. An id whose first
//! event is still on its way to the disk has a [`Flight`], which copies wait for. Of senders that
//! number their events `senders` knows how far they have come, which no count of events ends.

pub(crate) mod senders;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::hash::{BuildHasherDefault, Hash, Hasher};

use outflow_model::{Offset, Timestamp};
use tokio::sync::watch;

use crate::Dedup;
use senders::Senders;

/// The most ids that a window may be set to remember.
pub(crate) const MAX_IDS: u32 = 10_000_000;

/// An id hash in two halves: aligned to 8 bytes, which saves a quarter of the memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Id {
    low: u64,
    high: u64,
}

impl From<u128> for Id {
    fn from(id_hash: u128) -> Self {
        Self { low: id_hash as u64, high: (id_hash >> 64) as u64 }
    }
}

impl Hash for Id {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.low);
    }
}

/// Ids are already hashes; one half of them places an entry.
#[derive(Default)]
struct Half(u64);

impl Hasher for Half {
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|&byte| self.0 = self.0.rotate_left(8) ^ u64::from(byte));
    }

    fn write_u64(&mut self, half: u64) {
        self.0 = half;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// The commit of a batch that copies may wait for. `None` until it is decided.
#[derive(Debug, Clone)]
pub(crate) struct Flight(watch::Receiver<Option<bool>>);

impl Flight {
    /// Whether the batch became durable; `false` also when its publisher's task died.
    pub(crate) async fn landed(mut self) -> bool {
        self.0.wait_for(Option::is_some).await.is_ok_and(|landed| *landed == Some(true))
    }
}

/// The other end of a [`Flight`].
#[derive(Debug)]
pub(crate) struct Landing {
    first: Offset,
    tell: watch::Sender<Option<bool>>,
}

impl Landing {
    /// Tells everybody who waits.
    pub(crate) fn tell(&self, landed: bool) {
        self.tell.send_replace(Some(landed));
    }
}

/// See the module.
#[derive(Default)]
pub(crate) struct Window {
    /// Whether the log's last while is in it.
    pub(crate) loaded: bool,
    /// When it was last asked.
    touched: Timestamp,
    seen: HashMap<Id, Offset, BuildHasherDefault<Half>>,
    /// The ids in the order they came, so that the oldest go first.
    order: VecDeque<(Id, Offset)>,
    /// How many ids of `order` came at each moment: one entry a millisecond instead of one an id.
    moments: VecDeque<(Timestamp, usize)>,
    /// Batches on their way, by first offset, with the offset after their last.
    flights: BTreeMap<Offset, (Offset, Flight)>,
    /// How far the senders have come that number their events.
    pub(crate) senders: Senders,
}

/// What the window knows of an id.
pub(crate) enum Seen {
    /// Nothing: it was taken down now.
    New,
    /// It was seen, at this offset.
    Before(Offset),
}

impl Window {
    /// Forgets what is older than the window or beyond its count.
    pub(crate) fn expire(&mut self, dedup: Dedup, now: Timestamp) {
        self.touched = now;
        let window = i64::try_from(dedup.window_ms).unwrap_or(i64::MAX);
        let oldest = Timestamp::from_millis(now.millis().saturating_sub(window));
        while self.moments.front().is_some_and(|&(at, _)| at < oldest) {
            let count = self.moments.pop_front().map_or(0, |(_, count)| count);
            (0..count).for_each(|_| self.forget_oldest());
        }
        let max = dedup.max_ids.clamp(1, MAX_IDS) as usize;
        let mut surplus = self.order.len().saturating_sub(max);
        while surplus > 0 {
            let Some((_, count)) = self.moments.front_mut() else { break };
            let gone = surplus.min(*count);
            *count -= gone;
            if *count == 0 {
                self.moments.pop_front();
            }
            (0..gone).for_each(|_| self.forget_oldest());
            surplus -= gone;
        }
    }

    fn forget_oldest(&mut self) {
        if let Some((id, offset)) = self.order.pop_front()
            && self.seen.get(&id) == Some(&offset)
        {
            self.seen.remove(&id);
        }
    }

    /// Where an id was seen, if it was.
    pub(crate) fn seen_at(&self, id_hash: u128) -> Option<Offset> {
        self.seen.get(&Id::from(id_hash)).copied()
    }

    /// Asks for an id, and takes it down at `offset` when it is new.
    pub(crate) fn see(&mut self, id_hash: u128, offset: Offset, now: Timestamp) -> Seen {
        let id = Id::from(id_hash);
        match self.seen.entry(id) {
            std::collections::hash_map::Entry::Occupied(seen) => return Seen::Before(*seen.get()),
            std::collections::hash_map::Entry::Vacant(free) => free.insert(offset),
        };
        self.order.push_back((id, offset));
        match self.moments.back_mut() {
            // A clock that went back must not hide older entries behind younger ones.
            Some((at, count)) if *at >= now => *count += 1,
            _ => self.moments.push_back((now, 1)),
        }
        Seen::New
    }

    /// Forgets the ids taken down from `first` up to `next`: their events were not stored.
    pub(crate) fn unsee(&mut self, first: Offset, next: Offset) {
        self.senders.lose(first);
        // Ids are in the order of their offsets, so the lost ones are near the end.
        let newest = self.order.iter().rev().take_while(|(_, offset)| *offset >= first);
        for (id, offset) in newest.filter(|(_, offset)| *offset < next) {
            if self.seen.get(id) == Some(offset) {
                self.seen.remove(id);
            }
        }
    }

    /// Takes down what the log's last while held, older than all that is here.
    pub(crate) fn load(&mut self, logged: &[(u128, Offset, Timestamp)]) {
        let order = std::mem::take(&mut self.order);
        let moments = std::mem::take(&mut self.moments);
        for &(id_hash, offset, at) in logged {
            self.see(id_hash, offset, at);
        }
        self.order.extend(order);
        self.moments.extend(moments);
        self.loaded = true;
    }

    /// Notes that the events from `first` up to `next` are on their way.
    pub(crate) fn depart(&mut self, first: Offset, next: Offset) -> Landing {
        let (tell, flight) = watch::channel(None);
        self.flights.insert(first, (next, Flight(flight)));
        Landing { first, tell }
    }

    /// Notes that they have arrived, or never will.
    pub(crate) fn arrive(&mut self, landing: &Landing) {
        self.flights.remove(&landing.first);
    }

    /// The flight that carries the event at `offset`, if it is on its way.
    pub(crate) fn flight(&self, offset: Offset) -> Option<(Offset, Flight)> {
        let (&first, (next, flight)) = self.flights.range(..=offset).next_back()?;
        (offset < *next).then(|| (first, flight.clone()))
    }

    /// Whether nothing came for as long as ids are remembered: what is in it may be read again when
    /// something comes.
    pub(crate) fn is_resting(&self, dedup: Option<Dedup>, now: Timestamp) -> bool {
        if !self.loaded || !self.flights.is_empty() {
            return false;
        }
        let window = dedup.map_or(0, |dedup| i64::try_from(dedup.window_ms).unwrap_or(i64::MAX));
        let oldest = Timestamp::from_millis(now.millis().saturating_sub(window));
        self.touched < oldest && self.moments.back().is_none_or(|&(at, _)| at < oldest)
    }

    /// Forgets all but what is on its way, and that the log was looked at.
    pub(crate) fn reset(&mut self) {
        let flights = std::mem::take(&mut self.flights);
        let on_the_way = |offset: &Offset| {
            flights.range(..=*offset).next_back().is_some_and(|(_, (next, _))| offset < next)
        };
        self.seen.retain(|_, offset| on_the_way(offset));
        self.order.retain(|(_, offset)| on_the_way(offset));
        let newest = self.moments.back().map_or(Timestamp::default(), |&(at, _)| at);
        self.moments.clear();
        if !self.order.is_empty() {
            self.moments.push_back((newest, self.order.len()));
        }
        self.flights = flights;
        self.loaded = false;
    }
}
