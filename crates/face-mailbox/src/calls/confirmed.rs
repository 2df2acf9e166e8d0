//! The locks that messages were confirmed with, so that a repeat is known from a claim.
//!
//! A client that has lost an answer sends the same Confirm again and is answered as before; another
//! lock on the same message is one that was lost, and its holder has to learn of it. Kept in memory
//! for the newest [`MAX`] messages: of one that was confirmed before those, or before the server was
//! started, it is known that it is confirmed and not by whom, and any lock that the server once gave
//! for it is taken for the right one.

use std::collections::{HashMap, VecDeque};

use outflow_hub::subscription::LeaseId;
use parking_lot::Mutex;

use crate::wire::Guid;

/// How many are remembered, of all subscribers together.
const MAX: usize = 65_536;

/// A subscriber's message.
type Key = (u128, u128);

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Confirmed(Mutex<Locks>);

#[derive(Debug, Default)]
struct Locks {
    by_message: HashMap<Key, LeaseId>,
    /// Oldest first.
    order: VecDeque<Key>,
}

impl Confirmed {
    /// Notes that `subscriber` confirmed `message` by `lease`.
    pub(super) fn note(&self, subscriber: Guid, message: Guid, lease: LeaseId) {
        let key = (subscriber.bits(), message.bits());
        let mut locks = self.0.lock();
        if locks.by_message.insert(key, lease).is_none() {
            locks.order.push_back(key);
        }
        if locks.order.len() > MAX
            && let Some(oldest) = locks.order.pop_front()
        {
            locks.by_message.remove(&oldest);
        }
    }

    /// Whether `lease` may be the one that `message` was confirmed by.
    pub(super) fn may_be(&self, subscriber: Guid, message: Guid, lease: LeaseId) -> bool {
        let known = self.0.lock().by_message.get(&(subscriber.bits(), message.bits())).copied();
        known.is_none_or(|known| known == lease)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_are_remembered() {
        let confirmed = Confirmed::default();
        let message = |number: usize| Guid::of(number as u128);
        let subscriber = Guid::of(7);
        for number in 0..=MAX {
            confirmed.note(subscriber, message(number), LeaseId(1));
        }
        let other = LeaseId(2);
        assert!(confirmed.may_be(subscriber, message(0), other), "forgotten");
        assert!(!confirmed.may_be(subscriber, message(1), other));
        assert!(confirmed.may_be(subscriber, message(1), LeaseId(1)));
        assert!(confirmed.may_be(Guid::of(8), message(1), other), "another's");
        assert_eq!(confirmed.0.lock().by_message.len(), MAX);
    }
}
