//! What posts are tried in: a hub in memory, and an endpoint that stands where the client would.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use outflow_auth::{Auth, Secret, SystemRng, WebhookSecrets};
use outflow_face_webhook::attempt::{Attempt, Attempting, Request, Transport};
use outflow_face_webhook::outcome::{Failure, Outcome};
use outflow_face_webhook::schedule::Wish;
use outflow_face_webhook::{Options, serve};
use outflow_hub::webhook::WebhookId;
use outflow_hub::{
    Hub, Integration, NewStream, Project, ProjectLimits, Start, StreamSettings, Webhook,
};
use outflow_model::clock::SystemClock;
use outflow_model::draft::{Body, NewEvent};
use outflow_model::rng::SeededRng;
use outflow_model::{
    Action, Clock, CredentialId, Draft, Grant, IntegrationId, Offset, ProjectId, StreamName,
    Timestamp,
};
use outflow_store::Engine;
use outflow_store::memory::MemoryEngine;
use parking_lot::Mutex;
use prometheus_client::registry::Registry;
use tokio::sync::{Notify, Semaphore, oneshot};
use tokio::task::JoinHandle;
use tokio::time::timeout;

pub(crate) const SOON: Duration = Duration::from_secs(20);
pub(crate) const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// An endpoint that remembers what came, and answers what it was told to; else it takes everything.
#[derive(Debug)]
pub(crate) struct Desk {
    pub(crate) came: Mutex<Vec<(String, Bytes)>>,
    pub(crate) answers: Mutex<VecDeque<Outcome>>,
    /// The id of a message that is never taken.
    pub(crate) never: Mutex<Option<String>>,
    news: Notify,
    /// Requests of this project are answered as they are let go.
    pub(crate) stalls: Mutex<Option<ProjectId>>,
    /// But for those of this integration.
    pub(crate) spares: Mutex<Option<IntegrationId>>,
    pub(crate) stalled: Arc<Semaphore>,
}

impl Default for Desk {
    fn default() -> Self {
        let (came, answers, news) = <(Mutex<_>, Mutex<_>, Notify)>::default();
        let (never, stalls, spares) = <(Mutex<_>, Mutex<_>, Mutex<_>)>::default();
        Self { came, answers, never, news, stalls, spares, stalled: Arc::new(Semaphore::new(0)) }
    }
}

impl Transport for Desk {
    fn attempt(&self, request: Request) -> Attempting {
        let id = request.fields.iter().find(|field| field.name == "webhook-id");
        let id = id.map(|field| field.value().to_owned()).unwrap_or_default();
        assert!(request.fields.iter().any(|field| field.name == "webhook-signature"));
        let is_never = self.never.lock().as_ref() == Some(&id);
        let number = {
            let mut came = self.came.lock();
            came.push((id, request.body.clone()));
            came.len()
        };
        self.news.notify_one();
        let next = if is_never { Some(again()) } else { self.answers.lock().pop_front() };
        let outcome = next.unwrap_or(Outcome::Taken);
        let (status, excerpt) = match outcome {
            Outcome::Refused { status } => (status, format!("request {number}\nis odd").into()),
            _ => (200, Bytes::from_static(b"ok")),
        };
        let status = Some(status);
        let attempt = Attempt { outcome, status, excerpt, took: Duration::from_millis(1) };
        let is_spared = self.spares.lock().as_ref() == Some(&request.target.integration);
        let is_stalled = self.stalls.lock().as_ref() == Some(&request.target.project) && !is_spared;
        let stalled = Arc::clone(&self.stalled);
        Box::pin(async move {
            if is_stalled {
                stalled.acquire().await.unwrap().forget();
            }
            attempt
        })
    }
}

impl Desk {
    /// The first `count` requests, once they have come.
    pub(crate) async fn requests(&self, count: usize) -> Vec<(String, Bytes)> {
        let come = async {
            while self.came.lock().len() < count {
                self.news.notified().await;
            }
        };
        let came = timeout(SOON, come).await;
        let all = self.came.lock().clone();
        assert!(came.is_ok(), "{} of {count} requests came: {all:?}", all.len());
        all
    }
}

