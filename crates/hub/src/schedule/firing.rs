//! Publishing what is due.
//!
//! Called by the clockwork, in a task beside it: each stream's events of one moment are one batch with
//! what is left of their schedules.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use outflow_model::{Draft, StreamId, Timestamp};
use outflow_store::{Batch, Op};
use tokio::task::JoinHandle;

use super::table::{Due, One};
use super::{Coming, Recurrence, record};
use crate::hub::Inner;
use crate::subscription::headers::{DELIVER_AT, EXPIRES, MESSAGE_ID, SCHEDULE_ID};
use crate::subscription::joint::{self, Joint};
use crate::subscription::{SettleError, TransactionError};
use crate::{Hub, PublishError, Stream, publish};

/// How many bytes an event may have more than it was stored with: what says whose it is, and until
/// when it lives.
const MORE_BYTES: usize = 256;
/// After how many milliseconds one that could not be published is tried again.
const RETRY_MS: i64 = 1_000;

/// What becomes of a schedule once its batch is stored: when it is due again, unless it is over.
type Left = (u64, Option<(Timestamp, Recurrence)>);

/// Publishes what is due. Gives the task that does; `None`: nothing is.
pub(crate) fn start(inner: &Arc<Inner>, now: Timestamp) -> Option<JoinHandle<()>> {
    // Taken here: what still waits would be due again at once.
    let mut due = inner.schedules.take_due(now);
    if due.is_empty() {
        return None;
    }
    let inner = inner.clone();
    Some(tokio::spawn(async move {
        while !due.is_empty() {
            let mut by_stream: BTreeMap<StreamId, Vec<Due>> = BTreeMap::new();
            for one in due {
                by_stream.entry(one.one.stream).or_default().push(one);
            }
            for some in by_stream.into_values() {
                fire(&inner, &some, now).await;
            }
            due = inner.schedules.take_due(now);
        }
        // What comes next may come sooner than the clockwork knows of.
        inner.subscriptions.clockwork.hurry();
    }))
}

/// Publishes schedules of one stream.
async fn fire(inner: &Arc<Inner>, some: &[Due], now: Timestamp) {
    let Some(first) = some.first().map(|due| &due.one) else { return };
    let stream = inner.catalog.read().stream(&first.title.project, &first.name);
    let outcome = match stream.filter(|stream| stream.id == first.stream) {
        Some(stream) => publish(inner, &stream, some, now).await,
        None => Err(PublishError::NotFound.into()),
    };
    match outcome {
        Ok(left) => {
            for (id, left) in left {
                match left {
                    // One whose project is deleted by now is no more either way.
                    Some(left) => _ = inner.schedules.wait(id, Some(left)),
                    None => inner.schedules.remove(id),
                }
            }
        }
        Err(error) if is_final(&error) => {
            tracing::warn!(stream = %first.name, project = %first.title.project, %error, count = some.len(), "schedules are over: their events can be published no more");
            end(inner, some).await;
        }
        Err(error) => {
            tracing::warn!(stream = %first.name, project = %first.title.project, %error, "scheduled events could not be published; trying again");
            let at = inner.clock.now().plus_millis(RETRY_MS);
            some.iter().for_each(|due| inner.schedules.put_off(due.id, at));
        }
    }
}

/// Whether it would fail again, whenever it is tried.
const fn is_final(error: &TransactionError) -> bool {
    match error {
        TransactionError::Publish(error) => matches!(
            error,
            PublishError::NotFound
                | PublishError::Forbidden
                | PublishError::TooLarge { .. }
                | PublishError::Refused(_)
                | PublishError::Exhausted
                | PublishError::Keyed
                | PublishError::Ingest
        ),
        TransactionError::Settle(_) | TransactionError::TooLarge { .. } => false,
    }
}

/// Removes schedules for good.
async fn end(inner: &Arc<Inner>, some: &[Due]) {
    let ops = some.iter().flat_map(|due| record::removal(&due.one.title, due.id)).collect();
    if let Err(error) = inner.engine.submit(Batch { ops, ..Batch::default() }).await {
        // They end at the next start, as they do now.
        tracing::warn!(%error, "schedules that are over could not be removed");
    }
    some.iter().for_each(|due| inner.schedules.remove(due.id));
}

