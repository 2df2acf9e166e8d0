//! What operators are told of an endpoint that only fails, in the stream of its attempts.

use std::sync::Arc;
use std::time::Duration;

use outflow_hub::{ReadEvent, ReadRequest, Start, Webhook};
use outflow_model::clock::ManualClock;
use outflow_model::{
    Action, Clock as _, CredentialId, Filter, Grant, Offset, ProjectId, StreamName, Timestamp,
};
use serde_json::{Value, json};

use crate::world::{World, again, ids, offsets, webhook};

/// What is told besides attempts, up to the first that is of this type.
async fn told(world: &World, last: &str) -> Vec<(String, Value)> {
    let project = ProjectId::new("acme").unwrap();
    let name = StreamName::new("webhook.attempts:hook").unwrap();
    let request = ReadRequest {
        stream: world.hub.stream(&project, &name).unwrap(),
        start: Start::Earliest,
        filter: Arc::new(Filter::all()),
        subset: None,
        only_type: None,
        heartbeat: Duration::from_secs(2),
        peer: "test".into(),
        slack: false,
    };
    let grant = Grant {
        credential: CredentialId::new("reader").unwrap(),
        generation: 0,
        expires: None,
        project: Some(project),
        integration: None,
        actions: Arc::new([Action::Read].into()),
        streams: None,
        destinations: None,
    };
    let mut session = world.hub.open_read(&grant, request).await.unwrap();
    let mut told = Vec::new();
    loop {
        let ReadEvent::Batch(block) = session.next().await else { continue };
        for line in block.lines().unwrap().split(|byte| *byte == b'\n') {
            let Ok(event) = serde_json::from_slice::<Value>(line) else { continue };
            let kind = event["type"].as_str().unwrap();
            if kind != "webhook.attempt" {
                told.push((kind.to_owned(), event["body"].clone()));
            }
            if kind == last {
                return told;
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn one_that_only_fails_is_told_of_step_by_step_before_it_is_disabled() {
    let disable_after = Some(Duration::from_secs(60));
    let clock = Arc::new(ManualClock::new(Timestamp::from_millis(1_767_225_600_000)));
    let pauses = vec![Duration::from_secs(1)];
    let world = World::at(clock.clone(), Webhook { disable_after, pauses, ..webhook(1) }).await;
    world.desk.answers.lock().extend((0..1_000).map(|_| again()));
    world.publish(&["A"]).await;
    world.stored("webhook.attempts", 1).await;
    let passing = async {
        loop {
            clock.advance(1_000);
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    };
    let told = tokio::select! {
        told = told(&world, "webhook.disabled") => told,
        () = passing => unreachable!(),
    };
    let said = |(kind, body): (String, Value)| {
        let of = if kind == "webhook.alert" { "percent" } else { "reason" };
        (kind, body[of].clone())
    };
    let told: Vec<(String, Value)> = told.into_iter().map(said).collect();
    let alert = |percent: u64| ("webhook.alert".to_owned(), Value::from(percent));
    let disabled = ("webhook.disabled".to_owned(), Value::from("failing"));
    assert_eq!(told, [alert(50), alert(70), alert(90), alert(100), disabled]);
    let status = world.hub.webhooks().unwrap().status(&ids()).await.unwrap();
    let why = status.disabled.map(|(why, _)| why);
    assert_eq!((status.state, why.as_deref()), ("disabled", Some("failing")));
}

#[tokio::test(start_paused = true)]
async fn a_key_that_is_never_taken_beside_others_is_told_of() {
    const BEGAN: i64 = 1_767_225_600_000;
    let disable_after = Some(Duration::from_secs(120));
    let clock = Arc::new(ManualClock::new(Timestamp::from_millis(BEGAN)));
    let pauses = vec![Duration::from_secs(1)];
    let hook = Webhook { disable_after, pauses, lanes: Some(2), ..webhook(1) };
    let world = World::at(clock.clone(), hook).await;
    world.desk.answers.lock().extend([again()]);
    world.publish(&["A"]).await;
    let first = world.desk.requests(1).await.remove(0);
    *world.desk.never.lock() = Some(first.0);
    // Each without a key, and so a lane of its own.
    let passing = async {
        loop {
            world.publish(&["B"]).await;
            clock.advance(1_000);
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    };
    let told = tokio::select! {
        told = told(&world, "webhook.key_alert") => told,
        () = passing => unreachable!(),
    };
    let [(_, body)] = &told[..] else { panic!("told {told:?}") };
    let first = offsets(&first.1)[0];
    assert_eq!(
        (&body["keys"], &body["first_offset"]),
        (&json!(1), &json!(Offset::new(first).to_string()))
    );
    assert!(body["failures"].as_u64().unwrap() > 20, "{body}");
    let since = Timestamp::parse_rfc3339(body["failing_since"].as_str().unwrap().as_bytes());
    let since = since.unwrap().millis() - BEGAN;
    assert!((0..5_000).contains(&since), "{body}");
    let passed = clock.now().millis() - BEGAN - since;
    assert!(
        (59_000..70_000).contains(&passed),
        "half of the time after which one is disabled: {passed}"
    );
    let status = world.hub.webhooks().unwrap().status(&ids()).await.unwrap();
    assert!(status.disabled.is_none());
}