pub(crate) struct World {
    pub(crate) engine: Arc<dyn Engine>,
    pub(crate) hub: Hub,
    auth: Auth,
    pub(crate) desk: Arc<Desk>,
    options: Options,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

pub(crate) fn ids() -> WebhookId {
    named("acme", "hook")
}

pub(crate) fn named(project: &str, id: &str) -> WebhookId {
    (ProjectId::new(project).unwrap(), IntegrationId::new(id).unwrap())
}

pub(crate) fn stream() -> StreamName {
    StreamName::new("events").unwrap()
}

pub(crate) fn webhook(batch: u32) -> Webhook {
    Webhook {
        stream: stream(),
        url: "https://hooks.example.com/in".into(),
        batch,
        lanes: None,
        gzip: false,
        filter: None,
        style: "standard".into(),
        pauses: vec![Duration::from_millis(20)],
        timeout: None,
        disable_after: None,
        paused: false,
    }
}

pub(crate) fn again() -> Outcome {
    Outcome::Again { failure: Failure::Status(500), wish: Wish::default() }
}

/// A server with what is stored there.
pub(crate) async fn open(engine: Arc<dyn Engine>, desk: Arc<Desk>, options: Options) -> World {
    open_at(Arc::new(SystemClock), engine, desk, options).await
}

/// The same with a clock of one's own.
async fn open_at(
    clock: Arc<dyn Clock>,
    engine: Arc<dyn Engine>,
    desk: Arc<Desk>,
    options: Options,
) -> World {
    let (of_hub, mut registry) = (outflow_hub::Options::default(), Registry::default());
    let rng = Arc::new(SeededRng::new(7));
    let hub = Hub::open(engine.clone(), clock.clone(), rng, of_hub, &mut registry).await.unwrap();
    let auth = Auth::open(engine.clone(), clock, Arc::new(SystemRng)).await.unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let stopped = Mutex::new(Some(stopped));
    let stopping = move || {
        let stopped = stopped.lock().take();
        async move {
            if let Some(stopped) = stopped {
                let _ = stopped.await;
            }
        }
    };
    let used = Options { posts: 1, ..options.clone() };
    let served = serve(&hub, &auth, desk.clone(), used, &mut registry, stopping).unwrap();
    let task = tokio::spawn(served);
    World { engine, hub, auth, desk, options, stop, task }
}

pub(crate) fn memory() -> Arc<MemoryEngine> {
    Arc::new(MemoryEngine::new(Arc::new(SystemClock)))
}

impl World {
    /// A project with an integration that has a webhook.
    pub(crate) async fn new(webhook: Webhook) -> Self {
        Self::at(Arc::new(SystemClock), webhook).await
    }

    /// The same with a clock of one's own.
    pub(crate) async fn at(clock: Arc<dyn Clock>, webhook: Webhook) -> Self {
        let engine = Arc::new(MemoryEngine::new(clock.clone()));
        let world = open_at(clock, engine, Arc::default(), Options::default()).await;
        world.project("acme").await;
        world.endpoint(&ids(), webhook).await;
        world
    }

    /// Makes a project with a stream.
    pub(crate) async fn project(&self, name: &str) {
        let project = Project {
            id: ProjectId::new(name).unwrap(),
            name: String::new(),
            created: Timestamp::default(),
            basic_auth: false,
            default_stream: stream(),
            limits: ProjectLimits::default(),
        };
        let id = project.id.clone();
        self.hub.create_project(project).await.unwrap();
        let new = NewStream { name: stream(), settings: StreamSettings::default() };
        self.hub.create_stream(&id, new).await.unwrap();
    }

