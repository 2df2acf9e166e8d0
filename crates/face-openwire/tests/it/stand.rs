//! A server with one project to test against, and a client that speaks commands.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use outflow_auth::{Auth, CredentialKind, NewCredential, SystemRng};
use outflow_face::{Counters, Drain, SocketLimits};
use outflow_face_openwire::wire::{
    Command, ConnectionId, ConnectionInfo, ConsumerId, ConsumerInfo, Decoder, Destination,
    DestinationKind, Encoder, Message, MessageAck, MessageDispatch, MessageId, MessageKind, Offer,
    Password, ProducerId, WireFormat, body,
};
use outflow_face_openwire::{OpenWire, Options};
use outflow_hub::{Hub, Project, ProjectLimits};
use outflow_model::clock::SystemClock;
use outflow_model::{Action, ProjectId, StreamName, Timestamp};
use outflow_store::Engine;
use outflow_store::memory::MemoryEngine;
use prometheus_client::registry::Registry;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// How long a test waits for what it expects.
const PATIENCE: Duration = Duration::from_secs(30);
/// The largest frame of a test.
const MAX_FRAME: u64 = 1 << 20;

/// A running server. Its project is `broker`; whoever knows `secret` may do all there.
pub(crate) struct Stand {
    addr: SocketAddr,
    pub(crate) secret: String,
    /// That of another credential with the same rights.
    pub(crate) other: String,
    pub(crate) hub: Hub,
    pub(crate) auth: Auth,
    registry: Registry,
}

pub(crate) fn project() -> ProjectId {
    ProjectId::new("broker").unwrap()
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

impl Stand {
    pub(crate) async fn new() -> Self {
        Self::with(Options::default()).await
    }

    pub(crate) async fn with(options: Options) -> Self {
        let clock = Arc::new(SystemClock);
        let engine: Arc<dyn Engine> = Arc::new(MemoryEngine::new(clock.clone()));
        let mut registry = Registry::default();
        let auth = Auth::open(engine.clone(), clock.clone(), Arc::new(SystemRng)).await.unwrap();
        let hub_options = outflow_hub::Options::default();
        let hub = Hub::open(engine, clock, Arc::new(SystemRng), hub_options, &mut registry);
        let hub = hub.await.unwrap();
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
        let key = key(&[Action::Read, Action::Publish]);
        let issued = auth.issue(key.clone()).await.unwrap();
        let other = auth.issue(key).await.unwrap();
        let drain = Drain::new();
        let (known_hub, known_auth) = (hub.clone(), auth.clone());
        let face = OpenWire::new(hub, auth, options, drain.clone(), &mut registry);
        let listener = outflow_face::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let addr = listener.local_addr().unwrap();
        let (limits, counters) = (SocketLimits::default(), Arc::<Counters>::default());
        tokio::spawn(outflow_face::serve_protocol(listener, None, face, limits, drain, counters));
        let secret = issued.secret.expose().to_owned();
        let other = other.secret.expose().to_owned();
        Self { addr, secret, other, hub: known_hub, auth: known_auth, registry }
    }

    /// How many bodies were built for consumers.
    pub(crate) fn built(&self) -> u64 {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry).unwrap();
        let (_, count) = text.split_once("\nopenwire_bodies_built_total ").unwrap();
        count.lines().next().unwrap().parse().unwrap()
    }

    /// A connection in the tight form with a cache, as Java clients have it.
    pub(crate) async fn dial(&self, id: &str) -> Client {
        self.dial_as(id, 12, true).await
    }

    /// A connection that has agreed on how to speak, and has not logged in.
    pub(crate) async fn dial_as(&self, id: &str, version: u8, tight: bool) -> Client {
        let mut client = Client {
            socket: TcpStream::connect(self.addr).await.unwrap(),
            decoder: Decoder::new(WireFormat::initial(MAX_FRAME)),
            encoder: Encoder::new(WireFormat::initial(MAX_FRAME)),
            input: BytesMut::new(),
            aside: VecDeque::new(),
            id: id.to_owned(),
            commands: 0,
            sent: 0,
            is_again: false,
        };
        let ours = Offer {
            version,
            tight,
            cache: tight,
            cache_size: 1024,
            stack_traces: tight,
            max_frame_size: MAX_FRAME,
            ..Offer::default()
        };
        client.send(&Command::WireFormatInfo(ours.to_info().unwrap())).await;
        let Command::WireFormatInfo(theirs) = client.next().await else { panic!("no offer") };
        let format = ours.agree(&Offer::from_info(&theirs).unwrap());
        assert_eq!((format.version, format.tight, format.cache), (version, tight, tight));
        client.decoder.speak(format.clone());
        client.encoder.speak(format);
        assert!(matches!(client.next().await, Command::BrokerInfo(_)));
        client
    }

    /// A connection that has logged in.
    pub(crate) async fn connect(&self, id: &str) -> Client {
        let mut client = self.dial(id).await;
        let secret = self.secret.clone();
        client.login(&secret, None).await.unwrap();
        client
    }
}

/// A client's end of a connection.
pub(crate) struct Client {
    socket: TcpStream,
    decoder: Decoder,
    encoder: Encoder,
    input: BytesMut,
    /// What came while an answer was waited for.
    aside: VecDeque<Command>,
    pub(crate) id: String,
    commands: i32,
    sent: i64,
    /// Whether it says that it has lost a connection before.
    pub(crate) is_again: bool,
}

/// The names of what the server threw.
pub(crate) type Thrown = (String, String);

pub(crate) fn queue(name: &str) -> Destination {
    Destination::new(DestinationKind::Queue, name)
}

