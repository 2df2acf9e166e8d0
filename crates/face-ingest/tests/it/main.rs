//! The ingest face over the in-memory engine, request by request, without sockets.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on must stop"
)]

mod payloads;
mod stand;
mod statuses;
