//! The messages that a client has got from one of its subscriptions and not acked yet.
//!
//! A message is known by its lease, which goes to the client and comes back in its acks. Leases of a
//! connection only grow, so what was delivered before is what has a smaller one. What is acked is
//! forgotten at once, in whatever order: one message that is held for long keeps nothing else.
//!
//! Invariant: `entries` are in order of lease, and begin with one that is not acked.

use std::collections::{BTreeSet, VecDeque};

use outflow_hub::subscription::{ConsumerId, LeaseId};

/// One message with the client.
#[derive(Debug, Clone, Copy)]
pub struct Entry {
    /// Whose it is in the hub.
    pub consumer: ConsumerId,
    /// The hash of its id, for clients that ack by that.
    pub id_hash: u128,
    /// Whether the client was let have one more for it, before it is acked.
    is_extended: bool,
    /// Whether it was acked in a transaction that is open.
    is_bound: bool,
}

impl Entry {
    /// A message of a consumer.
    #[must_use]
    pub const fn new(consumer: ConsumerId, id_hash: u128) -> Self {
        Self { consumer, id_hash, is_extended: false, is_bound: false }
    }
}

/// So many that are acked may stand among those that are not before they are swept out.
const MAX_ACKED: usize = 64;

/// See the module.
#[derive(Debug, Default)]
pub struct Held {
    /// By lease; `None`: acked, and not yet swept.
    entries: VecDeque<(u64, Option<Entry>)>,
    /// How many of them are acked.
    acked: usize,
    /// The same by the hash of their ids; only once a client has acked so.
    by_id: Option<BTreeSet<(u128, u64)>>,
    /// The first and the last lease that there ever were.
    span: Option<(u64, u64)>,
}

impl Held {
    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len() - self.acked
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Adds a message, whose lease is greater than all before.
    pub fn push(&mut self, lease: LeaseId, entry: Entry) {
        if let Some(by_id) = &mut self.by_id {
            by_id.insert((entry.id_hash, lease.0));
        }
        debug_assert!(self.entries.back().is_none_or(|(last, _)| *last < lease.0), "{lease}");
        let first = self.span.map_or(lease.0, |(first, _)| first);
        self.span = Some((first, lease.0));
        self.entries.push_back((lease.0, Some(entry)));
    }

    /// Where a lease is, or the first greater one.
    fn position(&self, lease: u64) -> usize {
        let Some((first, _)) = self.entries.front() else { return 0 };
        // Leases that are taken together have numbers that follow one another.
        let guess = usize::try_from(lease.saturating_sub(*first)).unwrap_or(usize::MAX);
        match self.entries.get(guess) {
            Some((known, _)) if *known == lease => guess,
            _ => self.entries.partition_point(|(known, _)| *known < lease),
        }
    }

    fn get(&self, lease: u64) -> Option<&Entry> {
        let (known, entry) = self.entries.get(self.position(lease))?;
        entry.as_ref().filter(|_| *known == lease)
    }

    fn get_mut(&mut self, lease: u64) -> Option<&mut Entry> {
        let at = self.position(lease);
        let (known, entry) = self.entries.get_mut(at)?;
        entry.as_mut().filter(|_| *known == lease)
    }

    /// Those from `first` to `last`, in order.
    fn between(&self, first: u64, last: u64) -> impl Iterator<Item = (u64, &Entry)> {
        let from = self.entries.range(self.position(first)..);
        let until = from.take_while(move |(lease, _)| *lease <= last);
        until.filter_map(|(lease, entry)| Some((*lease, entry.as_ref()?)))
    }

    /// The message with this lease, if it is with the client.
    #[must_use]
    pub fn open(&self, lease: u64) -> Option<Entry> {
        self.get(lease).filter(|entry| !entry.is_bound).copied()
    }

    /// The first message with this id that is with the client.
    pub fn find(&mut self, id_hash: u128) -> Option<u64> {
        if self.by_id.is_none() {
            let all = self.between(0, u64::MAX);
            self.by_id = Some(all.map(|(lease, entry)| (entry.id_hash, lease)).collect());
        }
        let copies = self.by_id.as_ref()?.range((id_hash, 0)..=(id_hash, u64::MAX));
        let mut copies = copies.map(|(_, lease)| *lease);
        copies.find(|lease| self.open(*lease).is_some())
    }

    /// The same, or one that was acked in a transaction that is open.
    pub fn find_any(&mut self, id_hash: u128) -> Option<u64> {
        let open = self.find(id_hash);
        let copies = self.by_id.as_ref()?.range((id_hash, 0)..=(id_hash, u64::MAX));
        open.or_else(|| copies.map(|(_, lease)| *lease).next())
    }

    /// Whether a lease may have been one of these: what a client was given on a connection before
    /// has another, and is known by its id only.
    #[must_use]
    pub fn may_have_had(&self, lease: u64) -> bool {
        self.span.is_some_and(|(first, last)| (first..=last).contains(&lease))
    }

    /// The messages with the client from `first` to `last`, in order.
    #[must_use]
    pub fn range(&self, first: u64, last: u64) -> Vec<(u64, Entry)> {
        let entries = self.between(first, last).filter(|(_, entry)| !entry.is_bound);
        entries.map(|(lease, entry)| (lease, *entry)).collect()
    }