    /// Makes an integration that has a webhook.
    pub(crate) async fn endpoint(&self, id: &WebhookId, webhook: Webhook) {
        self.hub
            .create_integration(Integration {
                id: id.1.clone(),
                project: id.0.clone(),
                name: String::new(),
                description: String::new(),
                send_location: false,
                event_types: None,
                compliance: false,
                max_connections: 1,
                webhook: None,
                created: Timestamp::default(),
            })
            .await
            .unwrap();
        let secret = Secret::new(SECRET.to_owned());
        let secrets = WebhookSecrets { secret, old: Vec::new(), headers: Vec::new() };
        self.auth.set_webhook_secrets(&id.0, &id.1, Some(&secrets)).await.unwrap();
        self.set(id, webhook).await;
    }

    /// Sets a webhook, and says so.
    pub(crate) async fn set(&self, id: &WebhookId, webhook: Webhook) {
        self.hub.set_webhook(&id.0, &id.1, webhook, Start::Latest).await.unwrap();
        self.hub.webhooks().unwrap().changed(id, false).await.unwrap();
    }

    /// Waits until a stream of the endpoint has so many events.
    pub(crate) async fn stored(&self, kind: &str, count: u64) {
        self.stored_of(&ids(), kind, count).await;
    }

    /// The same of one of several.
    pub(crate) async fn stored_of(&self, (project, id): &WebhookId, kind: &str, count: u64) {
        let name = StreamName::new(&format!("{kind}:{id}")).unwrap();
        let stored = async {
            loop {
                let stream = self.hub.stream(project, &name);
                let next = stream.map(|stream| self.hub.stats(&stream).next.get());
                if next.is_some_and(|next| next - Offset::FIRST.get() >= count) {
                    return;
                }
                tokio::task::yield_now().await;
            }
        };
        timeout(SOON, stored).await.unwrap_or_else(|_| panic!("{name} stays empty"));
    }

    pub(crate) async fn changed(&self, anew: bool) {
        self.hub.webhooks().unwrap().changed(&ids(), anew).await.unwrap();
    }

    /// The server is stopped, and another goes on with what it has stored.
    pub(crate) async fn restart(self) -> Self {
        self.restart_after(async |_| {}).await
    }

    /// The same with a clock of one's own.
    pub(crate) async fn restart_at(self, clock: Arc<dyn Clock>) -> Self {
        drop(self.stop);
        self.task.await.unwrap();
        open_at(clock, self.engine, self.desk, self.options).await
    }

    /// The same, something being done with its hub once endpoints are served no more.
    pub(crate) async fn restart_after(self, does: impl AsyncFnOnce(Hub)) -> Self {
        drop(self.stop);
        self.task.await.unwrap();
        does(self.hub).await;
        open(self.engine, self.desk, self.options).await
    }

    pub(crate) async fn publish(&self, types: &[&str]) {
        self.publish_in("acme", types).await;
    }

    /// Publishes events of these types in a project's stream.
    pub(crate) async fn publish_in(&self, project: &str, types: &[&str]) {
        let project = ProjectId::new(project).unwrap();
        let stream = self.hub.stream(&project, &stream()).unwrap();
        let grant = Grant {
            credential: CredentialId::new("publisher").unwrap(),
            generation: 0,
            expires: None,
            project: Some(project),
            integration: None,
            actions: Arc::new([Action::Publish].into()),
            streams: None,
            destinations: None,
        };
        let mut draft = Draft::default();
        for event_type in types {
            let event = NewEvent {
                id: None,
                event_type,
                occurred: None,
                key: None,
                headers: &[],
                body: Body::Json(br#"{"n":1.10}"#),
            };
            draft.push(&event, &self.hub.rules(), self.hub.rng()).unwrap();
        }
        self.hub.publish(&grant, &stream, draft).await.unwrap();
    }
}

/// The offsets in a body.
pub(crate) fn offsets(body: &[u8]) -> Vec<u64> {
    let value: serde_json::Value = serde_json::from_slice(body).unwrap();
    let one = |event: &serde_json::Value| event["offset"].as_str().unwrap().parse().unwrap();
    value.as_array().map_or_else(|| vec![one(&value)], |all| all.iter().map(one).collect())
}
