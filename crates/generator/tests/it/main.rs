//! What comes out is what the reference tables describe, and the same again for the same seed.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "test code, helpers included, fails by panicking"
)]

mod feeds;
mod life;
mod schema;
mod tables;

use std::sync::Arc;

use outflow_generator::Generator;
use outflow_model::Timestamp;
use outflow_model::clock::ManualClock;
use serde_json::Value;

/// The first `count` events of `seed`, a second apart.
fn events(seed: u64, count: usize) -> Vec<Value> {
    texts(seed, count).iter().map(|text| serde_json::from_str(text).unwrap()).collect()
}

fn texts(seed: u64, count: usize) -> Vec<String> {
    let clock = Arc::new(ManualClock::new(Timestamp::from_millis(1_790_000_000_000)));
    let mut generator = Generator::new(seed, clock.clone());
    let next = |_| {
        clock.advance(1000);
        generator.next_event().to_owned()
    };
    (0..count).map(next).collect()
}
