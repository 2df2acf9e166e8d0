//! From commits to loads: which subscriptions wait for which streams, and who loads for them.
//!
//! Called by the engine on every commit and by subscriptions that run low; calls `load`. A fixed
//! number of tasks, the pumps, load for all subscriptions: none has a task of its own, and no slow
//! consumer holds up the loading for others. A load that costs much leaves its pump (`line`).
//!
//! Invariant: the engine's thread looks into one map and notes a stream; it meets no subscription's
//! lock.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use outflow_model::{Offset, StreamId};
use outflow_store::CommitObserver;
use parking_lot::{Mutex, RwLock};
use tokio::sync::Notify;

use super::{Subscription, SubscriptionId, load};
use crate::hub::Inner;
use crate::tail::Tails;

/// How many pumps there are.
const PUMPS: usize = 4;
/// How many loads a pump has under way at once.
const AT_ONCE: usize = 256;

/// Something to do for a pump.
#[derive(Debug)]
enum Job {
    /// A stream has grown.
    Stream(StreamId),
    /// A subscription runs low.
    Load(Arc<Subscription>),
}

/// A pump's jobs.
#[derive(Debug, Default)]
struct Pump {
    jobs: Mutex<Vec<Job>>,
    wake: Notify,
}

impl Pump {
    fn push(&self, job: Job) {
        self.jobs.lock().push(job);
        self.wake.notify_one();
    }
}

/// Who waits for what.
#[derive(Debug, Default)]
struct Watched {
    subscriptions: BTreeMap<SubscriptionId, Arc<Subscription>>,
    /// Whether a pump has been told since it last looked.
    told: AtomicBool,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Bells {
    watched: RwLock<HashMap<StreamId, Watched>>,
    pumps: Vec<Arc<Pump>>,
    stopped: AtomicBool,
}

impl Default for Bells {
    fn default() -> Self {
        Self {
            watched: RwLock::default(),
            pumps: (0..PUMPS).map(|_| Arc::default()).collect(),
            stopped: AtomicBool::new(false),
        }
    }
}

impl Bells {
    fn pump(&self, number: u32) -> Option<&Arc<Pump>> {
        self.pumps.get(number as usize % self.pumps.len())
    }

    /// A stream has grown.
    fn grown(&self, stream: StreamId) {
        let watched = self.watched.read();
        let Some(entry) = watched.get(&stream) else { return };
        if !entry.told.swap(true, Ordering::AcqRel)
            && let Some(pump) = self.pump(stream.0)
        {
            pump.push(Job::Stream(stream));
        }
    }

    /// A subscription wants events.
    pub(crate) fn ring(&self, subscription: &Arc<Subscription>) {
        if let Some(pump) = self.pump(subscription.id().0) {
            pump.push(Job::Load(subscription.clone()));
        }
    }

    /// From now on commits of the stream make the subscription load.
    pub(crate) fn watch(&self, stream: StreamId, subscription: &Arc<Subscription>) {
        let mut watched = self.watched.write();
        let entry = watched.entry(stream).or_default();
        entry.subscriptions.insert(subscription.id(), subscription.clone());
    }

    /// No more.
    pub(crate) fn unwatch(&self, stream: StreamId, subscription: &Arc<Subscription>) {
        let mut watched = self.watched.write();
        if let Some(entry) = watched.get_mut(&stream) {
            entry.subscriptions.remove(&subscription.id());
            if entry.subscriptions.is_empty() {
                watched.remove(&stream);
            }
        }
    }

    /// The subscriptions to load for a job.
    fn expand(&self, job: Job) -> Vec<Arc<Subscription>> {
        match job {
            Job::Load(subscription) => vec![subscription],
            Job::Stream(stream) => {
                let watched = self.watched.read();
                let Some(entry) = watched.get(&stream) else { return Vec::new() };
                // Before they look: what is committed from now on is told again.
                entry.told.store(false, Ordering::Release);
                entry.subscriptions.values().cloned().collect()
            }
        }
    }

    /// Starts the pumps; they end with the hub.
    pub(crate) fn start(self: &Arc<Self>, inner: &Arc<Inner>) {
        for pump in &self.pumps {
            tokio::spawn(run(self.clone(), pump.clone(), Arc::downgrade(inner)));
        }
    }

    /// Ends the pumps.
    pub(crate) fn stop(&self) {
        self.stopped.store(true, Ordering::Release);
        self.pumps.iter().for_each(|pump| pump.wake.notify_one());
        self.watched.write().clear();
    }
}

/// A pump's task.
async fn run(bells: Arc<Bells>, pump: Arc<Pump>, inner: Weak<Inner>) {
    let mut under_way = FuturesUnordered::new();
    let mut queue = std::collections::VecDeque::new();
    loop {
        while under_way.len() < AT_ONCE
            && let Some(subscription) = queue.pop_front()
        {
            let Some(inner) = inner.upgrade() else { return };
            under_way.push(async move { load::or_line_up(&inner, &subscription).await });
        }
        tokio::select! {
            biased;
            () = pump.wake.notified() => {}
            Some(()) = under_way.next(), if !under_way.is_empty() => {}
        }
        if bells.stopped.load(Ordering::Acquire) {
            return;
        }
        let jobs = std::mem::take(&mut *pump.jobs.lock());
        queue.extend(jobs.into_iter().flat_map(|job| bells.expand(job)));
    }
}

/// What the engine tells of commits.
#[derive(Debug)]
pub(crate) struct Observer {
    pub(crate) tails: Arc<Tails>,
    pub(crate) bells: Arc<Bells>,
}

impl CommitObserver for Observer {
    fn committed(&self, streams: &[(StreamId, Offset)]) {
        self.tails.committed(streams);
        streams.iter().for_each(|(stream, _)| self.bells.grown(*stream));
    }
}
