//! The embedded engine: one shared journal, then stream-sorted segments, and derived state.

pub mod fs;
pub mod state;
