//! The webhook face: whom it may send to, how what it sends is signed, and what its client makes of
//! receivers of all kinds, on this host only.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on must stop"
)]

mod addresses;
mod alerts;
mod certificates;
mod crowd;
mod dns;
mod exchanges;
mod flaky;
mod hostile;
mod idle;
mod keys;
mod lanes;
mod moving;
mod posting;
mod proxies;
mod sent;
mod session_lanes;
mod session_looking;
mod session_model;
mod sessions;
mod ssrf;
mod stand;
mod taking;
mod urls;
mod world;
