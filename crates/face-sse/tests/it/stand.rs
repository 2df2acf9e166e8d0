//! A server with one project to test against.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use outflow_auth::{Auth, CredentialKind, NewCredential, SystemRng};
use outflow_face::{Counters, Drain, HttpLimits};
use outflow_face_sse::Options;
use outflow_hub::{
    EntityType, EntityTypes, Hub, NewStream, Project, ProjectLimits, Retention, Stream,
    StreamSettings,
};
use outflow_model::clock::SystemClock;
use outflow_model::{Action, CredentialId, Draft, Grant, ProjectId, StreamName, Timestamp};
use outflow_store::Engine;
use outflow_store::memory::MemoryEngine;
use outflow_testkit::transcript::{Head, Player};
use prometheus_client::registry::Registry;

/// How often a silent stream is marked, here.
pub(crate) const HEARTBEAT: Duration = Duration::from_millis(50);

/// A running server. Its project `app` has the keyed stream `billing` and the plain one `events`.
pub(crate) struct Stand {
    pub(crate) addr: SocketAddr,
    pub(crate) hub: Hub,
    pub(crate) auth: Auth,
    pub(crate) engine: Arc<MemoryEngine>,
    pub(crate) drain: Drain,
    /// Reads all streams of the project.
    pub(crate) token: (CredentialId, String),
}

pub(crate) fn project() -> ProjectId {
    ProjectId::new("app").unwrap()
}

pub(crate) fn name(name: &str) -> StreamName {
    StreamName::new(name).unwrap()
}

pub(crate) fn keyed() -> StreamSettings {
    let one = |name: &str, depends_on: &[&str]| EntityType {
        name: name.into(),
        keys: vec![vec!["no".into()]],
        group: None,
        depends_on: depends_on.iter().map(|&other| other.to_owned()).collect(),
    };
    let types =
        EntityTypes::new(vec![one("Account", &[]), one("Invoice", &["Account"]), one("Plan", &[])]);
    StreamSettings {
        entities: Some(Arc::new(types.unwrap())),
        retention: Retention { age_ms: 48 * 3_600_000, max_bytes: None },
        ..StreamSettings::default()
    }
}

