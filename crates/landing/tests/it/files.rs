//! What lands when, and what is in it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::StreamExt;
use outflow_hub::landing::{First, LandedFiles};
use outflow_hub::{CatalogError, IngestFormat, Project, ProjectLimits, PublishError};
use outflow_landing::{Directory, Lander, Options, Place};
use outflow_model::draft::Body;
use prometheus_client::registry::Registry;
use tokio::sync::Semaphore;

use crate::world::{Fate, STREAM, World};

const FIRST: u64 = 1_000_000_000_000_000;

#[tokio::test]
async fn a_file_is_closed_by_age_and_holds_what_came_byte_for_byte() {
    let world = World::new(IngestFormat::Json).await;
    let mut lander = world.lander(Options::default());
    world.json("{\"a\": 1.10,\n \"a\":1E2}").await;
    world.clock.advance(59_999);
    world.json("{\"b\":\"é\"}").await;
    lander.pass().await;
    assert!(world.names().is_empty());
    world.clock.advance(1);
    lander.pass().await;
    assert_eq!(world.names(), [format!("2026-03-01/20-30-00-{FIRST}.ndjson")]);
    assert_eq!(world.text(), "{\"a\": 1.10, \"a\":1E2}\n{\"b\":\"é\"}\n");
    world.clock.advance(600_000);
    lander.pass().await;
    assert_eq!(world.names().len(), 1);
}

#[tokio::test]
async fn no_file_goes_across_an_hour_or_the_day() {
    let world = World::new(IngestFormat::Json).await;
    let options = Options { max_age: std::time::Duration::from_secs(86_400), ..Options::default() };
    let mut lander = world.lander(options);
    for hour in 0..5 {
        world.json(&format!("{{\"hour\":{hour}}}")).await;
        world.json("{}").await;
        world.clock.advance(3_600_000);
    }
    lander.pass().await;
    let starts: Vec<_> = world.names().iter().map(|name| name[..16].to_owned()).collect();
    let expected = [
        "2026-03-01/20-30",
        "2026-03-01/21-30",
        "2026-03-01/22-30",
        "2026-03-01/23-30",
        "2026-03-02/00-30",
    ];
    assert_eq!(starts, expected);
}

#[tokio::test]
async fn a_file_is_closed_by_size() {
    let world = World::new(IngestFormat::Json).await;
    let mut lander = world.lander(Options { max_bytes: 1_000, ..Options::default() });
    for n in 0..100 {
        world.json(&format!("{{\"n\":{n}}}")).await;
    }
    lander.pass().await;
    assert!(world.names().len() > 10, "{:?}", world.names());
    world.clock.advance(60_000);
    lander.pass().await;
    let expected: String = (0..100).map(|n| format!("{{\"n\":{n}}}\n")).collect();
    assert_eq!(world.text(), expected);
}

#[tokio::test]
async fn xml_lands_as_one_cbor_array_and_what_cannot_be_read_beside_it() {
    let world = World::new(IngestFormat::Xml).await;
    let mut lander = world.lander(Options::default());
    world.send(Body::Text("<a><b>1</b></a>")).await;
    world.send(Body::Text("<a>")).await;
    world.send(Body::Bytes(b"<a>\xff</a>")).await;
    world.send(Body::Text("<a/>")).await;
    world.clock.advance(60_000);
    lander.pass().await;
    let names = world.names();
    let (file, failed) =
        (format!("20-30-00-{FIRST}.cbor"), format!("_failed/20-30-00-{FIRST}.ndjson"));
    assert_eq!(names, [format!("2026-03-01/{file}"), format!("2026-03-01/{failed}")]);
    let files = world.shelf.files.lock().clone();
    let cbor = files.iter().find(|(name, _)| name.ends_with("cbor")).unwrap().1.clone();
    assert_eq!(cbor, b"\x9f\xa1\x61a\xa1\x61b\x611\xa1\x61a\x60\xff");
    let rows = files.iter().find(|(name, _)| name.contains("_failed")).unwrap().1.clone();
    let rows: Vec<serde_json::Value> = String::from_utf8(rows)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(rows.len(), 2);
    assert_eq!(rows[0]["offset"], (FIRST + 1).to_string());
    assert_eq!(rows[0]["payload_base64"], "PGE+");
    assert_eq!(rows[1]["payload_base64"], "PGE+/zwvYT4=");
    assert!(rows[1]["reason"].as_str().unwrap().contains("utf-8"));
}

