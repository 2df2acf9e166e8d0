//! Publishes and answers stored together or not at all.
//!
//! Called by `burial` and `transaction`; calls the engine once. While such a batch is on its way,
//! its subscriptions write no places: an answer given meanwhile is written when its outcome is
//! known, so that no place on the disk ever counts an event as done whose batch has failed.
//!
//! Invariants: locks are taken in one order: subscriptions by number, then streams by number. What
//! is published again here was stored before, never "perhaps": a copy of an event that is on its way
//! in another batch waits for the outcome of that before anything of the joint is queued.

use std::collections::BTreeMap;
use std::sync::Arc;

use outflow_model::{Draft, Offset};
use outflow_store::{Append, AppendError, Batch, Durability, Op};
use parking_lot::MutexGuard;
use tokio::sync::OwnedSemaphorePermit;

use super::directory::Ordered;
use super::queue::Queue;
use super::{Subscription, TransactionError};
use crate::dedup::Flight;
use crate::hub::Inner;
use crate::publish::{self, Trip};
use crate::stream::lock_orders;
use crate::{PublishError, Receipt, Stream};

/// Events of one subscription that will be done.
#[derive(Debug, Default)]
pub(crate) struct Part {
    pub(crate) done: Vec<(u32, Offset)>,
}

/// What is to be stored. See the module.
#[derive(Debug, Default)]
pub(crate) struct Joint {
    pub(crate) publishes: Vec<(Arc<Stream>, Draft)>,
    pub(crate) parts: BTreeMap<Ordered, Part>,
    /// What else is stored with it.
    pub(crate) ops: Vec<Op>,
}

/// A joint that is queued.
struct Queued {
    commit: outflow_store::Commit,
    receipts: Vec<Receipt>,
    trips: Vec<Trip>,
    /// On which pages of its subscriptions it is written.
    pages: Vec<u64>,
}

/// Stores a joint, whose bytes count in `permit` until that is decided. `after` is called for each of its subscriptions with the outcome, under its lock
/// and before anybody else can see it.
pub(crate) async fn commit(
    inner: &Arc<Inner>,
    joint: Joint,
    permit: OwnedSemaphorePermit,
    after: impl Fn(&Arc<Subscription>, &mut Queue, bool),
) -> Result<Vec<Receipt>, TransactionError> {
    // One joint at a time for each subscription.
    let subscriptions: Vec<Ordered> = joint.parts.keys().cloned().collect();
    let mut turns = Vec::with_capacity(subscriptions.len());
    for one in &subscriptions {
        turns.push(one.0.turn.lock().await);
    }
    let (outcome, pages) = match queue(inner, joint, permit).await {
        Ok(mut queued) => {
            let pages = std::mem::take(&mut queued.pages);
            (arrive(queued).await, pages)
        }
        Err(error) => (Err(error.into()), Vec::new()),
    };
    for (at, one) in subscriptions.iter().enumerate() {
        let subscription = &one.0;
        let mut queue = subscription.queue.lock();
        queue.on_hold = false;
        if let Some(&page) = pages.get(at) {
            queue.landed(page, outcome.is_ok(), inner.clock.passed());
        }
        after(subscription, &mut queue, outcome.is_ok());
        subscription.release_deferred(inner, queue);
    }
    drop(turns);
    outcome
}

async fn arrive(queued: Queued) -> Result<Vec<Receipt>, TransactionError> {
    let Queued { commit, receipts, mut trips, .. } = queued;
    let result = commit.await;
    trips.iter_mut().for_each(|trip| trip.end(&result));
    if let Err(error) = result {
        return Err(match error {
            AppendError::UnknownStream(_) => PublishError::NotFound.into(),
            error => super::SettleError::from(error).into(),
        });
    }
    Ok(receipts)
}

