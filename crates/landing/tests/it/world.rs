//! A project with an ingest stream, a place that can fail, and landers that come and go.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use outflow_hub::{
    Hub, Ingest, IngestFormat, IngestMode, NewStream, Project, ProjectLimits, Stream,
    StreamSettings,
};
use outflow_landing::place::Putting;
use outflow_landing::{Lander, Options, Place, PlaceError};
use outflow_model::clock::ManualClock;
use outflow_model::draft::{Body, NewEvent};
use outflow_model::rng::SeededRng;
use outflow_model::{Action, CredentialId, Draft, Grant, ProjectId, StreamName, Timestamp};
use outflow_store::memory::MemoryEngine;
use parking_lot::Mutex;
use prometheus_client::registry::Registry;

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
}

impl Place for Shelf {
    fn put(&self, path: String, bytes: Vec<u8>) -> Putting<'_> {
        let fate = self.fate.lock().take();
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
        let stream = hub.create_stream(&project, NewStream { name, settings }).await.unwrap();
        let grant = Grant {
            credential: CredentialId::new("upstream").unwrap(),
            project: Some(project),
            integration: None,
            actions: Arc::new([Action::Ingest].into()),
            streams: None,
            destinations: None,
        };
        Self { hub, engine, clock, shelf: Arc::default(), stream, grant }
    }

    /// A lander as a start of the server makes it.
    pub(crate) fn lander(&self, options: Options) -> Lander {
        let shelf = self.shelf.clone();
        Lander::new(self.hub.clone(), shelf, options, &mut Registry::default()).unwrap()
    }

    pub(crate) async fn send(&self, body: Body<'_>) {
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
        self.hub.publish(&self.grant, &self.stream, draft).await.unwrap();
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
