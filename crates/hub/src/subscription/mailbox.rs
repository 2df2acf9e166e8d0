//! Looking and taking by name: for clients without a connection that could hold a lease.
//!
//! Called by [`Hub::peek`](crate::Hub::peek), [`Hub::lease`](crate::Hub::lease) and
//! [`Hub::settle_lease`](crate::Hub::settle_lease). A lease taken by name ends at its deadline only.
//!
//! Invariant: a look holds nothing; of several takers of one event one wins.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use outflow_model::{Grant, Offset, StreamId, Timestamp};
use outflow_store::ReadError;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::burial::view_at;
use super::entry::{Entry, NEVER};
use super::feed::Apart;
use super::queue::{Alarm, Queue};
use super::settle::{Told, after};
use super::sight::Sight;
use super::{
    ConsumeError, Delivery, DeliveryOrder, EventRef, EventState, EventView, LeaseError, LeaseId,
    Peeked, Settle, SettleError, Subscription, browse, load,
};
use crate::Stream;
use crate::hub::Inner;

/// Somebody who looks; as long as there is one, what is committed is loaded.
struct Peeker<'a> {
    inner: &'a Arc<Inner>,
    subscription: &'a Arc<Subscription>,
}

impl<'a> Peeker<'a> {
    fn new(inner: &'a Arc<Inner>, subscription: &'a Arc<Subscription>) -> Self {
        let mut queue = subscription.queue.lock();
        queue.peekers += 1;
        subscription.touch(inner);
        drop(subscription.finish(inner, queue));
        Self { inner, subscription }
    }
}

impl Drop for Peeker<'_> {
    fn drop(&mut self) {
        let mut queue = self.subscription.queue.lock();
        queue.peekers = queue.peekers.saturating_sub(1);
        drop(self.subscription.finish(self.inner, queue));
    }
}

/// See [`Hub::peek`](crate::Hub::peek).
pub(crate) async fn peek(
    inner: &Arc<Inner>,
    grant: &Grant,
    subscription: &Arc<Subscription>,
    wait: Duration,
) -> Result<Peeked, ConsumeError> {
    let sight = Arc::new(inner.may_consume(grant, subscription)?);
    let until = Instant::now() + wait;
    let _peeker = Peeker::new(inner, subscription);
    // How far each stream was searched for something it may see.
    let mut searched = BTreeMap::new();
    loop {
        load::if_idle(inner, subscription).await;
        let mut seen = std::pin::pin!(subscription.seen.notified());
        // From here on nothing that comes is missed.
        seen.as_mut().enable();
        let (peeked, is_settled) = {
            let queue = subscription.queue.lock();
            if queue.closed {
                return Err(ConsumeError::NotFound);
            }
            (queue.peeked(inner, &sight), !queue.loading)
        };
        let (mut peeked, is_hidden) = peeked;
        if is_hidden {
            peeked.next = search(inner, subscription, &sight, &mut searched).await;
        }
        let is_late = Instant::now() >= until;
        if peeked.next.is_some() || (is_late && is_settled) {
            return Ok(peeked);
        }
        if inner.registry.is_draining() {
            return Err(ConsumeError::ShuttingDown);
        }
        if is_late {
            // Somebody else loads: that ends soon, whatever it finds.
            seen.await;
            continue;
        }
        if tokio::time::timeout_at(until, seen).await.is_err() {
            let queue = subscription.queue.lock();
            return Ok(queue.peeked(inner, &sight).0);
        }
    }
}

/// Looks behind what is in memory for an event that the caller may see, when all that is there is
/// hidden from it; `searched` is where to begin and where that has come to.
async fn search(
    inner: &Arc<Inner>,
    subscription: &Arc<Subscription>,
    sight: &Arc<Sight>,
    searched: &mut BTreeMap<StreamId, Offset>,
) -> Option<EventRef> {
    let mut browse = browse::of(inner, subscription, None, sight.clone(), searched);
    let ends = browse.ends();
    let mut held = BTreeMap::new();
    while let Some(Delivery { stream, event, .. }) = browse.next().await {
        let offset = event.offset();
        let queue = subscription.queue.lock();
        if queue.state(inner, stream.id, offset) == EventState::Waiting
            && !queue.is_apart(stream.id, offset)
        {
            let (name, id) = (stream.name.clone(), event.id().to_owned());
            return Some(EventRef { stream: stream.id, name, offset, id });
        }
        // It may come back.
        held.entry(stream.id).or_insert(offset);
    }
    *searched = ends;
    searched.append(&mut held);
    None
}

