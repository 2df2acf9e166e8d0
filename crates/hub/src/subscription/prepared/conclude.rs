//! Preparing transactions, and ending those that are prepared.
//!
//! Called through [`Transaction::prepare`] and [`Hub`]. Each runs in a task of its own, to its end
//! even when nobody waits any more.
//!
//! Invariant: nothing is read or copied before its bytes are admitted; what is read for a commit counts
//! as such until it is all there, so that publishes wait for no disk that is slow to read.

use std::sync::Arc;

use bytes::Bytes;
use outflow_model::{Draft, Grant, ProjectId, StreamId, Timestamp};
use outflow_store::{Batch, Op};
use tokio::sync::OwnedSemaphorePermit;

use super::super::transaction::{Answered, give_back, store};
use super::super::{SettleError, Transaction, TransactionError};
use super::held::{Held, Size};
use super::load::NOBODY;
use super::record::{self, Pieces};
use super::{MAX_NAME_BYTES, PreparedError, PreparedId, PreparedTransaction, Title};
use crate::catalog::scan;
use crate::hub::Inner;
use crate::{Hub, PublishError, Receipt, Stream, publish};

impl Transaction {
    /// Stores all of it, to be ended by [`Hub::commit_prepared`] or [`Hub::roll_back_prepared`];
    /// durable when this returns. Its leases are nobody's until then, whatever becomes of their
    /// consumers and of the server.
    ///
    /// # Errors
    /// [`PreparedError`]: nothing was stored, and its leases are held again.
    pub async fn prepare(mut self, name: &[u8]) -> Result<PreparedId, PreparedError> {
        if name.is_empty() || name.len() > MAX_NAME_BYTES {
            return Err(PreparedError::Name);
        }
        if !self.schedules.is_empty() {
            let reason = "schedules are not part of distributed transactions";
            return Err(TransactionError::from(PublishError::Refused(reason)).into());
        }
        let (inner, bytes) = (self.inner.clone(), self.bytes);
        let title = Title::new(&self.grant, name);
        if inner.subscriptions.prepared.title(&self.grant, name) != title {
            // There is one of this name from before names were a credential's own.
            return Err(PreparedError::Exists);
        }
        let (at, size) = (inner.clock.now(), Size::of(bytes, &self.answers));
        let id = inner.subscriptions.prepared.reserve(&title, at, size, &inner.options)?;
        let publishes = std::mem::take(&mut self.publishes);
        let answers = std::mem::take(&mut self.answers);
        let task = tokio::spawn(async move {
            let coming = Coming { title, id, at, publishes, answers, bytes };
            coming.keep(&inner).await.map(|()| id)
        });
        task.await.unwrap_or_else(|_| Err(cut()))
    }
}

fn cut() -> PreparedError {
    SettleError::Uncertain("it was cut short".into()).into()
}

/// A transaction on its way to the disk.
struct Coming {
    title: Title,
    id: PreparedId,
    at: Timestamp,
    publishes: Vec<(Arc<Stream>, Draft)>,
    answers: Vec<Answered>,
    bytes: usize,
}

impl Coming {
    async fn keep(self, inner: &Arc<Inner>) -> Result<(), PreparedError> {
        let prepared = &inner.subscriptions.prepared;
        let stored = self.store(inner).await;
        let Self { title, id, answers, bytes, .. } = self;
        let pieces = match stored {
            Ok(pieces) => pieces,
            Err(error) => {
                prepared.remove(&title, id);
                give_back(inner, answers);
                return Err(error.into());
            }
        };
        let held = Held::new(answers, pieces, bytes);
        let Err(held) = prepared.put(&title, id, held) else { return Ok(()) };
        // Its project was deleted meanwhile, unless another is there by now with one of this name,
        // whose record this then is. What is left after a crash goes at the next start.
        if prepared.find(&title).is_none() {
            let ops = record::removal(&title, held.pieces);
            if let Err(error) = inner.engine.submit(Batch { ops, ..Batch::default() }).await {
                tracing::warn!(%error, "what a deleted project had prepared could not be removed");
            }
        }
        give_back(inner, held.answers(None));
        Err(PreparedError::Unknown)
    }

    async fn store(&self, inner: &Arc<Inner>) -> Result<Pieces, TransactionError> {
        let _permit = publish::admit(inner, self.bytes).await?;
        let (ops, pieces) = self.ops();
        let commit = inner.engine.submit(Batch { ops, ..Batch::default() });
        commit.await.map_err(SettleError::from)?;
        Ok(pieces)
    }

