//! What metrics say of single subscriptions, and of how many.

use outflow_hub::subscription::{Settle, SubscriptionSettings};

use crate::queueing::{events, new, user, with_credit};
use crate::world::{World, project_id, world};

/// How many subscriptions metrics show.
const MAX_SHOWN: usize = 100;

/// The values of a metric of subscriptions, by the subscription's name.
fn values(world: &World, metric: &str) -> Vec<(String, u64)> {
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &world.metrics).unwrap();
    let start = format!("outflow_subscription_{metric}{{project=\"p\",subscription=\"");
    let rows = text.lines().filter_map(|line| line.strip_prefix(&start)?.split_once("\"} "));
    rows.map(|(name, value)| (name.to_owned(), value.parse().unwrap())).collect()
}

fn value(world: &World, metric: &str, of: &str) -> u64 {
    let values = values(world, metric);
    let found = values.iter().find(|(name, _)| name == of);
    found.unwrap_or_else(|| panic!("no {of} in {values:?}")).1
}

#[tokio::test(start_paused = true)]
async fn metrics_show_how_a_subscription_stands() {
    let world = world().await;
    let subscription = world.subscribe().await;
    world.publish_numbers(0, 5).await;
    world.clock.advance(90_000);
    assert_eq!(value(&world, "backlog", "s"), 5);
    let mut consumers = world.hub.consumers(&user());
    let id = consumers.add(&subscription, with_credit(3)).await.unwrap();
    let got = events(&mut consumers, 3).await;
    assert_eq!(value(&world, "in_flight", "s"), 3);
    assert_eq!(value(&world, "oldest_age_seconds", "s"), 90);
    let answers = [
        Settle::Ack(got[0].lease),
        Settle::Requeue { lease: got[1].lease, delay: None },
        Settle::Ack(got[2].lease),
    ];
    consumers.settle(id, &answers).unwrap().await.unwrap();
    events(&mut consumers, 3).await;
    assert_eq!(value(&world, "redelivered", "s"), 1);
    assert_eq!(value(&world, "backlog", "s"), 3);
}

/// Nobody holds an event of what is paused or fails for long; it is for its sake that the age is shown.
#[tokio::test(start_paused = true)]
async fn metrics_show_how_old_that_is_which_nobody_holds() {
    let world = world().await;
    let subscription = world.subscribe().await;
    assert_eq!(value(&world, "oldest_age_seconds", "s"), 0, "nothing waits");
    world.publish_numbers(0, 5).await;
    world.clock.advance(90_000);
    world.publish_numbers(5, 6).await;
    assert_eq!(world.hub.subscription_stats(&subscription).oldest, None);
    assert!(values(&world, "oldest_age_seconds").is_empty(), "it is not known, and not 0");
    world.hub.look_up_ages().await;
    assert_eq!(value(&world, "oldest_age_seconds", "s"), 90);
    let mut consumers = world.hub.consumers(&user());
    let id = consumers.add(&subscription, with_credit(5)).await.unwrap();
    let got = events(&mut consumers, 5).await;
    let answers: Vec<Settle> = got.iter().map(|one| Settle::Ack(one.lease)).collect();
    consumers.settle(id, &answers).unwrap().await.unwrap();
    drop(consumers);
    world.clock.advance(10_000);
    world.hub.look_up_ages().await;
    assert_eq!(value(&world, "oldest_age_seconds", "s"), 10);
}

#[tokio::test]
async fn metrics_show_the_largest_and_no_more_of_them() {
    let world = world().await;
    world.stream_called("large").await;
    for n in 0..MAX_SHOWN + 20 {
        let new = new(&format!("s{n}"), &["events"], SubscriptionSettings::default());
        world.hub.create_subscription(&project_id("p"), new).await.unwrap();
    }
    world.publish_numbers(0, 1).await;
    let large = new("large", &["events", "large"], SubscriptionSettings::default());
    world.hub.create_subscription(&project_id("p"), large).await.unwrap();
    let stream = world.hub.stream(&project_id("p"), &crate::world::name("large")).unwrap();
    let draft = world.draft(&[r#"{"type":"CUSTOM","body":{"n":1}}"#; 3]);
    world.hub.publish(&user(), &stream, draft).await.unwrap();
    world.hub.look_up_ages().await;
    for metric in ["backlog", "oldest_age_seconds", "in_flight", "redelivered"] {
        assert_eq!(values(&world, metric).len(), MAX_SHOWN, "{metric}");
    }
    assert_eq!(value(&world, "backlog", "large"), 4);
}
