//! A project with one ingest stream of each kind, a token, and requests as upstream systems make
//! them.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt;
use outflow_auth::{Auth, NewApiKey, Scope, SystemRng};
use outflow_face_ingest::Options;
use outflow_hub::{
    Hub, Ingest, IngestFormat, IngestMode, NewStream, Project, ProjectLimits, StreamSettings,
};
use outflow_model::clock::ManualClock;
use outflow_model::{CredentialId, ProjectId, StreamName, Timestamp};
use outflow_store::Engine;
use outflow_store::memory::MemoryEngine;
use prometheus_client::registry::Registry;
use tower::ServiceExt;

/// 2026-01-01.
const NOW: i64 = 1_767_225_600_000;

pub(crate) const JSON: &str = "is-AbCDefGH";
pub(crate) const XML: &str = "is-XmlXmlXm";
/// A stream that is no ingest stream.
pub(crate) const PLAIN: &str = "events";

/// See the module. The project is `acme`; `rival` has a stream of the same id.
pub(crate) struct Stand {
    pub(crate) app: Router,
    pub(crate) hub: Hub,
    pub(crate) auth: Auth,
    pub(crate) engine: Arc<MemoryEngine>,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) key: CredentialId,
    pub(crate) token: String,
}

/// An answer, read whole.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

pub(crate) fn project(name: &str) -> ProjectId {
    ProjectId::new(name).unwrap()
}

impl Stand {
    pub(crate) async fn new() -> Self {
        Self::with(Options::default()).await
    }

    pub(crate) async fn with(options: Options) -> Self {
        let clock = Arc::new(ManualClock::new(Timestamp::from_millis(NOW)));
        let engine = Arc::new(MemoryEngine::new(clock.clone()));
        let mut registry = Registry::default();
        let auth = Auth::open(engine.clone(), clock.clone(), Arc::new(SystemRng)).await.unwrap();
        let settings = outflow_hub::Options::default();
        let rng = Arc::new(SystemRng);
        let hub = Hub::open(engine.clone(), clock.clone(), rng, settings, &mut registry);
        let hub = hub.await.unwrap();
        for name in ["acme", "rival"] {
            make(&hub, name).await;
        }
        let app = outflow_face_ingest::router(hub.clone(), auth.clone(), options, &mut registry);
        let (key, token) = token(&auth, "acme", &[Scope::IngestWrite], None).await;
        Self { app, hub, auth, engine, clock, key, token }
    }

    pub(crate) async fn token(&self, of: &str, scopes: &[Scope], streams: Option<&str>) -> String {
        token(&self.auth, of, scopes, streams).await.1
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.app.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes().to_vec();
        let text = String::from_utf8(bytes).unwrap();
        Answer { status: parts.status, headers: parts.headers, text }
    }

    /// A request as the seed's curl line makes it, to be changed.
    pub(crate) fn request(&self, stream: &str, content_type: &str) -> http::request::Builder {
        Request::post(format!("/stream/v0/data/{stream}"))
            .header("content-type", content_type)
            .header("x-amperity-tenant", "acme")
            .header("authorization", format!("Bearer {}", self.token))
    }

    pub(crate) async fn json(&self, payload: impl Into<Body>) -> Answer {
        self.send(self.request(JSON, "application/json").body(payload.into()).unwrap()).await
    }

    pub(crate) async fn xml(&self, payload: impl Into<Body>) -> Answer {
        self.send(self.request(XML, "application/xml").body(payload.into()).unwrap()).await
    }

    /// The lines of the stream, as stored.
    pub(crate) async fn lines(&self, stream: &str) -> Vec<String> {
        let stream = self.hub.stream_named("acme", stream).unwrap();
        let bounds = self.engine.bounds(stream.id).unwrap();
        let mut from = bounds.start;
        let mut lines = Vec::new();
        while from < bounds.next {
            let read = self.engine.read(stream.id, from, 1 << 20).await.unwrap();
            for block in &read.blocks {
                let text = String::from_utf8(block.lines().unwrap().to_vec()).unwrap();
                lines.extend(text.lines().map(str::to_owned));
            }
            from = read.next;
        }
        lines
    }

    pub(crate) async fn set(&self, stream: &str, mode: IngestMode) {
        let name = StreamName::new(stream).unwrap();
        let mut settings = self.hub.stream_named("acme", stream).unwrap().settings.clone();
        settings.ingest.as_mut().unwrap().mode = mode;
        self.hub.update_stream(&project("acme"), &name, settings).await.unwrap();
    }
}

async fn token(
    auth: &Auth,
    of: &str,
    scopes: &[Scope],
    streams: Option<&str>,
) -> (CredentialId, String) {
    let new = NewApiKey {
        project: project(of),
        name: String::new(),
        scopes: scopes.iter().copied().collect(),
        streams: streams.map(|name| BTreeSet::from([StreamName::new(name).unwrap()])),
    };
    let key = auth.create_api_key(new).await.unwrap().key.id;
    let life = Duration::from_secs(3_600);
    let issued = auth.issue_access_token(&project(of), &key, life, None).unwrap();
    (key, issued.token.expose().to_owned())
}

async fn make(hub: &Hub, id: &str) {
    hub.create_project(Project {
        id: project(id),
        name: id.to_owned(),
        created: Timestamp::default(),
        basic_auth: false,
        default_stream: StreamName::new(PLAIN).unwrap(),
        limits: ProjectLimits::default(),
    })
    .await
    .unwrap();
    let ingest = |format| Some(Ingest { name: String::new(), format, mode: IngestMode::Active });
    for (name, ingest) in
        [(JSON, ingest(IngestFormat::Json)), (XML, ingest(IngestFormat::Xml)), (PLAIN, None)]
    {
        let settings = StreamSettings { ingest, dedup: None, ..StreamSettings::default() };
        let new = NewStream { name: StreamName::new(name).unwrap(), settings };
        hub.create_stream(&project(id), new).await.unwrap();
    }
}
