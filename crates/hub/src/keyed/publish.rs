//! What publishing to a keyed stream needs beside the usual: its changes read, its entities
//! gathered, their next states stored in the same batch.
//!
//! Called by [`crate::publish`]. The order: [`KeyedDraft::read`] before anything is taken;
//! [`KeyedDraft::gather`] in the stream's turn, across reads and the commits of changes before;
//! [`KeyedDraft::merge`] under the stream's lock, when time and ticks are known.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use outflow_model::json::Value;
use outflow_model::{Draft, MetaSlice, Offset, Tick, Timestamp};
use outflow_store::{Append, Condition, Op, Put};
use tokio::sync::{MutexGuard, OwnedSemaphorePermit, watch};

use super::change::{self, Change, Happening};
use super::latest::{self, Said};
use super::share::{Brought, Share};
use super::silence::{self, Heard, Noted};
use super::table::{Known, State};
use super::ticks::{Taken, Ticks};
use crate::hub::Inner;
use crate::publish::Placed;
use crate::stream::Lane;
use crate::{CatalogError, PublishError, Stream};

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
    /// `permit`, the batch's share of what may be on its way, grows by the states that it changes.
    ///
    /// Whoever has the turn never waits for room, and whoever waits for room has none: else batches
    /// that each hold a part of it would wait for one another, and all publishers with them.
    pub(crate) async fn gather<'a>(
        &self,
        inner: &Inner,
        stream: &'a Stream,
        permit: &mut OwnedSemaphorePermit,
    ) -> Result<MutexGuard<'a, ()>, PublishError> {
        let mut share = Share::new(inner, permit);
        loop {
            let turn = stream.lane.keyed.turn.lock().await;
            match self.bring_in(inner, stream, &mut share).await? {
                Brought::All => {
                    share.give_back_the_rest();
                    return Ok(turn);
                }
                Brought::NoRoom { wanted } => {
                    drop(turn);
                    share.exchange(wanted).await?;
                }
            }
        }
    }

    /// Brings the states in, as far as there is room at once. For whoever has the turn.
    async fn bring_in(
        &self,
        inner: &Inner,
        stream: &Stream,
        share: &mut Share<'_>,
    ) -> Result<Brought, PublishError> {
        let lane = &stream.lane.keyed;
        let unread = |error: CatalogError| PublishError::Unavailable(error.to_string());
        silence::read(inner, stream).await.map_err(unread)?;
        share.begin();
        lane.table.lock().make_room(inner.options.entity_cache_bytes);
        let (mut missing, mut here) = (Vec::new(), 0);
        for (key, needs_state) in self.entities() {
            loop {
                let known = lane.table.lock().look(key);
                match known {
                    Known::InFlight(mut decided) => {
                        // An error says that the batch was given up, which decides it as well.
                        let _ = decided.wait_for(|is_decided| *is_decided).await;
                        lane.table.lock().forget_flight(key, &decided);
                    }
                    Known::Here => {
                        let bytes = || lane.table.lock().get(key).map_or(0, |state| state.len());
                        here += if needs_state { bytes() } else { 0 };
                        break;
                    }
                    Known::Unknown => {
                        missing.extend(needs_state.then(|| key.clone()));
                        break;
                    }
                }
            }
        }
        let mut brought = share.take(here)?;
        if matches!(brought, Brought::All) {
            brought = self.load(inner, stream, missing, share).await?;
        }
        let (bytes, max) = (lane.table.lock().bytes(), inner.options.entity_total_bytes);
        let held = inner.entity_room.note(stream.id, &stream.lane, bytes, max);
        inner.metrics.entities_kept(held);
        Ok(brought)
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
        share: &mut Share<'_>,
    ) -> Result<Brought, PublishError> {
        let reads = missing.into_iter().map(|key| async move {
            let entry = inner.engine.get(&key).await;
            entry.map(|entry| (key, entry.map(|entry| entry.value)))
        });
        let mut reads = stream::iter(reads).buffer_unordered(READS_AT_ONCE);
        let failed =
            |error: outflow_store::StateError| PublishError::Unavailable(error.to_string());
        while let Some((key, state)) = reads.try_next().await.map_err(failed)? {
            let bytes = state.as_ref().map_or(0, Bytes::len);
            if let Brought::NoRoom { wanted } = share.take(bytes)? {
                return Ok(Brought::NoRoom { wanted });
            }
            stream.lane.keyed.table.lock().keep(key, state);
        }
        Ok(Brought::All)
    }

    /// The next states of the entities that `append`'s events change: those of the draft that are
    /// no copies.
    ///
    /// # Errors
    /// [`PublishError::EntityTooLarge`].
    pub(crate) fn merge(
        &self,
        inner: &Inner,
        stream: &Stream,
        placed: &[Placed],
        append: &Append,
        first: Tick,
    ) -> Result<Vec<(Bytes, State)>, PublishError> {
        let mut entities: HashMap<&Bytes, Next<'_>> = HashMap::new();
        let stored = self.changes.iter().enumerate().zip(placed);
        let stored = stored.filter(|(_, placed)| !placed.duplicate).map(|(change, _)| change);
        let events = MetaSlice::new(&append.metas).with_lines(&append.lines);
        let mut tick = first;
        for ((index, change), (meta, line)) in stored.zip(events) {
            let entity_ref = meta.others(line).called(b"ref").map_or(&b"{}"[..], Value::text);
            let said = (entity_ref, meta.body(line));
            let fresh = || Next { begins: Begins::Here, updates: Vec::new(), tick, index };
            let next = entities.entry(&change.key).or_insert_with(fresh);
            (next.tick, next.index) = (tick, index);
            tick = tick.plus(1).unwrap_or(Tick::LAST);
            match change.kind {
                Happening::Update => next.updates.push(said),
                Happening::Create => (next.begins, next.updates) = (Begins::With(said), Vec::new()),
                Happening::Delete => (next.begins, next.updates) = (Begins::Absent, Vec::new()),
            }
        }
        let table = stream.lane.keyed.table.lock();
        let max = inner.options.max_entity_bytes;
        let mut states = Vec::with_capacity(entities.len());
        for (key, next) in entities {
            let index = next.index;
            let state = next.state(append.at, || table.get(key))?;
            if state.as_ref().is_some_and(|state| state.len() > max) {
                return Err(PublishError::EntityTooLarge { index, max });
            }
            states.push((key.clone(), state));
        }
        Ok(states)
    }
}

