//! Projects, streams, integrations and cursors last, within limits.

use std::sync::Arc;

use outflow_hub::subscription::SubscriptionSettings;
use outflow_hub::{
    CatalogError, Dedup, Durability, Hub, Ingest, IngestFormat, IngestMode, Integration, NewStream,
    OpenError, Options, Project, ReadEvent, Retention, Start, StreamSettings,
};
use outflow_model::rng::SeededRng;
use outflow_model::{IntegrationId, Timestamp};
use outflow_store::{AppendError, Batch, Engine};
use prometheus_client::registry::Registry;

use crate::world::{
    FIRST, integration, name, offsets, open, project, project_id, world, world_with,
};

fn new(stream: &str) -> NewStream {
    NewStream { name: name(stream), settings: StreamSettings::default() }
}

#[tokio::test]
async fn everything_survives_a_restart() {
    let world = world().await;
    let settings = StreamSettings {
        entities: None,
        feed_types: None,
        retention: Retention { age_ms: 5_000, max_bytes: None },
        durability: Durability::Relaxed,
        dedup: Some(Dedup { window_ms: 7, max_ids: 9 }),
        description: "näm/e \"quoted\"".into(),
        ingest: None,
    };
    let ingest =
        Ingest { name: "orders".into(), format: IngestFormat::Xml, mode: IngestMode::Drop };
    let synced = StreamSettings {
        retention: Retention { age_ms: 8_000_000, max_bytes: None },
        durability: Durability::Synced,
        dedup: None,
        ingest: Some(ingest),
        ..settings.clone()
    };
    let stream = NewStream { name: name("is-orders"), settings: synced.clone() };
    world.hub.create_stream(&project_id("p"), stream).await.unwrap();
    let odd = name("topic/orders.new:v1$");
    let stream = NewStream { name: odd.clone(), settings: settings.clone() };
    world.hub.create_stream(&project_id("p"), stream).await.unwrap();
    world.hub.set_cursor(&world.stream(), None, "mine", FIRST.plus(3)).await.unwrap();
    world.hub.set_cursor(&world.stream(), None, "mine", FIRST.plus(1)).await.unwrap();
    let engine = Arc::new(world.engine.restart());
    let again = open(&world.clock, &engine, Options::default()).await;
    assert_eq!(again.hub.projects(), world.hub.projects());
    assert_eq!(again.hub.integrations(&project_id("p")), world.hub.integrations(&project_id("p")));
    let stream = again.hub.stream(&project_id("p"), &odd).unwrap();
    assert_eq!(stream.settings, settings);
    assert_eq!(again.hub.streams(&project_id("p")).len(), 3);
    let orders = again.hub.stream(&project_id("p"), &name("is-orders")).unwrap();
    assert_eq!(orders.settings, synced);
    assert_eq!(again.hub.cursor(&again.stream(), None, "mine").await, Ok(Some(FIRST.plus(1))));
    assert_eq!(again.hub.cursors(&again.stream(), None).await.unwrap().len(), 1);
}

#[tokio::test]
async fn each_integration_has_cursors_of_its_own_and_they_go_with_it() {
    let world = world_with(Options { max_cursors: 2, ..Options::default() }).await;
    let (hub, stream) = (&world.hub, world.stream());
    let [one, two] = ["one", "two"].map(|id| IntegrationId::new(id).unwrap());
    let new = |id: &IntegrationId| Integration { id: id.clone(), ..integration("p") };
    for id in [&one, &two] {
        hub.create_integration(new(id)).await.unwrap();
    }
    let (one, two) = (&one, &two);
    for (owner, at) in [(None, 1), (Some(one), 2), (Some(two), 3)] {
        hub.set_cursor(&stream, owner, "mine", FIRST.plus(at)).await.unwrap();
    }
    hub.set_cursor(&stream, Some(one), "other", FIRST).await.unwrap();
    for (owner, at, count) in [(None, 1, 1), (Some(one), 2, 2), (Some(two), 3, 1)] {
        assert_eq!(hub.cursor(&stream, owner, "mine").await, Ok(Some(FIRST.plus(at))));
        assert_eq!(hub.cursors(&stream, owner).await.unwrap().len(), count);
    }
    let full = hub.set_cursor(&stream, Some(one), "third", FIRST).await;
    assert_eq!(full, Err(CatalogError::TooMany { max: 2 }), "the limit is each one's own");
    hub.set_cursor(&stream, None, "other", FIRST).await.unwrap();

    hub.delete_integration(&project_id("p"), one).await.unwrap();
    hub.create_integration(new(one)).await.unwrap();
    assert_eq!(hub.cursor(&stream, Some(one), "mine").await, Ok(None));
    assert_eq!(hub.cursor(&stream, Some(two), "mine").await, Ok(Some(FIRST.plus(3))));
}

