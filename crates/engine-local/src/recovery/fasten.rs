//! Making durable what was found, before anything is built on it.
//!
//! What is read after a restart may be in the page cache only: the process may have died between
//! a write and its sync, or because the sync failed, after which Linux shows the bytes and never
//! writes them again (reference `engine.md` 4). Whoever counts on such bytes loses them, and what
//! was acknowledged after them makes no sense, when the power goes next.

use std::io;

use super::{Live, Recovery};
use crate::fs::{OpenMode, read_exact_at};
use crate::journal::writer as journal_writer;
use crate::segment;

impl Recovery<'_> {
    /// Fastens the state, the last commit and every name. Earlier commits were synced before it was written,
    /// and segments before they had their names.
    pub(super) fn fasten(&self, live: &Live) -> io::Result<()> {
        let fs = self.parts.fs.as_ref();
        // It says which journal files are free.
        self.parts.state.persist()?;
        let newest = live.iter().rev().find_map(|(slot, file)| Some((slot, file.records.last()?)));
        if let Some((&slot, last)) = newest {
            // Written anew: a sync alone would skip pages that a failed one has marked as clean.
            let file = fs.open(&journal_writer::path(self.dir, slot), OpenMode::ReadWrite)?;
            // A file that was cut may lack the last record's padding.
            let rest = file.len()?.saturating_sub(last.position).min(last.size as u64);
            let bytes = read_exact_at(file.as_ref(), last.position, rest as usize)?;
            file.write_all_at(&bytes, last.position)?;
            file.sync_data()?;
        }
        for name in ["journal", "segments", "quarantine"] {
            fs.sync_dir(&self.dir.join(name))?;
        }
        let mut families: Vec<_> =
            self.index.segments.values().map(|segment| segment.age_ms).collect();
        families.sort_unstable();
        families.dedup();
        families.iter().try_for_each(|&age_ms| fs.sync_dir(&segment::family(self.dir, age_ms)))
    }
}
