//! What was sent: the log of attempts, read the last one first, and messages sent once more by their id.

use std::borrow::Cow;
use std::ops::ControlFlow;
use std::time::Duration;

use outflow_face_webhook::outcome::Outcome;
use outflow_hub::subscription::EventView;
use outflow_hub::webhook::attempt::{AttemptPage, AttemptQuery, AttemptStatus};
use outflow_hub::{Webhook, WebhookError};
use outflow_model::clock::SystemClock;
use outflow_model::{Clock as _, Offset, StreamName};
use tokio::time::{sleep, timeout};

use crate::world::{SOON, World, again, ids, webhook};

const ALL: AttemptQuery = AttemptQuery { status: None, since: None, before: None, limit: 100 };

async fn attempts(world: &World, query: AttemptQuery) -> AttemptPage {
    world.hub.webhooks().unwrap().attempts(&ids(), query).await.unwrap()
}

#[tokio::test]
async fn attempts_are_listed_the_last_one_first_page_by_page() {
    let world = World::new(webhook(1)).await;
    assert_eq!(attempts(&world, ALL).await, AttemptPage { attempts: Vec::new(), next: None });
    let refused = Outcome::Refused { status: 400 };
    world.desk.answers.lock().extend([again(), again(), Outcome::Taken, refused]);
    world.publish(&["A", "B"]).await;
    let came = world.desk.requests(4).await;
    world.stored("webhook.attempts", 4).await;
    let all = attempts(&world, ALL).await;
    let told = |page: &AttemptPage| -> Vec<(String, u32)> {
        page.attempts.iter().map(|one| (one.outcome.clone(), one.number)).collect()
    };
    let expected = [("refused", 1), ("taken", 3), ("again", 2), ("again", 1)];
    assert_eq!(told(&all), expected.map(|(outcome, number)| (outcome.to_owned(), number)));
    assert_eq!(all.next, None);
    let ids: Vec<&str> = all.attempts.iter().rev().map(|one| one.message.as_str()).collect();
    assert_eq!(ids, came.iter().map(|(id, _)| id.as_str()).collect::<Vec<_>>());
    assert_eq!(all.attempts[3].excerpt, "ok");
    assert!(all.attempts[3].next_attempt.is_some() && all.attempts[0].next_attempt.is_none());
    // Page by page they are the same.
    let (mut paged, mut before) = (Vec::new(), None);
    loop {
        let page = attempts(&world, AttemptQuery { before, limit: 1, ..ALL }).await;
        paged.extend(page.attempts);
        before = page.next;
        if before.is_none() {
            break;
        }
    }
    assert_eq!(paged, all.attempts);
    for (status, count) in [
        (AttemptStatus::Failed, 3),
        (AttemptStatus::Again, 2),
        (AttemptStatus::Refused, 1),
        (AttemptStatus::Answered(503), 0),
    ] {
        let page = attempts(&world, AttemptQuery { status: Some(status), ..ALL }).await;
        assert_eq!(page.attempts.len(), count, "{status:?}");
    }
    let later = Some(SystemClock.now().plus_millis(60_000));
    assert_eq!(attempts(&world, AttemptQuery { since: later, ..ALL }).await.attempts, []);
    let since = Some(all.attempts[1].ended);
    let recent = attempts(&world, AttemptQuery { since, ..ALL }).await.attempts;
    assert!(recent.len() >= 2 && recent.iter().all(|one| one.ended >= all.attempts[1].ended));
}