/// Queues the joint, once all its streams can give out offsets.
async fn queue(
    inner: &Arc<Inner>,
    mut joint: Joint,
    permit: OwnedSemaphorePermit,
) -> Result<Queued, PublishError> {
    loop {
        for (stream, draft) in &joint.publishes {
            let dedup = publish::dedup_of(stream, draft);
            publish::prepare(inner, stream, dedup, None).await?;
        }
        match try_queue(inner, &mut joint)? {
            Tried::Queued(mut queued) => {
                // The bytes count until the commit is decided.
                let commit = queued.commit;
                queued.commit = Box::pin(async move {
                    let result = commit.await;
                    drop(permit);
                    result
                });
                return Ok(queued);
            }
            // When one fails its events are new, and stored with the joint.
            Tried::Waits(flights) => {
                for flight in flights {
                    flight.landed().await;
                }
            }
            // A stream's window was reset meanwhile.
            Tried::Unprepared => tokio::task::yield_now().await,
        }
    }
}

/// What came of trying to queue a joint. Unless it is queued nothing has happened.
enum Tried {
    Queued(Queued),
    /// It holds copies of events that are on their way in these.
    Waits(Vec<Flight>),
    /// A stream must be prepared first.
    Unprepared,
}

/// Gives all drafts their offsets and queues the batch, under all locks.
fn try_queue(inner: &Arc<Inner>, joint: &mut Joint) -> Result<Tried, PublishError> {
    let mut queues: Vec<(&Ordered, &Part, MutexGuard<'_, Queue>)> =
        joint.parts.iter().map(|(one, part)| (one, part, one.0.queue.lock())).collect();
    let streams: Vec<Arc<Stream>> =
        joint.publishes.iter().map(|(stream, _)| stream.clone()).collect();
    let mut orders = lock_orders(&streams);
    let is_ready = joint.publishes.iter().all(|(stream, draft)| {
        let order = orders.get(&stream.id);
        order.is_some_and(|order| order.is_ready(publish::dedup_of(stream, draft)))
    });
    if !is_ready {
        return Ok(Tried::Unprepared);
    }
    let mut waits = Vec::new();
    for (stream, draft) in &joint.publishes {
        let order = orders.get(&stream.id).filter(|_| publish::dedup_of(stream, draft).is_some());
        waits.extend(order.into_iter().flat_map(|order| order.copies_on_their_way(draft)));
    }
    if !waits.is_empty() {
        return Ok(Tried::Waits(waits));
    }
    let (mut receipts, mut trips) = (Vec::new(), Vec::new());
    let mut ops = std::mem::take(&mut joint.ops);
    for (stream, draft) in &mut joint.publishes {
        let Some(order) = orders.get_mut(&stream.id) else { continue };
        let dedup = publish::dedup_of(stream, draft);
        let stamped = match publish::stamp(inner, stream, order, draft, dedup, None) {
            Some(Ok(stamped)) => stamped,
            Some(Err(error)) => {
                drop(orders);
                let gone = Err(AppendError::Invalid("a part of it was refused"));
                trips.iter_mut().for_each(|trip: &mut Trip| trip.end(&gone));
                return Err(error);
            }
            None => continue,
        };
        receipts.push(stamped.receipt);
        trips.extend(stamped.trip);
        // Those that are left are of the joint itself.
        ops.extend(stamped.append.map(|append: Append| Op::Append(append)));
        ops.extend(stamped.senders);
    }
    let mut pages = Vec::with_capacity(queues.len());
    for (one, part, queue) in &mut queues {
        for &(feed, offset) in &part.done {
            queue.done(feed, offset);
        }
        one.0.write_places(queue, &mut ops);
        queue.on_hold = true;
        pages.push(queue.began());
    }
    let commit = inner.engine.submit(Batch { ops, durability: Durability::Synced, fence: None });
    Ok(Tried::Queued(Queued { commit, receipts, trips, pages }))
}

impl Queue {
    /// The event is not done after all.
    pub(crate) fn undo(&mut self, key: u32, offset: Offset) {
        if let Some(feed) = self.feed_mut(key) {
            feed.place.reopen(offset);
            self.needs_write = true;
        }
    }
}
