//! Who gets what: handing ready events to consumers that have room.
//!
//! Called when anything has changed; what is handed over waits in the consumer's hand until its
//! connection takes it.

use std::cmp::Reverse;
use std::collections::VecDeque;

use outflow_model::Timestamp;

use super::Queue;
use crate::subscription::DeliveryOrder;
use crate::subscription::EventView;
use crate::subscription::burial::EXPIRED;
use crate::subscription::entry::{Entry, NEVER};
use crate::subscription::feed::Feed;
use crate::subscription::hand::Hand;
use crate::subscription::properties::Candidate;

/// So many events may be kept for a consumer that has no room for its groups' events.
const MAX_ASSIGNED: usize = 256;

impl Queue {
    /// Hands out what can be handed out.
    pub(crate) fn distribute(&mut self, now: Timestamp) {
        self.expire(now);
        if self.is_overdrawn {
            return;
        }
        self.stint.begin(self.max_steps);
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
                    self.bury(key, entry, EXPIRED.into(), None);
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
        self.is_overdrawn = self.stint.end();
        if !self.aside.is_empty() && self.first().is_none() {
            let waiting: Vec<u64> = self.turns.values().flatten().copied().collect();
            waiting.into_iter().for_each(|number| self.recall(number, now));
        }
    }

    /// Brings back what was set aside when this consumer had no room for it: no more than it has
    /// room for now, so that each event comes back about once for each that chooses it. What is over
    /// comes back as well, to be buried, and takes no room.
    pub(super) fn recall(&mut self, number: u64, now: Timestamp) {
        let Some(hand) = self.hands.get_mut(&number) else { return };
        let (mut room, mut back) = (hand.room(), Vec::new());
        while room > 0
            && let Some((_, feed, offset)) = hand.wishes.pop_first()
        {
            if let Some(entry) = self.aside.remove(&(feed, offset)) {
                room -= usize::from(entry.expires > now);
                back.push((feed, entry));
            }
        }
        let has_more = room > 0 && hand.unnoted.is_some();
        if room > 0 && std::mem::take(&mut hand.has_missed) {
            self.feeds.iter_mut().for_each(Feed::look_for_unwanted);
        }
        self.put_back(back);
        if has_more {
            self.reconsider();
        }
    }

