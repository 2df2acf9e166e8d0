//! The webhook face without a socket: whom it may send to, and how what it sends is signed.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on must stop"
)]

mod addresses;
mod signatures;
mod urls;
