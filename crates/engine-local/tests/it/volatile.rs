//! A state store that forgets: after a crash, any number of the latest `apply`s since the last
//! `persist` are gone, each whole.

use std::collections::BTreeMap;
use std::io;
use std::ops::Bound;
use std::sync::Arc;

use bytes::Bytes;
use outflow_engine_local::state::{State, StatePut};
use outflow_model::Rng;
use outflow_store::StateEntry;
use parking_lot::Mutex;

use crate::faults::{Faults, Kind, Loss};

/// See the module. Clones are the same store.
#[derive(Debug, Clone)]
pub(crate) struct Volatile {
    faults: Arc<Faults>,
    inner: Arc<Mutex<Inner>>,
}

#[derive(Debug, Default)]
struct Inner {
    live: Kept,
    durable: Kept,
    /// What `durable` lacks, in order.
    unsynced: Vec<(Vec<StatePut>, Option<u64>)>,
}

#[derive(Debug, Default, Clone)]
struct Kept {
    entries: BTreeMap<Bytes, (Bytes, u64)>,
    applied: u64,
}

impl Kept {
    fn apply(&mut self, puts: &[StatePut], applied: Option<u64>) {
        for put in puts {
            match &put.value {
                Some(value) => self.entries.insert(put.key.clone(), value.clone()),
                None => self.entries.remove(&put.key),
            };
        }
        self.applied = applied.unwrap_or(self.applied);
    }
}

impl Volatile {
    pub(crate) fn new(faults: Arc<Faults>) -> Self {
        Self { faults, inner: Arc::default() }
    }

    /// What a crash leaves.
    pub(crate) fn crash(&self, loss: Loss) {
        let mut inner = self.inner.lock();
        let unsynced = std::mem::take(&mut inner.unsynced);
        let kept = match loss {
            Loss::Everything => 0,
            Loss::Nothing => unsynced.len(),
            Loss::Any => self.faults.rng().below(unsynced.len() as u64 + 1) as usize,
        };
        for (puts, applied) in unsynced.iter().take(kept) {
            inner.durable.apply(puts, *applied);
        }
        inner.live = inner.durable.clone();
    }
}

impl Volatile {
    /// A copy that lives on by itself.
    pub(crate) fn copy(&self) -> Self {
        let live = self.inner.lock().live.clone();
        let inner = Inner { durable: live.clone(), live, unsynced: Vec::new() };
        Self { faults: self.faults.clone(), inner: Arc::new(Mutex::new(inner)) }
    }
}

impl State for Volatile {
    fn applied(&self) -> u64 {
        self.inner.lock().live.applied
    }

    fn apply(&self, puts: &[StatePut], applied: Option<u64>) -> io::Result<()> {
        // A crash inside is a crash before or after: an apply is whole or absent.
        let fault = self.faults.enter(Kind::Change, "state apply", &[])?;
        let inner = &mut *self.inner.lock();
        inner.live.apply(puts, applied);
        inner.unsynced.push((puts.to_vec(), applied));
        fault.map_or(Ok(()), |fault| Err(fault.error()))
    }

    fn persist(&self) -> io::Result<()> {
        if let Some(fault) = self.faults.enter(Kind::Sync, "state persist", &[])? {
            return Err(fault.error());
        }
        let inner = &mut *self.inner.lock();
        for (puts, applied) in inner.unsynced.drain(..) {
            inner.durable.apply(&puts, applied);
        }
        Ok(())
    }

    fn get(&self, key: &[u8]) -> io::Result<Option<StateEntry>> {
        let inner = self.inner.lock();
        Ok(inner.live.entries.get_key_value(key).map(entry))
    }

    fn scan(
        &self,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> io::Result<Vec<StateEntry>> {
        let from = match after {
            Some(after) if after >= prefix => Bound::Excluded(after),
            _ => Bound::Included(prefix),
        };
        let inner = self.inner.lock();
        let entries = inner.live.entries.range::<[u8], _>((from, Bound::Unbounded));
        let under = entries.take_while(|(key, _)| key.starts_with(prefix));
        Ok(under.take(limit).map(entry).collect())
    }
}

fn entry((key, (value, revision)): (&Bytes, &(Bytes, u64))) -> StateEntry {
    StateEntry { key: key.clone(), value: value.clone(), revision: *revision }
}
