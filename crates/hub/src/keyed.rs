//! Keyed streams: events that tell the changes of entities.
//!
//! A keyed stream declares [`EntityTypes`]. What is published to it is checked against them
//! (`change`), gets a tick of its project (`ticks`), and is merged into the latest state of its
//! entity (`latest`), which is stored in the same batch as the event. Called by `publish`; `entity`
//! reads the states for those who make snapshots, and `silence` knows which types had no events.
//!
//! Invariants: an event and the state that it leads to are stored together or not at all. The state
//! of an entity is only ever made of events that are stored: a change waits for the commit of the
//! one before it on the same entity. Ticks grow with the log, and time never falls as they grow.

pub(crate) mod change;
pub(crate) mod entity;
mod entity_type;
pub(crate) mod latest;
pub(crate) mod publish;
pub(crate) mod room;
pub(crate) mod share;
pub(crate) mod silence;
pub(crate) mod sweep;
pub(crate) mod table;
pub(crate) mod ticks;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use outflow_model::ProjectId;
use parking_lot::Mutex;

pub use entity::{Entity, Page};
pub use entity_type::{EntityType, EntityTypes, EntityTypesError};

use silence::Watch;
use table::Table;
use ticks::Ticks;

/// What a keyed stream's lane holds.
#[derive(Debug, Default)]
pub(crate) struct KeyedLane {
    /// Whether the stream has been made keyed: a publisher that looked it up before must look again.
    pub(crate) is_keyed: AtomicBool,
    /// Held by the one publisher that gathers what its entities are, across reads, up to the moment
    /// its batch is queued: so they are served in turn, whatever each waits for.
    pub(crate) turn: tokio::sync::Mutex<()>,
    pub(crate) table: Mutex<Table>,
    /// Where its types had no events.
    pub(crate) watch: Mutex<Watch>,
}

/// The ticks of all projects that have keyed streams.
#[derive(Debug, Default)]
pub(crate) struct AllTicks(Mutex<HashMap<ProjectId, Arc<Ticks>>>);

impl AllTicks {
    /// Those of `project`.
    pub(crate) fn of(&self, project: &ProjectId) -> Arc<Ticks> {
        self.0.lock().entry(project.clone()).or_insert_with(|| Ticks::new(project)).clone()
    }
}
