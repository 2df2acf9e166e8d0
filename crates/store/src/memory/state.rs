//! Keyed state in memory: revisions, conditions, ordered scans.

use std::collections::BTreeMap;
use std::ops::Bound;

use bytes::Bytes;

use crate::engine::{AppendError, StateEntry};
use crate::{Condition, Put};

/// The longest key in bytes.
const MAX_KEY: usize = 512;
/// The longest value in bytes.
const MAX_VALUE: usize = 1 << 20;

/// Every key with its value.
#[derive(Debug, Default)]
pub(super) struct State {
    entries: BTreeMap<Bytes, (Bytes, u64)>,
    /// The last revision given out. One counter for all keys, so that none repeats for any.
    last_revision: u64,
}

impl State {
    pub(super) fn get(&self, key: &[u8]) -> Option<StateEntry> {
        self.entries.get_key_value(key).map(entry)
    }

    pub(super) fn scan(
        &self,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Vec<StateEntry> {
        let from = match after {
            Some(after) if after >= prefix => Bound::Excluded(after),
            _ => Bound::Included(prefix),
        };
        let entries = self.entries.range::<[u8], _>((from, Bound::Unbounded));
        entries.take_while(|(key, _)| key.starts_with(prefix)).take(limit).map(entry).collect()
    }

    pub(super) fn put(&mut self, put: Put) {
        self.last_revision += 1;
        match put.value {
            Some(value) => self.entries.insert(put.key, (value, self.last_revision)),
            None => self.entries.remove(&put.key),
        };
    }
}

fn entry((key, (value, revision)): (&Bytes, &(Bytes, u64))) -> StateEntry {
    StateEntry { key: key.clone(), value: value.clone(), revision: *revision }
}

/// What a batch's puts would leave, while it is checked.
pub(super) struct Check<'a> {
    state: &'a State,
    /// Whether the batch leaves the key present.
    changed: BTreeMap<Bytes, bool>,
}

impl<'a> Check<'a> {
    pub(super) const fn new(state: &'a State) -> Self {
        Self { state, changed: BTreeMap::new() }
    }

    pub(super) fn put(&mut self, put: &Put) -> Result<(), AppendError> {
        if put.key.is_empty() || put.key.len() > MAX_KEY || put.key.starts_with(&[0]) {
            return Err(AppendError::Invalid("a key has 1 to 512 bytes and does not start with 0"));
        }
        if put.value.as_ref().is_some_and(|value| value.len() > MAX_VALUE) {
            return Err(AppendError::Invalid("a value has up to 1 MiB"));
        }
        let stored = self.state.entries.get(&put.key);
        let holds = match (put.condition, self.changed.get(&put.key)) {
            (Condition::Any, _) => true,
            (Condition::Absent, Some(is_present)) => !is_present,
            (Condition::Absent, None) => stored.is_none(),
            // A key that this batch has already changed has a revision that nobody has seen.
            (Condition::Revision(_), Some(_)) => false,
            (Condition::Revision(wanted), None) => stored.is_some_and(|&(_, has)| has == wanted),
        };
        if !holds {
            return Err(AppendError::Conflict);
        }
        self.changed.insert(put.key.clone(), put.value.is_some());
        Ok(())
    }
}
