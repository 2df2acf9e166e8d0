//! One connection's state machine: what a command, a message or the hub's answer leads to.
//!
//! It is a broker session: [`outflow_broker::Connection`] drives it, and what does not depend on the
//! wire is [`outflow_broker`]'s. [`answers`] gathers what the commands of one read are answered,
//! [`live`] is what connections know of each other.
//!
//! Invariants: a command that asks for an answer gets one, when what it did is durable (or relaxed
//! by choice); a command that fails changes nothing; a message acked twice is acked once.

mod acknowledge;
mod advisory;
mod answer;
pub mod answers;
mod bound;
mod connect;
mod consume;
mod deliver;
mod distributed;
mod hear;
mod live;
mod outbox;
mod presence;
mod remove;
mod seat;
mod send;
mod subscription;
mod temporary;
mod transaction;

use std::collections::{HashMap, HashSet};
use std::fmt::Display;
use std::sync::Arc;

use bytes::BytesMut;
use outflow_auth::Auth;
use outflow_broker::{
    self as broker, Batch, Landing, Outbox as _, Outcome, Part, Pool, Read, Subscriptions, Targets,
    Transaction, Transactions, Wish,
};
use outflow_hub::Hub;
use outflow_hub::destination::Destination;
use outflow_hub::subscription::SubscriptionId;
use outflow_model::ErrorCode;
use outflow_model::draft::Rules;
use tokio::time::Instant;

use crate::config::Options;
use crate::error::{Failure, closes};
use crate::metrics::Metrics;
use crate::translate::bodies::Bodies;
use crate::translate::wish::Ask;
use crate::wire::{
    self, Command, ConsumerId, Decoder, KeepAliveInfo, ProducerId, TransactionId, WireFormat,
    WireStr,
};

use advisory::Advised;
pub use answer::Asked;
use answers::Answers;
pub use connect::Opening;
use distributed::Prepared;
use hear::Heard;
pub use live::{Advice, Live, News};
pub use outbox::Outbox;
pub use presence::Word;
pub use seat::Seat;
use subscription::Own;

type Input<'a> = broker::Input<'a, Session>;
type Step = broker::Step<Session>;
type Work = broker::Work<Session>;

/// The largest frame of who has not logged in yet, in bytes.
const BEFORE_LOGIN: u64 = 64 * 1024;
/// The largest frame of who may send nothing: who gives a message up says by which exception, with all
/// that caused it and where each was thrown (`MessageAck.poisonCause`).
const READS_ONLY: u64 = 1 << 20;

/// So many consumers are looked through one by one.
const FEW: usize = 4;

/// What all sessions of the face share.
#[derive(Debug)]
pub struct Face {
    /// The hub.
    pub hub: Hub,
    /// Who may log in.
    pub auth: Auth,
    /// What the server was set to.
    pub options: Options,
    /// What is counted.
    pub metrics: Metrics,
    /// What connections may hold together.
    pub pool: Arc<Pool>,
    /// The id of the broker that clients see.
    pub broker: String,
    /// What connections know of each other.
    pub live: Live,
    /// The bodies that are built for several of them.
    pub bodies: Bodies,
}

/// One connection's state. See the module.
#[derive(Debug)]
pub struct Session {
    face: Arc<Face>,
    /// Its number among the server's connections, for the log.
    number: u64,
    decoder: Decoder,
    /// The command that waits for its work.
    again: Option<Command>,
    /// Whether both sides have told what they can speak.
    has_agreed: bool,
    /// The version that both speak.
    version: u8,
    opened: Option<Box<Opening>>,
    sessions: HashSet<i64>,
    /// By producer, how many bytes it may have unanswered; 0: any.
    producers: HashMap<ProducerId, i32>,
    subscriptions: Subscriptions<Own, wire::Destination>,
    /// Of its subscriptions, by the client's ids for its consumers.
    numbers: HashMap<ConsumerId, u32>,
    /// How many pulls end at a certain time.
    timed: usize,
    advised: Advised,
    heard: Option<Heard>,
    transactions: Transactions<TransactionId>,
    /// What the branches that it has prepared acked.
    prepared: Prepared,
    /// Who sent the message that was delivered last.
    sender: Option<WireStr>,
    targets: Targets<wire::Destination>,
    /// The temporary destinations it has made.
    temporary: Vec<Destination>,
    batch: Batch<Answers>,
    /// The rules of the moment, for the events of one batch.
    rules: Option<Rules>,
    /// Commands and messages not counted yet: metrics are touched once a batch.
    commands: u64,
    sent: u64,
    delivered: u64,
}

/// What a command came to: its answer is written, or gathered, by who came to it.
type Outcomes = Result<Step, Failure>;

