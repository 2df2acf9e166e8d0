//! What time does to queues and events that nobody comes for.

use std::time::Duration;

use outflow_hub::subscription::{
    ConsumeError, ConsumerOptions, DeliveryOrder, LeaseError, Settle, SubscriptionSettings,
};
use outflow_model::Clock as _;

use crate::choosing::choosing;
use crate::queueing::{acks, events, new, numbers, silent, user, with_credit};
use crate::world::{name, project_id, world};

#[tokio::test(start_paused = true)]
async fn events_are_given_up_at_their_age_though_nobody_consumes() {
    let world = world().await;
    let settings = SubscriptionSettings {
        max_age: Some(Duration::from_secs(60)),
        dead_letter: Some(name("dead")),
        owns: true,
        ..Default::default()
    };
    let subscription = world.subscribe_with(settings).await;
    world.publish_numbers(0, 3).await;
    world.clock.advance(40_000);
    world.publish_numbers(3, 5).await;
    world.hub.tick().await;
    assert_eq!(world.hub.subscription_stats(&subscription).backlog, 5);
    world.clock.advance(21_000);
    world.hub.tick().await;
    // The burials end by themselves.
    tokio::time::sleep(Duration::from_millis(1)).await;
    let stats = world.hub.subscription_stats(&subscription);
    assert_eq!((stats.backlog, stats.last_used), (2, subscription.created()));
    world.clock.advance(10_000);
    world.hub.tick().await;
    let start = outflow_model::Offset::FIRST.plus(3);
    assert_eq!(world.hub.stats(&world.stream()).start, start);
    let letters = new("dead", &["dead"], SubscriptionSettings::default());
    let letters = world.hub.create_subscription(&project_id("p"), letters).await.unwrap();
    let mut consumers = world.hub.consumers(&user());
    consumers.add(&letters, with_credit(10)).await.unwrap();
    assert_eq!(numbers(&events(&mut consumers, 3).await), [0, 1, 2]);
}

#[tokio::test(start_paused = true)]
async fn what_is_over_is_neither_shown_nor_taken() {
    let world = world().await;
    let max_age = Some(Duration::from_secs(60));
    let settings = SubscriptionSettings { max_age, ..Default::default() };
    let subscription = world.subscribe_with(settings).await;
    world.publish_numbers(0, 1).await;
    let wait = Duration::ZERO;
    let old = world.hub.peek(&user(), &subscription, wait).await.unwrap().next.unwrap();
    world.clock.advance(60_001);
    world.publish_numbers(1, 2).await;
    let taken = world.hub.lease(&user(), &subscription, &old, Duration::from_secs(1)).await;
    assert_eq!(taken.unwrap_err(), LeaseError::Gone);
    let next = world.hub.peek(&user(), &subscription, wait).await.unwrap().next.unwrap();
    assert_eq!(next.offset, old.offset.next());
}

#[tokio::test(start_paused = true)]
async fn a_look_that_waits_for_nothing_sees_what_stands_behind_what_is_over() {
    let world = world().await;
    let max_age = Some(Duration::from_secs(60));
    let order = DeliveryOrder::Strict;
    let settings = SubscriptionSettings { max_age, order, ..Default::default() };
    let subscription = world.subscribe_with(settings).await;
    world.publish_numbers(0, 3).await;
    let look = || async { world.hub.peek(&user(), &subscription, Duration::ZERO).await.unwrap() };
    let old = look().await.next.unwrap();
    world.clock.advance(60_001);
    world.publish_numbers(3, 4).await;
    assert_eq!(look().await.next.unwrap().offset, old.offset.plus(3));
    // And ends where nothing does.
    world.clock.advance(60_001);
    assert!(look().await.next.is_none());
}

#[tokio::test(start_paused = true)]
async fn who_comes_while_others_are_deleted_keeps_its_subscription() {
    let world = world().await;
    let idle_expiry = Some(Duration::from_secs(1_000));
    for name in ["a", "b"] {
        let settings = SubscriptionSettings { idle_expiry, ..Default::default() };
        let new = new(name, &["events"], settings);
        world.hub.create_subscription(&project_id("p"), new).await.unwrap();
    }
    let found = |name: &str| world.hub.subscription(&project_id("p"), name);
    world.clock.advance(1_000_001);
    world.engine.hold();
    let hub = world.hub.clone();
    let tick = tokio::spawn(async move { hub.tick().await });
    while world.engine.held() == 0 {
        tokio::task::yield_now().await;
    }
    let mut consumers = world.hub.consumers(&user());
    consumers.add(&found("b").unwrap(), with_credit(1)).await.unwrap();
    world.engine.commit_all();
    tick.await.unwrap();
    assert!(found("a").is_none() && found("b").is_some());
}

