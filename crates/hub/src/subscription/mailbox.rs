//! Taking by name: for clients without a connection that could hold a lease.
//!
//! Called by [`Hub::lease`](crate::Hub::lease), [`Hub::settle_lease`](crate::Hub::settle_lease) and
//! [`Hub::event_state`](crate::Hub::event_state). A lease taken by name ends at its deadline only.
//!
//! Invariants: of several takers of one event one wins; no filter is asked of it while the queue's lock is held.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use outflow_model::{Grant, Offset, StreamId, Timestamp};
use outflow_store::ReadError;
use tokio::sync::oneshot;

use super::apart::Apart;
use super::burial::{EXPIRED, view_at};
use super::entry::{Entry, NEVER};
use super::properties::Candidate;
use super::queue::{Alarm, Queue};
use super::settle::Told;
use super::sight::Sight;
use super::timetable::Now;
use super::{
    ConsumeError, Delivery, DeliveryOrder, EventRef, EventState, EventView, LeaseError, LeaseId,
    Settle, SettleError, Subscription, SubscriptionSettings, headers,
};
use crate::hub::Inner;
use crate::selector::Selector;
use crate::view::View;
use crate::{Stream, aside};

/// See [`Hub::event_state`](crate::Hub::event_state).
pub(crate) async fn state(
    inner: &Arc<Inner>,
    grant: &Grant,
    subscription: &Arc<Subscription>,
    stream: StreamId,
    offset: Offset,
) -> Result<EventState, ConsumeError> {
    inner.may_consume(grant, subscription)?;
    let mut is_written = false;
    loop {
        let settling = {
            let mut queue = subscription.queue.lock();
            let state = queue.state(inner, stream, offset);
            let is_told = state != EventState::Settled || !subscription.durable;
            let feed = queue.feeds.iter_mut().find(|feed| feed.stream.id == stream);
            let Some(feed) = feed.filter(|_| !is_told) else { return Ok(state) };
            // What a batch under way settles is decided with it.
            let is_open = matches!(feed.apart.get(&offset), Some((_, Apart::Settling)));
            if !is_open && (is_written || feed.place.is_durable(offset)) {
                return Ok(state);
            }
            // Whoever settled it may not have heard yet how that ended, nor has the disk.
            feed.place.rewrite(offset);
            queue.needs_write = true;
            subscription.finish(inner, queue)
        };
        settling.await.map_err(|error| ConsumeError::Unavailable(error.to_string()))?;
        is_written = true;
    }
}

impl Queue {
    /// How an event stands, as far as memory knows.
    pub(super) fn state(&self, inner: &Inner, stream: StreamId, offset: Offset) -> EventState {
        let feed = self.feeds.iter().find(|feed| feed.stream.id == stream);
        let Some(feed) = feed else { return EventState::Unknown };
        let bounds = feed.stream.bounds(&*inner.engine);
        if bounds.is_ok_and(|bounds| offset >= bounds.next) || offset < feed.stream.begins {
            return EventState::Unknown;
        }
        if feed.place.is_done(offset) {
            return EventState::Settled;
        }
        let shown = |moment| Now::of(&*inner.clock).shown(moment);
        if let Some((_, apart)) = feed.apart.get(&offset) {
            return match *apart {
                Apart::Leased { lease, until } => {
                    EventState::Held { lease: LeaseId(lease), until: Some(shown(until)) }
                }
                Apart::Scheduled(_) | Apart::Delayed(_) | Apart::Settling => EventState::Waiting,
            };
        }
        let holders = self.hands.values().flat_map(|hand| &hand.leased);
        let held = holders.filter(|leased| leased.feed == feed.key).find_map(|leased| {
            leased.entry.as_ref().filter(|entry| entry.offset == offset)?;
            let until = leased.deadline.map(shown);
            Some(EventState::Held { lease: LeaseId(leased.lease), until })
        });
        held.unwrap_or(EventState::Waiting)
    }
}

