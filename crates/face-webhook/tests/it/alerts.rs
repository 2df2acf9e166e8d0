//! What operators are told of an endpoint that only fails, in the stream of its attempts.

use std::sync::Arc;
use std::time::Duration;

use outflow_hub::{ReadEvent, ReadRequest, Start, Webhook};
use outflow_model::clock::ManualClock;
use outflow_model::{Action, CredentialId, Filter, Grant, ProjectId, StreamName, Timestamp};
use serde_json::Value;

use crate::world::{World, again, ids, webhook};

/// What is told besides attempts, up to that the endpoint is disabled.
async fn told(world: &World) -> Vec<(String, Value)> {
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
            match event["type"].as_str().unwrap() {
                "webhook.attempt" => {}
                "webhook.disabled" => {
                    told.push(("webhook.disabled".to_owned(), event["body"]["reason"].clone()));
                    return told;
                }
                kind => told.push((kind.to_owned(), event["body"]["percent"].clone())),
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
        told = told(&world) => told,
        () = passing => unreachable!(),
    };
    let alert = |percent: u64| ("webhook.alert".to_owned(), Value::from(percent));
    let disabled = ("webhook.disabled".to_owned(), Value::from("failing"));
    assert_eq!(told, [alert(50), alert(70), alert(90), alert(100), disabled]);
    let status = world.hub.webhooks().unwrap().status(&ids()).await.unwrap();
    let why = status.disabled.map(|(why, _)| why);
    assert_eq!((status.state, why.as_deref()), ("disabled", Some("failing")));
}
