//! What holders and administrators of credentials depend on.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests fail as tests do"
)]

mod api_keys;
mod credentials;
mod owners;
mod redaction;
mod tokens;
mod users;
mod webhooks;
