//! A broker session: what happens to one, what it needs done, and what a face has to be able to do
//! to have one.
//!
//! A face implements [`Session`], one connection's state machine: it reads its wire, and takes each
//! [`Input`] by [`Session::apply`]; what it needs done that takes time comes back as [`Work`], whose
//! result is another input. No I/O and no waiting: [`crate::Connection`] drives it.

use std::fmt::{Debug, Display};
use std::future::pending;
use std::sync::Arc;

use bytes::BytesMut;
use outflow_hub::destination::{ClientIdTaken, Destination};
use outflow_hub::subscription::{ConsumerId, LeaseId, PreparedId, SubscriptionId};
use outflow_hub::{CloseReason, Delivery, Stream, Subscription};
use outflow_model::Grant;
use tokio::time::Instant;

use crate::batch::{Answers, Batch, Landing, Outcome};
use crate::failure::Failure;
use crate::heart::Rhythm;
use crate::transaction::Transaction;
use crate::wish::Wish;

/// The consumers that were added, each with what it consumes.
pub type Added = Result<Vec<(ConsumerId, Arc<Subscription>)>, Failure>;

/// One connection's state machine, in its face's wire.
pub trait Session: Debug + Sized + Send + 'static {
    /// Whether each answer also tells of all that was asked before: then a subscription waits for
    /// what is on its way to the disk.
    const IN_ORDER: bool;

    /// Bytes on their way to the client.
    type Outbox: Outbox;
    /// The answers of a batch.
    type Answers: Answers;
    /// Who is answered, and how.
    type Asked: Debug + Send;
    /// A destination of a send, as the client has it.
    type Spelling: Debug + Send;
    /// What the face keeps of a wish besides.
    type Ask: Debug + Send;
    /// A login that was right.
    type Opening: Opening;

    /// What the connection is called in the log.
    fn name(&self) -> impl Display;

    /// Writes what a connection begins with.
    fn greet(&mut self, _out: &mut Self::Outbox) {}

    /// Takes the whole commands of `input`, up to one that needs something done.
    fn read(&mut self, input: &mut BytesMut, out: &mut Self::Outbox) -> Read<Self>;

    /// Takes what happened.
    fn apply(&mut self, input: Input<'_, Self>, out: &mut Self::Outbox) -> Step<Self>;

    /// Tells the client why nothing more is taken from it.
    fn refuse(&mut self, failure: &Failure, out: &mut Self::Outbox) -> Step<Self>;

    /// What the commands so far came to; asked for whenever no more are at hand.
    fn take_batch(&mut self) -> Option<Batch<Self::Answers>>;

    /// The login, once there is one.
    fn opened(&self) -> Option<&Self::Opening>;

    /// What its consumers are called in the hub.
    fn consumer_name(&self) -> String;

    /// What has to be looked up again now that a queue was made.
    fn widen(&self) -> Vec<(u32, Box<Wish>)>;

    /// The hub's subscriptions that serve the subscription with this number.
    fn subscriptions_of(&self, number: u32) -> Vec<SubscriptionId>;

    /// Shows each of its open transactions.
    fn each_transaction(&mut self, see: &mut dyn FnMut(&mut Transaction));

    /// The temporary destinations it made, to be dropped at its end.
    fn take_temporary(&mut self) -> Vec<Destination>;

    /// Writes a sign of life.
    fn beat(&mut self, out: &mut Self::Outbox);

    /// Asks the client to show that it is still there.
    fn ask_for_life(&mut self, out: &mut Self::Outbox);

    /// When [`Input::Due`] is wanted.
    fn due(&self) -> Option<Instant> {
        None
    }

    /// Waits for news of the face's own, which it keeps until [`Session::heard`]; with `writes`
    /// those too that are written to the client. A call that is dropped loses nothing.
    fn news(&mut self, _writes: bool) -> impl Future<Output = ()> + Send {
        pending()
    }

    /// Takes the news; `None`: the connection ends at once.
    fn heard(&mut self, _out: &mut Self::Outbox) -> Option<Step<Self>> {
        Some(Step::Done)
    }

    /// All that it held in the hub is given back.
    fn left(&mut self) {}
}

/// A login that was right.
pub trait Opening: Debug + Send + Sync {
    /// What it may do.
    fn grant(&self) -> &Arc<Grant>;

    /// The client's own id, which no other connection of its credential may have.
    fn client(&self) -> Option<&str>;

    /// Waits until the connection that had its place before is gone.
    fn is_free(&self) -> impl Future<Output = ()> + Send {
        std::future::ready(())
    }
}

/// Bytes on their way to the client.
pub trait Outbox: Send {
    /// How many bytes wait.
    fn len(&self) -> usize;

    /// Whether none do.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The bytes that wait.
    fn waiting(&self) -> &[u8];

    /// Drops the first `count` bytes that wait: they were sent.
    fn take(&mut self, count: usize);

    /// Gives back memory that an idle connection needs not.
    fn shrink(&mut self);
}

/// What reading came to.
#[derive(Debug)]
pub enum Read<S: Session> {
    /// There is no whole command left.
    Starved(Step<S>),
    /// There may be more.
    More(Step<S>),
}

