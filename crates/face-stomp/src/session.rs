//! One connection's state machine: what a frame, a message or the hub's answer leads to.
//!
//! [`Session::apply`] takes one [`Input`] and appends frames to the [`Outbox`]; what it needs done
//! that takes time comes back as [`Work`], whose result is another input. No I/O and no waiting:
//! [`crate::listen`] drives it. `send`, `acknowledge`, `transaction` and `subscription` hold what
//! their frames do; [`batch`] gathers what the frames of one read come to.
//!
//! Invariants: a RECEIPT is given only when what its frame did is durable (or relaxed by choice),
//! and in the order of the frames, so each also tells of all before it; a message's ack id is used
//! once; a frame that fails changes nothing.

mod acknowledge;
pub mod batch;
mod connect;
mod deliver;
pub mod heart;
mod held;
mod outbox;
mod send;
mod subscription;
mod transaction;

use std::sync::Arc;

use outflow_auth::Auth;
use outflow_hub::destination::Destination;
use outflow_hub::subscription::ConsumerId;
use outflow_hub::{CloseReason, Delivery, Hub, Stream, Subscription};
use outflow_model::draft::Rules;
use outflow_model::{ErrorCode, Grant};

use crate::config::Options;
use crate::error::Failure;
use crate::metrics::Metrics;
use crate::translate;
use crate::translate::wish::Wish;
use crate::wire::{Frame, Version, WireError};

use batch::{Batch, Landing, Outcome};
use heart::Promise;
pub use held::AckId;
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
}

/// What happens to a session.
#[derive(Debug)]
pub enum Input<'a> {
    /// The client sent a frame.
    Frame(&'a Frame<'a>),
    /// The client sent something that is none.
    Fault(WireError),
    /// [`Work::Resolve`] is done.
    Resolved {
        /// The destination as it was spelt.
        spelling: String,
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
        /// From where.
        destinations: Vec<Destination>,
        /// The consumers that serve it.
        consumers: Result<Vec<(ConsumerId, Arc<Subscription>)>, Failure>,
    },
    /// [`Work::Widen`] is done.
    Widened {
        /// Which subscription.
        number: u32,
        /// The consumers that serve it besides those it has.
        consumers: Result<Vec<(ConsumerId, Arc<Subscription>)>, Failure>,
    },
    /// [`Work::Unsubscribe`] is done.
    Unsubscribed {
        /// The receipt asked for.
        receipt: Option<String>,
        /// Whether it worked.
        result: Result<(), Failure>,
    },
    /// [`Work::Commit`] is done.
    Committed {
        /// What was to be committed.
        transaction: Box<Transaction>,
        /// The receipt asked for.
        receipt: Option<String>,
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
    /// Find the streams that sends to these destinations go to.
    Resolve {
        /// As it was spelt.
        spelling: String,
        /// What it means.
        destinations: Vec<Destination>,
    },
    /// Take the client's id for this connection and speak as agreed from now on.
    Open(Box<Opening>),
    /// Hand on what [`Session::take_batch`] gives.
    Flush,
    /// Add consumers, or begin to browse.
    Subscribe {
        /// What is asked.
        wish: Box<Wish>,
        /// From where.
        destinations: Vec<Destination>,
    },
    /// Add consumers of the queues that were made since, for a subscription with wildcards.
    Widen {
        /// Which.
        number: u32,
        /// What it asked for.
        wish: Box<Wish>,
        /// The destinations with wildcards.
        destinations: Vec<Destination>,
    },
    /// Remove consumers.
    Unsubscribe {
        /// Which.
        consumers: Vec<ConsumerId>,
        /// The durable subscription to delete.
        durable: Option<String>,
        /// The receipt asked for.
        receipt: Option<String>,
    },
    /// Commit.
    Commit {
        /// What.
        transaction: Box<Transaction>,
        /// The receipt asked for.
        receipt: Option<String>,
    },
    /// End the connection once everything before is answered.
    Close,
}

