//! When the oldest event that is not done was taken, of subscriptions that nobody uses as well:
//! those have nothing in memory, and it is theirs that an operator asks about.
//!
//! Called by [`Hub::oldest_waiting`](crate::Hub::oldest_waiting) and
//! [`Hub::waiting_by_stream`](crate::Hub::waiting_by_stream), for lists: it may read one block of each
//! stream.

use std::sync::Arc;

use outflow_model::{Offset, StreamName, Timestamp};

use super::Subscription;
use crate::Stream;
use crate::hub::Inner;

/// In how many streams of one subscription it is looked for.
const MAX_STREAMS: usize = 100;

/// See the module. `None` also where its streams are too many, or cannot be read.
pub(crate) async fn oldest(inner: &Inner, subscription: &Subscription) -> Option<Timestamp> {
    oldest_within(inner, subscription, MAX_STREAMS).await
}

/// As [`oldest`], of a subscription that has something to wait in so many streams at most.
pub(crate) async fn oldest_within(
    inner: &Inner,
    subscription: &Subscription,
    max_streams: usize,
) -> Option<Timestamp> {
    let firsts: Vec<(Arc<Stream>, Offset)> = {
        let queue = subscription.queue.lock();
        if let Some(known) = queue.oldest() {
            return Some(known);
        }
        let waiting = queue.feeds.iter().filter_map(|feed| {
            let bounds = feed.stream.bounds(&*inner.engine).ok()?;
            let first = feed.place.floor().max(bounds.start);
            (first < bounds.next).then(|| (feed.stream.clone(), first))
        });
        waiting.take(max_streams + 1).collect()
    };
    if firsts.len() > max_streams {
        return None;
    }
    let mut oldest = None;
    for (stream, first) in firsts {
        let taken = taken(inner, &stream, first).await?;
        oldest = Some(oldest.map_or(taken, |other: Timestamp| other.min(taken)));
    }
    oldest
}

/// What waits of one stream of a subscription.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamBacklog {
    /// The stream.
    pub stream: StreamName,
    /// Its events that are not settled, held ones included.
    pub backlog: u64,
    /// When the oldest of them was taken, in so far as that can be read.
    pub oldest: Option<Timestamp>,
}

/// What waits of each stream, in order of their making known to the subscription.
pub(crate) async fn by_stream(inner: &Inner, subscription: &Subscription) -> Vec<StreamBacklog> {
    let counted: Vec<(Arc<Stream>, Offset, u64)> = {
        let queue = subscription.queue.lock();
        let count = |feed: &super::feed::Feed| {
            let bounds = feed.stream.bounds(&*inner.engine).ok();
            let first = bounds.map_or(Offset::ZERO, |bounds| feed.place.floor().max(bounds.start));
            (feed.stream.clone(), first, feed.backlog(inner))
        };
        queue.feeds.iter().map(count).collect()
    };
    let mut all = Vec::with_capacity(counted.len());
    for (at, (stream, first, backlog)) in counted.into_iter().enumerate() {
        let is_looked_for = backlog > 0 && at < MAX_STREAMS;
        let oldest = if is_looked_for { taken(inner, &stream, first).await } else { None };
        all.push(StreamBacklog { stream: stream.name.clone(), backlog, oldest });
    }
    all
}

/// When the first event from `offset` on was taken.
async fn taken(inner: &Inner, stream: &Stream, offset: Offset) -> Option<Timestamp> {
    let read = inner.engine.read(stream.id, offset, 1).await.ok()?;
    for block in read.blocks {
        let metas = block.metas().ok()?;
        let first = metas.iter().find(|meta| meta.offset >= offset);
        if let Some(first) = first {
            return Some(first.processed);
        }
    }
    None
}
