//! Posts with more to do than there is room for, and with a store that fails: whom that holds up.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use outflow_face_webhook::Options;
use outflow_face_webhook::outcome::Outcome;
use outflow_hub::{Start, Webhook, WebhookError};
use outflow_model::Offset;
use tokio::time::timeout;

use crate::flaky::Flaky;
use crate::world::{SOON, World, again, ids, memory, named, offsets, open, webhook};

#[tokio::test]
async fn endpoints_of_one_project_that_stall_hold_up_none_of_another() {
    let options = Options { max_in_flight: 10, ..Options::default() };
    let world = open(memory(), Arc::default(), options).await;
    world.project("stalled").await;
    world.project("acme").await;
    let (stalled, _) = named("stalled", "hook");
    *world.desk.stalls.lock() = Some(stalled);
    for at in 0..40 {
        // Each at a name of its own.
        let url = format!("https://{at}.hooks.example.com/");
        world
            .endpoint(&named("stalled", &format!("hook{at}")), Webhook { url, ..webhook(1) })
            .await;
    }
    world.endpoint(&ids(), webhook(1)).await;
    world.publish_in("stalled", &["A", "B"]).await;
    // Its share of the ten.
    world.desk.requests(8).await;
    for count in 1..=20 {
        world.publish(&["C"]).await;
        world.desk.requests(8 + count).await;
    }
    // Those that stalled answer after all; the others have their turn.
    world.desk.stalled.add_permits(1_000);
    world.desk.requests(100).await;
}

/// Endpoints of which no answer has come yet stall, at hosts of their own or at one: another of their
/// project that answers is not held up.
#[tokio::test]
async fn endpoints_that_newly_stall_hold_up_none_of_their_project_that_answers() {
    for (is_one_host, room) in [(false, 64), (true, 1_000)] {
        let options = Options { max_in_flight: room, ..Options::default() };
        let world = open(memory(), Arc::default(), options).await;
        world.project("acme").await;
        *world.desk.spares.lock() = Some(ids().1);
        *world.desk.stalls.lock() = Some(ids().0);
        world.endpoint(&ids(), webhook(1)).await;
        world.publish(&["A"]).await;
        world.stored("webhook.attempts", 1).await;
        for at in 0..70 {
            let host = if is_one_host { String::new() } else { format!("{at}.") };
            let url = format!("https://{host}hooks.example.com/");
            world
                .endpoint(&named("acme", &format!("new{at}")), Webhook { url, ..webhook(1) })
                .await;
        }
        // What one project may have alone of the room, or at a host, but for what is kept.
        let stalled = if is_one_host { 24 } else { 48 };
        world.publish(&["B"]).await;
        world.desk.requests(2 + stalled).await;
        for count in 1..=20 {
            world.publish(&["C"]).await;
            world.desk.requests(2 + stalled + count).await;
        }
        world.desk.stalled.add_permits(10_000);
        world.desk.requests(22 + 21 * 70).await;
    }
}