impl Queue {
    /// What the caller sees first of what is in memory, and whether there is something it does not.
    fn peeked(&self, inner: &Inner, sight: &Sight) -> (Peeked, bool) {
        let now = inner.clock.now();
        let first = self.visible();
        let seen = first.and_then(|_| self.first_seen(sight, now)).and_then(|(key, entry)| {
            let feed = self.feed(key)?;
            Some(EventRef {
                stream: feed.stream.id,
                name: feed.stream.name.clone(),
                offset: entry.offset,
                id: entry.view()?.id().to_owned(),
            })
        });
        let held = self.held() as u64;
        let available = self.backlog(inner).saturating_sub(held);
        let is_cold = first.is_some_and(|(_, entry)| entry.body.is_none());
        let is_hidden = first.is_some() && seen.is_none() && !is_cold;
        (Peeked { available: available.max(u64::from(seen.is_some())), next: seen }, is_hidden)
    }

    /// The first ready event that the caller sees, or that is not in memory: what it is, only a
    /// read would tell.
    fn first_seen(&self, sight: &Sight, now: Timestamp) -> Option<(u32, &Entry)> {
        let sees = |entry: &&Entry| entry.view().is_none_or(|view| sight.sees(&view, now));
        let seen = self.feeds.iter().filter_map(|feed| {
            let key = feed.key;
            Some((key, feed.ready.iter().find(sees)?))
        });
        seen.min_by_key(|(key, entry)| (entry.at, *key))
    }

    fn is_apart(&self, stream: StreamId, offset: Offset) -> bool {
        let feed = self.feeds.iter().find(|feed| feed.stream.id == stream);
        feed.is_some_and(|feed| feed.apart.contains_key(&offset))
    }

    /// How many events are neither done nor to be had.
    fn held(&self) -> usize {
        let apart = self.feeds.iter().map(|feed| feed.apart.len()).sum::<usize>();
        self.hands.values().map(|hand| hand.holds as usize).sum::<usize>() + apart
    }

