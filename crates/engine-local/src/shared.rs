//! What the committer, the sealer and the readers of one engine share.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use outflow_model::Clock;
use outflow_store::CommitObserver;
use parking_lot::{Mutex, RwLock};

use crate::active::Pending;
use crate::cache::Cache;
use crate::fs::{File, Fs};
use crate::health::Board;
use crate::index::Index;
use crate::journal::writer;
use crate::options::Options;
use crate::segment::Segment;
use crate::segment::open::OpenFiles;
use crate::state::State;

/// The world that an engine lives in: the simulator's or the real one.
#[derive(Debug, Clone)]
pub struct Parts {
    /// Where files are.
    pub fs: Arc<dyn Fs>,
    /// The derived state.
    pub state: Arc<dyn State>,
    /// What time it is: retention and leases ask.
    pub clock: Arc<dyn Clock>,
}

/// See the module. But for `keeping`, locks are never held together.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) dir: PathBuf,
    pub(crate) options: Options,
    pub(crate) parts: Parts,
    pub(crate) index: RwLock<Index>,
    pub(crate) cache: Cache,
    pub(crate) files: OpenFiles,
    pub(crate) health: Board,
    pub(crate) pending: Pending,
    pub(crate) observer: RwLock<Option<Arc<dyn CommitObserver>>>,
    /// How many bytes of the disk are kept free.
    pub(crate) reserve: AtomicU64,
    pub(crate) next_uid: AtomicU32,
    pub(crate) next_segment: AtomicU64,
    /// Held by whoever seals, sweeps or rewrites: one at a time.
    pub(crate) keeping: Mutex<()>,
    /// Whether the next journal file should be made before it is needed.
    pub(crate) wants_next: AtomicBool,
    /// The sequence of the last commit.
    pub(crate) committed: AtomicU64,
}

impl Shared {
    pub(crate) fn fs(&self) -> &dyn Fs {
        self.parts.fs.as_ref()
    }

    pub(crate) fn state(&self) -> &dyn State {
        self.parts.state.as_ref()
    }

    /// The file of a segment.
    ///
    /// # Errors
    /// The disk's; `NotFound` when somebody else has removed it.
    pub(crate) fn open_segment(&self, segment: &Segment) -> io::Result<Arc<dyn File>> {
        self.files.get(self.fs(), &self.dir, segment)
    }

    pub(crate) fn new_uid(&self) -> u32 {
        self.next_uid.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) fn new_segment_number(&self) -> u64 {
        self.next_segment.fetch_add(1, Ordering::Relaxed)
    }

    /// Asks how much of the disk is free, and refuses or takes appends accordingly. They are not
    /// taken before there is a spare journal file again.
    pub(crate) fn check_space(&self) {
        match self.fs().free_bytes(&self.dir) {
            Ok(free) => {
                let is_short = free < self.reserve.load(Ordering::Relaxed);
                self.set_full(is_short || self.pending.is_spare_spent());
            }
            Err(error) => tracing::warn!(%error, "the free space of the disk is not known"),
        }
    }

    /// Refuses appends because the disk is full, or takes them again.
    pub(crate) fn set_full(&self, is_full: bool) {
        self.health.set_full(is_full, self.needed());
    }

    /// How many bytes of the disk have to be free for appends to be taken again: the reserve, and a
    /// spare journal file, which may be spent.
    pub(crate) fn needed(&self) -> u64 {
        self.reserve.load(Ordering::Relaxed).saturating_add(self.options.journal_bytes)
    }

    /// Makes the next journal file before it is needed, if that time has come.
    pub(crate) fn make_next(&self) {
        if !self.wants_next.swap(false, Ordering::Relaxed) || self.health.is_full() {
            return;
        }
        self.keep_spare();
        let Some(slot) = self.pending.take_new_slot() else { return };
        let made = writer::create(self.fs(), &self.dir, slot, self.options.journal_bytes);
        if let Err(error) = made {
            tracing::warn!(%error, "no journal file was made in advance");
        }
        // Also when it failed: the committer completes it, or fails for good.
        self.pending.give_back(slot);
    }

    /// Makes sure of a spare journal file: a free one, or a new one if the disk has room for it
    /// beyond the reserve.
    pub(crate) fn keep_spare(&self) {
        if self.pending.has_spare() || self.health.stopped().is_some() {
            return;
        }
        let size = self.options.journal_bytes;
        let slot = self.pending.take_free().or_else(|| {
            let free = self.fs().free_bytes(&self.dir).ok()?;
            (free >= self.needed()).then(|| self.pending.take_slot())
        });
        let Some(slot) = slot else { return };
        match writer::create(self.fs(), &self.dir, slot, size) {
            Ok(()) => self.pending.set_spare(slot),
            Err(error) => {
                tracing::warn!(%error, "no spare journal file was made");
                self.pending.give_back(slot);
            }
        }
    }

    /// Stops the engine because of a failed write or sync.
    pub(crate) fn poison(&self, what: &str, error: &io::Error) -> String {
        self.health.stop(&format!("{what} failed: {error}"))
    }
}

/// Whether the disk is full.
pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}
