//! The segment files that are open: a bounded number, however many segments there are.
//!
//! Called by readers, the sealer, compaction and retention; opens files.
//!
//! Invariant: what is read through a segment is always the file that its blocks are in, also when
//! compaction has given the name to another one, or retention has removed it: the last handle is
//! pinned to the segment before the name changes.

use std::io;
use std::path::Path;
use std::sync::Arc;

use quick_cache::sync::Cache;

use super::{Segment, path};
use crate::fs::{File, Fs, OpenMode};

/// See the module.
#[derive(Debug)]
pub(crate) struct OpenFiles(Cache<u32, Arc<dyn File>>);

impl OpenFiles {
    /// Keeps about `count` files open, besides those that are being read.
    pub(crate) fn new(count: usize) -> Self {
        Self(Cache::new(count))
    }

    /// The segment's file.
    ///
    /// # Errors
    /// The disk's; `NotFound` when somebody else has removed it.
    pub(crate) fn get(
        &self,
        fs: &dyn Fs,
        dir: &Path,
        segment: &Segment,
    ) -> io::Result<Arc<dyn File>> {
        if let Some(file) = segment.pinned() {
            return Ok(file);
        }
        if let Some(file) = self.0.get(&segment.uid) {
            return Ok(file);
        }
        let opened = fs.open(&path(dir, segment.age_ms, segment.number), OpenMode::Read);
        // Pinned meanwhile: then what was opened may be another file, or none.
        if let Some(file) = segment.pinned() {
            return Ok(file);
        }
        let file: Arc<dyn File> = opened?.into();
        self.0.insert(segment.uid, file.clone());
        Ok(file)
    }

    /// Takes the file of a segment that was just written.
    pub(crate) fn insert(&self, segment: &Segment, file: Box<dyn File>) {
        self.0.insert(segment.uid, file.into());
    }

    /// Keeps the file readable for those who still hold the segment, whose name is about to be
    /// removed or given away.
    pub(crate) fn pin(&self, segment: &Segment, file: Arc<dyn File>) {
        segment.pin(file);
        self.0.remove(&segment.uid);
    }
}
