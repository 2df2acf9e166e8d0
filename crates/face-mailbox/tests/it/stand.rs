//! A server with a company's topics to test against, and the vendor's calls as a client makes them.

use std::net::SocketAddr;
use std::sync::Arc;

use outflow_auth::{Auth, CredentialKind, NewCredential, SystemRng};
use outflow_body::Door;
use outflow_face::{Counters, Drain, HttpLimits};
use outflow_face_mailbox::Options;
use outflow_hub::{Hub, NewStream, Project, ProjectLimits, StreamSettings};
use outflow_model::clock::ManualClock;
use outflow_model::{Action, Clock as _, ProjectId, StreamName, Timestamp};
use outflow_store::memory::MemoryEngine;
use outflow_testkit::transcript::{Head, Player};
use prometheus_client::registry::Registry;
use serde_json::Value;

/// 2026-01-01.
const NOW: i64 = 1_767_225_600_000;

/// A running server. Its project is `itas`, its company `AA` with topics INVOICES and PAYMENTS;
/// company `BB` has INVOICES as well.
pub(crate) struct Stand {
    pub(crate) addr: SocketAddr,
    pub(crate) hub: Hub,
    pub(crate) engine: Arc<MemoryEngine>,
    pub(crate) auth: Auth,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) drain: Drain,
    pub(crate) registry: Registry,
    /// Reads and publishes.
    pub(crate) token: String,
}

/// An answer: status, head, and the body as JSON.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) status: u16,
    pub(crate) head: Head,
    pub(crate) body: Value,
    /// The body as it was sent.
    pub(crate) text: String,
}

impl Said {
    /// The body of a good answer.
    #[track_caller]
    pub(crate) fn good(self) -> Value {
        assert!(self.status < 300, "{} {}", self.status, self.body);
        self.body
    }

    /// The class of a failure, in the vendor's shape.
    #[track_caller]
    pub(crate) fn fault(&self) -> (u16, &str) {
        let result = &self.body["ServiceResult"];
        assert!(result["Message"].is_string(), "{}", self.body);
        (self.status, result["Code"].as_str().unwrap())
    }
}

impl Stand {
    pub(crate) async fn new() -> Self {
        Self::with(Options::default()).await
    }

    pub(crate) async fn with(options: Options) -> Self {
        Self::behind(Door::new(64 << 20, 1 << 20), options).await
    }

    /// One whose bodies come through `door`.
    pub(crate) async fn behind(door: Door, options: Options) -> Self {
        let clock = Arc::new(ManualClock::new(Timestamp::from_millis(NOW)));
        let engine = Arc::new(MemoryEngine::new(clock.clone()));
        let mut registry = Registry::default();
        let auth = Auth::open(engine.clone(), clock.clone(), Arc::new(SystemRng)).await.unwrap();
        let hub = Hub::open(
            engine.clone(),
            clock.clone(),
            Arc::new(SystemRng),
            outflow_hub::Options::default(),
            &mut registry,
        );
        let hub = hub.await.unwrap();
        for project in ["itas", "other"] {
            make(&hub, project).await;
        }
        let drain = Drain::new();
        let unknown = axum::Router::new().fallback(|| async { http::StatusCode::IM_A_TEAPOT });
        let app = outflow_face_mailbox::router(
            unknown,
            hub.clone(),
            auth.clone(),
            options,
            Arc::new(door),
            drain.clone(),
            &mut registry,
        );
        let listener = outflow_face::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let addr = listener.local_addr().unwrap();
        let counters = Arc::new(Counters::default());
        let limits = HttpLimits::default();
        tokio::spawn(outflow_face::serve(listener, None, app, limits, Drain::new(), counters));
        let token = key(&auth, "itas", &[Action::Read, Action::Publish]).await;
        Self { addr, hub, engine, auth, clock, drain, registry, token }
    }

    pub(crate) async fn key(&self, project: &str, actions: &[Action]) -> String {
        key(&self.auth, project, actions).await
    }

    /// Sends a request and reads its answer.
    pub(crate) async fn ask(&self, method: &str, target: &str) -> Said {
        let more = format!("Authorization: Bearer {}\r\n", self.token);
        self.ask_as(method, target, &more, "").await
    }

