//! Distributed (XA) transactions: branches that are prepared, and ended later by whoever knows their
//! ids (reference `activemq.md` a5, Transactions).
//!
//! Until it is prepared a branch is its connection's, as a local transaction is; from then on it is
//! the hub's, and outlives connections and restarts.
//!
//! Failures are XAExceptions. Their codes do not travel as such: clients read them at the end of the
//! message, behind [`MARKER`] (`TransactionContext.xaErrorCodeMarker` of `activemq-client`).

use outflow_broker::{About, BoundAck, Part, Refusal, Transaction};
use outflow_hub::subscription::PreparedId;
use outflow_model::ErrorCode;

use super::transaction::{BEGIN, COMMIT_ONE_PHASE, END, ROLLBACK, unknown};
use super::{Asked, Outbox, Outcomes, Session, Step, Work};
use crate::error::Failure;
use crate::wire::{Command, DataArrayResponse, TransactionId, XaTransactionId};

const PREPARE: i8 = 1;
const COMMIT_TWO_PHASE: i8 = 3;
const FORGET: i8 = 6;

const MARKER: &str = "xaErrorCode:";
/// `XA_RBROLLBACK`: it was rolled back, and is forgotten.
const ROLLED_BACK: i32 = 100;
/// `XAER_NOTA`: there is no such branch.
pub(super) const UNKNOWN: i32 = -4;
/// `XAER_INVAL`: what was asked for makes no sense.
const INVALID: i32 = -5;
/// `XAER_PROTO`: it was asked for at the wrong time.
const WRONG_TIME: i32 = -6;
/// `XAER_RMFAIL`: it could not be done now; the branch is as it was.
const FAILED: i32 = -7;

/// The answers to Prepare: there is something to commit, and there is nothing.
const OK: i32 = 0;
const READ_ONLY: i32 = 3;

/// A branch that this connection has prepared, and what it acked.
#[derive(Debug)]
pub(super) struct Prepared {
    name: Vec<u8>,
    id: PreparedId,
    acks: Vec<BoundAck>,
}

/// A failure as a transaction manager is told of it.
pub(super) fn told(failure: &Failure, code: i32) -> Failure {
    let message = format!("{} {MARKER}{code}", failure.message);
    Failure { message, ..failure.clone() }.about(About::Distributed)
}

/// What became of a commit in one phase: a branch of which it failed was rolled back.
pub(super) fn committed(result: Result<(), Failure>, asked: &Asked) -> Result<(), Failure> {
    result.map_err(|failure| match asked.is_of_branch() {
        true => told(&failure, ROLLED_BACK),
        false => failure,
    })
}

/// A branch's id as the name of a prepared transaction: the format, the length of the first part,
/// and both parts. `None`: parts have at most 64 bytes.
fn to_name(branch: &XaTransactionId) -> Option<Vec<u8>> {
    let [global, qualifier] = [&branch.global_transaction_id, &branch.branch_qualifier]
        .map(|part| part.as_deref().unwrap_or_default());
    let length = u8::try_from(global.len()).ok().filter(|length| *length <= 64)?;
    let fits = qualifier.len() <= 64;
    let format = branch.format_id.to_be_bytes();
    fits.then(|| [&format[..], &[length], global, qualifier].concat())
}

/// The id that a name was made of.
fn from_name(name: &[u8]) -> Option<XaTransactionId> {
    let (format, rest) = name.split_first_chunk::<4>()?;
    let (length, rest) = rest.split_first()?;
    let (global, qualifier) = rest.split_at_checked(usize::from(*length))?;
    Some(XaTransactionId {
        format_id: i32::from_be_bytes(*format),
        global_transaction_id: Some(global.to_vec().into()),
        branch_qualifier: Some(qualifier.to_vec().into()),
    })
}

impl Session {
    pub(super) fn distributed(
        &mut self,
        kind: i8,
        id: &TransactionId,
        branch: &XaTransactionId,
        asked: Asked,
        out: &mut Outbox,
    ) -> Outcomes {
        let invalid = |why: &str| told(&Failure::malformed(why), INVALID);
        let asked = asked.of_branch();
        let name = to_name(branch).ok_or_else(|| invalid("The parts of an id are too long"))?;
        // Else it is prepared, or unknown, which the hub finds out.
        let is_open = !matches!(self.transactions.check_acks(id, 0), Err(Refusal::Unknown));
        match kind {
            // A client that reconnects may say it again of what it has prepared.
            BEGIN if !is_open && self.is_prepared(&name) => self.agree_to(asked),
            BEGIN => self.begin(id, asked),
            END => self.agree_to(asked),
            PREPARE if !is_open && self.is_prepared(&name) => {
                let twice = Failure::new(ErrorCode::Conflict, "The branch is prepared already");
                Err(told(&twice, WRONG_TIME))
            }
            PREPARE => self.prepare(id, name, asked, out),
            COMMIT_TWO_PHASE if is_open => {
                let early = "Cannot call 2 phase commit if the transaction has not been prepared";
                Err(told(&Failure::new(ErrorCode::Conflict, early), WRONG_TIME))
            }
            COMMIT_ONE_PHASE if is_open => {
                self.commit(id, asked).map_err(|failure| told(&failure, ROLLED_BACK))
            }
            COMMIT_ONE_PHASE | COMMIT_TWO_PHASE => Ok(self.conclude(name, true, asked)),
            ROLLBACK | FORGET if is_open => self.roll_back(id, asked),
            ROLLBACK | FORGET => Ok(self.conclude(name, false, asked)),
            _ => Err(invalid("There is no such order for a transaction")),
        }
    }

