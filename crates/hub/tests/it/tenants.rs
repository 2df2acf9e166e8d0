//! A tenant sees nothing of another.

use std::sync::Arc;

use outflow_hub::{PublishError, ReadError, ReadRequest, Start};

use crate::world::{lines, name, project_id, publisher, reader, token, world};

#[tokio::test]
async fn foreign_streams_do_not_exist() {
    let world = world().await;
    world.tenant("q").await;
    let foreign = || ReadRequest { stream: world.stream_of("q"), ..world.request(Start::Earliest) };
    for grant in [reader("p"), token("p"), publisher("p")] {
        assert_eq!(world.hub.open_read(&grant, foreign()).await.unwrap_err(), ReadError::NotFound);
        let published = world
            .hub
            .publish(&grant, &world.stream_of("q"), world.draft(&[r#"{"type":"T"}"#]))
            .await;
        assert_eq!(published.unwrap_err(), PublishError::NotFound);
    }
    assert!(world.hub.stream(&project_id("r"), &name("events")).is_none());
}

#[tokio::test]
async fn a_grant_that_names_streams_reaches_no_other() {
    let world = world().await;
    let mut grant = reader("p");
    grant.streams = Some(Arc::new([name("else")].into()));
    let refused = world.hub.open_read(&grant, world.request(Start::Earliest)).await;
    assert_eq!(refused.unwrap_err(), ReadError::Forbidden);
}

#[tokio::test]
async fn the_same_names_in_two_projects_are_two_streams() {
    let world = world().await;
    world.tenant("q").await;
    world.publish(&[r#"{"type":"T","body":"of p"}"#]).await;
    let draft = world.draft(&[r#"{"type":"T","body":"of q"}"#]);
    world.hub.publish(&publisher("q"), &world.stream_of("q"), draft).await.unwrap();
    let request = ReadRequest { stream: world.stream_of("q"), ..world.request(Start::Earliest) };
    let mut session = world.hub.open_read(&reader("q"), request).await.unwrap();
    assert!(lines(&mut session, 1).await[0].contains("of q"));
    world.hub.delete_project(&project_id("q")).await.unwrap();
    let mut session = world.read(Start::Earliest).await;
    assert!(lines(&mut session, 1).await[0].contains("of p"));
}
