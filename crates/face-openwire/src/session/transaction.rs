//! TransactionInfo.

use outflow_broker::{About, BoundAck, Part, Refusal, Transaction};
use outflow_model::ErrorCode;

use super::{Asked, Outbox, Outcomes, Session, Step, Work, bound, distributed};
use crate::error::Failure;
use crate::wire::{Command, TransactionId, TransactionInfo};

pub(super) const BEGIN: i8 = 0;
pub(super) const COMMIT_ONE_PHASE: i8 = 2;
pub(super) const ROLLBACK: i8 = 4;
const RECOVER: i8 = 5;
pub(super) const END: i8 = 7;

/// A transaction as clients show it.
pub(super) fn name(id: &TransactionId) -> String {
    match id {
        TransactionId::Local(id) => {
            let connection = id.connection_id.as_ref().and_then(|id| id.value.as_deref());
            format!("TX:{}:{}", connection.unwrap_or_default(), id.value)
        }
        TransactionId::Xa(id) => id.to_string(),
    }
}

/// The failure of a transaction that is not open.
pub(super) fn unknown(id: &TransactionId) -> Failure {
    let message = format!("Transaction '{}' has not been started.", name(id));
    let failure = Failure::new(ErrorCode::NotFound, message).about(About::Transaction);
    match id {
        TransactionId::Local(_) => failure,
        TransactionId::Xa(_) => distributed::told(&failure, distributed::UNKNOWN),
    }
}

/// Why a command is not taken into the transaction `id`.
pub(super) fn refused(refusal: Refusal, id: &TransactionId) -> Failure {
    match (refusal, id) {
        (Refusal::Unknown, _) => unknown(id),
        (Refusal::Doomed(cause), _) => {
            let message = format!("{} can only be rolled back: {cause}", name(id));
            Failure::new(cause.code, message)
        }
        (Refusal::Failed(failure), _) => failure,
    }
}

impl Session {
    pub(super) fn transaction(
        &mut self,
        info: &TransactionInfo,
        asked: Asked,
        out: &mut Outbox,
    ) -> Outcomes {
        if info.kind == RECOVER {
            self.recover(info.command_id, out);
            return Ok(Step::Done);
        }
        let Some(id) = &info.transaction_id else {
            return Err(Failure::malformed("A transaction needs an id"));
        };
        match (info.kind, id) {
            (kind, TransactionId::Xa(branch)) => self.distributed(kind, id, branch, asked, out),
            (BEGIN, _) => self.begin(id, asked),
            (COMMIT_ONE_PHASE, _) => self.commit(id, asked),
            (ROLLBACK, _) => self.roll_back(id, asked),
            (END, _) => {
                self.batch.answers.add(asked, Part::Ready);
                Ok(Step::Done)
            }
            _ => Err(Failure::malformed("A local transaction is not prepared")),
        }
    }

    pub(super) fn begin(&mut self, id: &TransactionId, asked: Asked) -> Outcomes {
        // A client that reconnects may say it twice.
        self.transactions.begin(bound::transaction(id)?)?;
        self.batch.answers.add(asked, Part::Ready);
        Ok(Step::Done)
    }

    /// A command was refused: if it belongs to a transaction, that can only be rolled back any more.
    pub(super) fn doom(&mut self, command: &Command, failure: &Failure) {
        let id = match command {
            Command::Message(message) => message.transaction_id.as_ref(),
            Command::MessageAck(ack) => ack.transaction_id.as_ref(),
            _ => None,
        };
        if let Some(id) = id {
            self.transactions.doom(id, failure);
        }
    }

    pub(super) fn commit(&mut self, id: &TransactionId, asked: Asked) -> Outcomes {
        let transaction = self.transactions.take(id).ok_or_else(|| unknown(id))?;
        if let Some(cause) = &transaction.doomed {
            let message = format!("{} was rolled back: {cause}", name(id));
            let failure = Failure::new(cause.code, message).about(About::RolledBack);
            self.release(&transaction);
            return Err(failure);
        }
        if transaction.is_empty() {
            self.batch.answers.add(asked, Part::Ready);
            return Ok(Step::Done);
        }
        let transaction = Box::new(transaction);
        Ok(Step::Then(Work::Commit { transaction, asked }))
    }

    pub(super) fn roll_back(&mut self, id: &TransactionId, asked: Asked) -> Outcomes {
        let transaction = self.transactions.take(id).ok_or_else(|| unknown(id))?;
        self.release(&transaction);
        self.batch.answers.add(asked, Part::Ready);
        Ok(Step::Done)
    }

    /// Settles what a commit acked; what one that failed acked is with the client again.
    pub(super) fn committed(&mut self, transaction: &Transaction, result: &Result<(), Failure>) {
        self.settle_bound(&transaction.acks, result.is_ok());
    }

    /// What it acked is with the client again.
    pub(super) fn release(&mut self, transaction: &Transaction) {
        self.settle_bound(&transaction.acks, false);
    }

    /// What was acked in a transaction is done, or with the client again, which hands it to its user
    /// once more by itself. The window stays as wide as it was made for it, once a message.
    pub(super) fn settle_bound(&mut self, acks: &[BoundAck], is_done: bool) {
        if is_done {
            self.forget_bound(acks);
            self.face.metrics.settled.inc_by(acks.len() as u64);
            return;
        }
        for ack in acks {
            if let Some(one) = self.subscriptions.get_mut(ack.number) {
                one.held.release(ack.lease);
            }
        }
    }

    /// What was acked in a transaction is no longer with the client.
    pub(super) fn forget_bound(&mut self, acks: &[BoundAck]) {
        for ack in acks {
            if let Some(one) = self.subscriptions.get_mut(ack.number) {
                one.held.settle(ack.lease);
            }
        }
    }
}
