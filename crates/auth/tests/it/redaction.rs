//! Secrets are shown once, on purpose, and nowhere else.

use std::collections::BTreeSet;
use std::sync::Arc;

use outflow_auth::{Auth, CredentialKind, NewCredential, Presented};
use outflow_model::clock::ManualClock;
use outflow_model::rng::SeededRng;
use outflow_model::{Action, Timestamp};
use outflow_store::Engine;
use outflow_store::memory::MemoryEngine;

#[tokio::test]
async fn planted_secrets_are_in_no_dump_and_not_on_disk() {
    let clock = Arc::new(ManualClock::new(Timestamp::from_millis(1_000)));
    let engine = Arc::new(MemoryEngine::new(clock.clone()));
    let auth = Auth::open(engine.clone(), clock, Arc::new(SeededRng::new(7))).await.unwrap();
    let mut dump = String::new();
    let mut secrets = Vec::new();
    for n in 0..20 {
        let new = NewCredential {
            kind: CredentialKind::Operator,
            name: format!("planted {n}"),
            project: None,
            integration: None,
            actions: BTreeSet::from([Action::Operate]),
            streams: None,
            user: None,
            destinations: None,
            expires: None,
        };
        let issued = auth.issue(new).await.unwrap();
        let secret = issued.secret.expose().to_owned();
        let presented = Presented::Bearer { project: None, token: &secret };
        let basic = Presented::Basic { user: "someone", password: &secret };
        let login = Presented::Login { user: "someone", password: &secret };
        let grant = auth.authenticate(&presented);
        dump += &format!(
            "{issued:?} {presented:?} {basic:?} {login:?} {grant:?} {auth:?} {:?}",
            auth.list(None, None)
        );
        secrets.push(secret);
    }
    for entry in engine.scan(b"", None, 1_000).await.unwrap() {
        dump += &format!("{} {}", entry.key.escape_ascii(), entry.value.escape_ascii());
    }
    for secret in secrets {
        let random = secret.split('_').nth(2).unwrap();
        assert!(!dump.contains(&secret) && !dump.contains(random));
    }
}
