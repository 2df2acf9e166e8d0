//! A look at a subscription's events as of a moment.
//!
//! Made by [`Hub::browse`](crate::Hub::browse). Reads by itself, with a copy of the places: it takes
//! nothing, and sees what consumers hold as well. Where its selector or the subscription's takes long, it looks on
//! aside ([`aside::long`]), for who is served by the same thread.

mod shelf;

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

use outflow_model::{Grant, Offset, StreamId};
use outflow_store::Batch;

use super::feed::Feed;
use super::sight::Sight;
use super::{ConsumeError, Delivery, LeaseId, Subscription};
use crate::aside;
use crate::hub::Inner;
use crate::selector::Selector;
use shelf::{Asked, Next, Shelf};

/// See the module.
pub struct Browse {
    inner: Arc<Inner>,
    subscription: Arc<Subscription>,
    asked: Arc<Asked>,
    /// Its streams; without the one that is looked at aside.
    shelves: Vec<Option<Shelf>>,
    aside: Option<Aside>,
    /// How many steps it may take before it goes on aside.
    steps: usize,
    /// How many events were looked at since others could run.
    seen: usize,
}

/// A shelf that is looked at aside, and which it is. `None` comes back where the server stops.
struct Aside {
    at: usize,
    shelf: Pin<Box<dyn Future<Output = Option<Shelf>> + Send>>,
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
        Some(Some(Shelf::new(copy, bounds.next)))
    };
    let shelves = queue.feeds.iter().filter_map(shelf).collect();
    let (settings, now) = (queue.settings.clone(), inner.clock.now());
    drop(queue);
    let (inner, subscription) = (inner.clone(), subscription.clone());
    let asked = Arc::new(Asked { settings, selector, sight, now });
    let steps = inner.options.max_steps.max(1);
    Browse { inner, subscription, asked, shelves, aside: None, steps, seen: 0 }
}

impl Browse {
    /// Where the streams ended when it was made.
    pub(super) fn ends(&self) -> BTreeMap<StreamId, Offset> {
        let shelves = self.shelves.iter().flatten();
        shelves.map(|shelf| (shelf.feed.stream.id, shelf.end())).collect()
    }

    /// The next event; `None` at the end. Its lease settles nothing. Cancel-safe.
    pub async fn next(&mut self) -> Option<Delivery> {
        self.seen += 1;
        // Before an event is taken: who stops waiting here loses none.
        if self.seen.is_multiple_of(256) {
            tokio::task::yield_now().await;
        }
        self.find().await;
        let heads = self.shelves.iter().enumerate();
        let heads = heads.filter_map(|(at, shelf)| Some((shelf.as_ref()?.first()?.at, at)));
        let (_, at) = heads.min()?;
        let shelf = self.shelves.get_mut(at)?.as_mut()?;
        let (entry, event) = shelf.take()?;
        Some(Delivery {
            lease: LeaseId(0),
            subscription: self.subscription.id(),
            stream: shelf.feed.stream.clone(),
            event,
            // As who took it next would see it: what it is given to was not one of them.
            deliveries: entry.deliveries.saturating_add(1),
            redelivered: false,
            deadline: None,
            first_of_group: false,
        })
    }

    /// Makes sure that every stream that has more shows its next event.
    async fn find(&mut self) {
        for at in 0..self.shelves.len() {
            loop {
                self.wait().await;
                let Some(Some(shelf)) = self.shelves.get_mut(at) else { break };
                let steps = Cell::new(self.steps);
                let next = shelf.go_on(&self.asked, &steps);
                self.steps = steps.get();
                match next {
                    Next::Found | Next::End => break,
                    Next::Read(from) => {
                        let (stream, chunk) =
                            (shelf.feed.stream.id, self.inner.options.read_chunk_bytes);
                        let read = self.inner.engine.read(stream, from, chunk).await;
                        shelf.fill(read);
                        // Much of it may be passed over.
                        tokio::task::yield_now().await;
                    }
                    Next::Spent => self.set_aside(at),
                }
            }
        }
    }

    /// Looks on at a shelf aside, to what it finds next or the end of what was read.
    fn set_aside(&mut self, at: usize) {
        let Some(mut shelf) = self.shelves.get_mut(at).and_then(Option::take) else { return };
        let (turns, project) = (self.inner.looks.clone(), self.subscription.project().clone());
        let (asked, max) = (self.asked.clone(), self.inner.options.max_steps.max(1));
        let look = move |pause: &mut dyn FnMut()| {
            let steps = Cell::new(max);
            while shelf.go_on(&asked, &steps) == Next::Spent {
                pause();
                steps.set(max);
            }
            shelf
        };
        self.aside = Some(Aside { at, shelf: Box::pin(aside::long(turns, project, look)) });
    }

    /// Waits for the shelf that is looked at aside.
    async fn wait(&mut self) {
        let Some(Aside { at, shelf }) = &mut self.aside else { return };
        let (at, back) = (*at, shelf.await);
        self.aside = None;
        if let Some(shelf) = self.shelves.get_mut(at) {
            *shelf = back;
        }
        self.steps = self.inner.options.max_steps.max(1);
    }
}
