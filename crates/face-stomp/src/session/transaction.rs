//! BEGIN, COMMIT, ABORT.

use outflow_broker::{Part, Refusal, Transaction};
use outflow_model::ErrorCode;

use super::{Outcomes, Session, Step, Work};
use crate::error::Failure;
use crate::wire::Frame;

/// Why a frame is not taken into the transaction `name`.
pub(super) fn refused(refusal: Refusal, name: &str) -> Failure {
    match refusal {
        Refusal::Unknown => unknown(name),
        Refusal::Doomed(cause) => {
            let message = format!("The transaction {name} can only be aborted: {cause}");
            Failure::new(cause.code, message).and_stays()
        }
        Refusal::Failed(failure) => failure,
    }
}

/// The failure of a transaction that is not open.
fn unknown(name: &str) -> Failure {
    Failure::new(ErrorCode::NotFound, format!("Invalid transaction id: {name}"))
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
        if !self.transactions.begin(name.clone())? {
            let message = format!("The transaction was already started: {name}");
            return Err(Failure::new(ErrorCode::Conflict, message));
        }
        self.batch.answers.receipt(self.version, frame.header("receipt").as_deref(), Part::Ready);
        Ok(Step::Done)
    }

    /// A frame was refused: if it belongs to a transaction, that can only be aborted any more.
    pub(super) fn doom(&mut self, frame: &Frame<'_>, failure: &Failure) {
        if let ("SEND" | "ACK" | "NACK", Some(name)) =
            (frame.command(), frame.header("transaction"))
        {
            self.transactions.doom(&*name, failure);
        }
    }

    pub(super) fn commit(&mut self, frame: &Frame<'_>) -> Outcomes {
        let name = Self::named(frame, "committing")?;
        let transaction = self.transactions.take(&*name).ok_or_else(|| unknown(&name))?;
        if let Some(cause) = &transaction.doomed {
            let message = format!("The transaction {name} was not committed: {cause}");
            let failure = Failure::new(cause.code, message).and_stays();
            self.release(&transaction);
            return Err(failure);
        }
        let receipt = frame.header("receipt").map(std::borrow::Cow::into_owned);
        if transaction.is_empty() {
            self.batch.answers.receipt(self.version, receipt.as_deref(), Part::Ready);
            return Ok(Step::Done);
        }
        let transaction = Box::new(transaction);
        Ok(Step::Then(Work::Commit { transaction, asked: receipt }))
    }

    pub(super) fn abort(&mut self, frame: &Frame<'_>) -> Outcomes {
        let name = Self::named(frame, "aborting")?;
        let transaction = self.transactions.take(&*name).ok_or_else(|| unknown(&name))?;
        self.release(&transaction);
        self.batch.answers.receipt(self.version, frame.header("receipt").as_deref(), Part::Ready);
        Ok(Step::Done)
    }

    /// Settles what a commit acked; what one that failed acked is with the client again.
    pub(super) fn committed(&mut self, transaction: &Transaction, result: &Result<(), Failure>) {
        if result.is_err() {
            return self.release(transaction);
        }
        for ack in &transaction.acks {
            if let Some(subscribed) = self.subscriptions.get_mut(ack.number) {
                subscribed.held.settle(ack.lease);
            }
        }
        self.face.metrics.settled.inc_by(transaction.acks.len() as u64);
    }

    /// What it acked is with the client again, and the consumers lose the credit that they had for
    /// it: or BEGIN, ACK and ABORT over and over would bring more messages each time.
    fn release(&mut self, transaction: &Transaction) {
        for ack in &transaction.acks {
            if let Some(subscribed) = self.subscriptions.get_mut(ack.number) {
                subscribed.held.release(ack.lease);
            }
            self.batch.credit(ack.consumer, -1);
        }
    }
}
