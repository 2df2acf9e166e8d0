//! All subscriptions: by name, and by the streams they take events from.
//!
//! Called by `change`, by lookups, and by the clockwork. `load` reads them when the hub opens: each
//! is a definition and a few places, which are all held, and nothing else until it is used.

use std::cmp::Ordering;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64};

use outflow_model::clock::Clock;
use outflow_model::{ProjectId, StreamId, StreamName, SubscriptionName, Timestamp};
use outflow_store::{Bounds, Engine};
use parking_lot::{Mutex, RwLock};
use prometheus_client::registry::Registry;
use tokio::sync::watch;

use super::ages::Ages;
use super::clockwork::Clockwork;
use super::feed::Feed;
use super::idleness::Idleness;
use super::line::Lines;
use super::load::Recent;
use super::metrics::SubscriptionMetrics;
use super::place::{self, Place};
use super::prepared::Prepared;
use super::timetable::Now;
use super::wake::Bells;
use super::writing::{self, Orphans};
use super::{Sources, Subscription, SubscriptionId, record};
use crate::catalog::{Catalog, scan};
use crate::{OpenError, Stream};

/// A subscription in the order in which several are locked.
#[derive(Debug, Clone)]
pub(crate) struct Ordered(pub(crate) Arc<Subscription>);

impl Ord for Ordered {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.id().cmp(&other.0.id())
    }
}

impl PartialOrd for Ordered {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Ordered {
    fn eq(&self, other: &Self) -> bool {
        self.0.id() == other.0.id()
    }
}

impl Eq for Ordered {}

/// What the hub keeps of subscriptions.
#[derive(Debug)]
pub(crate) struct Subscriptions {
    pub(crate) directory: RwLock<Directory>,
    pub(crate) bells: Arc<Bells>,
    pub(crate) lines: Lines,
    pub(crate) clockwork: Arc<Clockwork>,
    pub(crate) recent: Recent,
    pub(crate) orphans: Orphans,
    /// The transactions that wait for their outcome.
    pub(crate) prepared: Prepared,
    /// The next lease's number.
    pub(crate) leases: AtomicU64,
    /// The next number of a subscription that does not last.
    pub(crate) passing: AtomicU32,
    /// Counts the queues that were made, by project; only where somebody waits for some.
    queues_made: Mutex<HashMap<ProjectId, watch::Sender<u64>>>,
    pub(crate) metrics: SubscriptionMetrics,
    pub(crate) ages: Ages,
}

impl Subscriptions {
    /// None yet. Leases are numbered from the time on, so that none comes again after a restart.
    pub(crate) fn new(now: Timestamp, bells: Arc<Bells>, registry: &mut Registry) -> Self {
        let millis = u64::try_from(now.millis()).unwrap_or(0);
        let (orphans, take) = Orphans::new();
        tokio::spawn(writing::wait(take));
        Self {
            directory: RwLock::default(),
            bells,
            lines: Lines::default(),
            clockwork: Arc::default(),
            recent: Recent::default(),
            orphans,
            prepared: Prepared::default(),
            leases: AtomicU64::new(millis << 22),
            passing: AtomicU32::new(FIRST_PASSING),
            queues_made: Mutex::default(),
            metrics: SubscriptionMetrics::new(registry),
            ages: Ages::default(),
        }
    }
}

impl Subscriptions {
    /// What changes with every queue that is made in the project.
    pub(crate) fn queues_to_come(&self, project: &ProjectId) -> watch::Receiver<u64> {
        self.queues_made.lock().entry(project.clone()).or_default().subscribe()
    }

    /// A queue was made.
    pub(crate) fn queue_made(&self, project: &ProjectId) {
        let mut made = self.queues_made.lock();
        let Some(sender) = made.get(project) else { return };
        if sender.receiver_count() == 0 {
            made.remove(project);
        } else {
            sender.send_modify(|count| *count += 1);
        }
    }
}

/// Numbers from here on are of subscriptions that do not last.
pub(crate) const FIRST_PASSING: u32 = 1 << 31;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Directory {
    names: BTreeMap<ProjectId, BTreeMap<SubscriptionName, Arc<Subscription>>>,
    streams: HashMap<StreamId, BTreeMap<SubscriptionId, Arc<Subscription>>>,
}

impl Directory {
    pub(crate) fn find(&self, project: &ProjectId, name: &str) -> Option<Arc<Subscription>> {
        let name = SubscriptionName::new(name).ok()?;
        self.names.get(project)?.get(&name).cloned()
    }

    pub(crate) fn of_project(&self, project: &ProjectId) -> Vec<Arc<Subscription>> {
        let names = self.names.get(project);
        names.map(|names| names.values().cloned().collect()).unwrap_or_default()
    }

    pub(crate) fn count(&self, project: &ProjectId) -> usize {
        self.names.get(project).map_or(0, BTreeMap::len)
    }

    pub(crate) fn all(&self) -> Vec<Arc<Subscription>> {
        self.names.values().flat_map(BTreeMap::values).cloned().collect()
    }

    pub(crate) fn of_stream(&self, stream: StreamId) -> Vec<Arc<Subscription>> {
        let all = self.streams.get(&stream);
        all.map(|all| all.values().cloned().collect()).unwrap_or_default()
    }

