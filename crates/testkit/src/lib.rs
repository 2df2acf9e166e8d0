//! Runs the real binary for tests: starts it, waits until it is ready, ends it gently or not.
//!
//! Called by the tests of `server`, by `xtask` and `interop`; calls `model` only.
//!
//! Invariant: no process outlives the value that stands for it.

mod error;
mod log;
mod server;

pub use error::TestkitError;
pub use server::{Options, Server, binary, directory};
