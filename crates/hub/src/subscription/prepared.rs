//! Prepared transactions: on the disk with all that they publish and answer, and neither done nor
//! undone until they are told to be, by whoever knows their name, also after a restart.
//!
//! Called by faces through [`Transaction::prepare`] and [`Hub`]. A name belongs to a project, or to
//! a credential of it that is kept to destinations: nobody else sees or ends it.
//!
//! Invariants: a transaction is stored before its preparation is answered, and it ends in one batch:
//! what it publishes, the places of what it answers, and the removal of its record. The events it
//! answers are set apart until then, over restarts as well. What it publishes is on the disk only.

mod record;

use std::collections::BTreeMap;
use std::collections::btree_map::Entry as Slot;
use std::sync::Arc;

use bytes::Bytes;
use outflow_model::{Draft, ErrorCode, Grant, ProjectId, StreamId};
use outflow_store::{Batch, Engine, Op};
use parking_lot::Mutex;

use super::apart::Apart;
use super::directory::Directory;
use super::entry::Entry;
use super::hand::Leased;
use super::transaction::{Answered, give_back, store};
use super::{Settle, SettleError, Subscription, SubscriptionId, Transaction, TransactionError};
use crate::catalog::scan;
use crate::hub::Inner;
use crate::{Hub, OpenError, PublishError, Receipt, Stream, publish};

/// The longest name, in bytes: a distributed transaction's id has two parts of 64 and a number.
pub const MAX_NAME_BYTES: usize = 136;
/// How many one project or credential may have.
const MAX_PREPARED: usize = 1_000;
/// The consumer of events that were answered before a restart: none has this number.
const NOBODY: u64 = u64::MAX;

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
            Self::TooMany { .. } => ErrorCode::TooLarge,
            Self::Transaction(error) => error.code(),
        }
    }
}

impl From<SettleError> for PreparedError {
    fn from(error: SettleError) -> Self {
        Self::Transaction(error.into())
    }
}

/// Whose it is and what it is called, the latter in hexadecimal.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Title {
    space: String,
    name: String,
}

impl Title {
    fn new(grant: &Grant, name: &[u8]) -> Self {
        let name = name.iter().map(|byte| format!("{byte:02x}")).collect();
        Self { space: space(grant), name }
    }
}

/// The space of a grant's names: `project/` and, where it is kept to destinations, `credential/`.
fn space(grant: &Grant) -> String {
    let project = grant.project.as_ref().map_or("", ProjectId::as_str);
    let credential = grant.destinations.as_ref().map_or("", |_| grant.credential.as_str());
    format!("{project}/{credential}/")
}

/// One that is prepared.
struct Held {
    answers: Vec<Answered>,
    /// How many pieces its record has.
    heads: u32,
    sends: u32,
}

/// All of them; `None` while one is being prepared or ended.
#[derive(Default)]
pub(crate) struct Prepared(Mutex<BTreeMap<Title, Option<Held>>>);

impl Prepared {
    /// Reads all that were prepared before, and sets apart what they answer.
    pub(crate) async fn load(
        engine: &dyn Engine,
        directory: &Directory,
    ) -> Result<Self, OpenError> {
        let mut heads: BTreeMap<Title, (Vec<u8>, u32)> = BTreeMap::new();
        for entry in scan(engine, record::PREPARED).await? {
            let (space, name, _) = record::parse_key(&entry.key)
                .ok_or_else(|| OpenError::Corrupt(format!("{:?}: unknown key", entry.key)))?;
            let title = Title { space: space.to_owned(), name: name.to_owned() };
            let (bytes, count) = heads.entry(title).or_default();
            bytes.extend_from_slice(&entry.value);
            *count += 1;
        }
        let all = directory.all();
        let known: BTreeMap<SubscriptionId, &Arc<Subscription>> =
            all.iter().map(|one| (one.id(), one)).collect();
        let mut prepared = BTreeMap::new();
        for (title, (bytes, heads)) in heads {
            let head = record::head(&bytes).ok_or_else(|| {
                OpenError::Corrupt(format!("prepared transaction {}: unknown form", title.name))
            })?;
            let answers = head.answers.into_iter().filter_map(|kept| {
                let subscription = known.get(&kept.subscription)?;
                set_apart(subscription, kept.stream, kept.entry, kept.answer)
            });
            let held = Held { answers: answers.collect(), heads, sends: head.sends };
            prepared.insert(title, Some(held));
        }
        if !prepared.is_empty() {
            tracing::info!(count = prepared.len(), "prepared transactions wait for their outcome");
        }
        Ok(Self(Mutex::new(prepared)))
    }

    /// Makes room for one that is to be prepared.
    fn reserve(&self, title: &Title) -> Result<(), PreparedError> {
        let mut all = self.0.lock();
        if all.contains_key(title) {
            return Err(PreparedError::Exists);
        }
        if all.keys().filter(|one| one.space == title.space).count() >= MAX_PREPARED {
            return Err(PreparedError::TooMany { max: MAX_PREPARED });
        }
        all.insert(title.clone(), None);
        Ok(())
    }