impl Client {
    pub(crate) async fn send(&mut self, command: &Command) {
        let mut out = BytesMut::new();
        self.encoder.encode(command, &mut out).unwrap();
        self.socket.write_all(&out).await.unwrap();
    }

    pub(crate) async fn raw(&mut self, bytes: &[u8]) {
        self.socket.write_all(bytes).await.unwrap();
    }

    /// The next command; panics when none comes.
    pub(crate) async fn next(&mut self) -> Command {
        match self.aside.pop_front() {
            Some(command) => command,
            None => self.read().await.expect("the server has closed the connection"),
        }
    }

    /// The next command from the socket; `None`: the server has closed it.
    pub(crate) async fn read(&mut self) -> Option<Command> {
        loop {
            if let Some(command) = self.decoder.read(&mut self.input).unwrap() {
                return Some(command);
            }
            let read = timeout(PATIENCE, self.socket.read_buf(&mut self.input)).await;
            if read.expect("the server says nothing").unwrap_or(0) == 0 {
                return None;
            }
        }
    }

    /// A number for a command.
    pub(crate) const fn number(&mut self) -> i32 {
        self.commands += 1;
        self.commands
    }

    /// Sends `command`, whose number is `number`, and waits for its answer.
    pub(crate) async fn ask(&mut self, number: i32, command: Command) -> Result<(), Thrown> {
        self.send(&command).await;
        loop {
            match self.read().await.expect("the server has closed the connection") {
                Command::Response(answer) if answer.correlation_id == number => return Ok(()),
                Command::ExceptionResponse(answer) if answer.correlation_id == number => {
                    let thrown = answer.exception.unwrap();
                    let text = |text: Option<std::sync::Arc<str>>| text.unwrap().to_string();
                    return Err((text(thrown.class), text(thrown.message)));
                }
                other => self.aside.push_back(other),
            }
        }
    }

    pub(crate) async fn login(&mut self, secret: &str, client: Option<&str>) -> Result<(), Thrown> {
        let command_id = self.number();
        let info = ConnectionInfo {
            command_id,
            response_required: true,
            connection_id: Some(ConnectionId { value: Some(self.id.as_str().into()) }),
            client_id: client.map(Into::into),
            user_name: Some("broker".into()),
            password: Some(Password::new(secret)),
            failover_reconnect: self.is_again,
            ..ConnectionInfo::default()
        };
        self.ask(command_id, Command::ConnectionInfo(info)).await
    }

    /// A text message to `destination`, the next of this client's producer.
    pub(crate) fn text(&mut self, destination: &Destination, text: &str) -> Message {
        self.sent += 1;
        let connection_id = Some(self.id.as_str().into());
        let producer = ProducerId { connection_id, value: 1, session_id: 1 };
        Message {
            kind: MessageKind::Text,
            producer_id: Some(producer.clone()),
            destination: Some(destination.clone()),
            message_id: Some(MessageId {
                producer_id: Some(producer),
                producer_sequence_id: self.sent,
                ..MessageId::default()
            }),
            persistent: true,
            priority: 4,
            content: Some(body::write_text(text).unwrap().into()),
            ..Message::default()
        }
    }

    /// Sends a message and waits until it is stored.
    pub(crate) async fn publish(&mut self, mut message: Message) -> Result<(), Thrown> {
        message.command_id = self.number();
        message.response_required = true;
        self.ask(message.command_id, Command::Message(Box::new(message))).await
    }

    /// Adds a consumer called `value`.
    pub(crate) async fn consume(
        &mut self,
        value: i64,
        destination: &Destination,
        prefetch: i32,
    ) -> Result<ConsumerId, Thrown> {
        let info = ConsumerInfo {
            destination: Some(destination.clone()),
            prefetch_size: prefetch,
            ..ConsumerInfo::default()
        };
        self.consume_as(value, info).await
    }

    pub(crate) async fn consume_as(
        &mut self,
        value: i64,
        mut info: ConsumerInfo,
    ) -> Result<ConsumerId, Thrown> {
        let connection_id = Some(self.id.as_str().into());
        let id = ConsumerId { connection_id, session_id: 1, value };
        info.command_id = self.number();
        info.response_required = true;
        info.consumer_id = Some(id.clone());
        self.ask(info.command_id, Command::ConsumerInfo(info)).await.map(|()| id)
    }

    /// The next message for a consumer; panics when something else comes.
    pub(crate) async fn dispatch(&mut self) -> MessageDispatch {
        match self.next().await {
            Command::MessageDispatch(dispatch) => dispatch,
            other => panic!("{other:?} is no message"),
        }
    }

    /// Acks all from `first` to `last`, and waits until that is stored.
    pub(crate) async fn ack(
        &mut self,
        kind: i8,
        first: &MessageDispatch,
        last: &MessageDispatch,
    ) -> Result<(), Thrown> {
        let id = |dispatch: &MessageDispatch| dispatch.message.as_ref().unwrap().message_id.clone();
        let command_id = self.number();
        let ack = MessageAck {
            command_id,
            response_required: true,
            consumer_id: last.consumer_id.clone(),
            ack_type: kind,
            first_message_id: id(first),
            last_message_id: id(last),
            message_count: 1,
            ..MessageAck::default()
        };
        self.ask(command_id, Command::MessageAck(ack)).await
    }
}

/// The text of a dispatched message.
pub(crate) fn text_of(dispatch: &MessageDispatch) -> String {
    let message = dispatch.message.as_ref().unwrap();
    body::read_text(&message.content.as_ref().unwrap().to_bytes()).unwrap().unwrap()
}
