//! Issue, present, expire, revoke, restart.

use std::collections::BTreeSet;
use std::sync::Arc;

use outflow_auth::token::is_well_formed;
use outflow_auth::{
    Auth, AuthError, CredentialKind, IssueError, NewCredential, Presented, SystemRng,
};
use outflow_model::clock::ManualClock;
use outflow_model::{Action, CredentialId, IntegrationId, ProjectId, StreamName, Timestamp};
use outflow_store::AppendError;
use outflow_store::memory::MemoryEngine;
use parking_lot::Mutex;

pub(crate) struct World {
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) engine: Arc<MemoryEngine>,
    pub(crate) auth: Auth,
}

pub(crate) async fn world() -> World {
    let clock = Arc::new(ManualClock::new(Timestamp::from_millis(1_000_000)));
    let engine = Arc::new(MemoryEngine::new(clock.clone()));
    let auth = Auth::open(engine.clone(), clock.clone(), Arc::new(SystemRng)).await.unwrap();
    World { clock, engine, auth }
}

pub(crate) fn project(name: &str) -> ProjectId {
    ProjectId::new(name).unwrap()
}

pub(crate) fn token(of: &str, integration: &str) -> NewCredential {
    NewCredential {
        kind: CredentialKind::Token,
        name: "a token".into(),
        project: Some(project(of)),
        integration: Some(IntegrationId::new(integration).unwrap()),
        actions: BTreeSet::from([Action::Read]),
        streams: Some(BTreeSet::from([StreamName::new("events").unwrap()])),
        user: None,
        destinations: None,
        expires: None,
    }
}

fn operator() -> NewCredential {
    NewCredential {
        kind: CredentialKind::Operator,
        project: None,
        integration: None,
        actions: BTreeSet::from([Action::Operate]),
        ..token("p", "i")
    }
}

fn bearer<'a>(project: Option<&'a str>, token: &'a str) -> Presented<'a> {
    Presented::Bearer { project, token }
}

#[tokio::test]
async fn a_token_opens_its_project_and_no_other() {
    let world = world().await;
    let issued = world.auth.issue(token("shop", "crm")).await.unwrap();
    let secret = issued.secret.expose();
    assert!(is_well_formed(secret) && secret.ends_with(&issued.credential.last4));
    let opens = |presented: Presented<'_>| world.auth.authenticate(&presented).is_some();
    assert!(opens(bearer(None, secret)) && opens(bearer(Some("shop"), secret)));
    assert!(opens(Presented::Basic { user: "shop", password: secret }));
    assert!(!opens(bearer(Some("other"), secret)));
    assert!(!opens(Presented::Basic { user: "other", password: secret }));
    assert!(!opens(bearer(None, &secret[1..])) && !opens(bearer(None, "")));
    assert!(!opens(bearer(None, &"x".repeat(100_000))) && !opens(bearer(None, &"é".repeat(9_000))));
    let grant = world.auth.authenticate(&bearer(None, secret)).unwrap();
    assert_eq!(grant.credential, issued.credential.id);
    assert!(
        grant.allows(Action::Read, &project("shop"))
            && !grant.allows(Action::Publish, &project("shop"))
    );
    assert_eq!(grant.streams.unwrap().len(), 1);
}

#[tokio::test]
async fn an_operator_reaches_every_project_by_bearer_only() {
    let world = world().await;
    let issued = world.auth.issue(operator()).await.unwrap();
    let secret = issued.secret.expose();
    assert!(world.auth.authenticate(&bearer(Some("shop"), secret)).is_some());
    let basic = Presented::Basic { user: "shop", password: secret };
    assert!(world.auth.authenticate(&basic).is_none());
}

#[tokio::test]
async fn a_credential_ends_when_it_expires() {
    let world = world().await;
    let expires = Some(Timestamp::from_millis(1_000_500));
    let issued = world.auth.issue(NewCredential { expires, ..token("p", "i") }).await.unwrap();
    let presented = bearer(None, issued.secret.expose());
    world.clock.advance(499);
    assert_eq!(world.auth.authenticate(&presented).unwrap().expires, expires);
    world.clock.advance(1);
    assert!(world.auth.authenticate(&presented).is_none());
}

