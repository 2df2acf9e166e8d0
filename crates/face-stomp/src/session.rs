//! One connection's state machine: what a frame, a message or the hub's answer leads to.
//!
//! It is a broker session: [`outflow_broker::Connection`] drives it, and what does not depend on the
//! wire is [`outflow_broker`]'s. `send`, `acknowledge`, `transaction` and `deliver` hold what their
//! frames do; [`answers`] gathers what the frames of one read are answered.
//!
//! Invariants: a RECEIPT is given only when what its frame did is durable (or relaxed by choice),
//! and in the order of the frames, so each also tells of all before it; a message's ack id is used
//! once; a frame that fails changes nothing; nothing is held of a SEND that is refused for where it
//! goes.

mod ack_id;
mod acknowledge;
pub mod answers;
mod connect;
mod deliver;
mod outbox;
pub mod promise;
mod send;
mod subscription;
mod transaction;

use std::fmt::Display;
use std::sync::Arc;

use bytes::{Buf, BytesMut};
use outflow_auth::Auth;
use outflow_broker::{
    self as broker, Batch, Part, Pool, Read, Subscriptions, Targets, Transaction, Transactions,
    Wish,
};
use outflow_hub::Hub;
use outflow_hub::destination::Destination;
use outflow_hub::subscription::SubscriptionId;
use outflow_model::draft::Rules;
use outflow_model::{ErrorCode, Grant};

use crate::config::Options;
use crate::error::{self, Failure, closes};
use crate::metrics::Metrics;
use crate::translate;
use crate::translate::wish::Ask;
use crate::wire::{Decoded, Decoder, Frame, Version, WireError};

pub use ack_id::AckId;
use answers::Answers;
pub use outbox::Outbox;
use promise::Promise;
use subscription::Own;

type Input<'a> = broker::Input<'a, Session>;
type Step = broker::Step<Session>;
type Work = broker::Work<Session>;

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
    /// The name it logged in by.
    pub user: String,
    /// What CONNECTED shall repeat, if anything.
    pub request: Option<String>,
}

impl broker::Opening for Opening {
    fn grant(&self) -> &Arc<Grant> {
        &self.grant
    }

    fn client(&self) -> Option<&str> {
        self.client.as_deref()
    }
}

/// One connection's state. See the module.
#[derive(Debug)]
pub struct Session {
    face: Arc<Face>,
    /// What the connection is called: unique in the server's life.
    name: String,
    decoder: Decoder,
    version: Version,
    opened: Option<Box<Opening>>,
    subscriptions: Subscriptions<Own, String>,
    transactions: Transactions<String>,
    targets: Targets<String>,
    /// The temporary destinations it has used.
    temporary: Vec<Destination>,
    batch: Batch<Answers>,
    /// The rules of the moment, for the events of one batch.
    rules: Option<Rules>,
    /// Frames and messages not counted yet: metrics are touched once a batch.
    frames: u64,
    sent: u64,
    delivered: u64,
}