#[tokio::test(start_paused = true)]
async fn a_passing_subscription_that_is_gone_refuses_and_leaves_nothing() {
    let world = world().await;
    let passing = outflow_hub::subscription::NewSubscription {
        durable: false,
        ..new("s", &["events"], SubscriptionSettings::default())
    };
    let subscription = world.hub.create_subscription(&project_id("p"), passing).await.unwrap();
    let mut consumers = world.hub.consumers(&user());
    consumers.add(&subscription, with_credit(1)).await.unwrap();
    drop(consumers);
    let mut consumers = world.hub.consumers(&user());
    let refused = consumers.add(&subscription, with_credit(1)).await;
    assert_eq!(refused.unwrap_err(), ConsumeError::NotFound);
    let peeked = world.hub.peek(&user(), &subscription, Duration::from_secs(90)).await;
    assert_eq!(peeked.unwrap_err(), ConsumeError::NotFound);
}

#[tokio::test(start_paused = true)]
async fn a_new_age_counts_for_what_is_in_memory_and_for_what_nobody_looks_at() {
    let world = world().await;
    let subscription = world.subscribe().await;
    world.publish_numbers(0, 2).await;
    let mut consumers = world.hub.consumers(&user());
    let id = consumers.add(&subscription, with_credit(1)).await.unwrap();
    assert_eq!(numbers(&events(&mut consumers, 1).await), [0]);
    // The second one is in memory, and nobody has room for it.
    let changed = |max_age| SubscriptionSettings { max_age, ..Default::default() };
    let minute = changed(Some(Duration::from_secs(60)));
    world.hub.update_subscription(&subscription, minute.clone()).await.unwrap();
    world.clock.advance(61_000);
    world.publish_numbers(2, 3).await;
    consumers.change_credit(id, 1);
    assert_eq!(numbers(&events(&mut consumers, 1).await), [2]);
    drop(consumers);
    // A look that found nothing over is due again at once.
    world.hub.update_subscription(&subscription, changed(None)).await.unwrap();
    world.clock.advance(61_000);
    world.hub.tick().await;
    assert_eq!(world.hub.subscription_stats(&subscription).backlog, 2);
    world.hub.update_subscription(&subscription, minute).await.unwrap();
    world.clock.advance(10_000);
    world.hub.tick().await;
    assert_eq!(world.hub.subscription_stats(&subscription).backlog, 0);
}

