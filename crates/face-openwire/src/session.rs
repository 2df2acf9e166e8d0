//! One connection's state machine: what a command, a message or the hub's answer leads to.
//!
//! [`Session::apply`] takes one [`Input`] and appends commands to the [`Outbox`]; what it needs done
//! that takes time comes back as [`Work`], whose result is another input. No I/O and no waiting:
//! [`crate::listen`] drives it. [`batch`] gathers what the commands of one read come to, [`live`] is
//! what connections know of each other.
//!
//! Invariants: a command that asks for an answer gets one, when what it did is durable (or relaxed
//! by choice); a command that fails changes nothing; a message acked twice is acked once.

mod acknowledge;
mod advisory;
mod answer;
pub mod batch;
mod connect;
mod consume;
mod deliver;
pub mod heart;
mod held;
mod live;
mod outbox;
mod remove;
mod send;
mod subscription;
mod temporary;
mod transaction;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use outflow_auth::Auth;
use outflow_hub::destination::Destination;
use outflow_hub::subscription::{ConsumerId, LeaseId};
use outflow_hub::{CloseReason, Delivery, Hub, Stream, Subscription};
use outflow_model::ErrorCode;
use outflow_model::draft::Rules;
use tokio::time::Instant;

use crate::config::Options;
use crate::error::Failure;
use crate::metrics::Metrics;
use crate::translate::wish::Wish;
use crate::wire::{self, Command, ProducerId, WireError, WireFormat};

use advisory::Advised;
pub use answer::Asked;
use batch::{Batch, Landing, Outcome};
pub use connect::Opening;
pub use live::{Advice, Live, News, Seat};
pub use outbox::Outbox;
use send::Targets;
use subscription::Subscriptions;
pub use transaction::Transaction;

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
    /// The id of the broker that clients see.
    pub broker: String,
    /// What connections know of each other.
    pub live: Live,
}

/// What happens to a session.
#[derive(Debug)]
pub enum Input<'a> {
    /// The client sent a command.
    Command(&'a Command),
    /// The client sent something that is none.
    Fault(WireError),
    /// [`Work::Resolve`] is done.
    Resolved {
        /// The destination as the client has it.
        destination: wire::Destination,
        /// Its streams.
        streams: Result<Vec<Arc<Stream>>, Failure>,
    },
    /// [`Work::Open`] is done: the client id is ours, or another's.
    Opened {
        /// What was to be opened.
        opening: Box<Opening>,
        /// Why not.
        refused: Option<Failure>,
    },
    /// [`Work::Subscribe`] is done.
    Subscribed {
        /// What was asked.
        wish: Box<Wish>,
        /// The consumers that serve it.
        consumers: Result<Vec<(ConsumerId, Arc<Subscription>)>, Failure>,
    },
    /// [`Work::Widen`] is done.
    Widened {
        /// Which consumer.
        number: u32,
        /// The consumers that serve it besides those it has.
        consumers: Result<Vec<(ConsumerId, Arc<Subscription>)>, Failure>,
    },
    /// [`Work::Make`] is done.
    Made {
        /// Who is answered.
        asked: Asked,
        /// What was made.
        destination: Destination,
        /// Whether it was.
        result: Result<(), Failure>,
    },
    /// Work with nothing to tell but whether it worked is done.
    Answered {
        /// Who is answered.
        asked: Asked,
        /// Whether it worked.
        result: Result<(), Failure>,
    },
    /// [`Work::Commit`] is done.
    Committed {
        /// What was to be committed.
        transaction: Box<Transaction>,
        /// Who is answered.
        asked: Asked,
        /// Whether it was.
        result: Result<(), Failure>,
    },
    /// A batch is on the disk, or is not.
    Landed {
        /// Its answers.
        landing: Landing,
        /// What became of it.
        outcome: Outcome,
    },
    /// A message for a consumer.
    Delivered {
        /// Whose.
        consumer: ConsumerId,
        /// What.
        delivery: &'a Delivery,
    },
    /// A message for a browser; `None`: there are no more.
    Browsed {
        /// The browser.
        consumer: ConsumerId,
        /// What.
        delivery: Option<&'a Delivery>,
    },
    /// Other connections made or removed something.
    Told(Vec<Advice>),
    /// The time that [`Session::due`] told has come.
    Due(Instant),
    /// A consumer has ended, or all have.
    Closed {
        /// Which; `None`: all.
        consumer: Option<ConsumerId>,
        /// Why.
        reason: CloseReason,
    },
}

