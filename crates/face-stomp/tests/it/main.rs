//! The STOMP face, tested byte by byte, against a real hub, and over real sockets.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "test code, helpers included, fails by panicking"
)]

mod client_ids;
mod destinations;
mod durability;
mod golden;
mod hostile;
mod messages;
mod options;
mod stand;
mod times;
mod tls;
mod transactions;
mod web_socket;
mod wire;