#[tokio::test]
async fn a_directory_holds_whole_files_only() {
    let folder = tempfile::tempdir().unwrap();
    let place = Directory::new(folder.path().join("not/yet"));
    // What a crash left behind.
    let day = folder.path().join("not/yet/ingest/2026-03-01");
    std::fs::create_dir_all(&day).unwrap();
    std::fs::write(day.join(".a.ndjson.part"), "half of something longer").unwrap();
    for _ in 0..2 {
        place.put("ingest/2026-03-01/a.ndjson".into(), b"{}\n".to_vec()).await.unwrap();
    }
    let names: Vec<_> = std::fs::read_dir(&day)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(names, ["a.ndjson"]);
    assert_eq!(std::fs::read(day.join("a.ndjson")).unwrap(), b"{}\n");
    assert!(place.has("ingest/2026-03-01/a.ndjson".into()).await.unwrap());
    assert!(!place.has("ingest/2026-03-01/b.ndjson".into()).await.unwrap());
    std::fs::write(folder.path().join("file"), "").unwrap();
    let blocked = Directory::new(folder.path().join("file"));
    assert!(blocked.put("a".into(), Vec::new()).await.is_err());
}

#[tokio::test]
async fn a_project_with_all_the_readers_it_may_have_lands_all_the_same() {
    let world = World::new(IngestFormat::Json).await;
    let mut lander = world.lander(Options::default());
    let project = world.hub.project(&world.stream.project).unwrap();
    let limits = ProjectLimits { connections: 1 };
    world.hub.update_project(Project { limits, ..(*project).clone() }).await.unwrap();
    let _reader = world.reader().await.unwrap();
    assert!(world.reader().await.is_err());
    world.json("{}").await;
    world.clock.advance(60_000);
    lander.pass().await;
    assert_eq!(world.names().len(), 1);
    assert!(world.reader().await.is_err());
}

#[tokio::test]
async fn a_file_that_is_made_again_has_its_name_whatever_was_retired() {
    let world = World::new(IngestFormat::Json).await;
    let mut lander = world.lander(Options::default());
    for n in 0..3 {
        world.json(&format!("{{\"n\":{n}}}")).await;
    }
    world.clock.advance(60_000);
    // It is put, and the server ends before that is noted.
    *world.shelf.fate.lock() = Some(Fate::Lost);
    lander.pass().await;
    let whole = world.text();
    assert_eq!(whole.lines().count(), 3);
    // Retention takes the beginning meanwhile.
    world.clock.advance(1_000);
    world.json("{\"n\":3}").await;
    world.engine.retain(world.hub.clock().now().plus_millis(world.age_ms() - 500));
    let mut lander = world.lander(Options::default());
    lander.pass().await;
    world.clock.advance(60_000);
    lander.pass().await;
    assert_eq!(world.text(), whole + "{\"n\":3}\n");
    assert_eq!(world.names().len(), 2);
}

#[tokio::test]
async fn streams_take_turns() {
    let world = World::new(IngestFormat::Json).await;
    let mut lander = world.lander(Options { max_bytes: 1, ..Options::default() });
    let other = world.another("is-Other").await;
    for _ in 0..20 {
        world.json("{}").await;
    }
    world.send_to(&other, Body::Json(b"{}")).await;
    lander.pass().await;
    let order = world.shelf.order.lock().clone();
    let at = order.iter().position(|path| path.contains("is-Other")).unwrap();
    assert!(at < 2, "{at}: one file of each, then the next");
    assert_eq!(order.len(), 21);
}

#[tokio::test]
async fn what_does_not_land_is_tried_more_and_more_rarely_and_says_why() {
    let world = World::new(IngestFormat::Json).await;
    let mut registry = Registry::default();
    let mut lander = world.lander_into(&mut registry);
    let failing = |registry: &Registry| {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, registry).unwrap();
        text.contains("landing_streams_failing 1")
    };
    world.json("{}").await;
    world.clock.advance(60_000);
    let mut tried = 0;
    for _ in 0..600 {
        *world.shelf.fate.lock() = Some(Fate::Refused);
        lander.pass().await;
        tried += u32::from(world.shelf.fate.lock().is_none());
        world.clock.advance(1_000);
    }
    assert!((10..30).contains(&tried), "{tried} attempts in ten minutes");
    let failure = world.hub.landing_failure(&world.stream).unwrap();
    assert_eq!(failure.reason, "the answer is lost");
    assert_eq!(failure.since.to_string(), "2026-03-01T20:31:00.000Z");
    assert!(failing(&registry));
    *world.shelf.fate.lock() = None;
    world.clock.advance(60_000);
    lander.pass().await;
    assert_eq!(world.names().len(), 1);
    assert_eq!(world.hub.landing_failure(&world.stream), None);
    assert!(!failing(&registry));
}