/// What has to be done for a session by who drives it.
#[derive(Debug)]
pub enum Work {
    /// Read and keep alive as agreed from now on.
    Speak {
        /// The agreed form.
        format: WireFormat,
        /// After how long without a byte a side is taken for dead.
        inactivity: std::time::Duration,
    },
    /// Find the streams that sends to these destinations go to.
    Resolve {
        /// As the client has it.
        destination: wire::Destination,
        /// Element by element.
        destinations: Vec<Destination>,
    },
    /// Take the client's ids for this connection.
    Open(Box<Opening>),
    /// Hand on what [`Session::take_batch`] gives.
    Flush,
    /// Add consumers, or begin to browse.
    Subscribe(Box<Wish>),
    /// Add consumers of the queues that were made since, for a consumer with wildcards.
    Widen {
        /// Which.
        number: u32,
        /// What it asked for.
        wish: Box<Wish>,
    },
    /// Remove consumers.
    Remove {
        /// Which, each with the last message its user has seen.
        consumers: Vec<(ConsumerId, Seen)>,
        /// Who is answered.
        asked: Asked,
    },
    /// Let consumers have so many messages unacked from now on.
    Prefetch {
        /// Which.
        consumers: Vec<ConsumerId>,
        /// How many.
        prefetch: u32,
    },
    /// Delete a durable subscription.
    Delete {
        /// The client it is of.
        client: String,
        /// Its name.
        name: String,
        /// Who is answered.
        asked: Asked,
    },
    /// Make a temporary destination.
    Make {
        /// Which.
        destination: Destination,
        /// Who is answered.
        asked: Asked,
    },
    /// Remove a temporary destination.
    Unmake {
        /// Which.
        destination: Destination,
        /// Who is answered.
        asked: Asked,
    },
    /// Commit.
    Commit {
        /// What.
        transaction: Box<Transaction>,
        /// Who is answered.
        asked: Asked,
    },
    /// End the connection once everything before is answered.
    Close,
}

/// Which of its messages the user of a consumer that goes has seen (reference `activemq.md` a4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    /// It is not known: any may have been.
    Unknown,
    /// Those up to this one; `None`: not one.
    Through(Option<LeaseId>),
}

/// What follows from an input.
#[derive(Debug)]
#[must_use]
pub enum Step {
    /// Nothing but what was written.
    Done,
    /// The work; then what comes next.
    Then(Work),
    /// The work; then the same command again.
    Again(Work),
}

