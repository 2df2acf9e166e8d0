//! Answers: what becomes of the events that consumers hold.
//!
//! Called by `consumers`, `mailbox` and `transaction`, under the subscription's lock.
//!
//! Invariant: a call is applied whole or not at all.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use outflow_model::clock::Moment;
use outflow_model::{Offset, Timestamp};
use tokio::sync::oneshot;

use super::apart::Apart;
use super::burial::Dying;
use super::entry::Entry;
use super::hand::Leased;
use super::queue::{Alarm, Queue};
use super::timetable::{Now, after};
use super::writing::Writing;
use super::{LeaseId, Settle, SettleError};

/// Who is told how an answer ended.
pub(crate) type Told = oneshot::Receiver<Result<(), SettleError>>;

/// Answers on their way to the disk: resolves when they are durable. Dropping it changes nothing.
#[derive(Default)]
pub struct Settling {
    pub(crate) writing: Option<Writing>,
    pub(crate) told: Vec<Told>,
    failed: Option<SettleError>,
}

impl std::fmt::Debug for Settling {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Settling(..)")
    }
}

impl Future for Settling {
    type Output = Result<(), SettleError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if let Some(writing) = &mut self.writing {
            let result = ready!(Pin::new(writing).poll(context));
            self.writing = None;
            self.failed = result.err().map(SettleError::from);
        }
        while let Some(told) = self.told.last_mut() {
            let result = ready!(Pin::new(told).poll(context));
            self.told.pop();
            let gone = |_| Err(SettleError::Uncertain("the subscription is gone".into()));
            if let Err(error) = result.unwrap_or_else(gone) {
                self.failed = Some(error);
            }
        }
        Poll::Ready(self.failed.take().map_or(Ok(()), Err))
    }
}

impl Settling {
    /// Whether there is nothing to wait for.
    #[must_use]
    pub const fn is_over(&self) -> bool {
        self.writing.is_none() && self.told.is_empty() && self.failed.is_none()
    }
}

/// How long answers that nobody waits for may wait for others, to be one write with them: clients that
/// ack each message by itself would cost a sync each.
const LINGER: Duration = Duration::from_millis(5);

impl Queue {
    /// Applies a consumer's answers; gives who is told of burials.
    pub(crate) fn settle(
        &mut self,
        key: u64,
        answers: &[Settle],
        now: Now,
    ) -> Result<Vec<Told>, SettleError> {
        let hand = self.hands.get(&key).ok_or(SettleError::NotFound)?;
        for answer in answers {
            let lease = answer.lease();
            hand.find(lease.0).ok_or(SettleError::Unknown { lease })?;
        }
        let mut told = Vec::new();
        for answer in answers {
            match answer {
                Settle::Ack(lease) => self.ack(key, *lease),
                Settle::AckThrough(lease) => self.ack_through(key, *lease),
                Settle::Requeue { lease, delay } => {
                    if let Some((feed, entry)) = self.release(key, *lease) {
                        self.give_back(feed, entry, *delay, now.passed);
                    }
                }
                Settle::DeadLetter { lease, cause } => {
                    if let Some((feed, entry)) = self.release(key, *lease) {
                        let (tell, hears) = oneshot::channel();
                        told.push(hears);
                        self.bury(feed, entry, cause.clone(), Some(tell));
                    }
                }
                Settle::Extend { lease, by } => self.extend(key, *lease, now.after(*by)),
            }
        }
        self.queue_up(key, now.day);
        Ok(told)
    }

    /// What was done just now is written a little later.
    pub(crate) fn linger(&mut self, now: Moment) {
        if std::mem::take(&mut self.needs_write) && !std::mem::replace(&mut self.lingers, true) {
            self.alarms.insert(after(now, LINGER), Alarm::Write);
        }
    }

    fn ack(&mut self, key: u64, lease: LeaseId) {
        if let Some((feed, entry)) = self.release(key, lease) {
            self.done(feed, entry.offset);
        }
    }

    fn ack_through(&mut self, key: u64, lease: LeaseId) {
        loop {
            let first = self.hands.get(&key).and_then(|hand| hand.leased.front());
            let Some(first) = first.map(|leased| leased.lease).filter(|first| *first <= lease.0)
            else {
                break;
            };
            self.ack(key, LeaseId(first));
        }
    }

    /// An event is done: to be written.
    pub(crate) fn done(&mut self, feed: u32, offset: Offset) {
        if let Some(feed) = self.feed_mut(feed) {
            feed.place.ack(offset);
            self.needs_write = true;
        }
    }

    /// Takes an event from a consumer by its lease.
    fn release(&mut self, key: u64, lease: LeaseId) -> Option<(u32, Entry)> {
        let hand = self.hands.get_mut(&key)?;
        let at = hand.find(lease.0)?;
        let (feed, entry, deadline) = hand.release(at)?;
        if let Some(deadline) = deadline {
            self.alarms.remove(deadline, Alarm::Lease { hand: key, lease: lease.0 });
        }
        Some((feed, entry))
    }