    fn ops(&self) -> (Vec<Op>, Pieces) {
        let mut ops = Vec::new();
        let sends = self.publishes.iter();
        let sends = sends.map(|(stream, draft)| (&stream.project, &stream.name, stream.id, draft));
        let sends = record::of_sends(sends);
        let sends = record::pieces(record::SENDS, &self.title, sends, &mut ops);
        // Places of a subscription that does not last are not kept either.
        let lasting = self.answers.iter().filter(|one| one.subscription.is_durable());
        let with_streams: Vec<(&Answered, StreamId)> = lasting
            .filter_map(|one| {
                let queue = one.subscription.queue.lock();
                Some((one, queue.feed(one.leased.feed)?.stream.id))
            })
            .collect();
        let head = record::of_answers(self.at, self.bytes, sends, &with_streams);
        let heads = record::pieces(record::PREPARED, &self.title, head, &mut ops);
        (ops, Pieces { heads, sends })
    }
}

impl Hub {
    /// The names of the transactions that this credential has prepared, in order; with them those that
    /// an older version kept for all credentials of its project, where it may use every destination.
    #[must_use]
    pub fn prepared(&self, grant: &Grant) -> Vec<Bytes> {
        let names = self.inner().subscriptions.prepared.names(grant);
        names.iter().filter_map(|name| bytes_of(name)).collect()
    }

    /// The preparation of this name, be it that it waits or is just being ended.
    #[must_use]
    pub fn find_prepared(&self, grant: &Grant, name: &[u8]) -> Option<PreparedId> {
        let prepared = &self.inner().subscriptions.prepared;
        prepared.find(&prepared.title(grant, name))
    }

    /// Commits a prepared transaction, in one batch; durable when this returns. Events for streams
    /// that are gone meanwhile are not stored.
    ///
    /// # Errors
    /// [`PreparedError`]: nothing was done, and it still is prepared; also when the credential may
    /// no longer do what it has prepared.
    pub async fn commit_prepared(
        &self,
        grant: &Grant,
        name: &[u8],
    ) -> Result<Vec<Receipt>, PreparedError> {
        let title = self.inner().subscriptions.prepared.title(grant, name);
        let ending = Ending::begin(self.inner(), title)?;
        let (inner, grant) = (self.inner().clone(), grant.clone());
        let task = tokio::spawn(async move { ending.commit(&inner, Some(&grant)).await });
        task.await.unwrap_or_else(|_| Err(cut()))
    }

    /// Rolls a prepared transaction back; durable when this returns. Where this is the preparation
    /// `own`, its leases are held again by those consumers that are still there; all other events go
    /// back to their places, for nobody would tell their consumers.
    ///
    /// # Errors
    /// [`PreparedError`]: nothing was done, and it still is prepared.
    pub async fn roll_back_prepared(
        &self,
        grant: &Grant,
        name: &[u8],
        own: Option<PreparedId>,
    ) -> Result<(), PreparedError> {
        let title = self.inner().subscriptions.prepared.title(grant, name);
        let ending = Ending::begin(self.inner(), title)?;
        let inner = self.inner().clone();
        let task = tokio::spawn(async move { ending.roll_back(&inner, own).await });
        task.await.unwrap_or_else(|_| Err(cut()))
    }

    /// All prepared transactions of a project, for who manages it.
    #[must_use]
    pub fn prepared_of(&self, project: &ProjectId) -> Vec<PreparedTransaction> {
        self.inner().subscriptions.prepared.of_project(project)
    }

    /// Ends a prepared transaction of a project, whosever it is: for who manages the project, where
    /// its own transaction manager cannot. `name` is in hexadecimal.
    ///
    /// # Errors
    /// [`PreparedError`]: nothing was done, and it still is prepared.
    pub async fn end_prepared(
        &self,
        project: &ProjectId,
        credential: &str,
        name: &str,
        commits: bool,
    ) -> Result<(), PreparedError> {
        let (credential, name) = (credential.to_owned(), name.to_ascii_lowercase());
        let title = Title { project: project.to_string(), credential, name };
        let ending = Ending::begin(self.inner(), title)?;
        let inner = self.inner().clone();
        let task = tokio::spawn(async move {
            if commits {
                ending.commit(&inner, None).await.map(drop)
            } else {
                ending.roll_back(&inner, None).await
            }
        });
        task.await.unwrap_or_else(|_| Err(cut()))
    }
}

