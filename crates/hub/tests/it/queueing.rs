//! Subscriptions as consumers see them, on the engine in memory.
//!
//! Long because it is one list: each rule of delivery with its test.

use std::sync::Arc;
use std::time::Duration;

use outflow_hub::subscription::{
    ConsumerId, ConsumerOptions, Consumers, Delivered, Delivery, DeliveryOrder, NewSubscription,
    Settle, SettleError, Source, Sources, Subscription, SubscriptionSettings,
};
use outflow_hub::{CloseReason, NewStream, Options, Start, Stream, StreamSettings};
use outflow_model::{Action, Draft, Grant, SubscriptionName};
use outflow_store::AppendError;

use crate::world::{World, grant, name, open, project_id, publisher, world, world_with};

/// Somebody who may publish and consume.
pub(crate) fn user() -> Grant {
    grant("p", false, &[Action::Read, Action::Publish])
}

pub(crate) fn new(name: &str, streams: &[&str], settings: SubscriptionSettings) -> NewSubscription {
    let source = |stream: &&str| Source {
        stream: crate::world::name(stream),
        start: Start::Earliest,
        filter: None,
    };
    NewSubscription {
        name: SubscriptionName::new(name).unwrap(),
        sources: Sources::Streams(streams.iter().map(source).collect()),
        settings,
        durable: true,
    }
}

impl World {
    pub(crate) async fn subscribe_with(&self, settings: SubscriptionSettings) -> Arc<Subscription> {
        let new = new("s", &["events"], settings);
        self.hub.create_subscription(&project_id("p"), new).await.unwrap()
    }

    pub(crate) async fn subscribe(&self) -> Arc<Subscription> {
        self.subscribe_with(SubscriptionSettings::default()).await
    }

    pub(crate) fn found(&self) -> Arc<Subscription> {
        self.hub.subscription(&project_id("p"), "s").unwrap()
    }

    pub(crate) async fn stream_called(&self, called: &str) -> Arc<Stream> {
        let new = NewStream { name: name(called), settings: StreamSettings::default() };
        self.hub.create_stream(&project_id("p"), new).await.unwrap()
    }

    /// The same data after a crash.
    pub(crate) async fn crash(self) -> World {
        let (clock, engine) = (self.clock.clone(), Arc::new(self.engine.restart()));
        drop(self);
        open(&clock, &engine, Options::default()).await
    }
}

/// A queue with events that its one consumer holds.
pub(crate) struct Holding {
    pub(crate) world: World,
    pub(crate) subscription: Arc<Subscription>,
    pub(crate) consumers: Consumers,
    pub(crate) id: ConsumerId,
    pub(crate) got: Vec<Delivery>,
}

/// So many events, numbered from 0, delivered.
pub(crate) async fn delivered(count: usize) -> Holding {
    delivered_with(SubscriptionSettings::default(), count).await
}

pub(crate) async fn delivered_with(settings: SubscriptionSettings, count: usize) -> Holding {
    let world = world().await;
    let subscription = world.subscribe_with(settings).await;
    world.publish_numbers(0, count).await;
    let mut consumers = world.hub.consumers(&user());
    let id = consumers.add(&subscription, with_credit(10)).await.unwrap();
    let got = events(&mut consumers, count).await;
    Holding { world, subscription, consumers, id, got }
}

impl Holding {
    /// The same data after a crash.
    pub(crate) async fn crash(self) -> World {
        let Self { world, subscription, consumers, .. } = self;
        drop((consumers, subscription));
        world.crash().await
    }

    /// How many events there are still to do after a crash.
    pub(crate) async fn left_after_crash(self) -> u64 {
        let world = self.crash().await;
        world.hub.subscription_stats(&world.found()).backlog
    }
}

/// Settings with a stream `dead` for dead letters.
fn burying() -> SubscriptionSettings {
    SubscriptionSettings { dead_letter: Some(name("dead")), ..Default::default() }
}

pub(crate) fn with_credit(credit: u32) -> ConsumerOptions {
    ConsumerOptions { credit, ..ConsumerOptions::default() }
}

