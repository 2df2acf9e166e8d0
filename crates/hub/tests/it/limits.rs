//! How many readers there may be, and how they are ended.

use std::time::Duration;

use outflow_hub::{
    CloseReason, Integration, Options, Project, ProjectLimits, ReadError, ReadRequest, Start,
};
use outflow_model::{Grant, Timestamp};
use tokio::time::Instant;

use crate::world::{
    NOW, closed, integration, project, project_id, reader, token, world, world_with,
};

#[tokio::test]
async fn an_integration_has_so_many_readers_and_a_slot_is_freed_at_once() {
    let world = world().await;
    world
        .hub
        .update_integration(Integration { max_connections: 2, ..integration("p") })
        .await
        .unwrap();
    let open = async |slack| {
        let request = ReadRequest { slack, ..world.request(Start::Latest) };
        world.hub.open_read(&token("p"), request).await
    };
    let (first, _second) = (open(false).await.unwrap(), open(false).await.unwrap());
    assert_eq!(open(false).await.unwrap_err(), ReadError::TooManyConnections { max: 2 });
    let third = open(true).await.unwrap();
    assert_eq!(open(true).await.unwrap_err(), ReadError::TooManyConnections { max: 2 });
    assert_eq!(world.hub.readers(), 3);
    assert_eq!(world.hub.stats(&world.stream()).readers, 3);
    drop((first, third));
    open(false).await.unwrap();
    assert!(world.hub.open_read(&reader("p"), world.request(Start::Latest)).await.is_ok());
    assert_eq!(world.metric("outflow_reads_refused_total"), 2);
}

#[tokio::test]
async fn a_project_and_the_server_have_limits_too() {
    let world = world_with(Options { max_sessions: 3, ..Options::default() }).await;
    let limits = ProjectLimits { connections: 1 };
    world.hub.update_project(Project { limits, ..project("p") }).await.unwrap();
    let _first = world.read(Start::Latest).await;
    let second = world.hub.open_read(&reader("p"), world.request(Start::Latest)).await;
    assert_eq!(second.unwrap_err(), ReadError::TooManyConnections { max: 1 });
    let limits = ProjectLimits { connections: 10 };
    world.hub.update_project(Project { limits, ..project("p") }).await.unwrap();
    let _others = (world.read(Start::Latest).await, world.read(Start::Latest).await);
    let full = world.hub.open_read(&reader("p"), world.request(Start::Latest)).await;
    assert!(matches!(full, Err(ReadError::Unavailable(_))));
}

#[tokio::test(start_paused = true)]
async fn revocation_ends_reads_at_once_and_those_about_to_begin() {
    let world = world().await;
    let mut session = world.hub.open_read(&token("p"), world.request(Start::Latest)).await.unwrap();
    let mut other = world.read(Start::Latest).await;
    let waits = tokio::spawn(async move { closed(&mut session).await });
    tokio::task::yield_now().await;
    let began = Instant::now();
    world.hub.close_credential(&token("p").credential, u32::MAX);
    assert_eq!(waits.await.unwrap(), CloseReason::Revoked);
    assert!(began.elapsed() < Duration::from_millis(5));
    let late = world.hub.open_read(&token("p"), world.request(Start::Latest)).await;
    assert_eq!(late.unwrap_err(), ReadError::Forbidden);
    assert!(tokio::time::timeout(Duration::from_secs(1), other.next()).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_credential_that_ends_ends_its_reads_and_no_others() {
    let world = world().await;
    let until = |seconds: i64| Grant {
        expires: Some(Timestamp::from_millis(NOW + seconds * 1000)),
        ..token("p")
    };
    let open = async |grant: Grant| world.hub.open_read(&grant, world.request(Start::Latest)).await;
    let (mut soon, mut late) = (open(until(5)).await.unwrap(), open(until(60)).await.unwrap());
    let mut never = open(token("p")).await.unwrap();
    drop(open(until(5)).await.unwrap());
    let waits = tokio::spawn(async move { closed(&mut soon).await });
    tokio::task::yield_now().await;
    world.clock.set(Timestamp::from_millis(NOW + 5_000));
    let began = Instant::now();
    assert_eq!(waits.await.unwrap(), CloseReason::Expired);
    assert!(began.elapsed() <= Duration::from_secs(1), "{:?}", began.elapsed());
    assert_eq!(world.hub.readers(), 2);
    for other in [&mut late, &mut never] {
        assert!(tokio::time::timeout(Duration::from_millis(300), other.next()).await.is_err());
    }
    // One whose credential ended while it was being opened ends as well.
    assert_eq!(closed(&mut open(until(5)).await.unwrap()).await, CloseReason::Expired);
}

#[tokio::test]
async fn what_a_newer_generation_opened_outlives_the_older_one() {
    let world = world().await;
    let of = |generation| Grant { generation, ..token("p") };
    let open = async |grant: Grant| world.hub.open_read(&grant, world.request(Start::Latest)).await;
    let (mut old, mut new) = (open(of(1)).await.unwrap(), open(of(2)).await.unwrap());
    world.hub.close_credential(&token("p").credential, 2);
    assert_eq!(closed(&mut old).await, CloseReason::Revoked);
    assert!(tokio::time::timeout(Duration::from_millis(20), new.next()).await.is_err());
    assert_eq!(open(of(1)).await.unwrap_err(), ReadError::Forbidden);
    assert!(open(of(2)).await.is_ok(), "and is not refused for a while either");
}

#[tokio::test]
async fn deletion_of_integration_or_project_ends_reads() {
    let world = world().await;
    let mut of_integration =
        world.hub.open_read(&token("p"), world.request(Start::Latest)).await.unwrap();
    let mut of_project = world.read(Start::Latest).await;
    world.hub.delete_integration(&project_id("p"), &integration("p").id).await.unwrap();
    assert_eq!(closed(&mut of_integration).await, CloseReason::Deleted);
    let late = world.hub.open_read(&token("p"), world.request(Start::Latest)).await;
    assert_eq!(late.unwrap_err(), ReadError::Forbidden);
    let request = world.request(Start::Latest);
    world.hub.delete_project(&project_id("p")).await.unwrap();
    assert_eq!(closed(&mut of_project).await, CloseReason::Deleted);
    assert_eq!(world.hub.open_read(&reader("p"), request).await.unwrap_err(), ReadError::NotFound);
}

#[tokio::test(start_paused = true)]
async fn a_drain_ends_reads_at_scattered_moments_in_time() {
    let world = world().await;
    let began = Instant::now();
    let mut waits = Vec::new();
    for _ in 0..100 {
        let mut session = world.read(Start::Latest).await;
        waits.push(tokio::spawn(async move {
            assert_eq!(closed(&mut session).await, CloseReason::Draining);
            Instant::now()
        }));
    }
    world.hub.drain(Duration::from_secs(10));
    assert!(world.hub.is_draining());
    let refused = world.hub.open_read(&reader("p"), world.request(Start::Latest)).await;
    assert_eq!(refused.unwrap_err(), ReadError::ShuttingDown);
    let mut per_second = [0; 11];
    for wait in waits {
        per_second[(wait.await.unwrap() - began).as_secs() as usize] += 1;
    }
    assert!(per_second[..10].iter().all(|count| (1..30).contains(count)), "{per_second:?}");
    assert_eq!(world.hub.readers(), 0);
    world.publish_numbers(0, 1).await;
}