/// The bytes of a name in hexadecimal.
fn bytes_of(name: &str) -> Option<Bytes> {
    let (pairs, _) = name.as_bytes().as_chunks::<2>();
    let byte = |pair: &[u8; 2]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    pairs.iter().map(byte).collect::<Option<Vec<u8>>>().map(Bytes::from)
}

/// A prepared transaction that is being ended.
struct Ending {
    title: Title,
    id: PreparedId,
    held: Held,
}

impl Ending {
    fn begin(inner: &Inner, title: Title) -> Result<Self, PreparedError> {
        let (id, held) = inner.subscriptions.prepared.begin(&title)?;
        Ok(Self { title, id, held })
    }

    /// Commits it, if the holder of `grant` may; without one the caller has seen to that.
    async fn commit(
        self,
        inner: &Arc<Inner>,
        grant: Option<&Grant>,
    ) -> Result<Vec<Receipt>, PreparedError> {
        let (publishes, reading) = match self.read(inner, grant).await {
            Ok(read) => read,
            Err(error) => {
                self.stays(inner);
                return Err(error.into());
            }
        };
        let Self { title, id, held } = self;
        let (pieces, bytes) = (held.pieces, held.bytes);
        let ops = record::removal(&title, pieces);
        let prepared = &inner.subscriptions.prepared;
        match store(inner, publishes, held.answers(None), ops, reading).await {
            Ok(receipts) => {
                prepared.remove(&title, id);
                Ok(receipts)
            }
            Err((error, answers)) => {
                Self { title, id, held: Held::new(answers, pieces, bytes) }.stays(inner);
                Err(error.into())
            }
        }
    }

    /// What it publishes, once it and its dead letters may be read, and `grant` was looked at.
    async fn read(
        &self,
        inner: &Inner,
        grant: Option<&Grant>,
    ) -> Result<(Vec<(Arc<Stream>, Draft)>, OwnedSemaphorePermit), TransactionError> {
        // Dead letters that its queues were given later may be more than there is room for: they are
        // refused as they are counted for the read.
        let bytes = self.held.bytes + self.held.dead_bytes();
        let reading = publish::admit_reading(inner, bytes.min(inner.options.room())).await?;
        let publishes = sends(inner, &self.title).await?;
        if let Some(grant) = grant {
            for (stream, _) in &publishes {
                publish::may_publish(grant, stream)?;
            }
            for subscription in self.held.subscriptions() {
                let may = inner.may_consume(grant, &subscription);
                may.map_err(|_| SettleError::Forbidden)?;
            }
        }
        Ok((publishes, reading))
    }

    async fn roll_back(
        self,
        inner: &Arc<Inner>,
        own: Option<PreparedId>,
    ) -> Result<(), PreparedError> {
        let ops = record::removal(&self.title, self.held.pieces);
        if let Err(error) = inner.engine.submit(Batch { ops, ..Batch::default() }).await {
            self.stays(inner);
            return Err(SettleError::from(error).into());
        }
        let Self { title, id, held } = self;
        inner.subscriptions.prepared.remove(&title, id);
        let hand = (own != Some(id)).then_some(NOBODY);
        give_back(inner, held.answers(hand));
        Ok(())
    }

    /// It was not ended.
    fn stays(self, inner: &Inner) {
        // That its project was deleted meanwhile leaves nothing to be kept.
        drop(inner.subscriptions.prepared.put(&self.title, self.id, self.held));
    }
}

/// What a prepared transaction publishes.
async fn sends(inner: &Inner, title: &Title) -> Result<Vec<(Arc<Stream>, Draft)>, PublishError> {
    let unavailable = |reason: String| PublishError::Unavailable(reason);
    let prefix = record::sends_prefix(title);
    let pieces = scan(&*inner.engine, &prefix).await.map_err(|e| unavailable(e.to_string()))?;
    let mut bytes = Vec::with_capacity(pieces.iter().map(|piece| piece.value.len()).sum());
    pieces.into_iter().for_each(|piece| bytes.extend_from_slice(&piece.value));
    let sends = record::sends(&bytes)
        .ok_or_else(|| unavailable("a prepared transaction cannot be read".into()))?;
    drop(bytes);
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
