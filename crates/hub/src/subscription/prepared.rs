//! Prepared transactions: on the disk with all that they publish and answer, and neither done nor
//! undone until they are told to be, also after a restart.
//!
//! Called by faces through [`Transaction::prepare`](super::Transaction::prepare) and by faces and the
//! administration through [`Hub`](crate::Hub). A name belongs to the credential that prepared it: no
//! other sees or ends it, but for those who manage its project. `conclude` stores and ends them,
//! `held` is what memory has of one, `record` what the disk has, `load` brings them back.
//!
//! Invariants: a transaction is stored before its preparation is answered, and it ends in one batch:
//! what it publishes, the places of what it answers, and the removal of its record. The events it
//! answers are set apart until then, over restarts as well. What it publishes is on the disk only.
//! What the prepared ones of a credential and of a project hold is bounded.

mod conclude;
mod held;
mod load;
mod record;

use std::collections::btree_map::Entry as Slot;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use outflow_model::{ErrorCode, Grant, ProjectId, Timestamp};
use outflow_store::Op;
use parking_lot::Mutex;

use super::{SettleError, TransactionError};
use crate::Options;
use held::{Held, Size};
pub(crate) use record::{put_text, take_text};

/// The longest name, in bytes: a distributed transaction's id has two parts of 64 and a number.
pub const MAX_NAME_BYTES: usize = 136;
/// How many one credential may have.
const MAX_PREPARED: usize = 1_000;
/// How many events those of a credential may answer together: about 200 bytes of memory each.
const MAX_ANSWERS: usize = 100_000;
/// How many times what one transaction may publish those of a credential may, together.
const MAX_FULL: usize = 16;
/// How many times what one credential may have a project may.
const CREDENTIALS: usize = 10;

/// Why a transaction was not prepared, or not ended.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PreparedError {
    /// There is none of this name.
    #[error("no transaction of this name is prepared")]
    Unknown,
    /// There is one of this name already.
    #[error("a transaction of this name is prepared already")]
    Exists,
    /// It is being prepared or ended just now.
    #[error("the transaction is being ended")]
    Busy,
    /// The name is too long.
    #[error("the name of a prepared transaction has 1 to {MAX_NAME_BYTES} bytes")]
    Name,
    /// There may be no more.
    #[error("there may be at most {max} prepared transactions")]
    TooMany {
        /// The limit.
        max: usize,
    },
    /// Those that are prepared hold too much.
    #[error(
        "prepared transactions may hold at most {bytes} bytes of events and {answers} answers together"
    )]
    TooMuch {
        /// How many bytes they may publish.
        bytes: usize,
        /// How many events they may answer.
        answers: usize,
    },
    /// It could not be stored. It is as it was before.
    #[error(transparent)]
    Transaction(#[from] TransactionError),
}

impl PreparedError {
    /// The class of the failure, for the faces' tables.
    #[must_use]
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::Unknown => ErrorCode::NotFound,
            Self::Exists | Self::Busy => ErrorCode::Conflict,
            Self::Name => ErrorCode::Malformed,
            Self::TooMany { .. } | Self::TooMuch { .. } => ErrorCode::TooLarge,
            Self::Transaction(error) => error.code(),
        }
    }
}

impl From<SettleError> for PreparedError {
    fn from(error: SettleError) -> Self {
        Self::Transaction(error.into())
    }
}

/// One preparation: that of another transaction of the same name has another number.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PreparedId(u64);

/// A prepared transaction, as those who manage its project see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PreparedTransaction {
    /// The credential that prepared it; empty where an older version did not note it.
    pub credential: String,
    /// Its name, in hexadecimal.
    pub name: String,
    /// When it was prepared; `None`: by an older version.
    pub at: Option<Timestamp>,
    /// How many events it answers.
    pub answers: usize,
    /// How many bytes of events it publishes.
    pub bytes: usize,
}

/// Whose it is and what it is called, the latter in hexadecimal.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Title {
    project: String,
    credential: String,
    name: String,
}

impl Title {
    fn new(grant: &Grant, name: &[u8]) -> Self {
        Self {
            project: grant.project.as_ref().map_or_else(String::new, ToString::to_string),
            credential: grant.credential.to_string(),
            name: name.iter().map(|byte| format!("{byte:02x}")).collect(),
        }
    }

    /// That of the time when all credentials that may use every destination shared a project's names;
    /// `None`: this one never did.
    fn shared(grant: &Grant, name: &[u8]) -> Option<Self> {
        let own = Self::new(grant, name);
        grant.destinations.is_none().then(|| Self { credential: String::new(), ..own })
    }

    /// What its record's keys begin with, behind their prefix.
    fn path(&self) -> String {
        format!("{}/{}/{}/", self.project, self.credential, self.name)
    }

    /// Whose limits it counts against.
    fn spaces(&self) -> [String; 2] {
        [self.project.clone(), format!("{}/{}", self.project, self.credential)]
    }
}