    /// How many messages there are from `first` to `last`, bound ones included.
    #[must_use]
    pub fn count(&self, first: u64, last: u64) -> usize {
        self.between(first, last).count()
    }

    /// Whether `count` messages up to `last` are all there is up to it, bound ones included.
    #[must_use]
    pub fn is_all_through(&self, last: u64, count: usize) -> bool {
        self.between(0, last).take(count.saturating_add(1)).count() == count
    }

    /// Notes that the client may have one more for it; false: it was noted before.
    pub fn extend(&mut self, lease: u64) -> bool {
        let entry = self.get_mut(lease);
        entry.is_some_and(|entry| !std::mem::replace(&mut entry.is_extended, true))
    }

    /// The message is acked.
    pub fn settle(&mut self, lease: u64) {
        let at = self.position(lease);
        let place = self.entries.get_mut(at).filter(|(known, _)| *known == lease);
        let Some(entry) = place.and_then(|(_, entry)| entry.take()) else { return };
        if let Some(by_id) = &mut self.by_id {
            by_id.remove(&(entry.id_hash, lease));
        }
        self.acked += 1;
        while self.entries.front().is_some_and(|(_, entry)| entry.is_none()) {
            self.entries.pop_front();
            self.acked -= 1;
        }
        if self.acked > MAX_ACKED && self.acked * 2 > self.entries.len() {
            self.entries.retain(|(_, entry)| entry.is_some());
            self.acked = 0;
        }
    }

    /// The message is acked when its transaction is committed.
    pub fn bind(&mut self, lease: u64) {
        self.mark(lease, true);
    }

    /// The transaction is not: the message is with the client again.
    pub fn release(&mut self, lease: u64) {
        self.mark(lease, false);
    }

    fn mark(&mut self, lease: u64, is_bound: bool) {
        if let Some(entry) = self.get_mut(lease) {
            entry.is_bound = is_bound;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(leases: impl IntoIterator<Item = u64>) -> Held {
        let mut held = Held::default();
        for lease in leases {
            held.push(LeaseId(lease), Entry::new(ConsumerId(1), u128::from(lease % 3)));
        }
        held
    }

    fn open(held: &Held, first: u64, last: u64) -> Vec<u64> {
        held.range(first, last).into_iter().map(|(lease, _)| lease).collect()
    }

    #[test]
    fn a_range_counts_what_is_with_the_client() {
        let mut held = held([3, 5, 9, 12]);
        assert_eq!(open(&held, 0, 9), [3, 5, 9]);
        assert_eq!(open(&held, 5, u64::MAX), [5, 9, 12]);
        assert_eq!(open(&held, 9, 5), Vec::<u64>::new());
        assert!(held.is_all_through(9, 3) && !held.is_all_through(9, 2));
        held.settle(5);
        assert!(held.open(5).is_none());
        assert_eq!(open(&held, 0, 9), [3, 9]);
    }

    #[test]
    fn one_message_that_is_held_for_long_keeps_nothing_else() {
        let mut held = held(0..1_000);
        (1..1_000).for_each(|lease| held.settle(lease));
        assert_eq!(held.len(), 1);
        assert_eq!(open(&held, 0, 1_000), [0]);
        assert!(held.entries.len() < 2 * MAX_ACKED, "{}", held.entries.len());
    }

    #[test]
    fn what_a_transaction_acked_comes_back_when_it_is_rolled_back() {
        let mut held = held([1, 2, 3]);
        held.bind(2);
        assert_eq!(open(&held, 0, 3), [1, 3]);
        assert!(held.is_all_through(3, 3), "a bound one is still there");
        held.release(2);
        assert_eq!(open(&held, 0, 3), [1, 2, 3]);
    }

    #[test]
    fn a_message_widens_the_window_once() {
        let mut held = held([1]);
        assert!(held.extend(1) && !held.extend(1) && !held.extend(2));
    }

    #[test]
    fn copies_of_one_message_are_found_one_after_the_other() {
        let mut held = held(0..6);
        assert_eq!(held.find(1), Some(1));
        held.settle(1);
        assert_eq!(held.find(1), Some(4));
        held.bind(4);
        assert_eq!(held.find(1), None);
        held.release(4);
        assert_eq!(held.find(1), Some(4));
        held.settle(4);
        assert_eq!(held.find(1), None);
        held.push(LeaseId(7), Entry::new(ConsumerId(1), 1));
        assert_eq!(held.find(1), Some(7));
        held.bind(7);
        assert_eq!((held.find(1), held.find_any(1)), (None, Some(7)));
    }

    #[test]
    fn leases_of_a_connection_before_are_none_of_these() {
        assert!(!Held::default().may_have_had(0));
        let mut held = held([5, 7, 9]);
        (5..=7).for_each(|lease| held.settle(lease));
        let known: Vec<u64> = (0..12).filter(|lease| held.may_have_had(*lease)).collect();
        assert_eq!(known, [5, 6, 7, 8, 9]);
    }
}