#[tokio::test]
async fn the_next_project_of_a_name_has_no_files_of_the_former() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::new(IngestFormat::Json).await;
    let place = Arc::new(Directory::new(folder.path().into()));
    let registry = &mut Registry::default();
    let mut lander = Lander::new(world.hub.clone(), place, Options::default(), registry).unwrap();
    let day = "ingest/stream/acme/is-AbC/2026-03-01";
    world.json("{\"old\":1}").await;
    world.clock.advance(60_000);
    lander.pass().await;
    assert!(folder.path().join(day).exists());
    let former = world.stream.id;
    world.hub.delete_project(&world.stream.project).await.unwrap();
    let stream = World::make(&world.hub, IngestFormat::Json).await;
    world.send_to(&stream, Body::Json(b"{\"new\":1}")).await;
    world.clock.advance(60_000);
    lander.pass().await;
    let read = |day: &std::path::Path| {
        let mut names: Vec<_> =
            std::fs::read_dir(day).unwrap().map(|one| one.unwrap().path()).collect();
        assert_eq!(names.len(), 1, "{names:?}");
        std::fs::read_to_string(names.remove(0)).unwrap()
    };
    assert_eq!(read(&folder.path().join(day)), "{\"new\":1}\n");
    let apart = format!("ingest/deleted/acme/is-AbC-{former}/2026-03-01");
    assert_eq!(read(&folder.path().join(apart)), "{\"old\":1}\n");
}

