//! The messages that a subscription's client has got and not acked yet.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use outflow_hub::subscription::{ConsumerId, LeaseId};

/// By what a client acks a message: header `ack` of MESSAGE, `id` of ACK. Unique in its connection,
/// and says where the message stands, so that no table has to be searched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct AckId {
    /// The number of the subscription in its connection.
    pub subscription: u32,
    /// Counts the subscription's messages.
    pub serial: u64,
}

impl fmt::Display for AckId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.subscription, self.serial)
    }
}

impl AckId {
    /// Reads what a client gave.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (subscription, serial) = text.split_once('-')?;
        Some(Self { subscription: subscription.parse().ok()?, serial: serial.parse().ok()? })
    }
}

/// One message with the client.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry {
    pub(super) consumer: ConsumerId,
    pub(super) lease: LeaseId,
    /// The hash of its id, for clients that ack by `message-id`.
    pub(super) id_hash: u128,
    /// Whether it was acked in a transaction that is open.
    is_bound: bool,
}

impl Entry {
    pub(super) const fn new(consumer: ConsumerId, lease: LeaseId, id_hash: u128) -> Self {
        Self { consumer, lease, id_hash, is_bound: false }
    }
}

/// See the module. In the order of delivery, by serial. What is acked is forgotten at once, in
/// whatever order: one message that is held for long keeps nothing else.
#[derive(Debug, Default)]
pub(super) struct Held {
    entries: BTreeMap<u64, Entry>,
    /// The same by the hash of their ids; only once a client has acked so.
    by_id: Option<BTreeSet<(u128, u64)>>,
    /// The serial of the next message.
    next: u64,
}

impl Held {
    /// The serial that the next message gets.
    pub(super) const fn next(&self) -> u64 {
        self.next
    }

    /// Adds a message, which gets [`Held::next`].
    pub(super) fn push(&mut self, entry: Entry) {
        if let Some(by_id) = &mut self.by_id {
            by_id.insert((entry.id_hash, self.next));
        }
        self.entries.insert(self.next, entry);
        self.next += 1;
    }

    /// The message with this serial, if it is with the client.
    pub(super) fn open(&self, serial: u64) -> Option<Entry> {
        self.entries.get(&serial).filter(|entry| !entry.is_bound).copied()
    }

    /// The first message with this id that is with the client.
    pub(super) fn find(&mut self, id_hash: u128) -> Option<u64> {
        let entries = &self.entries;
        let by_id = self.by_id.get_or_insert_with(|| {
            entries.iter().map(|(serial, entry)| (entry.id_hash, *serial)).collect()
        });
        let mut copies = by_id.range((id_hash, 0)..=(id_hash, u64::MAX)).map(|(_, serial)| *serial);
        copies.find(|serial| entries.get(serial).is_some_and(|entry| !entry.is_bound))
    }

    /// The messages with the client up to this serial.
    pub(super) fn through(&self, serial: u64) -> impl Iterator<Item = (u64, Entry)> + '_ {
        let entries = self.entries.range(..=serial).filter(|(_, entry)| !entry.is_bound);
        entries.map(|(serial, entry)| (*serial, *entry))
    }

    /// Whether everything up to this serial is with the client or settled, nothing bound.
    pub(super) fn is_free_through(&self, serial: u64) -> bool {
        self.entries.range(..=serial).all(|(_, entry)| !entry.is_bound)
    }

    /// The message is acked.
    pub(super) fn settle(&mut self, serial: u64) {
        if let (Some(entry), Some(by_id)) = (self.entries.remove(&serial), &mut self.by_id) {
            by_id.remove(&(entry.id_hash, serial));
        }
    }

    /// The message is acked when its transaction is committed.
    pub(super) fn bind(&mut self, serial: u64) {
        self.mark(serial, true);
    }

    /// The transaction is not: the message is with the client again.
    pub(super) fn release(&mut self, serial: u64) {
        self.mark(serial, false);
    }

    fn mark(&mut self, serial: u64, is_bound: bool) {
        if let Some(entry) = self.entries.get_mut(&serial) {
            entry.is_bound = is_bound;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(count: u64) -> Held {
        let mut held = Held::default();
        for n in 0..count {
            assert_eq!(held.next(), n);
            held.push(Entry::new(ConsumerId(1), LeaseId(100 + n), u128::from(n % 3)));
        }
        held
    }

    #[test]
    fn what_is_acked_is_acked_once_in_any_order() {
        let mut held = held(5);
        held.settle(3);
        assert!(held.open(3).is_none() && held.open(5).is_none());
        let open: Vec<u64> = held.through(4).map(|(serial, _)| serial).collect();
        assert_eq!(open, [0, 1, 2, 4]);
        for serial in [0, 1, 2, 4] {
            assert_eq!(held.open(serial).unwrap().lease, LeaseId(100 + serial));
            held.settle(serial);
            assert!(held.open(serial).is_none());
        }
        assert_eq!(held.next(), 5);
        assert!(held.entries.is_empty());
    }

    #[test]
    fn one_message_that_is_held_for_long_keeps_nothing_else() {
        let mut held = held(1_000);
        (1..1_000).for_each(|serial| held.settle(serial));
        assert_eq!((held.entries.len(), held.next()), (1, 1_000));
        assert_eq!(held.through(1_000).map(|(serial, _)| serial).collect::<Vec<_>>(), [0]);
    }

    #[test]
    fn an_aborted_transaction_gives_its_messages_back() {
        let mut held = held(3);
        held.bind(1);
        assert!(held.open(1).is_none() && !held.is_free_through(2) && held.is_free_through(0));
        held.release(1);
        assert!(held.open(1).is_some() && held.is_free_through(2));
    }

    #[test]
    fn copies_of_one_message_are_found_one_after_the_other() {
        let mut held = held(6);
        assert_eq!(held.find(1), Some(1));
        held.settle(1);
        assert_eq!(held.find(1), Some(4));
        held.bind(4);
        assert_eq!(held.find(1), None);
        held.release(4);
        assert_eq!(held.find(1), Some(4));
        held.settle(4);
        assert_eq!(held.find(1), None);
        held.push(Entry::new(ConsumerId(1), LeaseId(7), 1));
        assert_eq!(held.find(1), Some(6));
    }

    #[test]
    fn ack_ids_are_read_back() {
        let id = AckId { subscription: 7, serial: u64::MAX };
        assert_eq!(AckId::parse(&id.to_string()), Some(id));
        for bad in ["", "-", "1", "1-", "-1", "1-2-3", "a-1", "4294967296-1"] {
            assert_eq!(AckId::parse(bad), None, "{bad}");
        }
    }
}
