//! Publishing: from a rendered draft to durable events with offsets.
//!
//! Called by [`Hub::publish`](crate::Hub::publish). A batch waits for its share of the memory,
//! then, under the stream's lock, copies are found, offsets and time stamped, and the batch queued
//! at the engine, so the order of offsets is the order of commits. The commit is awaited outside.
//!
//! Invariants: an offset is given out once, so a failed batch leaves a gap; the processed time
//! never falls within a stream; a copy is answered only when the first one is durable; an id whose
//! batch failed is forgotten even when its publisher has gone away meanwhile.

mod admission;
mod order;
mod prepare;

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use outflow_model::{Action, Draft, Grant, Offset, StreamId};
use outflow_store::{Append, AppendError, Batch, Commit, Durability, Op};
use tokio::time::Instant;

use crate::dedup::{Flight, Landing};
use crate::hub::{Inner, reach};
use crate::keyed::publish::{Departure, KeyedDraft, is_as_known};
use crate::keyed::ticks::Taken;
use crate::metrics::Metrics;
use crate::stream::Lane;
use crate::{Dedup, PublishError, Stream};

/// Where one event of a draft is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Placed {
    /// Its offset; for a copy, the first one's.
    pub offset: Offset,
    /// Whether it is a copy of an event taken before, and was not stored again.
    pub duplicate: bool,
}

/// The answer to a publish: every event is durable (or queued, on a relaxed stream).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Receipt {
    /// The events, in the order of the draft.
    pub events: Vec<Placed>,
}

/// A publish under way: resolves when its events are durable (or queued, when relaxed). The batch
/// is stored whether or not it is awaited.
pub type Publishing = Pin<Box<dyn Future<Output = Result<Receipt, PublishError>> + Send>>;

pub use admission::PublishRoom;
pub(crate) use admission::{Shares, admit, admit_reading, may_publish, room_for};
pub(crate) use order::Order;
use order::{consecutive, weed};
pub(crate) use prepare::{last_taken, prepare, prepare_senders};

/// See [`Hub::publish`](crate::Hub::publish).
pub(crate) async fn publish(
    inner: &Inner,
    grant: &Grant,
    stream: &Stream,
    draft: Draft,
    room: Option<PublishRoom>,
) -> Result<Receipt, PublishError> {
    may_publish(grant, stream)?;
    let sent = send(inner, stream, draft, None, room).await?;
    sent.arrive().await
}

/// See [`Hub::ingest`](crate::Hub::ingest).
pub(crate) async fn ingest(
    inner: &Inner,
    grant: &Grant,
    stream: &Stream,
    draft: Draft,
) -> Result<Receipt, PublishError> {
    reach(grant, Action::Publish, stream)?;
    if stream.settings.ingest.is_none() {
        return Err(PublishError::NotFound);
    }
    let sent = send(inner, stream, draft, None, None).await?;
    sent.arrive().await
}

/// See [`Hub::enqueue`](crate::Hub::enqueue).
pub(crate) async fn enqueue(
    inner: &Inner,
    grant: &Grant,
    stream: &Stream,
    draft: Draft,
    durability: Option<Durability>,
) -> Result<Publishing, PublishError> {
    may_publish(grant, stream)?;
    let sent = send(inner, stream, draft, durability, None).await?;
    Ok(Box::pin(sent.arrive()))
}

/// A draft on its way.
struct Sent {
    placement: Placement,
    began: Instant,
    bytes: usize,
    stream: StreamId,
    metrics: Arc<Metrics>,
}

/// Gives the draft its offsets and queues it, in `room` where that was asked for before.
async fn send(
    inner: &Inner,
    stream: &Stream,
    mut draft: Draft,
    durability: Option<Durability>,
    room: Option<PublishRoom>,
) -> Result<Sent, PublishError> {
    let (began, bytes) = (Instant::now(), draft.bytes());
    let (metrics, id) = (inner.metrics.clone(), stream.id);
    if draft.is_empty() {
        let placement = Placement { receipt: Receipt::default(), trip: None, flights: Vec::new() };
        return Ok(Sent { placement, began, bytes, stream: id, metrics });
    }
    let keyed = KeyedDraft::read(inner, stream, &mut draft)?;
    // What does not do is given back first: nobody waits for room with room in hand.
    let mut room = match room.and_then(|room| room.fit(bytes)) {
        Some(room) => room,
        None => room_for(inner, stream, bytes).await?,
    };
    let turn = match &keyed {
        Some(keyed) => Some(keyed.gather(inner, stream, &mut room.room).await?),
        None => None,
    };
    let (dedup, mut room) = (dedup_of(stream, &draft), Some(room));
    let placement = loop {
        match place(inner, stream, &mut draft, dedup, durability, keyed.as_ref(), &mut room) {
            Some(placement) => break placement?,
            None => prepare(inner, stream, dedup, keyed.as_ref()).await?,
        }
    };
    drop(turn);
    Ok(Sent { placement, began, bytes, stream: id, metrics })
}

