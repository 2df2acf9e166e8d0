//! A server with one project to test against, and a client that reads as bytes arrive.

use std::io::Write;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use outflow_auth::{Auth, CredentialKind, NewCredential, SystemRng};
use outflow_body::Door;
use outflow_face::{Counters, Drain, HttpLimits};
use outflow_face_ndjson::Options;
use outflow_hub::{Hub, Integration, NewStream, Project, ProjectLimits, Stream, StreamSettings};
use outflow_model::clock::SystemClock;
use outflow_model::{
    Action, CredentialId, Draft, Grant, IntegrationId, Offset, ProjectId, StreamName, Timestamp,
};
use outflow_store::Engine;
use outflow_store::memory::MemoryEngine;
use outflow_testkit::transcript::{Head, Player};
use prometheus_client::registry::Registry;

/// How often a silent stream is marked, here.
pub(crate) const HEARTBEAT: Duration = Duration::from_millis(50);

/// How many bytes of requests may be held at once, here.
pub(crate) const ROOM: usize = 128 << 10;

/// How long a draining server holds new streams, here.
pub(crate) const DRAIN_PAUSE: Duration = Duration::from_millis(100);

/// A running server. Its project is `app`; its default stream holds Airship's events.
pub(crate) struct Stand {
    pub(crate) addr: SocketAddr,
    pub(crate) hub: Hub,
    pub(crate) auth: Auth,
    pub(crate) engine: Arc<MemoryEngine>,
    pub(crate) registry: Registry,
    /// The room for bodies.
    pub(crate) door: Arc<Door>,
    /// Reads all events, with one connection more than two at once.
    pub(crate) token: (CredentialId, String),
    /// Reads compliance events.
    pub(crate) master: String,
}

pub(crate) fn project() -> ProjectId {
    ProjectId::new("app").unwrap()
}

impl Stand {
    pub(crate) async fn new() -> Self {
        Self::limited(HttpLimits::default(), outflow_hub::Options::default()).await
    }

    /// A server with these limits.
    pub(crate) async fn limited(limits: HttpLimits, options: outflow_hub::Options) -> Self {
        let clock = Arc::new(SystemClock);
        let engine = Arc::new(MemoryEngine::new(clock.clone()));
        let shared: Arc<dyn Engine> = engine.clone();
        let mut registry = Registry::default();
        let auth = Auth::open(shared.clone(), clock.clone(), Arc::new(SystemRng)).await.unwrap();
        let hub = Hub::open(shared, clock, Arc::new(SystemRng), options, &mut registry);
        let hub = hub.await.unwrap();
        auth.on_revoke(Arc::new({
            let hub = hub.clone();
            move |id: &CredentialId, below| hub.close_credential(id, below)
        }));
        let created = Timestamp::default();
        let default_stream = StreamName::new("events").unwrap();
        hub.create_project(Project {
            id: project(),
            name: "App".to_owned(),
            created,
            basic_auth: true,
            default_stream: default_stream.clone(),
            limits: ProjectLimits::default(),
        })
        .await
        .unwrap();
        let new = NewStream { name: default_stream, settings: StreamSettings::default() };
        hub.create_stream(&project(), new).await.unwrap();
        hub.create_integration(Integration {
            id: IntegrationId::new("direct").unwrap(),
            project: project(),
            name: "direct".to_owned(),
            description: String::new(),
            send_location: false,
            event_types: None,
            compliance: false,
            max_connections: 2,
            webhook: None,
            created,
        })
        .await
        .unwrap();
        let options =
            Options { heartbeat: HEARTBEAT, drain_pause: DRAIN_PAUSE, ..Options::default() };
        let door = Arc::new(Door::new(ROOM, ROOM));
        let (own, room) = (hub.clone(), door.clone());
        let app = outflow_face_ndjson::router(own, auth.clone(), options, room, &mut registry);
        let listener = outflow_face::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let addr = listener.local_addr().unwrap();
        let counters = Arc::new(Counters::default());
        tokio::spawn(outflow_face::serve(listener, None, app, limits, Drain::new(), counters));
        let token = issue(&auth, CredentialKind::Token, &[Action::Read]).await;
        let (_, master) = issue(&auth, CredentialKind::Master, &[Action::Compliance]).await;
        Self { addr, hub, auth, engine, registry, door, token, master }
    }

    pub(crate) async fn key(&self, actions: &[Action]) -> String {
        issue(&self.auth, CredentialKind::Key, actions).await.1
    }

    pub(crate) fn stream(&self) -> Arc<Stream> {
        self.hub.stream(&project(), &StreamName::new("events").unwrap()).unwrap()
    }

    /// Publishes events and gives their offsets.
    pub(crate) async fn publish(&self, events: &[String]) -> Vec<Offset> {
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
        let receipt = self.hub.publish(&grant, &self.stream(), draft).await.unwrap();
        receipt.events.iter().map(|placed| placed.offset).collect()
    }

    /// A request of a made-up client that accepts plain text.
    pub(crate) fn plain(&self, body: &str) -> String {
        self.request("/api/events", "Accept-Encoding: identity\r\n", body)
    }

    /// A request with the usual credentials.
    pub(crate) fn request(&self, path: &str, more: &str, body: &str) -> String {
        let (token, len) = (&self.token.1, body.len());
        format!(
            "POST {path} HTTP/1.1\r\nHost: x\r\nUser-Agent: test\r\nX-UA-Appkey: app\r\n\
             Authorization: Bearer {token}\r\n{more}Content-Length: {len}\r\n\r\n{body}"
        )
    }

