//! A consumer as its subscription knows it: what waits for it and what it holds.
//!
//! Called by `queue` and `settle`, under the subscription's lock. [`Owner`] is the other end: what
//! the connection's task waits on.
//!
//! Invariant: `leased` is in order of lease, which is the order of delivery.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use outflow_model::clock::Moment;
use outflow_model::{Offset, Timestamp};
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::entry::Entry;
use super::properties::Candidate;
use super::sight::Sight;
use super::{ConsumerId, ConsumerOptions};
use crate::CloseReason;

/// So many bytes may wait for one consumer to take them; one event always may.
const MAX_WAITING_BYTES: usize = 128 << 10;

/// So many events that were set aside are noted for one consumer.
const MAX_WISHES: usize = 1_024;

/// The waiting side of a connection.
#[derive(Debug, Default)]
pub(crate) struct Owner {
    /// The consumers that have something, each once.
    rung: Mutex<VecDeque<ConsumerId>>,
    closed: Mutex<VecDeque<(ConsumerId, CloseReason)>>,
    /// Whether its client is gone, and its consumers are about to be.
    gone: AtomicBool,
    pub(crate) wake: Notify,
}

impl Owner {
    /// Its client is gone.
    pub(crate) fn go(&self) {
        self.gone.store(true, Ordering::Release);
    }

    /// Whether its client is gone.
    pub(crate) fn is_gone(&self) -> bool {
        self.gone.load(Ordering::Acquire)
    }

    /// A consumer has something.
    pub(crate) fn ring(&self, consumer: ConsumerId) {
        self.rung.lock().push_back(consumer);
        self.wake.notify_one();
    }

    /// A consumer is no more.
    pub(crate) fn close(&self, consumer: ConsumerId, reason: CloseReason) {
        self.closed.lock().push_back((consumer, reason));
        self.wake.notify_one();
    }

    pub(crate) fn next_rung(&self) -> Option<ConsumerId> {
        self.rung.lock().pop_front()
    }

    pub(crate) fn next_closed(&self) -> Option<(ConsumerId, CloseReason)> {
        self.closed.lock().pop_front()
    }
}

/// An event that a consumer holds.
#[derive(Debug)]
pub(crate) struct Leased {
    pub(crate) lease: u64,
    pub(crate) feed: u32,
    /// The event, without its content; `None`: settled, and not yet swept.
    pub(crate) entry: Option<Entry>,
    pub(crate) deadline: Option<Moment>,
    /// Whether its consumer lost credit beyond its window when it was taken out of its hands.
    pub(crate) was_extended: bool,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Hand {
    pub(crate) owner: Arc<Owner>,
    /// What its owner calls it.
    pub(crate) id: ConsumerId,
    pub(crate) options: ConsumerOptions,
    /// What its credential may see.
    pub(crate) sight: Sight,
    /// Handed over and not yet taken.
    pub(crate) waiting: VecDeque<(u32, Entry)>,
    pub(crate) waiting_bytes: usize,
    /// Taken and not yet settled.
    pub(crate) leased: VecDeque<Leased>,
    /// How many of `leased` are settled.
    swept: usize,
    /// How many it has, waiting or unsettled.
    pub(crate) holds: u32,
    /// Credit beyond its window.
    pub(crate) extension: u32,
    /// Events set aside that it wants, earliest first: when taken, feed, offset.
    pub(crate) wishes: BTreeSet<(Timestamp, u32, Offset)>,
    /// The first that it wants and that is not noted. All that are noted come before it, and none from
    /// there on is noted until all that is set aside is looked at again: it would be given what comes
    /// later first.
    pub(crate) unnoted: Option<(Timestamp, u32, Offset)>,
    /// Whether events were forgotten that it wants.
    pub(crate) has_missed: bool,
    /// Events of its groups that it has no credit for.
    pub(crate) assigned: VecDeque<(u32, Entry)>,
    /// Whether it stands in the queue for events.
    pub(crate) queued: bool,
    /// Whether its owner was told.
    pub(crate) rung: bool,
}

impl Hand {
    pub(crate) fn new(
        owner: Arc<Owner>,
        id: ConsumerId,
        options: ConsumerOptions,
        sight: Sight,
    ) -> Self {
        Self {
            owner,
            id,
            options,
            sight,
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            leased: VecDeque::new(),
            swept: 0,
            holds: 0,
            extension: 0,
            wishes: BTreeSet::new(),
            unnoted: None,
            has_missed: false,
            assigned: VecDeque::new(),
            queued: false,
            rung: false,
        }
    }

    /// How many events it may be given now.
    pub(crate) fn room(&self) -> usize {
        if self.waiting_bytes >= MAX_WAITING_BYTES {
            return 0;
        }
        let credit = self.options.credit.saturating_add(self.extension);
        credit.saturating_sub(self.holds) as usize
    }

    /// Whether it looks at events before it takes them.
    pub(crate) const fn is_choosy(&self) -> bool {
        self.options.selector.is_some() || self.sight.is_choosy()
    }

    /// Whether its credential lets it have events of such a type.
    pub(crate) const fn may_have(&self, entry: &Entry) -> bool {
        self.sight.allows(entry.restricted)
    }

