//! The store's own tests: the engine contract on the memory engine, and blocks.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "helpers of tests, outside the test functions that the lints exempt"
)]

mod block;
mod memory;
