//! Who gets what: handing ready events to consumers that have room.
//!
//! Called when anything has changed; what is handed over waits in the consumer's hand until its
//! connection takes it.

use std::cmp::Reverse;

use outflow_model::Timestamp;

use super::Queue;
use crate::subscription::DeliveryOrder;
use crate::subscription::entry::{Entry, NEVER};
use crate::subscription::hand::Hand;

/// So many events that no consumer wants may be set aside before delivery stops behind them.
const MAX_ASIDE: usize = 100_000;
/// So many events may be kept for a consumer that has no room for its groups' events.
const MAX_ASSIGNED: usize = 256;

impl Queue {
    /// Hands out what can be handed out.
    pub(crate) fn distribute(&mut self, now: Timestamp) {
        self.expire(now);
        while !self.turns.is_empty() {
            if !self.is_known() {
                break;
            }
            let Some((key, entry)) = self.first() else { break };
            if entry.body.is_none() || self.is_blocked() {
                break;
            }
            if entry.expires <= now {
                if let Some(entry) = self.pop(key) {
                    self.bury(key, entry, "expired".into(), None);
                }
                continue;
            }
            let group = entry.group;
            if group == 0 && self.give_run(key, now) {
                continue;
            }
            if !self.give_one(key, group, now) {
                break;
            }
        }
    }

    /// Gives up the events at the front that are over, also when nobody is there to take them.
    fn expire(&mut self, now: Timestamp) {
        while let Some((key, first)) = self.first()
            && first.expires <= now
        {
            let Some(entry) = self.pop(key) else { break };
            self.bury(key, entry, "expired".into(), None);
        }
    }

    /// The usual case, one consumer who takes everything: a run of events at once. `false`: not
    /// the case.
    fn give_run(&mut self, key: u32, now: Timestamp) -> bool {
        if self.hands.len() != 1 || self.settings.order == DeliveryOrder::Strict {
            return false;
        }
        let Some((&number, hand)) = self.hands.first_key_value() else { return false };
        let room = hand.room();
        if room == 0 || hand.is_choosy() {
            return false;
        }
        // Up to where another feed's first event is older.
        let until = self.heads.iter().nth(1).copied().unwrap_or((NEVER, key));
        let mut gave = false;
        for _ in 0..room {
            let fits = |entry: &Entry| {
                entry.body.is_some()
                    && entry.expires > now
                    && (entry.at, key) <= until
                    && entry.group == 0
                    && !entry.restricted
            };
            let feed = self.feed(key).and_then(|feed| feed.ready.front());
            if !feed.is_some_and(fits) {
                break;
            }
            let Some(entry) = self.pop(key) else { break };
            let Some(hand) = self.hands.get_mut(&number) else { break };
            hand.give(key, entry);
            gave = true;
            if hand.room() == 0 {
                break;
            }
        }
        if gave {
            self.after_giving(number);
        }
        gave
    }

    /// Tells a consumer that was given something; it stands in the queue as long as it has room.
    fn after_giving(&mut self, number: u64) {
        let Some(hand) = self.hands.get_mut(&number) else { return };
        hand.ring();
        let has_room = hand.room() > 0;
        let priority = Reverse(hand.options.priority);
        hand.queued = has_room;
        if let Some(turn) = self.turns.get_mut(&priority) {
            if turn.front() == Some(&number) {
                turn.pop_front();
            } else {
                turn.retain(|other| *other != number);
            }
            if has_room {
                turn.push_back(number);
            } else if turn.is_empty() {
                self.turns.remove(&priority);
            }
        }
    }

    /// Gives the first event of a feed to whom it is for, or sets it aside. `false`: nobody has
    /// room for it.
    fn give_one(&mut self, key: u32, group: u64, now: Timestamp) -> bool {
        if group != 0
            && let Some(&owner) = self.groups.get(&group)
        {
            return self.give_owner(key, owner, now);
        }
        let Some((_, first)) = self.first() else { return false };
        let is_restricted = first.restricted;
        let is_choice = is_restricted || self.hands.values().any(Hand::is_choosy);
        let view = if is_choice { first.view() } else { None };
        let wants = |hand: &Hand| {
            hand.may_have(first) && view.as_ref().is_none_or(|view| hand.wants(view, now))
        };
        let Some(number) = self.choose(wants) else { return self.set_aside(key, is_choice) };
        let Some(mut entry) = self.pop(key) else { return false };
        if group != 0 {
            self.groups.insert(group, number);
            entry.first_of_group = true;
        }
        if let Some(hand) = self.hands.get_mut(&number) {
            hand.give(key, entry);
        }
        self.after_giving(number);
        true
    }

