//! What happens by itself as time passes: leases end, scheduled events appear, idle subscriptions
//! are unloaded and deleted, streams that queues own are trimmed.
//!
//! One task of the hub does all of it: it knows the earliest alarm of each subscription, and goes
//! round all of them every [`ROUND`].
//!
//! Invariant: a stream is trimmed only to floors written in the same batch or before, so that no
//! crash brings back a place below what is retained.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

use outflow_model::{StreamId, Timestamp};
use outflow_store::{Batch, Condition, Op, Put};
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::feed::{Apart, Feed};
use super::queue::{Alarm, Queue};
use super::writing::Writing;
use super::{Subscription, directory, record};
use crate::Stream;
use crate::hub::Inner;

/// How often all subscriptions are looked at.
const ROUND: Duration = Duration::from_secs(10);
/// The longest time between two looks at the clock, which may be set.
const LOOK: Duration = Duration::from_secs(1);
/// A window that nobody has used for so long is let go of.
const UNLOAD_AFTER_MS: i64 = 10_000;
/// A floor that has moved by so much without an answer is written.
const UNWRITTEN: u64 = 4_096;
/// How many subscriptions are looked at before others may run.
const STRETCH: usize = 256;

/// The alarms of all subscriptions. See the module.
#[derive(Debug, Default)]
pub(crate) struct Clockwork {
    alarms: Mutex<BTreeMap<(Timestamp, u32), Arc<Subscription>>>,
    next_round: Mutex<Timestamp>,
    sooner: Notify,
    stopped: std::sync::atomic::AtomicBool,
}

impl Clockwork {
    /// Wakes the subscription at `at`.
    pub(crate) fn set(&self, at: Timestamp, subscription: &Arc<Subscription>) {
        let mut alarms = self.alarms.lock();
        let is_first = alarms.first_key_value().is_none_or(|((first, _), _)| at < *first);
        alarms.insert((at, subscription.id().0), subscription.clone());
        drop(alarms);
        if is_first {
            self.sooner.notify_one();
        }
    }

    /// Takes the subscriptions whose alarm is due.
    fn due(&self, now: Timestamp) -> Vec<Arc<Subscription>> {
        let mut alarms = self.alarms.lock();
        let later = alarms.split_off(&(now.plus_millis(1), 0));
        std::mem::replace(&mut *alarms, later).into_values().collect()
    }

    fn first(&self) -> Option<Timestamp> {
        self.alarms.lock().first_key_value().map(|((at, _), _)| *at)
    }

    /// Starts the task; it ends with the hub.
    pub(crate) fn start(inner: &Arc<Inner>) {
        tokio::spawn(run(Arc::downgrade(inner), inner.subscriptions.clockwork.clone()));
    }

    /// Ends the task.
    pub(crate) fn stop(&self) {
        self.stopped.store(true, Ordering::Release);
        self.alarms.lock().clear();
        self.sooner.notify_one();
    }
}

async fn run(hub: Weak<Inner>, clockwork: Arc<Clockwork>) {
    loop {
        let wait = {
            let Some(inner) = hub.upgrade() else { return };
            let now = inner.clock.now();
            let until = clockwork.first().map_or(LOOK, |at| {
                Duration::from_millis(u64::try_from(at.millis() - now.millis()).unwrap_or(0))
            });
            until.min(LOOK)
        };
        if !wait.is_zero() {
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = clockwork.sooner.notified() => {}
            }
        }
        if clockwork.stopped.load(Ordering::Acquire) {
            return;
        }
        let Some(inner) = hub.upgrade() else { return };
        tick(&inner).await;
    }
}

/// Does what is due.
pub(crate) async fn tick(inner: &Arc<Inner>) {
    let now = inner.clock.now();
    for subscription in inner.subscriptions.clockwork.due(now) {
        let mut queue = subscription.queue.lock();
        queue.next_alarm = None;
        queue.strike(now);
        drop(subscription.finish(inner, queue));
    }
    let is_round = {
        let mut next = inner.subscriptions.clockwork.next_round.lock();
        // A clock set back must not put rounds off for long.
        let far = now.plus_millis(2 * ROUND.as_millis() as i64);
        let is_due = now >= *next || *next > far;
        if is_due {
            *next = now.plus_millis(ROUND.as_millis() as i64);
        }
        is_due
    };
    if is_round {
        round(inner, now).await;
    }
}

