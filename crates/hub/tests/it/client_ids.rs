//! A client's id belongs to one live connection of a credential.

use std::time::Duration;

use outflow_hub::destination::ClientIdTaken;
use outflow_model::CredentialId;

use crate::world::world;

#[tokio::test]
async fn an_id_is_taken_while_its_connection_lives_and_free_when_it_ends() {
    let world = world().await;
    let (a, b) = (CredentialId::new("a").unwrap(), CredentialId::new("b").unwrap());
    let first = world.hub.claim_client(&a, "connection1").unwrap();
    assert_eq!(world.hub.claim_client(&a, "connection1").unwrap_err(), ClientIdTaken);
    // Other ids, and the same id of another customer, are free.
    let _second = world.hub.claim_client(&a, "connection2").unwrap();
    let _theirs = world.hub.claim_client(&b, "connection1").unwrap();
    drop(first);
    world.hub.claim_client(&a, "connection1").unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_dead_connection_loses_its_id_at_once() {
    let world = world().await;
    let credential = CredentialId::new("a").unwrap();
    let dead = world.hub.claim_client(&credential, "c").unwrap();
    let told = async |claim: &outflow_hub::ClientClaim| {
        tokio::time::timeout(Duration::from_secs(1), claim.taken_over()).await.is_ok()
    };
    dead.dead();
    assert!(!told(&dead).await, "nobody has asked for it yet");
    let live = world.hub.claim_client(&credential, "c").unwrap();
    assert!(told(&dead).await);
    // What the dead one does later does not touch the new one.
    drop(dead);
    assert_eq!(world.hub.claim_client(&credential, "c").unwrap_err(), ClientIdTaken);
    assert!(!told(&live).await);
}
