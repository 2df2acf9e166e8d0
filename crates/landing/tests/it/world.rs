//! A project with an ingest stream, a place that can fail, and landers that come and go.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use outflow_hub::{
    Hub, Ingest, IngestFormat, IngestMode, NewStream, Project, ProjectLimits, PublishError,
    ReadError, ReadRequest, ReadSession, Receipt, Start, Stream, StreamSettings,
};
use outflow_landing::place::Placing;
use outflow_landing::{Lander, Options, Place, PlaceError};
use outflow_model::clock::ManualClock;
use outflow_model::draft::{Body, NewEvent};
use outflow_model::rng::SeededRng;
use outflow_model::{Action, CredentialId, Draft, Grant, ProjectId, StreamName, Timestamp};
use outflow_store::memory::MemoryEngine;
use parking_lot::Mutex;
use prometheus_client::registry::Registry;
use tokio::sync::Semaphore;

/// Half past eight in the evening.
pub(crate) const NOW: &str = "2026-03-01T20:30:00.000Z";
pub(crate) const STREAM: &str = "is-AbC";

/// What a place does with the next file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It is refused.
    Refused,
    /// It is there, but the answer is lost.
    Lost,
}

/// Files in memory.
#[derive(Debug, Default)]
pub(crate) struct Shelf {
    pub(crate) files: Mutex<BTreeMap<String, Vec<u8>>>,
    pub(crate) fate: Mutex<Option<Fate>>,
    /// What was put, in order.
    pub(crate) order: Mutex<Vec<String>>,
    /// Folders are moved when this is closed, if it is there.
    pub(crate) gate: Mutex<Option<Arc<Semaphore>>>,
}

impl Place for Shelf {
    fn put(&self, path: String, bytes: Vec<u8>) -> Placing<'_, ()> {
        let fate = self.fate.lock().take();
        self.order.lock().push(path.clone());
        if fate != Some(Fate::Refused)
            && let Some(before) = self.files.lock().insert(path.clone(), bytes.clone())
        {
            assert_eq!(before, bytes, "{path} was written again with other bytes");
        }
        let error = io::Error::other("the answer is lost");
        Box::pin(
            async move { if fate.is_some() { Err(PlaceError { path, error }) } else { Ok(()) } },
        )
    }

    fn set_apart(&self, from: String, to: String) -> Placing<'_, ()> {
        let gate = self.gate.lock().clone();
        Box::pin(async move {
            if let Some(gate) = gate {
                let _ = gate.acquire().await;
            }
            let mut files = self.files.lock();
            let all = std::mem::take(&mut *files);
            let moved = |path: String| match path.strip_prefix(&format!("{from}/")) {
                Some(rest) => format!("{to}/{rest}"),
                None => path,
            };
            *files = all.into_iter().map(|(path, bytes)| (moved(path), bytes)).collect();
            Ok(())
        })
    }

    fn has(&self, path: String) -> Placing<'_, bool> {
        let is_there = self.files.lock().contains_key(&path);
        Box::pin(async move { Ok(is_there) })
    }
}

pub(crate) struct World {
    pub(crate) hub: Hub,
    pub(crate) engine: Arc<MemoryEngine>,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) shelf: Arc<Shelf>,
    pub(crate) stream: Arc<Stream>,
    grant: Grant,
}

impl World {
    pub(crate) async fn new(format: IngestFormat) -> Self {
        let clock = Arc::new(ManualClock::new(Timestamp::parse_rfc3339(NOW.as_bytes()).unwrap()));
        let engine = Arc::new(MemoryEngine::new(clock.clone()));
        let rng = Arc::new(SeededRng::new(7));
        let (options, mut registry) = (outflow_hub::Options::default(), Registry::default());
        let hub = Hub::open(engine.clone(), clock.clone(), rng, options, &mut registry);
        let hub = hub.await.unwrap();
        let stream = Self::make(&hub, format).await;
        let project = stream.project.clone();
        let grant = Grant {
            credential: CredentialId::new("upstream").unwrap(),
            generation: 0,
            expires: None,
            project: Some(project),
            integration: None,
            actions: Arc::new([Action::Ingest].into()),
            streams: None,
            destinations: None,
        };
        Self { hub, engine, clock, shelf: Arc::default(), stream, grant }
    }

