//! More events wait than a subscription remembers.

use outflow_hub::Options;
use outflow_hub::subscription::{ConsumerOptions, Settle, SubscriptionSettings};

use crate::choosing::choosing;
use crate::queueing::{acks, events, number, numbers, user, with_credit};
use crate::world::{NOW, World, world_with};

async fn small() -> World {
    world_with(Options { max_apart: 10, read_chunk_bytes: 4 << 10, ..Options::default() }).await
}

fn coloured(colour: &str, n: u64) -> String {
    format!(r#"{{"type":"CUSTOM","headers":{{"colour":"{colour}"}},"body":{{"n":{n}}}}}"#)
}

#[tokio::test(start_paused = true)]
async fn each_scheduled_event_comes_at_its_time_however_many_there_are() {
    const COUNT: u64 = 200;
    let world = small().await;
    let subscription = world.subscribe().await;
    // In no order of their times.
    let due = |n: u64| 1_000 + (n * 67) % COUNT * 1_000;
    for n in 0..COUNT {
        let at = outflow_model::Timestamp::from_millis(NOW + due(n) as i64);
        world
            .publish(&[&format!(
                r#"{{"type":"CUSTOM","headers":{{"outflow-deliver-at":"{at}"}},"body":{{"n":{n}}}}}"#
            )])
            .await;
    }
    let mut consumers = world.hub.consumers(&user());
    let id = consumers.add(&subscription, with_credit(10)).await.unwrap();
    for second in 1..=COUNT {
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        world.clock.advance(1_000);
        world.hub.tick().await;
        let got = events(&mut consumers, 1).await;
        assert_eq!(due(number(&got[0])), second * 1_000);
        consumers.settle(id, &acks(&got)).unwrap().await.unwrap();
    }
    assert_eq!(world.hub.subscription_stats(&subscription).backlog, 0);
    assert!(world.metric("outflow_events_forgotten_total") > 0);
}

#[tokio::test(start_paused = true)]
async fn what_nobody_chooses_holds_up_nobody_and_waits_for_whoever_does() {
    let world = small().await;
    let subscription = world.subscribe().await;
    let mut consumers = world.hub.consumers(&user());
    let id = consumers.add(&subscription, choosing("colour = 'red'")).await.unwrap();
    for n in 0..100 {
        world.publish(&[&coloured(if n % 4 == 3 { "red" } else { "blue" }, n)]).await;
    }
    let mut red = Vec::new();
    for _ in 0..25 {
        let got = events(&mut consumers, 1).await;
        red.push(number(&got[0]));
        consumers.settle(id, &acks(&got)).unwrap().await.unwrap();
    }
    assert_eq!(red, (0..25).map(|n| n * 4 + 3).collect::<Vec<_>>());
    assert!(world.metric("outflow_events_forgotten_total") > 0);
    let mut others = world.hub.consumers(&user());
    others.add(&subscription, with_credit(1_000)).await.unwrap();
    let blue: Vec<u64> = (0..100).filter(|n| n % 4 != 3).collect();
    assert_eq!(numbers(&events(&mut others, 75).await), blue);
}

#[tokio::test(start_paused = true)]
async fn a_full_consumer_gets_what_it_chose_meanwhile_in_order() {
    for max_apart in [10, 100_000] {
        let options = Options { max_apart, read_chunk_bytes: 4 << 10, ..Options::default() };
        let world = world_with(options).await;
        let subscription = world.subscribe_with(SubscriptionSettings::default()).await;
        let mut consumers = world.hub.consumers(&user());
        let red = ConsumerOptions { credit: 1, ..choosing("colour = 'red'") };
        let red = consumers.add(&subscription, red).await.unwrap();
        let mut others = world.hub.consumers(&user());
        let blue = others.add(&subscription, choosing("colour = 'blue'")).await.unwrap();
        for n in 0..200 {
            world.publish(&[&coloured(if n % 2 == 0 { "red" } else { "blue" }, n)]).await;
        }
        let mut of_blue = Vec::new();
        while of_blue.len() < 100 {
            let got = events(&mut others, 1).await;
            others.settle(blue, &acks(&got)).unwrap().await.unwrap();
            of_blue.push(number(&got[0]));
        }
        assert_eq!(of_blue, (0..100).map(|n| n * 2 + 1).collect::<Vec<_>>());
        let mut of_red = Vec::new();
        while of_red.len() < 100 {
            let got = events(&mut consumers, 1).await;
            consumers.settle(red, &[Settle::Ack(got[0].lease)]).unwrap().await.unwrap();
            of_red.push(number(&got[0]));
        }
        assert_eq!(of_red, (0..100).map(|n| n * 2).collect::<Vec<_>>(), "{max_apart}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_forgotten_comes_before_what_comes_back_behind_it() {
    let world = small().await;
    let subscription = world.subscribe().await;
    for n in 0..15 {
        world.publish(&[&coloured("blue", n)]).await;
    }
    world.publish(&[&coloured("red", 15)]).await;
    let mut chooser = world.hub.consumers(&user());
    chooser.add(&subscription, choosing("colour = 'red'")).await.unwrap();
    assert_eq!(numbers(&events(&mut chooser, 1).await), [15]);
    // Ten of the others are remembered.
    drop(chooser);
    let mut all = world.hub.consumers(&user());
    all.add(&subscription, with_credit(20)).await.unwrap();
    assert_eq!(numbers(&events(&mut all, 16).await), (0..16).collect::<Vec<_>>());
}
