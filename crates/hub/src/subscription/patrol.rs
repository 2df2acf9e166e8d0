//! Expiry where nobody consumes: the fronts of queues that are left alone.
//!
//! Called by the clockwork's round. A consumer's subscription expires events as it meets them; of
//! the others a few are looked at in each round, one after the other, so that an event that is over
//! is given up although nobody ever comes for it.
//!
//! Invariant: what it costs a round is bounded, however many subscriptions there are; a look is no
//! use of the subscription.

use std::sync::Arc;

use outflow_model::Timestamp;

use super::burial::EXPIRED;
use super::entry::NEVER;
use super::queue::Queue;
use super::{Subscription, load};
use crate::hub::Inner;

/// How many subscriptions are looked at in a round.
pub(crate) const LOOKS: usize = 64;
/// How many windows of one subscription are expired in a look.
const WINDOWS: usize = 16;
/// When a front is looked at again in which nothing expires: what was published since may.
const AGAIN_MS: i64 = 60_000;

impl Queue {
    /// Whether a look is due: nobody else expires its events, and there may be some.
    pub(crate) fn wants_look(&self, inner: &Inner, now: Timestamp) -> bool {
        let is_left = self.hands.is_empty() && self.peekers == 0 && !self.closed;
        is_left && self.next_look <= now && self.backlog(inner) > 0
    }

    /// Gives up all events in the window that are over; says how many.
    fn expire_window(&mut self, now: Timestamp) -> usize {
        let over: Vec<_> = self
            .feeds
            .iter()
            .flat_map(|feed| {
                let over = feed.ready.iter().filter(|entry| entry.expires <= now);
                over.map(|entry| (feed.key, entry.offset))
            })
            .collect();
        let count = over.len();
        for (key, offset) in over {
            if let Some(entry) = self.take_ready(key, offset) {
                self.bury(key, entry, EXPIRED.into(), None);
            }
        }
        count
    }

    /// When the next event of the window is over.
    fn next_expiry(&self) -> Timestamp {
        let all = self.feeds.iter().flat_map(|feed| feed.ready.iter().map(|entry| entry.expires));
        all.min().unwrap_or(NEVER)
    }
}

/// Keeps the window for the time of a look.
struct Visit<'a> {
    inner: &'a Arc<Inner>,
    subscription: &'a Arc<Subscription>,
}

impl<'a> Visit<'a> {
    fn new(inner: &'a Arc<Inner>, subscription: &'a Arc<Subscription>) -> Self {
        let mut queue = subscription.queue.lock();
        queue.peekers += 1;
        queue.visits += 1;
        drop(subscription.finish(inner, queue));
        Self { inner, subscription }
    }
}

impl Drop for Visit<'_> {
    fn drop(&mut self) {
        let mut queue = self.subscription.queue.lock();
        queue.peekers = queue.peekers.saturating_sub(1);
        queue.visits = queue.visits.saturating_sub(1);
        // Thousands of windows that nobody asked for would be much memory.
        queue.unload();
        drop(self.subscription.finish(self.inner, queue));
    }
}

/// Looks at some subscriptions.
pub(crate) async fn patrol(inner: &Arc<Inner>, some: &[Arc<Subscription>]) {
    for subscription in some {
        look(inner, subscription).await;
    }
}

async fn look(inner: &Arc<Inner>, subscription: &Arc<Subscription>) {
    let _visit = Visit::new(inner, subscription);
    for _ in 0..WINDOWS {
        load::if_idle(inner, subscription).await;
        let now = inner.clock.now();
        let mut queue = subscription.queue.lock();
        let count = queue.expire_window(now);
        queue.next_look = queue.next_expiry().min(now.plus_millis(AGAIN_MS)).max(now);
        drop(subscription.finish(inner, queue));
        if count == 0 {
            return;
        }
    }
}
