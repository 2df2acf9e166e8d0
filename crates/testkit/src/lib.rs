//! Runs the real binary for tests: starts it, waits until it is ready, ends it gently or not. For tests
//! of faces, plays bytes to a server and reads what comes back ([`transcript`]).
//!
//! Called by the tests of `server` and of faces, by `xtask` and `interop`; calls `model` only.
//!
//! Invariant: no process outlives the value that stands for it.

mod error;
mod log;
mod server;
pub mod transcript;

pub use error::TestkitError;
pub use server::{Options, Server, binary, directory};
