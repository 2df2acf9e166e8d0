//! TransactionInfo.

use outflow_broker::{About, Part, Refusal, Transaction};
use outflow_model::ErrorCode;

use super::{Asked, Outbox, Outcomes, Session, Step, Work};
use crate::error::Failure;
use crate::wire::{Command, DataArrayResponse, TransactionId, TransactionInfo};

const BEGIN: i8 = 0;
const COMMIT_ONE_PHASE: i8 = 2;
const ROLLBACK: i8 = 4;
const RECOVER: i8 = 5;
const END: i8 = 7;

/// A transaction as clients show it.
fn name(id: &TransactionId) -> String {
    match id {
        TransactionId::Local(id) => {
            let connection = id.connection_id.as_ref().and_then(|id| id.value.as_deref());
            format!("TX:{}:{}", connection.unwrap_or_default(), id.value)
        }
        TransactionId::Xa(_) => "XID".to_owned(),
    }
}

/// The failure of a transaction that is not open.
fn unknown(id: &TransactionId) -> Failure {
    let message = format!("Transaction '{}' has not been started.", name(id));
    Failure::new(ErrorCode::NotFound, message).about(About::Transaction)
}

/// The failure of a distributed transaction.
fn distributed() -> Failure {
    let message = "The server has no distributed transactions; use local ones";
    Failure::new(ErrorCode::UnsupportedMedia, message).about(About::Distributed)
}

/// Why a command is not taken into the transaction `id`.
pub(super) fn refused(refusal: Refusal, id: &TransactionId) -> Failure {
    match (refusal, id) {
        (Refusal::Unknown, TransactionId::Xa(_)) => distributed(),
        (Refusal::Unknown, TransactionId::Local(_)) => unknown(id),
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
            // What was never prepared cannot be recovered.
            let data = Some(Vec::new());
            let correlation_id = info.command_id;
            let none = DataArrayResponse { correlation_id, data, ..DataArrayResponse::default() };
            out.send(&Command::DataArrayResponse(none));
            return Ok(Step::Done);
        }
        let Some(id) = &info.transaction_id else {
            return Err(Failure::malformed("A transaction needs an id"));
        };
        match (info.kind, id) {
            (_, TransactionId::Xa(_)) => Err(distributed()),
            (BEGIN, _) => self.begin(id, asked),
            (COMMIT_ONE_PHASE, _) => self.commit(id, asked),
            (ROLLBACK, _) => self.roll_back(id, asked),
            (END, _) => {
                self.batch.answers.add(asked, Part::Ready);
                Ok(Step::Done)
            }
            _ => Err(distributed()),
        }
    }

    fn begin(&mut self, id: &TransactionId, asked: Asked) -> Outcomes {
        // A client that reconnects may say it twice.
        self.transactions.begin(id.clone())?;
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

    fn commit(&mut self, id: &TransactionId, asked: Asked) -> Outcomes {
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

    fn roll_back(&mut self, id: &TransactionId, asked: Asked) -> Outcomes {
        let transaction = self.transactions.take(id).ok_or_else(|| unknown(id))?;
        self.release(&transaction);
        self.batch.answers.add(asked, Part::Ready);
        Ok(Step::Done)
    }

    /// Settles what a commit acked; what one that failed acked is with the client again.
    pub(super) fn committed(&mut self, transaction: &Transaction, result: &Result<(), Failure>) {
        if result.is_err() {
            return self.release(transaction);
        }
        for ack in &transaction.acks {
            if let Some(one) = self.subscriptions.get_mut(ack.number) {
                one.held.settle(ack.lease);
            }
        }
        self.face.metrics.settled.inc_by(transaction.acks.len() as u64);
    }

    /// What it acked is with the client again, which hands it to its user once more by itself. The
    /// window stays as wide as it was made for it, once a message.
    fn release(&mut self, transaction: &Transaction) {
        for ack in &transaction.acks {
            if let Some(one) = self.subscriptions.get_mut(ack.number) {
                one.held.release(ack.lease);
            }
        }
    }
}
