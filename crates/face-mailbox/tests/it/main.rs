//! What a client of the mailbox API depends on.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests fail as tests do"
)]

mod answers;
mod grammar;
mod loop_of_calls;
mod stand;
mod waiting;
