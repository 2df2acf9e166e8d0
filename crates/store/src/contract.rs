//! The laws every engine obeys, as a test suite: reference `engine.md` 2.3.
//!
//! Called by the tests of each engine, which give a [`Bed`] and name it to
//! [`engine_contract!`](crate::engine_contract): each law becomes a test of its own. Calls an
//! engine through its traits only.
//!
//! Invariants: a law asserts what every engine promises, never how one keeps it. Laws take no
//! time of the clock's: the bed's clock is moved by hand.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    clippy::panic,
    reason = "a test suite: a broken law is a panic"
)]

pub mod commit;
pub mod log;
pub mod machine;
pub mod model;
pub mod ownership;
pub mod reader;
pub mod retention;
pub mod sample;
pub mod state;

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use outflow_model::clock::ManualClock;

use crate::engine::{Engine, EngineFuture};

/// How an engine goes down before it is opened again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reopen {
    /// After [`Engine::close`].
    Clean,
    /// Without warning: only what was acknowledged as synced must be there.
    Crash,
}

/// What an engine is tested on.
pub trait Bed: Debug + Send {
    /// The engine, opened. A new one after each [`Bed::reopen`].
    fn engine(&self) -> Arc<dyn Engine>;

    /// The clock that the engine was opened with.
    fn clock(&self) -> &ManualClock;

    /// Takes the engine down and opens it again.
    fn reopen(&mut self, how: Reopen) -> EngineFuture<'_, ()>;

    /// Brings everything committed into its final stored form, where that differs.
    fn seal(&mut self) -> EngineFuture<'_, ()>;

    /// Applies retention as of the clock.
    fn retain(&mut self) -> EngineFuture<'_, ()>;

    /// Leaves no room for events, or gives it back.
    fn set_full(&mut self, is_full: bool);
}

/// Longer than any law takes on a busy machine: a law that hangs fails.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// Makes a test of each law. `$bed` is the absolute path of an `async fn() -> impl Bed`.
#[macro_export]
macro_rules! engine_contract {
    ($bed:path) => {
        $crate::engine_contract! {
            @laws $bed;
            log: [
                appended_events_are_read_back_byte_for_byte
                offsets_only_rise_and_are_never_reused
                a_gap_moves_no_start
                a_batch_over_streams_and_state_is_atomic
                a_refused_batch_is_wholly_absent
                parts_of_a_batch_see_each_other
                reads_are_bounded_ordered_and_whole
                a_read_may_start_anywhere
                seek_finds_the_first_event_at_or_after
                time_never_falls_within_a_stream
                streams_are_listed_and_reconfigured
            ]
            retention: [
                a_trim_is_exact
                a_trim_never_reaches_past_the_end
                unexpired_events_stay_and_expired_ones_go
                a_quiet_stream_expires_beside_a_busy_one
                retention_by_size_keeps_the_newest
                a_dropped_stream_is_gone_for_good
            ]
            state: [
                puts_and_deletes_survive
                one_of_two_racers_wins
                conditions_hold_or_refuse
                revisions_never_repeat
                scans_are_ordered_and_paged
                bad_keys_and_values_are_refused
            ]
            ownership: [
                epochs_rise_with_every_change_of_owner
                a_stale_epoch_is_fenced
            ]
            commit: [
                commits_are_in_the_order_of_submits
                concurrent_publishers_lose_nothing
                the_observer_hears_of_every_commit
                relaxed_batches_keep_their_order
                a_synced_answer_shows_all_before_it
                a_full_disk_is_an_answer
                a_closed_engine_refuses_and_keeps_all
            ]
        }
    };
    (@laws $bed:path; $($area:ident: [$($law:ident)*])*) => {$(
        mod $area {$(
            #[tokio::test]
            async fn $law() {
                let mut bed = $bed().await;
                let law = $crate::contract::$area::$law(&mut bed);
                tokio::time::timeout($crate::contract::PATIENCE, law).await.expect("the law hangs");
            }
        )*}
    )*};
}
