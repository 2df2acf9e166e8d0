//! What a subscription's lock guards: its feeds, its consumers, and who gets what.
//!
//! Called by `load` (events come in), `consumers` (events go out), `settle` (events are done or come
//! back), `clockwork` (time passes). Does no I/O and never waits.
//!
//! Invariants: the earliest ready event is handed out first, across feeds by the time it was taken;
//! a consumer never has more than its credit; in strict order no event is handed out while another
//! is neither done nor ready.

mod distribution;
mod stint;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use outflow_model::subset::type_hash;
use outflow_model::{Offset, Timestamp};
use tokio::sync::oneshot;

use super::burial::Dying;
use super::entry::Entry;
use super::feed::{Feed, Loaded, Sieve};
use super::hand::Hand;
use super::timetable::{Firsts, Timetable};
use super::writing::Pages;
use super::{DeliveryOrder, SettleError, SubscriptionSettings};
use crate::view::{COMPLIANCE, View};
use stint::Stint;

/// Something that is due at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Alarm {
    /// A consumer's lease ends.
    Lease {
        /// Which consumer.
        hand: u64,
        /// Which lease.
        lease: u64,
    },
    /// An event that is apart comes back.
    Apart {
        /// In which feed.
        feed: u32,
        /// Which event.
        offset: Offset,
    },
    /// An event that was forgotten is due.
    Forgotten {
        /// In which feed.
        feed: u32,
    },
    /// What could not be read is tried again.
    Retry,
    /// What could not be buried is tried again.
    Burial,
    /// Places that could not be written are written again.
    Write,
}

/// What was counted since the server started.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Tally {
    pub(crate) redelivered: u64,
    pub(crate) lost: u64,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    pub(crate) settings: Arc<SubscriptionSettings>,
    /// What the integration that it belongs to may see; the rest is passed over. `None`: everything.
    pub(crate) view: Option<Arc<View>>,
    /// Whether events are set apart, or in consumers' hands, that were looked at with an older view.
    pub(crate) is_outdated: bool,
    pub(crate) feeds: Vec<Feed>,
    pub(crate) next_feed: u32,
    /// The feeds that have ready events, by when their first was taken.
    heads: BTreeSet<(Timestamp, u32)>,
    /// How many events are ready, and the bytes of those that are in memory.
    pub(crate) ready: usize,
    pub(crate) ready_bytes: usize,
    pub(crate) hands: BTreeMap<u64, Hand>,
    next_hand: u64,
    /// Who is next, by priority. Only those with room stand here.
    turns: BTreeMap<Reverse<u8>, VecDeque<u64>>,
    /// Whose the groups are.
    groups: HashMap<u64, u64>,
    /// How many consumers look at events before they take them.
    choosy: usize,
    /// How many want all events for themselves.
    exclusives: usize,
    /// What choosing may still cost, and may cost in one stint.
    stint: Stint,
    pub(crate) max_steps: usize,
    /// Whether some were not asked what they want: that goes on in the project's line.
    pub(crate) is_overdrawn: bool,
    /// Events that no consumer with room wants, by feed and offset.
    pub(crate) aside: BTreeMap<(u32, Offset), Entry>,
    /// How many such events, and how many scheduled ones of each feed, are remembered.
    pub(crate) max_apart: usize,
    /// How many events were forgotten for want of room and not told of, and whether any was.
    pub(crate) forgot: u64,
    pub(crate) has_told: bool,
    /// Leases taken by name, and where their events are.
    pub(crate) desk: BTreeMap<u64, (u32, Offset)>,
    pub(crate) alarms: Timetable<Alarm>,
    /// Dead events on their way.
    pub(crate) dying: Vec<Dying>,
    pub(crate) burying: bool,
    /// They could not be stored, and are tried again at an alarm.
    pub(crate) burial_failed: bool,
    /// Somebody loads now.
    pub(crate) loading: bool,
    /// A read has failed, and is tried again at an alarm.
    pub(crate) is_retrying: bool,
    /// How many wait for a look, and how many of them only see what is over.
    pub(crate) peekers: usize,
    pub(crate) visits: usize,
    /// When the front is to be looked at for events that are over, if nobody consumes.
    pub(crate) next_look: Timestamp,
    /// What those who look were last told to look at, and whether more has come since.
    shown: Option<(u32, Offset)>,
    pub(crate) news: bool,
    /// While something is on its way whose failure would undo an answer, no place is written.
    pub(crate) on_hold: bool,
    /// Whose answers wait for that.
    pub(crate) deferred: Vec<oneshot::Sender<Result<(), SettleError>>>,
    pub(crate) closed: bool,
    /// Whether something was done that is not written yet.
    pub(crate) needs_write: bool,
    /// Places could not be written, and are tried again at an alarm.
    pub(crate) write_failed: bool,
    /// What was done that nobody waits for is written at an alarm.
    pub(crate) lingers: bool,
    /// The writes under way.
    pub(crate) pages: Pages,
    /// Whether commits of its streams are listened to.
    pub(crate) is_watched: bool,
    /// The alarms that the clockwork knows of.
    pub(crate) next_alarms: Firsts,
    pub(crate) tally: Tally,
}

