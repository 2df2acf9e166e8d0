//! The OpenWire face, tested byte by byte.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "test code, helpers included, fails by panicking"
)]

mod advisories;
mod bodies;
mod bounds;
#[path = "../../examples/vectors/check.rs"]
mod check;
mod distributed;
mod durable;
mod frames;
mod golden;
mod hostile;
mod missing;
mod primitive;
mod round_trip;
mod sessions;
mod stand;
