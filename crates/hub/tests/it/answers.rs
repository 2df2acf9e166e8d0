//! What becomes of answers that are not stored at once.

use std::sync::Arc;
use std::time::Duration;

use outflow_hub::subscription::{
    EventRef, EventState, Settle, SettleError, Source, Subscription, SubscriptionSettings,
};
use outflow_hub::{Hub, Start};
use outflow_store::AppendError;

use crate::queueing::{acks, delivered, delivered_with, user};
use crate::world::{World, name, world};

/// Waits until so many writes are held back.
async fn held(world: &World, count: usize) {
    while world.engine.held() < count {
        tokio::task::yield_now().await;
    }
}

async fn first(hub: &Hub, subscription: &Arc<Subscription>) -> EventRef {
    let seen = hub.peek(&user(), subscription, Duration::from_secs(1)).await.unwrap();
    seen.next.unwrap()
}

#[tokio::test(start_paused = true)]
async fn an_event_is_called_settled_once_that_is_on_the_disk() {
    let world = world().await;
    let subscription = world.subscribe().await;
    world.publish_numbers(0, 1).await;
    let event = first(&world.hub, &subscription).await;
    let hold = Duration::from_secs(30);
    let lease = world.hub.lease(&user(), &subscription, &event, hold).await.unwrap().lease;
    world.engine.hold();
    let (hub, of) = (world.hub.clone(), subscription.clone());
    let settled =
        tokio::spawn(async move { hub.settle_lease(&user(), &of, Settle::Ack(lease)).await });
    held(&world, 1).await;
    let (hub, of) = (world.hub.clone(), subscription.clone());
    let state = tokio::spawn(async move {
        hub.event_state(&user(), &of, event.stream, event.offset).await.unwrap()
    });
    held(&world, 2).await;
    world.engine.fail_next(AppendError::Full);
    world.engine.commit_next();
    assert!(matches!(settled.await.unwrap(), Err(SettleError::Unavailable(_))));
    assert!(!state.is_finished());
    world.engine.commit_next();
    assert_eq!(state.await.unwrap(), EventState::Settled);
    drop(subscription);
    let world = world.crash().await;
    assert_eq!(world.hub.subscription_stats(&world.found()).backlog, 0);
}

#[tokio::test(start_paused = true)]
async fn a_refused_answer_is_stored_later_whether_or_not_anybody_waits_for_it() {
    for waits in [true, false] {
        let mut on = delivered(3).await;
        on.world.engine.fail_next(AppendError::Throttled);
        let settling = on.consumers.settle(on.id, &acks(&on.got[1..])).unwrap();
        if waits {
            assert!(matches!(settling.await, Err(SettleError::Unavailable(_))));
        } else {
            drop(settling);
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        on.world.clock.advance(1_001);
        on.world.hub.tick().await;
        assert_eq!(on.left_after_crash().await, 1, "{waits}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_queue_in_which_nothing_happens_writes_nothing() {
    let owns = SubscriptionSettings { owns: true, ..Default::default() };
    let mut on = delivered_with(owns, 3).await;
    on.consumers.settle(on.id, &acks(&on.got[..2])).unwrap().await.unwrap();
    on.world.clock.advance(10_001);
    on.world.hub.tick().await;
    assert_eq!(on.world.hub.stats(&on.world.stream()).start, on.got[2].event.offset());
    on.world.engine.hold();
    on.world.clock.advance(10_001);
    on.world.hub.tick().await;
    assert_eq!(on.world.engine.held(), 0);
    on.world.engine.commit_all();
}

#[tokio::test(start_paused = true)]
async fn a_source_taken_up_again_begins_where_it_is_told_to() {
    let mut on = delivered(3).await;
    on.world.engine.hold();
    let (hub, of) = (on.world.hub.clone(), on.subscription.clone());
    let removed = tokio::spawn(async move { hub.remove_source(&of, &name("events")).await });
    held(&on.world, 1).await;
    // Not the first: what is done above the floor is stored for itself.
    let settling = tokio::spawn(on.consumers.settle(on.id, &acks(&on.got[1..2])).unwrap());
    tokio::time::sleep(Duration::from_millis(1)).await;
    on.world.engine.commit_all();
    assert!(removed.await.unwrap().unwrap());
    settling.await.unwrap().unwrap();
    let source = Source { stream: name("events"), start: Start::Earliest, filter: None };
    on.world.hub.add_source(&on.subscription, source).await.unwrap();
    assert_eq!(on.left_after_crash().await, 3);
}

#[tokio::test(start_paused = true)]
async fn acks_that_nobody_waits_for_are_one_write_and_told_of_when_it_is_made() {
    let mut on = delivered(5).await;
    // How far they were handed out is written as they are.
    tokio::time::sleep(Duration::from_millis(10)).await;
    on.world.engine.hold();
    for one in &on.got[..3] {
        let (settling, unknown) =
            on.consumers.settle_soon(on.id, &acks(std::slice::from_ref(one))).unwrap();
        assert!(settling.is_over() && unknown.is_empty());
    }
    assert_eq!(on.world.engine.held(), 0);
    on.world.clock.advance(5);
    on.world.hub.tick().await;
    assert_eq!(on.world.engine.held(), 1);
    // That write is on its way: who asks is told when it has come there, too.
    let mut writing = on.consumers.write(on.id).unwrap();
    assert!(!writing.is_over());
    on.world.engine.commit_next();
    tokio::select! {
        biased;
        _ = &mut writing => panic!("it was told too early"),
        () = tokio::task::yield_now() => {}
    }
    on.world.engine.commit_all();
    writing.await.unwrap();
    let _ = on.consumers.settle_soon(on.id, &acks(&on.got[3..4])).unwrap();
    on.consumers.write(on.id).unwrap().await.unwrap();
    let _ = on.consumers.settle_soon(on.id, &acks(&on.got[4..])).unwrap();
    assert_eq!(on.left_after_crash().await, 1, "the last comes again");
}

#[tokio::test(start_paused = true)]
async fn at_a_clean_end_acks_that_nobody_waits_for_are_written() {
    let mut on = delivered(3).await;
    drop(on.consumers.settle_soon(on.id, &acks(&on.got)).unwrap());
    // Before anything else runs.
    on.world.hub.end().await;
    assert_eq!(on.left_after_crash().await, 0);
}

#[tokio::test(start_paused = true)]
async fn a_write_that_fails_is_made_again_though_nobody_waits_for_it() {
    let mut on = delivered(3).await;
    on.world.engine.fail_next(AppendError::Throttled);
    drop(on.consumers.settle_soon(on.id, &acks(&on.got[1..])).unwrap());
    for millis in [5, 1_001] {
        on.world.clock.advance(millis);
        on.world.hub.tick().await;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(on.left_after_crash().await, 1);
}