/// See [`Hub::lease`](crate::Hub::lease).
pub(crate) async fn lease(
    inner: &Arc<Inner>,
    grant: &Grant,
    subscription: &Arc<Subscription>,
    event: &EventRef,
    hold: Duration,
) -> Result<Delivery, LeaseError> {
    let sight = inner.may_consume(grant, subscription).map_err(|error| match error {
        ConsumeError::NotFound => LeaseError::NotFound,
        ConsumeError::Forbidden | ConsumeError::TooMany { .. } | ConsumeError::InUse => {
            LeaseError::Forbidden
        }
        ConsumeError::ShuttingDown => LeaseError::Unavailable("draining".into()),
        ConsumeError::Unavailable(reason) => LeaseError::Unavailable(reason),
    })?;
    subscription.touch(inner);
    let unavailable = |error: ReadError| LeaseError::Unavailable(error.to_string());
    let stream = {
        let queue = subscription.queue.lock();
        let feed = queue.feeds.iter().find(|feed| feed.stream.id == event.stream);
        feed.map(|feed| feed.stream.clone()).ok_or(LeaseError::Gone)?
    };
    // Read before it is taken: nothing is leased whose content cannot be had.
    let view = view_at(inner, &stream, event.offset).await.map_err(unavailable)?;
    let now = Now::of(&*inner.clock);
    // To whom it is hidden it is not there.
    let view = view.filter(|view| sight.sees(view, now.day)).ok_or(LeaseError::Gone)?;
    let mut found: Option<Found> = None;
    let mut queue = loop {
        let terms = {
            let queue = subscription.queue.lock();
            let terms = queue.terms(stream.id, event.offset);
            match terms.filter(|terms| found.as_ref().is_none_or(|found| !found.terms.is(terms))) {
                Some(terms) => terms,
                None => break queue,
            }
        };
        found = Some(terms.look(&stream, &view, now.day));
    };
    let taken = queue.take(&stream, event.offset, found, &sight, now);
    let result = taken.map(|(key, entry)| {
        let lease = inner.subscriptions.leases.fetch_add(1, Ordering::Relaxed);
        queue.lease_apart(key, entry, lease, (now, hold), (subscription, stream, view))
    });
    drop(subscription.finish(inner, queue));
    if result.is_ok() {
        inner.subscriptions.metrics.delivered.inc();
    }
    result
}

/// What an event must be to belong to a subscription.
#[derive(Debug)]
struct Terms {
    /// Of which feed.
    feed: u32,
    filter: Option<Selector>,
    settings: Arc<SubscriptionSettings>,
    view: Option<Arc<View>>,
}

/// An event that is not in memory, as it would be loaded.
#[derive(Debug)]
struct Found {
    terms: Terms,
    /// From when on it is to be seen, and how it is held; `None`: it does not belong to the subscription.
    entry: Option<(Timestamp, Entry)>,
}

impl Terms {
    /// Whether these are the same.
    fn is(&self, other: &Self) -> bool {
        let is_view = match (&self.view, &other.view) {
            (Some(one), Some(other)) => Arc::ptr_eq(one, other),
            (one, other) => one.is_none() && other.is_none(),
        };
        is_view && self.feed == other.feed && Arc::ptr_eq(&self.settings, &other.settings)
    }

    /// Looks at an event.
    fn look(self, stream: &Stream, event: &EventView, now: Timestamp) -> Found {
        let (meta, line) = (event.meta(), event.line());
        let shows = |view: &Arc<View>| {
            aside::in_place(view.cost(line.len()), || view.passes(meta, line, now))
        };
        // What belongs to the subscription does not change by deliveries.
        let candidate = Candidate { event, stream: &stream.name, deliveries: 0 };
        let wanted = [self.filter.as_ref(), self.settings.selector.as_ref()];
        let belongs = self.view.as_ref().is_none_or(shows)
            && wanted.into_iter().flatten().all(|one| candidate.suits(one));
        let entry = belongs.then(|| {
            let times = headers::times(meta, line);
            // It is not scheduled here.
            let sieve = Queue::sieve(&self.settings, 0, now);
            (times.from, sieve.entry(meta, line, times.until))
        });
        Found { terms: self, entry }
    }
}

impl Queue {
    /// By what an event is found out to belong to it; `None`: that is known, or it has no such stream.
    fn terms(&self, stream: StreamId, offset: Offset) -> Option<Terms> {
        let feed = self.feeds.iter().find(|feed| feed.stream.id == stream)?;
        (offset >= feed.loaded).then(|| Terms {
            feed: feed.key,
            filter: feed.filter.clone(),
            settings: self.settings.clone(),
            view: self.view.clone(),
        })
    }

