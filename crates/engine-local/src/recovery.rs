//! Opening a data directory: what is durable becomes what is served.
//!
//! Called once, by [`crate::log::Log::recover`]. Order: look at everything and refuse what a
//! later version wrote, without a write; load the segments' indexes and the state; make durable
//! what was found; replay the journal onto it; then go on in a journal file of its own, so that
//! no file that was being written at the crash is ever appended to again.
//!
//! Invariants: whole commits only; an event is in a segment or in memory, never in both; nothing
//! is deleted but unfinished files; what cannot be explained is reported and kept.

mod fasten;
mod jump;
mod load;
pub(crate) mod lost;
mod replay;

pub(crate) use load::{Found, Journals, Segments, journals, segments};
pub(crate) use lost::{has_data, has_state};

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64};

use outflow_model::StreamId;
use parking_lot::{Mutex, RwLock};

use crate::active::{Generation, Pending};
use crate::cache::Cache;
use crate::catalog::{self, EndRecord, SealedRecord, StreamRecord};
use crate::committer::{Committer, Resume, Tail};
use crate::health::Board;
use crate::identity;
use crate::index::{IdMap, Index};
use crate::journal::reader::JournalFile;
use crate::options::Options;
use crate::segment::open::OpenFiles;
use crate::shared::{Parts, Shared};
use crate::state::State;

/// Why a data directory was not opened. Nothing was written to it, unless it was being made.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// It is of a later version of the program.
    #[error("{file} has format {found}, and this version reads up to {known}: use a later version", file = .file.display())]
    Newer {
        /// What is newer.
        file: PathBuf,
        /// Its format.
        found: u32,
        /// The newest format this version reads.
        known: u32,
    },
    /// It has files, but not the one that says what it is.
    #[error("{dir} is not empty and not a data directory of outflow: give another one", dir = .0.display())]
    NotOurs(PathBuf),
    /// It holds events, but the file that says what it is is gone: so may be others.
    #[error("{dir} holds events, but its file FORMAT is missing: restore the whole directory from a backup; nothing was changed", dir = .0.display())]
    NoFormat(PathBuf),
    /// It holds events, but not the state that goes with them: to go on would use offsets again.
    #[error("{dir}/state is missing or older than the events beside it: restore the whole directory from a backup; nothing was changed", dir = .0.display())]
    StateLost(PathBuf),
    /// The state is there and cannot be read.
    #[error("{dir}/state is damaged and cannot be opened ({error}): restore the whole directory from a backup", dir = .dir.display())]
    StateDamaged {
        /// The data directory.
        dir: PathBuf,
        /// What its store says.
        error: io::Error,
    },
    /// Another process has it open.
    #[error("{dir} is in use by another process", dir = .0.display())]
    Locked(PathBuf),
    /// The disk does not let us.
    #[error("{what} failed: {error}")]
    Io {
        /// What was being done.
        what: &'static str,
        /// What the operating system says.
        error: io::Error,
    },
}

/// Turns a disk error into an [`OpenError`].
pub(crate) fn io_error(what: &'static str) -> impl Fn(io::Error) -> OpenError {
    move |error| OpenError::Io { what, error }
}

/// A recovered engine, before anything is driven.
pub(crate) struct Recovered {
    pub(crate) shared: Arc<Shared>,
    pub(crate) committer: Committer,
}

/// What the state says of streams and segments.
pub(crate) struct Known {
    pub(crate) sealed: SealedRecord,
    pub(crate) streams: Vec<(StreamId, StreamRecord)>,
    pub(crate) ends: Vec<(StreamId, EndRecord)>,
}

impl Known {
    pub(crate) fn read(state: &dyn State) -> io::Result<Self> {
        let (streams, ends) = (catalog::streams(state)?, catalog::ends(state)?);
        Ok(Self { sealed: catalog::sealed(state)?, streams, ends })
    }
}

/// What is gathered on the way.
struct Recovery<'a> {
    dir: &'a Path,
    parts: &'a Parts,
    health: Board,
    index: Index,
    tails: IdMap<StreamId, Tail>,
    /// The blocks of streams that are not known (yet).
    loose: IdMap<StreamId, Vec<crate::index::BlockRef>>,
    sealed: SealedRecord,
    waiting: VecDeque<Generation>,
    next_segment: u64,
    next_uid: u32,
    /// The highest sequence and generation seen anywhere.
    last_sequence: u64,
    last_generation: u64,
    /// Whether the journal is damaged, so that commits may be gone.
    is_damaged: bool,
}