async fn publish(
    inner: &Arc<Inner>,
    stream: &Arc<Stream>,
    some: &[Due],
    now: Timestamp,
) -> Result<Vec<Left>, TransactionError> {
    let bytes: usize = some.iter().map(|due| due.one.bytes + MORE_BYTES).sum();
    let permit = publish::admit(inner, bytes.min(inner.options.room())).await?;
    let mut batch = Making::new(inner, now);
    for due in some {
        let key = record::event_key(&due.one.title, due.id);
        let found = inner.engine.get(&key).await;
        let found = found.map_err(|error| SettleError::Unavailable(error.to_string()))?;
        batch.add(due, found.map(|entry| entry.value));
    }
    let Making { draft, ops, begun, left, .. } = batch;
    let publishes = if draft.is_empty() { Vec::new() } else { vec![(stream.clone(), draft)] };
    let joint = Joint { publishes, parts: BTreeMap::new(), ops };
    joint::commit(inner, joint, permit, |_, _, _| {}).await?;
    begun.into_iter().for_each(Coming::begin);
    Ok(left)
}

/// A batch in the making.
struct Making<'a> {
    inner: &'a Arc<Inner>,
    now: Timestamp,
    draft: Draft,
    ops: Vec<Op>,
    /// The series that begin with it.
    begun: Vec<Coming>,
    left: Vec<Left>,
}

impl<'a> Making<'a> {
    fn new(inner: &'a Arc<Inner>, now: Timestamp) -> Self {
        let (draft, ops) = (Draft::default(), Vec::new());
        Self { inner, now, draft, ops, begun: Vec::new(), left: Vec::new() }
    }

    /// Adds what a schedule comes to, whose event is `stored`.
    fn add(&mut self, Due { id, one }: &Due, stored: Option<Bytes>) {
        let event = stored.as_ref().and_then(|bytes| Draft::restore(bytes));
        let (Some(event), Some(stored)) = (event, stored) else {
            tracing::warn!(
                schedule = format!("{id:016x}"),
                "the event of a schedule is gone, and the schedule with it"
            );
            self.ops.extend(record::removal(&one.title, *id));
            self.left.push((*id, None));
            return;
        };
        let turn = one.recurrence.turn(one.due, self.now);
        if turn.publishes {
            self.copy(*id, one, &event);
        }
        if let Some(series) = turn.begins {
            match Coming::series(self.inner, one, series, stored) {
                Ok(coming) => self.begun.extend(coming),
                Err(error) => {
                    tracing::warn!(schedule = format!("{id:016x}"), %error, "a time of a schedule is left out");
                }
            }
        }
        if let Some(coming) = self.begun.last_mut() {
            self.ops.extend(coming.take_ops());
        }
        match &turn.next {
            Some((due, recurrence)) => {
                let (due, recurrence) = (*due, recurrence.clone());
                self.ops.push(record::head(*id, &One { due, recurrence, ..one.clone() }));
            }
            None => self.ops.extend(record::removal(&one.title, *id)),
        }
        self.left.push((*id, turn.next));
    }

    /// Adds the event, anew.
    fn copy(&mut self, id: u64, one: &One, event: &Draft) {
        let Some(meta) = event.metas().get(0) else { return };
        let id = format!("{id:016x}");
        let until = one.lives.map(|lives| self.now.plus_millis(lives).to_string());
        let mut added = vec![(SCHEDULE_ID, id.as_str())];
        added.extend(until.as_deref().map(|until| (EXPIRES, until)));
        let rules = Hub::of(self.inner.clone()).rules();
        let dropped = [DELIVER_AT, EXPIRES, MESSAGE_ID, SCHEDULE_ID];
        let rng = &*self.inner.rng;
        self.draft.push_anew(event.lines(), &meta, &dropped, &added, &rules, rng);
    }
}