#[tokio::test]
async fn names_are_unique_and_a_deleted_stream_comes_back_empty() {
    let world = world().await;
    let p = project_id("p");
    assert_eq!(world.hub.create_project(project("p")).await.unwrap_err(), CatalogError::Exists);
    assert_eq!(world.hub.create_stream(&p, new("events")).await.unwrap_err(), CatalogError::Exists);
    assert_eq!(
        world.hub.create_integration(integration("p")).await.unwrap_err(),
        CatalogError::Exists
    );
    assert_eq!(
        world.hub.create_stream(&project_id("q"), new("s")).await.unwrap_err(),
        CatalogError::NotFound
    );
    world.publish_numbers(0, 3).await;
    let old = world.stream();
    world.hub.set_cursor(&old, None, "mine", FIRST).await.unwrap();
    world.hub.delete_stream(&p, &name("events")).await.unwrap();
    assert_eq!(world.hub.cursor(&old, None, "mine").await, Err(CatalogError::NotFound));
    assert_eq!(
        world.hub.delete_stream(&p, &name("events")).await.unwrap_err(),
        CatalogError::NotFound
    );
    let stream = world.hub.create_stream(&p, new("events")).await.unwrap();
    assert!(stream.id > old.id, "numbers are not used again");
    let stats = world.hub.stats(&stream);
    assert_eq!((stats.start, stats.next), (FIRST.plus(3), FIRST.plus(3)), "no offset comes twice");
    assert_eq!(world.hub.cursor(&stream, None, "mine").await, Ok(None));
}

