//! Ingest streams over HTTP: made with an id of the seed's form, shown, set, removed.

use std::sync::Arc;

use futures_util::{StreamExt, stream};
use http::Method;
use outflow_hub::landing::{LandedBytes, LandedFile, LandedFiles, Looking};
use outflow_hub::{LandingFailure, Stream};
use outflow_model::{Action, CredentialId, Draft, Grant};
use outflow_store::Engine;
use serde_json::json;

use crate::stage::Stage;

const STREAMS: &str = "/v1/projects/acme/ingest-streams";

#[tokio::test]
async fn an_ingest_stream_goes_through_its_life() {
    let stage = Stage::new().await;
    let new = json!({ "name": "orders", "description": "from the shop", "format": "xml" });
    let made = stage.operate(Method::POST, STREAMS, new).await;
    assert_eq!(made.status, 201);
    let view = made.json();
    let id = view["id"].as_str().unwrap().to_owned();
    let digits = id.strip_prefix("is-").unwrap();
    assert!(digits.len() == 9 && digits.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{id}");
    assert_eq!(view["path"], format!("/stream/v0/data/{id}"));
    assert_eq!((&view["format"], &view["mode"]), (&json!("xml"), &json!("active")));
    let one = format!("{STREAMS}/{id}");
    let changed =
        stage.operate(Method::PATCH, &one, json!({ "mode": "drop", "name": "all" })).await;
    assert_eq!((&changed.json()["mode"], &changed.json()["name"]), (&json!("drop"), &json!("all")));
    assert_eq!(stage.get(&one).await.json()["description"], "from the shop");
    let second = stage.operate(Method::POST, STREAMS, json!({})).await.json();
    assert_ne!(second["id"], id.as_str());
    assert_eq!(stage.get(STREAMS).await.json()["items"].as_array().unwrap().len(), 2);
    let stream = stage.hub.stream_named("acme", &id).unwrap();
    let since = stage.hub.clock().now();
    let failure = LandingFailure { since, reason: "no space left on device".to_owned() };
    stage.hub.set_landing_failure(&stream, Some(failure));
    let shown = stage.get(&one).await.json();
    assert_eq!(shown["landing_failure"]["reason"], "no space left on device");
    stage.hub.set_landing_failure(&stream, None);
    assert!(stage.get(&one).await.json().get("landing_failure").is_none());
    // It is a stream of the project; others are not ingest streams.
    assert_eq!(stage.get(&format!("/v1/projects/acme/streams/{id}")).await.status, 200);
    assert_eq!(stage.get(&format!("{STREAMS}/events")).await.status, 404);
    let foreign = format!("/v1/projects/rival/ingest-streams/{id}");
    assert_eq!(stage.get(&foreign).await.status, 404);
    assert_eq!(stage.operate(Method::DELETE, &one, json!({})).await.status, 204);
    assert_eq!(stage.get(&one).await.status, 404);
}

/// Files `2026-03-01/0` to `9` of every stream, and one that could not be landed.
#[derive(Debug)]
struct TenFiles;

impl LandedFiles for TenFiles {
    fn list<'a>(
        &'a self,
        _: &Stream,
        after: Option<&str>,
        limit: usize,
    ) -> Looking<'a, Vec<LandedFile>> {
        let after = after.unwrap_or_default().to_owned();
        if after == "a//b" {
            return Box::pin(async { Err(std::io::ErrorKind::InvalidInput.into()) });
        }
        let all = (0..10).map(|n| LandedFile { path: format!("2026-03-01/{n}"), bytes: n });
        let rest = all.filter(move |file| file.path > after).take(limit);
        Box::pin(async move { Ok(rest.collect()) })
    }

    fn open<'a>(&'a self, _: &Stream, path: &str) -> Looking<'a, Option<LandedBytes>> {
        let is_there = path == "2026-03-01/0.cbor" || path == "2026-03-01/_failed/0.ndjson";
        let pieces = ["ab", "c"].map(|piece| Ok(piece.into()));
        let content = stream::iter(pieces).boxed();
        Box::pin(async move { Ok(is_there.then_some(LandedBytes { bytes: 3, content })) })
    }
}

