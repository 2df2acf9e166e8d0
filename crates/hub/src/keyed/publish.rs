//! What publishing to a keyed stream needs beside the usual: its changes read, its entities
//! gathered, their next states stored in the same batch.
//!
//! Called by [`crate::publish`]. The order: [`KeyedDraft::read`] before anything is taken;
//! [`KeyedDraft::gather`] in the stream's turn, across reads and the commits of changes before;
//! [`KeyedDraft::merge`] under the stream's lock, when time and ticks are known.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use outflow_model::json::Value;
use outflow_model::{Draft, MetaSlice, Tick};
use outflow_store::{Append, Condition, Op, Put};
use tokio::sync::{MutexGuard, watch};

use super::change::{self, Change, Happening};
use super::latest;
use super::table::{Known, State};
use super::ticks::{Taken, Ticks};
use crate::hub::Inner;
use crate::publish::Placed;
use crate::stream::Lane;
use crate::{PublishError, Stream};

/// How many states are asked of the engine at once.
const READS_AT_ONCE: usize = 64;

/// A draft for a keyed stream, read.
pub(crate) struct KeyedDraft {
    pub(crate) ticks: Arc<Ticks>,
    /// One for every event, in order.
    changes: Vec<Change>,
}

impl KeyedDraft {
    /// Checks every event of `draft` and makes room for its tick; `None` when the stream is not
    /// keyed.
    ///
    /// # Errors
    /// [`PublishError::Entity`] names the first event that is no change of an entity.
    pub(crate) fn read(
        inner: &Inner,
        stream: &Stream,
        draft: &mut Draft,
    ) -> Result<Option<Self>, PublishError> {
        let Some(types) = &stream.settings.entities else { return Ok(None) };
        let changes = change::read(stream.id, types, draft)?;
        draft.make_room_for_ticks();
        Ok(Some(Self { ticks: inner.ticks.of(&stream.project), changes }))
    }