    /// Enters a subscription with the streams it has.
    pub(crate) fn enter(&mut self, subscription: &Arc<Subscription>) {
        let names = self.names.entry(subscription.project().clone()).or_default();
        names.insert(subscription.name().clone(), subscription.clone());
        let streams: Vec<StreamId> =
            subscription.queue.lock().feeds.iter().map(|feed| feed.stream.id).collect();
        streams.into_iter().for_each(|stream| self.attach(stream, subscription));
    }

    /// Removes a subscription with the streams it has.
    pub(crate) fn leave(&mut self, subscription: &Arc<Subscription>) {
        if let Some(names) = self.names.get_mut(subscription.project()) {
            names.remove(subscription.name());
            if names.is_empty() {
                self.names.remove(subscription.project());
            }
        }
        let streams: Vec<StreamId> =
            subscription.queue.lock().feeds.iter().map(|feed| feed.stream.id).collect();
        streams.into_iter().for_each(|stream| self.detach(stream, subscription));
    }

    pub(crate) fn attach(&mut self, stream: StreamId, subscription: &Arc<Subscription>) {
        self.streams.entry(stream).or_default().insert(subscription.id(), subscription.clone());
    }

    pub(crate) fn detach(&mut self, stream: StreamId, subscription: &Arc<Subscription>) {
        if let Some(subscriptions) = self.streams.get_mut(&stream) {
            subscriptions.remove(&subscription.id());
            if subscriptions.is_empty() {
                self.streams.remove(&stream);
            }
        }
    }

    /// Reads all subscriptions from the engine's state.
    pub(crate) async fn load(
        engine: &dyn Engine,
        catalog: &Catalog,
        clock: &dyn Clock,
    ) -> Result<Self, OpenError> {
        let mut places: HashMap<(SubscriptionId, StreamId), Place> = HashMap::new();
        for entry in scan(engine, place::PLACES).await? {
            let parsed = place::parse_key(&entry.key);
            let loaded = parsed.ok_or("unknown key").and_then(|(subscription, stream, chunk)| {
                places.entry((subscription, stream)).or_default().load(chunk, &entry.value)
            });
            loaded.map_err(|reason| OpenError::Corrupt(format!("{:?}: {reason}", entry.key)))?;
        }
        let (mut used, now) = (HashMap::new(), Now::of(clock));
        for entry in scan(engine, record::USED).await? {
            if let Some((id, at)) = record::used(&entry.key, &entry.value) {
                used.insert(id, at);
            }
        }
        let mut directory = Self::default();
        for entry in scan(engine, record::SUBSCRIPTIONS).await? {
            let stored = record::read(&entry.value)
                .map_err(|reason| OpenError::Corrupt(format!("{:?}: {reason}", entry.key)))?;
            let id = stored.id;
            let used = used.get(&id).copied().unwrap_or(stored.created);
            let subscription = Subscription::new(stored, true, Idleness::since(used, now));
            {
                let mut queue = subscription.queue.lock();
                for stream in
                    streams_of(catalog, subscription.project(), &subscription.shared_sources())
                {
                    let stored = places.remove(&(id, stream.id));
                    let place = stored.unwrap_or_else(|| Place::at(stream.begins));
                    subscription.take_up(&mut queue, &stream, held_to(place, &stream, engine));
                }
            }
            directory.enter(&Arc::new(subscription));
        }
        Ok(directory)
    }
}

/// A place as it can be: below what was ever written to the stream. Else events to come would be
/// taken for done.
fn held_to(place: Place, stream: &Stream, engine: &dyn Engine) -> Place {
    let Ok(Bounds { next, .. }) = stream.bounds(engine) else { return place };
    if place.floor() <= next {
        return place;
    }
    tracing::warn!(stream = %stream.id, floor = %place.floor(), %next, "a place is beyond the end of its stream, which must have lost events; going on at its end");
    Place::at(next)
}

/// The streams that sources mean, as of now.
pub(crate) fn streams_of(
    catalog: &Catalog,
    project: &ProjectId,
    sources: &Sources,
) -> Vec<Arc<Stream>> {
    match sources {
        Sources::Streams(sources) => {
            sources.iter().filter_map(|source| catalog.stream(project, &source.stream)).collect()
        }
        Sources::Matching { pattern, .. } => {
            let streams = catalog.tenants.get(project).map(|tenant| &tenant.streams);
            let named = streams.into_iter().flatten();
            named
                .filter(|(name, _)| pattern.matches(name.as_str()))
                .map(|(_, s)| s.clone())
                .collect()
        }
    }
}

impl Sources {
    /// Whether they mean a stream of this name.
    pub(crate) fn mean(&self, name: &StreamName) -> bool {
        match self {
            Self::Streams(sources) => sources.iter().any(|source| source.stream == *name),
            Self::Matching { pattern, .. } => pattern.matches(name.as_str()),
        }
    }
}

impl Subscription {
    /// Adds a feed.
    pub(crate) fn take_up(
        &self,
        queue: &mut super::queue::Queue,
        stream: &Arc<Stream>,
        place: Place,
    ) {
        let filter = match &*self.shared_sources() {
            Sources::Streams(sources) => {
                let source = sources.iter().find(|source| source.stream == stream.name);
                source.and_then(|source| source.filter.clone())
            }
            Sources::Matching { .. } => None,
        };
        let key = queue.next_feed;
        queue.next_feed += 1;
        queue.feeds.reserve_exact(1);
        queue.feeds.push(Feed::new(key, stream.clone(), filter, place));
    }
}
