//! A client's id belongs to one live connection of a credential.

use std::time::Duration;

use outflow_hub::destination::{ClaimNews, ClientIdTaken};
use outflow_model::CredentialId;
use tokio::time::Instant;

use crate::world::world;

/// How long the tests' clients wait for an id; time is paused.
const PATIENCE: Duration = Duration::from_secs(12);

#[tokio::test(start_paused = true)]
async fn an_id_is_taken_while_its_connection_lives_and_free_when_it_ends() {
    let world = world().await;
    let (a, b) = (CredentialId::new("a").unwrap(), CredentialId::new("b").unwrap());
    let claim =
        async |credential, client| world.hub.claim_client(credential, client, PATIENCE).await;
    let first = claim(&a, "connection1").await.unwrap();
    let began = Instant::now();
    assert_eq!(claim(&a, "connection1").await.unwrap_err(), ClientIdTaken);
    assert_eq!(began.elapsed(), PATIENCE);
    // Other ids, and the same id of another customer, are free.
    let _second = claim(&a, "connection2").await.unwrap();
    let _theirs = claim(&b, "connection1").await.unwrap();
    drop(first);
    claim(&a, "connection1").await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_dead_connection_loses_its_id_at_once() {
    let world = world().await;
    let credential = CredentialId::new("a").unwrap();
    let claim = async || world.hub.claim_client(&credential, "c", PATIENCE).await;
    let dead = claim().await.unwrap();
    dead.dead();
    let began = Instant::now();
    let live = claim().await.unwrap();
    assert_eq!(began.elapsed(), Duration::ZERO);
    assert_eq!(dead.news().await, ClaimNews::TakenOver);
    // What the dead one does later does not touch the new one.
    drop(dead);
    assert_eq!(claim().await.unwrap_err(), ClientIdTaken);
    assert_eq!(live.news().await, ClaimNews::Asked);
}

#[tokio::test(start_paused = true)]
async fn who_asks_for_an_id_learns_whether_its_holder_lives() {
    let world = world().await;
    let credential = CredentialId::new("a").unwrap();
    let claim = async || world.hub.claim_client(&credential, "c", PATIENCE).await;
    let began = Instant::now();
    let holder = claim().await.unwrap();
    // It is asked, and its client says something.
    let (refused, ()) = tokio::join!(claim(), async {
        assert_eq!(holder.news().await, ClaimNews::Asked);
        tokio::time::sleep(Duration::from_secs(3)).await;
        holder.alive();
    });
    assert_eq!(refused.unwrap_err(), ClientIdTaken);
    assert_eq!(began.elapsed(), Duration::from_secs(3), "refused as soon as that is known");
    // It is asked, and the network says that nobody is there.
    let (mut first, mut second) = (None, None);
    tokio::join!(
        async { first = Some(claim().await) },
        async { second = Some(claim().await) },
        async {
            assert_eq!(holder.news().await, ClaimNews::Asked);
            tokio::time::sleep(Duration::from_secs(4)).await;
            drop(holder);
        }
    );
    let both = [first.unwrap(), second.unwrap()];
    assert_eq!(both.iter().filter(|one| one.is_ok()).count(), 1, "one of two gets it");
    assert_eq!(began.elapsed(), Duration::from_secs(3) + PATIENCE);
}