    /// Gives up the events at the front that are over, also when nobody is there to take them.
    fn expire(&mut self, now: Timestamp) {
        while let Some((key, first)) = self.first()
            && first.expires <= now
        {
            let Some(entry) = self.pop(key) else { break };
            self.bury(key, entry, EXPIRED.into(), None);
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
        // Nor beyond where a second pass may find an earlier one of this feed.
        let again = self.feed(key).filter(|feed| feed.waits_for_again).and_then(|feed| feed.again);
        let mut gave = false;
        for _ in 0..room {
            let fits = |entry: &Entry| {
                entry.body.is_some()
                    && entry.expires > now
                    && (entry.at, key) <= until
                    && again.is_none_or(|again| entry.offset < again)
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
    /// room for it, or it is not known yet who wants it.
    fn give_one(&mut self, key: u32, group: u64, now: Timestamp) -> bool {
        if self.choosy > 0 {
            let asked = self.first().map(|(_, first)| (key, first.offset, first.deliveries));
            asked.into_iter().for_each(|asked| self.stint.about(asked));
        }
        if group != 0
            && let Some(&owner) = self.groups.get(&group)
            && self.exclusive().is_none_or(|only| only == owner)
        {
            return self.give_owner(key, owner, now);
        }
        let Some((_, first)) = self.first() else { return false };
        let is_restricted = first.restricted;
        let is_choice = is_restricted || self.choosy > 0;
        let view = if is_choice { first.view() } else { None };
        let candidate = view.as_ref().and_then(|view| self.candidate(key, first, view));
        let wants = |number: u64, hand: &Hand| match candidate.filter(|_| hand.is_choosy()) {
            Some(one) if hand.may_have(first) => self.stint.ask(number, || hand.wants(one, now)),
            _ => Some(hand.may_have(first)),
        };
        let Some(chosen) = self.choose(wants) else { return false };
        let Some(number) = chosen else {
            return is_choice && self.has_somebody() && self.set_aside(key, now);
        };
        let Some(mut entry) = self.pop(key) else { return false };
        if group != 0 {
            entry.first_of_group = true;
            if entry.ends_group {
                self.groups.remove(&group);
            } else {
                self.groups.insert(group, number);
            }
        }
        if let Some(hand) = self.hands.get_mut(&number) {
            hand.give(key, entry);
        }
        self.after_giving(number);
        true
    }

    /// The event of an entry, to be chosen or not.
    fn candidate<'a>(
        &'a self,
        key: u32,
        entry: &Entry,
        event: &'a EventView,
    ) -> Option<Candidate<'a>> {
        let stream = &self.feed(key)?.stream.name;
        Some(Candidate { event, stream, deliveries: entry.deliveries })
    }

    /// Whether somebody has room who could have been chosen.
    fn has_somebody(&self) -> bool {
        let has_room = |number: &u64| self.hands.get(number).is_some_and(|hand| hand.room() > 0);
        match self.exclusive() {
            Some(number) => has_room(&number),
            None => self.turns.values().flatten().any(has_room),
        }
    }

    /// Nobody was chosen for the first event of a feed, though somebody has room: they do not want
    /// it, but may want what comes after it. Those who want it and have no room are noted.
    fn set_aside(&mut self, key: u32, now: Timestamp) -> bool {
        let Some((_, first)) = self.first() else { return false };
        let Some(view) = first.view() else { return false };
        // Of its feed no more than the name is asked for, while the hands are changed.
        let Some(stream) = self.feed(key).map(|feed| feed.stream.clone()) else { return false };
        let deliveries = first.deliveries;
        let candidate = Candidate { event: &view, stream: &stream.name, deliveries };
        let wish = (first.at, key, first.offset);
        let is_restricted = first.restricted;
        let (is_full, only) = (!self.remembers_first(key), self.exclusive());
        for (number, hand) in &mut self.hands {
            let is_served = only.is_none_or(|only| only == *number);
            if !is_served || !hand.sight.allows(is_restricted) {
                continue;
            }
            // What is noted of an event of which not all are known yet is noted again with the rest.
            let wants = if hand.is_choosy() {
                self.stint.ask(*number, || hand.wants(candidate, now))
            } else {
                Some(true)
            };
            let Some(wants) = wants else { return false };
            if wants {
                if is_full {
                    hand.has_missed = true;
                } else {
                    hand.wish(wish);
                }
            }
        }
        self.put_aside(key)
    }

    /// Whether there is room to remember the first event of a feed, and none before it is forgotten.
    fn remembers_first(&self, key: u32) -> bool {
        let first = self.first().map(|(_, entry)| entry.offset);
        let is_later = self.feed(key).zip(first).is_some_and(|(feed, at)| feed.forgot_before(at));
        self.aside.len() < self.max_apart && !is_later
    }

    /// Sets the first event of a feed aside, or forgets it where there are too many.
    fn put_aside(&mut self, key: u32) -> bool {
        if !self.remembers_first(key) {
            return self.forget_first(key);
        }
        let Some(mut entry) = self.pop(key) else { return false };
        entry.body = None;
        self.aside.insert((key, entry.offset), entry);
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
        let candidate = view.as_ref().and_then(|view| self.candidate(key, first, view));
        let wants = match candidate {
            Some(one) => self.stint.ask(number, || hand.wants(one, now)),
            None => Some(true),
        };
        let Some(wants) = wants else { return false };
        if !wants || !hand.may_have(first) {
            return self.put_aside(key);
        }
        let at_once = hand.room() > 0 && hand.assigned.is_empty();
        if !at_once && hand.assigned.len() >= MAX_ASSIGNED {
            return false;
        }
        let (Some(mut entry), Some(hand)) = (self.pop(key), self.hands.get_mut(&number)) else {
            return false;
        };
        // It may have begun the group for another consumer, or for this one before it came back.
        entry.first_of_group = false;
        if entry.ends_group {
            self.groups.remove(&entry.group);
        }
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

    /// Gives a consumer that has room again what was kept for it, up to where something before that has
    /// come back: from there on all goes back, to be given in order. What is over meanwhile is given up
    /// and takes no room, which what comes next would be given to another for.
    pub(super) fn give_assigned(&mut self, number: u64, now: Timestamp) {
        let first = self.first().map(|(key, entry)| (entry.at, key, entry.offset));
        let Some(hand) = self.hands.get_mut(&number) else { return };
        let (mut gave, mut over) = (false, Vec::new());
        while hand.room() > 0
            && let Some((feed, entry)) = hand.assigned.pop_front()
        {
            if first.is_some_and(|first| first < (entry.at, feed, entry.offset)) {
                hand.assigned.push_front((feed, entry));
                break;
            }
            if entry.expires <= now {
                over.push((feed, entry));
                continue;
            }
            hand.give(feed, entry);
            gave = true;
        }
        if gave {
            hand.ring();
        }
        let kept = hand.assigned.front().map(|(key, entry)| (entry.at, *key, entry.offset));
        let back = match kept.zip(first) {
            Some((kept, first)) if first < kept => std::mem::take(&mut hand.assigned),
            _ => VecDeque::new(),
        };
        for (feed, entry) in over {
            self.bury(feed, entry, EXPIRED.into(), None);
        }
        if !back.is_empty() {
            self.put_back(back.into());
        }
    }

    /// The one consumer who gets everything, if that is how it is to be.
    pub(super) fn exclusive(&self) -> Option<u64> {
        let wants = |hand: &Hand| hand.options.exclusive;
        if !self.settings.exclusive && self.exclusives == 0 {
            return None;
        }
        let rank = |(&number, hand): (&u64, &Hand)| {
            (Reverse(wants(hand)), Reverse(hand.options.priority), number)
        };
        self.hands.iter().map(rank).min().map(|(_, _, number)| number)
    }

    /// Whose turn it is among those with room that `want` the event: only the highest priority
    /// that has room is asked, unless none of it wants it. The outer `None`: it is not known yet.
    fn choose(&self, want: impl Fn(u64, &Hand) -> Option<bool>) -> Option<Option<u64>> {
        if let Some(number) = self.exclusive() {
            return match self.hands.get(&number).filter(|hand| hand.room() > 0) {
                Some(hand) => want(number, hand).map(|wants| wants.then_some(number)),
                None => Some(None),
            };
        }
        for number in self.turns.values().flatten() {
            let hand = self.hands.get(number);
            let hand = hand.filter(|hand| hand.room() > 0 && hand.assigned.is_empty());
            if let Some(hand) = hand
                && want(*number, hand)?
            {
                return Some(Some(*number));
            }
        }
        Some(None)
    }
}
