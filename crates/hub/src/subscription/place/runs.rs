//! Runs of chunks that are done altogether and share one stored entry, that of the first of them.
//!
//! Called by `place`. A run begins when an event far below the floor is to be done again: what lies
//! between is done, and would otherwise be an entry for each chunk of it.
//!
//! Invariants: runs share no chunk; every chunk of a run is done altogether.

use std::collections::BTreeMap;

/// From how many chunks on one entry is fewer than one for each.
const WORTHWHILE: u64 = 2;

/// See the module: the first chunk of each run, and the one after its last.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Runs(BTreeMap<u64, u64>);

impl Runs {
    /// A run as it was stored.
    pub(super) fn insert(&mut self, first: u64, end: u64) {
        if first < end {
            self.0.insert(first, end);
        }
    }

    /// The chunks from `first` to before `end` are done. Gives those whose entries are to be written.
    pub(super) fn enter(&mut self, first: u64, end: u64) -> Vec<u64> {
        if end.saturating_sub(first) < WORTHWHILE {
            return (first..end).collect();
        }
        self.0.insert(first, end);
        vec![first]
    }

    /// Whose entry tells of a chunk: its own, or that of the run that it is in.
    pub(super) fn entry_of(&self, chunk: u64) -> u64 {
        self.run_of(chunk).map_or(chunk, |(first, _)| first)
    }

    /// How many chunks the entry of this one is about, if it is that of a run.
    pub(super) fn count(&self, chunk: u64) -> Option<u64> {
        self.0.get(&chunk).map(|end| end - chunk)
    }

    /// A chunk is no longer done altogether: what is left of its run are two. Gives those whose
    /// entries are to be written.
    pub(super) fn part(&mut self, chunk: u64) -> Vec<u64> {
        let Some((first, end)) = self.run_of(chunk) else { return Vec::new() };
        self.0.remove(&first);
        self.insert(first, chunk);
        self.insert(chunk + 1, end);
        [first, chunk + 1].into_iter().filter(|chunk| self.0.contains_key(chunk)).collect()
    }

    /// The floor has come to a chunk: runs that begin before it are over, as it stops in none.
    pub(super) fn pass(&mut self, chunk: u64) {
        if self.0.first_key_value().is_some_and(|(&first, _)| first < chunk) {
            self.0 = self.0.split_off(&chunk);
        }
    }

    fn run_of(&self, chunk: u64) -> Option<(u64, u64)> {
        let (&first, &end) = self.0.range(..=chunk).next_back()?;
        Some((first, end)).filter(|_| chunk < end)
    }
}