    /// Sends a request and reads the answer's head.
    pub(crate) async fn ask(&self, request: &str) -> (Head, Player) {
        let mut player = Player::connect(self.addr).await.unwrap();
        player.send(request).await.unwrap();
        (player.head().await.unwrap(), player)
    }

    /// Sends a request that is answered with a stream.
    pub(crate) async fn open(&self, request: &str) -> Feed {
        let (head, player) = self.ask(request).await;
        assert_eq!(head.status, "HTTP/1.1 200 OK");
        assert_eq!(head.field("transfer-encoding"), Some("chunked"));
        Feed::new(head, player)
    }

    /// Sends a request that is refused; gives the status line and body.
    pub(crate) async fn refused(&self, request: &str) -> (String, serde_json::Value) {
        let (head, mut player) = self.ask(request).await;
        assert_eq!(head.field("content-type").map(|kind| kind.contains("json")), Some(true));
        let len = head.field("content-length").expect("an error has its length").parse().unwrap();
        let body = player.exactly(len).await.unwrap();
        (head.status, serde_json::from_slice(&body).unwrap())
    }
}

async fn issue(auth: &Auth, kind: CredentialKind, actions: &[Action]) -> (CredentialId, String) {
    let integration =
        (kind == CredentialKind::Token).then(|| IntegrationId::new("direct").unwrap());
    let issued = auth
        .issue(NewCredential {
            kind,
            name: String::new(),
            project: Some(project()),
            integration,
            actions: actions.iter().copied().collect(),
            streams: None,
            user: None,
            destinations: None,
            expires: None,
        })
        .await
        .unwrap();
    (issued.credential.id, issued.secret.expose().to_owned())
}

/// An event with `id`, of type OPEN unless `more` says otherwise.
pub(crate) fn event(id: &str, more: &str) -> String {
    let more = if more.contains("\"type\"") {
        more.to_owned()
    } else {
        format!("\"type\":\"OPEN\"{more}")
    };
    format!("{{\"id\":\"{id}\",{more}}}")
}

/// Several events with ids `<prefix><n>`.
pub(crate) fn events(prefix: &str, count: usize) -> Vec<String> {
    (0..count).map(|n| event(&format!("{prefix}{n}"), "")).collect()
}

/// What a client sees of a stream: decoded lines, as they arrive.
pub(crate) struct Feed {
    pub(crate) head: Head,
    player: Player,
    decoder: Decoder,
    lines: std::collections::VecDeque<String>,
    partial: Vec<u8>,
    is_over: bool,
}

enum Decoder {
    Gzip(Box<flate2::write::GzDecoder<Vec<u8>>>),
    Zstd(zstd::stream::write::Decoder<'static, Vec<u8>>),
    Plain,
}

impl Feed {
    fn new(head: Head, player: Player) -> Self {
        let decoder = match head.field("content-encoding") {
            Some("gzip") => Decoder::Gzip(Box::new(flate2::write::GzDecoder::new(Vec::new()))),
            Some("zstd") => Decoder::Zstd(zstd::stream::write::Decoder::new(Vec::new()).unwrap()),
            Some(other) => panic!("unknown coding {other}"),
            None => Decoder::Plain,
        };
        Self { head, player, decoder, lines: [].into(), partial: Vec::new(), is_over: false }
    }

    /// The next line without its `\n`, blank ones included; `None` after a clean end.
    pub(crate) async fn line(&mut self) -> Option<String> {
        loop {
            if let Some(line) = self.lines.pop_front() {
                return Some(line);
            }
            if self.is_over {
                return None;
            }
            self.chunk().await;
        }
    }

    /// The next event.
    pub(crate) async fn event(&mut self) -> Option<serde_json::Value> {
        loop {
            let line = self.line().await?;
            if !line.is_empty() {
                return Some(serde_json::from_str(&line).unwrap());
            }
        }
    }

    /// The ids of the next events.
    pub(crate) async fn ids(&mut self, count: usize) -> Vec<String> {
        let mut ids = Vec::new();
        for _ in 0..count {
            ids.push(self.event().await.unwrap()["id"].as_str().unwrap().to_owned());
        }
        ids
    }

    /// The ids of all events to the clean end.
    pub(crate) async fn all_ids(&mut self) -> Vec<String> {
        let mut ids = Vec::new();
        while let Some(event) = self.event().await {
            ids.push(event["id"].as_str().unwrap().to_owned());
        }
        ids
    }

    async fn chunk(&mut self) {
        let chunk = self.player.chunk().await.expect("the stream ends cleanly");
        let plain = match &mut self.decoder {
            Decoder::Plain => chunk.clone(),
            Decoder::Gzip(decoder) => {
                decoder.write_all(&chunk).unwrap();
                decoder.flush().unwrap();
                std::mem::take(decoder.get_mut())
            }
            Decoder::Zstd(decoder) => {
                decoder.write_all(&chunk).unwrap();
                decoder.flush().unwrap();
                std::mem::take(decoder.get_mut())
            }
        };
        for byte in plain {
            if byte == b'\n' {
                let line = std::mem::take(&mut self.partial);
                self.lines.push_back(String::from_utf8(line).unwrap());
            } else {
                self.partial.push(byte);
            }
        }
        if chunk.is_empty() {
            assert!(self.partial.is_empty(), "the last line is whole");
            if let Decoder::Gzip(decoder) = &mut self.decoder {
                decoder.try_finish().expect("the trailer is there");
            }
            self.is_over = true;
        }
    }
}

/// The rest of an answer whose head was read already.
pub(crate) fn feed(head: Head, player: Player) -> Feed {
    Feed::new(head, player)
}