#[tokio::test(start_paused = true)]
async fn streams_land_while_the_files_of_a_deleted_one_are_moved() {
    let world = World::new(IngestFormat::Json).await;
    let mut lander = world.lander(Options::default());
    let other = world.another("is-Other").await;
    world.json("{\"old\":1}").await;
    world.clock.advance(60_000);
    lander.pass().await;
    world.hub.delete_stream(&world.stream.project, &world.stream.name).await.unwrap();
    let gate = Arc::new(Semaphore::new(0));
    *world.shelf.gate.lock() = Some(gate.clone());
    let next = world.another(STREAM).await;
    world.send_to(&next, Body::Json(b"{\"new\":1}")).await;
    world.send_to(&other, Body::Json(b"{\"other\":1}")).await;
    world.clock.advance(60_000);
    let pass = tokio::time::timeout(Duration::from_secs(1), lander.pass()).await;
    assert!(pass.is_err(), "it did not wait for the folder");
    let files = || world.shelf.files.lock().clone();
    let of = |name: &str, files: &BTreeMap<String, Vec<u8>>| {
        let own = files.iter().filter(|(path, _)| path.contains(&format!("/{name}/")));
        own.map(|(_, bytes)| String::from_utf8(bytes.clone()).unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(of("is-Other", &files()), ["{\"other\":1}\n"]);
    // The next of its name waits for its own folder only.
    assert_eq!(of(STREAM, &files()), ["{\"old\":1}\n"]);
    gate.close();
    lander.pass().await;
    assert_eq!(of(STREAM, &files()), ["{\"new\":1}\n"]);
    let apart = format!("is-AbC-{}", world.stream.id);
    assert_eq!(of(&apart, &files()), ["{\"old\":1}\n"]);
}

#[tokio::test]
async fn landed_files_are_listed_in_order_and_read_whole() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::new(IngestFormat::Xml).await;
    let place = Arc::new(Directory::new(folder.path().into()));
    let registry = &mut Registry::default();
    let mut lander =
        Lander::new(world.hub.clone(), place.clone(), Options::default(), registry).unwrap();
    assert_eq!(place.list(&world.stream, None, 10).await.unwrap(), []);
    for _ in 0..4 {
        world.send(Body::Text("<a/>")).await;
        world.send(Body::Text("<a>")).await;
        // Across midnight.
        world.clock.advance(5_400_000);
    }
    lander.pass().await;
    let day = folder.path().join("ingest/stream/acme/is-AbC/2026-03-01");
    // What is no landed file, and what is a former stream's.
    std::fs::write(day.join(".20-30-00-1.cbor.part"), "half").unwrap();
    std::fs::write(day.join("20-30-00-7.cbor"), "former").unwrap();
    let all = place.list(&world.stream, None, 100).await.unwrap();
    let paths: Vec<&str> = all.iter().map(|file| file.path.as_str()).collect();
    assert_eq!(paths.len(), 8, "{paths:?}");
    assert!(paths.is_sorted());
    assert_eq!(paths.iter().filter(|path| path.starts_with("2026-03-02/")).count(), 2);
    let mut paged = Vec::new();
    loop {
        let after = paged.last().map(|file: &outflow_hub::landing::LandedFile| file.path.clone());
        let page = place.list(&world.stream, after.as_deref(), 3).await.unwrap();
        if page.is_empty() {
            break;
        }
        paged.extend(page);
    }
    assert_eq!(paged, all);
    for file in &all {
        let open = place.open(&world.stream, &file.path).await.unwrap().unwrap();
        let content: Vec<u8> = open.content.map(|piece| piece.unwrap().to_vec()).concat().await;
        assert_eq!((open.bytes, content.len() as u64), (file.bytes, file.bytes));
        let path = day.parent().unwrap().join(&file.path);
        assert_eq!(content, std::fs::read(path).unwrap());
    }
    for path in ["2026-03-01/20-30-00-7.cbor", "2026-03-01/../2026-03-01/x", "", "/etc/passwd"] {
        assert!(place.open(&world.stream, path).await.unwrap().is_none(), "{path}");
    }
}

#[tokio::test]
async fn a_stream_about_to_be_deleted_lands_at_once_and_takes_nothing_meanwhile() {
    let world = World::new(IngestFormat::Json).await;
    let all = [world.stream.clone()];
    assert!(world.hub.land(&all, Duration::ZERO).await.is_ok(), "it holds nothing");
    world.json("{\"n\":1}").await;
    let off = world.hub.land(&all, Duration::ZERO).await;
    assert!(matches!(off, Err(CatalogError::NotLanded { lands: false, .. })), "{off:?}");
    let mut lander = world.lander(Options::default());
    let late = world.hub.land(&all, Duration::ZERO).await;
    assert!(matches!(late, Err(CatalogError::NotLanded { lands: true, .. })), "{late:?}");
    world.json("{\"n\":2}").await;
    let hub = world.hub.clone();
    let landing = tokio::spawn(async move { hub.land(&all, Duration::from_secs(60)).await });
    while !world.stream.is_ending() {
        tokio::task::yield_now().await;
    }
    lander.pass().await;
    let landed = landing.await.unwrap().unwrap();
    assert_eq!(world.text(), "{\"n\":1}\n{\"n\":2}\n");
    let refused = world.try_send(&world.stream, Body::Json(b"{}")).await;
    assert!(matches!(refused, Err(PublishError::Unavailable(_))), "{refused:?}");
    drop(landed);
    world.json("{}").await;
}

#[tokio::test]
async fn a_stream_being_deleted_takes_nothing_though_nobody_waits_for_it() {
    let world = World::new(IngestFormat::Json).await;
    let all = [world.stream.clone()];
    let landed = world.hub.land(&all, Duration::ZERO).await.unwrap();
    world.engine.hold();
    let (project, name) = (&world.stream.project, &world.stream.name);
    // The one who asks for it hangs up at once.
    drop(world.hub.delete_landed_stream(project, name, landed));
    while world.engine.held() == 0 {
        let refused = world.try_send(&world.stream, Body::Json(b"{}"));
        let refused = tokio::time::timeout(Duration::ZERO, refused).await.expect("it was taken");
        assert!(matches!(refused, Err(PublishError::Unavailable(_))), "{refused:?}");
        tokio::task::yield_now().await;
    }
    let refused = world.try_send(&world.stream, Body::Json(b"{}"));
    let refused = tokio::time::timeout(Duration::ZERO, refused).await.expect("it was taken");
    assert!(matches!(refused, Err(PublishError::Unavailable(_))), "{refused:?}");
    world.engine.commit_all();
    while world.hub.stream(project, name).is_some() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn what_was_made_after_the_others_landed_is_not_deleted_with_them() {
    let world = World::new(IngestFormat::Json).await;
    let (project, name) = (&world.stream.project, &world.stream.name);
    let none = world.hub.land(&[], Duration::ZERO).await.unwrap();
    let refused = world.hub.delete_landed_stream(project, name, none).await;
    assert_eq!(refused, Err(CatalogError::Conflict));
    let done = Arc::new(AtomicBool::new(false));
    let first = || -> First {
        let done = Arc::clone(&done);
        Box::pin(async move {
            done.store(true, Ordering::Relaxed);
            Ok(())
        })
    };
    let none = world.hub.land(&[], Duration::ZERO).await.unwrap();
    let refused = world.hub.delete_landed_project(project, none, first()).await;
    assert_eq!((refused, done.load(Ordering::Relaxed)), (Err(CatalogError::Conflict), false));
    let own = std::slice::from_ref(&world.stream);
    let landed = world.hub.land(own, Duration::ZERO).await.unwrap();
    assert_eq!(world.hub.delete_landed_project(project, landed, first()).await, Ok(()));
    assert!(done.load(Ordering::Relaxed));
}

#[tokio::test]
async fn files_of_a_stream_that_was_deleted_before_a_stop_are_not_the_next_ones() {
    let world = World::new(IngestFormat::Json).await;
    let mut lander = world.lander(Options::default());
    world.json("{\"old\":1}").await;
    world.clock.advance(60_000);
    lander.pass().await;
    // The server ends before the lander sees that the stream is gone.
    drop(lander);
    world.hub.delete_project(&world.stream.project).await.unwrap();
    let stream = World::make(&world.hub, IngestFormat::Json).await;
    world.send_to(&stream, Body::Json(b"{\"new\":1}")).await;
    world.clock.advance(60_000);
    for _ in 0..2 {
        world.lander(Options::default()).pass().await;
    }
    let files = world.shelf.files.lock().clone();
    let apart = format!("ingest/deleted/acme/is-AbC-before-{}/", stream.id);
    assert_eq!(files.len(), 2);
    for (path, bytes) in files {
        let expected: &[u8] =
            if path.starts_with(&apart) { b"{\"old\":1}\n" } else { b"{\"new\":1}\n" };
        assert_eq!(bytes, expected, "{path}");
    }
}

#[tokio::test]
async fn what_is_gone_is_counted_once_when_its_place_is_passed() {
    let world = World::new(IngestFormat::Json).await;
    let mut registry = Registry::default();
    let mut lander = world.lander_into(&mut registry);
    let lost = || {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        let line = text.lines().find(|line| line.starts_with("landing_lost_total"));
        line.unwrap().rsplit(' ').next().unwrap().parse::<u64>().unwrap()
    };
    // Three are gone before they were looked at, and one is there that cannot be put for a while.
    for _ in 0..3 {
        world.json("{}").await;
    }
    world.clock.advance(1_000);
    world.json("{\"n\":3}").await;
    world.engine.retain(world.hub.clock().now().plus_millis(world.age_ms() - 500));
    world.clock.advance(60_000);
    for _ in 0..5 {
        *world.shelf.fate.lock() = Some(Fate::Refused);
        lander.pass().await;
        assert!(world.names().is_empty());
        assert_eq!(lost(), 0, "it is not passed yet");
        world.clock.advance(600_000);
    }
    *world.shelf.fate.lock() = None;
    lander.pass().await;
    assert_eq!(world.text(), "{\"n\":3}\n");
    assert_eq!(lost(), 3);
    // Two more, and nothing behind them.
    for _ in 0..2 {
        world.json("{}").await;
    }
    world.engine.retain(world.hub.clock().now().plus_millis(world.age_ms() + 1));
    for _ in 0..3 {
        lander.pass().await;
        world.clock.advance(60_000);
        assert_eq!(lost(), 5);
    }
    drop(lander);
    world.lander_into(&mut Registry::default()).pass().await;
    world.json("{\"n\":6}").await;
    let mut again = Registry::default();
    let mut lander = world.lander_into(&mut again);
    world.clock.advance(60_000);
    lander.pass().await;
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &again).unwrap();
    assert!(text.contains("landing_lost_total 0"), "{text}");
    assert_eq!(world.names().len(), 2);
}