impl Queue {
    /// One without feeds.
    pub(crate) fn new(settings: Arc<SubscriptionSettings>) -> Self {
        Self { settings, ..Self::default() }
    }

    /// What is left of a deleted subscription.
    pub(crate) fn over() -> Self {
        Self { closed: true, ..Self::default() }
    }

    pub(crate) fn feed(&self, key: u32) -> Option<&Feed> {
        let at = self.feeds.binary_search_by_key(&key, |feed| feed.key).ok()?;
        self.feeds.get(at)
    }

    pub(crate) fn feed_mut(&mut self, key: u32) -> Option<&mut Feed> {
        let at = self.feeds.binary_search_by_key(&key, |feed| feed.key).ok()?;
        self.feeds.get_mut(at)
    }

    /// Adds a consumer; gives its number.
    pub(crate) fn enter(&mut self, hand: Hand, now: Timestamp) -> u64 {
        let key = self.next_hand;
        self.next_hand += 1;
        self.choosy += usize::from(hand.is_choosy());
        self.exclusives += usize::from(hand.options.exclusive);
        self.hands.insert(key, hand);
        self.reconsider();
        self.queue_up(key, now);
        key
    }

    /// Takes note that an event is handed out, which is written in passing. Says whether it may have
    /// been before the server started.
    pub(crate) fn give(&mut self, feed: u32, offset: Offset) -> bool {
        let Some(feed) = self.feed_mut(feed) else { return false };
        let was_given = feed.place.give(offset);
        let is_due = feed.place.is_giving_due();
        self.needs_write |= is_due;
        was_given
    }

    /// Removes a consumer; gives what it had.
    pub(crate) fn leave(&mut self, key: u64) -> Option<Hand> {
        let mut hand = self.hands.remove(&key)?;
        self.choosy -= usize::from(hand.is_choosy());
        self.exclusives -= usize::from(hand.options.exclusive);
        for leased in &hand.leased {
            if let (Some(_), Some(deadline)) = (&leased.entry, leased.deadline) {
                self.alarms.remove(deadline, Alarm::Lease { hand: key, lease: leased.lease });
            }
        }
        self.groups.retain(|_, owner| *owner != key);
        self.turns.retain(|_, turn| {
            turn.retain(|other| *other != key);
            !turn.is_empty()
        });
        let back = hand.empty();
        self.put_back(back);
        self.reconsider();
        Some(hand)
    }

    /// Takes back what a consumer was given and has not taken.
    pub(crate) fn take_back(&mut self, key: u64) {
        let back = self.hands.get_mut(&key).map(Hand::take_back);
        self.put_back(back.unwrap_or_default());
    }

    /// Lets a consumer that has room stand in the queue.
    pub(crate) fn queue_up(&mut self, key: u64, now: Timestamp) {
        self.give_assigned(key, now);
        let Some(hand) = self.hands.get_mut(&key) else { return };
        if !hand.queued && hand.room() > 0 {
            hand.queued = true;
            self.turns.entry(Reverse(hand.options.priority)).or_default().push_back(key);
        }
        self.recall(key, now);
    }

    /// Looks again at what nobody wanted, and for what was forgotten: others are there now.
    pub(crate) fn reconsider(&mut self) {
        self.hands.values_mut().for_each(Hand::forget_wishes);
        let aside = std::mem::take(&mut self.aside);
        let mut back: Vec<_> = aside.into_iter().map(|((feed, _), entry)| (feed, entry)).collect();
        if let Some(only) = self.exclusive() {
            // Of groups, too, all that nobody has yet is for the one who gets everything.
            let others = self.hands.iter_mut().filter(|(number, _)| **number != only);
            back.extend(others.flat_map(|(_, hand)| std::mem::take(&mut hand.assigned)));
        }
        self.put_back(back);
        self.feeds.iter_mut().for_each(Feed::look_for_unwanted);
    }

