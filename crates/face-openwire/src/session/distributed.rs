//! Distributed (XA) transactions: branches that are prepared, and ended later by whoever knows their
//! ids (reference `activemq.md` a5, Transactions).
//!
//! Until it is prepared a branch is its connection's, as a local transaction is; from then on it is
//! the hub's, and outlives connections and restarts.
//!
//! Failures are XAExceptions. Their codes do not travel as such: clients read them at the end of the
//! message, behind [`MARKER`] (`TransactionContext.xaErrorCodeMarker` of `activemq-client`).

use std::collections::BTreeMap;
use std::ops::Bound;

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
struct Branch {
    id: PreparedId,
    acks: Vec<BoundAck>,
}

/// Those branches, by the names that the hub knows them by.
#[derive(Debug, Default)]
pub(super) struct Prepared {
    branches: BTreeMap<Vec<u8>, Branch>,
    /// The last one that was looked at.
    looked_at: Vec<u8>,
}

/// How many branches are looked at with each that is prepared: more than one, so that those which
/// others have ended do not pile up.
const LOOKS: usize = 2;

impl Prepared {
    /// The names of the next few, each in its turn.
    fn next_few(&mut self) -> Vec<Vec<u8>> {
        let behind = (Bound::Excluded(self.looked_at.as_slice()), Bound::Unbounded);
        let behind = self.branches.range::<[u8], _>(behind).map(|(name, _)| name);
        let names: Vec<Vec<u8>> = behind.chain(self.branches.keys()).take(LOOKS).cloned().collect();
        if let Some(last) = names.last() {
            self.looked_at.clone_from(last);
        }
        names
    }
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
        self.forget_ended(&name);
        let own = self.prepared.branches.get(&name).map(|one| one.id);
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
                for name in self.prepared.next_few() {
                    self.forget_ended(&name);
                }
                if !transaction.acks.is_empty() {
                    let branch = Branch { id, acks: transaction.acks };
                    self.prepared.branches.insert(name, branch);
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
                if let Some(Branch { acks, .. }) = self.prepared.branches.remove(name) {
                    self.settle_bound(&acks, commits);
                }
                Ok(())
            }
            Err(failure) if failure.about == About::Transaction => {
                self.forget_ended(name);
                Err(told(&failure, UNKNOWN))
            }
            Err(failure) => Err(told(&failure, FAILED)),
        };
        self.answer(result, asked, out)
    }

    /// Forgets the messages of a branch that another connection has ended: they are done, or with the
    /// queue again.
    fn forget_ended(&mut self, name: &[u8]) {
        let Some(branch) = self.prepared.branches.get(name) else { return };
        if self.find_prepared(name) != Some(branch.id)
            && let Some(Branch { acks, .. }) = self.prepared.branches.remove(name)
        {
            self.forget_bound(&acks);
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_branch_is_looked_at_in_its_turn() {
        let mut prepared = Prepared::default();
        assert_eq!(prepared.next_few(), Vec::<Vec<u8>>::new());
        for name in [1_u8, 2, 3, 4, 5] {
            let branch = Branch { id: PreparedId::default(), acks: Vec::new() };
            prepared.branches.insert(vec![name], branch);
        }
        let seen: Vec<u8> = (0..5).flat_map(|_| prepared.next_few()).flatten().collect();
        assert_eq!(seen, [1, 2, 3, 4, 5, 1, 2, 3, 4, 5]);
        prepared.branches.remove(&[5][..]);
        prepared.branches.remove(&[1][..]);
        assert_eq!(prepared.next_few(), [vec![2], vec![3]]);
    }
}