impl Session {
    /// A session that expects WireFormatInfo.
    #[must_use]
    pub fn new(face: Arc<Face>, number: u64) -> Self {
        let mut decoder = Decoder::new(WireFormat::initial(face.options.max_frame_bytes as u64));
        decoder.bound(BEFORE_LOGIN);
        Self {
            number,
            decoder,
            again: None,
            has_agreed: false,
            version: 1,
            opened: None,
            sessions: HashSet::new(),
            producers: HashMap::new(),
            subscriptions: Subscriptions::default(),
            numbers: HashMap::new(),
            timed: 0,
            advised: Advised::default(),
            heard: None,
            transactions: Transactions::new(face.options.limits.room),
            prepared: Prepared::default(),
            sender: None,
            targets: Targets::default(),
            temporary: Vec::new(),
            batch: Batch::default(),
            rules: None,
            commands: 0,
            sent: 0,
            delivered: 0,
            face,
        }
    }

    /// The connection's id; empty before its login.
    fn connection(&self) -> &str {
        self.opened.as_ref().map_or("", |opened| &opened.connection)
    }

    /// The number of the subscription that a consumer is.
    fn number(&self, consumer: &ConsumerId) -> Option<u32> {
        // Each ack names its consumer, by a long text: of a few none is hashed.
        if self.numbers.len() <= FEW {
            let mut all = self.numbers.iter();
            return all.find(|(known, _)| *known == consumer).map(|(_, number)| *number);
        }
        self.numbers.get(consumer).copied()
    }

    fn command(&mut self, command: &Command, out: &mut Outbox) -> Step {
        self.commands += 1;
        let mut asked = Asked::by(command.command_id(), command.response_required());
        if let Command::Message(message) = command {
            // Before anything can refuse it: a refusal opens the window again, too.
            asked = self.with_window(message, asked);
        }
        match self.take_command(command, asked.clone(), out) {
            Ok(step) => step,
            Err(failure) => {
                self.doom(command, &failure);
                self.fail(&failure, &asked, out)
            }
        }
    }

    fn take_command(&mut self, command: &Command, asked: Asked, out: &mut Outbox) -> Outcomes {
        match command {
            Command::WireFormatInfo(info) => return self.agree(info, out),
            Command::ShutdownInfo(_) => return Ok(Step::Then(Work::Close)),
            _ if !self.has_agreed => {
                let message = "A connection begins with WireFormatInfo";
                return Err(Failure::fatal(ErrorCode::Malformed, message));
            }
            Command::KeepAliveInfo(_) => return Ok(self.keep_alive(command, out)),
            Command::ConnectionInfo(info) => return self.connect(info, asked),
            // A client that reconnects says so before it logs in.
            Command::ConnectionControl(_) => {}
            _ if self.opened.is_none() => {
                let message = "The connection has not been logged in";
                return Err(Failure::fatal(ErrorCode::Unauthenticated, message));
            }
            Command::Message(message) => return self.send(message, asked),
            Command::MessageAck(ack) => return self.acknowledge(ack, asked),
            Command::MessagePull(pull) => self.pull(pull),
            Command::SessionInfo(info) => self.add_session(info)?,
            Command::ProducerInfo(info) => self.add_producer(info)?,
            Command::ConsumerInfo(info) => return self.add_consumer(info, asked, out),
            Command::ConsumerControl(control) => return Ok(self.control(control, asked)),
            Command::RemoveInfo(info) => return self.remove(info, asked),
            Command::DestinationInfo(info) => return self.destination(info, asked),
            Command::RemoveSubscriptionInfo(info) => return self.delete_durable(info, asked),
            Command::TransactionInfo(info) => return self.transaction(info, asked, out),
            Command::FlushCommand(_) | Command::BrokerInfo(_) | Command::ProducerAck(_) => {}
            _ => return Err(Failure::malformed("The server takes no such command")),
        }
        if asked.is_wanted() {
            self.batch.answers.add(asked, Part::Ready);
        }
        Ok(Step::Done)
    }

    /// A batch is over: answers.
    fn landed(&mut self, landing: &Landing<Answers>, outcome: Outcome, out: &mut Outbox) -> Step {
        let failures = answers::write(landing, outcome, out);
        self.count_failures(&failures);
        if failures.iter().any(|failure| failure.code == ErrorCode::NotFound) {
            self.targets.forget();
        }
        let closes = failures.iter().any(closes);
        if closes { Step::Then(Work::Close) } else { Step::Done }
    }

    /// Answers a command that failed.
    fn fail(&self, failure: &Failure, asked: &Asked, out: &mut Outbox) -> Step {
        self.answer(Err(failure.clone()), asked, out)
    }

    /// Answers a command.
    fn answer(&self, result: Result<(), Failure>, asked: &Asked, out: &mut Outbox) -> Step {
        asked.write(result.as_ref().copied(), out);
        match result {
            Ok(()) => Step::Done,
            Err(failure) => {
                self.count_failures(std::slice::from_ref(&failure));
                if closes(&failure) { Step::Then(Work::Close) } else { Step::Done }
            }
        }
    }

    fn count_failures(&self, failures: &[Failure]) {
        for failure in failures {
            tracing::debug!(session = self.number, %failure, "command refused");
            self.face.metrics.errors.get_or_create(&[("class", failure.label())]).inc();
        }
    }

    /// Adds what was counted since the last time to the metrics.
    fn count(&mut self) {
        let metrics = &self.face.metrics;
        for (count, total) in [
            (&mut self.commands, &metrics.commands),
            (&mut self.sent, &metrics.sent),
            (&mut self.delivered, &metrics.delivered),
        ] {
            if *count > 0 {
                total.inc_by(std::mem::take(count));
            }
        }
    }
}

