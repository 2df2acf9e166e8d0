//! A named, ordered, durable log of events in a project.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use outflow_model::{Offset, ProjectId, StreamId, StreamName, Timestamp};
use outflow_store::{Bounds, Durability, Engine, ReadError, Retention};
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::Semaphore;

use crate::Ingest;
use crate::extraction::{FEED_KEPT, LOAD_STREAM};
use crate::keyed::{EntityTypes, KeyedLane};
use crate::landing::LandingLane;
use crate::publish::Order;
use crate::tail::Tail;

/// How copies of one event are recognised by id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dedup {
    /// For how long an id is remembered, in milliseconds.
    pub window_ms: u64,
    /// How many ids are remembered, at most 10,000,000; about 64 bytes of memory each.
    pub max_ids: u32,
}

impl Default for Dedup {
    fn default() -> Self {
        Self { window_ms: 10 * 60_000, max_ids: 1_000_000 }
    }
}

/// What a project may choose for a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamSettings {
    /// How long it keeps its events.
    pub retention: Retention,
    /// When publishing is answered.
    pub durability: Durability,
    /// Whether events with ids of the publisher's own are held to be copies when the id was seen
    /// before; `None`: never.
    pub dedup: Option<Dedup>,
    /// The types of the entities whose changes it holds; `None`: it is not keyed. A stream that is
    /// keyed stays so, and its types keep their keys.
    pub entities: Option<Arc<EntityTypes>>,
    /// The types of entities whose changes the change feed sends, with all they depend on; `None`:
    /// every type. Holds at once for those who are reading.
    pub feed_types: Option<BTreeSet<String>>,
    /// For people, up to 1,024 bytes.
    pub description: String,
    /// Whether upstream systems may write single records to it, and of which kind.
    pub ingest: Option<Ingest>,
}

impl StreamSettings {
    /// Whether it takes certain events only, by a way that checks them.
    pub(crate) const fn is_choosy(&self) -> bool {
        self.entities.is_some() || self.ingest.is_some()
    }
}

impl StreamSettings {
    /// What a keyed stream has unless it is said otherwise: as [`StreamSettings::default`], but its
    /// events are kept as long as a change feed promises them, [`FEED_KEPT`].
    #[must_use]
    pub fn keyed(types: Arc<EntityTypes>) -> Self {
        let default = Self::default();
        let retention = Retention { age_ms: FEED_KEPT.as_millis() as u64, ..default.retention };
        Self { retention, entities: Some(types), ..default }
    }
}

impl Default for StreamSettings {
    fn default() -> Self {
        Self {
            retention: Retention::default(),
            durability: Durability::Synced,
            dedup: Some(Dedup::default()),
            entities: None,
            feed_types: None,
            description: String::new(),
            ingest: None,
        }
    }
}

/// A stream to create.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewStream {
    /// Its name, unique in its project.
    pub name: StreamName,
    /// Its settings.
    pub settings: StreamSettings,
}

/// A stream of the catalog, as it was when it was looked up.
#[derive(Debug, Clone)]
pub struct Stream {
    /// What the log knows it by.
    pub id: StreamId,
    /// Its project.
    pub project: ProjectId,
    /// Its name.
    pub name: StreamName,
    /// When it was created.
    pub created: Timestamp,
    /// Its settings.
    pub settings: StreamSettings,
    /// Its first event's offset, above all those of former streams of its name: who resumes at a
    /// place in one of them is told that events are missing.
    pub begins: Offset,
    /// What lives as long as the stream, whatever its settings.
    pub(crate) lane: Arc<Lane>,
}

impl Stream {
    /// Whether it was deleted since it was looked up: another may have its name.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        self.lane.deleted.load(Ordering::Acquire)
    }

    /// Whether it is a change or a load feed, which a credential may be made for.
    pub(crate) fn is_feed(&self) -> bool {
        self.settings.entities.is_some() || self.name.as_str() == LOAD_STREAM
    }

    /// The engine's idea of the stream's bounds, which knows nothing of former streams.
    pub(crate) fn bounds(&self, engine: &dyn Engine) -> Result<Bounds, ReadError> {
        let Bounds { start, next } = engine.bounds(self.id)?;
        Ok(Bounds { start: start.max(self.begins), next: next.max(self.begins) })
    }
}

/// A stream's working state: one for all copies of its [`Stream`].
#[derive(Debug)]
pub(crate) struct Lane {
    /// Held while a batch gets its offsets and its place in the commit queue.
    pub(crate) order: Mutex<Order>,
    /// Held by whoever fills `order` from the log, across reads.
    pub(crate) loading: tokio::sync::Mutex<()>,
    pub(crate) tail: Tail,
    pub(crate) keyed: KeyedLane,
    pub(crate) deleted: AtomicBool,
    /// Whether a session has met damaged events, so that those to come look out for them.
    pub(crate) damaged: AtomicBool,
    pub(crate) readers: AtomicUsize,
    /// What its project may have on its way by publishing, once it was published to.
    pub(crate) share: OnceLock<Arc<Semaphore>>,
    /// How it lands in files, if it does.
    pub(crate) landing: LandingLane,
}

impl Lane {
    /// The state of a stream that nobody has touched yet.
    pub(crate) fn new(id: StreamId) -> Arc<Self> {
        Arc::new(Self {
            order: Mutex::default(),
            loading: tokio::sync::Mutex::default(),
            tail: Tail::new(id),
            keyed: KeyedLane::default(),
            deleted: AtomicBool::new(false),
            damaged: AtomicBool::new(false),
            readers: AtomicUsize::new(0),
            share: OnceLock::new(),
            landing: LandingLane::default(),
        })
    }
}

/// Locks the orders of several streams: by number, so that no two who do so wait for each other.
/// Whoever holds more than one has them from here.
pub(crate) fn lock_orders<'a>(
    streams: impl IntoIterator<Item = &'a Arc<Stream>>,
) -> BTreeMap<StreamId, MutexGuard<'a, Order>> {
    let ordered: BTreeMap<StreamId, &Arc<Stream>> =
        streams.into_iter().map(|stream| (stream.id, stream)).collect();
    ordered.into_iter().map(|(id, stream)| (id, stream.lane.order.lock())).collect()
}

/// How a stream stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamStats {
    /// The first offset still retained; equal to `next` when there is none.
    pub start: Offset,
    /// The offset after the last committed event.
    pub next: Offset,
    /// The bytes of plain lines retained, about.
    pub stored_bytes: u64,
    /// How many readers it has now.
    pub readers: usize,
}
