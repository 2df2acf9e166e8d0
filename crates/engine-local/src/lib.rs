//! The embedded engine: one shared journal, then stream-sorted segments, and derived state.
//!
//! Called by `server` (to open it) and through [`outflow_store::Engine`] by everything above.
//! Calls `store`, `model`, fjall and the operating system.
//!
//! The life of a batch:
//!
//! ```text
//! submit ─ queue ─► committer: check, gather a group, ─► journal: one write, one sync
//!                        │                                  │
//!                        │            state (fjall) ◄───────┤ puts, with the position
//!                        │            index (memory) ◄──────┘ chunks, readable from now on
//!                        └─ answers, observer
//! a full journal file ─► sealer: blocks sorted by stream ─► segments/<age>/<n>.seg ─► index
//!                                                       └─► state durable, journal file free
//! retention: starts of streams move (through the journal) ─► dead segments are removed
//! ```
//!
//! ```text
//! <dir>/FORMAT          what this directory is, and its version
//! <dir>/lock            held while it is open
//! <dir>/journal/        <slot>.jrn        see `journal`
//! <dir>/segments/       <age>/<n>.seg     see `segment`
//! <dir>/state/          fjall             see `state` and `catalog`
//! <dir>/quarantine/     what was damaged, for the operator
//! ```
//!
//! Invariants: an acknowledged batch survives any crash; a failed one is absent, or, when the
//! engine stopped at it, whole or absent after recovery; offsets are never used twice; nothing is
//! deleted because it cannot be read; after a failed write or sync nothing is acknowledged again.

mod active;
mod cache;
mod catalog;
mod committer;
mod compaction;
pub mod engine;
pub mod fs;
mod health;
mod identity;
mod index;
mod journal;
mod lease;
pub mod log;
pub mod options;
mod queue;
mod reading;
pub mod recovery;
pub mod reserve;
mod retention;
mod sealer;
mod segment;
mod shared;
pub mod state;
mod threads;
pub mod verify;

pub use engine::LocalEngine;
pub use log::Log;
pub use options::Options;
pub use recovery::OpenError;
pub use shared::Parts;
