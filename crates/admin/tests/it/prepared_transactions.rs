//! Distributed transactions that nobody ends, seen and ended by who manages the project.

use std::sync::Arc;

use http::Method;
use outflow_model::{Action, CredentialId, Draft, Grant, ProjectId, StreamName};
use serde_json::json;

use crate::stage::Stage;

const ALL: &str = "/v1/projects/acme/prepared-transactions";

/// The grant of a user that is no more.
fn gone() -> Grant {
    Grant {
        credential: CredentialId::new("gone").unwrap(),
        generation: 0,
        expires: None,
        project: ProjectId::new("acme").ok(),
        integration: None,
        actions: Arc::new([Action::Read, Action::Publish].into()),
        streams: None,
        destinations: None,
    }
}

impl Stage {
    /// Prepares a transaction that publishes an event to the stream `events`.
    async fn prepare(&self, name: &[u8]) {
        let (acme, events) = (ProjectId::new("acme").unwrap(), StreamName::new("events").unwrap());
        let stream = self.hub.stream(&acme, &events).unwrap();
        let mut draft = Draft::default();
        draft.push_json(br#"{"type":"T","body":1}"#, &self.hub.rules(), self.hub.rng()).unwrap();
        let mut transaction = self.hub.transaction(&gone());
        transaction.publish(&stream, draft).unwrap();
        transaction.prepare(name).await.unwrap();
    }

    async fn published(&self) -> u64 {
        let (acme, events) = (ProjectId::new("acme").unwrap(), StreamName::new("events").unwrap());
        let stats = self.hub.stats(&self.hub.stream(&acme, &events).unwrap());
        stats.next.get() - stats.start.get()
    }
}

#[tokio::test]
async fn a_prepared_transaction_is_listed_and_ended_either_way() {
    let stage = Stage::new().await;
    assert_eq!(stage.get(ALL).await.json(), json!({ "items": [], "next": null }));
    stage.prepare(b"a").await;
    stage.prepare(b"b").await;
    let page = stage.get(&format!("{ALL}?limit=1")).await.json();
    let one = &page["items"][0];
    assert_eq!((&one["id"], &one["credential"]), (&json!("gone:61"), &json!("gone")));
    assert_eq!((&one["name"], &one["acknowledged"]), (&json!("61"), &json!(0)));
    assert!(one["prepared"].is_string() && one["bytes"].as_u64().unwrap() > 10, "{one}");
    assert_eq!(page["next"], "gone:61");
    let end = async |id: &str, how: &str| {
        let answer = stage.operate(Method::POST, &format!("{ALL}/{id}/{how}"), json!({})).await;
        answer.status.as_u16()
    };
    assert_eq!(end("gone:61", "commit").await, 204);
    assert_eq!(stage.published().await, 1);
    assert_eq!(end("gone:61", "commit").await, 404);
    assert_eq!(end("gone:62", "rollback").await, 204);
    assert_eq!(stage.published().await, 1);
    assert_eq!(end("none", "commit").await, 404);
    assert_eq!(stage.get(ALL).await.json()["items"], json!([]));
}

#[tokio::test]
async fn only_who_manages_the_project_ends_its_transactions() {
    let stage = Stage::new().await;
    stage.prepare(b"a").await;
    let path = format!("{ALL}/gone:61/commit");
    for (project, actions, status) in [
        ("acme", &["publish", "read"][..], 403),
        ("rival", &["manage"], 404),
        ("acme", &["manage"], 204),
    ] {
        let key = stage.key(project, actions).await;
        let listed = stage.call(Method::GET, ALL, Some(&key), "").await;
        assert_eq!(listed.status.as_u16(), if status == 204 { 200 } else { status });
        let ended = stage.call(Method::POST, &path, Some(&key), "{}").await;
        assert_eq!(ended.status.as_u16(), status, "{project} {actions:?}");
    }
}
