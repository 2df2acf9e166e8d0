//! What looks and takes by name do not show: to those who may not see it, and what is not the
//! subscription's.

use std::time::Duration;

use outflow_hub::subscription::{EventRef, LeaseError, Settle, SubscriptionSettings};
use outflow_hub::{Dialect, Selector};
use outflow_model::Offset;

use crate::queueing::user;
use crate::world::{World, token, world};

const HOLD: Duration = Duration::from_secs(30);

async fn publish(world: &World, event_type: &str, count: usize) -> Vec<Offset> {
    let event = format!(r#"{{"type":"{event_type}","body":{{"n":1}}}}"#);
    world.publish(&vec![event.as_str(); count]).await
}

fn event_at(world: &World, offset: Offset) -> EventRef {
    let stream = world.stream();
    EventRef { stream: stream.id, name: stream.name.clone(), offset, id: String::new() }
}

#[tokio::test(start_paused = true)]
async fn a_look_passes_over_what_the_caller_may_not_see() {
    let world = world().await;
    let subscription = world.subscribe().await;
    let compliance = publish(&world, "COMPLIANCE", 1).await;
    let location = publish(&world, "LOCATION", 1).await;
    let custom = publish(&world, "CUSTOM", 1).await;
    let event = |offset| event_at(&world, offset);
    // The integration sees neither, the project's own key locations.
    for (caller, seen, hidden) in [
        (token("p"), custom[0], vec![compliance[0], location[0]]),
        (user(), location[0], vec![compliance[0]]),
    ] {
        let peeked = world.hub.peek(&caller, &subscription, Duration::ZERO).await.unwrap();
        assert_eq!(peeked.next.map(|next| next.offset), Some(seen));
        for offset in hidden {
            let taken = world.hub.lease(&caller, &subscription, &event(offset), HOLD).await;
            assert_eq!(taken.unwrap_err(), LeaseError::Gone);
        }
    }
    let taken = world.hub.lease(&token("p"), &subscription, &event(custom[0]), HOLD).await;
    assert_eq!(taken.unwrap().event.offset(), custom[0]);
}

#[tokio::test(start_paused = true)]
async fn a_look_finds_what_lies_behind_many_hidden_events_and_what_comes_behind_them() {
    let world = world().await;
    let subscription = world.subscribe().await;
    publish(&world, "LOCATION", 10_000).await;
    let (hub, of) = (world.hub.clone(), subscription.clone());
    let peek =
        tokio::spawn(async move { hub.peek(&token("p"), &of, Duration::from_secs(90)).await });
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(!peek.is_finished());
    let custom = publish(&world, "CUSTOM", 1).await;
    let peeked = peek.await.unwrap().unwrap();
    assert_eq!(peeked.next.clone().map(|next| next.offset), Some(custom[0]));
    let event = peeked.next.unwrap();
    world.hub.lease(&token("p"), &subscription, &event, HOLD).await.unwrap();
    let peeked = world.hub.peek(&token("p"), &subscription, Duration::ZERO).await.unwrap();
    assert_eq!(peeked.next, None);
}

#[tokio::test(start_paused = true)]
async fn what_the_subscription_does_not_choose_is_not_taken_by_name() {
    let world = world().await;
    // What belongs to it does not change by deliveries.
    let chosen = Selector::parse("JMSType = 'RED' AND NOT JMSRedelivered", Dialect::Plain);
    let settings = SubscriptionSettings { selector: chosen.ok(), ..Default::default() };
    let subscription = world.subscribe_with(settings).await;
    let blue = event_at(&world, publish(&world, "BLUE", 1).await[0]);
    let red = event_at(&world, publish(&world, "RED", 1).await[0]);
    // Nobody has looked yet: neither is in memory.
    let taken = world.hub.lease(&user(), &subscription, &blue, HOLD).await;
    assert_eq!(taken.unwrap_err(), LeaseError::Gone);
    for deliveries in 1..=2 {
        let taken = world.hub.lease(&user(), &subscription, &red, HOLD).await.unwrap();
        assert_eq!(taken.deliveries, deliveries);
        let back = Settle::Requeue { lease: taken.lease, delay: None };
        world.hub.settle_lease(&user(), &subscription, back).await.unwrap();
    }
}
