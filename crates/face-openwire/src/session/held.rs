//! The messages that a consumer's client has got and not acked yet.
//!
//! A message is known by its lease, which goes to the client as the message's
//! `brokerSequenceId` and comes back in its acks; leases only grow, so a range of acks is a range
//! of leases (reference `activemq.md` a4).

use std::collections::BTreeMap;

use outflow_hub::subscription::{ConsumerId, LeaseId};

/// One message with the client.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry {
    /// Whose it is in the hub.
    pub(super) consumer: ConsumerId,
    /// The hash of its id, for clients that do not give the sequence back.
    pub(super) id_hash: u128,
    /// Whether the client was let have one more for it, before it is acked.
    is_extended: bool,
    /// Whether it was acked in a transaction that is open.
    is_bound: bool,
}

impl Entry {
    pub(super) const fn new(consumer: ConsumerId, id_hash: u128) -> Self {
        Self { consumer, id_hash, is_extended: false, is_bound: false }
    }
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Held {
    entries: BTreeMap<u64, Entry>,
}

impl Held {
    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Adds a message.
    pub(super) fn push(&mut self, lease: LeaseId, entry: Entry) {
        self.entries.insert(lease.0, entry);
    }

    /// The first message with this id that is with the client.
    pub(super) fn find(&self, id_hash: u128) -> Option<u64> {
        let mut open = self.entries.iter().filter(|(_, entry)| !entry.is_bound);
        open.find(|(_, entry)| entry.id_hash == id_hash).map(|(lease, _)| *lease)
    }

    /// The messages with the client from `first` to `last`, in order.
    pub(super) fn range(&self, first: u64, last: u64) -> Vec<(u64, Entry)> {
        if first > last {
            return Vec::new();
        }
        let entries = self.entries.range(first..=last).filter(|(_, entry)| !entry.is_bound);
        entries.map(|(lease, entry)| (*lease, *entry)).collect()
    }

    /// Whether `count` messages up to `last` are all there is up to it.
    pub(super) fn is_all_through(&self, last: u64, count: usize) -> bool {
        self.entries.range(..=last).count() == count
    }

    /// Notes that the client may have one more for it; false: it was noted before.
    pub(super) fn extend(&mut self, lease: u64) -> bool {
        let entry = self.entries.get_mut(&lease);
        entry.is_some_and(|entry| !std::mem::replace(&mut entry.is_extended, true))
    }

    /// The message is acked.
    pub(super) fn settle(&mut self, lease: u64) {
        self.entries.remove(&lease);
    }

    /// The message is acked when its transaction is committed.
    pub(super) fn bind(&mut self, lease: u64) {
        self.mark(lease, true);
    }

    /// The transaction is not: the message is with the client again.
    pub(super) fn release(&mut self, lease: u64) {
        self.mark(lease, false);
    }

    fn mark(&mut self, lease: u64, is_bound: bool) {
        if let Some(entry) = self.entries.get_mut(&lease) {
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
        assert_eq!(open(&held, 0, 9), [3, 9]);
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
        let mut held = held([1, 4]);
        assert_eq!(held.find(1), Some(1));
        held.bind(1);
        assert_eq!(held.find(1), Some(4));
        held.settle(4);
        assert_eq!(held.find(1), None);
    }
}