/// The number in an event's body.
pub(crate) fn number(delivery: &Delivery) -> u64 {
    let line = String::from_utf8(delivery.event.line().to_vec()).unwrap();
    let digits = line.rsplit(r#""n":"#).next().unwrap();
    digits.trim_end_matches(['}', '\n']).parse().unwrap()
}

pub(crate) fn numbers(deliveries: &[Delivery]) -> Vec<u64> {
    deliveries.iter().map(number).collect()
}

/// The next `count` events of whichever consumers.
pub(crate) async fn take(consumers: &mut Consumers, count: usize) -> Vec<(ConsumerId, Delivery)> {
    let mut all = Vec::new();
    while all.len() < count {
        let next = tokio::time::timeout(Duration::from_secs(20), consumers.next(count - all.len()));
        match next.await.expect("events in time") {
            Delivered::Events { consumer, events } => {
                all.extend(events.into_iter().map(|event| (consumer, event)));
            }
            Delivered::Closed { consumer, reason } => panic!("{consumer:?} closed: {reason:?}"),
        }
    }
    all
}

pub(crate) async fn events(consumers: &mut Consumers, count: usize) -> Vec<Delivery> {
    take(consumers, count).await.into_iter().map(|(_, delivery)| delivery).collect()
}

/// Nothing comes.
pub(crate) async fn silent(consumers: &mut Consumers) {
    let next = tokio::time::timeout(Duration::from_millis(500), consumers.next(10)).await;
    if let Ok(next) = next {
        panic!("{next:?}");
    }
}

pub(crate) fn acks(deliveries: &[Delivery]) -> Vec<Settle> {
    deliveries.iter().map(|delivery| Settle::Ack(delivery.lease)).collect()
}

#[tokio::test(start_paused = true)]
async fn what_is_acked_stays_acked_over_a_crash_and_the_rest_comes_again() {
    let world = world().await;
    let subscription = world.subscribe().await;
    world.publish_numbers(0, 10).await;
    let mut consumers = world.hub.consumers(&user());
    let id = consumers.add(&subscription, with_credit(100)).await.unwrap();
    let got = events(&mut consumers, 10).await;
    assert_eq!(numbers(&got), (0..10).collect::<Vec<_>>());
    assert!(got.iter().all(|delivery| delivery.deliveries == 1 && delivery.deadline.is_none()));
    let odd: Vec<_> = got.iter().filter(|delivery| number(delivery) % 2 == 1).cloned().collect();
    consumers.settle(id, &acks(&odd)).unwrap().await.unwrap();
    consumers.settle(id, &acks(&got[..1])).unwrap().await.unwrap();
    assert_eq!(world.hub.subscription_stats(&subscription).backlog, 4);
    assert_eq!(world.hub.subscription_stats(&subscription).in_flight, 4);
    drop((consumers, subscription));
    let world = world.crash().await;
    let mut consumers = world.hub.consumers(&user());
    let id = consumers.add(&world.found(), with_credit(100)).await.unwrap();
    let again = events(&mut consumers, 4).await;
    assert_eq!(numbers(&again), [2, 4, 6, 8]);
    consumers.settle(id, &[Settle::AckThrough(again[3].lease)]).unwrap().await.unwrap();
    world.publish_numbers(10, 11).await;
    assert_eq!(numbers(&events(&mut consumers, 1).await), [10]);
    silent(&mut consumers).await;
}

#[tokio::test(start_paused = true)]
async fn consumers_share_round_robin_and_a_gone_ones_events_return_to_the_front_in_order() {
    let world = world().await;
    let subscription = world.subscribe().await;
    let mut first = world.hub.consumers(&user());
    let mut second = world.hub.consumers(&user());
    first.add(&subscription, with_credit(5)).await.unwrap();
    second.add(&subscription, with_credit(5)).await.unwrap();
    world.publish_numbers(0, 20).await;
    let (of_first, of_second) = (events(&mut first, 5).await, events(&mut second, 5).await);
    assert_eq!((of_first.len(), of_second.len()), (5, 5));
    let mut all: Vec<_> = numbers(&of_first).into_iter().chain(numbers(&of_second)).collect();
    all.sort_unstable();
    assert_eq!(all, (0..10).collect::<Vec<_>>());
    silent(&mut first).await;
    drop(second);
    let mut third = world.hub.consumers(&user());
    third.add(&subscription, with_credit(100)).await.unwrap();
    let got = events(&mut third, 15).await;
    let expected: Vec<_> = numbers(&of_second).into_iter().chain(10..20).collect();
    assert_eq!(numbers(&got), expected);
    assert!(got[..5].iter().all(|delivery| delivery.deliveries == 2));
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_ends_brings_the_event_back_unless_it_is_extended() {
    let lease = Some(Duration::from_secs(30));
    let mut on = delivered_with(SubscriptionSettings { lease, ..Default::default() }, 2).await;
    let by = Duration::from_secs(60);
    let extend = Settle::Extend { lease: on.got[1].lease, by };
    on.consumers.settle(on.id, &[extend]).unwrap().await.unwrap();
    on.world.clock.advance(30_001);
    on.world.hub.tick().await;
    let again = events(&mut on.consumers, 1).await;
    assert_eq!((number(&again[0]), again[0].deliveries), (0, 2));
    let late = on.consumers.settle(on.id, &acks(&on.got[..1])).unwrap_err();
    assert_eq!(late, SettleError::Unknown { lease: on.got[0].lease });
    on.consumers.settle(on.id, &acks(&on.got[1..])).unwrap().await.unwrap();
    assert_eq!(on.world.hub.subscription_stats(&on.subscription).redelivered, 1);
}

#[tokio::test(start_paused = true)]
async fn strict_order_lets_nothing_pass_an_unsettled_head() {
    let world = world().await;
    let order = DeliveryOrder::Strict;
    let subscription =
        world.subscribe_with(SubscriptionSettings { order, ..Default::default() }).await;
    world.publish_numbers(0, 3).await;
    let mut consumers = world.hub.consumers(&user());
    let id = consumers.add(&subscription, with_credit(10)).await.unwrap();
    let first = events(&mut consumers, 1).await;
    silent(&mut consumers).await;
    let delay = Some(Duration::from_secs(5));
    let requeue = Settle::Requeue { lease: first[0].lease, delay };
    consumers.settle(id, &[requeue]).unwrap().await.unwrap();
    silent(&mut consumers).await;
    world.clock.advance(5_001);
    world.hub.tick().await;
    for n in 0..3 {
        let got = events(&mut consumers, 1).await;
        assert_eq!(numbers(&got), [n]);
        consumers.settle(id, &acks(&got)).unwrap().await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn refused_and_often_delivered_events_go_to_the_dead_letters_with_the_cause() {
    let world = world().await;
    let settings = SubscriptionSettings {
        max_deliveries: Some(2),
        dead_letter: Some(name("dead")),
        ..Default::default()
    };
    let subscription = world.subscribe_with(settings).await;
    world.publish(&[r#"{"id":"a","type":"CUSTOM","key":"k","extra":[1],"headers":{"h":"v","outflow-expires":"2099-01-01T00:00:00Z"},"body":{"n":0}}"#]).await;
    world.publish_numbers(1, 2).await;
    let mut consumers = world.hub.consumers(&user());
    let id = consumers.add(&subscription, with_credit(10)).await.unwrap();
    let got = events(&mut consumers, 2).await;
    let cause = "no such thing".to_owned();
    let refuse = Settle::DeadLetter { lease: got[0].lease, cause };
    consumers.settle(id, &[refuse]).unwrap().await.unwrap();
    let requeue = |lease| [Settle::Requeue { lease, delay: None }];
    consumers.settle(id, &requeue(got[1].lease)).unwrap().await.unwrap();
    let again = events(&mut consumers, 1).await;
    consumers.settle(id, &requeue(again[0].lease)).unwrap().await.unwrap();
    silent(&mut consumers).await;
    let dead = world.hub.subscription(&project_id("p"), "s").unwrap();
    assert_eq!(world.hub.subscription_stats(&dead).backlog, 0);
    let letters = new("dead", &["dead"], SubscriptionSettings::default());
    let letters = world.hub.create_subscription(&project_id("p"), letters).await.unwrap();
    consumers.add(&letters, with_credit(10)).await.unwrap();
    let got = events(&mut consumers, 2).await;
    assert_eq!((got[0].event.id(), number(&got[0]), number(&got[1])), ("a", 0, 1));
    let headers: Vec<_> = got[0].event.headers().map(|(n, v)| format!("{n}={v}")).collect();
    let offset = format!("outflow-dead-offset={}", outflow_model::Offset::FIRST);
    let expected = [
        "h=v",
        "outflow-dead-cause=no such thing",
        "outflow-dead-stream=events",
        "outflow-dead-subscription=s",
        &offset,
        "outflow-dead-deliveries=1",
    ];
    assert_eq!(headers, expected);
    assert_eq!(got[0].event.key().as_deref(), Some("k"));
    assert!(String::from_utf8_lossy(got[0].event.line()).contains(r#""extra":[1],"headers""#));
    let second = got[1].event.header("outflow-dead-cause");
    assert_eq!(second.as_deref(), Some("delivered too often"));
    // Back where they came from.
    drop(consumers);
    let moved = world.hub.move_dead(&user(), &letters, &world.stream(), 10).await.unwrap();
    assert_eq!(moved, 2);
    let mut consumers = world.hub.consumers(&user());
    consumers.add(&subscription, with_credit(10)).await.unwrap();
    let got = events(&mut consumers, 2).await;
    assert_eq!(got[0].event.headers().count(), 1);
    assert_eq!(got[0].event.id(), "a");
}

#[tokio::test(start_paused = true)]
async fn a_dead_letter_that_cannot_be_stored_is_handed_out_again() {
    let mut on = delivered_with(burying(), 2).await;
    on.world.stream_called("dead").await;
    on.world.engine.set_full(true);
    let refuse = Settle::DeadLetter { lease: on.got[0].lease, cause: "bad".into() };
    let failed = on.consumers.settle(on.id, &[refuse]).unwrap().await.unwrap_err();
    assert!(matches!(failed, SettleError::Unavailable(_)), "{failed:?}");
    // What only makes room goes on.
    on.consumers.settle(on.id, &acks(&on.got[1..])).unwrap().await.unwrap();
    let again = events(&mut on.consumers, 1).await;
    assert_eq!((number(&again[0]), again[0].deliveries), (0, 2));
    on.world.engine.set_full(false);
    assert_eq!(on.left_after_crash().await, 1);
}

#[tokio::test(start_paused = true)]
async fn a_transaction_is_stored_whole_or_not_at_all() {
    let mut on = delivered(3).await;
    let out = on.world.stream_called("out").await;
    let mut transaction = on.world.hub.transaction(&user());
    transaction.publish(&out, on.world.draft(&[r#"{"type":"CUSTOM","body":{"n":7}}"#])).unwrap();
    transaction.settle(&mut on.consumers, on.id, &[Settle::AckThrough(on.got[1].lease)]).unwrap();
    let taken = on.consumers.settle(on.id, &acks(&on.got[..1])).unwrap_err();
    assert_eq!(taken, SettleError::Unknown { lease: on.got[0].lease });
    on.world.engine.fail_next(AppendError::Full);
    transaction.commit().await.unwrap_err();
    assert_eq!(on.world.hub.stats(&out).next, outflow_model::Offset::FIRST);
    // Its leases are held again, by their old numbers.
    let mut transaction = on.world.hub.transaction(&user());
    transaction.publish(&out, on.world.draft(&[r#"{"type":"CUSTOM","body":{"n":7}}"#])).unwrap();
    transaction.settle(&mut on.consumers, on.id, &acks(&on.got[..2])).unwrap();
    let receipts = transaction.commit().await.unwrap();
    assert_eq!((receipts.len(), receipts[0].events.len()), (1, 1));
    let mut transaction = on.world.hub.transaction(&user());
    transaction.settle(&mut on.consumers, on.id, &acks(&on.got[2..])).unwrap();
    transaction.abort();
    on.consumers.settle(on.id, &acks(&on.got[2..])).unwrap().await.unwrap();
    assert_eq!(on.left_after_crash().await, 0);
}

#[tokio::test(start_paused = true)]
async fn answers_given_while_a_dead_letter_is_on_its_way_are_durable_once_told() {
    let mut on = delivered_with(burying(), 3).await;
    on.world.stream_called("dead").await;
    on.world.engine.hold();
    let refuse = Settle::DeadLetter { lease: on.got[0].lease, cause: "bad".into() };
    let buried = tokio::spawn(on.consumers.settle(on.id, &[refuse]).unwrap());
    while on.world.engine.held() == 0 {
        tokio::task::yield_now().await;
    }
    let acked = tokio::spawn(on.consumers.settle(on.id, &acks(&on.got[1..])).unwrap());
    tokio::time::sleep(Duration::from_millis(10)).await;
    assert_eq!(on.world.engine.held(), 1);
    assert!(!acked.is_finished());
    on.world.engine.fail_next(AppendError::Full);
    on.world.engine.commit_next();
    assert!(matches!(buried.await.unwrap(), Err(SettleError::Unavailable(_))));
    on.world.engine.commit_all();
    acked.await.unwrap().unwrap();
    let world = on.crash().await;
    let mut consumers = world.hub.consumers(&user());
    consumers.add(&world.found(), with_credit(10)).await.unwrap();
    assert_eq!(numbers(&events(&mut consumers, 1).await), [0]);
    silent(&mut consumers).await;
}

#[tokio::test(start_paused = true)]
async fn a_failed_commit_fails_the_answer() {
    let mut on = delivered(2).await;
    on.world.engine.fail_next(AppendError::Throttled);
    let failed = on.consumers.settle(on.id, &acks(&on.got[..1])).unwrap().await.unwrap_err();
    assert!(matches!(failed, SettleError::Unavailable(_)));
    on.world.engine.stop("the disk is gone");
    let failed = on.consumers.settle(on.id, &acks(&on.got[1..])).unwrap().await.unwrap_err();
    assert!(matches!(failed, SettleError::Uncertain(_)));
}

#[tokio::test(start_paused = true)]
async fn groups_priorities_and_exclusive_consumers() {
    let world = world().await;
    let settings = SubscriptionSettings { group_by_key: true, ..Default::default() };
    let subscription = world.subscribe_with(settings).await;
    let mut consumers = world.hub.consumers(&user());
    let first = consumers.add(&subscription, with_credit(2)).await.unwrap();
    let second = consumers.add(&subscription, with_credit(100)).await.unwrap();
    for n in 0..12 {
        let key = n % 4;
        world
            .publish(&[&format!(r#"{{"type":"CUSTOM","key":"k{key}","body":{{"n":{n}}}}}"#)])
            .await;
    }
    let got = take(&mut consumers, 8).await;
    for key in 0..4 {
        let of_key = got.iter().filter(|(_, delivery)| number(delivery) % 4 == key);
        let owners: std::collections::BTreeSet<_> = of_key.map(|(id, _)| *id).collect();
        assert_eq!(owners.len(), 1, "{key}");
    }
    // Two groups each; the first has no credit for the rest of its own.
    assert_eq!(got.iter().filter(|(id, _)| *id == first).count(), 2);
    assert_eq!(got.iter().filter(|(_, delivery)| delivery.first_of_group).count(), 4);
    silent(&mut consumers).await;
    // Its groups go to the other with it.
    consumers.remove(first);
    let rest = take(&mut consumers, 6).await;
    assert!(rest.iter().all(|(id, _)| *id == second));
    let all: Vec<_> = rest.iter().map(|(_, delivery)| number(delivery)).collect();
    assert!(all.is_sorted(), "{all:?}");
    drop(consumers);

    let mut consumers = world.hub.consumers(&user());
    let low = consumers.add(&subscription, with_credit(100)).await.unwrap();
    let got = take(&mut consumers, 12).await;
    assert!(got.iter().all(|(id, _)| *id == low));
    let settle: Vec<_> = got.iter().map(|(_, delivery)| Settle::Ack(delivery.lease)).collect();
    consumers.settle(low, &settle).unwrap().await.unwrap();
    let high = ConsumerOptions { priority: 5, ..with_credit(2) };
    let high = consumers.add(&subscription, high).await.unwrap();
    world.publish_numbers(20, 24).await;
    let got = take(&mut consumers, 4).await;
    let of =
        |id| got.iter().filter(|(of, _)| *of == id).map(|(_, d)| number(d)).collect::<Vec<_>>();
    assert_eq!((of(high), of(low)), (vec![20, 21], vec![22, 23]));
    let exclusive = ConsumerOptions { exclusive: true, ..with_credit(1) };
    let only = consumers.add(&subscription, exclusive).await.unwrap();
    world.publish_numbers(24, 26).await;
    let got = take(&mut consumers, 1).await;
    assert_eq!((got[0].0, number(&got[0].1)), (only, 24));
    silent(&mut consumers).await;
}

#[tokio::test(start_paused = true)]
async fn pull_credit_is_used_up_and_auto_ack_settles_in_passing() {
    let world = world().await;
    let subscription = world.subscribe().await;
    world.publish_numbers(0, 6).await;
    let mut consumers = world.hub.consumers(&user());
    let id = consumers.add(&subscription, with_credit(0)).await.unwrap();
    silent(&mut consumers).await;
    consumers.change_credit(id, 2);
    let got = events(&mut consumers, 2).await;
    consumers.settle(id, &acks(&got)).unwrap().await.unwrap();
    silent(&mut consumers).await;
    consumers.remove(id);
    let options = ConsumerOptions { auto_ack: true, ..with_credit(1) };
    consumers.add(&subscription, options).await.unwrap();
    assert_eq!(numbers(&events(&mut consumers, 4).await), [2, 3, 4, 5]);
    drop((consumers, subscription));
    let world = world.crash().await;
    assert_eq!(world.hub.subscription_stats(&world.found()).backlog, 0);
}

#[tokio::test(start_paused = true)]
async fn revoking_deleting_and_draining_end_consumers() {
    let world = world().await;
    let subscription = world.subscribe().await;
    world.publish_numbers(0, 1).await;
    let mut revoked = world.hub.consumers(&user());
    revoked.add(&subscription, with_credit(10)).await.unwrap();
    events(&mut revoked, 1).await;
    let other = Grant { credential: outflow_model::CredentialId::new("other").unwrap(), ..user() };
    let mut others = world.hub.consumers(&other);
    let id = others.add(&subscription, with_credit(10)).await.unwrap();
    world.hub.close_credential(&user().credential, u32::MAX);
    let closed = revoked.next(1).await;
    assert!(matches!(closed, Delivered::Closed { consumer: None, reason: CloseReason::Revoked }));
    assert_eq!(numbers(&events(&mut others, 1).await), [0]);
    world.hub.delete_subscription(&subscription).await.unwrap();
    let closed = others.next(1).await;
    assert!(
        matches!(closed, Delivered::Closed { consumer: Some(of), reason: CloseReason::Deleted } if of == id)
    );
    assert!(world.hub.subscription(&project_id("p"), "s").is_none());
    world.hub.drain(Duration::from_secs(1));
    let closed = others.next(1).await;
    assert!(matches!(closed, Delivered::Closed { consumer: None, reason: CloseReason::Draining }));
    let world = world.crash().await;
    assert!(world.hub.subscription(&project_id("p"), "s").is_none());
}

#[tokio::test(start_paused = true)]
async fn scheduled_events_appear_and_expired_ones_do_not() {
    let world = world().await;
    let subscription = world.subscribe_with(burying()).await;
    let at = |ms: i64| outflow_model::Timestamp::from_millis(crate::world::NOW + ms);
    let event = |header: &str, ms: i64, n: u64| {
        format!(r#"{{"type":"CUSTOM","headers":{{"{header}":"{}"}},"body":{{"n":{n}}}}}"#, at(ms))
    };
    world.publish(&[&event("outflow-deliver-at", 60_000, 0)]).await;
    world.publish(&[&event("outflow-expires", 30_000, 1)]).await;
    world.publish(&[&event("outflow-expires", 90_000, 2)]).await;
    world.clock.advance(40_000);
    let mut consumers = world.hub.consumers(&user());
    let id = consumers.add(&subscription, with_credit(1)).await.unwrap();
    let got = events(&mut consumers, 1).await;
    assert_eq!(numbers(&got), [2]);
    consumers.settle(id, &acks(&got)).unwrap().await.unwrap();
    silent(&mut consumers).await;
    world.clock.advance(20_001);
    world.hub.tick().await;
    assert_eq!(numbers(&events(&mut consumers, 1).await), [0]);
    let letters = new("dead", &["dead"], SubscriptionSettings::default());
    let letters = world.hub.create_subscription(&project_id("p"), letters).await.unwrap();
    consumers.add(&letters, with_credit(10)).await.unwrap();
    let dead = events(&mut consumers, 1).await;
    assert_eq!(number(&dead[0]), 1);
    assert_eq!(dead[0].event.header("outflow-dead-cause").as_deref(), Some("expired"));
}

#[tokio::test(start_paused = true)]
async fn an_event_that_expired_while_it_waited_takes_no_credit() {
    let world = world().await;
    let subscription = world.subscribe().await;
    let mut consumers = world.hub.consumers(&user());
    let id = consumers.add(&subscription, with_credit(0)).await.unwrap();
    consumers.change_credit(id, 1);
    let expires = outflow_model::Timestamp::from_millis(crate::world::NOW + 30_000);
    let headers = format!(r#"{{"outflow-expires":"{expires}"}}"#);
    world.publish(&[&format!(r#"{{"type":"CUSTOM","headers":{headers},"body":{{"n":0}}}}"#)]).await;
    world.clock.advance(40_000);
    world.publish_numbers(1, 2).await;
    assert_eq!(numbers(&events(&mut consumers, 1).await), [1]);
    silent(&mut consumers).await;
}

#[tokio::test(start_paused = true)]
async fn a_commit_that_failed_takes_no_credit() {
    let world = world().await;
    let subscription = world.subscribe().await;
    world.publish_numbers(0, 5).await;
    let mut consumers = world.hub.consumers(&user());
    let id = consumers.add(&subscription, with_credit(1)).await.unwrap();
    consumers.change_credit(id, 2);
    let got = events(&mut consumers, 3).await;
    let mut transaction = world.hub.transaction(&user());
    transaction.settle(&mut consumers, id, &acks(&got[..2])).unwrap();
    world.engine.fail_next(AppendError::Full);
    transaction.commit().await.unwrap_err();
    consumers.change_credit(id, 1);
    assert_eq!(numbers(&events(&mut consumers, 1).await), [3]);
    silent(&mut consumers).await;
}

#[tokio::test(start_paused = true)]
async fn an_expired_message_is_a_dead_letter_only_if_it_was_to_be_kept() {
    let world = world().await;
    let subscription = world.subscribe_with(burying()).await;
    let expires = outflow_model::Timestamp::from_millis(crate::world::NOW + 30_000);
    let message = |persistent: &str, n: u64| {
        let headers = format!(r#""outflow-expires":"{expires}"{persistent}"#);
        format!(r#"{{"type":"MESSAGE","headers":{{{headers}}},"body":{{"n":{n}}}}}"#)
    };
    world.publish(&[&message("", 0)]).await;
    world.publish(&[&message(r#","persistent":"true""#, 1)]).await;
    world.publish(&[&message(r#","persistent":"false""#, 2)]).await;
    world.clock.advance(40_000);
    let mut consumers = world.hub.consumers(&user());
    consumers.add(&subscription, with_credit(1)).await.unwrap();
    silent(&mut consumers).await;
    let letters = new("dead", &["dead"], SubscriptionSettings::default());
    let letters = world.hub.create_subscription(&project_id("p"), letters).await.unwrap();
    consumers.add(&letters, with_credit(10)).await.unwrap();
    assert_eq!(numbers(&events(&mut consumers, 1).await), [1]);
    silent(&mut consumers).await;
}

#[tokio::test(start_paused = true)]
async fn peeks_wait_for_events_and_of_several_takers_one_wins() {
    let world = world().await;
    let subscription = world.subscribe().await;
    let (hub, of) = (world.hub.clone(), subscription.clone());
    let peek = tokio::spawn(async move { hub.peek(&user(), &of, Duration::from_secs(90)).await });
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert!(!peek.is_finished());
    world.publish_numbers(0, 2).await;
    let seen = peek.await.unwrap().unwrap();
    assert_eq!(seen.available, 2);
    let first = seen.next.unwrap();
    let hold = Duration::from_secs(30);
    let got = world.hub.lease(&user(), &subscription, &first, hold).await.unwrap();
    assert_eq!(number(&got), 0);
    let held = world.hub.lease(&user(), &subscription, &first, hold).await.unwrap_err();
    assert!(matches!(held, outflow_hub::subscription::LeaseError::Held { until: Some(_) }));
    let seen = world.hub.peek(&user(), &subscription, Duration::ZERO).await.unwrap();
    assert_eq!((seen.available, seen.next.clone().unwrap().offset), (1, first.offset.next()));
    world.clock.advance(30_001);
    world.hub.tick().await;
    let seen = world.hub.peek(&user(), &subscription, Duration::ZERO).await.unwrap();
    assert_eq!((seen.available, seen.next.unwrap().offset), (2, first.offset));
    let again = world.hub.lease(&user(), &subscription, &first, hold).await.unwrap();
    assert_eq!(again.deliveries, 2);
    let stale = world.hub.settle_lease(&user(), &subscription, Settle::Ack(got.lease)).await;
    assert_eq!(stale.unwrap_err(), SettleError::Unknown { lease: got.lease });
    world.hub.settle_lease(&user(), &subscription, Settle::Ack(again.lease)).await.unwrap();
    let gone = world.hub.lease(&user(), &subscription, &first, hold).await.unwrap_err();
    assert_eq!(gone, outflow_hub::subscription::LeaseError::Gone);
    drop(subscription);
    let world = world.crash().await;
    let seen = world.hub.peek(&user(), &world.found(), Duration::ZERO).await.unwrap();
    assert_eq!(seen.available, 1);
}

#[tokio::test(start_paused = true)]
async fn retention_and_damage_are_counted_as_lost() {
    let world = world_with(Options { read_chunk_bytes: 4 << 10, ..Options::default() }).await;
    let subscription = world.subscribe().await;
    world.publish_numbers(0, 10).await;
    world.engine.damage(
        world.stream().id,
        outflow_model::Offset::FIRST.plus(4),
        outflow_model::Offset::FIRST.plus(6),
    );
    let mut settings = world.stream().settings.clone();
    settings.retention.age_ms = 1_000;
    world.hub.update_stream(&project_id("p"), &name("events"), settings).await.unwrap();
    world.clock.advance(2_000);
    world.publish_numbers(10, 12).await;
    let mut consumers = world.hub.consumers(&user());
    consumers.add(&subscription, with_credit(100)).await.unwrap();
    let got = events(&mut consumers, 10).await;
    assert_eq!(numbers(&got), [0, 1, 2, 3, 6, 7, 8, 9, 10, 11]);
    assert_eq!(world.hub.subscription_stats(&subscription).lost, 2);
    drop(consumers);
    world.clock.advance(60_000);
    world.hub.tick().await;
    world.engine.retain(outflow_model::Timestamp::from_millis(crate::world::NOW + 2_500));
    let mut consumers = world.hub.consumers(&user());
    consumers.add(&subscription, with_credit(100)).await.unwrap();
    assert_eq!(numbers(&events(&mut consumers, 2).await), [10, 11]);
    assert_eq!(world.hub.subscription_stats(&subscription).lost, 10);
    assert_eq!(world.metric("outflow_events_lost_total"), 10);
}

#[tokio::test(start_paused = true)]
async fn owned_streams_are_trimmed_to_the_floor_of_all_their_subscriptions() {
    let world = world().await;
    let owns = SubscriptionSettings { owns: true, ..Default::default() };
    let subscription = world.subscribe_with(owns).await;
    let second = new("t", &["events"], SubscriptionSettings::default());
    let second = world.hub.create_subscription(&project_id("p"), second).await.unwrap();
    world.publish_numbers(0, 5).await;
    let mut consumers = world.hub.consumers(&user());
    let id = consumers.add(&subscription, with_credit(10)).await.unwrap();
    let got = events(&mut consumers, 5).await;
    consumers.settle(id, &acks(&got)).unwrap().await.unwrap();
    world.clock.advance(10_001);
    world.hub.tick().await;
    let first = outflow_model::Offset::FIRST;
    assert_eq!(world.hub.stats(&world.stream()).start, first);
    let id = consumers.add(&second, with_credit(10)).await.unwrap();
    let got = events(&mut consumers, 5).await;
    consumers.settle(id, &acks(&got[..3])).unwrap().await.unwrap();
    world.clock.advance(10_001);
    world.hub.tick().await;
    assert_eq!(world.hub.stats(&world.stream()).start, first.plus(3));
    drop((consumers, subscription, second));
    let world = world.crash().await;
    let second = world.hub.subscription(&project_id("p"), "t").unwrap();
    assert_eq!(world.hub.subscription_stats(&second).backlog, 2);
    assert_eq!(world.hub.subscription_stats(&second).lost, 0);
}

#[tokio::test(start_paused = true)]
async fn an_unused_subscription_is_warned_of_and_deleted_also_over_a_restart() {
    let world = world().await;
    let idle_expiry = Some(Duration::from_secs(1_000));
    let settings = SubscriptionSettings { idle_expiry, ..Default::default() };
    let subscription = world.subscribe_with(settings).await;
    world.publish_numbers(0, 1).await;
    let mut consumers = world.hub.consumers(&user());
    consumers.add(&subscription, with_credit(1)).await.unwrap();
    world.clock.advance(5_000_000);
    world.hub.tick().await;
    assert!(!world.hub.subscription_stats(&subscription).abandoned);
    drop((consumers, subscription));
    world.hub.tick().await;
    let world = world.crash().await;
    world.clock.advance(950_000);
    world.hub.tick().await;
    assert!(world.hub.subscription_stats(&world.found()).abandoned);
    assert_eq!(world.metric("outflow_idle_warnings_total"), 1);
    world.clock.advance(50_001);
    world.hub.tick().await;
    assert!(world.hub.subscription(&project_id("p"), "s").is_none());
    let world = world.crash().await;
    assert!(world.hub.subscription(&project_id("p"), "s").is_none());
}

#[tokio::test(start_paused = true)]
async fn streams_made_later_are_taken_up_and_deleted_ones_let_go() {
    let world = world().await;
    let pattern = outflow_hub::subscription::StreamPattern::new("a.*").unwrap();
    let sources = Sources::Matching { pattern, start: Start::Latest };
    let new = NewSubscription { sources, ..new("s", &[], SubscriptionSettings::default()) };
    let before = world.stream_called("a.x").await;
    let send = async |stream: &Arc<Stream>, n: u64| {
        let draft: Draft = world.draft(&[&format!(r#"{{"type":"CUSTOM","body":{{"n":{n}}}}}"#)]);
        world.hub.enqueue(&publisher("p"), stream, draft, None).await.unwrap().await.unwrap();
    };
    send(&before, 0).await;
    let subscription = world.hub.create_subscription(&project_id("p"), new).await.unwrap();
    let mut consumers = world.hub.consumers(&user());
    let id = consumers.add(&subscription, with_credit(10)).await.unwrap();
    send(&before, 1).await;
    let later = world.stream_called("a.y").await;
    send(&later, 2).await;
    let got = events(&mut consumers, 2).await;
    assert_eq!(numbers(&got), [1, 2]);
    world.hub.delete_stream(&project_id("p"), &later.name).await.unwrap();
    let anew = world.stream_called("a.y").await;
    send(&anew, 3).await;
    assert_eq!(numbers(&events(&mut consumers, 1).await), [3]);
    // An answer about what is deleted is no fault.
    consumers.settle(id, &acks(&got)).unwrap().await.unwrap();
    assert_eq!(world.hub.subscription_stats(&subscription).backlog, 1);
    assert_eq!(world.hub.purge_subscription(&subscription).await.unwrap(), 0);
    drop(consumers);
    assert_eq!(world.hub.purge_subscription(&subscription).await.unwrap(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_browse_sees_everything_and_takes_nothing() {
    let world = world().await;
    let subscription = world.subscribe().await;
    world.publish_numbers(0, 5).await;
    let mut consumers = world.hub.consumers(&user());
    let id = consumers.add(&subscription, with_credit(3)).await.unwrap();
    let got = events(&mut consumers, 3).await;
    consumers.settle(id, &acks(&got[1..2])).unwrap().await.unwrap();
    let mut browse = world.hub.browse(&user(), &subscription, None).await.unwrap();
    world.publish_numbers(5, 6).await;
    let mut seen = Vec::new();
    while let Some(delivery) = browse.next().await {
        seen.push(number(&delivery));
    }
    assert_eq!(seen, [0, 2, 3, 4]);
    assert_eq!(world.hub.subscription_stats(&subscription).backlog, 5);
    // Those that come again say how often, as they will say it to who takes them.
    drop(consumers);
    let mut browse = world.hub.browse(&user(), &subscription, None).await.unwrap();
    let mut seen = Vec::new();
    while let Some(delivery) = browse.next().await {
        seen.push((number(&delivery), delivery.deliveries));
    }
    assert_eq!(seen, [(0, 2), (2, 2), (3, 1), (4, 1), (5, 1)]);
}

#[tokio::test(start_paused = true)]
async fn what_was_handed_out_before_a_crash_says_so_when_it_comes_again() {
    let world = world().await;
    world.publish_numbers(0, 100).await;
    let subscription = world.subscribe().await;
    let mut consumers = world.hub.consumers(&user());
    let id = consumers.add(&subscription, with_credit(10)).await.unwrap();
    let first = events(&mut consumers, 10).await;
    assert!(first.iter().all(|delivery| delivery.deliveries == 1));
    // One after another, the first of them done; the rest is in the consumer's hands.
    consumers.settle(id, &acks(&first[..1])).unwrap().await.unwrap();
    drop((consumers, subscription));
    let world = world.crash().await;
    let mut consumers = world.hub.consumers(&user());
    consumers.add(&world.found(), with_credit(99)).await.unwrap();
    let again = events(&mut consumers, 99).await;
    assert_eq!(number(&again[0]), 1);
    assert!(again[..9].iter().all(|delivery| delivery.redelivered), "they were out");
    let others = again[9..].iter().filter(|delivery| delivery.redelivered).count();
    assert!(others <= 10, "{others}: no more than were out before");
    assert!(!again[98].redelivered);
    assert!(again.iter().all(|delivery| delivery.deliveries == 1), "nobody may have seen them");
    // Within one life of the server it is counted.
    drop(consumers);
    let mut consumers = world.hub.consumers(&user());
    consumers.add(&world.found(), with_credit(1)).await.unwrap();
    assert_eq!(events(&mut consumers, 1).await[0].deliveries, 2);
}

#[tokio::test(start_paused = true)]
async fn after_a_clean_end_no_more_is_said_to_have_been_handed_out_than_was() {
    let world = world().await;
    world.publish_numbers(0, 100).await;
    let subscription = world.subscribe().await;
    let mut consumers = world.hub.consumers(&user());
    let id = consumers.add(&subscription, with_credit(20)).await.unwrap();
    let first = events(&mut consumers, 20).await;
    consumers.settle(id, &acks(&first[..5])).unwrap().await.unwrap();
    drop((consumers, subscription));
    world.hub.end().await;
    let world = world.crash().await;
    let mut consumers = world.hub.consumers(&user());
    consumers.add(&world.found(), with_credit(99)).await.unwrap();
    let again = events(&mut consumers, 95).await;
    let said = again.iter().filter(|delivery| delivery.redelivered);
    assert_eq!(said.map(number).collect::<Vec<_>>(), (5..20).collect::<Vec<_>>());
}