#[tokio::test]
async fn landed_files_are_listed_by_pages_and_fetched_by_who_may_read() {
    let stage = Stage::new().await;
    let id = stage.operate(Method::POST, STREAMS, json!({})).await.json()["id"].clone();
    let files = format!("{STREAMS}/{}/files", id.as_str().unwrap());
    assert_eq!(stage.get(&files).await.status, 404, "nothing lands");
    stage.hub.set_landed_files(Arc::new(TenFiles));
    let mut found = Vec::new();
    let mut after = String::new();
    loop {
        let page = stage.get(&format!("{files}?limit=4{after}")).await.json();
        found.extend(page["items"].as_array().unwrap().clone());
        let Some(next) = page["next"].as_str() else { break };
        after = format!("&after={}", next.replace('/', "%2F"));
    }
    let paths: Vec<String> = (0..10).map(|n| format!("2026-03-01/{n}")).collect();
    assert_eq!(found.iter().map(|file| file["path"].as_str().unwrap()).collect::<Vec<_>>(), paths);
    assert_eq!(found[3]["bytes"], 3);
    let refused = stage.get(&format!("{files}?after=a%2F%2Fb")).await;
    assert_eq!(refused.status, 400);
    assert!(refused.json()["detail"].as_str().unwrap().contains("`after`"), "{refused:?}");
    let whole = stage.get(&format!("{files}/2026-03-01/0.cbor")).await;
    assert_eq!((whole.status.as_u16(), &*whole.bytes), (200, &b"abc"[..]));
    assert_eq!(whole.headers["content-type"], "application/cbor");
    assert_eq!(whole.headers["content-length"], "3");
    let failed = stage.get(&format!("{files}/2026-03-01/_failed/0.ndjson")).await;
    assert_eq!(failed.headers["content-type"], "application/x-ndjson");
    assert_eq!(stage.get(&format!("{files}/2026-03-01/1")).await.status, 404);
    // Other streams have no files; other projects' are not there.
    assert_eq!(stage.get(&format!("{STREAMS}/events/files")).await.status, 404);
    let reader = stage.key("acme", &["read"]).await;
    assert_eq!(stage.call(Method::GET, &files, Some(&reader), "").await.status, 200);
    let publisher = stage.key("acme", &["publish"]).await;
    assert_eq!(stage.call(Method::GET, &files, Some(&publisher), "").await.status, 403);
    let rival = stage.key("rival", &["read"]).await;
    assert_eq!(stage.call(Method::GET, &files, Some(&rival), "").await.status, 404);
}

#[tokio::test]
async fn what_has_not_landed_is_dropped_by_force_only() {
    let stage = Stage::new().await;
    let stream = filled(&stage).await;
    let id = stream.name.as_str();
    for path in [
        format!("{STREAMS}/{id}"),
        format!("/v1/projects/acme/streams/{id}"),
        "/v1/projects/acme".to_owned(),
    ] {
        let refused = stage.operate(Method::DELETE, &path, json!({})).await;
        assert_eq!(refused.status, 409, "{path}");
        let detail = refused.json()["detail"].as_str().unwrap().to_owned();
        assert!(detail.contains("have not landed") && detail.contains(id), "{detail}");
        assert_eq!(stage.get(&format!("{STREAMS}/{id}")).await.status, 200);
    }
    let forced = format!("{STREAMS}/{id}?force=true");
    assert_eq!(stage.operate(Method::DELETE, &forced, json!({})).await.status, 204);
}

#[tokio::test]
async fn a_delete_that_is_refused_at_the_last_changes_nothing() {
    let stage = Stage::new().await;
    let stream = filled(&stage).await;
    let key = stage.key("acme", &["publish", "manage"]).await;
    stage.hub.begin_landing();
    let delete = stage.operate(Method::DELETE, "/v1/projects/acme", json!({}));
    let made_meanwhile = async {
        while !stream.is_ending() {
            tokio::task::yield_now().await;
        }
        let made = stage.operate(Method::POST, STREAMS, json!({})).await;
        assert_eq!(made.status, 201, "{made:?}");
        let end = stage.engine.bounds(stream.id).unwrap().next;
        stage.hub.note_landed(&stream, end);
    };
    let (refused, ()) = tokio::join!(delete, made_meanwhile);
    assert_eq!(refused.status, 409, "{refused:?}");
    let project = stage.call(Method::GET, "/v1/projects/acme", Some(&key), "").await;
    assert_eq!(project.status, 200, "its credentials are gone");
    // Asked for again, it goes, and its credentials with it.
    let gone = stage.operate(Method::DELETE, "/v1/projects/acme", json!({})).await;
    assert_eq!(gone.status, 204, "{gone:?}");
    let nobody = stage.call(Method::GET, "/v1/projects", Some(&key), "").await;
    assert_eq!(nobody.status, 401, "{nobody:?}");
}

/// An ingest stream with an event that has not landed.
async fn filled(stage: &Stage) -> Arc<Stream> {
    let made = stage.operate(Method::POST, STREAMS, json!({})).await.json();
    let stream = stage.hub.stream_named("acme", made["id"].as_str().unwrap()).unwrap();
    let mut draft = Draft::default();
    draft.push_json(br#"{"type":"INGEST"}"#, &stage.hub.rules(), stage.hub.rng()).unwrap();
    let operator = Grant {
        credential: CredentialId::new("operator").unwrap(),
        generation: 0,
        expires: None,
        project: None,
        integration: None,
        actions: Arc::new([Action::Operate].into()),
        streams: None,
        destinations: None,
    };
    stage.hub.ingest(&operator, &stream, draft).await.unwrap();
    stream
}
