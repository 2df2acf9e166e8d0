//! Segments: the sealed events of one journal generation, sorted by stream, in files that are
//! never changed, only removed or replaced whole.
//!
//! Called by the sealer and compaction (writing), readers, recovery and verify (reading).
//!
//! `segments/<retention age in ms>/<number>.seg`: streams that keep their events equally long
//! share files, so that expiry is an unlink.
//!
//! ```text
//! file     head | block | block | … | footer | trailer
//! head     0 magic "OFS\xFF" | 4 crc32c of 8.. u32 | 8 version u32 | 12 zero u32
//!          16 age u64 | 24 number u64                                              32 bytes
//! block    0 magic "OFB\xFF" | 4 crc32c of 8..end u32 | 8 stream u32 | 12 count u32
//!          16 first u64 | 24 last u64 | 32 first_at i64 | 40 last_at i64
//!          48 plain lines u32 | 52 crc32 of the plain lines u32 | 56 stored lines u32
//!          60 plain sidecars u32 | 64 stored sidecars u32 | 68 flags u32 (1: not deflated,
//!          2: `previous` is there)
//!          72 previous u64: the stream's last event before it, or 0
//!          80 stored lines, stored sidecars
//! footer   an entry for each block, in order of place:
//!          0 stream u32 | 4 count u32 | 8 first u64 | 16 last u64 | 24 first_at i64
//!          32 last_at i64 | 40 position u32 | 44 length u32 | 48 plain lines u32
//!          52 flags u32 (1: not deflated) | 56 previous u64                        64 bytes
//! trailer  0 magic "OFE\xFF" | 4 crc32c of footer and 8.. u32 | 8 footer position u64
//!          16 entries u32 | 20 zero u32                                            24 bytes
//! ```
//!
//! Version 1 is still read: its blocks and entries have no `previous`, and end 8 bytes earlier.
//!
//! Invariants: every byte is under a checksum; a file has its final name only when all of it is
//! durable; in a file, blocks of one stream lie together and in order. A block describes itself,
//! so that a file with a damaged footer is still read.

pub(crate) mod block;
pub(crate) mod footer;
pub(crate) mod open;
pub(crate) mod reader;
pub(crate) mod writer;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use outflow_model::{StreamId, Timestamp};

use crate::fs::File;
use crate::segment::footer::Entry;

/// The newest segment format that this code reads, and the one it writes.
pub(crate) const VERSION: u32 = 2;

/// The file of segment `number` of the family of `age_ms`.
pub(crate) fn path(dir: &Path, age_ms: u64, number: u64) -> PathBuf {
    family(dir, age_ms).join(format!("{number:016}.seg"))
}

/// The directory of the family of `age_ms`.
pub(crate) fn family(dir: &Path, age_ms: u64) -> PathBuf {
    dir.join("segments").join(age_ms.to_string())
}

/// A sealed file. It is read through [`open::OpenFiles`].
#[derive(Debug)]
pub(crate) struct Segment {
    /// Its number in this process: another one when it was rewritten.
    pub(crate) uid: u32,
    /// The number in its name.
    pub(crate) number: u64,
    pub(crate) age_ms: u64,
    /// Its file, once its name is gone or another's.
    pinned: OnceLock<Arc<dyn File>>,
    /// The bytes of all its blocks.
    pub(crate) total: u64,
    /// The bytes of the blocks that a stream still refers to.
    live: AtomicU64,
    /// When its newest event was taken.
    pub(crate) newest: Timestamp,
    /// The streams it holds blocks of.
    pub(crate) streams: Vec<StreamId>,
    /// Whether it holds blocks that are not deflated.
    pub(crate) is_plain: bool,
    /// Whether damage was found in it: it is then set aside, never removed or rewritten.
    damaged: AtomicBool,
}

/// Which segment it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SegmentMeta {
    /// See [`Segment::uid`].
    pub(crate) uid: u32,
    /// See [`Segment::number`].
    pub(crate) number: u64,
    /// The retention age of its family.
    pub(crate) age_ms: u64,
}

impl Segment {
    /// A segment with these blocks, to which no stream refers yet.
    pub(crate) fn new(meta: SegmentMeta, entries: &[Entry]) -> Self {
        let mut streams: Vec<StreamId> = entries.iter().map(|entry| entry.stream).collect();
        streams.dedup();
        let newest = entries.iter().map(|entry| entry.block.last_at).max();
        Self {
            uid: meta.uid,
            number: meta.number,
            age_ms: meta.age_ms,
            pinned: OnceLock::new(),
            total: entries.iter().map(|entry| u64::from(entry.block.len)).sum(),
            live: AtomicU64::new(0),
            newest: newest.unwrap_or_default(),
            streams,
            is_plain: entries.iter().any(|entry| entry.is_plain),
            damaged: AtomicBool::new(false),
        }
    }

    /// The bytes of the blocks that a stream still refers to.
    pub(crate) fn live(&self) -> u64 {
        self.live.load(Ordering::Relaxed)
    }

    pub(crate) fn release(&self, bytes: u64) {
        self.live.fetch_sub(bytes, Ordering::Relaxed);
    }

    pub(crate) fn retain(&self, bytes: u64) {
        self.live.fetch_add(bytes, Ordering::Relaxed);
    }

    fn pinned(&self) -> Option<Arc<dyn File>> {
        self.pinned.get().cloned()
    }

    fn pin(&self, file: Arc<dyn File>) {
        let _ = self.pinned.set(file);
    }

    pub(crate) fn is_damaged(&self) -> bool {
        self.damaged.load(Ordering::Relaxed)
    }

    pub(crate) fn set_damaged(&self) {
        self.damaged.store(true, Ordering::Relaxed);
    }
}