/// How it stands with one.
#[derive(Debug)]
enum State {
    /// It is on its way to the disk; perhaps its project is deleted before it is there.
    Coming { is_doomed: bool },
    /// It waits for its end.
    Waiting(Held),
    /// It is being ended; it has so many pieces on the disk.
    Ending(record::Pieces),
}

/// What is known of one.
#[derive(Debug)]
struct One {
    id: PreparedId,
    at: Option<Timestamp>,
    size: Size,
    state: State,
}

/// What those of a credential, or of a project, come to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Total {
    count: usize,
    size: Size,
}

#[derive(Debug, Default)]
struct Table {
    all: BTreeMap<Title, One>,
    totals: HashMap<String, Total>,
    next: u64,
}

/// All of them.
#[derive(Debug, Default)]
pub(crate) struct Prepared(Mutex<Table>);

impl Table {
    /// Whether there is room for one of this size.
    fn check(&self, title: &Title, size: Size, options: &Options) -> Result<(), PreparedError> {
        let most = options.max_transaction_bytes.saturating_mul(MAX_FULL);
        for (space, times) in title.spaces().iter().zip([CREDENTIALS, 1]) {
            let total = self.totals.get(space).copied().unwrap_or_default();
            let (max, answers) = (MAX_PREPARED * times, MAX_ANSWERS * times);
            let bytes = most.saturating_mul(times);
            if total.count >= max {
                return Err(PreparedError::TooMany { max });
            }
            if total.size.answers + size.answers > answers || total.size.bytes + size.bytes > bytes
            {
                return Err(PreparedError::TooMuch { bytes, answers });
            }
        }
        Ok(())
    }

    fn add(&mut self, title: Title, at: Option<Timestamp>, size: Size, state: State) -> PreparedId {
        for space in title.spaces() {
            let total = self.totals.entry(space).or_default();
            total.count += 1;
            total.size = total.size.plus(size);
        }
        let id = PreparedId(self.next);
        self.next += 1;
        self.all.insert(title, One { id, at, size, state });
        id
    }

    fn remove(&mut self, title: &Title) {
        let Some(one) = self.all.remove(title) else { return };
        for space in title.spaces() {
            let Some(total) = self.totals.get_mut(&space) else { continue };
            total.count -= 1;
            total.size = total.size.minus(one.size);
            if total.count == 0 {
                self.totals.remove(&space);
            }
        }
    }
}

impl Prepared {
    /// Makes room for one that is to be prepared.
    fn reserve(
        &self,
        title: &Title,
        at: Timestamp,
        size: Size,
        options: &Options,
    ) -> Result<PreparedId, PreparedError> {
        let mut table = self.0.lock();
        if table.all.contains_key(title) {
            return Err(PreparedError::Exists);
        }
        table.check(title, size, options)?;
        Ok(table.add(title.clone(), Some(at), size, State::Coming { is_doomed: false }))
    }

    /// One that was stored before the start.
    fn loaded(&self, title: Title, at: Option<Timestamp>, size: Size, held: Held) {
        self.0.lock().add(title, at, size, State::Waiting(held));
    }

    /// Takes one out, to be ended.
    fn begin(&self, title: &Title) -> Result<(PreparedId, Held), PreparedError> {
        let mut table = self.0.lock();
        let Slot::Occupied(mut slot) = table.all.entry(title.clone()) else {
            return Err(PreparedError::Unknown);
        };
        let one = slot.get_mut();
        let State::Waiting(held) = &one.state else { return Err(PreparedError::Busy) };
        let ending = State::Ending(held.pieces);
        match std::mem::replace(&mut one.state, ending) {
            State::Waiting(held) => Ok((one.id, held)),
            State::Coming { .. } | State::Ending(_) => Err(PreparedError::Busy),
        }
    }

    /// It is prepared, or still is; gives it back where its project was deleted meanwhile.
    fn put(&self, title: &Title, id: PreparedId, held: Held) -> Result<(), Held> {
        let mut table = self.0.lock();
        match table.all.get_mut(title).filter(|one| one.id == id) {
            Some(one) if matches!(one.state, State::Coming { is_doomed: true }) => {
                table.remove(title);
                Err(held)
            }
            Some(one) => {
                one.state = State::Waiting(held);
                Ok(())
            }
            None => Err(held),
        }
    }

    /// It is no more.
    fn remove(&self, title: &Title, id: PreparedId) {
        let mut table = self.0.lock();
        if table.all.get(title).is_some_and(|one| one.id == id) {
            table.remove(title);
        }
    }

    /// Whether one of this name is prepared, or being prepared or ended.
    fn find(&self, title: &Title) -> Option<PreparedId> {
        self.0.lock().all.get(title).map(|one| one.id)
    }

