//! A hub on an engine in memory, with a clock that stands still.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use outflow_hub::{
    Block, CloseReason, Hub, Integration, NewStream, Options, Project, ProjectLimits, ReadEvent,
    ReadRequest, ReadSession, Start, Stream, StreamSettings,
};
use outflow_model::clock::ManualClock;
use outflow_model::rng::SeededRng;
use outflow_model::{
    Action, CredentialId, Draft, Filter, Grant, IntegrationId, Offset, ProjectId, StreamName,
    Timestamp,
};
use outflow_store::memory::MemoryEngine;
use outflow_store::{Batch, Engine as _};
use prometheus_client::registry::Registry;

/// 2026-01-01.
pub(crate) const NOW: i64 = 1_767_225_600_000;
pub(crate) const FIRST: Offset = Offset::FIRST;

pub(crate) struct World {
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) engine: Arc<MemoryEngine>,
    pub(crate) hub: Hub,
    pub(crate) metrics: Registry,
}

pub(crate) async fn open(
    clock: &Arc<ManualClock>,
    engine: &Arc<MemoryEngine>,
    options: Options,
) -> World {
    let mut metrics = Registry::default();
    let rng = Arc::new(SeededRng::new(1));
    let hub = Hub::open(engine.clone(), clock.clone(), rng, options, &mut metrics).await.unwrap();
    World { clock: clock.clone(), engine: engine.clone(), hub, metrics }
}

/// A hub with project `p`, its stream `events` and integration `i`.
pub(crate) async fn world_with(options: Options) -> World {
    let clock = Arc::new(ManualClock::new(Timestamp::from_millis(NOW)));
    let engine = Arc::new(MemoryEngine::new(clock.clone()));
    let world = open(&clock, &engine, options).await;
    world.tenant("p").await;
    world
}

pub(crate) async fn world() -> World {
    world_with(Options::default()).await
}

pub(crate) fn project_id(name: &str) -> ProjectId {
    ProjectId::new(name).unwrap()
}

pub(crate) fn name(name: &str) -> StreamName {
    StreamName::new(name).unwrap()
}

pub(crate) fn project(id: &str) -> Project {
    Project {
        id: project_id(id),
        name: format!("project {id}"),
        created: Timestamp::default(),
        basic_auth: false,
        default_stream: name("events"),
        limits: ProjectLimits::default(),
    }
}

pub(crate) fn integration(project: &str) -> Integration {
    Integration {
        id: IntegrationId::new("i").unwrap(),
        project: project_id(project),
        name: "an integration".into(),
        description: String::new(),
        send_location: false,
        event_types: None,
        compliance: false,
        max_connections: 100,
        webhook: None,
        created: Timestamp::default(),
    }
}

pub(crate) fn grant(project: &str, integration: bool, actions: &[Action]) -> Grant {
    Grant {
        credential: CredentialId::new(
            &format!("{project}-{integration}-{actions:?}")
                .replace(|c: char| !c.is_alphanumeric(), "-"),
        )
        .unwrap(),
        generation: 0,
        expires: None,
        project: Some(project_id(project)),
        integration: integration.then(|| IntegrationId::new("i").unwrap()),
        actions: Arc::new(actions.iter().copied().collect::<BTreeSet<_>>()),
        streams: None,
        destinations: None,
    }
}

/// The publisher's key of a project.
pub(crate) fn publisher(project: &str) -> Grant {
    grant(project, false, &[Action::Publish])
}

/// The project's own reader, which sees locations.
pub(crate) fn reader(project: &str) -> Grant {
    grant(project, false, &[Action::Read])
}

/// A token of the integration.
pub(crate) fn token(project: &str) -> Grant {
    grant(project, true, &[Action::Read])
}

impl World {
    pub(crate) async fn tenant(&self, id: &str) {
        self.hub.create_project(project(id)).await.unwrap();
        let new = NewStream { name: name("events"), settings: StreamSettings::default() };
        self.hub.create_stream(&project_id(id), new).await.unwrap();
        self.hub.create_integration(integration(id)).await.unwrap();
    }