/// What waits for its turn is looked at when that comes, whether the post has heard of a change or not.
#[tokio::test]
async fn what_waits_for_its_turn_does_not_go_when_it_may_not_be_seen_any_more() {
    let options = Options { max_in_flight: 1, ..Options::default() };
    let world = open(memory(), Arc::default(), options).await;
    world.project("stalled").await;
    world.project("acme").await;
    let first = named("stalled", "hook");
    *world.desk.stalls.lock() = Some(first.0.clone());
    world.endpoint(&first, webhook(1)).await;
    world.endpoint(&ids(), webhook(1)).await;
    world.publish_in("stalled", &["A"]).await;
    world.desk.requests(1).await;
    world.publish(&["OPEN", "SEND"]).await;
    let (project, id) = ids();
    let place = world.hub.endpoint_subscription(&project, &id).unwrap();
    let taken = async {
        while world.hub.subscription_stats(&place).in_flight < 2 {
            tokio::task::yield_now().await;
        }
    };
    timeout(SOON, taken).await.expect("they are taken, and wait");
    let filter = Some(r#"[{"types":["SEND"]}]"#.to_owned());
    let narrow = Webhook { filter, ..webhook(1) };
    // The post is not told.
    world.hub.set_webhook(&project, &id, narrow, Start::Latest).await.unwrap();
    world.desk.stalled.add_permits(1);
    let came = world.desk.requests(2).await;
    assert_eq!(offsets(&came[1].1), [Offset::FIRST.next().get()]);
    let done = async {
        while world.hub.subscription_stats(&place).backlog > 0 {
            tokio::task::yield_now().await;
        }
    };
    timeout(SOON, done).await.expect("what is hidden is done");
    assert_eq!(world.desk.came.lock().len(), 2);
}

#[tokio::test]
async fn requests_by_hand_count_as_all_others_do() {
    let options = Options { max_in_flight: 5, ..Options::default() };
    let world = open(memory(), Arc::default(), options).await;
    world.project("stalled").await;
    world.project("acme").await;
    let of = |at: usize| named("stalled", &format!("hook{at}"));
    *world.desk.stalls.lock() = Some(of(0).0);
    for at in 0..6 {
        world.endpoint(&of(at), webhook(1)).await;
    }
    world.endpoint(&ids(), webhook(1)).await;
    let hub = world.hub.clone();
    let ask = |at: usize| {
        let hub = hub.clone();
        tokio::spawn(async move { hub.webhooks().unwrap().test(&of(at)).await })
    };
    // Its share of the five.
    let asked: Vec<_> = (0..4).map(ask).collect();
    world.desk.requests(4).await;
    assert_eq!(ask(4).await.unwrap(), Err(WebhookError::Crowded));
    let webhooks = world.hub.webhooks().unwrap();
    assert_eq!(webhooks.resend(&of(5), "msg_00").await, Err(WebhookError::Crowded));
    // Others have room; and who has none for requests by hand has none for events.
    world.publish(&["A"]).await;
    world.publish_in("stalled", &["B"]).await;
    let came = world.desk.requests(5).await;
    assert!(came[4].1.windows(3).any(|part| part == b"\"A\""));
    // Room for a message is room for one that is not found.
    world.desk.stalled.add_permits(1_000);
    for one in asked {
        assert!(one.await.unwrap().unwrap().taken);
    }
    world.desk.requests(11).await;
    // The last were sent; their room comes back once their answers have been heard, and stays.
    let heard = async {
        while webhooks.resend(&of(5), "msg_00").await == Err(WebhookError::Crowded) {
            tokio::task::yield_now().await;
        }
    };
    timeout(SOON, heard).await.expect("all are answered");
    for at in 0..6 {
        assert_eq!(webhooks.resend(&of(at), "msg_00").await, Err(WebhookError::NoMessage));
    }
    assert!(webhooks.test(&of(4)).await.unwrap().taken);
}

#[tokio::test]
async fn what_waits_for_its_turn_does_not_go_when_its_endpoint_is_paused() {
    let options = Options { max_in_flight: 1, ..Options::default() };
    let world = open(memory(), Arc::default(), options).await;
    world.project("stalled").await;
    world.project("acme").await;
    let first = named("stalled", "hook");
    *world.desk.stalls.lock() = Some(first.0.clone());
    world.endpoint(&first, webhook(1)).await;
    world.endpoint(&ids(), webhook(1)).await;
    world.publish_in("stalled", &["A", "B"]).await;
    world.desk.requests(1).await;
    world.publish(&["C"]).await;
    let place = world.hub.endpoint_subscription(&ids().0, &ids().1).unwrap();
    let taken = async {
        while world.hub.subscription_stats(&place).in_flight == 0 {
            tokio::task::yield_now().await;
        }
    };
    timeout(SOON, taken).await.expect("it is taken, and waits");
    world.set(&ids(), Webhook { paused: true, ..webhook(1) }).await;
    world.desk.stalled.add_permits(2);
    // Both of the first, and nothing between them.
    world.desk.requests(2).await;
    world.stored_of(&first, "webhook.attempts", 2).await;
    assert_eq!(world.desk.came.lock().len(), 2);
    let status = world.hub.webhooks().unwrap().status(&ids()).await.unwrap();
    assert_eq!((status.state, status.failures), ("paused", 0));
    world.set(&ids(), webhook(1)).await;
    let came = world.desk.requests(3).await;
    assert_eq!(offsets(&came[2].1), [Offset::FIRST.get()]);
}

#[tokio::test]
async fn what_is_held_for_endpoints_that_wait_is_bounded() {
    let options = Options { max_in_flight: 1, max_held_bytes: 20_000, ..Options::default() };
    let world = open(memory(), Arc::default(), options).await;
    world.project("stalled").await;
    world.project("acme").await;
    let (stalled, _) = named("stalled", "hook");
    *world.desk.stalls.lock() = Some(stalled.clone());
    let endpoints: Vec<_> = (0..20).map(|at| named("stalled", &format!("hook{at}"))).collect();
    for id in &endpoints {
        world.endpoint(id, webhook(10)).await;
    }
    world.publish_in("stalled", &["A"; 10]).await;
    world.desk.requests(1).await;
    // Twenty times ten events are too many: most are given back.
    let held = || {
        let places = endpoints.iter().map(|id| world.hub.endpoint_subscription(&id.0, &id.1));
        let held = places.map(|place| world.hub.subscription_stats(&place.unwrap()).in_flight);
        held.sum::<u64>()
    };
    let bounded = async {
        while held() > 60 {
            tokio::task::yield_now().await;
        }
    };
    timeout(SOON, bounded).await.expect("it is bounded");
    // Each gets its events in the end.
    world.desk.stalled.add_permits(1_000);
    let came = world.desk.requests(20).await;
    assert!(came.iter().all(|(_, body)| offsets(body).len() == 10));
}

#[tokio::test]
async fn what_could_not_be_read_once_is_read_again() {
    let engine = Flaky::new(memory());
    let world = open(engine.clone(), Arc::default(), Options::default()).await;
    world.project("acme").await;
    world.endpoint(&ids(), webhook(1)).await;
    world.desk.answers.lock().extend([Outcome::Gone]);
    world.publish(&["A"]).await;
    world.desk.requests(1).await;
    world.stored("webhook.attempts", 2).await;
    // What says that it is disabled cannot be read at first.
    engine.refusals.store(1, Ordering::SeqCst);
    let world = world.restart().await;
    let webhooks = world.hub.webhooks().unwrap().clone();
    let served = async {
        loop {
            match webhooks.status(&ids()).await {
                Ok(status) => break status,
                Err(error) => assert_eq!(error, WebhookError::Unavailable),
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let status = timeout(SOON, served).await.expect("it is served again");
    assert_eq!(status.state, "disabled", "nothing is forgotten");
    assert_eq!(engine.refusals.load(Ordering::SeqCst), 0);
    assert_eq!(world.desk.came.lock().len(), 1);
}

#[tokio::test]
async fn a_note_that_cannot_be_read_is_not_taken_for_none() {
    let world = World::new(webhook(1)).await;
    world.hub.set_endpoint_note(&ids(), Some("{".into())).await.unwrap();
    let world = world.restart().await;
    world.publish(&["A"]).await;
    let webhooks = world.hub.webhooks().unwrap().clone();
    let refused = async {
        // Until the post has looked at it.
        while webhooks.status(&ids()).await != Err(WebhookError::NotFound) {
            tokio::task::yield_now().await;
        }
    };
    timeout(SOON, refused).await.expect("it is not served");
    assert_eq!(world.desk.came.lock().len(), 0);
    webhooks.changed(&ids(), true).await.unwrap();
    world.desk.requests(1).await;
}

/// As it does where filters cost much and others stand in line.
#[tokio::test(start_paused = true)]
async fn a_batch_waits_for_its_events_for_as_long_as_the_hub_looks_for_them() {
    let engine = Flaky::new(memory());
    let world = open(engine.clone(), Arc::default(), Options::default()).await;
    world.project("acme").await;
    let pauses = vec![Duration::from_secs(5)];
    world.endpoint(&ids(), Webhook { pauses, ..webhook(10) }).await;
    world.desk.answers.lock().extend([again()]);
    world.publish(&["A", "B"]).await;
    world.desk.requests(1).await;
    world.stored("webhook.attempts", 1).await;
    let world = world.restart().await;
    world.publish(&["C"]).await;
    let gate = engine.gate.lock().await;
    tokio::time::sleep(Duration::from_secs(300)).await;
    assert_eq!(world.desk.came.lock().len(), 1);
    drop(gate);
    let came = world.desk.requests(2).await;
    assert_eq!(came[1], came[0], "the same message, whatever has come meanwhile");
}

/// Nothing comes that would show that it is gone.
#[tokio::test(start_paused = true)]
async fn a_batch_of_which_all_is_hidden_is_waited_for_no_longer_than_the_hub_looks() {
    let world = World::new(Webhook { pauses: vec![Duration::from_secs(5)], ..webhook(10) }).await;
    world.desk.answers.lock().extend([again()]);
    world.publish(&["A", "B"]).await;
    world.desk.requests(1).await;
    world.stored("webhook.attempts", 1).await;
    let (project, id) = ids();
    let filter = Some(r#"[{"types":["SEND"]}]"#.to_owned());
    let narrow = Webhook { filter, ..webhook(10) };
    let world = world.restart_after(async |hub| {
        hub.set_webhook(&project, &id, narrow, Start::Latest).await.unwrap();
    });
    let world = world.await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    let status = world.hub.webhooks().unwrap().status(&ids()).await.unwrap();
    assert_eq!((status.state, status.failures), ("active", 0));
    assert_eq!(world.desk.came.lock().len(), 1);
}