    /// Whether it takes the event, and about how many steps it took to find out.
    pub(crate) fn wants(&self, one: Candidate<'_>, now: Timestamp) -> (bool, usize) {
        let looked = self.sight.cost(one.event);
        match &self.options.selector {
            _ if !self.sight.sees(one.event, now) => (false, looked),
            None => (true, looked),
            Some(selector) => {
                let (suits, steps) = one.weigh(selector);
                (suits, looked + steps)
            }
        }
    }

    /// Nothing is set aside any more.
    pub(crate) fn forget_wishes(&mut self) {
        self.wishes.clear();
        (self.unnoted, self.has_missed) = (None, false);
    }

    /// It wants an event that is set aside; the first of them are noted.
    pub(crate) fn wish(&mut self, wish: (Timestamp, u32, Offset)) {
        if self.unnoted.is_some_and(|unnoted| wish >= unnoted) {
            return;
        }
        self.wishes.insert(wish);
        if self.wishes.len() > MAX_WISHES {
            self.unnoted = self.wishes.pop_last();
        }
    }

    /// Gives it an event.
    pub(crate) fn give(&mut self, feed: u32, entry: Entry) {
        self.holds += 1;
        self.waiting_bytes += entry.size as usize;
        self.waiting.push_back((feed, entry));
    }

    /// Tells the owner, once until it has come.
    pub(crate) fn ring(&mut self) {
        if !self.rung {
            self.rung = true;
            self.owner.ring(self.id);
        }
    }

    /// Where a lease is.
    pub(crate) fn find(&self, lease: u64) -> Option<usize> {
        let first = self.leased.front()?.lease;
        // Leases that are taken together have numbers that follow one another.
        let guess = usize::try_from(lease.checked_sub(first)?).ok()?;
        let at = match self.leased.get(guess) {
            Some(leased) if leased.lease == lease => guess,
            _ => self.leased.binary_search_by_key(&lease, |leased| leased.lease).ok()?,
        };
        self.leased.get(at)?.entry.is_some().then_some(at)
    }

    /// Takes an event out of its hands, and one from its holdings.
    pub(crate) fn release(&mut self, at: usize) -> Option<(u32, Entry, Option<Moment>)> {
        let leased = self.leased.get_mut(at)?;
        let entry = leased.entry.take()?;
        let released = (leased.feed, entry, leased.deadline);
        self.holds = self.holds.saturating_sub(1);
        self.extension = self.extension.saturating_sub(1);
        self.swept += 1;
        while self.leased.front().is_some_and(|leased| leased.entry.is_none()) {
            self.leased.pop_front();
            self.swept -= 1;
        }
        // Behind one that is held for long, the settled ones must not pile up.
        if self.swept > 64 && self.swept * 2 > self.leased.len() {
            self.leased.retain(|leased| leased.entry.is_some());
            self.swept = 0;
        }
        Some(released)
    }

    /// Gives a lease back that a transaction had taken.
    pub(crate) fn restore(&mut self, mut leased: Leased) {
        let lost = u32::from(std::mem::take(&mut leased.was_extended));
        self.extension = self.extension.saturating_add(lost);
        let at = self.leased.partition_point(|other| other.lease < leased.lease);
        if self.leased.get(at).is_some_and(|other| other.lease == leased.lease) {
            if let Some(place) = self.leased.get_mut(at) {
                *place = leased;
                self.swept = self.swept.saturating_sub(1);
            }
        } else {
            self.leased.insert(at, leased);
        }
        self.holds += 1;
    }

    /// What it got after the lease `seen` was never looked at: it does not count as handed out.
    pub(crate) fn take_back_count(&mut self, seen: Option<u64>) {
        for leased in self.leased.iter_mut().rev() {
            if seen.is_some_and(|seen| leased.lease <= seen) {
                return;
            }
            if let Some(entry) = &mut leased.entry {
                entry.deliveries = entry.deliveries.saturating_sub(1);
            }
        }
    }

    /// All that it has, to go back: first what it holds, then what waits for it.
    pub(crate) fn empty(&mut self) -> Vec<(u32, Entry)> {
        let held = std::mem::take(&mut self.leased);
        let held = held.into_iter().filter_map(|leased| Some((leased.feed, leased.entry?)));
        let waiting = std::mem::take(&mut self.waiting);
        let assigned = std::mem::take(&mut self.assigned);
        (self.holds, self.swept, self.waiting_bytes) = (0, 0, 0);
        held.chain(waiting).chain(assigned).collect()
    }

    /// What waits for it and it has not taken, to go back.
    pub(crate) fn take_back(&mut self) -> Vec<(u32, Entry)> {
        let waiting = std::mem::take(&mut self.waiting);
        let count = u32::try_from(waiting.len()).unwrap_or(u32::MAX);
        self.holds = self.holds.saturating_sub(count);
        self.waiting_bytes = 0;
        waiting.into_iter().chain(std::mem::take(&mut self.assigned)).collect()
    }

    /// The offsets of one feed that it has.
    pub(crate) fn offsets_of(&self, feed: u32) -> impl Iterator<Item = Offset> {
        let leased = self.leased.iter().filter_map(|one| Some((one.feed, one.entry.as_ref()?)));
        let waiting = self.waiting.iter().chain(&self.assigned);
        let waiting = waiting.map(|(feed, entry)| (*feed, entry));
        leased.chain(waiting).filter(move |(of, _)| *of == feed).map(|(_, entry)| entry.offset)
    }
}
