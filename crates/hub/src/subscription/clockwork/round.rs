//! The round: what is looked at in all subscriptions, every [`ROUND`](super::ROUND).
//!
//! Called by the clockwork. What takes long is left to tasks beside it, at most one of each kind,
//! so that no alarm waits for a disk.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use outflow_model::{StreamId, StreamName, Timestamp};
use outflow_store::{Batch, Condition, Op, Put};
use tokio::task::JoinHandle;

use super::Clockwork;
use crate::hub::Inner;
use crate::publish::prepare_senders;
use crate::subscription::feed::Feed;
use crate::subscription::patrol::{self, LOOKS};
use crate::subscription::timetable::Now;
use crate::subscription::writing::Writing;
use crate::subscription::{Subscription, change, directory, record};
use crate::{CatalogError, PublishError, Stream};

/// A window that nobody has used for so long is let go of.
const UNLOAD_AFTER_MS: i64 = 10_000;
/// A floor that has moved by so much without an answer is written.
const UNWRITTEN: u64 = 4_096;
/// How many subscriptions are looked at before others may run.
const STRETCH: usize = 256;

/// Looks at all subscriptions. Gives the tasks that it has left the rest to.
pub(super) async fn round(inner: &Arc<Inner>, now: Now) -> Vec<JoinHandle<()>> {
    let all = inner.subscriptions.directory.read().all();
    let mut owned: BTreeMap<StreamId, Arc<Stream>> = BTreeMap::new();
    let (mut over, mut left) = (Vec::new(), Vec::new());
    for (index, subscription) in all.iter().enumerate() {
        if index % STRETCH == STRETCH - 1 {
            tokio::task::yield_now().await;
        }
        let seen = look_at(inner, subscription, now);
        if seen.owns {
            owned.extend(subscription.streams().into_iter().map(|stream| (stream.id, stream)));
        }
        if seen.wants_look {
            left.push(subscription.clone());
        }
        if idle(inner, subscription, now) {
            over.push(subscription.clone());
        }
    }
    let clockwork = &inner.subscriptions.clockwork;
    rest(inner, now.day).await;
    let mut tasks = Vec::new();
    if let Ok(turn) = clockwork.trimming.clone().try_lock_owned() {
        let inner = inner.clone();
        tasks.push(tokio::spawn(async move {
            trim_owned(&inner, owned.into_values(), now).await;
            drop(turn);
        }));
    }
    if let (false, Ok(turn)) = (left.is_empty(), clockwork.patrolling.clone().try_lock_owned()) {
        let some = next_of(left, clockwork);
        let inner = inner.clone();
        tasks.push(tokio::spawn(async move {
            patrol::patrol(&inner, &some).await;
            drop(turn);
        }));
    }
    if let (false, Ok(turn)) = (over.is_empty(), clockwork.retiring.clone().try_lock_owned()) {
        let inner = inner.clone();
        tasks.push(tokio::spawn(async move {
            retire(&inner, &over).await;
            drop(turn);
        }));
    }
    tasks
}

/// Says, in one line, of which streams no more is removed, where it was not said lately.
fn say_untrimmed(
    clockwork: &Clockwork,
    failed: &BTreeMap<StreamId, (Arc<Stream>, PublishError)>,
    now: Now,
) {
    let news = clockwork.untrimmed.lock().note(failed.keys().copied(), now.passed);
    if let Some((stream, error)) = news.first().and_then(|stream| failed.get(stream)) {
        let others = news.len() - 1;
        tracing::warn!(stream = %stream.name, project = %stream.project, %error, others, "a stream keeps events that all its subscriptions are done with, because it cannot be read how far its senders have come; trying again");
    }
}

/// Lets go of what streams know of the ids of events where nothing came for long. Their locks are held
/// for a moment each.
async fn rest(inner: &Arc<Inner>, now: Timestamp) {
    let all: Vec<Arc<Stream>> = {
        let catalog = inner.catalog.read();
        catalog.tenants.values().flat_map(|tenant| tenant.streams.values()).cloned().collect()
    };
    for stretch in all.chunks(STRETCH) {
        let rest = |stream: &Arc<Stream>| {
            let dedup = stream.settings.dedup;
            let op = stream.lane.order.lock().rest(stream.id, dedup, now)?;
            (!stream.lane.deleted.load(Ordering::Acquire)).then_some(op)
        };
        let ops: Vec<Op> = stretch.iter().filter_map(rest).collect();
        if !ops.is_empty() {
            // Lost, the log still tells the most of it.
            drop(inner.engine.submit(Batch { ops, ..Batch::default() }));
        }
        tokio::task::yield_now().await;
    }
}