/// Opens the directory. See the module.
pub(crate) fn recover(dir: &Path, options: Options, parts: &Parts) -> Result<Recovered, OpenError> {
    let options = options.bounded();
    identity::check(parts.fs.as_ref(), dir)?;
    let known = Known::read(parts.state.as_ref())
        .map_err(|error| OpenError::StateDamaged { dir: dir.to_owned(), error })?;
    let sealed = known.sealed;
    let journals = load::journals(parts.fs.as_ref(), dir, sealed.generation)?;
    let segments = load::segments(parts.fs.as_ref(), dir)?;
    let applied = parts.state.applied();
    lost::check(dir, parts.fs.as_ref(), applied, &known, &journals.live, &segments)?;

    let mut recovery = Recovery {
        dir,
        parts,
        health: Board::default(),
        index: Index::default(),
        tails: IdMap::default(),
        loose: IdMap::default(),
        sealed,
        waiting: VecDeque::new(),
        next_segment: 1,
        next_uid: 1,
        last_sequence: sealed.last_sequence,
        last_generation: sealed.generation,
        is_damaged: false,
    };
    recovery.make_directories()?;
    recovery.note_quarantine()?;
    recovery.take_segments(segments)?;
    recovery.take_state(known);
    let Journals { live, free, cut, next_slot } = journals;
    recovery.fasten(&live).map_err(io_error("making durable what was found"))?;
    recovery.note_cut(&cut);
    recovery.replay(live).map_err(io_error("replaying the journal"))?;
    recovery.settle();
    recovery.jump(&cut).map_err(io_error("going on past the damage"))?;
    recovery.begin_empty();
    recovery.finish(options, parts.clone(), free, next_slot)
}

/// The journal files that are needed, in order of generation, with their slots.
pub(crate) type Live = Vec<(u32, JournalFile)>;

impl Recovery<'_> {
    fn make_directories(&self) -> Result<(), OpenError> {
        let make = || -> io::Result<()> {
            for name in ["journal", "segments", "quarantine"] {
                self.parts.fs.create_dir_all(&self.dir.join(name))?;
            }
            identity::write(self.parts.fs.as_ref(), self.dir)?;
            self.parts.fs.sync_dir(self.dir)
        };
        make().map_err(io_error("making the data directory"))
    }

    fn note_quarantine(&self) -> Result<(), OpenError> {
        let dir = self.dir.join("quarantine");
        let mut names = self.parts.fs.list(&dir).map_err(io_error("listing the quarantine"))?;
        names.sort_unstable();
        for name in names {
            self.health.damage(format!("quarantine/{name} was set aside"));
        }
        Ok(())
    }

    fn note_cut(&mut self, cut: &[u32]) {
        for slot in cut {
            self.is_damaged = true;
            self.health.damage(format!("journal/{slot:04}.jrn: nothing of it is left"));
        }
    }

    fn finish(
        self,
        options: Options,
        parts: Parts,
        free: Vec<u32>,
        next_slot: u32,
    ) -> Result<Recovered, OpenError> {
        let mut epochs = [0; 256];
        let stored =
            catalog::epochs(parts.state.as_ref()).map_err(io_error("reading the state"))?;
        for (shard, epoch) in stored {
            if let Some(to) = epochs.get_mut(usize::from(shard.0)) {
                *to = epoch;
            }
        }
        let total = parts.fs.total_bytes(self.dir).map_err(io_error("asking for free space"))?;
        let (reserve, too_small) = (options.reserve(total), options.too_small(total));
        let resume = Resume {
            next_generation: self.last_generation + 1,
            next_sequence: self.last_sequence + 1,
            has_jumped: self.is_damaged,
            tails: self.tails,
            epochs,
        };
        let shared = Arc::new(Shared {
            dir: self.dir.to_owned(),
            cache: Cache::new(options.cache_bytes, options.block_bytes),
            files: OpenFiles::new(options.open_segments),
            options,
            parts,
            index: RwLock::new(self.index),
            health: self.health,
            pending: Pending::new(self.waiting, free, next_slot),
            observer: RwLock::new(None),
            reserve: AtomicU64::new(reserve),
            next_uid: AtomicU32::new(self.next_uid),
            next_segment: AtomicU64::new(self.next_segment),
            keeping: Mutex::new(()),
            wants_next: AtomicBool::new(false),
            committed: AtomicU64::new(self.last_sequence),
        });
        shared.check_space();
        if let Some(too_small) = too_small {
            tracing::warn!("the data directory: {too_small}");
        }
        if shared.health.is_full() {
            // Of the files that are free: as many may wait to be sealed as there may be at all.
            shared.keep_spare();
        }
        let committer = Committer::new(shared.clone(), resume);
        Ok(Recovered { shared, committer })
    }
}