    /// Takes one out, to be ended.
    fn begin(&self, title: &Title) -> Result<Held, PreparedError> {
        match self.0.lock().entry(title.clone()) {
            Slot::Vacant(_) => Err(PreparedError::Unknown),
            Slot::Occupied(mut slot) => slot.get_mut().take().ok_or(PreparedError::Busy),
        }
    }

    /// It is prepared, or still is.
    fn put(&self, title: Title, held: Held) {
        self.0.lock().insert(title, Some(held));
    }

    /// It is no more.
    fn remove(&self, title: &Title) {
        self.0.lock().remove(title);
    }

    /// What is to be stored with the deletion of a project.
    pub(crate) fn project_ending(&self, project: &ProjectId) -> Vec<Op> {
        let all = self.0.lock();
        let own = all.iter().filter(|(title, _)| title.is_of(project));
        let held = own.filter_map(|(title, held)| Some((title, held.as_ref()?)));
        held.flat_map(|(title, held)| held.removal(title)).collect()
    }

    /// A project was deleted, and its transactions with it.
    pub(crate) fn project_ended(&self, project: &ProjectId) {
        self.0.lock().retain(|title, _| !title.is_of(project));
    }
}

impl std::fmt::Debug for Prepared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Prepared({})", self.0.lock().len())
    }
}

impl Title {
    fn is_of(&self, project: &ProjectId) -> bool {
        self.space.strip_prefix(project.as_str()).is_some_and(|rest| rest.starts_with('/'))
    }
}

impl Held {
    fn removal(&self, title: &Title) -> Vec<Op> {
        record::removal(&title.space, &title.name, self.heads, self.sends)
    }
}

/// Sets an event apart that was answered before a restart; `None`: it is no longer there.
fn set_apart(
    subscription: &Arc<Subscription>,
    stream: StreamId,
    entry: Entry,
    answer: Settle,
) -> Option<Answered> {
    let mut queue = subscription.queue.lock();
    let feed = queue.feeds.iter_mut().find(|feed| feed.stream.id == stream)?;
    if feed.place.is_done(entry.offset) {
        return None;
    }
    let key = feed.key;
    feed.apart.insert(entry.offset, (entry.clone(), Apart::Settling));
    drop(queue);
    let leased =
        Leased { lease: 0, feed: key, entry: Some(entry), deadline: None, was_extended: false };
    Some(Answered { subscription: subscription.clone(), hand: NOBODY, answer, leased })
}

impl Transaction {
    /// Stores all of it, to be ended by [`Hub::commit_prepared`] or [`Hub::roll_back_prepared`];
    /// durable when this returns. Its leases are nobody's until then, whatever becomes of their
    /// consumers and of the server.
    ///
    /// # Errors
    /// [`PreparedError`]: nothing was stored, and its leases are held again.
    pub async fn prepare(mut self, name: &[u8]) -> Result<(), PreparedError> {
        if name.is_empty() || name.len() > MAX_NAME_BYTES {
            return Err(PreparedError::Name);
        }
        let title = Title::new(&self.grant, name);
        self.inner.subscriptions.prepared.reserve(&title)?;
        let (inner, bytes) = (self.inner.clone(), self.bytes);
        let publishes = std::mem::take(&mut self.publishes);
        let answers = std::mem::take(&mut self.answers);
        // To the end, even when nobody waits any more.
        let task =
            tokio::spawn(async move { keep(&inner, title, publishes, answers, bytes).await });
        task.await.unwrap_or_else(|_| Err(cut()))
    }
}

fn cut() -> PreparedError {
    SettleError::Uncertain("it was cut short".into()).into()
}

async fn keep(
    inner: &Arc<Inner>,
    title: Title,
    publishes: Vec<(Arc<Stream>, Draft)>,
    answers: Vec<Answered>,
    bytes: usize,
) -> Result<(), PreparedError> {
    let (ops, heads, sends) = ops_of(&title, &publishes, &answers);
    drop(publishes);
    let stored = match publish::admit(inner, bytes).await {
        Ok(_permit) => {
            let commit = inner.engine.submit(Batch { ops, ..Batch::default() }).await;
            commit.map_err(|error| SettleError::from(error).into())
        }
        Err(error) => Err(TransactionError::from(error)),
    };
    if let Err(error) = stored {
        inner.subscriptions.prepared.remove(&title);
        give_back(inner, answers);
        return Err(error.into());
    }
    inner.subscriptions.prepared.put(title, Held { answers, heads, sends });
    Ok(())
}

/// What stores a transaction, and in how many pieces its answers and its publishes are.
fn ops_of(
    title: &Title,
    publishes: &[(Arc<Stream>, Draft)],
    answers: &[Answered],
) -> (Vec<Op>, u32, u32) {
    let Title { space, name } = title;
    let mut ops = Vec::new();
    let sends = publishes.iter();
    let sends = sends.map(|(stream, draft)| (&stream.project, &stream.name, stream.id, draft));
    let sends = record::pieces(record::SENDS, space, name, record::of_sends(sends), &mut ops);
    // Places of a subscription that does not last are not kept either.
    let lasting = answers.iter().filter(|one| one.subscription.is_durable());
    let with_streams: Vec<(&Answered, StreamId)> = lasting
        .filter_map(|one| {
            let queue = one.subscription.queue.lock();
            Some((one, queue.feed(one.leased.feed)?.stream.id))
        })
        .collect();
    let head = record::of_answers(sends, &with_streams);
    let heads = record::pieces(record::PREPARED, space, name, head, &mut ops);
    (ops, heads, sends)
}

