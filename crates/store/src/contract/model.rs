//! What an engine should hold, kept as plainly as can be: the oracle of random tests.
//!
//! Called by [`super::machine`] and by the simulators of engines. The model takes the operations
//! that an engine acknowledged; [`Model::check`] then compares all of the two.
//!
//! Invariants: [`Model::apply`] refuses what every engine must refuse. Retention is the engine's
//! own choice within bounds: [`Model::follow_retention`] checks the bounds and adopts the choice.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;

use bytes::Bytes;
use outflow_model::{MetaSlice, Offset, StreamId, Timestamp};

use super::reader::{Event, read_all};
use crate::engine::{AppendError, Engine};
use crate::{Condition, Op, Put, Retention, StreamConfig};

/// One stream as it should be.
#[derive(Debug, Clone)]
pub struct Log {
    /// Its latest configuration.
    pub config: StreamConfig,
    /// When each event was taken, and its line.
    pub events: BTreeMap<Offset, (Timestamp, Vec<u8>)>,
    /// Where it ends.
    pub next: Offset,
    /// What retention took: a crash may bring it back, as retention is not acknowledged.
    expired: BTreeMap<Offset, (Timestamp, Vec<u8>)>,
    last_at: Timestamp,
}

/// All that an engine should hold.
#[derive(Debug, Clone, Default)]
pub struct Model {
    /// Every stream that is there.
    pub streams: BTreeMap<StreamId, Log>,
    /// The ids of those that were.
    pub dropped: BTreeSet<StreamId>,
    /// Keys and values.
    pub state: BTreeMap<Vec<u8>, Bytes>,
}

impl Model {
    /// Does what `op` says, conditions of puts aside.
    ///
    /// # Errors
    /// Why an engine must refuse it; the model is then as it was.
    pub fn apply(&mut self, op: &Op) -> Result<(), AppendError> {
        let unknown = |id: &StreamId| AppendError::UnknownStream(*id);
        match op {
            Op::SetStream(id, _) if self.dropped.contains(id) => {
                return Err(AppendError::Invalid("dropped"));
            }
            Op::SetStream(id, config) => {
                self.streams.entry(*id).or_insert_with(|| Log::new(*config)).config = *config;
            }
            Op::DropStream(id) => {
                self.streams.remove(id).ok_or_else(|| unknown(id))?;
                self.dropped.insert(*id);
            }
            Op::Trim(id, before) => {
                let log = self.streams.get_mut(id).ok_or_else(|| unknown(id))?;
                log.events.retain(|offset, _| offset >= before);
                log.expired.retain(|offset, _| offset >= before);
            }
            Op::Append(append) => {
                let log = self.streams.get_mut(&append.stream);
                log.ok_or_else(|| unknown(&append.stream))?.append(append)?;
            }
            Op::Put(Put { key, value: Some(value), .. }) => {
                self.state.insert(key.to_vec(), value.clone());
            }
            Op::Put(Put { key, value: None, .. }) => {
                self.state.remove(&key[..]);
            }
        }
        Ok(())
    }

    /// Whether the engine holds exactly what the model says.
    ///
    /// # Errors
    /// Where they differ.
    pub async fn check(&self, engine: &dyn Engine) -> Result<(), String> {
        let configs: Vec<_> = self.streams.iter().map(|(&id, log)| (id, log.config)).collect();
        differ("streams", &engine.streams(), &configs)?;
        for (&id, log) in &self.streams {
            log.check(engine, id).await.map_err(|reason| format!("{id}: {reason}"))?;
        }
        let state = engine.scan(b"", None, usize::MAX).await.map_err(|error| error.to_string())?;
        let state: Vec<_> =
            state.into_iter().map(|entry| (entry.key.to_vec(), entry.value)).collect();
        differ("state", &state, &self.state.clone().into_iter().collect())
    }

