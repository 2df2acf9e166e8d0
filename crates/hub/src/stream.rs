//! A named, ordered, durable log of events in a project.

use std::sync::Arc;

use outflow_model::{Offset, ProjectId, StreamId, StreamName, Timestamp};
use outflow_store::{Durability, Retention};

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
    /// For people, up to 1,024 bytes.
    pub description: String,
}

impl Default for StreamSettings {
    fn default() -> Self {
        Self {
            retention: Retention::default(),
            durability: Durability::Synced,
            dedup: Some(Dedup::default()),
            description: String::new(),
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
    #[allow(dead_code)]
    pub(crate) lane: Arc<()>,
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
