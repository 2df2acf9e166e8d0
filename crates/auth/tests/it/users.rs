//! Users log in with a name and a password.

use std::collections::BTreeSet;
use std::sync::Arc;

use outflow_auth::user::namespace;
use outflow_auth::{Auth, CredentialKind, IssueError, Issued, NewCredential, Presented, SystemRng};
use outflow_model::{
    Action, DestinationGrant, DestinationKind, DestinationPattern, IntegrationId, StreamName,
    Timestamp,
};

use crate::credentials::{project, token, world};

fn user(of: &str, name: Option<&str>) -> NewCredential {
    NewCredential {
        kind: CredentialKind::User,
        name: "a customer".into(),
        project: Some(project(of)),
        integration: None,
        actions: BTreeSet::from([Action::Read]),
        streams: None,
        user: name.map(str::to_owned),
        destinations: Some(namespace("yourcompany").unwrap()),
        expires: None,
    }
}

#[tokio::test]
async fn a_user_logs_in_by_name_and_password_and_in_no_other_way() {
    let world = world().await;
    let issued = world.auth.issue(user("shop", Some("31337"))).await.unwrap();
    let password = issued.secret.expose();
    assert_eq!(password.len(), 32);
    assert!(password.bytes().all(|byte| byte.is_ascii_hexdigit()));
    assert!(password.ends_with(&issued.credential.last4));
    let opens = |presented| world.auth.authenticate(&presented);
    let grant = opens(Presented::Login { user: "31337", password }).unwrap();
    assert_eq!(grant.project, Some(project("shop")));
    assert!(grant.allows(Action::Read, &project("shop")));
    assert!(!grant.allows(Action::Publish, &project("shop")));
    let destinations = grant.destinations.unwrap();
    assert!(destinations.consumes(DestinationKind::Queue, "destination1.RTO.yourcompany"));
    assert!(!destinations.consumes(DestinationKind::Queue, "destination1.RTO.other"));
    for refused in [
        Presented::Login { user: "31338", password },
        Presented::Login { user: "shop", password },
        Presented::Login { user: "31337", password: "0123456789abcdef0123456789abcdef" },
        Presented::Login { user: "31337", password: "" },
        Presented::Basic { user: "shop", password },
        Presented::Basic { user: "31337", password },
        Presented::Bearer { project: None, token: password },
        Presented::Bearer { project: Some("shop"), token: password },
    ] {
        assert!(opens(refused).is_none(), "{refused:?}");
    }
}

#[tokio::test]
async fn a_login_also_takes_what_basic_takes() {
    let world = world().await;
    let issued = world.auth.issue(token("shop", "i")).await.unwrap();
    let password = issued.secret.expose();
    let login = |user| world.auth.authenticate(&Presented::Login { user, password });
    assert!(login("shop").is_some());
    assert!(login("other").is_none());
}

#[tokio::test]
async fn names_are_drawn_and_unique_in_their_project_only() {
    let world = world().await;
    let mut names = BTreeSet::new();
    for _ in 0..50 {
        let drawn = world.auth.issue(user("shop", None)).await.unwrap().credential.user.unwrap();
        assert!(drawn.len() == 5 && drawn.parse::<u32>().is_ok_and(|number| number >= 10_000));
        assert!(names.insert(drawn));
    }
    let first = world.auth.issue(user("shop", Some("4711"))).await.unwrap();
    let taken = world.auth.issue(user("shop", Some("4711"))).await.unwrap_err();
    assert_eq!(taken, IssueError::Exists);
    // Another tenant does not learn that the name is used; the password tells the two apart.
    let second = world.auth.issue(user("rival", Some("4711"))).await.unwrap();
    for (issued, of) in [(first, "shop"), (second, "rival")] {
        let login = Presented::Login { user: "4711", password: issued.secret.expose() };
        assert_eq!(world.auth.authenticate(&login).unwrap().project, Some(project(of)));
    }
}

#[tokio::test]
async fn users_survive_a_restart_and_end_when_they_are_revoked_or_expire() {
    let mut world = world().await;
    let expires = Some(Timestamp::from_millis(1_000_500));
    let passing =
        world.auth.issue(NewCredential { expires, ..user("p", Some("1000")) }).await.unwrap();
    let lasting = world.auth.issue(user("p", Some("2000"))).await.unwrap();
    let (engine, clock) = (world.engine.clone(), world.clock.clone());
    world.auth = Auth::open(engine, clock, Arc::new(SystemRng)).await.unwrap();
    let login = |user, issued: &Issued| {
        let password = issued.secret.expose();
        world.auth.authenticate(&Presented::Login { user, password }).is_some()
    };
    assert!(login("1000", &passing) && login("2000", &lasting));
    world.clock.set(Timestamp::from_millis(1_000_500));
    assert!(!login("1000", &passing) && login("2000", &lasting));
    let listed = world.auth.list(Some(&project("p")), None);
    assert!(listed.contains(&lasting.credential) && listed.contains(&passing.credential));
    assert!(world.auth.revoke(&lasting.credential.id).await.unwrap());
    assert!(!login("2000", &lasting));
}

#[tokio::test]
async fn a_fixed_user_can_be_issued_again() {
    let world = world().await;
    let first = world.auth.issue_fixed(user("p", Some("12345")), "secret").await.unwrap();
    let again = world.auth.issue_fixed(user("p", Some("12345")), "secret").await.unwrap();
    assert_eq!(first, again);
    world.auth.issue_fixed(user("p", Some("54321")), "secret").await.unwrap();
    let login = Presented::Login { user: "12345", password: "secret" };
    assert!(world.auth.authenticate(&login).is_some());
    let nameless = world.auth.issue_fixed(user("p", None), "secret").await;
    assert!(matches!(nameless, Err(IssueError::Invalid(_))));
}

#[tokio::test]
async fn what_makes_no_sense_is_refused() {
    let world = world().await;
    let streams = Some(BTreeSet::from([StreamName::new("events").unwrap()]));
    let many = DestinationGrant {
        consume: vec![DestinationPattern::parse("a").unwrap(); 101],
        send: Vec::new(),
    };
    for new in [
        NewCredential { actions: BTreeSet::from([Action::Manage]), ..user("p", None) },
        NewCredential { project: None, ..user("p", None) },
        NewCredential { integration: IntegrationId::new("i").ok(), ..user("p", None) },
        NewCredential { streams, ..user("p", None) },
        NewCredential { destinations: Some(many), ..user("p", None) },
        user("p", Some("")),
        user("p", Some("a b")),
        user("p", Some(&"1".repeat(65))),
        NewCredential { user: Some("1".into()), ..token("p", "i") },
        NewCredential { destinations: Some(DestinationGrant::default()), ..token("p", "i") },
    ] {
        let refused = world.auth.issue(new.clone()).await;
        assert!(matches!(refused, Err(IssueError::Invalid(_))), "{new:?}");
    }
    for bad in ["", "a.b", "*", ">", "a b"] {
        assert!(namespace(bad).is_err(), "{bad}");
    }
}
