//! Subscriptions: durable places in streams, with leases, acks and redelivery.
//!
//! Called by the faces through [`Hub`](crate::Hub). A subscription is a passive object behind one
//! lock; events are stored once, in their streams, and a subscription holds places only.

pub(crate) mod ages;
mod apart;
pub mod browse;
mod burial;
pub(crate) mod change;
pub(crate) mod clockwork;
pub mod consumers;
pub mod delivery;
pub(crate) mod directory;
pub(crate) mod entry;
pub mod error;
pub mod event;
mod feed;
pub(crate) mod follow;
mod forgotten;
mod hand;
pub mod headers;
mod idleness;
pub(crate) mod joint;
mod line;
mod load;
mod mailbox;
pub(crate) mod metrics;
mod oldest;
mod operations;
mod patrol;
pub mod pattern;
mod peek;
mod place;
pub mod prepared;
mod properties;
mod purge;
mod queue;
mod record;
pub(crate) mod rewind;
pub mod settings;
mod settle;
mod sight;
mod timetable;
pub mod transaction;
pub(crate) mod wake;
mod writing;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use outflow_model::{
    IntegrationId, Offset, ProjectId, StreamId, StreamName, SubscriptionName, Timestamp,
};
use outflow_store::{Batch, Op};
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::Notify;

pub use browse::Browse;
pub use consumers::Consumers;
pub use delivery::{
    ConsumerId, ConsumerOptions, Delivered, Delivery, LeaseId, Settle, SubscriptionId,
};
pub use error::{ConsumeError, LeaseError, SettleError, TransactionError};
pub use event::{BodyView, EventView};
pub use oldest::StreamBacklog;
pub use pattern::{PatternError, StreamPattern};
pub use prepared::{PreparedError, PreparedId, PreparedTransaction};
pub use settings::{DeliveryOrder, NewSubscription, Source, Sources, SubscriptionSettings};
pub use settle::Settling;
pub use transaction::Transaction;

pub use crate::publish::Publishing;

use crate::Stream;
use crate::hub::Inner;
use crate::view::View;
use crate::webhook::{self, WebhookId};
use idleness::Idleness;
use queue::Queue;
use timetable::Now;
use writing::Writing;

/// A durable, server-kept place in one or more streams.
pub struct Subscription {
    id: SubscriptionId,
    project: ProjectId,
    name: SubscriptionName,
    created: Timestamp,
    durable: bool,
    sources: Mutex<Arc<Sources>>,
    queue: Mutex<Queue>,
    /// Held by whoever stores something whose failure would undo answers.
    turn: tokio::sync::Mutex<()>,
    /// Wakes those who look: something is ready, or a load has ended.
    seen: Notify,
    idleness: Idleness,
    /// How often it was set what may be seen.
    shows: AtomicU64,
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Subscription({}, {}/{})", self.id, self.project, self.name)
    }
}

impl Subscription {
    /// Whether it has a consumer whose client is not known to be gone.
    pub(crate) fn is_in_use(&self) -> bool {
        self.queue.lock().is_in_use()
    }

    /// One without feeds.
    fn new(stored: record::Stored, durable: bool, idleness: Idleness) -> Self {
        let record::Stored { id, project, name, created, sources, settings } = stored;
        Self {
            id,
            project,
            name,
            created,
            durable,
            sources: Mutex::new(Arc::new(sources)),
            queue: Mutex::new(Queue::new(Arc::new(settings))),
            turn: tokio::sync::Mutex::default(),
            seen: Notify::new(),
            idleness,
            shows: AtomicU64::new(0),
        }
    }

    /// Its number.
    #[must_use]
    pub const fn id(&self) -> SubscriptionId {
        self.id
    }

    /// Its project.
    #[must_use]
    pub const fn project(&self) -> &ProjectId {
        &self.project
    }

    /// Its name.
    #[must_use]
    pub const fn name(&self) -> &SubscriptionName {
        &self.name
    }

    /// When it was created.
    #[must_use]
    pub const fn created(&self) -> Timestamp {
        self.created
    }

    /// Whether it lasts.
    #[must_use]
    pub const fn is_durable(&self) -> bool {
        self.durable
    }

    /// Its settings as of now.
    #[must_use]
    pub fn settings(&self) -> Arc<SubscriptionSettings> {
        self.queue.lock().settings.clone()
    }

    /// Its sources as of now.
    #[must_use]
    pub fn sources(&self) -> Sources {
        (*self.shared_sources()).clone()
    }

    pub(crate) fn shared_sources(&self) -> Arc<Sources> {
        self.sources.lock().clone()
    }

    /// The streams it has now.
    #[must_use]
    pub fn streams(&self) -> Vec<Arc<Stream>> {
        self.queue.lock().feeds.iter().map(|feed| feed.stream.clone()).collect()
    }

