//! Posts with a hub and an endpoint that stands where the client would: what is sent, in which order,
//! and what becomes of what was not taken.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use outflow_auth::{Auth, Secret, SystemRng, WebhookSecrets};
use outflow_face_webhook::attempt::{Attempt, Attempting, Request, Transport};
use outflow_face_webhook::guard::Guard;
use outflow_face_webhook::outcome::{Failure, Outcome};
use outflow_face_webhook::schedule::{Schedule, Wish};
use outflow_face_webhook::{Options, serve};
use outflow_hub::{
    Hub, Integration, NewStream, Project, ProjectLimits, Start, StreamSettings, Webhook,
};
use outflow_model::clock::SystemClock;
use outflow_model::draft::{Body, NewEvent};
use outflow_model::rng::SeededRng;
use outflow_model::{
    Action, CredentialId, Draft, Grant, IntegrationId, Offset, ProjectId, StreamName, Timestamp,
};
use outflow_store::memory::MemoryEngine;
use parking_lot::Mutex;
use prometheus_client::registry::Registry;
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinHandle;
use tokio::time::timeout;

const SOON: Duration = Duration::from_secs(20);
const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// An endpoint that remembers what came, and answers what it was told to; else it takes everything.
#[derive(Debug, Default)]
struct Desk {
    came: Mutex<Vec<(String, Bytes)>>,
    answers: Mutex<VecDeque<Outcome>>,
    news: Notify,
}

impl Transport for Desk {
    fn attempt(&self, request: Request) -> Attempting {
        let id = request.fields.iter().find(|field| field.name == "webhook-id");
        let id = id.map(|field| field.value().to_owned()).unwrap_or_default();
        assert!(request.fields.iter().any(|field| field.name == "webhook-signature"));
        self.came.lock().push((id, request.body));
        self.news.notify_one();
        let outcome = self.answers.lock().pop_front().unwrap_or(Outcome::Taken);
        let (status, excerpt) = (Some(200), Bytes::from_static(b"ok"));
        let attempt = Attempt { outcome, status, excerpt, took: Duration::from_millis(1) };
        Box::pin(async move { attempt })
    }
}

