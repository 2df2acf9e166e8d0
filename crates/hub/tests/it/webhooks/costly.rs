//! A webhook's filter that costs much holds up nobody who asks after its place, and decides what is sent.

use std::time::Duration;

use outflow_hub::subscription::{ConsumerOptions, Consumers, Delivered, Subscription};
use outflow_hub::{Integration, NewStream, Settle, Start, StreamSettings, Webhook};
use outflow_model::IntegrationId;
use tokio::time::{Instant, sleep, timeout};

use super::{id, operator, webhook};
use crate::world::{World, integration, name, project, project_id, publisher, world};

const ELEMENTS: usize = 100_000;

/// Of each number of an event: whether it is one of two hundred, which only 7 is.
fn filter() -> String {
    let matchers: Vec<String> =
        (0..200).map(|n| format!(r#"{{"value":{{"equals":{}}}}}"#, 7 + 100 * n)).collect();
    let any = matchers.join(",");
    format!(r#"{{"predicates":{{"key":"body","value":{{"array_contains":{{"or":[{any}]}}}}}}}}"#)
}

fn event(last: u32) -> String {
    event_of(ELEMENTS, last)
}

fn event_of(elements: usize, last: u32) -> String {
    format!(r#"{{"type":"CUSTOM","body":[{}{last}]}}"#, "1,".repeat(elements))
}

/// A webhook of its own integration, and its consumer.
async fn endpoint(world: &World, at: (&str, &str), webhook: Webhook, consumers: &mut Consumers) {
    let (project, id) = (project_id(at.0), IntegrationId::new(at.1).unwrap());
    let new = Integration { id: id.clone(), ..integration(at.0) };
    world.hub.create_integration(new).await.unwrap();
    world.hub.set_webhook(&project, &id, webhook, Start::Latest).await.unwrap();
    let place = world.hub.endpoint_subscription(&project, &id).unwrap();
    consumers.add(&place, ConsumerOptions::default()).await.unwrap();
}

#[tokio::test]
async fn a_project_with_many_places_that_cost_much_keeps_no_other_from_loading() {
    let world = world().await;
    let mut many = world.hub.consumers(&operator());
    // More than load at once for whoever it is.
    for n in 0..290 {
        let webhook = webhook(Some(&filter()));
        endpoint(&world, ("p", &format!("i{n}")), webhook, &mut many).await;
    }
    // One of them is loaded by whom the many are loaded by.
    world.hub.create_project(project("q")).await.unwrap();
    let mut others = world.hub.consumers(&operator());
    let mut streams = Vec::new();
    for n in 0..4 {
        let stream = name(&format!("s{n}"));
        let new = NewStream { name: stream.clone(), settings: StreamSettings::default() };
        world.hub.create_stream(&project_id("q"), new).await.unwrap();
        let webhook = Webhook { stream: stream.clone(), ..webhook(None) };
        endpoint(&world, ("q", &format!("i{n}")), webhook, &mut others).await;
        streams.push(world.hub.stream(&project_id("q"), &stream).unwrap());
    }
    world.publish(&[&event_of(2_000, 7)]).await;
    assert!(matches!(many.next(1).await, Delivered::Events { .. }));
    for stream in &streams {
        let draft = world.draft(&[r#"{"type":"CUSTOM"}"#]);
        world.hub.publish(&publisher("q"), stream, draft).await.unwrap();
    }
    for _ in &streams {
        assert!(matches!(others.next(1).await, Delivered::Events { .. }));
    }
    let mut looks = 0;
    while timeout(Duration::ZERO, many.next(1)).await.is_ok() {
        looks += 1;
    }
    assert!(looks < 10, "{looks} looks before the others had theirs");
    // They go on, each in its turn.
    for _ in 0..20 {
        assert!(matches!(many.next(1).await, Delivered::Events { .. }));
    }
}

/// The longest time for which nobody could ask after a place, until something of it is handed out.
async fn asking(world: &World, place: &Subscription) -> Duration {
    let mut longest = Duration::ZERO;
    loop {
        let asked = Instant::now();
        sleep(Duration::from_millis(1)).await;
        let in_flight = world.hub.subscription_stats(place).in_flight;
        longest = longest.max(asked.elapsed());
        if in_flight > 0 {
            return longest;
        }
    }
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
    let (longest, delivered) = tokio::join!(asking(&world, &place), consumers.next(10));
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

#[tokio::test]
async fn what_comes_back_after_a_change_is_looked_at_while_others_ask() {
    let world = world().await;
    let set = async |filter: Option<&str>| {
        world
            .hub
            .set_webhook(&project_id("p"), &id(), webhook(filter), Start::Latest)
            .await
            .unwrap();
    };
    set(None).await;
    let place = world.hub.endpoint_subscription(&project_id("p"), &id()).unwrap();
    let mut consumers = world.hub.consumers(&operator());
    let consumer = consumers.add(&place, ConsumerOptions::default()).await.unwrap();
    let mut published = Vec::new();
    for last in [8, 7, 8, 7] {
        published.extend(world.publish(&[&event(last)]).await);
    }
    // Three are held, and one waits to be taken.
    let mut held = Vec::new();
    while held.len() < 3 {
        let Delivered::Events { events, .. } = consumers.next(1).await else { panic!() };
        held.extend(events.iter().map(|one| Settle::Requeue { lease: one.lease, delay: None }));
    }
    while world.hub.subscription_stats(&place).in_flight < 4 {
        sleep(Duration::from_millis(1)).await;
    }
    set(Some(&filter())).await;
    consumers.settle(consumer, &held).unwrap().await.unwrap();
    let begun = Instant::now();
    let mut came = Vec::new();
    let taking = async {
        while came.len() < 2 {
            let Delivered::Events { events, .. } = consumers.next(10).await else { panic!() };
            came.extend(events.iter().map(|one| one.event.offset()));
        }
    };
    let (longest, ()) = tokio::join!(asking(&world, &place), taking);
    let took = begun.elapsed();
    assert_eq!(came, [published[1], published[3]], "in their order");
    assert!(longest < took / 4, "{longest:?} of {took:?} nobody could ask");
}