/// What happens to a session.
#[derive(Debug)]
pub enum Input<'a, S: Session> {
    /// [`Work::Resolve`] is done.
    Resolved {
        /// The destination as the client has it.
        spelling: S::Spelling,
        /// Its streams.
        streams: Result<Vec<Arc<Stream>>, Failure>,
    },
    /// [`Work::Open`] is done.
    Opened {
        /// What was to be opened.
        opening: Box<S::Opening>,
        /// The client id is another's.
        taken: Option<ClientIdTaken>,
    },
    /// [`Work::Subscribe`] is done.
    Subscribed {
        /// What the face keeps of it.
        ask: S::Ask,
        /// What was asked.
        wish: Box<Wish>,
        /// The consumers that serve it.
        consumers: Added,
    },
    /// More consumers for a subscription whose wildcard took in new queues.
    Widened {
        /// Which subscription.
        number: u32,
        /// The consumers that serve it besides those it has.
        consumers: Added,
    },
    /// [`Work::Make`] is done.
    Made {
        /// Who is answered.
        asked: S::Asked,
        /// What was made.
        destination: Destination,
        /// Whether it was.
        result: Result<(), Failure>,
    },
    /// [`Work::Unmake`] is done.
    Unmade {
        /// Who is answered.
        asked: S::Asked,
        /// What was removed.
        destination: Destination,
        /// Whether it was.
        result: Result<(), Failure>,
    },
    /// [`Work::Remove`] is done.
    Removed {
        /// Who is answered.
        asked: S::Asked,
        /// Whether it worked.
        result: Result<(), Failure>,
    },
    /// [`Work::Commit`] is done.
    Committed {
        /// What was to be committed.
        transaction: Box<Transaction>,
        /// Who is answered.
        asked: S::Asked,
        /// Whether it was.
        result: Result<(), Failure>,
    },
    /// [`Work::Prepare`] is done.
    Prepared {
        /// What was to be prepared.
        transaction: Box<Transaction>,
        /// Its name.
        name: Vec<u8>,
        /// Who is answered.
        asked: S::Asked,
        /// Which preparation it is, if it was.
        result: Result<PreparedId, Failure>,
    },
    /// [`Work::Conclude`] is done.
    Concluded {
        /// What was to be ended.
        name: Vec<u8>,
        /// Whether it was to be committed.
        commits: bool,
        /// Who is answered.
        asked: S::Asked,
        /// Whether it was.
        result: Result<(), Failure>,
    },
    /// A batch is on the disk, or is not.
    Landed {
        /// Its answers.
        landing: Landing<S::Answers>,
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
pub enum Work<S: Session> {
    /// Keep alive as agreed from now on.
    Keep(Rhythm),
    /// Find the streams that sends to these destinations go to.
    Resolve {
        /// As the client has it.
        spelling: S::Spelling,
        /// What it means.
        destinations: Vec<Destination>,
        /// Those of them that have to be made first.
        temporary: Vec<Destination>,
    },
    /// Take the client's id for this connection.
    Open(Box<S::Opening>),
    /// Hand on what [`Session::take_batch`] gives.
    Flush,
    /// Add consumers, or begin to browse.
    Subscribe {
        /// What the face keeps of it.
        ask: S::Ask,
        /// What is asked.
        wish: Box<Wish>,
        /// Those of its destinations that have to be made first.
        temporary: Vec<Destination>,
    },
    /// Remove consumers, then delete a durable subscription.
    Remove {
        /// Which, each with the last message its user has seen.
        consumers: Vec<(ConsumerId, Seen)>,
        /// The client and the name of the durable subscription.
        durable: Option<(Option<String>, String)>,
        /// Who is answered.
        asked: S::Asked,
    },
    /// Let consumers have so many messages unacked from now on.
    Prefetch {
        /// Which.
        consumers: Vec<ConsumerId>,
        /// How many.
        prefetch: u32,
    },
    /// Make a temporary destination.
    Make {
        /// Which.
        destination: Destination,
        /// Who is answered.
        asked: S::Asked,
    },
    /// Remove a temporary destination.
    Unmake {
        /// Which.
        destination: Destination,
        /// Who is answered.
        asked: S::Asked,
    },
    /// Commit.
    Commit {
        /// What.
        transaction: Box<Transaction>,
        /// Who is answered.
        asked: S::Asked,
    },
    /// Store a transaction, to be ended by its name.
    Prepare {
        /// What.
        transaction: Box<Transaction>,
        /// The name.
        name: Vec<u8>,
        /// Who is answered.
        asked: S::Asked,
    },
    /// End a transaction that was prepared, by whatever connection.
    Conclude {
        /// Which.
        name: Vec<u8>,
        /// The preparation of this name that is this connection's, whose messages are with its client.
        own: Option<PreparedId>,
        /// Whether it is committed, or rolled back.
        commits: bool,
        /// Who is answered.
        asked: S::Asked,
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
pub enum Step<S: Session> {
    /// Nothing but what was written.
    Done,
    /// The work; then what comes next.
    Then(Work<S>),
    /// The work; then the same command again.
    Again(Work<S>),
}