    /// The title of what a credential calls so: where it has none of this name, of one from before
    /// names were its own, which only its transaction manager can tell the outcome of.
    fn title(&self, grant: &Grant, name: &[u8]) -> Title {
        let own = Title::new(grant, name);
        let table = self.0.lock();
        let shared = Title::shared(grant, name).filter(|_| !table.all.contains_key(&own));
        shared.filter(|shared| table.all.contains_key(shared)).unwrap_or(own)
    }

    /// The names that a credential may end and that wait for their end, in order.
    fn names(&self, grant: &Grant) -> Vec<String> {
        let table = self.0.lock();
        let firsts = [Some(Title::new(grant, &[])), Title::shared(grant, &[])];
        let of = |first: Title| {
            let own = table.all.range(first.clone()..).take_while(move |(title, _)| {
                title.project == first.project && title.credential == first.credential
            });
            own.filter(|(_, one)| matches!(one.state, State::Waiting(_)))
        };
        let names = firsts.into_iter().flatten().flat_map(of).map(|(title, _)| title.name.clone());
        names.collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// Those of a project, in order.
    fn of_project(&self, project: &ProjectId) -> Vec<PreparedTransaction> {
        let show = |(title, one): (&Title, &One)| PreparedTransaction {
            credential: title.credential.clone(),
            name: title.name.clone(),
            at: one.at,
            answers: one.size.answers,
            bytes: one.size.bytes,
        };
        self.0
            .lock()
            .all
            .iter()
            .filter(|(title, _)| title.project == project.as_str())
            .map(show)
            .collect()
    }

    /// What is to be stored with the deletion of a project. One that is on its way to the disk sees
    /// to itself when it has come there.
    pub(crate) fn project_ending(&self, project: &ProjectId) -> Vec<Op> {
        let mut table = self.0.lock();
        let own = table.all.iter_mut().filter(|(title, _)| title.project == project.as_str());
        own.flat_map(|(title, one)| match &mut one.state {
            State::Coming { is_doomed } => {
                *is_doomed = true;
                Vec::new()
            }
            State::Waiting(held) => record::removal(title, held.pieces),
            State::Ending(pieces) => record::removal(title, *pieces),
        })
        .collect()
    }

    /// A project was not deleted after all: what is on its way to the disk is kept.
    pub(crate) fn project_stays(&self, project: &ProjectId) {
        let mut table = self.0.lock();
        for (_, one) in table.all.iter_mut().filter(|(title, _)| title.project == project.as_str())
        {
            if let State::Coming { is_doomed } = &mut one.state {
                *is_doomed = false;
            }
        }
    }

    /// A project was deleted, and its transactions with it.
    pub(crate) fn project_ended(&self, project: &ProjectId) {
        let mut table = self.0.lock();
        let own = table.all.keys().filter(|title| title.project == project.as_str());
        let own: Vec<Title> = own.cloned().collect();
        own.iter().for_each(|title| table.remove(title));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn title(project: &str, credential: &str, number: usize) -> Title {
        let (project, credential) = (project.to_owned(), credential.to_owned());
        Title { project, credential, name: format!("{number:04x}") }
    }

    #[test]
    fn what_credentials_and_projects_have_prepared_is_bounded() {
        let (prepared, options) = (Prepared::default(), Options::default());
        let reserve = |title: &Title, answers, bytes| {
            let size = Size { answers, bytes };
            prepared.reserve(title, Timestamp::default(), size, &options)
        };
        let most = options.max_transaction_bytes * MAX_FULL;
        let first = reserve(&title("p", "a", 0), MAX_ANSWERS - 1, most).unwrap();
        let too_much = PreparedError::TooMuch { bytes: most, answers: MAX_ANSWERS };
        assert_eq!(reserve(&title("p", "a", 1), 2, 0), Err(too_much.clone()));
        assert_eq!(reserve(&title("p", "a", 1), 0, 1), Err(too_much));
        reserve(&title("p", "a", 1), 1, 0).unwrap();
        for credential in 1..CREDENTIALS {
            reserve(&title("p", &credential.to_string(), 0), MAX_ANSWERS, most).unwrap();
        }
        let all = reserve(&title("p", "b", 0), 1, 0).unwrap_err();
        assert!(matches!(all, PreparedError::TooMuch { answers: 1_000_000, .. }), "{all:?}");
        reserve(&title("q", "b", 0), MAX_ANSWERS, most).unwrap();
        prepared.remove(&title("p", "a", 0), first);
        reserve(&title("p", "b", 0), MAX_ANSWERS - 1, most).unwrap();
        for number in 0..MAX_PREPARED {
            reserve(&title("r", "a", number), 0, 0).unwrap();
        }
        let many = reserve(&title("r", "a", MAX_PREPARED), 0, 0);
        assert_eq!(many, Err(PreparedError::TooMany { max: MAX_PREPARED }));
    }
}
