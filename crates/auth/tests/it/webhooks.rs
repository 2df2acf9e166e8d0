//! The secrets of webhooks: kept, given back, never printed, and gone with what they are for.

use std::sync::Arc;

use outflow_auth::{Auth, Secret, WebhookSecrets};
use outflow_model::clock::ManualClock;
use outflow_model::rng::SeededRng;
use outflow_model::{IntegrationId, ProjectId, Timestamp};
use outflow_store::Engine;
use outflow_store::memory::MemoryEngine;

fn secrets() -> WebhookSecrets {
    let secret = |text: &str| Secret::new(text.to_owned());
    WebhookSecrets {
        secret: secret("whsec_canary1"),
        old: vec![(secret("whsec_canary2"), Timestamp::from_millis(9))],
        headers: vec![("Authorization".into(), secret("Bearer canary3"))],
    }
}

#[tokio::test]
async fn they_outlast_a_restart_and_go_with_their_integration_and_project() {
    let clock = Arc::new(ManualClock::new(Timestamp::from_millis(1_000)));
    let engine = Arc::new(MemoryEngine::new(clock.clone()));
    let open = async || {
        let rng = Arc::new(SeededRng::new(7));
        Auth::open(engine.clone(), clock.clone(), rng).await.unwrap()
    };
    let auth = open().await;
    let (project, other) = (ProjectId::new("p").unwrap(), ProjectId::new("p2").unwrap());
    let [one, two] = ["one", "two"].map(|id| IntegrationId::new(id).unwrap());
    for (project, id) in [(&project, &one), (&project, &two), (&other, &one)] {
        auth.set_webhook_secrets(project, id, Some(&secrets())).await.unwrap();
    }
    let auth = open().await;
    let found = auth.webhook_secrets(&project, &one).await.unwrap().unwrap();
    assert_eq!(found, secrets());
    assert!(!format!("{found:?}").contains("canary"));
    auth.revoke_all(&project, Some(&one)).await.unwrap();
    assert_eq!(auth.webhook_secrets(&project, &one).await.unwrap(), None);
    assert!(auth.webhook_secrets(&project, &two).await.unwrap().is_some());
    auth.revoke_all(&project, None).await.unwrap();
    assert_eq!(auth.webhook_secrets(&project, &two).await.unwrap(), None);
    assert!(auth.webhook_secrets(&other, &one).await.unwrap().is_some(), "a name's beginning");
    auth.set_webhook_secrets(&other, &one, None).await.unwrap();
    assert!(engine.scan(b"auth/webhook/", None, 10).await.unwrap().is_empty());
}