    /// The streams that go with it, which need not exist yet.
    #[must_use]
    pub fn owned(&self) -> Vec<StreamName> {
        match &*self.shared_sources() {
            Sources::Streams(all) if self.settings().owns => {
                all.iter().map(|source| source.stream.clone()).collect()
            }
            Sources::Streams(_) | Sources::Matching { .. } => Vec::new(),
        }
    }

    /// Which webhook's place it is, if it is one's.
    pub(crate) fn endpoint(&self) -> Option<WebhookId> {
        let id = self.name.as_str().strip_prefix(webhook::PREFIX)?;
        Some((self.project.clone(), IntegrationId::new(id).ok()?))
    }

    /// The names of its consumers.
    #[must_use]
    pub fn consumers(&self) -> Vec<String> {
        self.queue.lock().hands.values().map(|hand| hand.options.name.clone()).collect()
    }

    /// Sets what the integration that it belongs to may see, for all that was not handed out, and for
    /// what of that comes back.
    pub(crate) fn show(self: &Arc<Self>, inner: &Arc<Inner>, view: Option<Arc<View>>) {
        let mut queue = self.queue.lock();
        let sees_same = |known: &Arc<View>, view: &Arc<View>| {
            known.fingerprint().is_some() && known.fingerprint() == view.fingerprint()
        };
        match (&queue.view, &view) {
            (None, None) => return,
            (Some(known), Some(view)) if sees_same(known, view) => return,
            _ => {}
        }
        queue.show(view, inner.clock.now());
        self.shows.fetch_add(1, Ordering::Release);
        drop(self.finish(inner, queue));
    }

    /// A number that is another once it was set anew what may be seen: who holds events that were handed
    /// out before gives them back, and is handed those of them that may be.
    #[must_use]
    pub fn shows(&self) -> u64 {
        self.shows.load(Ordering::Acquire)
    }

    /// Lets those who look see how things are.
    pub(crate) fn wake_peekers(&self) {
        self.seen.notify_waiters();
    }

    /// It is used now.
    fn touch(&self, inner: &Inner) {
        self.idleness.touch(inner.clock.passed());
    }

    /// Ends whatever was done under the lock: hands out, writes, sets alarms, asks for more. Every
    /// change of the queue ends here. Gives what tells when the written is durable.
    fn finish(self: &Arc<Self>, inner: &Arc<Inner>, mut queue: MutexGuard<'_, Queue>) -> Settling {
        let now = inner.clock.now();
        queue.max_apart = inner.options.max_apart;
        queue.max_steps = inner.options.max_steps;
        queue.distribute(now);
        self.tell_forgotten(inner, &mut queue);
        let settling = self.write(inner, &mut queue);
        if !queue.dying.is_empty() && !queue.burying && !queue.burial_failed && !queue.closed {
            queue.burying = spawn(burial::run(inner.clone(), self.clone()));
        }
        let firsts = queue.alarms.firsts();
        for at in queue.next_alarms.hasten(firsts) {
            inner.subscriptions.clockwork.set(at, self);
        }
        let is_wanted = !queue.closed && (!queue.hands.is_empty() || queue.peekers > 0);
        if is_wanted != queue.is_watched {
            queue.is_watched = is_wanted;
            for feed in &queue.feeds {
                if is_wanted {
                    inner.subscriptions.bells.watch(feed.stream.id, self);
                } else {
                    inner.subscriptions.bells.unwatch(feed.stream.id, self);
                }
            }
            // What was committed while nobody watched was told to nobody.
            queue.feeds.iter_mut().for_each(|feed| feed.at_end = false);
        }
        let wants_load = queue.wants_load();
        let is_seen = queue.has_news();
        drop(queue);
        if wants_load {
            inner.subscriptions.bells.ring(self);
        }
        if is_seen {
            self.seen.notify_waiters();
        }
        settling
    }

    /// Lets operators know that more events wait aside than can be remembered.
    fn tell_forgotten(&self, inner: &Inner, queue: &mut Queue) {
        let count = std::mem::take(&mut queue.forgot);
        if count > 0 {
            inner.subscriptions.metrics.forgotten.inc_by(count);
            if !std::mem::replace(&mut queue.has_told, true) {
                tracing::warn!(subscription = %self.id, name = %self.name, project = %self.project, max = queue.max_apart, "more events are scheduled, or chosen by no consumer, than can be remembered; they are read again later");
            }
        }
    }