/// How copies in the draft are recognised: not at all when it holds no id of its publisher's.
pub(crate) fn dedup_of(stream: &Stream, draft: &Draft) -> Option<Dedup> {
    let has_own_ids = || (0..draft.len()).any(|index| draft.has_own_id(index));
    stream.settings.dedup.filter(|_| has_own_ids())
}

impl Sent {
    /// Waits for the commit, and for those of the first ones of its copies.
    async fn arrive(self) -> Result<Receipt, PublishError> {
        let Self { placement, began, bytes, stream, metrics } = self;
        let Placement { receipt, trip, flights } = placement;
        if let Some(trip) = trip {
            let stored = trip.next.get() - trip.first.get();
            if let Err(error) = trip.finish().await {
                metrics.commits_failed.inc();
                return Err(refused(stream, error));
            }
            metrics.published(stored, bytes as u64, began.elapsed());
        }
        let copies = receipt.events.iter().filter(|event| event.duplicate).count();
        metrics.duplicates.inc_by(copies as u64);
        landed(flights).await?;
        Ok(receipt)
    }
}

/// Waits for batches of others that hold the first ones of our copies.
async fn landed(flights: Vec<Flight>) -> Result<(), PublishError> {
    for flight in flights {
        if !flight.landed().await {
            return Err(PublishError::Unavailable(
                "the first copy of an event was not stored".into(),
            ));
        }
    }
    Ok(())
}

/// A draft that has its offsets.
struct Placement {
    receipt: Receipt,
    /// The batch on its way; `None` when the draft held copies only.
    trip: Option<Trip>,
    /// Batches of others that hold the first ones of our copies.
    flights: Vec<Flight>,
}

/// Gives the draft its offsets and queues it, in one go under the stream's lock. `None`: the
/// stream must be [`prepare()`]d first.
fn place(
    inner: &Inner,
    stream: &Stream,
    draft: &mut Draft,
    dedup: Option<Dedup>,
    durability: Option<Durability>,
    keyed: Option<&KeyedDraft>,
    room: &mut Option<PublishRoom>,
) -> Option<Result<Placement, PublishError>> {
    let mut order = stream.lane.order.lock();
    let stamped = match stamp(inner, stream, &mut order, draft, dedup, keyed)? {
        Ok(stamped) => stamped,
        Err(error) => return Some(Err(error)),
    };
    let Stamped { receipt, append, senders, mut taken, mut trip, flights } = stamped;
    if let (Some(append), Some(trip)) = (append, &mut trip) {
        let durability = match keyed {
            // The table would show states that a crash takes back.
            Some(_) => Durability::Synced,
            None => durability.unwrap_or(stream.settings.durability),
        };
        let mut ops = Vec::with_capacity(1);
        if let (Some(keyed), Some(taken)) = (keyed, &mut taken) {
            match keyed.merge(inner, stream, &receipt.events, &append, taken.first) {
                Ok(states) => {
                    let noted = keyed.tell(inner, stream, &receipt.events, &append, &mut ops);
                    let lane = &stream.lane;
                    trip.departure =
                        Some(Departure::new(lane, keyed, states, taken, noted, &mut ops));
                }
                Err(error) => {
                    drop(order);
                    trip.end(&Err(AppendError::Invalid("an entity cannot be stored")));
                    return Some(Err(error));
                }
            }
        }
        ops.push(Op::Append(append));
        ops.extend(senders);
        let batch = Batch { ops, durability, fence: None };
        (trip.commit, trip.room) = (Some(inner.engine.submit(batch)), room.take());
        drop(taken);
    }
    Some(Ok(Placement { receipt, trip, flights }))
}

/// A draft that has its offsets, not queued yet.
pub(crate) struct Stamped<'a> {
    pub(crate) receipt: Receipt,
    /// What is to be stored; `None`, as `trip`, when the draft held copies only.
    pub(crate) append: Option<Append>,
    /// How far the senders have come, where that is to be stored with it.
    pub(crate) senders: Option<Op>,
    /// The ticks of a keyed stream's events.
    pub(crate) taken: Option<Taken<'a>>,
    pub(crate) trip: Option<Trip>,
    /// Batches of others that hold the first ones of our copies.
    pub(crate) flights: Vec<Flight>,
}