    /// Takes an event out of the queue by name; `found` is what is known of it if it is not in memory.
    fn take(
        &mut self,
        stream: &Stream,
        offset: Offset,
        found: Option<Found>,
        sight: &Sight,
        now: Now,
    ) -> Result<(u32, Entry), LeaseError> {
        let feed = self.feeds.iter().find(|feed| feed.stream.id == stream.id);
        let feed = feed.ok_or(LeaseError::Gone)?;
        if feed.place.is_done(offset) {
            return Err(LeaseError::Gone);
        }
        if let Some((_, apart)) = feed.apart.get(&offset) {
            let until = match *apart {
                Apart::Scheduled(at) => Some(at),
                Apart::Delayed(until) | Apart::Leased { until, .. } => Some(now.shown(until)),
                Apart::Settling => None,
            };
            return Err(LeaseError::Held { until });
        }
        let (key, is_loaded) = (feed.key, offset < feed.loaded);
        let is_strict = self.settings.order == DeliveryOrder::Strict;
        let is_behind = |(first, entry): (u32, &Entry)| (first, entry.offset) != (key, offset);
        if self.is_blocked()
            || (is_strict && self.first_seen(sight, now.day).is_some_and(is_behind))
        {
            return Err(LeaseError::Held { until: self.next_deadline(now) });
        }
        if is_loaded {
            // Neither done nor apart: ready, or in a consumer's hands.
            let entry = self.take_ready(key, offset).ok_or(LeaseError::Held { until: None })?;
            if entry.expires <= now.day {
                self.bury(key, entry, EXPIRED.into(), None);
                return Err(LeaseError::Gone);
            }
            return Ok((key, entry));
        }
        let (from, mut entry) = found.and_then(|found| found.entry).ok_or(LeaseError::Gone)?;
        if from > now.day {
            return Err(LeaseError::Held { until: Some(from) });
        }
        if entry.expires <= now.day {
            // It is given up when it is met in its order.
            return Err(LeaseError::Gone);
        }
        entry.deliveries = self.feed_mut(key).and_then(|f| f.counts.remove(&offset)).unwrap_or(0);
        Ok((key, entry))
    }

    fn next_deadline(&self, now: Now) -> Option<Timestamp> {
        self.alarms.firsts().shown(now).filter(|at| *at < NEVER)
    }

    fn lease_apart(
        &mut self,
        key: u32,
        mut entry: Entry,
        lease: u64,
        (now, hold): (Now, Duration),
        (subscription, stream, event): (&Subscription, Arc<Stream>, EventView),
    ) -> Delivery {
        let (offset, until) = (entry.offset, now.after(hold));
        entry.body = None;
        entry.deliveries = entry.deliveries.saturating_add(1);
        let deliveries = entry.deliveries;
        if deliveries > 1 {
            self.tally.redelivered += 1;
        }
        let redelivered = self.give(key, offset) || deliveries > 1;
        if let Some(feed) = self.feed_mut(key) {
            feed.apart.insert(offset, (entry, Apart::Leased { lease, until }));
        }
        self.desk.insert(lease, (key, offset));
        self.alarms.insert(until, Alarm::Apart { feed: key, offset });
        Delivery {
            lease: LeaseId(lease),
            subscription: subscription.id(),
            stream,
            event,
            deliveries,
            redelivered,
            deadline: Some(now.shown(until)),
            first_of_group: false,
        }
    }
}

/// See [`Hub::settle_lease`](crate::Hub::settle_lease).
pub(crate) async fn settle(
    inner: &Arc<Inner>,
    grant: &Grant,
    subscription: &Arc<Subscription>,
    answer: Settle,
) -> Result<Option<Timestamp>, SettleError> {
    inner.may_consume(grant, subscription).map_err(|error| match error {
        ConsumeError::Forbidden => SettleError::Forbidden,
        _ => SettleError::NotFound,
    })?;
    subscription.touch(inner);
    let now = Now::of(&*inner.clock);
    let (settling, told, until) = {
        let mut queue = subscription.queue.lock();
        let (told, until) = queue.settle_desk(answer, now)?;
        (subscription.finish(inner, queue), told, until)
    };
    settling.await?;
    if let Some(told) = told {
        told.await.unwrap_or_else(|_| Err(SettleError::Uncertain("the server stops".into())))?;
    }
    Ok(until)
}

impl Queue {
    /// Applies an answer to a lease taken by name.
    fn settle_desk(
        &mut self,
        answer: Settle,
        now: Now,
    ) -> Result<(Option<Told>, Option<Timestamp>), SettleError> {
        let lease = answer.lease();
        let unknown = SettleError::Unknown { lease };
        let &(key, offset) = self.desk.get(&lease.0).ok_or(unknown.clone())?;
        let alarm = Alarm::Apart { feed: key, offset };
        let feed = self.feed_mut(key).ok_or(unknown.clone())?;
        if let Settle::Extend { by, .. } = answer {
            let until = now.after(by);
            let old = feed.apart.extend(&offset, until).ok_or(unknown)?;
            self.alarms.remove(old, alarm);
            self.alarms.insert(until, alarm);
            return Ok((None, Some(now.shown(until))));
        }
        let (entry, apart) = feed.apart.remove(&offset).ok_or(unknown)?;
        self.desk.remove(&lease.0);
        if let Apart::Leased { until, .. } = apart {
            self.alarms.remove(until, alarm);
        }
        match answer {
            Settle::Ack(_) | Settle::AckThrough(_) => self.done(key, offset),
            Settle::Requeue { delay, .. } => self.give_back(key, entry, delay, now.passed),
            Settle::DeadLetter { cause, .. } => {
                let (tell, hears) = oneshot::channel();
                self.bury(key, entry, cause, Some(tell));
                return Ok((Some(hears), None));
            }
            Settle::Extend { .. } => {}
        }
        Ok((None, None))
    }
}