    fn agree_to(&mut self, asked: Asked) -> Outcomes {
        self.batch.answers.add(asked, Part::Ready);
        Ok(Step::Done)
    }

    fn conclude(&mut self, name: Vec<u8>, commits: bool, asked: Asked) -> Step {
        self.forget_ended(Some(&name));
        let own = self.prepared.iter().find(|one| one.name == name).map(|one| one.id);
        Step::Then(Work::Conclude { name, own, commits, asked })
    }

    fn is_prepared(&self, name: &[u8]) -> bool {
        self.find_prepared(name).is_some()
    }

    fn find_prepared(&self, name: &[u8]) -> Option<PreparedId> {
        self.face.hub.find_prepared(&self.opened.as_ref()?.grant, name)
    }

    fn prepare(
        &mut self,
        id: &TransactionId,
        name: Vec<u8>,
        asked: Asked,
        out: &mut Outbox,
    ) -> Outcomes {
        let transaction = self.transactions.take(id).ok_or_else(|| unknown(id))?;
        if let Some(cause) = &transaction.doomed {
            let failure = told(cause, ROLLED_BACK);
            self.release(&transaction);
            return Err(failure);
        }
        if transaction.is_empty() {
            asked.write_number(READ_ONLY, out);
            return Ok(Step::Done);
        }
        let transaction = Box::new(transaction);
        Ok(Step::Then(Work::Prepare { transaction, name, asked }))
    }

    /// A branch is on the disk, or was rolled back.
    pub(super) fn prepared(
        &mut self,
        transaction: Transaction,
        name: Vec<u8>,
        result: Result<PreparedId, Failure>,
        asked: &Asked,
        out: &mut Outbox,
    ) -> Step {
        match result {
            Ok(id) => {
                self.forget_ended(None);
                if !transaction.acks.is_empty() {
                    self.prepared.push(Prepared { name, id, acks: transaction.acks });
                }
                asked.write_number(OK, out);
                Step::Done
            }
            Err(failure) => {
                self.release(&transaction);
                self.answer(Err(told(&failure, ROLLED_BACK)), asked, out)
            }
        }
    }

    /// A prepared branch was ended, or is as it was.
    pub(super) fn concluded(
        &mut self,
        name: &[u8],
        commits: bool,
        result: Result<(), Failure>,
        asked: &Asked,
        out: &mut Outbox,
    ) -> Step {
        let result = match result {
            Ok(()) => {
                let at = self.prepared.iter().position(|one| one.name == name);
                if let Some(Prepared { acks, .. }) = at.map(|at| self.prepared.swap_remove(at)) {
                    self.settle_bound(&acks, commits);
                }
                Ok(())
            }
            Err(failure) if failure.about == About::Transaction => {
                self.forget_ended(None);
                Err(told(&failure, UNKNOWN))
            }
            Err(failure) => Err(told(&failure, FAILED)),
        };
        self.answer(result, asked, out)
    }

    /// Forgets the messages of branches that another connection has ended, of all or the one of this
    /// name: they are done, or with the queue again.
    fn forget_ended(&mut self, name: Option<&[u8]>) {
        let is_ended = |one: &Prepared| {
            name.is_none_or(|name| one.name == name)
                && self.find_prepared(&one.name) != Some(one.id)
        };
        let ended = self.prepared.iter().filter(|one| is_ended(one));
        let ended: Vec<PreparedId> = ended.map(|one| one.id).collect();
        let ended = self.prepared.extract_if(.., |one| ended.contains(&one.id));
        let ended: Vec<Prepared> = ended.collect();
        ended.iter().for_each(|one| self.forget_bound(&one.acks));
    }

    /// Tells the branches that are prepared.
    pub(super) fn recover(&self, correlation_id: i32, out: &mut Outbox) {
        let opened = self.opened.as_ref();
        let names = opened.map(|opened| self.face.hub.prepared(&opened.grant)).unwrap_or_default();
        let branches = names.iter().filter_map(|name| from_name(name));
        let data = branches.map(|one| Some(Box::new(Command::XaTransactionId(one)))).collect();
        let data = Some(data);
        let answer = DataArrayResponse { correlation_id, data, ..DataArrayResponse::default() };
        out.send(&Command::DataArrayResponse(answer));
    }
}