/// Nor is any attempt lost from the count, though none follows.
#[tokio::test]
async fn of_many_refusals_at_once_each_keeps_its_answer_with_what_it_parked() {
    const COUNT: u64 = 60;
    let world = World::new(webhook(1)).await;
    let refused = (0..COUNT).map(|_| Outcome::Refused { status: 422 });
    world.desk.answers.lock().extend(refused);
    world.publish(&["A"; COUNT as usize]).await;
    world.stored("webhook.parked", COUNT).await;
    let (project, id) = ids();
    let name = StreamName::new(&format!("webhook.parked:{id}")).unwrap();
    let stream = world.hub.stream(&project, &name).unwrap();
    let mut causes = Vec::new();
    let each = |event: EventView| {
        let cause = event.header("outflow-dead-cause").map(Cow::into_owned);
        causes.extend(cause);
        ControlFlow::<()>::Continue(())
    };
    world.hub.look_through(&stream, Offset::FIRST, Offset::LAST, each).await.unwrap();
    let cause = |number| format!("the endpoint answered 422: request {number} is odd");
    assert_eq!(causes, (1..=COUNT).map(cause).collect::<Vec<_>>());
    let all_told = async {
        loop {
            let all = attempts(&world, ALL).await.attempts;
            let listed = u64::try_from(all.len()).unwrap();
            let told = listed + all.iter().map(|one| one.left_out).sum::<u64>();
            if told == COUNT {
                assert!(listed < COUNT && all[0].status == Some(422), "{all:?}");
                assert_eq!(
                    all[0].excerpt,
                    format!("request {COUNT}\nis odd"),
                    "the last one is told of"
                );
                return;
            }
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(SOON, all_told).await.unwrap();
}

/// Its events do not follow on each other, and others lie between that are not for the endpoint.
#[tokio::test]
async fn a_message_is_sent_again_by_its_id_as_it_was() {
    let filter = Some(r#"[{"types":["OPEN"]}]"#.to_owned());
    let world = World::new(Webhook { filter, ..webhook(5) }).await;
    world.publish(&["OPEN", "SEND", "OPEN", "OPEN", "SEND", "SEND", "OPEN", "OPEN"]).await;
    let first = world.desk.requests(1).await;
    world.stored("webhook.attempts", 1).await;
    let attempt = attempts(&world, ALL).await.attempts.remove(0);
    let lengths = attempt.runs.iter().map(|(first, last)| last.get() - first.get() + 1);
    assert_eq!(lengths.collect::<Vec<_>>(), [1, 2, 2]);
    let webhooks = world.hub.webhooks().unwrap().clone();
    assert!(webhooks.resend(&ids(), &attempt.message).await.unwrap().taken);
    assert_eq!(world.desk.requests(2).await[1], first[0]);
    let unknown = webhooks.resend(&ids(), "msg_00").await;
    assert_eq!(unknown, Err(WebhookError::NoMessage));
    // What it may not be sent any more is not sent by hand either.
    let (project, id) = ids();
    let narrow = Some(r#"[{"types":["SEND"]}]"#.to_owned());
    let changed = Webhook { filter: narrow, ..webhook(5) };
    world.hub.set_webhook(&project, &id, changed, outflow_hub::Start::Latest).await.unwrap();
    world.changed(false).await;
    let hidden = webhooks.resend(&ids(), &attempt.message).await;
    assert_eq!(hidden, Err(WebhookError::NoMessage));
    // Looking for what is not there is limited as sending is.
    for _ in 3..10 {
        assert_eq!(webhooks.resend(&ids(), "msg_00").await, Err(WebhookError::NoMessage));
    }
    let often = webhooks.resend(&ids(), "msg_00").await;
    let is_within = |seconds| (1..=60).contains(&seconds);
    let says =
        matches!(often, Err(WebhookError::TooOften { max: 10, seconds }) if is_within(seconds));
    assert!(says, "{often:?}");
}

/// Settings that were changed meanwhile do not change the form of a message.
#[tokio::test]
async fn a_message_of_a_larger_batch_is_sent_again_as_it_was() {
    let world = World::new(webhook(10)).await;
    world.publish(&["A"; 10]).await;
    let first = world.desk.requests(1).await;
    world.stored("webhook.attempts", 1).await;
    let (project, id) = ids();
    world.hub.set_webhook(&project, &id, webhook(1), outflow_hub::Start::Latest).await.unwrap();
    world.changed(false).await;
    let webhooks = world.hub.webhooks().unwrap().clone();
    assert!(webhooks.resend(&ids(), &first[0].0).await.unwrap().taken);
    assert_eq!(world.desk.requests(2).await[1], first[0]);
}

#[tokio::test]
async fn what_came_of_requests_can_be_read_before_there_was_any() {
    let world = World::new(webhook(1)).await;
    world.changed(false).await;
    let (project, id) = ids();
    let name = StreamName::new(&format!("webhook.attempts:{id}")).unwrap();
    let stream = world.hub.stream(&project, &name).expect("a stream without events");
    let stats = world.hub.stats(&stream);
    assert_eq!(stats.start, stats.next);
}
