//! What happens by itself as time passes: leases end, scheduled events appear, schedules are published,
//! idle subscriptions are unloaded and deleted, streams that queues own are trimmed, credentials end.
//!
//! One task of the hub does all of it: it knows the earliest alarm of each subscription, and goes
//! round all of them every [`ROUND`].
//!
//! Invariant: a stream is trimmed only to floors written in the same batch or before, so that no
//! crash brings back a place below what is retained.

mod round;
mod untrimmed;

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

use outflow_model::clock::Moment;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use self::untrimmed::Untrimmed;
use super::Subscription;
use super::apart::Apart;
use super::directory::Ordered;
use super::feed::Feed;
use super::queue::{Alarm, Queue};
use super::timetable::{Firsts, Now, Timetable, When, after};
use crate::hub::Inner;
use crate::schedule::firing;

/// How often all subscriptions are looked at.
const ROUND: Duration = Duration::from_secs(10);
/// The longest time between two looks at the clock, which may be set.
const LOOK: Duration = Duration::from_secs(1);

/// The alarms of all subscriptions. See the module.
#[derive(Debug, Default)]
pub(crate) struct Clockwork {
    alarms: Mutex<Timetable<Ordered>>,
    next_round: Mutex<Option<Moment>>,
    /// The last subscription that was looked at for events that are over.
    looked_to: Mutex<u32>,
    /// Held by the one task that looks at them, by the one that trims what queues own, and by the one
    /// that deletes what is idle.
    patrolling: Arc<tokio::sync::Mutex<()>>,
    trimming: Arc<tokio::sync::Mutex<()>>,
    retiring: Arc<tokio::sync::Mutex<()>>,
    untrimmed: Mutex<Untrimmed>,
    sooner: Notify,
    stopped: std::sync::atomic::AtomicBool,
}

impl Clockwork {
    /// Wakes the subscription at `at`.
    pub(crate) fn set(&self, at: When, subscription: &Arc<Subscription>) {
        let mut alarms = self.alarms.lock();
        let before = alarms.firsts();
        alarms.insert(at, Ordered(subscription.clone()));
        let is_first = alarms.firsts() != before;
        drop(alarms);
        if is_first {
            self.sooner.notify_one();
        }
    }

    /// Takes the subscriptions whose alarm is due.
    fn due(&self, now: Now) -> Vec<Arc<Subscription>> {
        let mut alarms = self.alarms.lock();
        std::iter::from_fn(|| alarms.pop_due(now)).map(|Ordered(one)| one).collect()
    }

    fn firsts(&self) -> Firsts {
        self.alarms.lock().firsts()
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
            let wait = clockwork.firsts().wait(Now::of(&*inner.clock), inner.schedules.first());
            wait.unwrap_or(LOOK).min(LOOK)
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
    let now = Now::of(&*inner.clock);
    inner.registry.expire(now.day);
    for subscription in inner.subscriptions.clockwork.due(now) {
        let mut queue = subscription.queue.lock();
        queue.next_alarms = Firsts::default();
        queue.strike(now);
        drop(subscription.finish(inner, queue));
    }
    let is_round = {
        let mut next = inner.subscriptions.clockwork.next_round.lock();
        let is_due = next.is_none_or(|next| next <= now.passed);
        if is_due {
            *next = Some(after(now.passed, ROUND));
        }
        is_due
    };
    let fired = firing::start(inner, now.day);
    let mut tasks = if is_round { round::round(inner, now).await } else { Vec::new() };
    tasks.extend(fired);
    tasks
}

impl Queue {
    /// Does what the alarms up to `now` say.
    fn strike(&mut self, now: Now) {
        // Who has room again gets something once all that comes back now has come back.
        let mut roomy = BTreeSet::new();
        // What comes back together does so in its order, not in that of its leases.
        let mut back = Vec::new();
        while let Some(alarm) = self.alarms.pop_due(now) {
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
                        Apart::Scheduled(at) => When::Day(at).is_due(now),
                        Apart::Delayed(until) | Apart::Leased { until, .. } => {
                            When::Passed(until).is_due(now)
                        }
                        Apart::Settling => false,
                    });
                    if is_due {
                        self.rejoin(feed, offset);
                    }
                }
                Alarm::Forgotten { feed } => {
                    let feed = self.feed_mut(feed);
                    let is_due = |feed: &&mut Feed| {
                        feed.forgotten.is_some_and(|forgotten| forgotten.due <= now.day)
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
        roomy.into_iter().for_each(|key| self.queue_up(key, now.day));
    }
}
