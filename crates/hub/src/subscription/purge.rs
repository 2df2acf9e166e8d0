//! Purging: settling all that a subscription has, but for what is held.
//!
//! Called by [`Hub`](crate::Hub).

use std::sync::Arc;

use outflow_model::Offset;

use super::Subscription;
use super::apart::Apart;
use super::change::is_there;
use super::queue::Queue;
use crate::catalog::change::unavailable;
use crate::hub::Inner;
use crate::{CatalogError, Stream};

/// See [`Hub::purge_subscription`](crate::Hub::purge_subscription).
pub(crate) async fn purge(
    inner: &Arc<Inner>,
    subscription: &Arc<Subscription>,
) -> Result<u64, CatalogError> {
    is_there(inner, subscription)?;
    let (count, settling) = {
        // Whether events that a batch under way settles are done is known when it has ended.
        let _turn = subscription.turn.lock().await;
        let mut queue = subscription.queue.lock();
        let count = queue.purge(|stream| stream.bounds(&*inner.engine).ok().map(|b| b.next));
        (count, subscription.finish(inner, queue))
    };
    settling.await.map_err(unavailable)?;
    Ok(count)
}

impl Queue {
    /// Settles all events that nobody holds; `end` says where streams end. Says how many.
    fn purge(&mut self, end: impl Fn(&Stream) -> Option<Offset>) -> u64 {
        // What is kept for the owners of groups nobody has yet.
        let hands = self.hands.values_mut();
        let kept = hands.flat_map(|hand| std::mem::take(&mut hand.assigned)).collect();
        self.put_back(kept);
        self.unload_all();
        let mut count = 0;
        let held: Vec<(u32, Vec<Offset>)> = self
            .feeds
            .iter()
            .map(|feed| {
                let hands = self.hands.values().flat_map(|hand| hand.offsets_of(feed.key));
                let apart = feed
                    .apart
                    .iter()
                    .filter(|(_, (_, apart))| !matches!(apart, Apart::Scheduled(_)));
                (feed.key, hands.chain(apart.map(|(offset, _)| *offset)).collect())
            })
            .collect();
        for (key, held) in held {
            let Some(feed) = self.feed_mut(key) else { continue };
            let Some(end) = end(&feed.stream) else { continue };
            count += feed.place.open_before(end).saturating_sub(held.len() as u64);
            feed.place.raise(end);
            feed.loaded = feed.loaded.max(end);
            feed.counts.clear();
            feed.apart.remove_scheduled();
            (feed.forgotten, feed.again, feed.waits_for_again) = (None, None, false);
            held.into_iter().for_each(|offset| feed.place.reopen(offset));
        }
        self.needs_write = true;
        count
    }
}
