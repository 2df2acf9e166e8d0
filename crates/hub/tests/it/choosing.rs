//! Who may have which event, whatever else would hand it to them.

use std::time::Duration;

use outflow_hub::Selector;
use outflow_hub::selector::Dialect;
use outflow_hub::subscription::{ConsumerOptions, SubscriptionSettings};
use outflow_model::Action;
use tokio::time::{Instant, sleep};

use crate::queueing::{acks, events, numbers, silent, user, with_credit};
use crate::world::{World, grant, world};

pub(crate) fn choosing(selector: &str) -> ConsumerOptions {
    let selector = Some(Selector::parse(selector, Dialect::Plain).unwrap());
    ConsumerOptions { selector, ..with_credit(10) }
}

fn by_key() -> SubscriptionSettings {
    SubscriptionSettings { group_by_key: true, ..Default::default() }
}

#[tokio::test]
async fn selectors_see_what_messages_say_as_brokers_have_it() {
    let headers = r#"{"persistent":"true","reply-to":"/remote-temp-queue/ID:c:1:1",
        "outflow-expires":"2100-01-01T00:00:00.000Z","JMSXGroupSeq":"12","JMSXUserID":"me"}"#;
    let died = r#"{"outflow-dead-stream":"queue:orders","type":"T"}"#;
    for (kind, headers, selector, expected) in [
        ("MESSAGE", headers, "JMSDestination = 'topic://events'", true),
        ("MESSAGE", died, "JMSDestination = 'queue://orders'", true),
        ("MESSAGE", headers, "JMSReplyTo = 'temp-queue://ID:c:1:1'", true),
        ("MESSAGE", headers, "JMSExpiration = 4102444800000", true),
        ("MESSAGE", died, "JMSExpiration = 0 AND JMSXGroupSeq = 0", true),
        ("MESSAGE", headers, "JMSXGroupSeq > 9 AND JMSXGroupSeq <> '12'", true),
        ("MESSAGE", headers, "JMSType IS NULL AND JMSXUserID = 'me'", true),
        ("MESSAGE", died, "JMSType = 'T'", true),
        ("CUSTOM", headers, "JMSType = 'CUSTOM'", true),
        ("MESSAGE", headers, "JMSRedelivered = FALSE AND JMSXDeliveryCount = 1", true),
        ("MESSAGE", headers, "JMSRedelivered", false),
        ("MESSAGE", headers, "JMSActiveMQBrokerInTime >= JMSTimestamp", true),
    ] {
        let world = world().await;
        let subscription = world.subscribe_with(SubscriptionSettings::default()).await;
        let mut consumers = world.hub.consumers(&user());
        consumers.add(&subscription, choosing(selector)).await.unwrap();
        let event = format!(r#"{{"type":"{kind}","headers":{headers},"body":{{"n":7}}}}"#);
        world.publish(&[&event]).await;
        let mut all = world.hub.consumers(&user());
        all.add(&subscription, with_credit(10)).await.unwrap();
        let chooser = if expected { &mut consumers } else { &mut all };
        assert_eq!(numbers(&events(chooser, 1).await), [7], "{selector}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_handed_out_before_is_chosen_by_that() {
    let world = world().await;
    let subscription = world.subscribe_with(SubscriptionSettings::default()).await;
    let mut first = world.hub.consumers(&user());
    first.add(&subscription, choosing("NOT JMSRedelivered")).await.unwrap();
    world.publish(&[r#"{"type":"T","body":{"n":1}}"#]).await;
    assert_eq!(numbers(&events(&mut first, 1).await), [1]);
    drop(first);
    let mut fresh = world.hub.consumers(&user());
    fresh.add(&subscription, choosing("JMSXDeliveryCount = 1")).await.unwrap();
    silent(&mut fresh).await;
    let mut again = world.hub.consumers(&user());
    again.add(&subscription, choosing("JMSRedelivered AND JMSXDeliveryCount = 2")).await.unwrap();
    assert_eq!(numbers(&events(&mut again, 1).await), [1]);
}

/// The events `from..to` of one colour.
async fn publish_red(world: &World, from: u64, to: u64) {
    let event =
        |n| format!(r#"{{"type":"CUSTOM","headers":{{"colour":"red"}},"body":{{"n":{n}}}}}"#);
    let texts: Vec<String> = (from..to).map(event).collect();
    for some in texts.chunks(100) {
        world.publish(&some.iter().map(String::as_str).collect::<Vec<_>>()).await;
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_chooses_gets_in_order_what_many_events_wait_for_it_and_what_comes_later() {
    let world = world().await;
    let subscription = world.subscribe().await;
    // Somebody always has room, so that what has nobody's room is looked at and noted: some of it.
    let mut others = world.hub.consumers(&user());
    others.add(&subscription, choosing("colour = 'blue'")).await.unwrap();
    publish_red(&world, 0, 1_500).await;
    let mut consumers = world.hub.consumers(&user());
    let id = consumers.add(&subscription, choosing("colour = 'red'")).await.unwrap();
    let mut got = Vec::new();
    for round in 0..160 {
        let some = events(&mut consumers, 10).await;
        consumers.settle(id, &acks(&some)).unwrap().await.unwrap();
        got.extend(numbers(&some));
        if round == 50 {
            publish_red(&world, 1_500, 1_600).await;
        }
    }
    assert_eq!(got, (0..1_600).collect::<Vec<_>>());
    silent(&mut consumers).await;
    silent(&mut others).await;
}

/// Selectors that look long at a text of which each beginning might be one of theirs.
pub(crate) fn long_selector(or: &str) -> String {
    let likes: Vec<String> =
        (500..504).map(|n| format!("p LIKE '%{}b%'", "a_".repeat(n))).collect();
    format!("{} OR {or}", likes.join(" OR "))
}

/// An event with such a text.
pub(crate) fn long_text(n: u64) -> String {
    format!(r#"{{"type":"T","headers":{{"p":"{}"}},"body":{{"n":{n}}}}}"#, "a".repeat(2_000))
}

#[tokio::test]
async fn a_queue_can_be_asked_after_while_selectors_look_long_at_its_events() {
    const EVENTS: u64 = 100;
    let world = world().await;
    // Both who chooses from a queue and whose subscription does.
    for of_subscription in [false, true] {
        let selector = choosing(&long_selector("JMSType = 'LAST'"));
        let chosen = selector.selector.clone().filter(|_| of_subscription);
        let settings = SubscriptionSettings { selector: chosen, ..Default::default() };
        let options = if of_subscription { with_credit(10) } else { selector };
        let subscription = if of_subscription {
            let new = crate::queueing::new("chosen", &["events"], settings);
            world.hub.create_subscription(&crate::world::project_id("p"), new).await.unwrap()
        } else {
            world.subscribe_with(settings).await
        };
        let texts: Vec<String> = (0..EVENTS).map(long_text).collect();
        let mut texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        texts.push(r#"{"type":"LAST","body":{"n":7}}"#);
        world.publish(&texts).await;
        let begun = Instant::now();
        let mut consumers = world.hub.consumers(&user());
        consumers.add(&subscription, options).await.unwrap();
        let asking = async {
            let mut longest = Duration::ZERO;
            loop {
                let asked = Instant::now();
                sleep(Duration::from_millis(1)).await;
                let in_flight = world.hub.subscription_stats(&subscription).in_flight;
                longest = longest.max(asked.elapsed());
                if in_flight > 0 {
                    return longest;
                }
            }
        };
        let (longest, events) = tokio::join!(asking, events(&mut consumers, 1));
        let took = begun.elapsed();
        assert_eq!(numbers(&events), [7]);
        assert!(longest < took / 4, "{longest:?} of {took:?} nobody could ask");
    }
}

/// An event of key `k`.
async fn publish(world: &World, event_type: &str, colour: &str, n: u64) {
    let event = format!(
        r#"{{"type":"{event_type}","key":"k","headers":{{"colour":"{colour}"}},"body":{{"n":{n}}}}}"#
    );
    world.publish(&[&event]).await;
}

#[tokio::test(start_paused = true)]
async fn a_groups_owner_gets_none_of_it_that_it_does_not_choose() {
    let world = world().await;
    let subscription = world.subscribe_with(by_key()).await;
    let mut consumers = world.hub.consumers(&user());
    consumers.add(&subscription, choosing("colour = 'red'")).await.unwrap();
    publish(&world, "CUSTOM", "red", 0).await;
    assert_eq!(numbers(&events(&mut consumers, 1).await), [0]);
    let mut others = world.hub.consumers(&user());
    others.add(&subscription, with_credit(10)).await.unwrap();
    publish(&world, "CUSTOM", "blue", 1).await;
    publish(&world, "CUSTOM", "red", 2).await;
    assert_eq!(numbers(&events(&mut consumers, 1).await), [2]);
    silent(&mut consumers).await;
    silent(&mut others).await;
    // The group is free with its owner gone.
    drop(consumers);
    assert_eq!(numbers(&events(&mut others, 3).await), [0, 1, 2]);
}

#[tokio::test(start_paused = true)]
async fn a_groups_owner_gets_none_of_it_that_it_has_no_right_to() {
    let world = world().await;
    let subscription = world.subscribe_with(by_key()).await;
    let mut consumers = world.hub.consumers(&user());
    consumers.add(&subscription, with_credit(10)).await.unwrap();
    publish(&world, "CUSTOM", "red", 0).await;
    assert_eq!(numbers(&events(&mut consumers, 1).await), [0]);
    publish(&world, "COMPLIANCE", "red", 1).await;
    silent(&mut consumers).await;
    drop(consumers);
    let officer = grant("p", false, &[Action::Read, Action::Compliance]);
    let mut officers = world.hub.consumers(&officer);
    officers.add(&subscription, with_credit(10)).await.unwrap();
    assert_eq!(numbers(&events(&mut officers, 2).await), [0, 1]);
}

#[tokio::test]
async fn properties_with_types_are_compared_and_calculated_with_as_what_they_are() {
    const TYPES: &str = "i:a;d:price;f:near;z:yes;l:property:priority;x:odd;i:word";
    let typed = format!(
        r#"{{"a":"5","price":"2.50","near":"0.1","yes":"true","name":"5","property:priority":"9",
            "priority":"4","odd":"1","word":"w","outflow-types":"{TYPES}"}}"#
    );
    let texts = r#"{"a":"5","price":"2.50","yes":"true","name":"5"}"#;
    for (headers, selector, dialect, expected) in [
        (&*typed, "a + 1 = 6", Dialect::Plain, true),
        (&*typed, "a + 1 = 51", Dialect::Plain, false),
        (&*typed, "a = '5'", Dialect::Plain, false),
        (&*typed, "name = '5' AND name <> 5", Dialect::Plain, true),
        (&*typed, "price = 2.5 AND price > a / 3", Dialect::Plain, true),
        (&*typed, "near = 0.1", Dialect::Plain, false),
        (&*typed, "near BETWEEN 0.09 AND 0.11", Dialect::Plain, true),
        (&*typed, "yes", Dialect::Plain, true),
        (&*typed, "priority = 9 AND JMSPriority = 4", Dialect::Plain, true),
        (&*typed, "odd = '1' AND word = 'w'", Dialect::Plain, true),
        (&*typed, "a = '5' AND a + 1 = 6", Dialect::StringsAsNumbers, true),
        (texts, "a = 5 OR a + 1 = 6", Dialect::Plain, false),
        (texts, "a = '5' AND price = '2.50'", Dialect::Plain, true),
        (texts, "a = 5 AND price = 2.5", Dialect::StringsAsNumbers, true),
    ] {
        let world = world().await;
        let subscription = world.subscribe_with(SubscriptionSettings::default()).await;
        let chosen = Selector::parse(selector, dialect).unwrap();
        let options = ConsumerOptions { selector: Some(chosen), ..with_credit(10) };
        let mut consumers = world.hub.consumers(&user());
        consumers.add(&subscription, options).await.unwrap();
        let event = format!(r#"{{"type":"T","headers":{headers},"body":{{"n":7}}}}"#);
        world.publish(&[&event]).await;
        let mut all = world.hub.consumers(&user());
        // Whoever takes all gets what the first one does not choose.
        all.add(&subscription, with_credit(10)).await.unwrap();
        let chooser = if expected { &mut consumers } else { &mut all };
        assert_eq!(numbers(&events(chooser, 1).await), [7], "{selector}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_belongs_to_a_subscription_still_does_after_a_delivery() {
    for restarts in [false, true] {
        let mut world = world().await;
        let selector = "JMSXDeliveryCount < 2 AND NOT JMSRedelivered";
        let selector = Some(Selector::parse(selector, Dialect::Plain).unwrap());
        let settings = SubscriptionSettings { selector, ..Default::default() };
        let mut subscription = world.subscribe_with(settings).await;
        world.publish_numbers(0, 2).await;
        let mut consumers = world.hub.consumers(&user());
        consumers.add(&subscription, with_credit(10)).await.unwrap();
        assert_eq!(numbers(&events(&mut consumers, 2).await), [0, 1]);
        drop(consumers);
        world.hub.tick().await;
        // What nobody uses is let go of, and read again.
        world.clock.advance(60_000);
        world.hub.tick().await;
        if restarts {
            drop(subscription);
            world = world.crash().await;
            subscription = world.found();
        }
        let mut consumers = world.hub.consumers(&user());
        consumers.add(&subscription, with_credit(10)).await.unwrap();
        assert_eq!(numbers(&events(&mut consumers, 2).await), [0, 1], "{restarts}");
    }
}
