//! What was written of a place and may yet fail.
//!
//! Writes are told apart by pages: those of the page before, and those of this one. When all of the
//! page before have succeeded, the page is turned; so what is remembered is no more than what two
//! pages wrote, however long one write waits on another.

use std::collections::BTreeSet;

/// See the module.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Unsure {
    /// The floor that is known to be stored.
    sure: u64,
    /// The last floor that the page before wrote.
    before: u64,
    /// The chunks that the page before wrote or removed.
    old: BTreeSet<u64>,
    /// The same of this page.
    young: BTreeSet<u64>,
}

impl Unsure {
    /// That of a place read from the disk.
    pub(super) const fn none_above(floor: u64) -> Self {
        Self { sure: floor, before: floor, old: BTreeSet::new(), young: BTreeSet::new() }
    }

    /// The floor that is known to be stored.
    pub(super) const fn sure_floor(&self) -> u64 {
        self.sure
    }

    /// A chunk is written, or removed.
    pub(super) fn wrote(&mut self, chunk: u64) {
        self.young.insert(chunk);
    }

    /// Whether a chunk is on its way.
    pub(super) fn holds(&self, chunk: u64) -> bool {
        self.old.contains(&chunk) || self.young.contains(&chunk)
    }

    /// All chunks that are.
    pub(super) fn chunks(&self) -> impl Iterator<Item = u64> {
        self.old.iter().chain(&self.young).copied()
    }

    /// The page before is stored. This one becomes it, and has written the floor `written`; `None`:
    /// the floor is to be written anew.
    pub(super) fn turn(&mut self, written: Option<u64>) {
        self.sure = self.before;
        self.before = written.unwrap_or(self.before);
        self.old = std::mem::take(&mut self.young);
    }

    /// Forgets all that is on its way, and gives the chunks.
    pub(super) fn take(&mut self) -> BTreeSet<u64> {
        self.before = self.sure;
        let mut chunks = std::mem::take(&mut self.young);
        chunks.append(&mut self.old);
        chunks
    }
}
