//! A clock that is set neither ends leases and delays nor makes them last; what is due at a time of
//! day comes when the clock shows it.

use std::time::Duration;

use outflow_hub::subscription::{
    EventState, LeaseError, Settle, Subscription, SubscriptionSettings,
};
use outflow_model::Timestamp;

use crate::queueing::{events, numbers, silent, user, with_credit};
use crate::world::{NOW, World, world};

const HOUR: i64 = 3_600_000;

impl World {
    /// Sets the clock to so many milliseconds after the beginning of the test.
    async fn set(&self, millis: i64) {
        self.clock.set(Timestamp::from_millis(NOW + millis));
        self.hub.tick().await;
    }

    async fn pass(&self, millis: i64) {
        self.clock.advance(millis);
        self.hub.tick().await;
    }

    /// Whether the first event can be taken by name.
    async fn is_free(&self, subscription: &std::sync::Arc<Subscription>) -> bool {
        self.hub.peek(&user(), subscription, Duration::ZERO).await.unwrap().next.is_some()
    }
}

#[tokio::test(start_paused = true)]
async fn a_lease_taken_by_name_lasts_as_long_as_it_was_to() {
    let world = world().await;
    let subscription = world.subscribe().await;
    world.publish_numbers(0, 1).await;
    for jump in [HOUR, -HOUR] {
        world.set(0).await;
        let peeked = world.hub.peek(&user(), &subscription, Duration::ZERO).await.unwrap();
        let event = peeked.next.unwrap();
        let hold = Duration::from_secs(30);
        let taken = world.hub.lease(&user(), &subscription, &event, hold).await.unwrap();
        assert_eq!(taken.deadline, Some(Timestamp::from_millis(NOW + 30_000)));
        world.set(jump).await;
        assert!(!world.is_free(&subscription).await, "{jump}");
        // What is shown of it is in the time that the clock shows.
        let shown = Some(Timestamp::from_millis(NOW + jump + 30_000));
        let again = world.hub.lease(&user(), &subscription, &event, hold).await;
        assert_eq!(again.unwrap_err(), LeaseError::Held { until: shown });
        let caller = user();
        let state = world.hub.event_state(&caller, &subscription, event.stream, event.offset);
        let held = EventState::Held { lease: taken.lease, until: shown };
        assert_eq!(state.await.unwrap(), held);
        let extend = Settle::Extend { lease: taken.lease, by: Duration::from_secs(60) };
        let until = world.hub.settle_lease(&user(), &subscription, extend).await.unwrap();
        assert_eq!(until, Some(Timestamp::from_millis(NOW + jump + 60_000)));
        world.set(-jump).await;
        world.pass(59_000).await;
        assert!(!world.is_free(&subscription).await, "{jump}");
        world.pass(1_001).await;
        assert!(world.is_free(&subscription).await, "{jump}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_consumers_lease_and_a_delay_last_as_long_as_they_were_to() {
    let world = world().await;
    let lease = Some(Duration::from_secs(30));
    let settings = SubscriptionSettings { lease, ..SubscriptionSettings::default() };
    let subscription = world.subscribe_with(settings).await;
    world.publish_numbers(0, 2).await;
    let mut consumers = world.hub.consumers(&user());
    let id = consumers.add(&subscription, with_credit(10)).await.unwrap();
    let got = events(&mut consumers, 2).await;
    let delay = Some(Duration::from_secs(50));
    consumers.settle(id, &[Settle::Requeue { lease: got[0].lease, delay }]).unwrap();
    world.set(HOUR).await;
    silent(&mut consumers).await;
    let shown = Some(Timestamp::from_millis(NOW + HOUR + 30_000));
    assert_eq!(consumers.deadline(id, got[1].lease), shown);
    world.set(-HOUR).await;
    world.pass(30_001).await;
    assert_eq!(numbers(&events(&mut consumers, 1).await), [1], "its lease has ended");
    world.pass(19_000).await;
    silent(&mut consumers).await;
    world.pass(1_001).await;
    assert_eq!(numbers(&events(&mut consumers, 1).await), [0], "its delay is over");
}

#[tokio::test(start_paused = true)]
async fn what_is_scheduled_comes_when_the_clock_shows_its_time() {
    let world = world().await;
    let subscription = world.subscribe().await;
    let at = Timestamp::from_millis(NOW + HOUR);
    let event = format!(
        r#"{{"type":"CUSTOM","headers":{{"outflow-deliver-at":"{at}"}},"body":{{"n":7}}}}"#
    );
    world.publish(&[&event]).await;
    let mut consumers = world.hub.consumers(&user());
    consumers.add(&subscription, with_credit(10)).await.unwrap();
    world.set(-HOUR).await;
    world.pass(HOUR).await;
    silent(&mut consumers).await;
    world.set(HOUR).await;
    assert_eq!(numbers(&events(&mut consumers, 1).await), [7]);
}