    /// Makes the project with its stream.
    pub(crate) async fn make(hub: &Hub, format: IngestFormat) -> Arc<Stream> {
        let project = ProjectId::new("acme").unwrap();
        let name = StreamName::new(STREAM).unwrap();
        hub.create_project(Project {
            id: project.clone(),
            name: String::new(),
            created: Timestamp::default(),
            basic_auth: false,
            default_stream: name.clone(),
            limits: ProjectLimits::default(),
        })
        .await
        .unwrap();
        let ingest = Ingest { name: String::new(), format, mode: IngestMode::Active };
        let settings =
            StreamSettings { ingest: Some(ingest), dedup: None, ..StreamSettings::default() };
        hub.create_stream(&project, NewStream { name, settings }).await.unwrap()
    }

    /// A lander as a start of the server makes it.
    pub(crate) fn lander(&self, options: Options) -> Lander {
        let shelf = self.shelf.clone();
        Lander::new(self.hub.clone(), shelf, options, &mut Registry::default()).unwrap()
    }

    /// A lander whose metrics are in `registry`.
    pub(crate) fn lander_into(&self, registry: &mut Registry) -> Lander {
        let shelf = self.shelf.clone();
        Lander::new(self.hub.clone(), shelf, Options::default(), registry).unwrap()
    }

    /// Another ingest stream of the project.
    pub(crate) async fn another(&self, name: &str) -> Arc<Stream> {
        let name = StreamName::new(name).unwrap();
        let new = NewStream { name, settings: self.stream.settings.clone() };
        self.hub.create_stream(&self.stream.project, new).await.unwrap()
    }

    /// How long the stream keeps its events.
    pub(crate) fn age_ms(&self) -> i64 {
        i64::try_from(self.stream.settings.retention.age_ms).unwrap()
    }

    /// Opens a read as a client of the project does.
    pub(crate) async fn reader(&self) -> Result<ReadSession, ReadError> {
        let request = ReadRequest {
            stream: self.stream.clone(),
            start: Start::Latest,
            filter: Arc::default(),
            subset: None,
            only_type: None,
            heartbeat: Duration::from_secs(1),
            peer: "test".to_owned(),
            slack: false,
        };
        let grant = Grant { actions: Arc::new([Action::Read].into()), ..self.grant.clone() };
        self.hub.open_read(&grant, request).await
    }

    pub(crate) async fn send(&self, body: Body<'_>) {
        self.send_to(&self.stream, body).await;
    }

    pub(crate) async fn send_to(&self, stream: &Stream, body: Body<'_>) {
        self.try_send(stream, body).await.unwrap();
    }

    pub(crate) async fn try_send(
        &self,
        stream: &Stream,
        body: Body<'_>,
    ) -> Result<Receipt, PublishError> {
        let mut draft = Draft::default();
        let event = NewEvent {
            id: None,
            event_type: "INGEST",
            occurred: None,
            key: None,
            headers: &[],
            body,
        };
        draft.push(&event, &self.hub.rules(), self.hub.rng()).unwrap();
        self.hub.ingest(&self.grant, stream, draft).await
    }

    pub(crate) async fn json(&self, text: &str) {
        self.send(Body::Json(text.as_bytes())).await;
    }

    /// The names of the files, without what all have in front.
    pub(crate) fn names(&self) -> Vec<String> {
        let files = self.shelf.files.lock();
        let front = format!("ingest/stream/acme/{STREAM}/");
        files.keys().map(|name| name.strip_prefix(&front).unwrap().to_owned()).collect()
    }

    /// All files, one after another.
    pub(crate) fn text(&self) -> String {
        let files = self.shelf.files.lock();
        files.values().map(|bytes| String::from_utf8(bytes.clone()).unwrap()).collect()
    }
}