    /// How many events are not done.
    pub(crate) fn backlog(&self, inner: &Inner) -> u64 {
        let open = |feed: &super::feed::Feed| {
            let bounds = feed.stream.bounds(&*inner.engine).ok()?;
            let before = feed.place.open_before(bounds.start);
            Some(feed.place.open_before(bounds.next).saturating_sub(before))
        };
        self.feeds.iter().filter_map(open).sum()
    }
}

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
    fn state(&self, inner: &Inner, stream: StreamId, offset: Offset) -> EventState {
        let feed = self.feeds.iter().find(|feed| feed.stream.id == stream);
        let Some(feed) = feed else { return EventState::Unknown };
        let bounds = feed.stream.bounds(&*inner.engine);
        if bounds.is_ok_and(|bounds| offset >= bounds.next) || offset < feed.stream.begins {
            return EventState::Unknown;
        }
        if feed.place.is_done(offset) {
            return EventState::Settled;
        }
        if let Some((_, apart)) = feed.apart.get(&offset) {
            return match *apart {
                Apart::Leased { lease, until } => {
                    EventState::Held { lease: LeaseId(lease), until: Some(until) }
                }
                Apart::Scheduled(_) | Apart::Delayed(_) | Apart::Settling => EventState::Waiting,
            };
        }
        let holders = self.hands.values().flat_map(|hand| &hand.leased);
        let held = holders.filter(|leased| leased.feed == feed.key).find_map(|leased| {
            leased.entry.as_ref().filter(|entry| entry.offset == offset)?;
            Some(EventState::Held { lease: LeaseId(leased.lease), until: leased.deadline })
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
        ConsumeError::Forbidden | ConsumeError::TooMany { .. } => LeaseError::Forbidden,
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
    let now = inner.clock.now();
    // To whom it is hidden it is not there.
    let view = view.filter(|view| sight.sees(view, now)).ok_or(LeaseError::Gone)?;
    let mut queue = subscription.queue.lock();
    let taken = queue.take(&stream, event.offset, &view, &sight, now);
    let result = taken.map(|(key, entry)| {
        let lease = inner.subscriptions.leases.fetch_add(1, Ordering::Relaxed);
        queue.lease_apart(key, entry, lease, after(now, hold), (subscription, stream, view))
    });
    drop(subscription.finish(inner, queue));
    if result.is_ok() {
        inner.subscriptions.metrics.delivered.inc();
    }
    result
}

impl Queue {
    /// Takes an event out of the queue by name.
    fn take(
        &mut self,
        stream: &Stream,
        offset: Offset,
        view: &EventView,
        sight: &Sight,
        now: Timestamp,
    ) -> Result<(u32, Entry), LeaseError> {
        let feed = self.feeds.iter().find(|feed| feed.stream.id == stream.id);
        let feed = feed.ok_or(LeaseError::Gone)?;
        if feed.place.is_done(offset) {
            return Err(LeaseError::Gone);
        }
        if let Some((_, apart)) = feed.apart.get(&offset) {
            let until = match *apart {
                Apart::Scheduled(at) | Apart::Delayed(at) | Apart::Leased { until: at, .. } => {
                    Some(at)
                }
                Apart::Settling => None,
            };
            return Err(LeaseError::Held { until });
        }
        let (key, is_loaded) = (feed.key, offset < feed.loaded);
        let is_strict = self.settings.order == DeliveryOrder::Strict;
        let is_behind = |(first, entry): (u32, &Entry)| (first, entry.offset) != (key, offset);
        if self.is_blocked() || (is_strict && self.first_seen(sight, now).is_some_and(is_behind)) {
            return Err(LeaseError::Held { until: self.next_deadline() });
        }
        if is_loaded {
            // Neither done nor apart: ready, or in a consumer's hands.
            let entry = self.take_ready(key, offset).ok_or(LeaseError::Held { until: None })?;
            if entry.expires <= now {
                self.bury(key, entry, "expired".into(), None);
                return Err(LeaseError::Gone);
            }
            return Ok((key, entry));
        }
        let settings = self.settings.clone();
        let wanted = [feed.filter.as_ref(), settings.selector.as_ref()];
        if !wanted.into_iter().flatten().all(|one| super::event::accepts(one, view)) {
            return Err(LeaseError::Gone);
        }
        let times = super::headers::times(view.meta(), view.line());
        if times.from > now {
            return Err(LeaseError::Held { until: Some(times.from) });
        }
        let sieve = Self::sieve(&settings, now);
        let mut entry = sieve.entry(view.meta(), times.until);
        if entry.expires <= now {
            // It is given up when it is met in its order.
            return Err(LeaseError::Gone);
        }
        entry.deliveries = self.feed_mut(key).and_then(|f| f.counts.remove(&offset)).unwrap_or(0);
        Ok((key, entry))
    }

    fn next_deadline(&self) -> Option<Timestamp> {
        self.alarms.first().map(|(at, _)| *at).filter(|at| *at < NEVER)
    }

    fn lease_apart(
        &mut self,
        key: u32,
        mut entry: Entry,
        lease: u64,
        until: Timestamp,
        (subscription, stream, event): (&Subscription, Arc<Stream>, EventView),
    ) -> Delivery {
        let offset = entry.offset;
        entry.body = None;
        entry.deliveries = entry.deliveries.saturating_add(1);
        let deliveries = entry.deliveries;
        if deliveries > 1 {
            self.tally.redelivered += 1;
        }
        if let Some(feed) = self.feed_mut(key) {
            feed.apart.insert(offset, (entry, Apart::Leased { lease, until }));
        }
        self.desk.insert(lease, (key, offset));
        self.alarms.insert((until, Alarm::Apart { feed: key, offset }));
        Delivery {
            lease: LeaseId(lease),
            subscription: subscription.id(),
            stream,
            event,
            deliveries,
            deadline: Some(until),
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
    let now = inner.clock.now();
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
        now: Timestamp,
    ) -> Result<(Option<Told>, Option<Timestamp>), SettleError> {
        let lease = answer.lease();
        let unknown = SettleError::Unknown { lease };
        let &(key, offset) = self.desk.get(&lease.0).ok_or(unknown.clone())?;
        let alarm = Alarm::Apart { feed: key, offset };
        let feed = self.feed_mut(key).ok_or(unknown.clone())?;
        if let Settle::Extend { by, .. } = answer {
            let (_, apart) = feed.apart.get_mut(&offset).ok_or(unknown)?;
            let Apart::Leased { until: old, lease } = *apart else { return Ok((None, None)) };
            let until = after(now, by);
            *apart = Apart::Leased { lease, until };
            self.alarms.remove(&(old, alarm));
            self.alarms.insert((until, alarm));
            return Ok((None, Some(until)));
        }
        let (entry, apart) = feed.apart.remove(&offset).ok_or(unknown)?;
        self.desk.remove(&lease.0);
        if let Apart::Leased { until, .. } = apart {
            self.alarms.remove(&(until, alarm));
        }
        match answer {
            Settle::Ack(_) | Settle::AckThrough(_) => self.done(key, offset),
            Settle::Requeue { delay, .. } => self.give_back(key, entry, delay, now),
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
