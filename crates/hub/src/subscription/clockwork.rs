//! What happens by itself as time passes: leases end, scheduled events appear, schedules are published,
//! idle subscriptions are unloaded and deleted, streams that queues own are trimmed, credentials end.
//!
//! One task of the hub does all of it: it knows the earliest alarm of each subscription, and goes
//! round all of them every [`ROUND`].
//!
//! Invariant: a stream is trimmed only to floors written in the same batch or before, so that no
//! crash brings back a place below what is retained.

mod round;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

use outflow_model::Timestamp;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use super::Subscription;
use super::apart::Apart;
use super::feed::Feed;
use super::queue::{Alarm, Queue};
use crate::hub::Inner;
use crate::schedule::firing;

/// How often all subscriptions are looked at.
const ROUND: Duration = Duration::from_secs(10);
/// The longest time between two looks at the clock, which may be set.
const LOOK: Duration = Duration::from_secs(1);

/// The alarms of all subscriptions. See the module.
#[derive(Debug, Default)]
pub(crate) struct Clockwork {
    alarms: Mutex<BTreeMap<(Timestamp, u32), Arc<Subscription>>>,
    next_round: Mutex<Timestamp>,
    /// The last subscription that was looked at for events that are over.
    looked_to: Mutex<u32>,
    /// Held by the one task that looks at them, and by the one that deletes what is idle.
    patrolling: Arc<tokio::sync::Mutex<()>>,
    retiring: Arc<tokio::sync::Mutex<()>>,
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

    /// Something is due sooner than the task may know.
    pub(crate) fn hurry(&self) {
        self.sooner.notify_one();
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
            let first = clockwork.first().into_iter().chain(inner.schedules.first()).min();
            let until = first.map_or(LOOK, |at| {
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
        // What it has left to tasks must not hold up the clock.
        drop(tick(&inner).await);
    }
}

/// Does what is due. Gives the tasks that it has left the rest to.
pub(crate) async fn tick(inner: &Arc<Inner>) -> Vec<JoinHandle<()>> {
    let now = inner.clock.now();
    inner.registry.expire(now);
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
    let fired = firing::start(inner, now);
    let mut tasks = if is_round { round::round(inner, now).await } else { Vec::new() };
    tasks.extend(fired);
    tasks
}

impl Queue {
    /// Does what the alarms up to `now` say.
    fn strike(&mut self, now: Timestamp) {
        // Who has room again gets something once all that comes back now has come back.
        let mut roomy = BTreeSet::new();
        // What comes back together does so in its order, not in that of its leases.
        let mut back = Vec::new();
        while let Some(&(at, alarm)) = self.alarms.first()
            && at <= now
        {
            self.alarms.pop_first();
            match alarm {
                Alarm::Lease { hand: key, lease } => {
                    let Some(hand) = self.hands.get_mut(&key) else { continue };
                    let Some(at) = hand.find(lease) else { continue };
                    if let Some((feed, entry, _)) = hand.release(at) {
                        back.push((feed, entry));
                        roomy.insert(key);
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
                Alarm::Forgotten { feed } => {
                    let feed = self.feed_mut(feed);
                    let is_due = |feed: &&mut Feed| {
                        feed.forgotten.is_some_and(|forgotten| forgotten.due <= now)
                    };
                    feed.filter(is_due).into_iter().for_each(Feed::look_again);
                }
                Alarm::Retry => {
                    self.is_retrying = false;
                    // What was committed meanwhile was told to nobody.
                    self.feeds.iter_mut().for_each(|feed| feed.at_end = false);
                }
                Alarm::Burial => self.burial_failed = false,
                Alarm::Write => {
                    (self.write_failed, self.lingers) = (false, false);
                    self.needs_write = true;
                }
            }
        }
        self.put_back(back);
        roomy.into_iter().for_each(|key| self.queue_up(key, now));
    }
}