#[tokio::test]
async fn revocation_is_durable_first_and_then_told() {
    let world = world().await;
    let told = Arc::new(Mutex::new(Vec::<CredentialId>::new()));
    let listener = told.clone();
    world.auth.on_revoke(Arc::new(move |id, _| listener.lock().push(id.clone())));
    let issued = world.auth.issue(token("p", "i")).await.unwrap();
    let id = &issued.credential.id;
    world.engine.fail_next(AppendError::Full);
    assert!(matches!(world.auth.revoke(id).await, Err(AuthError::Unavailable(_))));
    assert!(world.auth.authenticate(&bearer(None, issued.secret.expose())).is_some());
    assert!(told.lock().is_empty());
    assert_eq!(world.auth.revoke(id).await, Ok(true));
    assert!(world.auth.authenticate(&bearer(None, issued.secret.expose())).is_none());
    assert_eq!(*told.lock(), std::slice::from_ref(id));
    assert_eq!(world.auth.revoke(id).await, Ok(false));
}

#[tokio::test]
async fn a_change_whose_caller_goes_away_is_finished() {
    let world = world().await;
    let issued = world.auth.issue(token("p", "i")).await.unwrap();
    world.engine.hold();
    let auth = world.auth.clone();
    let id = issued.credential.id.clone();
    let caller = tokio::spawn(async move { auth.revoke(&id).await });
    while world.engine.held() == 0 {
        tokio::task::yield_now().await;
    }
    caller.abort();
    assert!(caller.await.is_err());
    world.engine.commit_all();
    while world.auth.authenticate(&bearer(None, issued.secret.expose())).is_some() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn credentials_survive_a_restart() {
    let world = world().await;
    let kept = world.auth.issue(token("p", "i")).await.unwrap();
    let gone = world.auth.issue(token("p", "i")).await.unwrap();
    world.auth.revoke(&gone.credential.id).await.unwrap();
    let engine = Arc::new(world.engine.restart());
    let auth = Auth::open(engine, world.clock.clone(), Arc::new(SystemRng)).await.unwrap();
    assert_eq!(auth.list(None, None), [kept.credential]);
    assert!(auth.authenticate(&bearer(Some("p"), kept.secret.expose())).is_some());
    assert!(auth.authenticate(&bearer(Some("p"), gone.secret.expose())).is_none());
}

#[tokio::test]
async fn an_integration_has_25_tokens_and_not_more() {
    let world = world().await;
    for _ in 0..25 {
        world.auth.issue(token("p", "i")).await.unwrap();
    }
    let many = world.auth.issue(token("p", "i")).await.unwrap_err();
    assert_eq!(many, IssueError::TooMany { max: 25 });
    world.auth.issue(token("p", "other")).await.unwrap();
    world.auth.issue(token("q", "i")).await.unwrap();
    let integration = IntegrationId::new("i").unwrap();
    assert_eq!(world.auth.revoke_all(&project("p"), Some(&integration)).await, Ok(25));
    assert_eq!(world.auth.list(Some(&project("p")), None).len(), 1);
    assert_eq!(world.auth.revoke_all(&project("p"), None).await, Ok(1));
    assert_eq!(world.auth.list(None, None).len(), 1);
}

#[tokio::test]
async fn fixed_credentials_may_share_a_secret_and_are_issued_once() {
    let world = world().await;
    let master = NewCredential {
        kind: CredentialKind::Master,
        integration: None,
        actions: BTreeSet::from([Action::Compliance]),
        ..token("sample_connection", "sample")
    };
    for _ in 0..3 {
        world.auth.issue_fixed(master.clone(), "sample_connection").await.unwrap();
        let of = token("sample_connection", "sample");
        world.auth.issue_fixed(of, "sample_connection").await.unwrap();
    }
    assert_eq!(world.auth.list(None, None).len(), 2);
    let presented = Presented::Basic { user: "sample_connection", password: "sample_connection" };
    let grant = world.auth.authenticate(&presented).unwrap();
    assert!(grant.integration.is_some());
    assert_eq!(*grant.actions, BTreeSet::from([Action::Read, Action::Compliance]));
}

#[tokio::test]
async fn credentials_of_one_secret_do_not_widen_one_another() {
    let key = NewCredential {
        kind: CredentialKind::Key,
        integration: None,
        actions: BTreeSet::from([Action::Publish]),
        ..token("p", "i")
    };
    let cases = [
        // What it sees is not what the first one sees.
        NewCredential { integration: Some(IntegrationId::new("other").unwrap()), ..key.clone() },
        NewCredential { streams: Some([StreamName::new("s").unwrap()].into()), ..key.clone() },
        NewCredential { project: Some(project("q")), ..key },
    ];
    for case in cases {
        let world = world().await;
        world.auth.issue_fixed(token("p", "i"), "secret").await.unwrap();
        world.auth.issue_fixed(case.clone(), "secret").await.unwrap();
        let grant = world.auth.authenticate(&bearer(None, "secret")).unwrap();
        assert_eq!(*grant.actions, BTreeSet::from([Action::Read]), "{case:?}");
    }
}

#[tokio::test]
async fn requests_that_make_no_sense_are_refused() {
    let world = world().await;
    let cases = [
        NewCredential { project: None, ..token("p", "i") },
        NewCredential { integration: None, ..token("p", "i") },
        NewCredential { actions: BTreeSet::new(), ..token("p", "i") },
        NewCredential { actions: BTreeSet::from([Action::Operate]), ..token("p", "i") },
        NewCredential { actions: BTreeSet::from([Action::Read]), ..operator() },
        NewCredential { name: "n".repeat(129), ..token("p", "i") },
        NewCredential { kind: CredentialKind::Master, ..token("p", "i") },
    ];
    for case in cases {
        let refused = world.auth.issue(case.clone()).await;
        assert!(matches!(refused, Err(IssueError::Invalid(_))), "{case:?}");
    }
}

#[tokio::test]
async fn a_newer_stored_form_is_refused_not_guessed() {
    use outflow_store::{Batch, Engine};
    let world = world().await;
    let value = br#"{"v":2,"id":"x"}"#;
    world.engine.submit(Batch::put(&b"auth/cred/x"[..], Some((&value[..]).into()))).await.unwrap();
    let opened = Auth::open(world.engine.clone(), world.clock.clone(), Arc::new(SystemRng)).await;
    assert!(matches!(opened, Err(AuthError::Corrupt(_))));
}

#[tokio::test]
async fn what_one_of_joined_credentials_allowed_ends_with_it() {
    let world = world().await;
    let fixed = |kind, actions: &[Action]| NewCredential {
        kind,
        actions: actions.iter().copied().collect(),
        ..token("p", "i")
    };
    let reads = fixed(CredentialKind::Token, &[Action::Read]);
    let publishes = fixed(CredentialKind::Key, &[Action::Publish]);
    let publishes = NewCredential { integration: None, ..publishes };
    let first = world.auth.issue_fixed(reads, "secret").await.unwrap();
    let second = world.auth.issue_fixed(publishes, "secret").await.unwrap();
    let other = world.auth.issue(token("p", "i")).await.unwrap().credential;
    let opened = world.auth.authenticate(&bearer(None, "secret")).unwrap();
    assert_eq!(opened.credential, first.id);
    assert!(opened.actions.contains(&Action::Publish));
    let told = Arc::new(Mutex::new(BTreeSet::new()));
    let listener = told.clone();
    world.auth.on_revoke(Arc::new(move |id, _| {
        listener.lock().insert(id.clone());
    }));
    world.auth.revoke(&second.id).await.unwrap();
    assert_eq!(*told.lock(), BTreeSet::from([first.id.clone(), second.id]));
    assert!(!told.lock().contains(&other.id));
    let left = world.auth.authenticate(&bearer(None, "secret")).unwrap();
    assert_eq!((&left.credential, &*left.actions), (&first.id, &[Action::Read].into()));
}
