//! What makes batches durable, as the storeys above see it: the engine traits, the block, and the
//! contract suite that every engine passes.
//!
//! Called by `hub` and `auth`; implemented by `engine-*` and by [`memory`]. Calls `model` only.
//!
//! Invariants: knows nothing of subscribers, HTTP or frames; no engine's own type appears here;
//! an acknowledged batch is durable, a failed one is wholly absent.

pub mod batch;
pub mod block;
pub mod contract;
pub mod crc;
pub mod engine;
pub mod memory;

pub use batch::{Append, Batch, Condition, Durability, Fence, Op, Put, Retention, StreamConfig};
pub use block::{Block, BlockError, Deflated};
pub use engine::{
    AppendError, Bounds, Commit, CommitObserver, Engine, EngineFuture, Health, Lease, LeaseError,
    Read, ReadError, StateEntry, StateError,
};
