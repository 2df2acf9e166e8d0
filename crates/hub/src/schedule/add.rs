//! Beginning schedules, by themselves or with a transaction.
//!
//! Called by [`Hub`], by transactions, and by `firing` for the series of a cron entry.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use outflow_model::{Draft, Grant, Timestamp};
use outflow_store::{Batch, Op};

use super::table::{One, Title};
use super::{Recurrence, record};
use crate::hub::Inner;
use crate::publish::{self, Publishing, Receipt};
use crate::subscription::entry::NEVER;
use crate::subscription::headers;
use crate::{Hub, PublishError, Stream};

/// A schedule on its way to the disk: it has its place among the others, and gives it back unless it
/// begins.
pub(crate) struct Coming {
    inner: Arc<Inner>,
    id: u64,
    title: Title,
    ops: Vec<Op>,
    has_begun: bool,
}

impl fmt::Debug for Coming {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Coming({:016x})", self.id)
    }
}

impl Coming {
    /// One of the event of `draft`, for `stream`, which the holder of `grant` may publish to. `None`:
    /// its publisher's own id says that there is one of it already.
    ///
    /// # Errors
    /// [`PublishError`]: there may be no more, or the event is too large.
    pub(crate) fn new(
        inner: &Arc<Inner>,
        grant: &Grant,
        stream: &Stream,
        draft: &Draft,
        recurrence: Recurrence,
    ) -> Result<Option<Self>, PublishError> {
        if stream.settings.is_choosy() {
            return Err(PublishError::Keyed);
        }
        let (1, Some(meta)) = (draft.len(), draft.metas().get(0)) else {
            return Err(PublishError::Refused("a schedule is of one event"));
        };
        let now = inner.clock.now();
        let event = record::of_event(draft)
            .ok_or(PublishError::Refused("the event of a schedule has at most 512 KiB"))?;
        let due = recurrence.first(now);
        let due = due.ok_or(PublishError::Refused("the schedule has no time"))?;
        let until = headers::times(&meta, draft.lines()).until;
        let lives = (until < NEVER).then(|| until.millis().saturating_sub(now.millis()).max(0));
        let one = One {
            title: Title {
                project: stream.project.clone(),
                credential: grant.credential.to_string(),
            },
            stream: stream.id,
            name: stream.name.clone(),
            due,
            recurrence,
            lives,
            bytes: event.len(),
        };
        // Half of its hash tells ids apart as well as a number drawn by lot; a message to several
        // destinations has one id.
        let own_id = meta.id_hash as u64 ^ u64::from(stream.id.0) << 32;
        let wanted = draft.has_own_id(0).then_some(own_id);
        Self::reserve(inner, &one, wanted, event)
    }

    /// The series that a time of schedule `of` begins, whose event is `event`.
    pub(super) fn series(
        inner: &Arc<Inner>,
        of: &One,
        (due, recurrence): (Timestamp, Recurrence),
        event: Bytes,
    ) -> Result<Option<Self>, PublishError> {
        let one = One { due, recurrence, ..of.clone() };
        Self::reserve(inner, &one, None, event)
    }

    fn reserve(
        inner: &Arc<Inner>,
        one: &One,
        wanted: Option<u64>,
        event: Bytes,
    ) -> Result<Option<Self>, PublishError> {
        let title = one.title.clone();
        let Some(id) = inner.schedules.reserve(one.clone(), wanted, &*inner.rng)? else {
            return Ok(None);
        };
        let ops = record::whole(id, one, event);
        Ok(Some(Self { inner: inner.clone(), id, title, ops, has_begun: false }))
    }

    /// What stores it; to be asked once.
    pub(crate) fn take_ops(&mut self) -> Vec<Op> {
        std::mem::take(&mut self.ops)
    }

    /// It is stored.
    pub(crate) fn begin(mut self) {
        self.has_begun = true;
        if self.inner.schedules.wait(self.id, None) {
            self.inner.subscriptions.clockwork.hurry();
            return;
        }
        // Its project was deleted meanwhile. What is left after a crash goes at the next start.
        let ops = record::removal(&self.title, self.id);
        drop(self.inner.engine.submit(Batch { ops, ..Batch::default() }));
    }
}

impl Drop for Coming {
    fn drop(&mut self) {
        if !self.has_begun {
            self.inner.schedules.remove(self.id);
        }
    }
}

impl Hub {
    /// Begins a schedule of the one event of `draft`: it is published to `stream` again and again, each
    /// time as an event of its own, with an id and a time of its own and the schedule's number in the
    /// header [`SCHEDULE_ID`](headers::SCHEDULE_ID). The future it gives resolves when that is durable;
    /// it is whether or not somebody waits. A schedule outlives its credential and ends with its
    /// stream.
    ///
    /// # Errors
    /// [`PublishError`].
    pub async fn schedule(
        &self,
        grant: &Grant,
        stream: &Stream,
        draft: Draft,
        recurrence: Recurrence,
    ) -> Result<Publishing, PublishError> {
        publish::may_publish(grant, stream)?;
        let inner = self.inner();
        let permit = publish::admit(inner, draft.bytes()).await?;
        let coming = Coming::new(inner, grant, stream, &draft, recurrence)?;
        let (mut coming, stream) = (coming, stream.id);
        // Of one that is known nothing is stored, but what stored it may be on its way.
        let ops = coming.as_mut().map(Coming::take_ops).unwrap_or_default();
        let commit = inner.engine.submit(Batch { ops, ..Batch::default() });
        let task = tokio::spawn(async move {
            let stored = commit.await;
            drop(permit);
            stored.map_err(|error| publish::refused(stream, error))?;
            coming.into_iter().for_each(Coming::begin);
            Ok(Receipt::default())
        });
        let cut = |_| Err(PublishError::Uncertain("it was cut short".into()));
        Ok(Box::pin(async move { task.await.unwrap_or_else(cut) }))
    }
}