/// A frame that no client may send.
fn unknown(command: &str) -> Failure {
    let name: String = command.chars().take(64).collect();
    Failure::fatal(ErrorCode::Malformed, format!("Unknown STOMP action: {name}"))
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
            name,
            decoder: Decoder::new(face.options.frame.before_login()),
            version: Version::V1_0,
            opened: None,
            subscriptions: Subscriptions::default(),
            transactions: Transactions::new(face.options.limits.room),
            targets: Targets::default(),
            temporary: Vec::new(),
            batch: Batch::default(),
            rules: None,
            frames: 0,
            sent: 0,
            delivered: 0,
            face,
        }
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
                self.batch.answers.receipt(self.version, receipt.as_deref(), Part::Ready);
                Ok(Step::Then(Work::Close))
            }
            other => Err(unknown(other)),
        };
        step.unwrap_or_else(|failure| self.refuse_frame(frame, &failure, out))
    }

    fn refuse_frame(&mut self, frame: &Frame<'_>, failure: &Failure, out: &mut Outbox) -> Step {
        self.doom(frame, failure);
        self.fail(failure, frame.header("receipt").as_deref(), out)
    }

    /// A frame has begun, the last of `rest`, whose body has not come whole. Nothing of it is held if its
    /// head is refused already; gives what follows, and how many bytes are done with.
    fn begun(
        &mut self,
        decoder: &mut Decoder,
        rest: &[u8],
        out: &mut Outbox,
    ) -> Result<Option<(Step, usize)>, WireError> {
        let Some((frame, len)) = decoder.begun(rest)? else { return Ok(None) };
        let asked = match frame.command() {
            "SEND" if self.is_open() => self.address(&frame),
            command @ ("MESSAGE" | "ERROR") => Err(unknown(command)),
            _ => Ok(None),
        };
        match asked {
            Ok(Some(ask)) => Ok(Some((ask, 0))),
            Ok(None) => {
                decoder.want();
                Ok(None)
            }
            Err(failure) => {
                self.frames += 1;
                let step = self.refuse_frame(&frame, &failure, out);
                decoder.pass();
                Ok(Some((step, len)))
            }
        }
    }

    /// Remembers those of `destinations` that end with the connection, and gives them.
    fn remember(&mut self, destinations: &[Destination]) -> Result<Vec<Destination>, Failure> {
        let is_own =
            |one: &&Destination| translate::destination::own_alias(one, &self.name).is_some();
        let own: Vec<Destination> = destinations.iter().filter(is_own).cloned().collect();
        for one in &own {
            if self.temporary.contains(one) {
                continue;
            }
            if self.temporary.len() >= MAX_TEMPORARY {
                let message =
                    format!("A connection may have at most {MAX_TEMPORARY} temporary destinations");
                return Err(Failure::new(ErrorCode::TooLarge, message));
            }
            self.temporary.push(one.clone());
        }
        Ok(own)
    }

    const fn is_open(&self) -> bool {
        self.opened.is_some()
    }

    /// Answers a frame that failed, behind the answers of those before it.
    fn fail(&mut self, failure: &Failure, receipt: Option<&str>, out: &mut Outbox) -> Step {
        self.count_failures(std::slice::from_ref(failure));
        if self.is_open() {
            self.batch.answers.failure(self.version, failure, receipt);
        } else {
            error::write(failure, out, self.version, receipt);
        }
        if closes(failure) { Step::Then(Work::Close) } else { Step::Done }
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
                error::write(&failure, out, self.version, receipt);
                if closes(&failure) { Step::Then(Work::Close) } else { Step::Done }
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

impl broker::Session for Session {
    // A RECEIPT tells of all frames before its own, too.
    const IN_ORDER: bool = true;

    type Outbox = Outbox;
    type Answers = Answers;
    type Asked = Option<String>;
    type Spelling = String;
    type Ask = Ask;
    type Opening = Opening;

    fn name(&self) -> impl Display {
        &*self.name
    }

    fn read(&mut self, input: &mut BytesMut, out: &mut Outbox) -> Read<Self> {
        let mut decoder =
            std::mem::replace(&mut self.decoder, Decoder::new(self.face.options.frame));
        let mut used = 0;
        let read = loop {
            let rest = input.get(used..).unwrap_or_default();
            let found = match decoder.decode(rest) {
                Ok(Decoded::Incomplete) => self.begun(&mut decoder, rest, out),
                Ok(Decoded::Idle(count)) => Ok(Some((Step::Done, count))),
                Ok(Decoded::Frame(frame, len)) => Ok(Some((self.frame(&frame, out), len))),
                Err(error) => Err(error),
            };
            match found {
                Ok(None) => break Read::Starved(Step::Done),
                Ok(Some((Step::Done, len))) => used += len,
                Ok(Some((again @ Step::Again(_), _))) => break Read::More(again),
                Ok(Some((then @ Step::Then(_), len))) => {
                    used += len;
                    break Read::More(then);
                }
                Err(error) => {
                    used = input.len();
                    break Read::More(self.fail(&error.into(), None, out));
                }
            }
        };
        input.advance(used);
        self.decoder = decoder;
        read
    }

    fn apply(&mut self, input: Input<'_>, out: &mut Outbox) -> Step {
        match input {
            Input::Resolved { spelling, streams } => {
                self.targets.put(spelling, streams);
                Step::Done
            }
            Input::Opened { opening, taken } => self.opening(opening, taken, out),
            Input::Subscribed { ask, wish, consumers } => {
                self.subscribed(&ask, wish, consumers, out)
            }
            Input::Widened { number, consumers } => self.widened(number, consumers, out),
            Input::Removed { asked, result }
            | Input::Made { asked, result, .. }
            | Input::Unmade { asked, result, .. } => self.answer(result, asked.as_deref(), out),
            // STOMP knows no transactions over several servers, and asks for none.
            Input::Prepared { .. } | Input::Concluded { .. } => Step::Done,
            Input::Committed { transaction, asked, result } => {
                self.committed(&transaction, &result);
                self.answer(result, asked.as_deref(), out)
            }
            Input::Landed { landing, outcome } => {
                let failures = answers::write(&landing, outcome, self.version, out);
                self.count_failures(&failures);
                if failures.iter().any(|failure| failure.code == ErrorCode::NotFound) {
                    self.targets.forget();
                }
                match failures.iter().any(closes) {
                    true => Step::Then(Work::Close),
                    false => Step::Done,
                }
            }
            Input::Delivered { consumer, delivery } => self.deliver(consumer, delivery, out),
            Input::Browsed { consumer, delivery } => self.browse(consumer, delivery, out),
            Input::Closed { consumer, reason } => self.ended(consumer, &reason, out),
            Input::Due(_) => Step::Done,
        }
    }

    fn refuse(&mut self, failure: &Failure, out: &mut Outbox) -> Step {
        self.fail(failure, None, out)
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
        let client = self.opened.as_ref().and_then(|opened| opened.client.clone());
        client.unwrap_or_else(|| self.name.clone())
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
        std::mem::take(&mut self.temporary)
    }

    fn beat(&mut self, out: &mut Outbox) {
        out.beat();
    }

    fn ask_for_life(&mut self, out: &mut Outbox) {
        if broker::Outbox::is_empty(out) {
            out.beat();
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.count();
    }
}
