//! The client commands as a user meets them: their help, their arguments, and a server's answers.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on must stop"
)]

mod arguments;
mod listen;
mod server;
mod tls;
