//! API keys: what their tokens open, and what rotating, revoking and deleting ends.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use outflow_auth::{
    ALL_GENERATIONS, AccessError, Auth, Client, IssueError, IssuedApiKey, NewApiKey, Presented,
    Revoke, Scope, SystemRng,
};
use outflow_model::{Action, CredentialId, StreamName};
use outflow_store::{AppendError, Engine};
use parking_lot::Mutex;

use crate::credentials::{World, project, world};

const DAY: Duration = Duration::from_secs(86_400);
const DAY_MS: i64 = 86_400_000;

pub(crate) fn new_key(of: &str) -> NewApiKey {
    NewApiKey {
        project: project(of),
        name: "upstream".into(),
        scopes: BTreeSet::from([Scope::IngestWrite, Scope::FeedRead]),
        streams: None,
    }
}

async fn key(world: &World, of: &str) -> IssuedApiKey {
    world.auth.create_api_key(new_key(of)).await.unwrap()
}

fn token(world: &World, id: &CredentialId, life: Duration) -> String {
    let issued = world.auth.issue_access_token(&project("shop"), id, life, None).unwrap();
    issued.token.expose().to_owned()
}

fn opens(world: &World, token: &str) -> bool {
    world.auth.authenticate(&Presented::Bearer { project: None, token }).is_some()
}

#[tokio::test]
async fn a_token_opens_what_its_scopes_say_and_until_it_ends() {
    let world = world().await;
    let issued = key(&world, "shop").await;
    let token = token(&world, &issued.key.id, 3 * DAY);
    let bearer = |project| Presented::Bearer { project, token: &token };
    let grant = world.auth.authenticate(&bearer(None)).unwrap();
    assert_eq!((&grant.credential, &grant.project), (&issued.key.id, &Some(project("shop"))));
    assert_eq!(*grant.actions, BTreeSet::from([Action::Ingest, Action::Feed]));
    assert!(world.auth.authenticate(&bearer(Some("shop"))).is_some());
    assert!(world.auth.authenticate(&bearer(Some("other"))).is_none());
    let basic = Presented::Basic { user: "other", password: &token };
    assert!(world.auth.authenticate(&basic).is_none());
    world.clock.advance(3 * DAY_MS + 31_000);
    assert!(!opens(&world, &token));
    // A key's secret is for the token endpoint alone.
    assert!(!opens(&world, issued.secret.expose()));
}

#[tokio::test]
async fn a_token_may_be_given_less_than_its_key_and_never_more() {
    let world = world().await;
    let orders = BTreeSet::from([StreamName::new("orders").unwrap()]);
    let new = NewApiKey { streams: Some(orders.clone()), ..new_key("shop") };
    let id = world.auth.create_api_key(new).await.unwrap().key.id;
    let issue = |scopes: &[Scope]| {
        let scopes = Some(scopes.iter().copied().collect());
        world.auth.issue_access_token(&project("shop"), &id, DAY, scopes)
    };
    let token = issue(&[Scope::FeedRead]).unwrap().token;
    let presented = Presented::Bearer { project: None, token: token.expose() };
    let grant = world.auth.authenticate(&presented).unwrap();
    assert_eq!(*grant.actions, BTreeSet::from([Action::Feed]));
    assert_eq!(grant.streams.as_deref(), Some(&orders));
    assert_eq!(issue(&[Scope::EventsRead]).unwrap_err(), AccessError::Scope);
    assert_eq!(issue(&[]).unwrap_err(), AccessError::Scope);
    let foreign = world.auth.issue_access_token(&project("other"), &id, DAY, None);
    assert_eq!(foreign.unwrap_err(), AccessError::Client);
    for life in [Duration::ZERO, 4_000 * DAY] {
        let refused = world.auth.issue_access_token(&project("shop"), &id, life, None);
        assert_eq!(refused.unwrap_err(), AccessError::Lifetime);
    }
}

#[tokio::test]
async fn a_deposed_secret_holds_for_thirty_days_or_until_the_next_rotation() {
    let world = world().await;
    let first = key(&world, "shop").await;
    let id = &first.key.id;
    let exchange = |secret: &str| {
        let client = Client { id: id.as_str(), secret, project: None };
        world.auth.exchange(client, None).is_ok()
    };
    let old = token(&world, id, 365 * DAY);
    let second = world.auth.rotate_api_key(&project("shop"), id).await.unwrap().unwrap();
    assert_eq!(second.key.generation, 2);
    let new = token(&world, id, 365 * DAY);
    let ends = |token: &str| {
        let presented = Presented::Bearer { project: None, token };
        world.auth.authenticate(&presented).unwrap().expires.unwrap().millis() - 1_000_000
    };
    assert_eq!(ends(&old), 30 * DAY_MS, "with its generation");
    assert_eq!(ends(&new), 365 * DAY_MS + 30_000, "with its leeway");
    world.clock.advance(30 * DAY_MS - 1);
    assert!(opens(&world, &old) && opens(&world, &new));
    assert!(exchange(first.secret.expose()) && exchange(second.secret.expose()));
    let client = Client { id: id.as_str(), secret: first.secret.expose(), project: None };
    let exchanged = world.auth.exchange(client, None).unwrap().token;
    assert!(opens(&world, exchanged.expose()));
    world.clock.advance(1);
    assert!(
        !opens(&world, exchanged.expose()),
        "what a deposed secret was exchanged for falls with it"
    );
    assert!(!opens(&world, &old) && opens(&world, &new));
    assert!(!exchange(first.secret.expose()) && exchange(second.secret.expose()));
    let view = world.auth.api_key(&project("shop"), id).unwrap();
    assert_eq!(view.deposed_until, None);
    for _ in 0..2 {
        assert!(opens(&world, &new));
        world.auth.rotate_api_key(&project("shop"), id).await.unwrap().unwrap();
    }
    assert!(!opens(&world, &new));
    let foreign = world.auth.rotate_api_key(&project("other"), id).await;
    assert!(foreign.unwrap().is_none());
}

