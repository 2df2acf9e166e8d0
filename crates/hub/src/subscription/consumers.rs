//! All consumers of one connection: what a face waits on.
//!
//! Made by [`Hub::consumers`](crate::Hub::consumers), driven by a face that calls
//! [`Consumers::next`] and answers with [`Consumers::settle`].
//!
//! Invariants: an event is leased in the moment it is handed out, so a call of `next` that is
//! dropped loses nothing; whatever ends the connection, what it held goes back to the front.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use outflow_model::{Grant, Timestamp};

use super::burial::EXPIRED;
use super::hand::{Hand, Leased, Owner};
use super::queue::{Alarm, Queue};
use super::settle::Settling;
use super::timetable::Now;
use super::{
    ConsumeError, ConsumerId, ConsumerOptions, Delivered, Delivery, LeaseId, Settle, SettleError,
    Subscription,
};
use crate::CloseReason;
use crate::drain::{Member, Refused, Signal};
use crate::hub::Inner;

/// How many consumers a connection may have.
const MAX_CONSUMERS: usize = 10_000;
/// About how many bytes of events one call of `next` hands out.
const MAX_BATCH_BYTES: usize = 256 << 10;

/// All consumers of one connection. See the module.
pub struct Consumers {
    inner: Arc<Inner>,
    grant: Grant,
    owner: Arc<Owner>,
    signal: Arc<Signal>,
    /// Its number among the sessions; none when it was refused.
    session: Option<u64>,
    entries: BTreeMap<ConsumerId, (Arc<Subscription>, u64)>,
    last: u32,
}

impl fmt::Debug for Consumers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Consumers").field("entries", &self.entries).finish_non_exhaustive()
    }
}

impl Consumers {
    pub(crate) fn new(inner: Arc<Inner>, grant: &Grant) -> Self {
        let signal = Arc::new(Signal::default());
        let member = Member {
            credential: grant.credential.clone(),
            generation: grant.generation,
            expires: grant.expires,
            project: grant.project.clone(),
            integration: grant.integration.clone(),
            stream: None,
            signal: signal.clone(),
        };
        let session = inner.registry.enter(member).map_err(|refused| {
            signal.close(match refused {
                Refused::Draining => CloseReason::Draining,
                Refused::Revoked => CloseReason::Revoked,
            });
        });
        Self {
            inner,
            grant: grant.clone(),
            owner: Arc::default(),
            signal,
            session: session.ok(),
            entries: BTreeMap::new(),
            last: 0,
        }
    }

    /// Adds a consumer.
    ///
    /// # Errors
    /// [`ConsumeError`].
    pub async fn add(
        &mut self,
        subscription: &Arc<Subscription>,
        options: ConsumerOptions,
    ) -> Result<ConsumerId, ConsumeError> {
        match self.signal.reason() {
            Some(CloseReason::Draining) => return Err(ConsumeError::ShuttingDown),
            Some(_) => return Err(ConsumeError::Forbidden),
            None => {}
        }
        let sight = self.inner.may_consume(&self.grant, subscription)?;
        if self.entries.len() >= MAX_CONSUMERS {
            return Err(ConsumeError::TooMany { max: MAX_CONSUMERS });
        }
        let id = ConsumerId(self.last);
        let mut queue = subscription.queue.lock();
        if queue.closed {
            return Err(ConsumeError::NotFound);
        }
        if options.alone && queue.is_in_use() {
            return Err(ConsumeError::InUse);
        }
        let max = self.inner.options.max_consumers;
        if queue.hands.len() >= max {
            return Err(ConsumeError::TooMany { max });
        }
        let hand = Hand::new(self.owner.clone(), id, options, sight);
        self.last = self.last.wrapping_add(1);
        let key = queue.enter(hand, self.inner.clock.now());
        subscription.touch(&self.inner);
        drop(subscription.finish(&self.inner, queue));
        self.inner.subscriptions.metrics.consumers.inc();
        self.entries.insert(id, (subscription.clone(), key));
        Ok(id)
    }

    /// The client is gone: its consumers, which are about to be removed, keep nobody out.
    pub fn abandon(&self) {
        self.owner.go();
    }

