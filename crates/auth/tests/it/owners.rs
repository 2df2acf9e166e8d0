//! Nothing is issued for who is not there, or is on the way out.

use std::sync::Arc;

use outflow_auth::IssueError;
use outflow_model::IntegrationId;

use crate::api_keys::new_key;
use crate::credentials::{project, token, world};

#[tokio::test]
async fn only_who_is_there_and_stays_gets_credentials() {
    let world = world().await;
    world.auth.look_owners_up(Arc::new(|project, integration| {
        project.as_str() == "p" && integration.is_none_or(|one| one.as_str() == "i")
    }));
    let issue = async |of, integration| world.auth.issue(token(of, integration)).await.map(drop);
    let key = async |of| world.auth.create_api_key(new_key(of)).await.map(drop);
    assert_eq!((issue("p", "i").await, key("p").await), (Ok(()), Ok(())));
    assert_eq!(issue("p", "j").await, Err(IssueError::NoOwner));
    assert_eq!(issue("q", "i").await, Err(IssueError::NoOwner));
    assert_eq!(key("q").await, Err(IssueError::NoOwner));
    let id = IntegrationId::new("i").unwrap();
    let one = world.auth.end_owner(&project("p"), Some(&id));
    assert_eq!(issue("p", "i").await, Err(IssueError::NoOwner));
    assert_eq!(key("p").await, Ok(()), "the project stays");
    let all = world.auth.end_owner(&project("p"), None);
    drop(one);
    assert_eq!(issue("p", "i").await, Err(IssueError::NoOwner));
    assert_eq!(key("p").await, Err(IssueError::NoOwner));
    drop(all);
    assert_eq!((issue("p", "i").await, key("p").await), (Ok(()), Ok(())));
}

#[tokio::test]
async fn what_was_being_issued_is_revoked_with_the_rest() {
    let world = world().await;
    world.engine.hold();
    let auth = world.auth.clone();
    let key = tokio::spawn(async move { auth.create_api_key(new_key("p")).await });
    while world.engine.held() == 0 {
        tokio::task::yield_now().await;
    }
    let _ending = world.auth.end_owner(&project("p"), None);
    let auth = world.auth.clone();
    let revoking = tokio::spawn(async move { auth.revoke_all(&project("p"), None).await });
    // It looks what there is, unless it waits.
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    world.engine.commit_all();
    assert!(key.await.unwrap().is_ok());
    assert_eq!(revoking.await.unwrap(), Ok(1));
    assert_eq!(world.auth.api_keys(&project("p")), []);
}