/// What follows from an input.
#[derive(Debug)]
#[must_use]
pub enum Step {
    /// Nothing but what was written.
    Done,
    /// The work; then what comes next.
    Then(Work),
    /// The work; then the same frame again.
    Again(Work),
}

/// A login that was right.
#[derive(Debug)]
pub struct Opening {
    /// What it may do.
    pub grant: Arc<Grant>,
    /// The version spoken from now on.
    pub version: Version,
    /// The heart-beats agreed on.
    pub promise: Promise,
    /// The client's own id, which no other connection of its credential may have.
    pub client: Option<String>,
}

/// One connection's state. See the module.
#[derive(Debug)]
pub struct Session {
    face: Arc<Face>,
    /// What the connection is called: unique in the server's life.
    name: String,
    version: Version,
    opened: Option<Box<Opening>>,
    subscriptions: Subscriptions,
    transactions: Vec<Transaction>,
    targets: Targets,
    /// The temporary destinations it has used.
    temporary: Vec<Destination>,
    batch: Batch,
    /// The rules of the moment, for the events of one batch.
    rules: Option<Rules>,
    /// Frames and messages not counted yet: metrics are touched once a batch.
    frames: u64,
    sent: u64,
    delivered: u64,
}

/// How many temporary destinations a connection may make.
const MAX_TEMPORARY: usize = 100;

/// What a frame came to: its receipt is answered by who gathered it.
type Outcomes = Result<Step, Failure>;

impl Session {
    /// A session that expects CONNECT. `name` must differ from all others' of the server's life.
    #[must_use]
    pub fn new(face: Arc<Face>, name: String) -> Self {
        Self {
            face,
            name,
            version: Version::V1_0,
            opened: None,
            subscriptions: Subscriptions::default(),
            transactions: Vec::new(),
            targets: Targets::default(),
            temporary: Vec::new(),
            batch: Batch::default(),
            rules: None,
            frames: 0,
            sent: 0,
            delivered: 0,
        }
    }

    /// What the connection is called.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The temporary destinations it made, to be dropped at its end.
    pub fn take_temporary(&mut self) -> Vec<Destination> {
        std::mem::take(&mut self.temporary)
    }

    /// The login, once there is one.
    #[must_use]
    pub fn opened(&self) -> Option<&Opening> {
        self.opened.as_deref()
    }

    /// Takes what happened.
    pub fn apply(&mut self, input: Input<'_>, out: &mut Outbox) -> Step {
        match input {
            Input::Frame(frame) => self.frame(frame, out),
            Input::Fault(error) => self.fail(&error.into(), None, out),
            Input::Resolved { spelling, streams } => {
                self.targets.put(spelling, streams);
                Step::Done
            }
            Input::Opened { opening, refused } => self.opening(opening, refused, out),
            Input::Subscribed { wish, destinations, consumers } => {
                self.subscribed(wish, &destinations, consumers, out)
            }
            Input::Widened { number, consumers } => self.widened(number, consumers, out),
            Input::Unsubscribed { receipt, result } => self.answer(result, receipt.as_deref(), out),
            Input::Committed { transaction, receipt, result } => {
                self.committed(&transaction, &result);
                self.answer(result, receipt.as_deref(), out)
            }
            Input::Landed { landing, outcome } => {
                let failures = landing.write(outcome, self.version, out);
                self.count_failures(&failures);
                if failures.iter().any(|failure| failure.code == ErrorCode::NotFound) {
                    self.targets.forget();
                }
                match failures.iter().any(|failure| failure.closes) {
                    true => Step::Then(Work::Close),
                    false => Step::Done,
                }
            }
            Input::Delivered { consumer, delivery } => self.deliver(consumer, delivery, out),
            Input::Browsed { consumer, delivery } => self.browse(consumer, delivery, out),
            Input::Closed { consumer, reason } => self.ended(consumer, &reason, out),
        }
    }

