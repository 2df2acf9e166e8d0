//! BEGIN, COMMIT, ABORT. What belongs to a transaction is kept here until COMMIT: nothing of it is
//! known to the hub before.

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
}

/// The failure of a transaction that is not open.
pub(super) fn unknown(name: &str) -> Failure {
    Failure::new(ErrorCode::NotFound, format!("Invalid transaction id: {name}"))
}

impl Transaction {
    pub(super) fn bytes(&self) -> usize {
        self.sends.iter().map(|(_, draft)| draft.bytes()).sum()
    }

    pub(super) fn messages(&self) -> usize {
        self.acks.len() + self.sends.iter().map(|(_, draft)| draft.len()).sum::<usize>()
    }

    /// Adds an event; consecutive ones of a stream become one draft.
    pub(super) fn publish(
        &mut self,
        stream: &Arc<Stream>,
        push: impl FnOnce(&mut Draft) -> Result<(), EventError>,
    ) -> Result<(), Failure> {
        if self.sends.last().is_none_or(|(last, _)| last.id != stream.id) {
            let mut draft = Draft::default();
            push(&mut draft)?;
            self.sends.push((Arc::clone(stream), draft));
        } else if let Some((_, draft)) = self.sends.last_mut() {
            push(draft)?;
        }
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
        self.transactions.push(Transaction { name, sends: Vec::new(), acks: Vec::new() });
        self.batch.receipt(self.version, frame.header("receipt").as_deref(), Part::Ready);
        Ok(Step::Done)
    }

    fn take_transaction(&mut self, name: &str) -> Result<Transaction, Failure> {
        let at = self.transactions.iter().position(|one| one.name == name);
        at.map(|at| self.transactions.remove(at)).ok_or_else(|| unknown(name))
    }

    pub(super) fn commit(&mut self, frame: &Frame<'_>) -> Outcomes {
        let name = Self::named(frame, "committing")?;
        let transaction = Box::new(self.take_transaction(&name)?);
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

    fn release(&mut self, transaction: &Transaction) {
        for ack in &transaction.acks {
            if let Some(subscribed) = self.subscriptions.get_mut(ack.id.subscription) {
                subscribed.held.release(ack.id.serial);
            }
        }
    }
}
