//! The messages that a subscription's client has got and not acked yet.

use std::collections::VecDeque;
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

/// How far a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// With the client.
    Open,
    /// Acked in a transaction that is open.
    Bound,
    /// Acked.
    Settled,
}

/// One message with the client.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry {
    pub(super) consumer: ConsumerId,
    pub(super) lease: LeaseId,
    /// The hash of its id, for clients that ack by `message-id`.
    pub(super) id_hash: u128,
    state: State,
}

impl Entry {
    pub(super) const fn new(consumer: ConsumerId, lease: LeaseId, id_hash: u128) -> Self {
        Self { consumer, lease, id_hash, state: State::Open }
    }
}

/// See the module. In the order of delivery; what is acked out of order stays as a gap until all
/// before it is acked, too.
#[derive(Debug, Default)]
pub(super) struct Held {
    /// The serial of the first entry.
    first: u64,
    entries: VecDeque<Entry>,
}

/// What an emptied list may keep of its memory, in entries.
const KEPT: usize = 64;

impl Held {
    /// The serial that the next message gets.
    pub(super) fn next(&self) -> u64 {
        self.first + self.entries.len() as u64
    }

    /// Adds a message, which gets [`Held::next`].
    pub(super) fn push(&mut self, entry: Entry) {
        self.entries.push_back(entry);
    }

    fn index(&self, serial: u64) -> Option<usize> {
        usize::try_from(serial.checked_sub(self.first)?).ok()
    }

    /// The message with this serial, if it is with the client.
    pub(super) fn open(&self, serial: u64) -> Option<Entry> {
        let entry = self.entries.get(self.index(serial)?)?;
        (entry.state == State::Open).then_some(*entry)
    }

    /// The first message with this id that is with the client.
    pub(super) fn find(&self, id_hash: u128) -> Option<u64> {
        let is_it = |entry: &Entry| entry.state == State::Open && entry.id_hash == id_hash;
        self.entries.iter().position(is_it).map(|index| self.first + index as u64)
    }

    /// The messages with the client up to this serial.
    pub(super) fn through(&self, serial: u64) -> impl Iterator<Item = (u64, Entry)> + '_ {
        let count = self.index(serial).map_or(0, |index| index + 1);
        let numbered = self.entries.iter().take(count).zip(self.first..);
        numbered.filter(|(entry, _)| entry.state == State::Open).map(|(entry, n)| (n, *entry))
    }

    /// Whether everything up to this serial is with the client or settled, nothing bound.
    pub(super) fn is_free_through(&self, serial: u64) -> bool {
        let count = self.index(serial).map_or(0, |index| index + 1);
        self.entries.iter().take(count).all(|entry| entry.state != State::Bound)
    }

    /// The message is acked.
    pub(super) fn settle(&mut self, serial: u64) {
        self.set(serial, State::Settled);
        while self.entries.front().is_some_and(|entry| entry.state == State::Settled) {
            self.entries.pop_front();
            self.first += 1;
        }
        if self.entries.is_empty() && self.entries.capacity() > KEPT {
            self.entries.shrink_to(0);
        }
    }

    /// The message is acked when its transaction is committed.
    pub(super) fn bind(&mut self, serial: u64) {
        self.set(serial, State::Bound);
    }

    /// The transaction is not: the message is with the client again.
    pub(super) fn release(&mut self, serial: u64) {
        self.set(serial, State::Open);
    }

    fn set(&mut self, serial: u64, state: State) {
        let Some(index) = self.index(serial) else { return };
        if let Some(entry) = self.entries.get_mut(index) {
            entry.state = state;
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
        held.settle(4);
        assert_eq!(held.find(1), None);
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
