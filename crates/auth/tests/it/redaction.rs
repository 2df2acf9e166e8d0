//! Secrets are shown once, on purpose, and nowhere else.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use outflow_auth::{Auth, CredentialKind, NewCredential, Presented};
use outflow_model::clock::ManualClock;
use outflow_model::rng::SeededRng;
use outflow_model::{Action, IntegrationId, ProjectId, Timestamp};
use outflow_store::Engine;
use outflow_store::memory::MemoryEngine;

use crate::api_keys::new_key;

fn new(kind: CredentialKind) -> NewCredential {
    let project = (kind != CredentialKind::Operator).then(|| ProjectId::new("shop").unwrap());
    let one = || IntegrationId::new("one").unwrap();
    let action = match kind {
        CredentialKind::Operator => Action::Operate,
        CredentialKind::Master => Action::Compliance,
        CredentialKind::Key | CredentialKind::Token | CredentialKind::User => Action::Read,
    };
    NewCredential {
        kind,
        name: "planted".into(),
        project,
        integration: (kind == CredentialKind::Token).then(one),
        actions: BTreeSet::from([action]),
        streams: None,
        user: (kind == CredentialKind::User).then(|| "31337".to_owned()),
        destinations: None,
        expires: None,
    }
}

/// What of a secret is drawn: a prefix tells its kind.
fn drawn(secret: &str) -> &str {
    secret.rsplit('_').next().filter(|drawn| drawn.len() > 16).unwrap_or(secret)
}

#[tokio::test]
async fn planted_secrets_are_in_no_dump_and_not_on_disk() {
    let clock = Arc::new(ManualClock::new(Timestamp::from_millis(1_000)));
    let engine = Arc::new(MemoryEngine::new(clock.clone()));
    let auth = Auth::open(engine.clone(), clock, Arc::new(SeededRng::new(7))).await.unwrap();
    let mut dump = String::new();
    let mut secrets = Vec::new();
    for kind in [
        CredentialKind::Operator,
        CredentialKind::Key,
        CredentialKind::Master,
        CredentialKind::Token,
        CredentialKind::User,
    ] {
        for _ in 0..5 {
            let mut new = new(kind);
            new.user = new.user.map(|user| format!("{user}{}", secrets.len()));
            let issued = auth.issue(new).await.unwrap();
            dump += &format!("{issued:?}");
            secrets.push(issued.secret.expose().to_owned());
        }
    }
    let key = auth.create_api_key(new_key("shop")).await.unwrap();
    let (project, life) = (ProjectId::new("shop").unwrap(), Duration::from_secs(3_600));
    let token = auth.issue_access_token(&project, &key.key.id, life, None).unwrap();
    let rotated = auth.rotate_api_key(&project, &key.key.id).await.unwrap().unwrap();
    dump += &format!("{key:?} {token:?} {rotated:?} {:?}", auth.api_keys(&project));
    secrets.extend([&key.secret, &token.token, &rotated.secret].map(|one| one.expose().to_owned()));
    for secret in &secrets {
        let presented = Presented::Bearer { project: None, token: secret };
        let basic = Presented::Basic { user: "someone", password: secret };
        let login = Presented::Login { user: "someone", password: secret };
        let grant = auth.authenticate(&presented);
        dump += &format!("{presented:?} {basic:?} {login:?} {grant:?}");
    }
    dump += &format!("{auth:?} {:?}", auth.list(None, None));
    for entry in engine.scan(b"", None, 1_000).await.unwrap() {
        dump += &format!("{} {}", entry.key.escape_ascii(), entry.value.escape_ascii());
    }
    assert!(dump.contains("31337"), "what is stored is in the dump");
    for secret in secrets {
        assert!(!dump.contains(&secret) && !dump.contains(drawn(&secret)));
    }
}