impl Desk {
    /// The first `count` requests, once they have come.
    async fn requests(&self, count: usize) -> Vec<(String, Bytes)> {
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

struct World {
    engine: Arc<MemoryEngine>,
    hub: Hub,
    auth: Auth,
    desk: Arc<Desk>,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

fn ids() -> (ProjectId, IntegrationId) {
    (ProjectId::new("acme").unwrap(), IntegrationId::new("hook").unwrap())
}

fn stream() -> StreamName {
    StreamName::new("events").unwrap()
}

fn webhook(batch: u32) -> Webhook {
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

fn again() -> Outcome {
    Outcome::Again { failure: Failure::Status(500), wish: Wish::default() }
}

async fn open(engine: &Arc<MemoryEngine>, desk: &Arc<Desk>) -> World {
    let clock = Arc::new(SystemClock);
    let (options, mut registry) = (outflow_hub::Options::default(), Registry::default());
    let rng = Arc::new(SeededRng::new(7));
    let hub = Hub::open(engine.clone(), clock.clone(), rng, options, &mut registry).await.unwrap();
    let auth = Auth::open(engine.clone(), clock, Arc::new(SystemRng)).await.unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let stopped = Mutex::new(Some(stopped));
    let options = Options {
        guard: Arc::new(Guard::default()),
        posts: 1,
        schedule: Schedule::default(),
        ..Options::default()
    };
    let stopping = move || {
        let stopped = stopped.lock().take();
        async move {
            if let Some(stopped) = stopped {
                let _ = stopped.await;
            }
        }
    };
    let served = serve(&hub, &auth, desk.clone(), options, &mut registry, stopping).unwrap();
    let task = tokio::spawn(served);
    World { engine: engine.clone(), hub, auth, desk: desk.clone(), stop, task }
}

impl World {
    /// A project with an integration that has a webhook.
    async fn new(webhook: Webhook) -> Self {
        let clock = Arc::new(SystemClock);
        let world = open(&Arc::new(MemoryEngine::new(clock)), &Arc::default()).await;
        let (project, id) = ids();
        let (hub, created) = (&world.hub, Timestamp::default());
        hub.create_project(Project {
            id: project.clone(),
            name: String::new(),
            created,
            basic_auth: false,
            default_stream: stream(),
            limits: ProjectLimits::default(),
        })
        .await
        .unwrap();
        let new = NewStream { name: stream(), settings: StreamSettings::default() };
        hub.create_stream(&project, new).await.unwrap();
        hub.create_integration(Integration {
            id: id.clone(),
            project: project.clone(),
            name: String::new(),
            description: String::new(),
            send_location: false,
            event_types: None,
            compliance: false,
            max_connections: 1,
            webhook: None,
            created,
        })
        .await
        .unwrap();
        let secret = Secret::new(SECRET.to_owned());
        let secrets = WebhookSecrets { secret, old: Vec::new(), headers: Vec::new() };
        world.auth.set_webhook_secrets(&project, &id, Some(&secrets)).await.unwrap();
        hub.set_webhook(&project, &id, webhook, Start::Latest).await.unwrap();
        world.changed(false).await;
        world
    }

    /// Waits until a stream of the endpoint has so many events.
    async fn stored(&self, kind: &str, count: u64) {
        let (project, id) = ids();
        let name = StreamName::new(&format!("{kind}:{id}")).unwrap();
        let stored = async {
            loop {
                let stream = self.hub.stream(&project, &name);
                let next = stream.map(|stream| self.hub.stats(&stream).next.get());
                if next.is_some_and(|next| next - Offset::FIRST.get() >= count) {
                    return;
                }
                tokio::task::yield_now().await;
            }
        };
        timeout(SOON, stored).await.unwrap_or_else(|_| panic!("{name} stays empty"));
    }

    async fn changed(&self, anew: bool) {
        self.hub.webhooks().unwrap().changed(&ids(), anew).await.unwrap();
    }

    /// The server is stopped, and another goes on with what it has stored.
    async fn restart(self) -> Self {
        drop(self.stop);
        self.task.await.unwrap();
        open(&self.engine, &self.desk).await
    }

    async fn publish(&self, types: &[&str]) {
        let (project, _) = ids();
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
fn offsets(body: &[u8]) -> Vec<u64> {
    let value: serde_json::Value = serde_json::from_slice(body).unwrap();
    let one = |event: &serde_json::Value| event["offset"].as_str().unwrap().parse().unwrap();
    value.as_array().map_or_else(|| vec![one(&value)], |all| all.iter().map(one).collect())
}

#[tokio::test]
async fn what_fails_is_sent_again_the_same_before_anything_else() {
    let world = World::new(webhook(1)).await;
    world.desk.answers.lock().extend([Outcome::Taken, again(), again(), Outcome::Taken]);
    world.publish(&["A", "B", "C"]).await;
    let came = world.desk.requests(5).await;
    let sent: Vec<u64> = came.iter().flat_map(|(_, body)| offsets(body)).collect();
    let first = sent[0];
    assert_eq!(sent, [first, first + 1, first + 1, first + 1, first + 2]);
    assert_eq!((&came[1], &came[1]), (&came[2], &came[3]), "the same id and bytes");
    assert!(std::str::from_utf8(&came[0].1).unwrap().contains(r#""body":{"n":1.10}"#));
}

#[tokio::test]
async fn what_is_refused_is_parked_and_holds_up_nothing() {
    let world = World::new(webhook(1)).await;
    world.desk.answers.lock().extend([Outcome::Refused { status: 400 }]);
    world.publish(&["A", "B"]).await;
    world.desk.requests(2).await;
    let (project, id) = ids();
    world.stored("webhook.parked", 1).await;
    // Both attempts are told of.
    world.stored("webhook.attempts", 2).await;
    // It can be sent again, to this endpoint, as it was.
    let since = Timestamp::from_millis(0);
    assert_eq!(world.hub.recover_webhook(&project, &id, since).await.unwrap(), 1);
    world.hub.webhooks().unwrap().moved(&ids()).await.unwrap();
    let came = world.desk.requests(3).await;
    assert_eq!(came[2], came[0]);
}

#[tokio::test]
async fn batches_are_arrays_and_partial_ones_go_after_a_second() {
    let world = World::new(webhook(5)).await;
    world.publish(&["A"; 7]).await;
    let came = world.desk.requests(2).await;
    let counts: Vec<usize> = came.iter().map(|(_, body)| offsets(body).len()).collect();
    assert_eq!(counts, [5, 2]);
    assert!(came[1].1.starts_with(b"[{"));
}

#[tokio::test]
async fn new_settings_count_from_the_next_batch_on() {
    let world = World::new(webhook(1)).await;
    world.publish(&["A"]).await;
    world.desk.requests(1).await;
    let (project, id) = ids();
    world.hub.set_webhook(&project, &id, webhook(50), Start::Latest).await.unwrap();
    world.changed(false).await;
    world.publish(&["B"; 50]).await;
    let came = world.desk.requests(2).await;
    assert_eq!(offsets(&came[1].1).len(), 50);
}

#[tokio::test]
async fn only_what_the_integration_and_the_filter_show_is_sent() {
    let filter = Some(r#"[{"types":["OPEN","LOCATION"]}]"#.to_owned());
    let world = World::new(Webhook { filter, ..webhook(1) }).await;
    world.publish(&["OPEN", "SEND", "LOCATION", "COMPLIANCE", "OPEN"]).await;
    let came = world.desk.requests(2).await;
    for (_, body) in &came {
        let event: serde_json::Value = serde_json::from_slice(body).unwrap();
        assert_eq!(event["type"], "OPEN");
    }
    let (project, id) = ids();
    let place = world.hub.endpoint_subscription(&project, &id).unwrap();
    let done = async {
        while world.hub.subscription_stats(&place).backlog > 0 {
            tokio::task::yield_now().await;
        }
    };
    timeout(SOON, done).await.expect("what is hidden does not pile up");
}

#[tokio::test]
async fn a_replay_sends_the_same_ids_and_bytes() {
    let world = World::new(webhook(1)).await;
    world.publish(&["A", "B", "C"]).await;
    let first = world.desk.requests(3).await;
    let (project, id) = ids();
    let from = offsets(&first[1].1)[0];
    world.hub.rewind_webhook(&project, &id, Start::After(Offset::new(from - 1))).await.unwrap();
    world.hub.webhooks().unwrap().moved(&ids()).await.unwrap();
    let all = world.desk.requests(5).await;
    assert_eq!(all[3..], first[1..]);
    // One of them by itself is the same message, too.
    let at = Offset::new(from);
    let answer = world.hub.webhooks().unwrap().resend(&ids(), at, at).await.unwrap();
    assert!(answer.taken);
    assert_eq!(world.desk.requests(6).await[5], first[1]);
}

#[tokio::test]
async fn a_restart_goes_on_where_it_was() {
    let world = World::new(webhook(5)).await;
    let slow = Wish { is_throttled: false, retry_after: Some(Duration::from_secs(3_000)) };
    let fails = Outcome::Again { failure: Failure::Status(503), wish: slow };
    world.desk.answers.lock().extend([Outcome::Taken, fails]);
    world.publish(&["A"; 5]).await;
    world.desk.requests(1).await;
    world.publish(&["B"; 2]).await;
    let before = world.desk.requests(2).await;
    let world = world.restart().await;
    // More has come, which does not become part of what was sent.
    world.publish(&["C"; 9]).await;
    let webhooks = world.hub.webhooks().unwrap().clone();
    let status = webhooks.status(&ids()).await.unwrap();
    assert_eq!((status.state, status.failures), ("failing", 1));
    assert!(status.next_attempt.is_some());
    assert_eq!(world.desk.came.lock().len(), 2, "a restart brings nothing forward");
    webhooks.retry(&ids()).await.unwrap();
    let after = world.desk.requests(4).await;
    assert_eq!(after[2], before[1]);
    assert_eq!(offsets(&after[3].1).len(), 5);
}

#[tokio::test]
async fn one_that_is_gone_is_disabled_until_it_is_resumed() {
    let world = World::new(webhook(1)).await;
    world.desk.answers.lock().extend([Outcome::Gone]);
    world.publish(&["A", "B"]).await;
    let first = world.desk.requests(1).await;
    let webhooks = world.hub.webhooks().unwrap().clone();
    let disabled = async {
        while webhooks.status(&ids()).await.unwrap().state != "disabled" {
            tokio::task::yield_now().await;
        }
    };
    timeout(SOON, disabled).await.expect("it is disabled");
    world.changed(true).await;
    let all = world.desk.requests(3).await;
    assert_eq!(all[1], first[0]);
}

#[tokio::test]
async fn a_test_goes_past_all_that_waits_and_is_limited() {
    let world = World::new(Webhook { paused: true, ..webhook(5) }).await;
    world.publish(&["A"]).await;
    let webhooks = world.hub.webhooks().unwrap().clone();
    for _ in 0..10 {
        let answer = webhooks.test(&ids()).await.unwrap();
        assert_eq!((answer.taken, answer.status), (true, Some(200)));
    }
    assert!(webhooks.test(&ids()).await.is_err());
    let came = world.desk.requests(10).await;
    assert!(came.iter().all(|(_, body)| body.starts_with(b"[{") && !body.is_empty()));
    assert_eq!(came.len(), 10, "what waits was not sent");
}
