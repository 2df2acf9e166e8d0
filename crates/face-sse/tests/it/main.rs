//! What SSE clients depend on, against a listening server.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "helpers of tests fail as tests do"
)]

mod feeds;
mod guarantees;
mod places;
mod stand;
mod wire;