/// Those whose turn it is to be looked at.
fn next_of(mut left: Vec<Arc<Subscription>>, clockwork: &Clockwork) -> Vec<Arc<Subscription>> {
    let mut looked_to = clockwork.looked_to.lock();
    left.sort_unstable_by_key(|one| one.id());
    let turn = left.partition_point(|one| one.id().0 <= *looked_to);
    left.rotate_left(turn);
    left.truncate(LOOKS);
    *looked_to = left.last().map_or(0, |last| last.id().0);
    left
}

/// What a look at a subscription says.
struct Seen {
    owns: bool,
    wants_look: bool,
}

/// Lets go of what an unused subscription holds, and writes how far it has come.
fn look_at(inner: &Arc<Inner>, subscription: &Arc<Subscription>, now: Now) -> Seen {
    let mut queue = subscription.queue.lock();
    if !queue.hands.is_empty() || queue.peekers > queue.visits {
        subscription.idleness.touch(now.passed);
    } else if subscription.idleness.unused(now.passed) >= UNLOAD_AFTER_MS {
        queue.unload();
    }
    let seen = Seen { owns: queue.settings.owns, wants_look: queue.wants_look(inner, now.day) };
    if queue.feeds.iter().any(|feed| feed.place.unwritten() >= UNWRITTEN) {
        queue.needs_write = true;
        drop(subscription.finish(inner, queue));
    }
    seen
}

/// Forgets a passing subscription that nobody came for, warns of one that will soon expire for want
/// of use, and says whether one has.
fn idle(inner: &Arc<Inner>, subscription: &Arc<Subscription>, now: Now) -> bool {
    let unused = subscription.idleness.unused(now.passed);
    if !subscription.durable {
        let is_left = {
            let mut queue = subscription.queue.lock();
            let is_left = queue.hands.is_empty() && unused >= 6 * UNLOAD_AFTER_MS;
            queue.closed |= is_left;
            is_left
        };
        if is_left {
            change::forget(inner, subscription);
        }
        return false;
    }
    let Some(expiry) = expiry_of(subscription) else { return false };
    if unused >= expiry {
        return true;
    }
    let is_close = unused >= expiry - expiry / 10;
    if subscription.idleness.come_close(is_close) {
        let left_ms = expiry - unused;
        inner.subscriptions.metrics.idle_warned.inc();
        tracing::warn!(subscription = %subscription.id(), name = %subscription.name(), project = %subscription.project(), left_ms, "a subscription that nobody uses will soon be deleted");
    }
    // Often enough that a restart does not let it live much longer.
    if let Some(used) = subscription.idleness.note((expiry / 100).max(1_000), now) {
        let put = Put {
            key: record::used_key(subscription.id()),
            value: Some(record::of_used(used)),
            condition: Condition::Any,
        };
        // Lost, it is written again the next time it is used.
        drop(inner.engine.submit(Batch { ops: vec![Op::Put(put)], ..Batch::default() }));
    }
    false
}

/// After how many milliseconds without use it is deleted.
fn expiry_of(subscription: &Subscription) -> Option<i64> {
    let expiry = subscription.settings().idle_expiry?;
    Some(i64::try_from(expiry.as_millis()).unwrap_or(i64::MAX))
}

/// Deletes subscriptions that nobody has used for as long as they may be idle.
async fn retire(inner: &Arc<Inner>, over: &[Arc<Subscription>]) {
    for subscription in over {
        let clock = inner.clock.clone();
        // Others were deleted before it: somebody may have come meanwhile.
        let is_over = move |one: &Subscription| {
            let unused = one.idleness.unused(clock.passed());
            let is_used = !one.queue.lock().hands.is_empty();
            !is_used && expiry_of(one).is_some_and(|expiry| unused >= expiry)
        };
        let (id, name, project) = (subscription.id(), subscription.name(), subscription.project());
        let owned = subscription.owned();
        match change::delete_if(inner, subscription, is_over).await {
            Ok(true) => {
                inner.subscriptions.metrics.idle_expired.inc();
                tracing::warn!(subscription = %id, %name, %project, "deleted a subscription that nobody has used for as long as it may be idle");
                delete_owned(inner, subscription, owned).await;
            }
            Ok(false) => {}
            Err(error) => {
                tracing::warn!(subscription = %id, %error, "it could not be deleted; trying again");
            }
        }
    }
}

