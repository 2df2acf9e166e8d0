//! The local engine's tests: the contract on a real disk, and the durability tests on a disk that
//! loses, tears and reorders whatever was not synced.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    reason = "helpers of tests, outside the test functions that the lints exempt"
)]

mod contract;
mod corruption;
mod descriptors;
mod disk;
mod faults;
mod full;
mod journal_end;
mod lost;
mod missing;
mod rig;
mod sim;
mod verify;
mod volatile;