    /// Takes note of what retention, last run at `now`, has removed.
    ///
    /// # Errors
    /// When it removed what was to be kept.
    pub fn follow_retention(&mut self, engine: &dyn Engine, now: Timestamp) -> Result<(), String> {
        for (&id, log) in &mut self.streams {
            let start = engine.bounds(id).map_err(|error| error.to_string())?.start;
            let Retention { age_ms, max_bytes } = log.config.retention;
            let young = now.plus_millis(-i64::try_from(age_ms).unwrap_or(i64::MAX));
            let kept: usize = log.events.range(start..).map(|(_, (_, line))| line.len()).sum();
            let rest = log.events.split_off(&start);
            for (offset, (at, _)) in &log.events {
                let is_beyond = max_bytes.is_some_and(|max| kept as u64 >= max);
                if *at >= young && !is_beyond {
                    return Err(format!("{id}: {offset} was to be kept at {}", now.millis()));
                }
            }
            log.expired.append(&mut log.events);
            log.events = rest;
        }
        Ok(())
    }

    /// After a crash: what retention took before may be back.
    pub fn unexpire(&mut self, engine: &dyn Engine) {
        for (&id, log) in &mut self.streams {
            let Ok(bounds) = engine.bounds(id) else { continue };
            log.events.append(&mut log.expired.split_off(&bounds.start));
        }
    }
}

impl Log {
    const fn new(config: StreamConfig) -> Self {
        Self {
            config,
            events: BTreeMap::new(),
            next: Offset::FIRST,
            expired: BTreeMap::new(),
            last_at: Timestamp::from_millis(i64::MIN),
        }
    }

    fn append(&mut self, append: &crate::Append) -> Result<(), AppendError> {
        if append.first < self.next {
            return Err(AppendError::Conflict);
        }
        self.last_at = self.last_at.max(append.at);
        for (meta, line) in MetaSlice::new(&append.metas).with_lines(&append.lines) {
            self.events.insert(meta.offset, (self.last_at, line.to_vec()));
            self.next = meta.offset.next();
        }
        Ok(())
    }

    async fn check(&self, engine: &dyn Engine, id: StreamId) -> Result<(), String> {
        let bounds = engine.bounds(id).map_err(|error| error.to_string())?;
        differ("its end", &bounds.next, &self.next)?;
        let read = read_all(engine, id, bounds.start, 700).await;
        let events = read.map_err(|error| error.to_string())?;
        let expected = self.events.iter().map(|(&offset, (_, line))| (offset, &**line));
        if !events.iter().map(pair).eq(expected) {
            let ends = |first: Option<u64>, last: Option<u64>| format!("{first:?} to {last:?}");
            let is = ends(
                events.first().map(|event| event.offset.get()),
                events.last().map(|event| event.offset.get()),
            );
            let should = ends(
                self.events.first_key_value().map(|(offset, _)| offset.get()),
                self.events.last_key_value().map(|(offset, _)| offset.get()),
            );
            let (has, wants) = (events.len(), self.events.len());
            return Err(format!("holds {has} events, {is}, not {wants}, {should}"));
        }
        if events.is_empty() {
            differ("an empty stream's start", &bounds.start, &bounds.next)?;
        }
        Ok(())
    }
}

fn differ<T: PartialEq + Debug>(what: &str, is: &T, should: &T) -> Result<(), String> {
    if is == should { Ok(()) } else { Err(format!("{what}: {is:?}, not {should:?}")) }
}

pub(super) fn pair(event: &Event) -> (Offset, &[u8]) {
    (event.offset, &event.line)
}

/// Whether the condition of `put` holds for what the engine has now.
pub async fn holds(engine: &dyn Engine, put: &Put) -> bool {
    let found = engine.get(&put.key).await.unwrap();
    match put.condition {
        Condition::Any => true,
        Condition::Absent => found.is_none(),
        Condition::Revision(wanted) => found.is_some_and(|entry| entry.revision == wanted),
    }
}