    /// Waits for up to `max` events of one consumer, or an end. A call that is dropped loses
    /// nothing.
    pub async fn next(&mut self, max: usize) -> Delivered {
        loop {
            if let Some(reason) = self.signal.reason().cloned() {
                self.remove_all();
                return Delivered::Closed { consumer: None, reason };
            }
            if let Some((consumer, reason)) = self.owner.next_closed() {
                if self.entries.remove(&consumer).is_some() {
                    self.inner.subscriptions.metrics.consumers.dec();
                    return Delivered::Closed { consumer: Some(consumer), reason };
                }
                continue;
            }
            if let Some(consumer) = self.owner.next_rung() {
                let events = self.take(consumer, max.max(1));
                if !events.is_empty() {
                    return Delivered::Events { consumer, events };
                }
                // What was passed over must not hog the thread.
                tokio::task::consume_budget().await;
                continue;
            }
            tokio::select! {
                biased;
                () = self.signal.closed() => {}
                () = self.owner.wake.notified() => {}
            }
        }
    }

    /// Takes what waits for a consumer.
    fn take(&self, consumer: ConsumerId, max: usize) -> Vec<Delivery> {
        let Some((subscription, key)) = self.entries.get(&consumer) else { return Vec::new() };
        let mut queue = subscription.queue.lock();
        let events = queue.hand_over(*key, max, &self.inner, subscription);
        // Nobody waits for what was acked in passing.
        drop(subscription.finish(&self.inner, queue));
        self.inner.subscriptions.metrics.delivered.inc_by(events.len() as u64);
        events
    }

    /// Removes a consumer. What it holds goes back to the front, in order.
    pub fn remove(&mut self, consumer: ConsumerId) {
        if let Some((subscription, key)) = self.entries.remove(&consumer) {
            leave(&self.inner, &subscription, key);
        }
    }

    /// Removes a consumer that says which of its events its user has seen: those up to `seen`;
    /// `None`: not one. What it holds goes back to the front, in order; what was not seen was not
    /// delivered.
    pub fn remove_unseen(&mut self, consumer: ConsumerId, seen: Option<LeaseId>) {
        if let Some((subscription, key)) = self.entries.get(&consumer) {
            let mut queue = subscription.queue.lock();
            if let Some(hand) = queue.hands.get_mut(key) {
                hand.take_back_count(seen.map(|seen| seen.0));
            }
        }
        self.remove(consumer);
    }

    /// Takes back what [`Consumers::next`] has not given yet of a consumer's events. It comes again in its order, so
    /// behind what was given back before.
    pub fn take_back(&mut self, consumer: ConsumerId) {
        let Some((subscription, key)) = self.entries.get(&consumer) else { return };
        let mut queue = subscription.queue.lock();
        queue.take_back(*key);
        queue.queue_up(*key, self.inner.clock.now());
        drop(subscription.finish(&self.inner, queue));
    }

    /// Whether a consumer may still be given events that are there: they wait for it, or somebody looks for them.
    #[must_use]
    pub fn may_get_more(&self, consumer: ConsumerId) -> bool {
        let Some((subscription, key)) = self.entries.get(&consumer) else { return false };
        let queue = subscription.queue.lock();
        let waits = queue.hands.get(key).is_some_and(|hand| !hand.waiting.is_empty());
        waits || queue.loading || queue.is_retrying || queue.wants_load()
    }

    fn remove_all(&mut self) {
        for (subscription, key) in std::mem::take(&mut self.entries).into_values() {
            leave(&self.inner, &subscription, key);
        }
    }

    /// Lets a consumer have `n` events more than its credit, until it has settled so many; a
    /// negative `n` takes back what was given so. What it holds already stays with it.
    pub fn change_credit(&mut self, consumer: ConsumerId, n: i64) {
        let Some((subscription, key)) = self.entries.get(&consumer) else { return };
        let mut queue = subscription.queue.lock();
        if let Some(hand) = queue.hands.get_mut(key) {
            let extension = i64::from(hand.extension).saturating_add(n);
            hand.extension = u32::try_from(extension.max(0)).unwrap_or(u32::MAX);
            queue.queue_up(*key, self.inner.clock.now());
        }
        drop(subscription.finish(&self.inner, queue));
    }

    /// Sets how many events a consumer may hold unsettled at once, from now on. What it holds
    /// already stays with it.
    pub fn set_credit(&mut self, consumer: ConsumerId, credit: u32) {
        let Some((subscription, key)) = self.entries.get(&consumer) else { return };
        let mut queue = subscription.queue.lock();
        if let Some(hand) = queue.hands.get_mut(key) {
            hand.options.credit = credit;
            queue.queue_up(*key, self.inner.clock.now());
        }
        drop(subscription.finish(&self.inner, queue));
    }