    pub(crate) fn stream_of(&self, project: &str) -> Arc<Stream> {
        self.hub.stream(&project_id(project), &name("events")).unwrap()
    }

    pub(crate) fn stream(&self) -> Arc<Stream> {
        self.stream_of("p")
    }

    pub(crate) fn draft(&self, events: &[&str]) -> Draft {
        let mut draft = Draft::default();
        for event in events {
            draft.push_json(event.as_bytes(), &self.hub.rules(), self.hub.rng()).unwrap();
        }
        draft
    }

    /// Publishes events `from..to` with bodies that are their numbers.
    pub(crate) async fn publish_numbers(&self, from: usize, to: usize) {
        for n in from..to {
            let event = format!(r#"{{"type":"CUSTOM","body":{{"n":{n}}}}}"#);
            self.publish(&[&event]).await;
        }
    }

    pub(crate) async fn publish(&self, events: &[&str]) -> Vec<Offset> {
        let receipt =
            self.hub.publish(&publisher("p"), &self.stream(), self.draft(events)).await.unwrap();
        receipt.events.iter().map(|placed| placed.offset).collect()
    }

    /// The world after a restart, of whose stream was stored what `edit` makes of it: as by a version that
    /// had no such bounds.
    pub(crate) async fn after_storing(
        &self,
        stream: &str,
        edit: impl FnOnce(&mut serde_json::Value),
    ) -> Self {
        let key = format!("catalog/stream/p/{stream}").into_bytes();
        let stored = self.engine.get(&key).await.unwrap().unwrap().value;
        let mut record = serde_json::from_slice(&stored).unwrap();
        edit(&mut record);
        let value = serde_json::to_vec(&record).unwrap().into();
        self.engine.submit(Batch::put(key, Some(value))).await.unwrap();
        open(&self.clock, &Arc::new(self.engine.restart()), Options::default()).await
    }

    pub(crate) fn request(&self, start: Start) -> ReadRequest {
        ReadRequest {
            stream: self.stream(),
            start,
            filter: Arc::new(Filter::all()),
            subset: None,
            only_type: None,
            heartbeat: Duration::from_secs(2),
            peer: "test".into(),
            slack: false,
        }
    }

    pub(crate) async fn read(&self, start: Start) -> ReadSession {
        self.hub.open_read(&reader("p"), self.request(start)).await.unwrap()
    }

    pub(crate) fn metric(&self, name: &str) -> u64 {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.metrics).unwrap();
        let line = text.lines().find(|line| line.starts_with(&format!("{name} ")));
        let value =
            line.unwrap_or_else(|| panic!("no {name} in {text}")).rsplit(' ').next().unwrap();
        value.parse().unwrap()
    }
}

pub(crate) fn filter(json: &str) -> Arc<Filter> {
    Arc::new(Filter::parse(json.as_bytes()).unwrap())
}

/// The next block, heartbeats passed over.
pub(crate) async fn block(session: &mut ReadSession) -> Arc<Block> {
    loop {
        match session.next().await {
            ReadEvent::Batch(block) => return block,
            ReadEvent::Heartbeat { .. } => {}
            ReadEvent::Closed(reason) => panic!("closed: {reason:?}"),
        }
    }
}

/// Why the session ends, blocks passed over.
pub(crate) async fn closed(session: &mut ReadSession) -> CloseReason {
    loop {
        if let ReadEvent::Closed(reason) = session.next().await {
            return reason;
        }
    }
}

/// The offsets of the next `count` events.
pub(crate) async fn offsets(session: &mut ReadSession, count: usize) -> Vec<Offset> {
    let mut all = Vec::new();
    while all.len() < count {
        let block = block(session).await;
        all.extend(block.metas().unwrap().iter().map(|meta| meta.offset));
    }
    all
}

/// The lines of the next `count` events.
pub(crate) async fn lines(session: &mut ReadSession, count: usize) -> Vec<String> {
    let mut all = Vec::new();
    while all.len() < count {
        let block = block(session).await;
        let text = String::from_utf8(block.lines().unwrap().to_vec()).unwrap();
        all.extend(text.lines().map(str::to_owned));
    }
    all
}