impl Hub {
    /// The names of the transactions that are prepared for this grant, in order.
    #[must_use]
    pub fn prepared(&self, grant: &Grant) -> Vec<Bytes> {
        let space = space(grant);
        let all = self.inner().subscriptions.prepared.0.lock();
        let own = all.iter().filter(|(title, held)| title.space == space && held.is_some());
        own.filter_map(|(title, _)| bytes_of(&title.name)).collect()
    }

    /// Whether a transaction of this name is prepared for this grant, or being ended.
    #[must_use]
    pub fn is_prepared(&self, grant: &Grant, name: &[u8]) -> bool {
        self.inner().subscriptions.prepared.0.lock().contains_key(&Title::new(grant, name))
    }

    /// Commits a prepared transaction, in one batch; durable when this returns. Events for streams
    /// that are gone meanwhile are not stored.
    ///
    /// # Errors
    /// [`PreparedError`]: nothing was done, and it still is prepared.
    pub async fn commit_prepared(
        &self,
        grant: &Grant,
        name: &[u8],
    ) -> Result<Vec<Receipt>, PreparedError> {
        let title = Title::new(grant, name);
        let held = self.inner().subscriptions.prepared.begin(&title)?;
        let inner = self.inner().clone();
        let task = tokio::spawn(async move { commit(&inner, title, held).await });
        task.await.unwrap_or_else(|_| Err(cut()))
    }

    /// Rolls a prepared transaction back; durable when this returns. Its leases are held again by
    /// those consumers that are still there; all other events go back to their places.
    ///
    /// # Errors
    /// [`PreparedError`]: nothing was done, and it still is prepared.
    pub async fn roll_back_prepared(
        &self,
        grant: &Grant,
        name: &[u8],
    ) -> Result<(), PreparedError> {
        let title = Title::new(grant, name);
        let held = self.inner().subscriptions.prepared.begin(&title)?;
        let inner = self.inner().clone();
        let task = tokio::spawn(async move { roll_back(&inner, title, held).await });
        task.await.unwrap_or_else(|_| Err(cut()))
    }
}

/// The bytes of a name in hexadecimal.
fn bytes_of(name: &str) -> Option<Bytes> {
    let (pairs, _) = name.as_bytes().as_chunks::<2>();
    let byte = |pair: &[u8; 2]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    pairs.iter().map(byte).collect::<Option<Vec<u8>>>().map(Bytes::from)
}

async fn commit(
    inner: &Arc<Inner>,
    title: Title,
    mut held: Held,
) -> Result<Vec<Receipt>, PreparedError> {
    let prepared = &inner.subscriptions.prepared;
    let publishes = match sends(inner, &title).await {
        Ok(publishes) => publishes,
        Err(error) => {
            prepared.put(title, held);
            return Err(TransactionError::from(error).into());
        }
    };
    let answers = std::mem::take(&mut held.answers);
    match store(inner, publishes, answers, held.removal(&title)).await {
        Ok(receipts) => {
            prepared.remove(&title);
            Ok(receipts)
        }
        Err((error, answers)) => {
            prepared.put(title, Held { answers, ..held });
            Err(error.into())
        }
    }
}

/// What a prepared transaction publishes.
async fn sends(inner: &Inner, title: &Title) -> Result<Vec<(Arc<Stream>, Draft)>, PublishError> {
    let unavailable = |reason: String| PublishError::Unavailable(reason);
    let prefix = record::sends_prefix(&title.space, &title.name);
    let pieces = scan(&*inner.engine, &prefix).await.map_err(|e| unavailable(e.to_string()))?;
    let bytes: Vec<u8> = pieces.iter().flat_map(|piece| piece.value.iter().copied()).collect();
    let sends = record::sends(&bytes)
        .ok_or_else(|| unavailable("a prepared transaction cannot be read".into()))?;
    let catalog = inner.catalog.read();
    let found = sends.into_iter().filter_map(|send| {
        let stream = catalog.stream(&send.project, &send.stream);
        let stream = stream.filter(|stream| stream.id == send.id);
        if stream.is_none() {
            tracing::warn!(stream = %send.stream, project = %send.project, "a stream of a prepared transaction is gone, and its events with it");
        }
        Some((stream?, send.draft))
    });
    Ok(found.collect())
}

async fn roll_back(inner: &Arc<Inner>, title: Title, held: Held) -> Result<(), PreparedError> {
    let prepared = &inner.subscriptions.prepared;
    let ops = held.removal(&title);
    if let Err(error) = inner.engine.submit(Batch { ops, ..Batch::default() }).await {
        prepared.put(title, held);
        return Err(SettleError::from(error).into());
    }
    prepared.remove(&title);
    give_back(inner, held.answers);
    Ok(())
}
