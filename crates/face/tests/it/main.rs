//! What faces share, tested through real sockets.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "test code, helpers included, fails by panicking"
)]

mod drain;
mod h2;
mod limits;
mod server;
mod tls;
