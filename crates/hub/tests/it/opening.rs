//! How long it takes to open with many subscriptions, and what they cost while nobody uses them.
//!
//! `OUTFLOW_SUBSCRIPTIONS` sets how many there are (soak: 100,000).

use outflow_hub::Options;
use outflow_hub::subscription::SubscriptionSettings;
use tokio::time::Instant;

use crate::queueing::new;
use crate::world::{open, project_id, world};

const DEFAULT_COUNT: u64 = 2_000;
/// What one may cost in memory while nobody uses it, and what all may cost beside that: other tests
/// run in the same process.
const BYTES_EACH: u64 = 8 << 10;
const BYTES_MORE: u64 = 128 << 20;

/// The memory of this process in bytes.
fn memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() << 10
}

#[tokio::test]
async fn a_hundred_thousand_subscriptions_open_within_seconds() {
    let asked = std::env::var("OUTFLOW_SUBSCRIPTIONS").ok().and_then(|text| text.parse().ok());
    let count = asked.unwrap_or(DEFAULT_COUNT);
    let world = world().await;
    for n in 0..count {
        let new = new(&format!("s{n:06}"), &["events"], SubscriptionSettings::default());
        world.hub.create_subscription(&project_id("p"), new).await.unwrap();
    }
    let (clock, engine) = (world.clock.clone(), std::sync::Arc::new(world.engine.restart()));
    drop(world);
    let (before, began) = (memory(), Instant::now());
    let world = open(&clock, &engine, Options::default()).await;
    let (took, more) = (began.elapsed(), memory().saturating_sub(before));
    println!("{count} subscriptions opened in {took:?}, {} KiB more", more >> 10);
    assert_eq!(world.hub.subscriptions(&project_id("p")).len() as u64, count);
    let began = Instant::now();
    world.clock.advance(10_001);
    world.hub.tick().await;
    let round = began.elapsed();
    println!("a round took {round:?}");
    assert!(took.as_secs() < 10 && round.as_secs() < 5, "{took:?}, {round:?}");
    assert!(more < count * BYTES_EACH + BYTES_MORE, "{more} bytes for {count}");
}