    /// Writes what was done, or puts that off while something is on its way.
    fn write(self: &Arc<Self>, inner: &Arc<Inner>, queue: &mut Queue) -> Settling {
        let mut settling = Settling::default();
        if !queue.needs_write || !self.durable {
            queue.needs_write = false;
            return settling;
        }
        if queue.on_hold {
            let (tell, hears) = tokio::sync::oneshot::channel();
            queue.deferred.push(tell);
            settling.told.push(hears);
            return settling;
        }
        let mut ops = Vec::new();
        self.write_places(queue, &mut ops);
        if !ops.is_empty() {
            inner.subscriptions.metrics.settled.inc();
            let parties = vec![(self.clone(), queue.began())];
            let commit = inner.engine.submit(Batch { ops, ..Batch::default() });
            settling.writing = Some(Writing::new(inner, commit, parties));
        }
        settling
    }

    /// Queues what was answered for the disk that nobody waited for, if anything was.
    pub(crate) fn catch_up(self: &Arc<Self>, inner: &Arc<Inner>) {
        let mut queue = self.queue.lock();
        if queue.lingers {
            queue.needs_write = true;
            drop(self.finish(inner, queue));
        }
    }

    /// Appends what writes all places that have changed.
    fn write_places(&self, queue: &mut Queue, ops: &mut Vec<Op>) {
        queue.needs_write = false;
        if self.durable {
            for feed in queue.feeds.iter_mut().filter(|feed| feed.place.is_dirty()) {
                feed.place.write(self.id, feed.stream.id, ops);
            }
        }
    }

    /// Goes on when what was on its way has been decided: writes what was put off, and tells those
    /// who wait for that.
    fn release_deferred(self: &Arc<Self>, inner: &Arc<Inner>, mut queue: MutexGuard<'_, Queue>) {
        let deferred = std::mem::take(&mut queue.deferred);
        queue.needs_write |= !deferred.is_empty();
        let settling = self.finish(inner, queue);
        if !deferred.is_empty() {
            spawn(async move {
                let result = settling.await;
                deferred.into_iter().for_each(|tell| drop(tell.send(result.clone())));
            });
        }
    }

    /// How it stands.
    fn stats(&self, inner: &Inner) -> SubscriptionStats {
        let queue = self.queue.lock();
        let (backlog, now) = (queue.backlog(inner), Now::of(&*inner.clock));
        let unused = self.idleness.unused(now.passed);
        let after = |limit: Duration| i64::try_from(limit.as_millis()).unwrap_or(i64::MAX);
        let is_left = backlog > 0 && unused >= after(inner.options.abandoned_after);
        let consumers = queue.hands.len();
        SubscriptionStats {
            backlog,
            oldest: queue.oldest(),
            in_flight: queue.in_flight() as u64,
            redelivered: queue.tally.redelivered,
            consumers,
            last_used: if consumers > 0 { now.day } else { self.idleness.last_used(now) },
            lost: queue.tally.lost,
            abandoned: consumers == 0 && (is_left || self.idleness.is_warned()),
        }
    }
}

/// Spawns where there is a runtime; without one nobody waits for anything any more.
fn spawn(task: impl Future<Output = ()> + Send + 'static) -> bool {
    tokio::runtime::Handle::try_current().map(|runtime| runtime.spawn(task)).is_ok()
}

/// How a subscription stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubscriptionStats {
    /// The events not settled yet, held ones included. With a selector or filter, those of what is
    /// not looked at yet count although some will be passed over.
    pub backlog: u64,
    /// When the oldest of them was taken, where that is known without a read.
    pub oldest: Option<Timestamp>,
    /// The events that consumers hold.
    pub in_flight: u64,
    /// How often an event was handed out again, since the server started.
    pub redelivered: u64,
    /// How many consumers it has now.
    pub consumers: usize,
    /// When a consumer last was there.
    pub last_used: Timestamp,
    /// How many events retention or damage took before they were settled, since the server started.
    pub lost: u64,
    /// Whether nobody has consumed for long while there is a backlog, or it will expire soon.
    pub abandoned: bool,
}

/// An event by its place, without its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventRef {
    /// The stream's number.
    pub stream: StreamId,
    /// The stream's name.
    pub name: StreamName,
    /// Its place there.
    pub offset: Offset,
    /// Its id.
    pub id: String,
}

/// What a peek saw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peeked {
    /// How many events are neither settled nor held; see [`SubscriptionStats::backlog`].
    pub available: u64,
    /// The first of them; `None`: nothing came in time.
    pub next: Option<EventRef>,
}

/// How one event stands in a subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventState {
    /// Neither settled nor held.
    Waiting,
    /// Someone holds it.
    Held {
        /// By which it is settled.
        lease: LeaseId,
        /// When it comes back; `None`: when its consumer goes.
        until: Option<Timestamp>,
    },
    /// It was settled, or taken by retention, or stood in its stream before the subscription began.
    Settled,
    /// There is no such event in any of its sources, or not yet.
    Unknown,
}
