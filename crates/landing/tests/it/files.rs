//! What lands when, and what is in it.

use outflow_hub::IngestFormat;
use outflow_landing::{Directory, Options, Place};
use outflow_model::draft::Body;

use crate::world::World;

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
    std::fs::write(folder.path().join("file"), "").unwrap();
    let blocked = Directory::new(folder.path().join("file"));
    assert!(blocked.put("a".into(), Vec::new()).await.is_err());
}
