//! What publishers, readers and administrators depend on, on the engine in memory.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "helpers of tests fail as tests do"
)]

mod answers;
mod browsing;
mod burying;
mod catalog;
mod choosing;
mod client_ids;
mod costly;
mod crowded;
mod dedup;
mod destinations;
mod entitlement;
mod expiring;
mod extracting;
mod hidden;
mod keyed;
mod keyed_room;
mod limits;
mod live;
mod opening;
mod peeking;
mod prepared;
mod publishing;
mod queue_model;
mod queueing;
mod reading;
mod refusing;
mod scheduling;
mod selector;
mod selector_oracle;
mod setting_the_clock;
mod shown;
mod silence;
mod slow_engine;
mod subscribers;
mod tenants;
mod together;
mod webhooks;
mod world;