#[tokio::test(start_paused = true)]
async fn one_that_is_idle_already_is_warned_of_before_a_new_limit_ends_it() {
    let world = world().await;
    let subscription = world.subscribe().await;
    world.publish_numbers(0, 1).await;
    world.clock.advance(10_000_000);
    let idle_expiry = Some(Duration::from_secs(1_000));
    let settings = SubscriptionSettings { idle_expiry, ..Default::default() };
    world.hub.update_subscription(&subscription, settings).await.unwrap();
    world.hub.tick().await;
    assert_eq!(world.metric("outflow_idle_warnings_total"), 1);
    world.clock.advance(90_000);
    world.hub.tick().await;
    assert!(world.hub.subscription(&project_id("p"), "s").is_some());
    world.clock.advance(10_000);
    world.hub.tick().await;
    assert!(world.hub.subscription(&project_id("p"), "s").is_none());
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_is_set_neither_ends_what_is_idle_nor_keeps_it() {
    let world = world().await;
    let idle_expiry = Some(Duration::from_secs(1_000));
    let settings = SubscriptionSettings { idle_expiry, ..Default::default() };
    let subscription = world.subscribe_with(settings).await;
    world.clock.advance(100_000);
    for jump in [10_000_000, -20_000_000] {
        world.clock.set(world.clock.now().plus_millis(jump));
        world.clock.advance(10_000);
        world.hub.tick().await;
    }
    let stats = world.hub.subscription_stats(&subscription);
    assert_eq!((stats.abandoned, world.metric("outflow_idle_warnings_total")), (false, 0));
    // What is shown is in the time that the clock shows.
    assert_eq!(world.clock.now().millis() - stats.last_used.millis(), 120_000);
    world.clock.advance(880_000);
    world.hub.tick().await;
    assert!(world.hub.subscription(&project_id("p"), "s").is_none());
}

#[tokio::test(start_paused = true)]
async fn a_queue_that_nobody_uses_goes_with_what_it_owns() {
    let world = world().await;
    let idle_expiry = Some(Duration::from_secs(1_000));
    let settings = SubscriptionSettings { idle_expiry, owns: true, ..Default::default() };
    world.subscribe_with(settings).await;
    world.publish_numbers(0, 1).await;
    world.clock.advance(1_000_000);
    world.hub.tick().await;
    assert!(world.hub.subscription(&project_id("p"), "s").is_none());
    assert!(world.hub.stream(&project_id("p"), &name("events")).is_none());
}

#[tokio::test(start_paused = true)]
async fn a_new_age_hands_out_nothing_that_somebody_holds() {
    let world = world().await;
    let subscription = world.subscribe().await;
    world.publish_numbers(0, 5).await;
    let mut consumers = world.hub.consumers(&user());
    let id = consumers.add(&subscription, with_credit(0)).await.unwrap();
    consumers.change_credit(id, 3);
    let got = events(&mut consumers, 3).await;
    // The first one comes back, before two that are held and two that nobody had.
    let back = Settle::Requeue { lease: got[0].lease, delay: None };
    consumers.settle(id, &[back]).unwrap().await.unwrap();
    silent(&mut consumers).await;
    let max_age = Some(Duration::from_secs(60));
    let settings = SubscriptionSettings { max_age, ..Default::default() };
    world.hub.update_subscription(&subscription, settings).await.unwrap();
    let mut other = world.hub.consumers(&user());
    other.add(&subscription, with_credit(10)).await.unwrap();
    let rest = events(&mut other, 3).await;
    assert_eq!(numbers(&rest), [0, 3, 4]);
    assert!(rest[0].redelivered && !rest[1].redelivered);
    silent(&mut other).await;
}

#[tokio::test(start_paused = true)]
async fn what_is_over_takes_nobodys_place_among_what_comes_back() {
    let world = world().await;
    let max_age = Some(Duration::from_secs(60));
    let settings = SubscriptionSettings { max_age, ..Default::default() };
    let subscription = world.subscribe_with(settings).await;
    let mut consumers = world.hub.consumers(&user());
    let of = |parity: &str, credit| {
        let chosen = choosing(&format!("parity = '{parity}'"));
        outflow_hub::subscription::ConsumerOptions { credit, ..chosen }
    };
    let odd = consumers.add(&subscription, of("odd", 1)).await.unwrap();
    consumers.add(&subscription, of("even", 2)).await.unwrap();
    let publish = async |n: u64| {
        let parity = if n.is_multiple_of(2) { "even" } else { "odd" };
        let headers = format!(r#"{{"parity":"{parity}"}}"#);
        let event = format!(r#"{{"type":"CUSTOM","headers":{headers},"body":{{"n":{n}}}}}"#);
        world.publish(&[&event]).await;
    };
    publish(1).await;
    let first = events(&mut consumers, 1).await;
    // Nobody has room for these, but somebody for what may come behind them.
    publish(3).await;
    publish(5).await;
    world.clock.advance(50_000);
    publish(7).await;
    publish(2).await;
    publish(4).await;
    assert_eq!(numbers(&events(&mut consumers, 2).await), [2, 4]);
    publish(9).await;
    world.clock.advance(11_000);
    consumers.settle(odd, &acks(&first)).unwrap().await.unwrap();
    assert_eq!(numbers(&events(&mut consumers, 1).await), [7]);
}

#[tokio::test(start_paused = true)]
async fn what_is_over_keeps_no_room_of_its_groups_owner() {
    let world = world().await;
    let settings = SubscriptionSettings {
        group_by_key: true,
        dead_letter: Some(name("dead")),
        ..Default::default()
    };
    world.stream_called("dead").await;
    let subscription = world.subscribe_with(settings).await;
    let mut first = world.hub.consumers(&user());
    let options = ConsumerOptions { priority: 9, ..with_credit(1) };
    let id = first.add(&subscription, options).await.unwrap();
    let mut others = world.hub.consumers(&user());
    others.add(&subscription, with_credit(10)).await.unwrap();
    let until = world.clock.now().plus_millis(30_000);
    let headers = format!(r#"{{"outflow-expires":"{until}"}}"#);
    world.publish(&[r#"{"type":"CUSTOM","key":"k","body":{"n":0}}"#]).await;
    world
        .publish(&[&format!(
            r#"{{"type":"CUSTOM","key":"k","headers":{headers},"body":{{"n":1}}}}"#
        )])
        .await;
    let held = events(&mut first, 1).await;
    assert_eq!(numbers(&held), [0]);
    silent(&mut others).await;
    // The second waits for its group's owner, until nobody may have it any more.
    world.clock.advance(30_001);
    first.settle(id, &acks(&held)).unwrap().await.unwrap();
    world.publish_numbers(2, 3).await;
    // It has room for what comes next, though it has not come for it yet.
    silent(&mut others).await;
    assert_eq!(numbers(&events(&mut first, 1).await), [2]);
    let letters = new("dead", &["dead"], SubscriptionSettings::default());
    let letters = world.hub.create_subscription(&project_id("p"), letters).await.unwrap();
    let mut dead = world.hub.consumers(&user());
    dead.add(&letters, with_credit(10)).await.unwrap();
    assert_eq!(numbers(&events(&mut dead, 1).await), [1]);
}