    /// Applies answers, in order, and queues them for the disk; await what it returns for
    /// durability. Dropping that changes nothing. Answer many at once: it is one write.
    ///
    /// # Errors
    /// [`SettleError::Unknown`]: nothing was applied.
    pub fn settle(
        &mut self,
        consumer: ConsumerId,
        answers: &[Settle],
    ) -> Result<Settling, SettleError> {
        let (subscription, key) = self.entries.get(&consumer).ok_or(SettleError::NotFound)?;
        let mut queue = subscription.queue.lock();
        let told = queue.settle(*key, answers, Now::of(&*self.inner.clock))?;
        let mut settling = subscription.finish(&self.inner, queue);
        settling.told.extend(told);
        Ok(settling)
    }

    /// As [`Consumers::settle`], of the answers whose leases are held. Gives the places of the
    /// others among the answers: those events were taken back, and come again.
    ///
    /// # Errors
    /// [`SettleError::NotFound`].
    pub fn settle_held(
        &mut self,
        consumer: ConsumerId,
        answers: &[Settle],
    ) -> Result<(Settling, Vec<usize>), SettleError> {
        self.settle_some(consumer, answers, true)
    }

    /// As [`Consumers::settle_held`], for who tells nobody of it: acks are durable within some
    /// milliseconds, in one write with others, or when [`Consumers::write`] is.
    ///
    /// # Errors
    /// [`SettleError::NotFound`].
    pub fn settle_soon(
        &mut self,
        consumer: ConsumerId,
        answers: &[Settle],
    ) -> Result<(Settling, Vec<usize>), SettleError> {
        self.settle_some(consumer, answers, false)
    }

    fn settle_some(
        &mut self,
        consumer: ConsumerId,
        answers: &[Settle],
        at_once: bool,
    ) -> Result<(Settling, Vec<usize>), SettleError> {
        let (subscription, key) = self.entries.get(&consumer).ok_or(SettleError::NotFound)?;
        let mut queue = subscription.queue.lock();
        let hand = queue.hands.get(key).ok_or(SettleError::NotFound)?;
        let is_held = |answer: &Settle| hand.find(answer.lease().0).is_some();
        let places = answers.iter().enumerate();
        let unknown: Vec<usize> =
            places.filter(|(_, answer)| !is_held(answer)).map(|(at, _)| at).collect();
        let now = Now::of(&*self.inner.clock);
        // What others have done is written as they want it.
        let lingers = !at_once && !queue.needs_write;
        let told = if unknown.is_empty() {
            queue.settle(*key, answers, now)?
        } else {
            let held: Vec<Settle> = answers.iter().filter(|one| is_held(one)).cloned().collect();
            queue.settle(*key, &held, now)?
        };
        if lingers {
            queue.linger(now.passed);
        }
        let mut settling = subscription.finish(&self.inner, queue);
        settling.told.extend(told);
        Ok((settling, unknown))
    }

    /// Queues all for the disk that a consumer has acked and that may not be there yet.
    ///
    /// # Errors
    /// [`SettleError::NotFound`].
    pub fn write(&mut self, consumer: ConsumerId) -> Result<Settling, SettleError> {
        let (subscription, _) = self.entries.get(&consumer).ok_or(SettleError::NotFound)?;
        let mut queue = subscription.queue.lock();
        // Of what was written meanwhile, the write may be under way.
        queue.feeds.iter_mut().for_each(|feed| feed.place.unwrite());
        queue.needs_write = true;
        Ok(subscription.finish(&self.inner, queue))
    }

    /// Until when a lease is held; `None`: it is not held, or as long as the consumer is there.
    #[must_use]
    pub fn deadline(&self, consumer: ConsumerId, lease: LeaseId) -> Option<Timestamp> {
        let (subscription, key) = self.entries.get(&consumer)?;
        let queue = subscription.queue.lock();
        let hand = queue.hands.get(key)?;
        let deadline = hand.leased.get(hand.find(lease.0)?)?.deadline?;
        Some(Now::of(&*self.inner.clock).shown(deadline))
    }

    /// The subscription of a consumer.
    #[must_use]
    pub fn subscription(&self, consumer: ConsumerId) -> Option<&Arc<Subscription>> {
        self.entries.get(&consumer).map(|(subscription, _)| subscription)
    }

    /// A consumer as its subscription knows it.
    pub(crate) fn entry(&self, consumer: ConsumerId) -> Option<(Arc<Subscription>, u64)> {
        self.entries.get(&consumer).cloned()
    }
}