    pub(crate) async fn ask_as(
        &self,
        method: &str,
        target: &str,
        more: &str,
        body: impl AsRef<[u8]>,
    ) -> Said {
        let body = body.as_ref();
        let mut player = Player::connect(self.addr).await.unwrap();
        let len = body.len();
        let head =
            format!("{method} {target} HTTP/1.1\r\nHost: x\r\n{more}Content-Length: {len}\r\n\r\n");
        player.send([head.as_bytes(), body].concat()).await.unwrap();
        let head = player.head().await.unwrap();
        let len = head.field("content-length").map_or(0, |len| len.parse().unwrap());
        let body = player.exactly(len).await.unwrap();
        let status = head.status.split(' ').nth(1).unwrap().parse().unwrap();
        let text = String::from_utf8(body.to_vec()).unwrap();
        let body = if len == 0 { Value::Null } else { serde_json::from_str(&text).unwrap() };
        Said { status, head, body, text }
    }

    /// Publishes a message as the company's system does; gives its id.
    pub(crate) async fn publish(&self, topic: &str, body: &str) -> String {
        let more = format!("Authorization: Bearer {}\r\n", self.token);
        let target = format!("/Events/Publish?companyCode=AA&topic={topic}");
        let said = self.ask_as("PUT", &target, &more, body).await.good();
        said["MessageId"].as_str().unwrap().to_owned()
    }

    /// Registers a subscriber, subscribes it to topics of `AA` and gives its id.
    pub(crate) async fn subscriber(&self, name: &str, topics: &[&str]) -> String {
        let target = format!("/Events/Register?subscriberName={name}");
        let said = self.ask("POST", &target).await.good();
        let id = said["SubscriberId"].as_str().unwrap().to_owned();
        for topic in topics {
            self.call("POST", "Subscribe", &id, &format!("&companyCode=AA&topic={topic}"))
                .await
                .good();
        }
        id
    }

    /// A call of the first grammar.
    pub(crate) async fn call(
        &self,
        method: &str,
        call: &str,
        subscriber: &str,
        rest: &str,
    ) -> Said {
        self.ask(method, &format!("/Events/{call}?subscriberId={subscriber}{rest}")).await
    }

    /// The id of the next message, if there is one now.
    pub(crate) async fn next(&self, subscriber: &str) -> Option<String> {
        let said = self.call("GET", "Peek", subscriber, "&timeout=0").await.good();
        said["NextMessageId"].as_str().map(str::to_owned)
    }

    /// Receives a message; gives the answer.
    pub(crate) async fn receive(&self, subscriber: &str, message: &str, seconds: u32) -> Said {
        let rest = format!("&messageId={message}&lockTimeout={seconds}");
        self.call("POST", "Receive", subscriber, &rest).await
    }

    /// Confirms a message under a lock.
    pub(crate) async fn confirm(&self, subscriber: &str, message: &str, lock: &str) -> Said {
        let rest = format!("&messageId={message}&lockId={lock}");
        self.call("DELETE", "Confirm", subscriber, &rest).await
    }

    /// Moves the clock, and has done what is due.
    pub(crate) async fn pass(&self, seconds: i64) {
        self.clock.advance(seconds * 1000);
        self.engine.retain(self.clock.now());
        self.hub.tick().await;
    }

    /// A metric's value.
    pub(crate) fn metric(&self, name: &str) -> u64 {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry).unwrap();
        let line = text.lines().find(|line| line.starts_with(&format!("{name} ")));
        line.map_or(0, |line| line.split(' ').nth(1).unwrap().parse().unwrap())
    }
}

async fn make(hub: &Hub, id: &str) {
    let project = ProjectId::new(id).unwrap();
    hub.create_project(Project {
        id: project.clone(),
        name: id.to_owned(),
        created: Timestamp::default(),
        basic_auth: false,
        default_stream: StreamName::new("events").unwrap(),
        limits: ProjectLimits::default(),
    })
    .await
    .unwrap();
    for name in ["AA/INVOICES", "AA/PAYMENTS", "BB/INVOICES", "events"] {
        let settings =
            StreamSettings { description: "TID-002: test".into(), ..StreamSettings::default() };
        let new = NewStream { name: StreamName::new(name).unwrap(), settings };
        hub.create_stream(&project, new).await.unwrap();
    }
}

async fn key(auth: &Auth, project: &str, actions: &[Action]) -> String {
    let issued = auth
        .issue(NewCredential {
            kind: CredentialKind::Key,
            name: String::new(),
            project: Some(ProjectId::new(project).unwrap()),
            integration: None,
            actions: actions.iter().copied().collect(),
            streams: None,
            user: None,
            destinations: None,
            expires: None,
        })
        .await
        .unwrap();
    issued.secret.expose().to_owned()
}
