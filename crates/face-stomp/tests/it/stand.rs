//! A server with one project to test against, and a client that writes bytes and reads frames.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use outflow_auth::{Auth, CredentialKind, NewCredential, SystemRng};
use outflow_face::{App, Counters, Drain, HttpLimits, SocketLimits};
use outflow_face_stomp::wire::{Decoded, Decoder, FrameLimits, Version};
use outflow_face_stomp::{Options, Stomp};
use outflow_hub::{Hub, Project, ProjectLimits};
use outflow_model::clock::SystemClock;
use outflow_model::{Action, CredentialId, ProjectId, StreamName, Timestamp};
use outflow_store::Engine;
use outflow_store::memory::MemoryEngine;
use prometheus_client::registry::Registry;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// How long a test waits for what it expects.
const PATIENCE: Duration = Duration::from_secs(30);

/// A frame, owned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) command: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Frame {
    pub(crate) fn of(frame: &outflow_face_stomp::wire::Frame<'_>) -> Self {
        let own =
            |(name, value): (Cow<'_, str>, Cow<'_, str>)| (name.into_owned(), value.into_owned());
        Self {
            command: frame.command().to_owned(),
            headers: frame.headers().map(own).collect(),
            body: frame.body().to_vec(),
        }
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// A header that must be there.
    #[track_caller]
    pub(crate) fn the(&self, name: &str) -> &str {
        self.get(name).unwrap_or_else(|| panic!("no header {name} in {self:?}"))
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

/// A running server. Its project is `broker`; whoever knows `secret` may do all there.
pub(crate) struct Stand {
    pub(crate) addr: SocketAddr,
    /// Where WebSockets are opened.
    pub(crate) http: SocketAddr,
    pub(crate) hub: Hub,
    pub(crate) engine: Arc<MemoryEngine>,
    pub(crate) auth: Auth,
    pub(crate) drain: Drain,
    pub(crate) secret: String,
}

pub(crate) fn project() -> ProjectId {
    ProjectId::new("broker").unwrap()
}

impl Stand {
    pub(crate) async fn new() -> Self {
        Self::with(Options::default()).await
    }

    pub(crate) async fn with(options: Options) -> Self {
        let clock = Arc::new(SystemClock);
        let memory = Arc::new(MemoryEngine::new(clock.clone()));
        let engine: Arc<dyn Engine> = memory.clone();
        let mut registry = Registry::default();
        let auth = Auth::open(engine.clone(), clock.clone(), Arc::new(SystemRng)).await.unwrap();
        let hub_options = outflow_hub::Options::default();
        let hub = Hub::open(engine, clock, Arc::new(SystemRng), hub_options, &mut registry);
        let hub = hub.await.unwrap();
        auth.on_revoke(Arc::new({
            let hub = hub.clone();
            move |id: &CredentialId, below| hub.close_credential(id, below)
        }));
        hub.create_project(Project {
            id: project(),
            name: "Broker".to_owned(),
            created: Timestamp::default(),
            basic_auth: true,
            default_stream: StreamName::new("events").unwrap(),
            limits: ProjectLimits::default(),
        })
        .await
        .unwrap();
        let issued = auth.issue(key(&[Action::Read, Action::Publish])).await.unwrap();
        let drain = Drain::new();
        let stomp = Stomp::new(hub.clone(), auth.clone(), options, drain.clone(), &mut registry);
        let listener = outflow_face::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let addr = listener.local_addr().unwrap();
        let web = outflow_face::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let http = web.local_addr().unwrap();
        let app =
            App::identified(stomp.router(), Arc::new(SystemRng), |_, _| false, |_, _, _| None);
        let counters = Arc::<Counters>::default;
        tokio::spawn(outflow_face::serve(
            web,
            None,
            app,
            HttpLimits::default(),
            drain.clone(),
            counters(),
        ));
        tokio::spawn(outflow_face::serve_protocol(
            listener,
            None,
            stomp,
            SocketLimits::default(),
            drain.clone(),
            counters(),
        ));
        let secret = issued.secret.expose().to_owned();
        Self { addr, http, hub, engine: memory, auth, drain, secret }
    }

    /// A connection that has sent nothing yet.
    pub(crate) async fn dial(&self) -> Client {
        Client::new(TcpStream::connect(self.addr).await.unwrap())
    }

    /// The headers of a login.
    pub(crate) fn login(&self) -> String {
        format!("login:broker\npasscode:{}\n", self.secret)
    }

    /// A connection that speaks `version`, such as `1.2`.
    pub(crate) async fn connect(&self, version: &str) -> Client {
        self.connect_with(version, "").await
    }

    /// The same, with further headers in CONNECT.
    pub(crate) async fn connect_with(&self, version: &str, more: &str) -> Client {
        let mut client = self.dial().await;
        let login = self.login();
        client.send(&format!("CONNECT\naccept-version:{version}\nhost:x\n{login}{more}\n")).await;
        let connected = client.frame().await;
        assert_eq!(connected.command, "CONNECTED", "{connected:?}");
        client.speak(version);
        client
    }
}

pub(crate) fn key(actions: &[Action]) -> NewCredential {
    NewCredential {
        kind: CredentialKind::Key,
        name: String::new(),
        project: Some(project()),
        integration: None,
        actions: actions.iter().copied().collect(),
        streams: None,
        user: None,
        destinations: None,
        expires: None,
    }
}

/// A connection as a client has it.
pub(crate) struct Client {
    stream: TcpStream,
    buffer: Vec<u8>,
    decoder: Decoder,
    /// Line ends between frames.
    pub(crate) beats: usize,
    /// Frames that came before an answer that was waited for.
    kept: VecDeque<Frame>,
}

impl Client {
    pub(crate) fn new(stream: TcpStream) -> Self {
        stream.set_nodelay(true).unwrap();
        let limits = FrameLimits { body_bytes: 64 << 20, ..FrameLimits::default() };
        Self {
            stream,
            buffer: Vec::new(),
            decoder: Decoder::new(limits),
            beats: 0,
            kept: VecDeque::new(),
        }
    }

    pub(crate) fn speak(&mut self, version: &str) {
        if let Some(version) = Version::negotiate(Some(version)) {
            self.decoder.speak(version);
        }
    }

    /// Writes a frame: `text` and the NUL that ends it.
    pub(crate) async fn send(&mut self, text: &str) {
        self.raw(text.as_bytes()).await;
        self.raw(b"\0").await;
    }

    pub(crate) async fn raw(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
    }

    /// Writes, whether the server still listens or not.
    pub(crate) async fn raw_to_the_end(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes).await;
    }

    /// Writes the same again and again, and counts, until the server has closed the connection.
    pub(crate) async fn flood(&mut self, bytes: &[u8], written: &AtomicU64) {
        while self.stream.write_all(bytes).await.is_ok() {
            written.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Ends the sending side.
    pub(crate) async fn half_close(&mut self) {
        self.stream.shutdown().await.unwrap();
    }

    /// The next frame.
    #[track_caller]
    pub(crate) fn frame(&mut self) -> impl Future<Output = Frame> {
        let place = std::panic::Location::caller();
        async move { self.frame_or_end().await.unwrap_or_else(|| panic!("closed, at {place}")) }
    }

    /// The next `count` frames.
    pub(crate) async fn frames(&mut self, count: usize) -> Vec<Frame> {
        let mut frames = Vec::with_capacity(count);
        for _ in 0..count {
            frames.push(self.frame().await);
        }
        frames
    }

    /// The next frame, or `None` when the server has closed the connection.
    pub(crate) async fn frame_or_end(&mut self) -> Option<Frame> {
        if let Some(kept) = self.kept.pop_front() {
            return Some(kept);
        }
        loop {
            match self.decoder.decode(&self.buffer).unwrap() {
                Decoded::Idle(count) => {
                    self.beats += count;
                    self.buffer.drain(..count);
                }
                Decoded::Frame(frame, len) => {
                    let frame = Frame::of(&frame);
                    self.buffer.drain(..len);
                    return Some(frame);
                }
                Decoded::Incomplete => {
                    let read = self.stream.read_buf(&mut self.buffer);
                    match tokio::time::timeout(PATIENCE, read).await.expect("something comes") {
                        Ok(0) | Err(_) => return None,
                        Ok(_) => {}
                    }
                }
            }
        }
    }

    /// Waits until so many line ends have come between frames.
    pub(crate) async fn wait_for_beats(&mut self, count: usize) {
        while self.beats < count {
            let read = self.stream.read_buf(&mut self.buffer);
            let read = tokio::time::timeout(PATIENCE, read).await.expect("beats come").unwrap();
            assert!(read > 0, "closed");
            self.beats += self.buffer.drain(..).filter(|byte| *byte == b'\n').count();
        }
    }

    /// Sends a frame with a receipt and waits for it. Messages that come before are kept for later.
    pub(crate) async fn ask(&mut self, command: &str, headers: &str, body: &str) {
        self.send(&format!("{command}\nreceipt:ask\n{headers}\n{body}")).await;
        let before = std::mem::take(&mut self.kept);
        let mut meanwhile = VecDeque::new();
        loop {
            let answer = self.frame().await;
            if answer.get("receipt-id") == Some("ask") {
                assert_eq!(answer.command, "RECEIPT", "{answer:?}");
                break;
            }
            meanwhile.push_back(answer);
        }
        self.kept = before;
        self.kept.append(&mut meanwhile);
    }

    /// All frames that come before the answer to a question asked now.
    pub(crate) async fn until_quiet(&mut self) -> Vec<Frame> {
        self.send("BEGIN\ntransaction:quiet\nreceipt:quiet\n\n").await;
        let mut frames = Vec::new();
        loop {
            let frame = self.frame().await;
            if frame.get("receipt-id") == Some("quiet") {
                self.send("ABORT\ntransaction:quiet\n\n").await;
                return frames;
            }
            frames.push(frame);
        }
    }

    pub(crate) async fn subscribe(&mut self, id: &str, destination: &str, more: &str) {
        self.ask("SUBSCRIBE", &format!("id:{id}\ndestination:{destination}\n{more}"), "").await;
    }
}
