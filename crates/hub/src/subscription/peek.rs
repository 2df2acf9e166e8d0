//! Looking: what is first, for those who take nothing yet.
//!
//! Called by [`Hub::peek`](crate::Hub::peek). A look waits until there is something that its caller
//! may see.
//!
//! Invariant: a look holds nothing.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use outflow_model::{Grant, Offset, StreamId, Timestamp};
use tokio::time::Instant;

use super::entry::Entry;
use super::feed::Feed;
use super::queue::Queue;
use super::sight::Sight;
use super::{ConsumeError, Delivery, EventRef, EventState, Peeked, Subscription, browse, load};
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
            (queue.peeked(inner, &sight), !queue.loading && !queue.is_giving_way())
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
            // Somebody else loads, or buries what is over: that ends soon, whatever it finds.
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
    pub(super) fn first_seen(&self, sight: &Sight, now: Timestamp) -> Option<(u32, &Entry)> {
        let sees = |entry: &&Entry| entry.view().is_none_or(|view| sight.sees(&view, now));
        let seen = self.feeds.iter().filter_map(|feed| {
            let key = feed.key;
            Some((key, feed.ready.iter().find(sees)?))
        });
        seen.min_by_key(|(key, entry)| (entry.at, *key))
    }

    /// Whether what stands first is being buried, and others wait behind it for that.
    fn is_giving_way(&self) -> bool {
        self.burying && self.is_blocked()
    }

    fn is_apart(&self, stream: StreamId, offset: Offset) -> bool {
        let feed = self.feeds.iter().find(|feed| feed.stream.id == stream);
        feed.is_some_and(|feed| feed.apart.contains(&offset))
    }

    /// How many events are neither done nor to be had.
    fn held(&self) -> usize {
        let apart = self.feeds.iter().map(|feed| feed.apart.len()).sum::<usize>();
        self.hands.values().map(|hand| hand.holds as usize).sum::<usize>() + apart
    }

    /// How many events are not done.
    pub(crate) fn backlog(&self, inner: &Inner) -> u64 {
        self.feeds.iter().map(|feed| feed.backlog(inner)).sum()
    }
}

impl Feed {
    /// How many of its events are not done.
    pub(super) fn backlog(&self, inner: &Inner) -> u64 {
        let Ok(bounds) = self.stream.bounds(&*inner.engine) else { return 0 };
        let before = self.place.open_before(bounds.start);
        self.place.open_before(bounds.next).saturating_sub(before)
    }
}