    /// Nobody was chosen for the first event of a feed. When somebody has room all the same, they
    /// do not want it, but may want what comes after it.
    fn set_aside(&mut self, key: u32, is_choice: bool) -> bool {
        let has_room = |hand: &Hand| hand.room() > 0 && is_choice;
        let somebody = match self.exclusive() {
            Some(number) => self.hands.get(&number).is_some_and(has_room),
            None => self.hands.values().any(has_room),
        };
        somebody && self.put_aside(key)
    }

    /// Sets the first event of a feed aside, where there is room.
    fn put_aside(&mut self, key: u32) -> bool {
        if self.aside.len() >= MAX_ASIDE {
            return false;
        }
        let Some(mut entry) = self.pop(key) else { return false };
        entry.body = None;
        self.aside.push((key, entry));
        true
    }

    /// Gives the first event of a feed to the consumer whose group it is of, at once or when that
    /// has room for it. One that its owner may not have, or does not choose, waits aside until the
    /// group is another's: given to somebody else, it would leave the order of its group.
    fn give_owner(&mut self, key: u32, number: u64, now: Timestamp) -> bool {
        let (Some(hand), Some((_, first))) = (self.hands.get(&number), self.first()) else {
            return false;
        };
        let view = if hand.is_choosy() { first.view() } else { None };
        if !hand.may_have(first) || view.is_some_and(|view| !hand.wants(&view, now)) {
            return self.put_aside(key);
        }
        let at_once = hand.room() > 0 && hand.assigned.is_empty();
        if !at_once && hand.assigned.len() >= MAX_ASSIGNED {
            return false;
        }
        let (Some(entry), Some(hand)) = (self.pop(key), self.hands.get_mut(&number)) else {
            return false;
        };
        if at_once {
            hand.give(key, entry);
            self.after_giving(number);
        } else {
            let at = (entry.at, key, entry.offset);
            let before = |(feed, other): &(u32, Entry)| (other.at, *feed, other.offset) < at;
            let index = hand.assigned.partition_point(before);
            hand.assigned.insert(index, (key, entry));
        }
        true
    }

    /// Gives a consumer that has room again what was kept for it.
    pub(super) fn give_assigned(&mut self, number: u64) {
        let Some(hand) = self.hands.get_mut(&number) else { return };
        let mut gave = false;
        while hand.room() > 0
            && let Some((feed, entry)) = hand.assigned.pop_front()
        {
            hand.give(feed, entry);
            gave = true;
        }
        if gave {
            hand.ring();
        }
    }

    /// The one consumer who gets everything, if that is how it is to be.
    fn exclusive(&self) -> Option<u64> {
        let wants = |hand: &Hand| hand.options.exclusive;
        if !self.settings.exclusive && !self.hands.values().any(wants) {
            return None;
        }
        let rank = |(&number, hand): (&u64, &Hand)| {
            (Reverse(wants(hand)), Reverse(hand.options.priority), number)
        };
        self.hands.iter().map(rank).min().map(|(_, _, number)| number)
    }

    /// Whose turn it is among those with room that `want` the event: only the highest priority
    /// that has room is asked, unless none of it wants it.
    fn choose(&self, want: impl Fn(&Hand) -> bool) -> Option<u64> {
        if let Some(number) = self.exclusive() {
            let hand = self.hands.get(&number)?;
            return (hand.room() > 0 && want(hand)).then_some(number);
        }
        let fits = |number: &&u64| {
            self.hands
                .get(number)
                .is_some_and(|hand| hand.room() > 0 && hand.assigned.is_empty() && want(hand))
        };
        self.turns.values().flatten().find(fits).copied()
    }
}