/// One connection's state. See the module.
#[derive(Debug)]
pub struct Session {
    face: Arc<Face>,
    /// Its number among the server's connections, for the log.
    number: u64,
    /// Whether both sides have told what they can speak.
    has_agreed: bool,
    /// The version that both speak.
    version: u8,
    opened: Option<Box<Opening>>,
    sessions: HashSet<i64>,
    /// By producer, how many bytes it may have unanswered; 0: any.
    producers: HashMap<ProducerId, i32>,
    subscriptions: Subscriptions,
    advised: Advised,
    transactions: Vec<Transaction>,
    targets: Targets,
    /// The temporary destinations it has made.
    temporary: Vec<Destination>,
    batch: Batch,
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
        Self {
            face,
            number,
            has_agreed: false,
            version: 1,
            opened: None,
            sessions: HashSet::new(),
            producers: HashMap::new(),
            subscriptions: Subscriptions::default(),
            advised: Advised::default(),
            transactions: Vec::new(),
            targets: Targets::default(),
            temporary: Vec::new(),
            batch: Batch::default(),
            rules: None,
            commands: 0,
            sent: 0,
            delivered: 0,
        }
    }

    /// Its number, for the log.
    #[must_use]
    pub const fn number(&self) -> u64 {
        self.number
    }

    /// The login, once there is one.
    #[must_use]
    pub fn opened(&self) -> Option<&Opening> {
        self.opened.as_deref()
    }

    /// The connection's id; empty before its login.
    fn connection(&self) -> &str {
        self.opened.as_ref().map_or("", |opened| &opened.connection)
    }

    /// Takes what happened.
    pub fn apply(&mut self, input: Input<'_>, out: &mut Outbox) -> Step {
        match input {
            Input::Command(command) => self.command(command, out),
            Input::Fault(error) => self.fail(&error.into(), &Asked::silent(), out),
            Input::Resolved { destination, streams } => {
                self.targets.put(destination, streams);
                Step::Done
            }
            Input::Opened { opening, refused } => self.opening(opening, refused, out),
            Input::Subscribed { wish, consumers } => self.subscribed(wish, consumers, out),
            Input::Widened { number, consumers } => {
                let result = consumers.map(|added| self.subscriptions.extend(number, &added));
                self.answer(result, &Asked::silent(), out)
            }
            Input::Made { asked, destination, result } => {
                self.made(destination, result, &asked, out)
            }
            Input::Answered { asked, result } => self.answer(result, &asked, out),
            Input::Committed { transaction, asked, result } => {
                self.committed(&transaction, &result);
                self.answer(result, &asked, out)
            }
            Input::Landed { landing, outcome } => self.landed(landing, outcome, out),
            Input::Delivered { consumer, delivery } => self.deliver(consumer, delivery, out),
            Input::Browsed { consumer, delivery } => self.browse(consumer, delivery, out),
            Input::Told(advice) => self.told(&advice, out),
            Input::Due(now) => self.end_pulls(now, out),
            Input::Closed { consumer, reason } => self.ended(consumer, &reason, out),
        }
    }

    /// What the commands so far came to; to be asked for whenever no more are at hand.
    pub fn take_batch(&mut self) -> Option<Batch> {
        self.count();
        self.rules = None;
        (!self.batch.is_empty()).then(|| std::mem::take(&mut self.batch))
    }

    fn command(&mut self, command: &Command, out: &mut Outbox) -> Step {
        self.commands += 1;
        let asked = Asked::by(command.command_id(), command.response_required());
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
            Command::RemoveInfo(info) => return Ok(self.remove(info, asked)),
            Command::DestinationInfo(info) => return self.destination(info, asked),
            Command::RemoveSubscriptionInfo(info) => return self.delete_durable(info, asked),
            Command::TransactionInfo(info) => return self.transaction(info, asked, out),
            Command::FlushCommand(_) | Command::BrokerInfo(_) | Command::ProducerAck(_) => {}
            _ => return Err(Failure::malformed("The server takes no such command")),
        }
        if asked.is_wanted() {
            self.batch.answer(asked, batch::Part::Ready);
        }
        Ok(Step::Done)
    }

    /// A batch is over: answers.
    fn landed(&mut self, landing: Landing, outcome: Outcome, out: &mut Outbox) -> Step {
        let failures = landing.write(outcome, out);
        self.count_failures(&failures);
        if failures.iter().any(|failure| failure.code == ErrorCode::NotFound) {
            self.targets.forget();
        }
        let closes = failures.iter().any(|failure| failure.closes);
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
                if failure.closes { Step::Then(Work::Close) } else { Step::Done }
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

impl Drop for Session {
    fn drop(&mut self) {
        self.count();
    }
}
