//! Landing over the in-memory engine, pass by pass.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on must stop"
)]

#[cfg(feature = "object-stores")]
mod buckets;
mod crashes;
mod files;
mod world;