/// A change of an account.
pub(crate) fn account(kind: &str, no: u32, body: &str) -> String {
    format!(r#"{{"type":"{kind}","ref":{{"type":"Account","ids":{{"no":{no}}}}},"body":{body}}}"#)
}

impl Stand {
    pub(crate) async fn new() -> Self {
        Self::with(Options { heartbeat: HEARTBEAT, ..Options::default() }).await
    }

    pub(crate) async fn with(options: Options) -> Self {
        let clock = Arc::new(SystemClock);
        let engine = Arc::new(MemoryEngine::new(clock.clone()));
        let shared: Arc<dyn Engine> = engine.clone();
        let mut registry = Registry::default();
        let auth = Auth::open(shared.clone(), clock.clone(), Arc::new(SystemRng)).await.unwrap();
        let limits = outflow_hub::Options::default();
        let hub = Hub::open(shared, clock, Arc::new(SystemRng), limits, &mut registry);
        let hub = hub.await.unwrap();
        auth.on_revoke(Arc::new({
            let hub = hub.clone();
            move |id: &CredentialId, below| hub.close_credential(id, below)
        }));
        hub.create_project(Project {
            id: project(),
            name: "App".to_owned(),
            created: Timestamp::default(),
            basic_auth: false,
            default_stream: name("events"),
            limits: ProjectLimits::default(),
        })
        .await
        .unwrap();
        for (stream, settings) in [("events", StreamSettings::default()), ("billing", keyed())] {
            let new = NewStream { name: name(stream), settings };
            hub.create_stream(&project(), new).await.unwrap();
        }
        let drain = Drain::new();
        let (draining, names) = (drain.clone(), &mut registry);
        let app = outflow_face_sse::router(hub.clone(), auth.clone(), options, draining, names);
        let listener = outflow_face::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let addr = listener.local_addr().unwrap();
        let counters = Arc::new(Counters::default());
        let limits = HttpLimits::default();
        tokio::spawn(outflow_face::serve(listener, None, app, limits, drain.clone(), counters));
        let token = issue(&auth, &project(), &[Action::Read]).await;
        Self { addr, hub, auth, engine, drain, token }
    }

    pub(crate) fn stream(&self, of: &str) -> Arc<Stream> {
        self.hub.stream(&project(), &name(of)).unwrap()
    }

    /// Publishes events to a stream.
    pub(crate) async fn publish(&self, stream: &str, events: &[&str]) {
        let mut draft = Draft::default();
        for event in events {
            draft.push_json(event.as_bytes(), &self.hub.rules(), self.hub.rng()).unwrap();
        }
        let grant = Grant {
            credential: CredentialId::new("publisher").unwrap(),
            generation: 0,
            expires: None,
            project: Some(project()),
            integration: None,
            actions: Arc::new([Action::Publish].into()),
            streams: None,
            destinations: None,
        };
        self.hub.publish(&grant, &self.stream(stream), draft).await.unwrap();
    }

    /// Sends all entities of a stream into the load feed.
    pub(crate) async fn extract(&self, of: &str) {
        let job = self.hub.start_extraction(&self.stream(of), &[], &[]).await.unwrap();
        let is_over = || {
            self.hub
                .extractions(&project())
                .iter()
                .any(|one| one.id == job.id && one.state.is_over())
        };
        while !is_over() {
            tokio::task::yield_now().await;
        }
    }

    /// Asks for `path` of the project with the usual token and reads the answer's head.
    pub(crate) async fn ask(&self, path: &str, more: &str) -> (Head, Player) {
        let token = &self.token.1;
        self.send(&format!(
            "GET /v1/projects/app/{path} HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip, deflate\r\n\
             Authorization: Bearer {token}\r\n{more}\r\n"
        ))
        .await
    }

    pub(crate) async fn send(&self, request: &str) -> (Head, Player) {
        let mut player = Player::connect(self.addr).await.unwrap();
        player.send(request).await.unwrap();
        (player.head().await.unwrap(), player)
    }

    /// Opens a feed.
    pub(crate) async fn open(&self, path: &str, more: &str) -> Reading {
        let (head, player) = self.ask(path, more).await;
        assert!(head.status.ends_with(" 200 OK"), "{}", head.status);
        Reading(player)
    }

    /// The status and problem document that a request is refused with.
    pub(crate) async fn refused(&self, path: &str, more: &str) -> (u16, serde_json::Value) {
        let (head, player) = self.ask(path, more).await;
        document(head, player).await
    }
}

pub(crate) async fn document(head: Head, mut player: Player) -> (u16, serde_json::Value) {
    assert_eq!(head.field("content-type"), Some("application/problem+json"));
    let len = head.field("content-length").unwrap().parse().unwrap();
    let body = player.exactly(len).await.unwrap();
    let status = head.status.split(' ').nth(1).unwrap().parse().unwrap();
    (status, serde_json::from_slice(&body).unwrap())
}

pub(crate) async fn issue(
    auth: &Auth,
    project: &ProjectId,
    actions: &[Action],
) -> (CredentialId, String) {
    issue_within(auth, project, actions, None).await
}

/// The same, kept to these streams.
pub(crate) async fn issue_within(
    auth: &Auth,
    project: &ProjectId,
    actions: &[Action],
    streams: Option<&[&str]>,
) -> (CredentialId, String) {
    let issued = auth
        .issue(NewCredential {
            kind: CredentialKind::Key,
            name: String::new(),
            project: Some(project.clone()),
            integration: None,
            actions: actions.iter().copied().collect(),
            streams: streams.map(|streams| streams.iter().map(|one| name(one)).collect()),
            user: None,
            destinations: None,
            expires: None,
        })
        .await
        .unwrap();
    (issued.credential.id, issued.secret.expose().to_owned())
}

/// An open stream.
pub(crate) struct Reading(pub(crate) Player);

impl Reading {
    /// The next comment line or event, heartbeats and all; empty at the end.
    pub(crate) async fn frame(&mut self) -> String {
        let mut frame = String::new();
        loop {
            let line = self.0.line().await.unwrap();
            let Some(line) = line else {
                assert_eq!(frame, "", "it ended within an event");
                return frame;
            };
            let is_end = line == "\n" || (frame.is_empty() && line.starts_with(':'));
            frame += &line;
            if is_end {
                return frame;
            }
        }
    }

    /// The next frame that is no heartbeat.
    pub(crate) async fn next(&mut self) -> String {
        loop {
            let frame = self.frame().await;
            if frame != ":\n" {
                return frame;
            }
        }
    }

    /// The data of the next event, line by line, with its id.
    pub(crate) async fn event(&mut self) -> (String, Vec<String>) {
        let frame = self.next().await;
        let field = |line: &str, name: &str| Some(line.strip_prefix(name)?.trim_start().to_owned());
        let id = frame.lines().find_map(|line| field(line, "id:")).unwrap();
        (id, frame.lines().filter_map(|line| field(line, "data:")).collect())
    }
}
