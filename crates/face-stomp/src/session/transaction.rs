//! BEGIN, COMMIT, ABORT. What belongs to a transaction is kept here until COMMIT: nothing of it is
//! known to the hub before.
//!
//! Invariant: a transaction of which one frame was refused is never committed. A client that sends
//! without asking for receipts reads the ERROR after its COMMIT, so COMMIT itself has to fail.

use std::sync::Arc;

use outflow_hub::subscription::ConsumerId;
use outflow_hub::{Settle, Stream};
use outflow_model::draft::EventError;
use outflow_model::{Draft, ErrorCode};

use super::batch::Part;
use super::{AckId, Outcomes, Session, Step, Work};
use crate::error::Failure;
use crate::wire::Frame;

/// An ack that waits for COMMIT.
#[derive(Debug)]
pub struct BoundAck {
    /// The message.
    pub(super) id: AckId,
    /// Whose.
    pub consumer: ConsumerId,
    /// The answer.
    pub answer: Settle,
}

/// An open transaction.
#[derive(Debug)]
pub struct Transaction {
    /// The client's name for it.
    pub(super) name: String,
    /// What it sends, in order.
    pub sends: Vec<(Arc<Stream>, Draft)>,
    /// What it acks, in order.
    pub acks: Vec<BoundAck>,
    /// How many bytes of events `sends` has.
    pub(super) bytes: usize,
    /// How many events `sends` has.
    events: usize,
    /// Why it cannot be committed: the first of its frames that was refused.
    doomed: Option<Failure>,
}

/// The failure of a transaction that is not open.
pub(super) fn unknown(name: &str) -> Failure {
    Failure::new(ErrorCode::NotFound, format!("Invalid transaction id: {name}"))
}

impl Transaction {
    const fn new(name: String) -> Self {
        Self { name, sends: Vec::new(), acks: Vec::new(), bytes: 0, events: 0, doomed: None }
    }

    pub(super) const fn messages(&self) -> usize {
        self.acks.len() + self.events
    }

    /// Whether it may still be added to.
    pub(super) fn check(&self) -> Result<(), Failure> {
        let Some(cause) = &self.doomed else { return Ok(()) };
        let message = format!("The transaction {} can only be aborted: {cause}", self.name);
        Err(Failure::new(cause.code, message).and_stays())
    }

    /// Adds an event; consecutive ones of a stream become one draft.
    pub(super) fn publish(
        &mut self,
        stream: &Arc<Stream>,
        push: impl FnOnce(&mut Draft) -> Result<(), EventError>,
    ) -> Result<(), Failure> {
        match self.sends.last_mut().filter(|(last, _)| last.id == stream.id) {
            Some((_, draft)) => {
                let before = draft.bytes();
                push(draft)?;
                self.bytes += draft.bytes() - before;
            }
            None => {
                let mut draft = Draft::default();
                push(&mut draft)?;
                self.bytes += draft.bytes();
                self.sends.push((Arc::clone(stream), draft));
            }
        }
        self.events += 1;
        Ok(())
    }
}

impl Session {
    /// The transaction that a frame names.
    fn named(frame: &Frame<'_>, what: &str) -> Result<String, Failure> {
        let name = frame.header("transaction").filter(|name| !name.is_empty());
        name.map(std::borrow::Cow::into_owned).ok_or_else(|| {
            Failure::malformed(format!("Must specify the transaction you are {what}"))
        })
    }

    pub(super) fn begin(&mut self, frame: &Frame<'_>) -> Outcomes {
        let name = Self::named(frame, "beginning")?;
        if self.transactions.iter().any(|one| one.name == name) {
            let message = format!("The transaction was already started: {name}");
            return Err(Failure::new(ErrorCode::Conflict, message));
        }
        let max = self.face.options.max_transactions;
        if self.transactions.len() >= max {
            let message = format!("There may be at most {max} open transactions");
            return Err(Failure::new(ErrorCode::TooLarge, message));
        }
        self.transactions.push(Transaction::new(name));
        self.batch.receipt(self.version, frame.header("receipt").as_deref(), Part::Ready);
        Ok(Step::Done)
    }

    /// A frame was refused: if it belongs to a transaction, that can only be aborted any more.
    pub(super) fn doom(&mut self, frame: &Frame<'_>, failure: &Failure) {
        if !matches!(frame.command(), "SEND" | "ACK" | "NACK") {
            return;
        }
        let Some(name) = frame.header("transaction") else { return };
        let named = self.transactions.iter_mut().find(|one| one.name == *name);
        if let Some(transaction) = named.filter(|one| one.doomed.is_none()) {
            transaction.doomed = Some(failure.clone());
            // What will not be sent needs no room.
            transaction.sends = Vec::new();
            (transaction.bytes, transaction.events) = (0, 0);
        }
    }

    fn take_transaction(&mut self, name: &str) -> Result<Transaction, Failure> {
        let at = self.transactions.iter().position(|one| one.name == name);
        at.map(|at| self.transactions.remove(at)).ok_or_else(|| unknown(name))
    }

    pub(super) fn commit(&mut self, frame: &Frame<'_>) -> Outcomes {
        let name = Self::named(frame, "committing")?;
        let transaction = Box::new(self.take_transaction(&name)?);
        if let Some(cause) = &transaction.doomed {
            let message = format!("The transaction {name} was not committed: {cause}");
            let failure = Failure::new(cause.code, message).and_stays();
            self.release(&transaction);
            return Err(failure);
        }
        let receipt = frame.header("receipt").map(std::borrow::Cow::into_owned);
        if transaction.messages() == 0 {
            self.batch.receipt(self.version, receipt.as_deref(), Part::Ready);
            return Ok(Step::Done);
        }
        Ok(Step::Then(Work::Commit { transaction, receipt }))
    }

    pub(super) fn abort(&mut self, frame: &Frame<'_>) -> Outcomes {
        let name = Self::named(frame, "aborting")?;
        let transaction = self.take_transaction(&name)?;
        self.release(&transaction);
        self.batch.receipt(self.version, frame.header("receipt").as_deref(), Part::Ready);
        Ok(Step::Done)
    }

    /// Settles what a commit acked; what one that failed acked is with the client again.
    pub(super) fn committed(&mut self, transaction: &Transaction, result: &Result<(), Failure>) {
        if result.is_err() {
            return self.release(transaction);
        }
        for ack in &transaction.acks {
            if let Some(subscribed) = self.subscriptions.get_mut(ack.id.subscription) {
                subscribed.held.settle(ack.id.serial);
            }
        }
        self.face.metrics.settled.inc_by(transaction.acks.len() as u64);
    }

    /// What it acked is with the client again, and the consumers lose the credit that they had for
    /// it: or BEGIN, ACK and ABORT over and over would bring more messages each time.
    fn release(&mut self, transaction: &Transaction) {
        for ack in &transaction.acks {
            if let Some(subscribed) = self.subscriptions.get_mut(ack.id.subscription) {
                subscribed.held.release(ack.id.serial);
            }
            self.batch.credit(ack.consumer, -1);
        }
    }
}
