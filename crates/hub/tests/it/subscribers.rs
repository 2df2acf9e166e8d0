//! Subscribers are found again, belong to whoever came first, and go with their project.

use outflow_hub::{CatalogError, Options, Subscriber};
use outflow_model::Timestamp;

use crate::world::{open, project_id, world, world_with};

fn subscriber(project: &str, id: &str, owner: &str) -> Subscriber {
    Subscriber {
        project: project_id(project),
        id: id.into(),
        name: format!("name of {id}"),
        owner: owner.into(),
        created: Timestamp::default(),
    }
}

#[tokio::test]
async fn a_subscriber_survives_a_restart_and_goes_with_its_project() {
    let world = world().await;
    world.tenant("other").await;
    let made = world.hub.register_subscriber(subscriber("p", "a", "me")).await.unwrap();
    assert_eq!(made.created.millis(), crate::world::NOW);
    world.hub.register_subscriber(subscriber("other", "a", "them")).await.unwrap();
    let again = open(&world.clock, &world.engine, Options::default()).await;
    assert_eq!(again.hub.subscriber(&project_id("p"), "a").await.unwrap(), Some(made));
    again.hub.delete_project(&project_id("p")).await.unwrap();
    assert_eq!(again.hub.subscriber(&project_id("p"), "a").await.unwrap(), None);
    let theirs = again.hub.subscriber(&project_id("other"), "a").await.unwrap();
    assert_eq!(theirs.unwrap().owner, "them");
}

#[tokio::test]
async fn the_first_owner_keeps_the_id_until_it_is_deleted() {
    let world = world().await;
    let project = project_id("p");
    world.hub.register_subscriber(subscriber("p", "a", "me")).await.unwrap();
    let second = world.hub.register_subscriber(subscriber("p", "a", "them")).await.unwrap();
    assert_eq!(second.owner, "me");
    // Asked for before, and so remembered, it is gone all the same.
    assert_eq!(world.hub.subscriber(&project, "a").await.unwrap().unwrap().owner, "me");
    assert!(world.hub.delete_subscriber(&project, "a").await.unwrap());
    assert!(!world.hub.delete_subscriber(&project, "a").await.unwrap());
    assert_eq!(world.hub.subscriber(&project, "a").await.unwrap(), None);
    let third = world.hub.register_subscriber(subscriber("p", "a", "them")).await.unwrap();
    assert_eq!(third.owner, "them");
}

#[tokio::test]
async fn there_are_so_many_and_no_more() {
    let world = world_with(Options { max_subscribers: 2, ..Options::default() }).await;
    for id in ["a", "b", "a"] {
        world.hub.register_subscriber(subscriber("p", id, "me")).await.unwrap();
    }
    let third = world.hub.register_subscriber(subscriber("p", "c", "me")).await;
    assert_eq!(third, Err(CatalogError::TooMany { max: 2 }));
    let nowhere = world.hub.register_subscriber(subscriber("nowhere", "a", "me")).await;
    assert_eq!(nowhere, Err(CatalogError::NotFound));
    let bad = world.hub.register_subscriber(subscriber("p", "no/slash", "me")).await;
    assert!(matches!(bad, Err(CatalogError::Invalid(_))));
}
