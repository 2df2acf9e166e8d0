//! The NDJSON face, tested as clients meet it.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "test code, helpers included, fails by panicking"
)]

mod answers;
mod clients;
mod stand;
mod statuses;
mod streaming;
mod wire;