    /// An event that is not done goes back to its place.
    pub(crate) fn give_back(
        &mut self,
        key: u32,
        entry: Entry,
        delay: Option<Duration>,
        now: Moment,
    ) {
        let max = self.max_deliveries(key);
        let is_dead = max.is_some_and(|max| entry.deliveries >= max);
        match delay.filter(|delay| !delay.is_zero() && !is_dead) {
            None => self.put_back(vec![(key, entry)]),
            Some(delay) => {
                let until = after(now, delay);
                let offset = entry.offset;
                if let Some(feed) = self.feed_mut(key) {
                    feed.apart.insert(offset, (entry, Apart::Delayed(until)));
                    self.alarms.insert(until, Alarm::Apart { feed: key, offset });
                }
            }
        }
    }

    fn extend(&mut self, key: u64, lease: LeaseId, until: Moment) {
        let Some(hand) = self.hands.get_mut(&key) else { return };
        let Some(leased) = hand.find(lease.0).and_then(|at| hand.leased.get_mut(at)) else {
            return;
        };
        // A lease that lasts as long as its consumer needs no more.
        let Some(old) = leased.deadline else { return };
        leased.deadline = Some(until);
        let alarm = Alarm::Lease { hand: key, lease: lease.0 };
        self.alarms.remove(old, alarm);
        self.alarms.insert(until, alarm);
    }

    /// Takes the leases of an answer out of a consumer's hands for a transaction.
    pub(crate) fn set_apart(
        &mut self,
        key: u64,
        answers: &[Settle],
        now: Timestamp,
    ) -> Result<Vec<(Settle, Leased)>, SettleError> {
        let hand = self.hands.get(&key).ok_or(SettleError::NotFound)?;
        for answer in answers {
            let lease = answer.lease();
            hand.find(lease.0).ok_or(SettleError::Unknown { lease })?;
        }
        let mut taken = Vec::new();
        for answer in answers {
            let last = answer.lease();
            let Some(hand) = self.hands.get(&key) else { break };
            let leases: Vec<u64> = if matches!(answer, Settle::AckThrough(_)) {
                let held = hand.leased.iter().filter(|leased| leased.entry.is_some());
                held.map(|leased| leased.lease).take_while(|lease| *lease <= last.0).collect()
            } else {
                vec![last.0]
            };
            for lease in leases {
                let deadline = self
                    .hands
                    .get(&key)
                    .and_then(|hand| hand.find(lease).and_then(|at| hand.leased.get(at)?.deadline));
                let extension =
                    |queue: &Self| queue.hands.get(&key).map_or(0, |hand| hand.extension);
                let before = extension(self);
                let Some((feed, entry)) = self.release(key, LeaseId(lease)) else { continue };
                let was_extended = extension(self) < before;
                let mark = Entry { body: None, ..entry.clone() };
                if let Some(feed) = self.feed_mut(feed) {
                    feed.apart.insert(entry.offset, (mark, Apart::Settling));
                }
                taken.push((
                    answer.clone(),
                    Leased { lease, feed, entry: Some(entry), deadline, was_extended },
                ));
            }
        }
        self.queue_up(key, now);
        Ok(taken)
    }

    /// Gives a lease back that [`Queue::set_apart`] took; to the queue when its consumer is gone.
    pub(crate) fn give_lease_back(&mut self, key: u64, leased: Leased) {
        let Some(offset) = leased.entry.as_ref().map(|entry| entry.offset) else { return };
        let Some(feed) = self.feed_mut(leased.feed) else { return };
        feed.apart.remove(&offset);
        if !self.hands.contains_key(&key) {
            let feed = leased.feed;
            self.put_back(leased.entry.map(|entry| (feed, entry)).into_iter().collect());
            return;
        }
        if let Some(deadline) = leased.deadline {
            self.alarms.insert(deadline, Alarm::Lease { hand: key, lease: leased.lease });
        }
        if let Some(hand) = self.hands.get_mut(&key) {
            hand.restore(leased);
        }
    }

    /// After how many deliveries an event of a feed is dead, if ever.
    pub(crate) fn max_deliveries(&self, key: u32) -> Option<u32> {
        let dead_letter = self.settings.dead_letter.as_ref()?;
        // The dead letters themselves are never given up.
        let is_theirs = self.feed(key).is_some_and(|feed| feed.stream.name == *dead_letter);
        self.settings.max_deliveries.filter(|_| !is_theirs).map(|max| max.max(1))
    }

    /// Gives an event up: to the dead letters where there are any, else it is done. `tell` hears
    /// when that is durable.
    pub(crate) fn bury(
        &mut self,
        key: u32,
        mut entry: Entry,
        cause: String,
        tell: Option<oneshot::Sender<Result<(), SettleError>>>,
    ) {
        let dead_letter = self.settings.dead_letter.clone();
        let offset = entry.offset;
        let Some(feed) = self.feed_mut(key) else {
            // Its stream is gone, and it with it.
            tell.map(|tell| tell.send(Ok(())));
            return;
        };
        if dead_letter.is_none_or(|name| name == feed.stream.name) {
            feed.place.ack(offset);
            self.needs_write = true;
            // The write that follows stands for it.
            tell.map(|tell| tell.send(Ok(())));
            return;
        }
        let body = entry.body.take();
        let deliveries = entry.deliveries;
        feed.apart.insert(offset, (entry, Apart::Settling));
        self.dying.push(Dying { feed: key, offset, deliveries, body, cause, tell });
    }
}
