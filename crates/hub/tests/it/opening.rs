//! How long it takes to open with many subscriptions, and what they cost while nobody uses them.
//! Ignored: it says figures and takes long.

use outflow_hub::Options;
use outflow_hub::subscription::SubscriptionSettings;
use tokio::time::Instant;

use crate::queueing::new;
use crate::world::{open, project_id, world};

const COUNT: usize = 100_000;

/// The memory of this process in KiB.
fn memory() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[tokio::test]
#[ignore = "says figures"]
async fn a_hundred_thousand_subscriptions_open_within_seconds() {
    let world = world().await;
    for n in 0..COUNT {
        let new = new(&format!("s{n:06}"), &["events"], SubscriptionSettings::default());
        world.hub.create_subscription(&project_id("p"), new).await.unwrap();
    }
    let (clock, engine) = (world.clock.clone(), std::sync::Arc::new(world.engine.restart()));
    drop(world);
    let (before, began) = (memory(), Instant::now());
    let world = open(&clock, &engine, Options::default()).await;
    let (took, after) = (began.elapsed(), memory());
    println!("{COUNT} subscriptions opened in {took:?}, {} KiB more", after.saturating_sub(before));
    let began = Instant::now();
    world.clock.advance(10_001);
    world.hub.tick().await;
    println!("a round took {:?}", began.elapsed());
    assert!(took.as_secs() < 10);
}