/// Gives the draft its offsets; whoever holds `order`, the stream's, must queue it before letting
/// go of it. `None`: the stream must be [`prepare()`]d first; the draft is as it was.
pub(crate) fn stamp<'a>(
    inner: &Inner,
    stream: &Stream,
    order: &mut Order,
    draft: &mut Draft,
    dedup: Option<Dedup>,
    keyed: Option<&'a KeyedDraft>,
) -> Option<Result<Stamped<'a>, PublishError>> {
    let lane = &stream.lane;
    if lane.deleted.load(Ordering::Acquire) {
        return Some(Err(PublishError::NotFound));
    }
    if lane.landing.is_ending() {
        return Some(Err(PublishError::Unavailable("the stream is about to be deleted".into())));
    }
    if !is_as_known(lane, keyed) {
        return Some(Err(PublishError::Keyed));
    }
    if !order.is_ready(dedup) || keyed.is_some_and(|keyed| !keyed.ticks.is_ready()) {
        return None;
    }
    let first = order.next;
    if Offset::LAST.get().saturating_sub(first.get()) < draft.len() as u64 {
        return Some(Err(PublishError::Exhausted));
    }
    let mut now = inner.clock.now().max(order.last);
    let (receipt, flights) = match dedup {
        Some(dedup) => weed(&mut order.window, draft, dedup, first, now),
        None => (consecutive(first, draft.len()), Vec::new()),
    };
    let count = draft.len();
    if count == 0 {
        let (append, senders, taken, trip) = (None, None, None, None);
        return Some(Ok(Stamped { receipt, append, senders, taken, trip, flights }));
    }
    let next = first.plus(count as u64);
    let mut taken = None;
    if let Some(keyed) = keyed {
        let Some(ticks) = keyed.ticks.take(count as u64, now) else {
            order.window.unsee(first, next);
            return Some(Err(PublishError::Exhausted));
        };
        now = ticks.now;
        draft.stamp_ticks(ticks.first);
        taken = Some(ticks);
    }
    (order.next, order.last) = (next, now);
    let senders = dedup.and_then(|_| order.window.senders.due(stream.id, next));
    draft.stamp(first, now);
    let (lines, metas) = std::mem::take(draft).into_parts();
    let (lines, metas) = (lines.into(), metas.into());
    let append = Append { stream: stream.id, first, count: count as u32, at: now, lines, metas };
    let landing = dedup.map(|_| order.window.depart(first, next));
    let lane = lane.clone();
    let trip = Trip { lane, first, next, commit: None, landing, departure: None, room: None };
    let (append, trip) = (Some(append), Some(trip));
    Some(Ok(Stamped { receipt, append, senders, taken, trip, flights }))
}

/// A batch on its way to the disk.
pub(crate) struct Trip {
    lane: Arc<Lane>,
    pub(crate) first: Offset,
    pub(crate) next: Offset,
    commit: Option<Commit>,
    landing: Option<Landing>,
    /// The states of entities that are stored with it.
    departure: Option<Departure>,
    /// Its share of the memory, given back at the end.
    room: Option<PublishRoom>,
}

impl Trip {
    /// Waits for the commit.
    async fn finish(mut self) -> Result<(), AppendError> {
        let Some(commit) = &mut self.commit else { return Ok(()) };
        let result = commit.await;
        self.commit = None;
        self.end(&result);
        result
    }

    /// Takes note of how the commit ended.
    pub(crate) fn end(&mut self, result: &Result<(), AppendError>) {
        if *result == Err(AppendError::Conflict) {
            // Our idea of the stream's end is wrong; ask again before the next batch.
            self.lane.order.lock().primed = false;
        }
        self.land(result.is_ok());
    }

    /// Settles what copies wait for.
    fn land(&mut self, landed: bool) {
        if let Some(departure) = self.departure.take() {
            departure.arrive(&self.lane, landed);
        }
        let Some(landing) = self.landing.take() else { return };
        let mut order = self.lane.order.lock();
        order.window.arrive(&landing);
        if !landed {
            order.window.unsee(self.first, self.next);
        }
        drop(order);
        landing.tell(landed);
    }
}

impl Drop for Trip {
    /// The publisher has gone away before the commit was decided: someone must still forget the
    /// ids should it fail, or a later copy would be taken for stored, and let go of its entities.
    fn drop(&mut self) {
        let (commit, landing) = (self.commit.take(), self.landing.take());
        let departure = self.departure.take();
        if commit.is_none() || (landing.is_none() && departure.is_none()) {
            return;
        }
        let rest = Self {
            lane: self.lane.clone(),
            first: self.first,
            next: self.next,
            commit,
            landing,
            departure,
            room: self.room.take(),
        };
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(rest.finish());
        } else {
            // Without a runtime nobody publishes any more.
            std::mem::forget(rest);
        }
    }
}

pub(crate) fn refused(stream: StreamId, error: AppendError) -> PublishError {
    match error {
        AppendError::UnknownStream(_) => PublishError::NotFound,
        AppendError::Invalid(reason) => PublishError::Refused(reason),
        AppendError::Stopped(reason) => {
            tracing::error!(%stream, %reason, "the engine has stopped");
            PublishError::Uncertain(reason)
        }
        AppendError::Fenced
        | AppendError::Conflict
        | AppendError::Throttled
        | AppendError::Full => PublishError::Unavailable(error.to_string()),
    }
}