#[tokio::test]
async fn revoking_ends_old_tokens_or_all_and_deleting_ends_the_key() {
    let world = world().await;
    let told = Arc::new(Mutex::new(Vec::new()));
    let listener = told.clone();
    world.auth.on_revoke(Arc::new(move |_, below| listener.lock().push(below)));
    let first = key(&world, "shop").await;
    let (shop, id) = (project("shop"), &first.key.id);
    let old = token(&world, id, DAY);
    world.auth.rotate_api_key(&shop, id).await.unwrap().unwrap();
    let new = token(&world, id, DAY);
    assert!(told.lock().is_empty());
    let (_, secret) =
        world.auth.revoke_access_tokens(&shop, id, Revoke::Old).await.unwrap().unwrap();
    assert!(secret.is_none() && !opens(&world, &old) && opens(&world, &new));
    assert_eq!(*told.lock(), [2], "those of the second generation hold");
    let (_, secret) =
        world.auth.revoke_access_tokens(&shop, id, Revoke::All).await.unwrap().unwrap();
    assert!(secret.is_some() && !opens(&world, &new));
    let last = token(&world, id, DAY);
    assert!(opens(&world, &last) && *told.lock() == [2, 3]);
    assert!(!world.auth.delete_api_key(&project("other"), id).await.unwrap());
    assert!(world.auth.delete_api_key(&shop, id).await.unwrap());
    assert!(!opens(&world, &last) && *told.lock() == [2, 3, ALL_GENERATIONS]);
    assert!(world.auth.api_keys(&shop).is_empty());
}

#[tokio::test]
async fn keys_survive_a_restart_and_a_project_takes_its_keys_with_it() {
    let world = world().await;
    let issued = key(&world, "shop").await;
    let old = token(&world, &issued.key.id, DAY);
    world.auth.rotate_api_key(&project("shop"), &issued.key.id).await.unwrap().unwrap();
    let new = token(&world, &issued.key.id, DAY);
    let again = Auth::open(world.engine.clone(), world.clock.clone(), Arc::new(SystemRng));
    let again = World { auth: again.await.unwrap(), ..world };
    assert!(opens(&again, &old) && opens(&again, &new));
    assert_eq!(again.auth.revoke_all(&project("shop"), None).await, Ok(1));
    assert!(!opens(&again, &new));
    assert!(again.engine.scan(b"auth/", None, 10).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_client_exchanges_its_secret_and_a_token_begets_none_that_outlives_it() {
    let world = world().await;
    let issued = key(&world, "shop").await;
    let id = issued.key.id.as_str();
    let exchange = |id: &str, secret: &str, project, scopes| {
        let client = Client { id, secret, project };
        world.auth.exchange(client, scopes).map(|token| token.lifetime_s)
    };
    let secret = issued.secret.expose();
    assert_eq!(exchange(id, secret, None, None), Ok(3_600));
    assert_eq!(exchange("shop", secret, Some("shop"), Some("feed:read")), Ok(3_600));
    assert_eq!(exchange(id, secret, None, Some("events:read")), Err(AccessError::Scope));
    for (id, secret, project) in [
        ("other", secret, None),
        (id, secret, Some("other")),
        (id, "", None),
        (id, "ofl_x", None),
        ("", secret, None),
    ] {
        assert_eq!(exchange(id, secret, project, None), Err(AccessError::Client), "{id}");
    }
    let brief = token(&world, &issued.key.id, Duration::from_secs(100));
    assert_eq!(exchange(id, &brief, None, None), Ok(100));
    let long = token(&world, &issued.key.id, DAY);
    assert_eq!(exchange(id, &long, None, None), Ok(3_600));
    assert_eq!(exchange("other", &long, None, None), Err(AccessError::Client));
    let narrow = BTreeSet::from([Scope::FeedRead]);
    let narrow =
        world.auth.issue_access_token(&project("shop"), &issued.key.id, DAY, Some(narrow)).unwrap();
    let wider = Some("streaming-ingest:write");
    assert_eq!(exchange(id, narrow.token.expose(), None, wider), Err(AccessError::Scope));
}

#[tokio::test]
async fn nothing_changes_when_the_disk_refuses() {
    let world = world().await;
    let issued = key(&world, "shop").await;
    let id = &issued.key.id;
    let held = token(&world, id, DAY);
    world.engine.fail_next(AppendError::Full);
    assert!(world.auth.rotate_api_key(&project("shop"), id).await.is_err());
    world.engine.fail_next(AppendError::Full);
    assert!(world.auth.delete_api_key(&project("shop"), id).await.is_err());
    world.engine.fail_next(AppendError::Full);
    assert!(matches!(world.auth.create_api_key(new_key("shop")).await, Err(IssueError::Auth(_))));
    assert!(opens(&world, &held));
    assert_eq!(world.auth.api_key(&project("shop"), id).unwrap().generation, 1);
}