    /// Waits for the stream's turn and for changes of the same entities that are on their way, and
    /// brings the states in that are to be merged with. All stays so until the turn is given back.
    pub(crate) async fn gather<'a>(
        &self,
        inner: &Inner,
        stream: &'a Stream,
    ) -> Result<MutexGuard<'a, ()>, PublishError> {
        let lane = &stream.lane.keyed;
        let turn = lane.turn.lock().await;
        lane.table.lock().make_room(inner.options.entity_cache_bytes);
        let mut missing = Vec::new();
        for (key, needs_state) in self.entities() {
            loop {
                let known = lane.table.lock().look(key);
                match known {
                    Known::InFlight(mut decided) => {
                        // An error says that the batch was given up, which decides it as well.
                        let _ = decided.wait_for(|is_decided| *is_decided).await;
                        lane.table.lock().forget_flight(key, &decided);
                    }
                    Known::Here => break,
                    Known::Unknown => {
                        missing.extend(needs_state.then(|| key.clone()));
                        break;
                    }
                }
            }
        }
        self.load(inner, stream, missing).await?;
        Ok(turn)
    }

    /// The entities, each once, and whether its state is needed: not when it only begins or ends.
    fn entities(&self) -> impl Iterator<Item = (&Bytes, bool)> {
        let mut seen = HashMap::with_capacity(self.changes.len());
        for change in &self.changes {
            *seen.entry(&change.key).or_insert(false) |= change.kind == Happening::Update;
        }
        seen.into_iter()
    }

    async fn load(
        &self,
        inner: &Inner,
        stream: &Stream,
        missing: Vec<Bytes>,
    ) -> Result<(), PublishError> {
        let max = inner.options.inflight_bytes;
        let mut bytes = 0;
        let reads = missing.into_iter().map(|key| async move {
            let entry = inner.engine.get(&key).await;
            entry.map(|entry| (key, entry.map(|entry| entry.value)))
        });
        let mut reads = stream::iter(reads).buffer_unordered(READS_AT_ONCE);
        let failed =
            |error: outflow_store::StateError| PublishError::Unavailable(error.to_string());
        while let Some((key, state)) = reads.try_next().await.map_err(failed)? {
            bytes += state.as_ref().map_or(0, Bytes::len);
            if bytes > max {
                return Err(PublishError::TooLarge { max });
            }
            stream.lane.keyed.table.lock().keep(key, state);
        }
        Ok(())
    }

    /// The next states of the entities that `append`'s events change: those of the draft that are
    /// no copies.
    ///
    /// # Errors
    /// [`PublishError::Entity`] when a state becomes too large.
    pub(crate) fn merge(
        &self,
        inner: &Inner,
        stream: &Stream,
        placed: &[Placed],
        append: &Append,
        first: Tick,
    ) -> Result<Vec<(Bytes, State)>, PublishError> {
        let table = stream.lane.keyed.table.lock();
        let mut states: HashMap<&Bytes, State> = HashMap::new();
        let stored = self.changes.iter().enumerate().zip(placed);
        let stored = stored.filter(|(_, placed)| !placed.duplicate).map(|(change, _)| change);
        let events = MetaSlice::new(&append.metas).with_lines(&append.lines);
        let mut tick = first;
        for ((index, change), (meta, line)) in stored.zip(events) {
            let state = match states.entry(&change.key) {
                Entry::Occupied(state) => state.into_mut(),
                Entry::Vacant(free) => free.insert(table.get(&change.key)),
            };
            let entity_ref = meta.others(line).called(b"ref").map_or(&b"{}"[..], Value::text);
            let (at, payload) = ((append.at, tick), meta.body(line));
            tick = tick.plus(1).unwrap_or(Tick::LAST);
            let next = match (change.kind, &state) {
                (Happening::Delete, _) => {
                    *state = None;
                    continue;
                }
                (Happening::Update, Some(stored)) => {
                    let old = latest::read(stored).ok_or_else(|| {
                        PublishError::Unavailable("the state of an entity cannot be read".into())
                    })?;
                    latest::merged(&old, at, entity_ref, payload)
                }
                (Happening::Create, _) | (Happening::Update, None) => {
                    latest::first(at, entity_ref, payload)
                }
            };
            let max = inner.options.max_entity_bytes;
            if next.len() > max {
                let reason = format!("the entity would have more than {max} bytes");
                return Err(PublishError::Entity { index, place: "/body".into(), reason });
            }
            *state = Some(next.into());
        }
        Ok(states.into_iter().map(|(key, state)| (key.clone(), state)).collect())
    }
}

/// States on their way to the disk.
pub(crate) struct Departure {
    states: Vec<(Bytes, State)>,
    tell: watch::Sender<bool>,
    ceiling: Option<(Arc<Ticks>, Tick)>,
}

impl Departure {
    /// Notes that `states` are on their way, and adds what stores them to `ops`.
    pub(crate) fn new(
        lane: &Lane,
        keyed: &KeyedDraft,
        states: Vec<(Bytes, State)>,
        taken: &mut Taken<'_>,
        ops: &mut Vec<Op>,
    ) -> Self {
        let (tell, decided) = watch::channel(false);
        lane.keyed.table.lock().depart(states.iter().map(|(key, _)| key), &decided);
        let put = |(key, value): &(Bytes, State)| {
            Op::Put(Put { key: key.clone(), value: value.clone(), condition: Condition::Any })
        };
        ops.extend(states.iter().map(put));
        let ceiling = taken.ceiling.take().map(|(op, ceiling)| {
            ops.push(op);
            (keyed.ticks.clone(), ceiling)
        });
        Self { states, tell, ceiling }
    }

    /// Notes how the commit ended.
    pub(crate) fn arrive(self, lane: &Lane, landed: bool) {
        if let Some((ticks, ceiling)) = self.ceiling.filter(|_| landed) {
            ticks.confirm(ceiling);
        }
        lane.keyed.table.lock().arrive(self.states, landed);
        self.tell.send_replace(true);
    }
}

/// Whether the stream is what its publisher takes it for: keyed, or not.
pub(crate) fn is_as_known(lane: &Lane, keyed: Option<&KeyedDraft>) -> bool {
    lane.keyed.is_keyed.load(Ordering::Acquire) == keyed.is_some()
}
