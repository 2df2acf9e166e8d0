//! What an integration may see no more, of what its endpoint was handed already.

use std::time::Duration;

use outflow_hub::subscription::{ConsumerOptions, Delivered};
use outflow_hub::{Delivery, Integration, Settle};
use tokio::time::timeout;

use super::{id, operator, publish, set};
use crate::world::{integration, project_id, world};

#[tokio::test]
async fn what_comes_back_that_may_not_be_seen_any_more_is_handed_out_to_nobody() {
    for goes in [false, true] {
        let world = world().await;
        set(&world, None).await.unwrap();
        publish(&world, &["A", "B", "A", "B", "A"]).await;
        let place = world.hub.endpoint_subscription(&project_id("p"), &id()).unwrap();
        let mut consumers = world.hub.consumers(&operator());
        // Three are taken, and two wait to be.
        let consumer = consumers.add(&place, ConsumerOptions::default()).await.unwrap();
        let Delivered::Events { events, .. } = consumers.next(3).await else { panic!() };
        assert_eq!(events.len(), 3);
        let event_types = Some(["B".to_owned()].into());
        let narrow = Integration { event_types, ..integration("p") };
        world.hub.update_integration(narrow).await.unwrap();
        if goes {
            consumers.remove(consumer);
            consumers.add(&place, ConsumerOptions::default()).await.unwrap();
        } else {
            let back = |one: &Delivery| Settle::Requeue { lease: one.lease, delay: None };
            let back: Vec<Settle> = events.iter().map(back).collect();
            consumers.settle(consumer, &back).unwrap().await.unwrap();
        }
        let mut came = Vec::new();
        let all_done = async {
            while world.hub.subscription_stats(&place).backlog > 0 {
                // What is hidden is passed over by whoever takes what comes next.
                let next = timeout(Duration::from_millis(20), consumers.next(10)).await;
                let Ok(Delivered::Events { consumer, events }) = next else { continue };
                let acks: Vec<Settle> = events.iter().map(|one| Settle::Ack(one.lease)).collect();
                consumers.settle(consumer, &acks).unwrap().await.unwrap();
                came.extend(events.iter().map(|one| one.event.event_type().to_owned()));
            }
        };
        let is_done = timeout(Duration::from_secs(20), all_done).await.is_ok();
        assert!(is_done, "{goes}: what is hidden is done");
        came.sort_unstable();
        assert_eq!(came, ["B", "B"], "{goes}");
    }
}