impl Queue {
    /// Does what the alarms up to `now` say.
    fn strike(&mut self, now: Timestamp) {
        while let Some(&(at, alarm)) = self.alarms.first()
            && at <= now
        {
            self.alarms.pop_first();
            match alarm {
                Alarm::Lease { hand: key, lease } => {
                    let Some(hand) = self.hands.get_mut(&key) else { continue };
                    let Some(at) = hand.find(lease) else { continue };
                    if let Some((feed, entry, _)) = hand.release(at) {
                        self.put_back(vec![(feed, entry)]);
                        self.queue_up(key);
                    }
                }
                Alarm::Apart { feed, offset } => {
                    let apart = self.feed(feed).and_then(|feed| feed.apart.get(&offset));
                    let is_due = apart.is_some_and(|(_, apart)| match *apart {
                        Apart::Scheduled(at) | Apart::Delayed(at) => at <= now,
                        Apart::Leased { until, .. } => until <= now,
                        Apart::Settling => false,
                    });
                    if is_due {
                        self.rejoin(feed, offset);
                    }
                }
                Alarm::Retry => {
                    self.is_retrying = false;
                    // What was committed meanwhile was told to nobody.
                    self.feeds.iter_mut().for_each(|feed| feed.at_end = false);
                }
                Alarm::Burial => self.burial_failed = false,
                Alarm::Write => {
                    self.write_failed = false;
                    self.needs_write = true;
                }
            }
        }
    }
}

/// Looks at all subscriptions.
async fn round(inner: &Arc<Inner>, now: Timestamp) {
    let all = inner.subscriptions.directory.read().all();
    let mut owned: BTreeMap<StreamId, Arc<Stream>> = BTreeMap::new();
    for (index, subscription) in all.iter().enumerate() {
        if index % STRETCH == STRETCH - 1 {
            tokio::task::yield_now().await;
        }
        if look_at(inner, subscription, now) {
            owned.extend(subscription.streams().into_iter().map(|stream| (stream.id, stream)));
        }
        idle(inner, subscription, now).await;
    }
    for stream in owned.into_values() {
        trim(inner, &stream);
    }
}

/// Lets go of what an unused subscription holds, and writes how far it has come. Says whether it
/// owns its streams.
fn look_at(inner: &Arc<Inner>, subscription: &Arc<Subscription>, now: Timestamp) -> bool {
    let mut queue = subscription.queue.lock();
    if !queue.hands.is_empty() || queue.peekers > 0 {
        subscription.used.store(now.millis(), Ordering::Relaxed);
    } else if now.millis() - subscription.used.load(Ordering::Relaxed) >= UNLOAD_AFTER_MS {
        queue.unload();
    }
    let owns = queue.settings.owns;
    if queue.feeds.iter().any(|feed| feed.place.unwritten() >= UNWRITTEN) {
        queue.needs_write = true;
        drop(subscription.finish(inner, queue));
    }
    owns
}

/// Warns of a subscription that will soon expire for want of use, and deletes one that has.
async fn idle(inner: &Arc<Inner>, subscription: &Arc<Subscription>, now: Timestamp) {
    let used = subscription.used.load(Ordering::Relaxed);
    let unused = now.millis() - used;
    if !subscription.durable {
        let is_left = {
            let mut queue = subscription.queue.lock();
            let is_left = queue.hands.is_empty() && unused >= 6 * UNLOAD_AFTER_MS;
            queue.closed |= is_left;
            is_left
        };
        if is_left {
            super::change::forget(inner, subscription);
        }
        return;
    }
    let Some(expiry) = subscription.settings().idle_expiry else { return };
    let expiry = i64::try_from(expiry.as_millis()).unwrap_or(i64::MAX);
    if unused >= expiry {
        tracing::warn!(subscription = %subscription.id(), name = %subscription.name(), project = %subscription.project(), "deleting a subscription that nobody has used for as long as it may be idle");
        inner.subscriptions.metrics.idle_expired.inc();
        if let Err(error) = super::change::delete(inner, subscription).await {
            tracing::warn!(subscription = %subscription.id(), %error, "it could not be deleted; trying again");
        }
        return;
    }
    let is_close = unused >= expiry - expiry / 10;
    if is_close && !subscription.warned.swap(true, Ordering::Relaxed) {
        let left_ms = expiry - unused;
        inner.subscriptions.metrics.idle_warned.inc();
        tracing::warn!(subscription = %subscription.id(), name = %subscription.name(), project = %subscription.project(), left_ms, "a subscription that nobody uses will soon be deleted");
    } else if !is_close {
        subscription.warned.store(false, Ordering::Relaxed);
    }
    // Often enough that a restart does not let it live much longer.
    let noted = subscription.noted.load(Ordering::Relaxed);
    if used - noted >= (expiry / 100).max(1_000) {
        subscription.noted.store(used, Ordering::Relaxed);
        let put = Put {
            key: record::used_key(subscription.id()),
            value: Some(record::of_used(Timestamp::from_millis(used))),
            condition: Condition::Any,
        };
        // Lost, it is written again the next time it is used.
        drop(inner.engine.submit(Batch { ops: vec![Op::Put(put)], ..Batch::default() }));
    }
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
    ops.push(Op::Trim(stream.id, floor));
    let commit = inner.engine.submit(Batch { ops, ..Batch::default() });
    // Failed, it is tried again in the next round.
    drop(Writing::new(inner, commit, parties));
}
