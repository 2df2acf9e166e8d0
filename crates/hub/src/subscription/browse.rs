//! A look at a subscription's events as of a moment.
//!
//! Made by [`Hub::browse`](crate::Hub::browse). Reads by itself, with a copy of the places: it takes
//! nothing, and sees what consumers hold as well.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::Arc;

use outflow_model::{Grant, Offset, StreamId, Timestamp};
use outflow_store::{Batch, ReadError};

use super::feed::{Feed, Loaded};
use super::properties::Candidate;
use super::queue::Queue;
use super::sight::Sight;
use super::{ConsumeError, Delivery, LeaseId, Subscription, SubscriptionSettings};
use crate::hub::Inner;
use crate::selector::Selector;

/// One stream of the look.
struct Shelf {
    feed: Feed,
    end: Offset,
}

/// See the module.
pub struct Browse {
    inner: Arc<Inner>,
    subscription: Arc<Subscription>,
    settings: Arc<SubscriptionSettings>,
    selector: Option<Selector>,
    sight: Arc<Sight>,
    shelves: Vec<Shelf>,
    now: Timestamp,
    /// How many events were looked at since others could run.
    seen: usize,
}

impl fmt::Debug for Browse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Browse({:?})", self.subscription)
    }
}

/// See [`Hub::browse`](crate::Hub::browse).
pub(crate) async fn browse(
    inner: &Arc<Inner>,
    grant: &Grant,
    subscription: &Arc<Subscription>,
    selector: Option<Selector>,
) -> Result<Browse, ConsumeError> {
    let sight = Arc::new(inner.may_consume(grant, subscription)?);
    if has_more_to_come(inner, subscription) {
        // Batches are answered in the order they were queued in, this one behind the events.
        let shown = inner.engine.submit(Batch::default()).await;
        shown.map_err(|error| ConsumeError::Unavailable(error.to_string()))?;
    }
    Ok(of(inner, subscription, selector, sight, &BTreeMap::new()))
}

/// Whether there are events that have their offsets and cannot be read yet. One that does not wait
/// for the disk is acknowledged before it can be read: who was told of it and looks must see it.
fn has_more_to_come(inner: &Inner, subscription: &Subscription) -> bool {
    let streams: Vec<_> =
        subscription.queue.lock().feeds.iter().map(|feed| feed.stream.clone()).collect();
    streams.iter().any(|stream| {
        stream.bounds(&*inner.engine).is_ok_and(|bounds| {
            let end = stream.lane.order.lock().end(bounds.next);
            end > bounds.next
        })
    })
}

/// The look of a caller who sees so much, at each stream from where `from` says.
pub(super) fn of(
    inner: &Arc<Inner>,
    subscription: &Arc<Subscription>,
    selector: Option<Selector>,
    sight: Arc<Sight>,
    from: &BTreeMap<StreamId, Offset>,
) -> Browse {
    let queue = subscription.queue.lock();
    let shelf = |feed: &Feed| {
        let bounds = feed.stream.bounds(&*inner.engine).ok()?;
        let place = feed.place.clone();
        let mut copy = Feed::new(feed.key, feed.stream.clone(), feed.filter.clone(), place);
        let from = from.get(&feed.stream.id).copied().unwrap_or(Offset::ZERO);
        copy.skip_to(bounds.start.max(from));
        // How often each was handed out is for who looks to see, too.
        let given = feed.ready.iter().filter(|entry| entry.deliveries > 0);
        copy.counts.clone_from(&feed.counts);
        copy.counts.extend(given.map(|entry| (entry.offset, entry.deliveries)));
        Some(Shelf { feed: copy, end: bounds.next })
    };
    let shelves = queue.feeds.iter().filter_map(shelf).collect();
    let (settings, now) = (queue.settings.clone(), inner.clock.now());
    drop(queue);
    let (inner, subscription) = (inner.clone(), subscription.clone());
    Browse { inner, subscription, settings, selector, sight, shelves, now, seen: 0 }
}

impl Browse {
    /// Where the streams ended when it was made.
    pub(super) fn ends(&self) -> BTreeMap<StreamId, Offset> {
        self.shelves.iter().map(|shelf| (shelf.feed.stream.id, shelf.end)).collect()
    }

    /// The next event; `None` at the end. Its lease settles nothing. Cancel-safe.
    pub async fn next(&mut self) -> Option<Delivery> {
        loop {
            self.fill().await;
            self.seen += 1;
            // Before an event is taken: who stops waiting here loses none.
            if self.seen.is_multiple_of(256) {
                tokio::task::yield_now().await;
            }
            let heads = self.shelves.iter().enumerate();
            let heads = heads.filter_map(|(at, shelf)| Some((shelf.feed.ready.front()?.at, at)));
            let (_, at) = heads.min()?;
            let shelf = self.shelves.get_mut(at)?;
            let entry = shelf.feed.ready.pop_front()?;
            let stream = shelf.feed.stream.clone();
            if entry.offset >= shelf.end {
                shelf.feed.ready = VecDeque::new();
                shelf.feed.at_end = true;
                continue;
            }
            let Some(event) = entry.view() else { continue };
            let candidate =
                Candidate { event: &event, stream: &stream.name, deliveries: entry.deliveries };
            let is_wanted = self.selector.as_ref().is_none_or(|one| candidate.suits(one));
            if is_wanted && self.sight.sees(&event, self.now) && entry.expires > self.now {
                return Some(Delivery {
                    lease: LeaseId(0),
                    subscription: self.subscription.id(),
                    stream,
                    event,
                    // As who took it next would see it: what it is given to was not one of them.
                    deliveries: entry.deliveries.saturating_add(1),
                    redelivered: false,
                    deadline: None,
                    first_of_group: false,
                });
            }
        }
    }

    /// Makes sure that every stream that has more shows its next event.
    async fn fill(&mut self) {
        let Self { inner, settings, shelves, now, .. } = self;
        for Shelf { feed, end } in shelves {
            while feed.ready.is_empty() && !feed.at_end && feed.loaded < *end {
                let from = feed.loaded;
                let chunk = inner.options.read_chunk_bytes;
                let resume = match inner.engine.read(feed.stream.id, from, chunk).await {
                    Ok(read) => {
                        // Scheduled events are not looked at: none is remembered.
                        let sieve = Queue::sieve(settings, 0, *now);
                        let taken = feed.accept(from, &read, sieve, &mut Loaded::default());
                        taken.err().map(|(_, resume)| resume)
                    }
                    Err(
                        ReadError::Trimmed { start: resume } | ReadError::Damaged { resume, .. },
                    ) => Some(resume),
                    Err(ReadError::UnknownStream(_) | ReadError::Io(_)) => Some(*end),
                };
                resume.into_iter().for_each(|resume| feed.skip_to(resume));
                if feed.loaded <= from {
                    feed.at_end = true;
                }
            }
        }
    }
}