impl KeyedDraft {
    /// Notes of which types the stored events are, and adds what stores that to `ops`.
    pub(crate) fn tell(
        &self,
        inner: &Inner,
        stream: &Stream,
        placed: &[Placed],
        append: &Append,
        ops: &mut Vec<Op>,
    ) -> Option<Noted> {
        let types = stream.settings.entities.as_ref()?.all();
        let mut heard: BTreeMap<usize, (Offset, Offset)> = BTreeMap::new();
        if stream.settings.feed_types.is_some() {
            let stored = self.changes.iter().zip(placed).filter(|(_, placed)| !placed.duplicate);
            for (change, Placed { offset, .. }) in stored {
                let (_, last) = heard.entry(change.entity_type).or_insert((*offset, *offset));
                *last = *offset;
            }
        }
        let heard = heard.into_iter().filter_map(|(at, (first, last))| {
            Some(Heard { entity_type: &types.get(at)?.name, first, last })
        });
        // Of a stream whose bounds are not known, nothing is known to be gone.
        let kept = stream.bounds(&*inner.engine).map_or(Offset::FIRST, |bounds| bounds.start);
        let batch = silence::At { first: append.first, at: append.at, kept };
        stream.lane.keyed.watch.lock().note(stream, batch, heard, ops)
    }
}

/// Where a batch's changes of an entity begin.
enum Begins<'a> {
    /// With the state that it has.
    Here,
    /// With what an event of the batch says.
    With(Said<'a>),
    /// With nothing: an event of the batch ended it.
    Absent,
}

/// What a batch makes of one entity. The state is made once, however many events change it: a
/// batch of small changes of a large entity must not copy it for each.
struct Next<'a> {
    begins: Begins<'a>,
    /// The updates since, in order.
    updates: Vec<Said<'a>>,
    /// The last of its changes: its tick, and which event of the draft it is.
    tick: Tick,
    index: usize,
}

impl Next<'_> {
    /// Its next state.
    fn state(self, at: Timestamp, here: impl FnOnce() -> State) -> Result<State, PublishError> {
        let at = (at, self.tick);
        let stored = if matches!(self.begins, Begins::Here) { here() } else { None };
        let old = stored.as_ref().map(|stored| {
            latest::read(stored).ok_or_else(|| {
                PublishError::Unavailable("the state of an entity cannot be read".into())
            })
        });
        let old = old.transpose()?;
        let (first, updates) = match (self.begins, &old, self.updates.split_first()) {
            (Begins::With(said), ..) => (said, self.updates.as_slice()),
            (_, Some(old), _) => ((&*old.entity_ref, &*old.payload), self.updates.as_slice()),
            // An update of what is not there begins it.
            (_, None, Some((said, rest))) => (*said, rest),
            (_, None, None) => return Ok(None),
        };
        Ok(Some(
            match updates {
                [] => latest::first(at, first.0, first.1),
                updates => latest::merged(first, at, updates),
            }
            .into(),
        ))
    }
}

/// States on their way to the disk.
pub(crate) struct Departure {
    states: Vec<(Bytes, State)>,
    tell: watch::Sender<bool>,
    ceiling: Option<(Arc<Ticks>, Tick)>,
    /// What of the types' silence the batch stores.
    noted: Option<Noted>,
}

impl Departure {
    /// Notes that `states` are on their way, and adds what stores them to `ops`.
    pub(crate) fn new(
        lane: &Lane,
        keyed: &KeyedDraft,
        states: Vec<(Bytes, State)>,
        taken: &mut Taken<'_>,
        noted: Option<Noted>,
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
        Self { states, tell, ceiling, noted }
    }

    /// Notes how the commit ended.
    pub(crate) fn arrive(self, lane: &Lane, landed: bool) {
        if let Some((ticks, ceiling)) = self.ceiling.filter(|_| landed) {
            ticks.confirm(ceiling);
        }
        if let Some(noted) = self.noted.filter(|_| landed) {
            lane.keyed.watch.lock().confirm(noted);
        }
        lane.keyed.table.lock().arrive(self.states, landed);
        self.tell.send_replace(true);
    }
}

/// Whether the stream is what its publisher takes it for: keyed, or not.
pub(crate) fn is_as_known(lane: &Lane, keyed: Option<&KeyedDraft>) -> bool {
    lane.keyed.is_keyed.load(Ordering::Acquire) == keyed.is_some()
}