/// A client that resumes with an offset of a deleted stream must learn that events are missing, and
/// must get those of the new one.
#[tokio::test]
async fn a_stream_of_a_former_name_goes_on_above_it() {
    let world = world().await;
    let p = project_id("p");
    world.publish_numbers(0, 3).await;
    world.hub.delete_stream(&p, &name("events")).await.unwrap();
    world.hub.create_stream(&p, new("events")).await.unwrap();
    let mut live = world.read(Start::After(FIRST.plus(1))).await;
    assert_eq!(live.start().from, FIRST.plus(3));
    assert!(live.start().trimmed, "event 2 is gone");
    let at_end = world.read(Start::After(FIRST.plus(2))).await;
    assert!(!at_end.start().trimmed, "had read all of the former stream");
    assert!(
        matches!(live.next().await, ReadEvent::Heartbeat { considered } if considered == FIRST.plus(2))
    );
    assert_eq!(world.publish(&[r#"{"type":"CUSTOM","body":{}}"#]).await, [FIRST.plus(3)]);
    assert_eq!(offsets(&mut live, 1).await, [FIRST.plus(3)]);
    // Over a restart, with nothing published in between, and with the whole project deleted.
    world.hub.delete_project(&p).await.unwrap();
    world.tenant("p").await;
    let engine = Arc::new(world.engine.restart());
    let again = open(&world.clock, &engine, Options::default()).await;
    again.hub.delete_stream(&p, &name("events")).await.unwrap();
    again.hub.create_stream(&p, new("events")).await.unwrap();
    assert_eq!(again.hub.stats(&again.stream()).next, FIRST.plus(4));
    for start in [Start::Earliest, Start::Latest, Start::At(Timestamp::default())] {
        assert_eq!(again.read(start).await.start().from, FIRST.plus(4), "{start:?}");
    }
    assert_eq!(again.publish(&[r#"{"type":"CUSTOM","body":{}}"#]).await, [FIRST.plus(4)]);
}

#[tokio::test]
async fn deleted_streams_leave_at_most_one_mark_behind_once_their_project_is_gone() {
    let world = world().await;
    let p = project_id("p");
    let marks = async || {
        let found = world.engine.scan(b"catalog/ended/", None, 100).await.unwrap();
        found.into_iter().map(|entry| String::from_utf8(entry.key.to_vec()).unwrap()).collect()
    };
    world.publish_numbers(0, 3).await;
    world.hub.delete_stream(&p, &name("events")).await.unwrap();
    let left: Vec<String> = marks().await;
    assert_eq!(left, ["catalog/ended/p/events"]);
    // The stream that goes on above it tells the place itself.
    world.hub.create_stream(&p, new("events")).await.unwrap();
    assert!(marks().await.is_empty());
    for other in ["a", "b"] {
        world.hub.create_stream(&p, new(other)).await.unwrap();
        world.hub.delete_stream(&p, &name(other)).await.unwrap();
    }
    world.hub.delete_project(&p).await.unwrap();
    let left = marks().await;
    assert_eq!(left, ["catalog/ended/p/"]);
    // It holds for every stream of the project's name.
    world.hub.create_project(project("p")).await.unwrap();
    let stream = world.hub.create_stream(&p, new("new")).await.unwrap();
    assert_eq!(world.hub.stats(&stream).next, FIRST.plus(3));
}

#[tokio::test]
async fn a_change_that_is_not_durable_did_not_happen() {
    let world = world().await;
    world.engine.fail_next(AppendError::Full);
    let failed = world.hub.create_stream(&project_id("p"), new("other")).await;
    assert!(matches!(failed, Err(CatalogError::Unavailable(_))));
    assert!(world.hub.stream(&project_id("p"), &name("other")).is_none());
    world.hub.create_stream(&project_id("p"), new("other")).await.unwrap();
}

#[tokio::test]
async fn counts_and_texts_are_limited() {
    let options = Options {
        max_projects: 2,
        max_streams: 2,
        max_integrations: 1,
        max_cursors: 2,
        ..Options::default()
    };
    let world = world_with(options).await;
    let p = project_id("p");
    world.tenant("q").await;
    let many = |max| CatalogError::TooMany { max };
    assert_eq!(world.hub.create_project(project("r")).await.unwrap_err(), many(2));
    world.hub.create_stream(&p, new("b")).await.unwrap();
    assert_eq!(world.hub.create_stream(&p, new("c")).await.unwrap_err(), many(2));
    let mut other = integration("p");
    other.id = outflow_model::IntegrationId::new("j").unwrap();
    assert_eq!(world.hub.create_integration(other).await.unwrap_err(), many(1));
    for cursor in ["a", "b", "a"] {
        world.hub.set_cursor(&world.stream(), None, cursor, FIRST).await.unwrap();
    }
    assert_eq!(world.hub.set_cursor(&world.stream(), None, "c", FIRST).await.unwrap_err(), many(2));
    assert_eq!(world.hub.delete_cursor(&world.stream(), None, "a").await, Ok(true));
    assert_eq!(world.hub.delete_cursor(&world.stream(), None, "a").await, Ok(false));
    for bad in ["", "a/b", "ä", &"n".repeat(65)] {
        let refused = world.hub.set_cursor(&world.stream(), None, bad, FIRST).await;
        assert!(matches!(refused, Err(CatalogError::Invalid(_))), "{bad}");
    }
    let mut long = project("p");
    long.name = "n".repeat(129);
    assert!(matches!(world.hub.update_project(long).await, Err(CatalogError::Invalid(_))));
    for id in [".landing", ".mailbox", "..."] {
        let own = Integration { id: IntegrationId::new(id).unwrap(), ..integration("p") };
        let refused = world.hub.create_integration(own).await;
        assert!(matches!(refused, Err(CatalogError::Invalid(_))), "{id} is the server's own");
    }
    let mut nobody = integration("p");
    nobody.max_connections = 0;
    assert!(matches!(world.hub.update_integration(nobody).await, Err(CatalogError::Invalid(_))));
}

#[tokio::test]
async fn a_change_of_what_was_changed_since_undoes_nothing() {
    let world = world().await;
    let (hub, p) = (&world.hub, project_id("p"));
    let (stream, seen) = (world.stream(), hub.project(&p).unwrap());
    let integration = hub.integrations(&p).remove(0);
    let described =
        |text: &str| StreamSettings { description: text.into(), ..StreamSettings::default() };
    hub.update_seen_stream(stream.clone(), described("one")).await.unwrap();
    let late = hub.update_seen_stream(stream.clone(), described("two")).await;
    assert_eq!(late.unwrap_err(), CatalogError::Conflict);
    assert_eq!(world.stream().settings.description, "one");
    let named = |name: &str| Project { name: name.into(), ..project("p") };
    hub.update_seen_project(seen.clone(), named("one")).await.unwrap();
    let late = hub.update_seen_project(seen, named("two")).await;
    assert_eq!(late.unwrap_err(), CatalogError::Conflict);
    let narrow = Integration { compliance: false, ..(*integration).clone() };
    hub.update_seen_integration(integration.clone(), narrow.clone()).await.unwrap();
    let late = hub.update_seen_integration(integration, narrow).await;
    assert_eq!(late.unwrap_err(), CatalogError::Conflict);
    let subscription = world.subscribe().await;
    let (settings, exclusive) = (subscription.settings(), |exclusive| {
        outflow_hub::subscription::SubscriptionSettings { exclusive, ..Default::default() }
    });
    hub.update_seen_subscription(&subscription, settings.clone(), exclusive(true)).await.unwrap();
    let late = hub.update_seen_subscription(&subscription, settings, exclusive(false)).await;
    assert_eq!(late.unwrap_err(), CatalogError::Conflict);
    assert!(subscription.settings().exclusive);
    // Another stream of its name is another stream.
    let stream = world.stream();
    hub.delete_stream(&p, &stream.name).await.unwrap();
    let gone = hub.update_seen_stream(stream.clone(), described("two")).await;
    assert_eq!(gone.unwrap_err(), CatalogError::NotFound);
    let new = NewStream { name: stream.name.clone(), settings: StreamSettings::default() };
    hub.create_stream(&p, new).await.unwrap();
    let other = hub.update_seen_stream(stream, described("two")).await;
    assert_eq!(other.unwrap_err(), CatalogError::Conflict);
}

#[tokio::test]
async fn a_newer_catalog_is_refused_not_guessed() {
    let world = world().await;
    let value = br#"{"v":2,"id":"x"}"#;
    world
        .engine
        .submit(Batch::put(&b"catalog/project/x"[..], Some((&value[..]).into())))
        .await
        .unwrap();
    let rng = Arc::new(SeededRng::new(1));
    let (clock, mut metrics) = (world.clock.clone(), Registry::default());
    let opened =
        Hub::open(world.engine.clone(), clock, rng, Options::default(), &mut metrics).await;
    assert!(matches!(opened, Err(OpenError::Corrupt(_))));
}

#[tokio::test]
async fn an_ingest_stream_takes_payloads_only_and_keeps_them_until_they_landed() {
    let world = world().await;
    let ingest =
        Ingest { name: String::new(), format: IngestFormat::Json, mode: IngestMode::Active };
    let well = StreamSettings { ingest: Some(ingest), dedup: None, ..StreamSettings::default() };
    let (p, upstream) = (project_id("p"), name("is-1"));
    let new = NewStream { name: upstream.clone(), settings: well.clone() };
    world.hub.create_stream(&p, new).await.unwrap();
    let kept = |age_ms, max_bytes| Retention { age_ms, max_bytes };
    let (hours, gib) = (3_600_000, 1 << 30);
    for (wrong, about) in [
        (StreamSettings { entities: Some(crate::keyed::types()), ..well.clone() }, "entities"),
        (StreamSettings { dedup: Some(Dedup::default()), ..well.clone() }, "dedup"),
        (StreamSettings { retention: kept(2 * hours - 1, None), ..well.clone() }, "retention"),
        (
            StreamSettings { retention: kept(48 * hours, Some(gib - 1)), ..well.clone() },
            "retention",
        ),
    ] {
        let refused = world.hub.update_stream(&p, &upstream, wrong).await;
        let Err(CatalogError::Invalid(reason)) = refused else { panic!("{refused:?}") };
        assert!(reason.starts_with(about), "{reason}");
    }
    let least = StreamSettings { retention: kept(2 * hours, Some(gib)), ..well };
    world.hub.update_stream(&p, &upstream, least).await.unwrap();
}

#[tokio::test]
async fn a_stream_from_before_a_bound_can_be_changed_but_not_for_the_worse() {
    let world = world().await;
    let ingest =
        Ingest { name: String::new(), format: IngestFormat::Json, mode: IngestMode::Active };
    let well = StreamSettings { ingest: Some(ingest), dedup: None, ..StreamSettings::default() };
    let (p, upstream) = (project_id("p"), name("is-1"));
    let new = NewStream { name: upstream.clone(), settings: well };
    world.hub.create_stream(&p, new).await.unwrap();
    // An ingest stream could keep little, and drop copies.
    let again = world.after_storing("is-1", |record| {
        record["age_ms"] = 60_000.into();
        record["max_bytes"] = 1_000_000.into();
        record["dedup"] = serde_json::json!({"window_ms": 7, "max_ids": 9});
    });
    let again = again.await;

    let old = again.hub.stream(&p, &upstream).unwrap().settings.clone();
    assert_eq!(old.retention, Retention { age_ms: 60_000, max_bytes: Some(1_000_000) });
    let mut ended = old.clone();
    ended.ingest.as_mut().unwrap().mode = IngestMode::Drop;
    again.hub.update_stream(&p, &upstream, ended.clone()).await.unwrap();
    let kept = |age_ms, max_bytes| Retention { age_ms, max_bytes };
    let better =
        StreamSettings { retention: kept(120_000, Some(2_000_000)), dedup: None, ..ended.clone() };
    again.hub.update_stream(&p, &upstream, better.clone()).await.unwrap();
    for worse in [
        StreamSettings { retention: kept(119_999, Some(2_000_000)), ..better.clone() },
        StreamSettings { retention: kept(120_000, Some(1_999_999)), ..better.clone() },
        StreamSettings { dedup: old.dedup, ..better.clone() },
        StreamSettings { durability: Durability::Relaxed, ..better.clone() },
    ] {
        let refused = again.hub.update_stream(&p, &upstream, worse).await;
        assert!(matches!(refused, Err(CatalogError::Invalid(_))), "{refused:?}");
    }
    let unbounded = StreamSettings { retention: kept(120_000, None), ..better.clone() };
    again.hub.update_stream(&p, &upstream, unbounded).await.unwrap();
    let bounded = again.hub.update_stream(&p, &upstream, better).await;
    assert!(matches!(bounded, Err(CatalogError::Invalid(_))), "{bounded:?}");
}

#[tokio::test]
async fn a_stream_that_takes_dead_letters_is_no_ingest_stream_unless_it_was_before() {
    let world = world().await;
    let p = project_id("p");
    world.stream_called("letters").await;
    let settings =
        SubscriptionSettings { dead_letter: Some(name("letters")), ..Default::default() };
    world.subscribe_with(settings).await;
    let plain = world.hub.stream(&p, &name("letters")).unwrap().settings.clone();
    let ingest =
        Ingest { name: String::new(), format: IngestFormat::Json, mode: IngestMode::Active };
    let upstream = StreamSettings { ingest: Some(ingest), dedup: None, ..plain.clone() };
    let keyed = StreamSettings { entities: Some(crate::keyed::types()), ..plain };
    for chooses in [upstream, keyed] {
        let refused = world.hub.update_stream(&p, &name("letters"), chooses).await;
        let Err(CatalogError::Invalid(reason)) = refused else { panic!("{refused:?}") };
        assert!(reason.contains("dead events"), "{reason}");
    }
    let again = world.after_storing("letters", |record| {
        record["ingest"] = serde_json::json!({"name": "", "format": "json", "mode": "active"});
        record["dedup"] = serde_json::Value::Null;
    });
    let again = again.await;
    let mut ended = again.hub.stream(&p, &name("letters")).unwrap().settings.clone();
    ended.ingest.as_mut().unwrap().mode = IngestMode::Drop;
    again.hub.update_stream(&p, &name("letters"), ended.clone()).await.unwrap();
    // Once it takes any event it stays so.
    let open = StreamSettings { ingest: None, ..ended.clone() };
    again.hub.update_stream(&p, &name("letters"), open).await.unwrap();
    let refused = again.hub.update_stream(&p, &name("letters"), ended).await;
    assert!(matches!(refused, Err(CatalogError::Invalid(_))), "{refused:?}");
}