    /// What the frames so far came to; to be asked for whenever no more frames are at hand.
    pub fn take_batch(&mut self) -> Option<Batch> {
        self.count();
        self.rules = None;
        (!self.batch.is_empty()).then(|| std::mem::take(&mut self.batch))
    }

    fn frame(&mut self, frame: &Frame<'_>, out: &mut Outbox) -> Step {
        self.frames += 1;
        let step = match frame.command() {
            "SEND" if self.is_open() => self.send(frame),
            "ACK" if self.is_open() => self.acknowledge(frame, false),
            "NACK" if self.is_open() => self.acknowledge(frame, true),
            "CONNECT" | "STOMP" => self.connect(frame),
            _ if !self.is_open() => {
                Err(Failure::new(ErrorCode::Unauthenticated, "Not connected.").and_stays())
            }
            "SUBSCRIBE" => self.subscribe(frame),
            "UNSUBSCRIBE" => self.unsubscribe(frame),
            "BEGIN" => self.begin(frame),
            "COMMIT" => self.commit(frame),
            "ABORT" => self.abort(frame),
            "DISCONNECT" => {
                let receipt = frame.header("receipt");
                self.batch.receipt(self.version, receipt.as_deref(), batch::Part::Ready);
                Ok(Step::Then(Work::Close))
            }
            other => {
                let name: String = other.chars().take(64).collect();
                Err(Failure::fatal(ErrorCode::Malformed, format!("Unknown STOMP action: {name}")))
            }
        };
        match step {
            Ok(step) => step,
            Err(failure) => {
                self.doom(frame, &failure);
                self.fail(&failure, frame.header("receipt").as_deref(), out)
            }
        }
    }

    /// Remembers those of `destinations` that end with the connection.
    fn remember(&mut self, destinations: &[Destination]) -> Result<(), Failure> {
        for one in destinations {
            let own = translate::destination::own_alias(one, &self.name).is_some();
            if !own || self.temporary.contains(one) {
                continue;
            }
            if self.temporary.len() >= MAX_TEMPORARY {
                let message =
                    format!("A connection may have at most {MAX_TEMPORARY} temporary destinations");
                return Err(Failure::new(ErrorCode::TooLarge, message));
            }
            self.temporary.push(one.clone());
        }
        Ok(())
    }

    const fn is_open(&self) -> bool {
        self.opened.is_some()
    }

    /// Answers a frame that failed, behind the answers of those before it.
    fn fail(&mut self, failure: &Failure, receipt: Option<&str>, out: &mut Outbox) -> Step {
        self.count_failures(std::slice::from_ref(failure));
        if self.is_open() {
            self.batch.failure(self.version, failure, receipt);
        } else {
            failure.write(out, self.version, receipt);
        }
        if failure.closes { Step::Then(Work::Close) } else { Step::Done }
    }

    /// Answers a frame that was done with all before it out of the way.
    fn answer(
        &mut self,
        result: Result<(), Failure>,
        receipt: Option<&str>,
        out: &mut Outbox,
    ) -> Step {
        match (result, receipt) {
            (Ok(()), None) => Step::Done,
            (Ok(()), Some(receipt)) => {
                out.begin(self.version, "RECEIPT").header("receipt-id", receipt).end();
                Step::Done
            }
            (Err(failure), receipt) => {
                self.count_failures(std::slice::from_ref(&failure));
                failure.write(out, self.version, receipt);
                if failure.closes { Step::Then(Work::Close) } else { Step::Done }
            }
        }
    }

    fn count_failures(&self, failures: &[Failure]) {
        for failure in failures {
            tracing::debug!(session = self.name, %failure, "frame refused");
            self.face.metrics.errors.get_or_create(&[("class", failure.label())]).inc();
        }
    }

    /// Adds what was counted since the last time to the metrics.
    fn count(&mut self) {
        let metrics = &self.face.metrics;
        for (count, total) in [
            (&mut self.frames, &metrics.frames),
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