impl broker::Session for Session {
    // Answers name what they answer.
    const IN_ORDER: bool = false;

    type Outbox = Outbox;
    type Answers = Answers;
    type Asked = Asked;
    type Spelling = wire::Destination;
    type Ask = Ask;
    type Opening = Opening;

    fn name(&self) -> impl Display {
        self.number
    }

    fn greet(&mut self, out: &mut Outbox) {
        self.say_hello(out);
    }

    fn read(&mut self, input: &mut BytesMut, out: &mut Outbox) -> Read<Self> {
        loop {
            let command = match self.again.take() {
                Some(command) => command,
                None => match self.decoder.read(input) {
                    Ok(Some(command)) => command,
                    Ok(None) => return Read::Starved(Step::Done),
                    Err(error) => {
                        // What follows bytes that are no frame cannot be told apart.
                        input.clear();
                        return Read::More(self.fail(&error.into(), &Asked::silent(), out));
                    }
                },
            };
            match self.command(&command, out) {
                // What a few bytes ask for may be much: the rest waits until it is written.
                Step::Done if out.len() >= self.face.options.limits.output_bytes => {
                    return Read::More(Step::Done);
                }
                Step::Done => {}
                again @ Step::Again(_) => {
                    self.again = Some(command);
                    return Read::More(again);
                }
                then @ Step::Then(_) => return Read::More(then),
            }
        }
    }

    fn apply(&mut self, input: Input<'_>, out: &mut Outbox) -> Step {
        match input {
            Input::Resolved { spelling, streams } => {
                if streams.is_ok() {
                    self.use_destinations(&spelling);
                }
                self.targets.put(spelling, streams);
                Step::Done
            }
            Input::Opened { opening, taken } => self.opening(opening, taken, out),
            Input::Subscribed { ask, wish, consumers } => {
                self.subscribed(ask, wish, consumers, out)
            }
            Input::Widened { number, consumers } => self.widened(number, consumers, out),
            Input::Made { asked, destination, result } => {
                self.made(destination, result, &asked, out)
            }
            Input::Unmade { asked, destination, result } => {
                self.unmade(&destination, result, &asked, out)
            }
            Input::Removed { asked, result } => self.answer(result, &asked, out),
            Input::Committed { transaction, asked, result } => {
                self.committed(&transaction, &result);
                let result = distributed::committed(result, &asked);
                self.answer(result, &asked, out)
            }
            Input::Prepared { transaction, name, asked, result } => {
                self.prepared(*transaction, name, result, &asked, out)
            }
            Input::Concluded { name, commits, asked, result } => {
                self.concluded(&name, commits, result, &asked, out)
            }
            Input::Landed { landing, outcome } => self.landed(&landing, outcome, out),
            Input::Delivered { consumer, delivery } => self.deliver(consumer, delivery, out),
            Input::Browsed { consumer, delivery } => self.browse(consumer, delivery, out),
            Input::Due(now) => self.end_pulls(now, out),
            Input::Closed { consumer, reason } => self.ended(consumer, &reason, out),
        }
    }

    fn refuse(&mut self, failure: &Failure, out: &mut Outbox) -> Step {
        self.fail(failure, &Asked::silent(), out)
    }

    fn take_batch(&mut self) -> Option<Batch<Answers>> {
        self.count();
        self.rules = None;
        (!self.batch.is_empty()).then(|| std::mem::take(&mut self.batch))
    }

    fn opened(&self) -> Option<&Opening> {
        self.opened.as_deref()
    }

    fn consumer_name(&self) -> String {
        self.opened.as_ref().map(|opened| opened.client.clone()).unwrap_or_default()
    }

    fn widen(&self) -> Vec<(u32, Box<Wish>)> {
        self.subscriptions.widen()
    }

    fn subscriptions_of(&self, number: u32) -> Vec<SubscriptionId> {
        self.subscriptions.served_by(number)
    }

    fn each_transaction(&mut self, see: &mut dyn FnMut(&mut Transaction)) {
        self.transactions.iter_mut().for_each(see);
    }

    fn take_temporary(&mut self) -> Vec<Destination> {
        self.take_all_temporary()
    }

    fn beat(&mut self, out: &mut Outbox) {
        self.say_alive(out);
    }

    fn ask_for_life(&mut self, out: &mut Outbox) {
        let asks = KeepAliveInfo { response_required: true, ..KeepAliveInfo::default() };
        out.send(&Command::KeepAliveInfo(asks));
    }

    fn due(&self) -> Option<Instant> {
        self.first_due()
    }

    fn news(&mut self, writes: bool) -> impl Future<Output = ()> + Send {
        self.hear(writes)
    }

    fn heard(&mut self, out: &mut Outbox) -> Option<Step> {
        self.take_heard(out)
    }

    fn left(&mut self) {
        // Whoever took the id over has waited until all is given back.
        if let Some(opened) = self.opened.take() {
            drop(opened.seat);
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.count();
    }
}