impl Drop for Consumers {
    fn drop(&mut self) {
        self.remove_all();
        if let Some(session) = self.session {
            self.inner.registry.leave(session);
        }
    }
}

fn leave(inner: &Arc<Inner>, subscription: &Arc<Subscription>, key: u64) {
    let mut queue = subscription.queue.lock();
    queue.leave(key);
    let is_over = !subscription.durable && queue.hands.is_empty() && !queue.closed;
    // Under the same lock: nobody may join what is about to be forgotten.
    queue.closed |= is_over;
    subscription.touch(inner);
    drop(subscription.finish(inner, queue));
    inner.subscriptions.metrics.consumers.dec();
    if is_over {
        super::change::forget(inner, subscription);
    }
}

impl Queue {
    /// Whether it has a consumer whose client is not known to be gone.
    pub(crate) fn is_in_use(&self) -> bool {
        self.hands.values().any(|hand| !hand.owner.is_gone())
    }

    /// Leases what waits for a consumer, up to `max` events.
    fn hand_over(
        &mut self,
        key: u64,
        max: usize,
        inner: &Inner,
        subscription: &Subscription,
    ) -> Vec<Delivery> {
        let Some(hand) = self.hands.get_mut(&key) else { return Vec::new() };
        hand.rung = false;
        let count = hand.waiting.len().min(max);
        let now = Now::of(&*inner.clock);
        let first = inner.subscriptions.leases.fetch_add(count as u64, Ordering::Relaxed);
        let mut deliveries = Vec::with_capacity(count);
        let mut bytes = 0;
        for lease in first..first + count as u64 {
            if bytes >= MAX_BATCH_BYTES {
                break;
            }
            if let Some(delivery) = self.lease(key, lease, now, subscription) {
                bytes += delivery.event.meta().line_len as usize;
                deliveries.push(delivery);
            }
        }
        if let Some(hand) = self.hands.get_mut(&key).filter(|hand| !hand.waiting.is_empty()) {
            hand.ring();
        }
        self.queue_up(key, now.day);
        deliveries
    }

    /// Leases the first event that waits for a consumer.
    fn lease(
        &mut self,
        key: u64,
        lease: u64,
        now: Now,
        subscription: &Subscription,
    ) -> Option<Delivery> {
        let default = self.settings.lease;
        let hand = self.hands.get_mut(&key)?;
        let (feed, mut entry) = hand.waiting.pop_front()?;
        hand.waiting_bytes = hand.waiting_bytes.saturating_sub(entry.size as usize);
        let deadline = hand.options.lease.or(default).map(|hold| now.after(hold));
        let auto_ack = hand.options.auto_ack;
        let at = self.feeds.binary_search_by_key(&feed, |feed| feed.key).ok();
        let stream = at.and_then(|at| self.feeds.get(at)).map(|feed| feed.stream.clone());
        let event = entry.view();
        let (Some(stream), Some(event), false) = (stream, event, entry.expires <= now.day) else {
            // Its stream is gone, or its time is over.
            hand.holds = hand.holds.saturating_sub(1);
            // Its consumer has seen nothing of it, so it may have another for it.
            let cause = if entry.expires <= now.day { EXPIRED } else { "damaged" };
            self.bury(feed, entry, cause.into(), None);
            return None;
        };
        entry.body = None;
        entry.deliveries = entry.deliveries.saturating_add(1);
        let offset = entry.offset;
        let (deliveries, first_of_group) = (entry.deliveries, entry.first_of_group);
        if deliveries > 1 {
            self.tally.redelivered += 1;
        }
        if auto_ack {
            hand.holds = hand.holds.saturating_sub(1);
            hand.extension = hand.extension.saturating_sub(1);
            self.done(feed, entry.offset);
        } else {
            if let Some(deadline) = deadline {
                self.alarms.insert(deadline, Alarm::Lease { hand: key, lease });
            }
            hand.leased.push_back(Leased {
                lease,
                feed,
                entry: Some(entry),
                deadline,
                was_extended: false,
            });
        }
        let redelivered = self.give(feed, offset) || deliveries > 1;
        Some(Delivery {
            lease: LeaseId(lease),
            subscription: subscription.id(),
            stream,
            event,
            deliveries,
            redelivered,
            deadline: deadline.map(|deadline| now.shown(deadline)),
            first_of_group,
        })
    }
}
