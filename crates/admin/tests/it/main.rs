//! The admin interface over the in-memory engine, request by request, without sockets.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on must stop"
)]

mod access;
mod api_keys;
mod catalog;
mod credentials;
mod document;
mod entities;
mod ingest_streams;
mod oauth;
mod prepared_transactions;
mod publish;
mod stage;
mod subscriptions;
mod users;
mod webhooks;
