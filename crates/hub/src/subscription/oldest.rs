//! When the oldest event that is not done was taken, of subscriptions that nobody uses as well:
//! those have nothing in memory, and it is theirs that an operator asks about.
//!
//! Called by [`Hub::oldest_waiting`](crate::Hub::oldest_waiting), for lists: it may read one block of
//! each stream.

use std::sync::Arc;

use outflow_model::{Offset, Timestamp};

use super::Subscription;
use crate::Stream;
use crate::hub::Inner;

/// In how many streams of one subscription it is looked for.
const MAX_STREAMS: usize = 100;

/// See the module. `None` also where its streams are too many, or cannot be read.
pub(crate) async fn oldest(inner: &Inner, subscription: &Subscription) -> Option<Timestamp> {
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
        waiting.take(MAX_STREAMS + 1).collect()
    };
    if firsts.len() > MAX_STREAMS {
        return None;
    }
    let mut oldest = None;
    for (stream, first) in firsts {
        let taken = taken(inner, &stream, first).await?;
        oldest = Some(oldest.map_or(taken, |other: Timestamp| other.min(taken)));
    }
    oldest
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
