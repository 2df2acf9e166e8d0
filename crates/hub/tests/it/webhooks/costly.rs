//! A webhook's filter that costs much holds up nobody who asks after its place, and decides what is sent.

use std::time::Duration;

use outflow_hub::Start;
use outflow_hub::subscription::{ConsumerOptions, Delivered};
use tokio::time::{Instant, sleep};

use super::{id, operator, webhook};
use crate::world::{integration, project_id, world};

const ELEMENTS: usize = 100_000;

/// Of each number of an event: whether it is one of two hundred, which only 7 is.
fn filter() -> String {
    let matchers: Vec<String> =
        (0..200).map(|n| format!(r#"{{"value":{{"equals":{}}}}}"#, 7 + 100 * n)).collect();
    let any = matchers.join(",");
    format!(r#"{{"predicates":{{"key":"body","value":{{"array_contains":{{"or":[{any}]}}}}}}}}"#)
}

fn event(last: u32) -> String {
    format!(r#"{{"type":"CUSTOM","body":[{}{last}]}}"#, "1,".repeat(ELEMENTS))
}

#[tokio::test]
async fn a_place_can_be_asked_after_while_its_events_are_looked_at_for_long() {
    let world = world().await;
    let webhook = webhook(Some(&filter()));
    world.hub.set_webhook(&project_id("p"), &id(), webhook, Start::Latest).await.unwrap();
    let place = world.hub.endpoint_subscription(&project_id("p"), &id()).unwrap();
    let mut consumers = world.hub.consumers(&operator());
    consumers.add(&place, ConsumerOptions::default()).await.unwrap();
    let begun = Instant::now();
    world.publish(&[&event(8)]).await;
    let shown = world.publish(&[&event(7)]).await[0];
    let asking = async {
        let mut longest = Duration::ZERO;
        loop {
            let asked = Instant::now();
            sleep(Duration::from_millis(1)).await;
            let in_flight = world.hub.subscription_stats(&place).in_flight;
            longest = longest.max(asked.elapsed());
            if in_flight > 0 {
                return longest;
            }
        }
    };
    let (longest, delivered) = tokio::join!(asking, consumers.next(10));
    let took = begun.elapsed();
    let Delivered::Events { events, .. } = delivered else { panic!("{delivered:?}") };
    assert_eq!(events.iter().map(|one| one.event.offset()).collect::<Vec<_>>(), [shown]);
    assert!(longest < took / 4, "{longest:?} of {took:?} nobody could ask");
    // What is narrowed meanwhile is not handed out: it is looked at again as it is by then.
    let hidden = outflow_hub::Integration {
        event_types: Some(["OTHER".to_owned()].into()),
        ..integration("p")
    };
    world.publish(&[&event(7)]).await;
    sleep(Duration::from_millis(20)).await;
    world.hub.update_integration(hidden).await.unwrap();
    let seen = tokio::time::timeout(Duration::from_secs(3), consumers.next(10)).await;
    assert!(seen.is_err(), "{seen:?}");
}
