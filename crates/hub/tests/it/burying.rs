//! Dead letters whose storing fails, and the stream they are stored in.

use std::time::Duration;

use outflow_hub::subscription::{Settle, SubscriptionSettings};
use outflow_hub::{
    CatalogError, Ingest, IngestFormat, IngestMode, NewStream, Options, StreamSettings,
};
use outflow_store::AppendError;

use crate::queueing::{events, new, number, numbers, user, with_credit};
use crate::world::{name, project_id, world};

fn mortal() -> SubscriptionSettings {
    SubscriptionSettings {
        max_deliveries: Some(1),
        dead_letter: Some(name("dead")),
        ..Default::default()
    }
}

#[tokio::test(start_paused = true)]
async fn delivery_goes_on_while_dead_events_cannot_be_stored() {
    let world = world().await;
    world.stream_called("dead").await;
    let subscription = world.subscribe_with(mortal()).await;
    world.publish_numbers(0, 1).await;
    let mut consumers = world.hub.consumers(&user());
    let id = consumers.add(&subscription, with_credit(10)).await.unwrap();
    let got = events(&mut consumers, 1).await;
    world.engine.fail_next(AppendError::Full);
    let back = Settle::Requeue { lease: got[0].lease, delay: None };
    consumers.settle(id, &[back]).unwrap().await.unwrap();
    // The burial has failed and waits for its second try.
    tokio::time::sleep(Duration::from_millis(1)).await;
    world.publish_numbers(1, 2).await;
    assert_eq!(numbers(&events(&mut consumers, 1).await), [1]);
    let letters = new("dead", &["dead"], SubscriptionSettings::default());
    let letters = world.hub.create_subscription(&project_id("p"), letters).await.unwrap();
    assert_eq!(world.hub.subscription_stats(&letters).backlog, 0);
    world.clock.advance(1_001);
    world.hub.tick().await;
    let mut readers = world.hub.consumers(&user());
    readers.add(&letters, with_credit(10)).await.unwrap();
    assert_eq!(number(&events(&mut readers, 1).await[0]), 0);
}

#[tokio::test]
async fn a_stream_that_chooses_its_events_takes_no_dead_ones() {
    let world = world().await;
    let p = project_id("p");
    let ingest =
        Ingest { name: String::new(), format: IngestFormat::Json, mode: IngestMode::Active };
    let settings =
        StreamSettings { ingest: Some(ingest), dedup: None, ..StreamSettings::default() };
    let choosy = NewStream { name: name("dead"), settings: settings.clone() };
    world.hub.create_stream(&p, choosy.clone()).await.unwrap();
    let refused = world.hub.create_subscription(&p, new("s", &["events"], mortal())).await;
    assert!(matches!(refused, Err(CatalogError::Invalid(_))), "{refused:?}");
    let own = world.subscribe_with(SubscriptionSettings::default()).await;
    let refused = world.hub.update_subscription(&own, mortal()).await;
    assert!(matches!(refused, Err(CatalogError::Invalid(_))), "{refused:?}");
    // Nor does it begin to choose once it takes them.
    world.hub.delete_stream(&p, &name("dead")).await.unwrap();
    world.hub.update_subscription(&own, mortal()).await.unwrap();
    let refused = world.hub.create_stream(&p, choosy).await;
    assert!(matches!(refused, Err(CatalogError::Invalid(_))), "{refused:?}");
    world.stream_called("dead").await;
    let refused = world.hub.update_stream(&p, &name("dead"), settings).await;
    assert!(matches!(refused, Err(CatalogError::Invalid(_))), "{refused:?}");
}

#[tokio::test(start_paused = true)]
async fn a_stream_made_for_dead_letters_keeps_them_as_long_as_a_queue_does() {
    let world = world().await;
    let subscription = world.subscribe_with(mortal()).await;
    world.publish_numbers(0, 1).await;
    let mut consumers = world.hub.consumers(&user());
    let id = consumers.add(&subscription, with_credit(10)).await.unwrap();
    let got = events(&mut consumers, 1).await;
    let refuse = Settle::DeadLetter { lease: got[0].lease, cause: "bad".into() };
    consumers.settle(id, &[refuse]).unwrap().await.unwrap();
    let made = world.hub.stream(&project_id("p"), &name("dead")).unwrap();
    assert_eq!(made.settings.retention, Options::default().queue_retention);
}

/// The order of the dead letters is that of the events, whichever way they come back together.
#[tokio::test(start_paused = true)]
async fn dead_letters_keep_the_order_of_their_events() {
    let world = world().await;
    let lease = Some(Duration::from_secs(30));
    let subscription = world.subscribe_with(SubscriptionSettings { lease, ..mortal() }).await;
    world.publish_numbers(0, 8).await;
    let mut consumers = world.hub.consumers(&user());
    consumers.add(&subscription, with_credit(4)).await.unwrap();
    events(&mut consumers, 4).await;
    // The connection breaks.
    drop(consumers);
    let mut consumers = world.hub.consumers(&user());
    let id = consumers.add(&subscription, with_credit(4)).await.unwrap();
    let got = events(&mut consumers, 4).await;
    assert_eq!(numbers(&got), [4, 5, 6, 7]);
    // Leases that have ended when the clock is looked at, the first event's last of all.
    let by = Duration::from_secs(60);
    consumers.settle(id, &[Settle::Extend { lease: got[0].lease, by }]).unwrap().await.unwrap();
    world.clock.advance(61_000);
    world.hub.tick().await;
    let letters = new("dead", &["dead"], SubscriptionSettings::default());
    let letters = world.hub.create_subscription(&project_id("p"), letters).await.unwrap();
    let mut readers = world.hub.consumers(&user());
    readers.add(&letters, with_credit(10)).await.unwrap();
    assert_eq!(numbers(&events(&mut readers, 8).await), [0, 1, 2, 3, 4, 5, 6, 7]);
}