    /// Puts events back to their old places, those delivered too often to the dead.
    pub(crate) fn put_back(&mut self, mut entries: Vec<(u32, Entry)>) {
        entries.sort_unstable_by_key(|(feed, entry)| (*feed, entry.offset));
        let is_dead = |(feed, entry): &mut (u32, Entry)| {
            self.max_deliveries(*feed).is_some_and(|max| entry.deliveries >= max)
        };
        // Buried in their order, which the dead letters keep.
        let dead: Vec<_> = entries.extract_if(.., is_dead).collect();
        for (feed, entry) in dead {
            self.bury(feed, entry, "delivered too often".into(), None);
        }
        // Last first: each then goes to the very front.
        for (feed, entry) in entries.into_iter().rev() {
            self.make_ready(feed, entry);
        }
    }

    /// Puts one event back to its place, where its feed still is.
    pub(crate) fn make_ready(&mut self, key: u32, entry: Entry) {
        let Ok(at) = self.feeds.binary_search_by_key(&key, |feed| feed.key) else { return };
        let Some(feed) = self.feeds.get_mut(at) else { return };
        self.news = true;
        if entry.offset >= feed.loaded {
            // The window was let go of meanwhile: it is found again with what is around it.
            feed.counts.insert(entry.offset, entry.deliveries);
            feed.at_end = false;
            return;
        }
        let old = feed.ready.front().map(|first| first.at);
        self.ready += 1;
        self.ready_bytes += entry.body.as_ref().map_or(0, |_| entry.size as usize);
        feed.put_back(entry);
        let new = feed.ready.front().map(|first| first.at);
        if old != new {
            old.map(|old| self.heads.remove(&(old, key)));
            self.heads.extend(new.map(|new| (new, key)));
        }
    }

    /// Removes the first event of a feed from the window.
    pub(crate) fn pop(&mut self, key: u32) -> Option<Entry> {
        let feed = self.feed_mut(key)?;
        let entry = feed.ready.pop_front()?;
        let next = feed.ready.front().map(|next| next.at);
        self.uncount(&entry);
        if next != Some(entry.at) {
            self.heads.remove(&(entry.at, key));
            self.heads.extend(next.map(|next| (next, key)));
        }
        Some(entry)
    }

    fn uncount(&mut self, entry: &Entry) {
        self.ready -= 1;
        if entry.body.is_some() {
            self.ready_bytes = self.ready_bytes.saturating_sub(entry.size as usize);
        }
    }

    /// Removes an event of the window by name.
    pub(crate) fn take_ready(&mut self, key: u32, offset: Offset) -> Option<Entry> {
        if let Some(entry) = self.aside.remove(&(key, offset)) {
            return Some(entry);
        }
        let feed = self.feed_mut(key)?;
        let at = feed.ready.binary_search_by_key(&offset, |entry| entry.offset).ok()?;
        if at == 0 {
            return self.pop(key);
        }
        let entry = feed.ready.remove(at)?;
        self.uncount(&entry);
        Some(entry)
    }

    /// The first ready event and its feed.
    pub(crate) fn first(&self) -> Option<(u32, &Entry)> {
        let (_, key) = self.heads.first()?;
        Some((*key, self.feed(*key)?.ready.front()?))
    }

    /// Takes in what was loaded of a feed, whose first ready event was taken at `old`.
    pub(crate) fn loaded(&mut self, key: u32, old: Option<Timestamp>, found: Loaded) {
        let Some(feed) = self.feed(key) else { return };
        let first = feed.ready.front().map(|first| first.at);
        self.news |= found.count > 0;
        self.ready += found.count;
        self.ready_bytes += found.bytes;
        // Loading adds behind, but a second pass may put another before.
        if old != first {
            old.map(|old| self.heads.remove(&(old, key)));
            self.heads.extend(first.map(|first| (first, key)));
        }
        for (offset, at) in found.scheduled {
            self.alarms.insert(at, Alarm::Apart { feed: key, offset });
        }
        for (offset, at) in found.forgotten {
            self.alarms.remove(at, Alarm::Apart { feed: key, offset });
            self.forgot += 1;
        }
        for offset in found.hidden {
            if self.take_ready(key, offset).is_some() {
                self.done(key, offset);
            }
        }
        self.mind_forgotten(key);
    }