/// Deletes the streams of a queue that is gone: whoever uses its name again begins anew.
async fn delete_owned(inner: &Arc<Inner>, gone: &Subscription, owned: Vec<StreamName>) {
    let hub = crate::Hub::of(inner.clone());
    for stream in owned {
        match hub.delete_stream(gone.project(), &stream).await {
            // Nothing was ever sent to it.
            Ok(()) | Err(CatalogError::NotFound) => {}
            Err(error) => {
                tracing::warn!(%stream, project = %gone.project(), %error, "the stream of a deleted queue could not be deleted");
            }
        }
    }
}

/// Whether all subscriptions of a stream are done with events that it still has.
fn wants_trim(inner: &Arc<Inner>, stream: &Stream) -> bool {
    let subscriptions = inner.subscriptions.directory.read().of_stream(stream.id);
    let Ok(bounds) = stream.bounds(&*inner.engine) else { return false };
    let floor_of = |one: &Arc<Subscription>| {
        let queue = one.queue.lock();
        let floors = queue.feeds.iter().filter(|feed| feed.stream.id == stream.id);
        floors.map(|feed| feed.place.floor()).min()
    };
    let lowest = subscriptions.iter().filter_map(floor_of).min();
    lowest.is_some_and(|lowest| lowest > bounds.start)
}

/// Trims the streams that queues own, one after the other: what their senders have sent may have to be
/// read first.
async fn trim_owned(inner: &Arc<Inner>, owned: impl Iterator<Item = Arc<Stream>>, now: Now) {
    let mut failed = BTreeMap::new();
    for stream in owned {
        if wants_trim(inner, &stream) {
            // How far its senders have come is told by what is trimmed, until it is stored with that.
            match prepare_senders(inner, &stream).await {
                Ok(()) => trim(inner, &stream),
                Err(error) if !stream.is_gone() => {
                    failed.insert(stream.id, (stream, error));
                }
                Err(_) => {}
            }
        }
        // Most need neither a read nor a trim.
        tokio::task::consume_budget().await;
    }
    say_untrimmed(&inner.subscriptions.clockwork, &failed, now);
}

/// Trims a stream to the lowest floor of all its subscriptions, which are written before.
fn trim(inner: &Arc<Inner>, stream: &Stream) {
    let Ok(bounds) = stream.bounds(&*inner.engine) else { return };
    let subscriptions = inner.subscriptions.directory.read().of_stream(stream.id);
    // Locked in order of their numbers, as all who lock several do.
    let ordered: BTreeSet<directory::Ordered> =
        subscriptions.into_iter().map(directory::Ordered).collect();
    let mut queues: Vec<_> = ordered.iter().map(|one| (one, one.0.queue.lock())).collect();
    let is_it = |feed: &&Feed| feed.stream.id == stream.id;
    let floors = queues.iter().flat_map(|(_, queue)| queue.feeds.iter().filter(is_it));
    let Some(lowest) = floors.map(|feed| feed.place.floor()).min() else { return };
    let floor = lowest.min(bounds.next);
    if queues.iter().any(|(_, queue)| queue.on_hold) || floor <= bounds.start {
        return;
    }
    let (mut ops, mut parties) = (Vec::new(), Vec::new());
    for (one, queue) in queues.iter_mut().filter(|(one, _)| one.0.durable) {
        for feed in queue.feeds.iter_mut().filter(|feed| feed.stream.id == stream.id) {
            // Also what was written before: that may fail, and this not.
            feed.place.unwrite();
            feed.place.write(one.0.id(), stream.id, &mut ops);
        }
        parties.push((one.0.clone(), queue.began()));
    }
    ops.extend(stream.lane.order.lock().store_senders(stream.id));
    ops.push(Op::Trim(stream.id, floor));
    let commit = inner.engine.submit(Batch { ops, ..Batch::default() });
    // Failed, it is tried again in the next round.
    drop(Writing::new(inner, commit, parties));
}
