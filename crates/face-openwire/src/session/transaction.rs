//! TransactionInfo. What belongs to a transaction is kept here until it is committed: nothing of it
//! is known to the hub before.
//!
//! Invariant: a transaction of which one command was refused is never committed. A client does not
//! wait for the answers of what it sends in a transaction, so the commit itself has to fail.

use std::sync::Arc;

use outflow_hub::subscription::ConsumerId;
use outflow_hub::{Settle, Stream};
use outflow_model::draft::EventError;
use outflow_model::{Draft, ErrorCode};

use super::batch::Part;
use super::{Asked, Outbox, Outcomes, Session, Step, Work};
use crate::error::Failure;
use crate::wire::{Command, DataArrayResponse, TransactionId, TransactionInfo};

/// What a client throws when its transaction was not committed.
const ROLLED_BACK: &str = "javax.jms.TransactionRolledBackException";
/// What a client throws where a distributed transaction fails.
const XA: &str = "javax.transaction.xa.XAException";

const BEGIN: i8 = 0;
const COMMIT_ONE_PHASE: i8 = 2;
const ROLLBACK: i8 = 4;
const RECOVER: i8 = 5;
const END: i8 = 7;

/// An ack that waits for the commit.
#[derive(Debug)]
pub struct BoundAck {
    /// The number of the client's consumer.
    pub(super) number: u32,
    /// The message.
    pub(super) lease: u64,
    /// Whose it is in the hub.
    pub consumer: ConsumerId,
    /// The answer.
    pub answer: Settle,
}

/// An open transaction.
#[derive(Debug)]
pub struct Transaction {
    id: TransactionId,
    /// What it sends, in order.
    pub sends: Vec<(Arc<Stream>, Draft)>,
    /// What it acks, in order.
    pub acks: Vec<BoundAck>,
    /// How many bytes of events `sends` has.
    pub(super) bytes: usize,
    /// How many events `sends` has.
    events: usize,
    /// Why it cannot be committed: the first of its commands that was refused.
    doomed: Option<Failure>,
}

impl Transaction {
    const fn new(id: TransactionId) -> Self {
        Self { id, sends: Vec::new(), acks: Vec::new(), bytes: 0, events: 0, doomed: None }
    }

    pub(super) const fn messages(&self) -> usize {
        self.acks.len() + self.events
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
    let class = "javax.jms.JMSException";
    Failure { class, ..Failure::new(ErrorCode::NotFound, message) }
}

/// The failure of a distributed transaction.
fn distributed() -> Failure {
    let message = "The server has no distributed transactions; use local ones";
    Failure { class: XA, ..Failure::new(ErrorCode::UnsupportedMedia, message) }
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
                self.batch.answer(asked, Part::Ready);
                Ok(Step::Done)
            }
            _ => Err(distributed()),
        }
    }

    fn begin(&mut self, id: &TransactionId, asked: Asked) -> Outcomes {
        if !self.transactions.iter().any(|one| one.id == *id) {
            let max = self.face.options.max_transactions;
            if self.transactions.len() >= max {
                let message = format!("There may be at most {max} open transactions");
                return Err(Failure::new(ErrorCode::TooLarge, message));
            }
            self.transactions.push(Transaction::new(id.clone()));
        }
        self.batch.answer(asked, Part::Ready);
        Ok(Step::Done)
    }

    /// The transaction with this id, to be added to.
    pub(super) fn open_transaction(
        &mut self,
        id: &TransactionId,
    ) -> Result<&mut Transaction, Failure> {
        if matches!(id, TransactionId::Xa(_)) {
            return Err(distributed());
        }
        let open = self.transactions.iter_mut().find(|one| one.id == *id);
        let open = open.ok_or_else(|| unknown(id))?;
        match &open.doomed {
            None => Ok(open),
            Some(cause) => {
                let message = format!("{} can only be rolled back: {cause}", name(id));
                Err(Failure::new(cause.code, message))
            }
        }
    }

    /// A command was refused: if it belongs to a transaction, that can only be rolled back any more.
    pub(super) fn doom(&mut self, command: &Command, failure: &Failure) {
        let id = match command {
            Command::Message(message) => message.transaction_id.as_ref(),
            Command::MessageAck(ack) => ack.transaction_id.as_ref(),
            _ => None,
        };
        let open = id.and_then(|id| self.transactions.iter_mut().find(|one| one.id == *id));
        if let Some(transaction) = open.filter(|one| one.doomed.is_none()) {
            transaction.doomed = Some(failure.clone());
            // What will not be sent needs no room.
            transaction.sends = Vec::new();
            (transaction.bytes, transaction.events) = (0, 0);
        }
    }

    fn take_transaction(&mut self, id: &TransactionId) -> Result<Transaction, Failure> {
        let at = self.transactions.iter().position(|one| one.id == *id);
        at.map(|at| self.transactions.remove(at)).ok_or_else(|| unknown(id))
    }

    fn commit(&mut self, id: &TransactionId, asked: Asked) -> Outcomes {
        let transaction = Box::new(self.take_transaction(id)?);
        if let Some(cause) = &transaction.doomed {
            let message = format!("{} was rolled back: {cause}", name(id));
            let failure = Failure { class: ROLLED_BACK, ..Failure::new(cause.code, message) };
            self.release(&transaction);
            return Err(failure);
        }
        if transaction.messages() == 0 {
            self.batch.answer(asked, Part::Ready);
            return Ok(Step::Done);
        }
        Ok(Step::Then(Work::Commit { transaction, asked }))
    }

    fn roll_back(&mut self, id: &TransactionId, asked: Asked) -> Outcomes {
        let transaction = self.take_transaction(id)?;
        self.release(&transaction);
        self.batch.answer(asked, Part::Ready);
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