    /// What events are held to as they are loaded.
    pub(crate) fn sieve(
        settings: &SubscriptionSettings,
        max_scheduled: usize,
        now: Timestamp,
    ) -> Sieve<'_> {
        Sieve {
            max_scheduled,
            view: None,
            shown: None,
            is_outdated: false,
            steps: None,
            selector: settings.selector.as_ref(),
            max_age: settings.max_age,
            by_key: settings.group_by_key,
            compliance: type_hash(COMPLIANCE.as_bytes()),
            now,
        }
    }

    /// How many events consumers have, on their way to them included.
    pub(crate) fn in_flight(&self) -> usize {
        let held: usize = self.hands.values().map(|hand| hand.holds as usize).sum();
        held + self.desk.len()
    }

    /// Whether strict order lets nothing out now.
    pub(crate) fn is_blocked(&self) -> bool {
        if self.settings.order != DeliveryOrder::Strict {
            return false;
        }
        let waits = |feed: &Feed| feed.apart.waiting() > 0;
        !self.desk.is_empty()
            || self.hands.values().any(|hand| hand.holds > 0 || !hand.assigned.is_empty())
            || self.feeds.iter().any(waits)
    }

    /// Whether those who wait for a look should look now. Not for the same things again: one of
    /// them may not see what is first, and would not let the others rest.
    pub(crate) fn has_news(&mut self) -> bool {
        let first = self.visible().map(|(key, entry)| (key, entry.offset));
        let is_new = first != std::mem::replace(&mut self.shown, first) || self.news;
        let tells = first.is_some() && is_new && self.peekers > 0;
        self.news &= !tells;
        tells
    }

    /// Whether an event may be seen by those who look only.
    pub(crate) fn visible(&self) -> Option<(u32, &Entry)> {
        if self.is_blocked() || !self.is_known() { None } else { self.first() }
    }

    /// When the oldest event that is not done was taken, of those in memory.
    pub(crate) fn oldest(&self) -> Option<Timestamp> {
        let held = self.hands.values().flat_map(|hand| {
            let leased = hand.leased.iter().filter_map(|leased| leased.entry.as_ref());
            leased.chain(hand.waiting.iter().map(|(_, entry)| entry)).map(|entry| entry.at)
        });
        let apart =
            self.feeds.iter().flat_map(|feed| feed.apart.iter().map(|(_, (entry, _))| entry.at));
        held.chain(apart).chain(self.first().map(|(_, entry)| entry.at)).min()
    }

    /// Empties the window of a subscription that nobody consumes from.
    pub(crate) fn unload(&mut self) {
        if self.hands.is_empty() && self.peekers == 0 && !self.loading {
            self.unload_all();
        }
    }

    /// Empties the window. Where consumers hold events of it, or somebody reads on behind it, what was
    /// looked at stays looked at, and a second pass finds what was let go of.
    pub(crate) fn unload_all(&mut self) {
        self.reconsider();
        let is_in_use = !self.hands.is_empty() || self.loading;
        let empty: fn(&mut Feed) = if is_in_use { Feed::let_go } else { Feed::unload };
        self.feeds.iter_mut().for_each(empty);
        self.heads.clear();
        (self.ready, self.ready_bytes) = (0, 0);
        self.is_outdated &= self.remembers_any();
    }

    /// Sets what may be seen. What consumers have not taken is loaded anew, and what they hold is looked at again
    /// when it comes back and is read: nothing that is in memory was looked at otherwise.
    pub(crate) fn show(&mut self, view: Option<Arc<View>>, now: Timestamp) {
        self.view = view;
        self.is_outdated = true;
        let numbers: Vec<u64> = self.hands.keys().copied().collect();
        numbers.iter().for_each(|number| self.take_back(*number));
        self.unload_all();
        numbers.into_iter().for_each(|number| self.queue_up(number, now));
    }

    /// Whether anything is known of events beside what is ready.
    fn remembers_any(&self) -> bool {
        !self.hands.is_empty() || self.feeds.iter().any(|feed| feed.apart.len() > 0)
    }

    /// Lets go of a feed's events; those that consumers hold are forgotten as they are settled.
    pub(crate) fn detach(&mut self, key: u32) -> Option<Feed> {
        self.reconsider();
        let at = self.feeds.binary_search_by_key(&key, |feed| feed.key).ok()?;
        let feed = self.feeds.remove(at);
        if let Some(first) = feed.ready.front() {
            self.heads.remove(&(first.at, key));
        }
        feed.ready.iter().for_each(|entry| self.uncount(entry));
        // What is kept for a group's owner nobody has yet: it would stand before what there is.
        self.hands.values_mut().for_each(|hand| hand.assigned.retain(|(of, _)| *of != key));
        self.desk.retain(|_, (of, _)| *of != key);
        let is_of = |alarm: &Alarm| match alarm {
            Alarm::Apart { feed, .. } | Alarm::Forgotten { feed } => *feed == key,
            _ => false,
        };
        self.alarms.retain(|alarm| !is_of(alarm));
        Some(feed)
    }
}
