//! Who may have which event, whatever else would hand it to them.

use outflow_hub::Selector;
use outflow_hub::selector::Dialect;
use outflow_hub::subscription::{ConsumerOptions, SubscriptionSettings};
use outflow_model::Action;

use crate::queueing::{events, numbers, silent, user, with_credit};
use crate::world::{World, grant, world};

pub(crate) fn choosing(selector: &str) -> ConsumerOptions {
    let selector = Some(Selector::parse(selector, Dialect::Plain).unwrap());
    ConsumerOptions { selector, ..with_credit(10) }
}

fn by_key() -> SubscriptionSettings {
    SubscriptionSettings { group_by_key: true, ..Default::default() }
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
