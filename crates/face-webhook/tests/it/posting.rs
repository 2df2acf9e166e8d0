//! Posts with a hub and an endpoint that stands where the client would: what is sent, in which order,
//! and what becomes of what was not taken.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use outflow_face_webhook::outcome::{Failure, Outcome};
use outflow_face_webhook::schedule::Wish;
use outflow_hub::{Integration, Start, Webhook, WebhookStatus};
use outflow_model::clock::{Moment, SystemClock};
use outflow_model::{Clock, Offset, Timestamp};
use outflow_store::{Batch, Condition, Op, Put};
use tokio::time::timeout;

use crate::world::{SOON, World, again, ids, offsets, webhook};

#[tokio::test]
async fn what_fails_is_sent_again_the_same_before_anything_else() {
    let world = World::new(webhook(1)).await;
    world.desk.answers.lock().extend([Outcome::Taken, again(), again(), Outcome::Taken]);
    world.publish(&["A", "B", "C"]).await;
    let came = world.desk.requests(5).await;
    let sent: Vec<u64> = came.iter().flat_map(|(_, body)| offsets(body)).collect();
    let first = sent[0];
    assert_eq!(sent, [first, first + 1, first + 1, first + 1, first + 2]);
    assert_eq!((&came[1], &came[1]), (&came[2], &came[3]), "the same id and bytes");
    assert!(std::str::from_utf8(&came[0].1).unwrap().contains(r#""body":{"n":1.10}"#));
}

#[tokio::test]
async fn what_is_refused_is_parked_and_holds_up_nothing() {
    let world = World::new(webhook(1)).await;
    world.desk.answers.lock().extend([Outcome::Refused { status: 400 }]);
    world.publish(&["A", "B"]).await;
    world.desk.requests(2).await;
    let (project, id) = ids();
    world.stored("webhook.parked", 1).await;
    // Both attempts are told of.
    world.stored("webhook.attempts", 2).await;
    // It can be sent again, to this endpoint, as it was.
    let since = Timestamp::from_millis(0);
    let recovered = world.hub.recover_webhook(&project, &id, since).await.unwrap();
    assert_eq!((recovered.events, recovered.rest), (1, None));
    let came = world.desk.requests(3).await;
    assert_eq!(came[2], came[0]);
}

#[tokio::test]
async fn batches_are_arrays_and_partial_ones_go_after_a_second() {
    let world = World::new(webhook(5)).await;
    world.publish(&["A"; 7]).await;
    let came = world.desk.requests(2).await;
    let counts: Vec<usize> = came.iter().map(|(_, body)| offsets(body).len()).collect();
    assert_eq!(counts, [5, 2]);
    assert!(came[1].1.starts_with(b"[{"));
}

#[tokio::test]
async fn new_settings_count_from_the_next_batch_on() {
    let world = World::new(webhook(1)).await;
    world.publish(&["A"]).await;
    world.desk.requests(1).await;
    world.set(&ids(), webhook(50)).await;
    world.publish(&["B"; 50]).await;
    let came = world.desk.requests(2).await;
    assert_eq!(offsets(&came[1].1).len(), 50);
}

#[tokio::test]
async fn only_what_the_integration_and_the_filter_show_is_sent() {
    let filter = Some(r#"[{"types":["OPEN","LOCATION"]}]"#.to_owned());
    let world = World::new(Webhook { filter, ..webhook(1) }).await;
    world.publish(&["OPEN", "SEND", "LOCATION", "COMPLIANCE", "OPEN"]).await;
    let came = world.desk.requests(2).await;
    for (_, body) in &came {
        let event: serde_json::Value = serde_json::from_slice(body).unwrap();
        assert_eq!(event["type"], "OPEN");
    }
    let (project, id) = ids();
    let place = world.hub.endpoint_subscription(&project, &id).unwrap();
    let done = async {
        while world.hub.subscription_stats(&place).backlog > 0 {
            tokio::task::yield_now().await;
        }
    };
    timeout(SOON, done).await.expect("what is hidden does not pile up");
}

/// Events that an endpoint has been handed, and was not sent, go to nobody once they may not be seen.
#[tokio::test]
async fn what_was_taken_away_is_not_sent_though_it_was_handed_out_before() {
    let slow = Wish { is_throttled: false, retry_after: Some(Duration::from_secs(3_000)) };
    let fails = || Outcome::Again { failure: Failure::Status(503), wish: slow };
    for lanes in [None, Some(2)] {
        for by_filter in [false, true] {
            let before = Webhook { lanes, ..webhook(1) };
            let world = World::new(before.clone()).await;
            *world.desk.stalls.lock() = Some(ids().0);
            let under_way = lanes.map_or(1, |lanes| lanes as usize);
            world.desk.answers.lock().extend((0..under_way).map(|_| fails()));
            world.publish(&["OPEN"; 20]).await;
            world.desk.requests(under_way).await;
            let (project, id) = ids();
            if by_filter {
                let filter = Some(r#"[{"types":["CLOSE"]}]"#.to_owned());
                world.set(&ids(), Webhook { filter, ..before }).await;
            } else {
                let one = world.hub.integration(&project, &id).unwrap();
                let event_types = Some(["CLOSE".to_owned()].into());
                let narrow = Integration { event_types, ..(*one).clone() };
                world.hub.update_integration(narrow).await.unwrap();
            }
            // What is under way fails, and comes back with the rest.
            *world.desk.stalls.lock() = None;
            world.desk.stalled.add_permits(under_way);
            world.stored("webhook.attempts", under_way as u64).await;
            world.publish(&["CLOSE"]).await;
            world.hub.webhooks().unwrap().retry(&ids()).await.unwrap();
            let came = world.desk.requests(under_way + 1).await;
            for (_, body) in &came[under_way..] {
                let text = std::str::from_utf8(body).unwrap();
                assert!(text.contains(r#""type":"CLOSE""#), "{lanes:?} {by_filter}: {text}");
            }
            let place = world.hub.endpoint_subscription(&project, &id).unwrap();
            let done = async {
                while world.hub.subscription_stats(&place).backlog > 0 {
                    tokio::task::yield_now().await;
                }
            };
            let is_done = timeout(SOON, done).await.is_ok();
            let stats = world.hub.subscription_stats(&place);
            assert!(is_done, "{lanes:?} {by_filter}: what is hidden does not pile up: {stats:?}");
            assert_eq!(world.desk.came.lock().len(), under_way + 1);
        }
    }
}

/// One request of an endpoint with lanes takes long: those of other keys go on when an entitlement is taken away, and
/// nothing that waited goes that may not.
#[tokio::test]
async fn a_slow_request_holds_up_no_other_lane_when_an_entitlement_is_taken_away() {
    let world = World::new(Webhook { lanes: Some(2), ..webhook(1) }).await;
    *world.desk.stalls.lock() = Some(ids().0);
    world.desk.answers.lock().extend([Outcome::Taken, again()]);
    world.publish(&["OPEN"; 20]).await;
    world.desk.requests(2).await;
    *world.desk.stalls.lock() = None;
    let (project, id) = ids();
    let one = world.hub.integration(&project, &id).unwrap();
    let event_types = Some(["CLOSE".to_owned()].into());
    let narrow = Integration { event_types, ..(*one).clone() };
    world.hub.update_integration(narrow).await.unwrap();
    world.changed(false).await;
    // One of the two is answered, the other is not.
    world.desk.stalled.add_permits(1);
    world.publish(&["CLOSE", "OPEN", "CLOSE"]).await;
    let came = world.desk.requests(4).await;
    let is_close = |(_, body): &(String, Bytes)| {
        std::str::from_utf8(body).unwrap().contains(r#""type":"CLOSE""#)
    };
    assert!(came[2..].iter().all(is_close), "{came:?}");
    // What was under way fails, and may not be sent any more.
    world.desk.stalled.add_permits(1);
    world.stored("webhook.attempts", 4).await;
    world.publish(&["CLOSE"]).await;
    let came = world.desk.requests(5).await;
    assert!(is_close(&came[4]), "{came:?}");
    let place = world.hub.endpoint_subscription(&project, &id).unwrap();
    let done = async {
        while world.hub.subscription_stats(&place).backlog > 0 {
            tokio::task::yield_now().await;
        }
    };
    timeout(SOON, done).await.expect("what is hidden does not pile up");
    assert_eq!(world.desk.came.lock().len(), 5);
}

/// The system's clock, set to another time.
#[derive(Debug, Default)]
struct Wrong(AtomicI64);

impl Clock for Wrong {
    fn now(&self) -> Timestamp {
        SystemClock.now().plus_millis(self.0.load(Ordering::SeqCst))
    }

    fn passed(&self) -> Moment {
        SystemClock.passed()
    }
}

#[tokio::test]
async fn a_clock_that_is_set_back_holds_up_nothing_and_what_is_shown_is_in_its_time() {
    const HOUR_MS: i64 = 3_600_000;
    let slow = Wish { is_throttled: false, retry_after: Some(Duration::from_secs(3_000)) };
    let fails = Outcome::Again { failure: Failure::Status(503), wish: slow };
    let clock = Arc::new(Wrong::default());
    let pauses = vec![Duration::from_secs(2)];
    let world = World::at(clock.clone(), Webhook { pauses, ..webhook(5) }).await;
    world.desk.answers.lock().extend([again(), fails]);
    // The first goes when it has lingered, the second after a pause; the clock is set back in both.
    world.publish(&["A", "B"]).await;
    let webhooks = world.hub.webhooks().unwrap().clone();
    webhooks.status(&ids()).await.unwrap();
    clock.0.store(-HOUR_MS, Ordering::SeqCst);
    world.desk.requests(1).await;
    world.stored("webhook.attempts", 1).await;
    clock.0.store(-2 * HOUR_MS, Ordering::SeqCst);
    world.desk.requests(2).await;
    world.stored("webhook.attempts", 2).await;
    let seconds = |status: &WebhookStatus| {
        let next = status.next_attempt.unwrap().millis() - clock.now().millis();
        let failing = clock.now().millis() - status.failing_since.unwrap().millis();
        (next / 1_000, failing / 1_000)
    };
    let (next, failing) = seconds(&webhooks.status(&ids()).await.unwrap());
    assert!((2_900..3_700).contains(&next) && (1..20).contains(&failing), "{next} {failing}");
    // Set back while the server is down, too: it does not wait for longer than it ever may.
    clock.0.store(-9 * HOUR_MS, Ordering::SeqCst);
    let world = world.restart_at(clock.clone()).await;
    let status = world.hub.webhooks().unwrap().status(&ids()).await.unwrap();
    let (next, failing) = seconds(&status);
    assert!((2_900..4_400).contains(&next) && (0..20).contains(&failing), "{next} {failing}");
}

#[tokio::test]
async fn a_replay_sends_the_same_ids_and_bytes() {
    let world = World::new(webhook(1)).await;
    world.publish(&["A", "B", "C"]).await;
    let first = world.desk.requests(3).await;
    let (project, id) = ids();
    let from = offsets(&first[1].1)[0];
    world.hub.rewind_webhook(&project, &id, Start::After(Offset::new(from - 1))).await.unwrap();
    let mut all = world.desk.requests(5).await;
    if all[3] == all[4] {
        // It was handed out and sent before the post heard that the place was moved.
        all = world.desk.requests(6).await;
        all.remove(4);
    }
    assert_eq!(all[3..5], first[1..]);
}

#[tokio::test]
async fn a_restart_goes_on_where_it_was() {
    let world = World::new(webhook(5)).await;
    let slow = Wish { is_throttled: false, retry_after: Some(Duration::from_secs(3_000)) };
    let fails = Outcome::Again { failure: Failure::Status(503), wish: slow };
    world.desk.answers.lock().extend([Outcome::Taken, fails]);
    world.publish(&["A"; 5]).await;
    world.desk.requests(1).await;
    world.publish(&["B"; 2]).await;
    let before = world.desk.requests(2).await;
    let world = world.restart().await;
    // More has come, which does not become part of what was sent.
    world.publish(&["C"; 9]).await;
    let webhooks = world.hub.webhooks().unwrap().clone();
    let status = webhooks.status(&ids()).await.unwrap();
    assert_eq!((status.state, status.failures), ("failing", 1));
    assert!(status.next_attempt.is_some());
    assert_eq!(world.desk.came.lock().len(), 2, "a restart brings nothing forward");
    webhooks.retry(&ids()).await.unwrap();
    let after = world.desk.requests(4).await;
    assert_eq!(after[2], before[1]);
    assert_eq!(offsets(&after[3].1).len(), 5);
}

#[tokio::test]
async fn one_that_is_gone_is_disabled_until_it_is_resumed() {
    let world = World::new(webhook(1)).await;
    world.desk.answers.lock().extend([Outcome::Gone]);
    world.publish(&["A", "B"]).await;
    let first = world.desk.requests(1).await;
    let webhooks = world.hub.webhooks().unwrap().clone();
    let disabled = async {
        while webhooks.status(&ids()).await.unwrap().state != "disabled" {
            tokio::task::yield_now().await;
        }
    };
    timeout(SOON, disabled).await.expect("it is disabled");
    world.changed(true).await;
    let all = world.desk.requests(3).await;
    assert_eq!(all[1], first[0]);
}

#[tokio::test]
async fn a_test_goes_past_all_that_waits_and_is_limited() {
    let world = World::new(Webhook { paused: true, ..webhook(5) }).await;
    world.publish(&["A"]).await;
    let webhooks = world.hub.webhooks().unwrap().clone();
    for _ in 0..10 {
        let answer = webhooks.test(&ids()).await.unwrap();
        assert_eq!((answer.taken, answer.status), (true, Some(200)));
    }
    assert!(webhooks.test(&ids()).await.is_err());
    let came = world.desk.requests(10).await;
    assert!(came.iter().all(|(_, body)| body.starts_with(b"[{") && !body.is_empty()));
    assert_eq!(came.len(), 10, "what waits was not sent");
}

#[tokio::test]
async fn a_batch_that_failed_keeps_its_form_when_the_size_is_changed() {
    let slow = Wish { is_throttled: false, retry_after: Some(Duration::from_secs(3_000)) };
    let fails = || Outcome::Again { failure: Failure::Status(503), wish: slow };
    for (before, after, is_killed) in [(5, 1, false), (1, 5, false), (5, 1, true), (1, 5, true)] {
        let mut world = World::new(webhook(before)).await;
        world.desk.answers.lock().extend([fails()]);
        world.publish(&vec!["A"; before as usize]).await;
        let first = world.desk.requests(1).await;
        // What came of it is told when it is known.
        world.stored("webhook.attempts", 1).await;
        world.set(&ids(), webhook(after)).await;
        if is_killed {
            world = world.restart().await;
        }
        let webhooks = world.hub.webhooks().unwrap().clone();
        assert_eq!(webhooks.status(&ids()).await.unwrap().state, "failing");
        webhooks.retry(&ids()).await.unwrap();
        assert_eq!(world.desk.requests(2).await[1], first[0], "the same id and bytes");
        // The next one is as the settings say now.
        world.publish(&vec!["B"; after as usize]).await;
        let next = world.desk.requests(3).await;
        assert_eq!(next[2].1.starts_with(b"["), after > 1);
    }
}

#[tokio::test]
async fn what_is_older_than_a_batch_that_was_noted_is_not_skipped() {
    let world = World::new(Webhook { paused: true, ..webhook(5) }).await;
    world.publish(&["A", "B", "C", "D"]).await;
    let (project, id) = ids();
    let stream = world.hub.stream(&project, &crate::world::stream()).unwrap();
    let next = world.hub.stats(&stream).next.get();
    // As it would be had the place been moved back, and the note not written after it.
    let note = format!(r#"{{"v":1,"at_hand":[{},{}],"size":5}}"#, next - 2, next - 1);
    world.hub.set_endpoint_note(&ids(), Some(Bytes::from(note))).await.unwrap();
    let world = world.restart().await;
    world.set(&ids(), webhook(5)).await;
    let came = async {
        while world.desk.came.lock().iter().map(|(_, body)| offsets(body).len()).sum::<usize>() < 4
        {
            tokio::task::yield_now().await;
        }
    };
    timeout(SOON, came).await.expect("all four come");
    let came = world.desk.came.lock().clone();
    let sent: Vec<u64> = came.iter().flat_map(|(_, body)| offsets(body)).collect();
    assert_eq!(sent, [next - 4, next - 3, next - 2, next - 1]);
    let place = world.hub.endpoint_subscription(&project, &id).unwrap();
    let done = async {
        while world.hub.subscription_stats(&place).backlog > 0 {
            tokio::task::yield_now().await;
        }
    };
    timeout(SOON, done).await.expect("all are done");
}

#[tokio::test]
async fn settings_that_cannot_be_read_just_now_cost_no_batch() {
    let slow = Wish { is_throttled: false, retry_after: Some(Duration::from_secs(3_000)) };
    let world = World::new(webhook(5)).await;
    let fails = Outcome::Again { failure: Failure::Status(503), wish: slow };
    world.desk.answers.lock().extend([fails]);
    world.publish(&["A"; 5]).await;
    let first = world.desk.requests(1).await;
    world.stored("webhook.attempts", 1).await;
    let (project, id) = ids();
    let key = format!("auth/webhook/{project}/{id}").into();
    let put = Put { key, value: Some(Bytes::from_static(b"{")), condition: Condition::Any };
    let batch = Batch { ops: vec![Op::Put(put)], ..Batch::default() };
    world.engine.submit(batch).await.unwrap();
    world.changed(false).await;
    let webhooks = world.hub.webhooks().unwrap().clone();
    assert_eq!(webhooks.status(&ids()).await.unwrap().state, "failing", "it is served on");
    webhooks.retry(&ids()).await.unwrap();
    assert_eq!(world.desk.requests(2).await[1], first[0], "the same id and bytes");
}
