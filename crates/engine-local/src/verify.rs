//! Checks a data directory that nothing has open: reads every byte that is under a checksum, and
//! writes nothing.
//!
//! Called by `outflow verify`. Calls the readers of segments and of the journal, and has a copy of
//! the state opened by its own store.
//!
//! Where streams start and what must be there is known from the state, and from the trims and
//! drops that the journal holds. Of the events found some may be no longer retained and only wait
//! for their place to be used again.

mod report;
mod state;

use std::fs::TryLockError;
use std::path::Path;

use outflow_model::{MetaSlice, Offset};

use crate::fs::{Fs, OpenMode, RealFs};
use crate::identity;
use crate::journal::op::{self, JournalOp};
use crate::recovery::{Found, Journals, OpenError, io_error, journals, segments};
use crate::segment;
use crate::segment::reader::read_run;
use crate::state::State;

use report::{Gather, Run};
pub use report::{Report, StreamReport};

/// How far a check is, in bytes of segments and journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Read so far.
    pub done: u64,
    /// To be read in all.
    pub total: u64,
}

/// Checks the data directory `dir`. `progress` is told every few megabytes.
///
/// # Errors
/// [`OpenError`] when it is in use, newer, not a data directory, or cannot be read. Damage is no
/// error: it is in the report.
pub fn verify(dir: &Path, progress: &mut dyn FnMut(Progress)) -> Result<Report, OpenError> {
    // Held to the end, so that no engine starts meanwhile. A directory without one has no engine.
    let _lock = match std::fs::File::open(dir.join("lock")) {
        Ok(lock) => match lock.try_lock_shared() {
            Ok(()) => Some(lock),
            Err(TryLockError::WouldBlock) => return Err(OpenError::Locked(dir.to_owned())),
            Err(TryLockError::Error(error)) => return Err(io_error("locking")(error)),
        },
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => return Err(io_error("opening the lock")(error)),
    };
    identity::check(&RealFs, dir)?;
    let copied = state::copy_of(&RealFs, dir)?;
    let state = copied.as_ref().and_then(|copied| copied.as_ref().ok());
    let state = state.map(|copied| &copied.state as &dyn State);
    let mut report = verify_on(&RealFs, dir, state, progress)?;
    match copied {
        None if report.segments > 0 || report.commits > 0 => {
            report.damage.push("state: it is missing".into());
        }
        Some(Err(error)) => report.damage.push(format!("state: {error}")),
        _ => {}
    }
    Ok(report)
}

/// As [`verify`], on any file system and without the lock, with a state that was opened, if there
/// is one.
///
/// # Errors
/// See [`verify`].
pub fn verify_on(
    fs: &dyn Fs,
    dir: &Path,
    state: Option<&dyn State>,
    progress: &mut dyn FnMut(Progress),
) -> Result<Report, OpenError> {
    identity::check(fs, dir)?;
    let segments = segments(fs, dir)?;
    let total = segments.found.iter().map(bytes_of).sum();
    let mut gather = Gather::default();
    let known = match state {
        Some(state) => state::check(state, fs, dir, &segments, &mut gather.report.damage)?,
        None => None,
    };
    let sealed = known.as_ref().map_or(0, |known| known.sealed.generation);
    gather.report.unfinished = segments.unfinished.len();
    let mut done = 0;
    for found in &segments.found {
        check_segment(fs, dir, found, &mut gather).map_err(io_error("reading a segment"))?;
        done += bytes_of(found);
        progress(Progress { done, total });
    }
    let Journals { live, cut, .. } = journals(fs, dir, 0)?;
    for slot in cut {
        gather.report.damage.push(format!("journal/{slot:04}.jrn: nothing of it is left"));
    }
    for (slot, file) in live {
        gather.report.journal_files += 1;
        for what in &file.damage {
            gather.report.damage.push(format!("journal/{slot:04}.jrn: {what}"));
        }
        for record in &file.records {
            gather.report.commits += 1;
            let mut payload = record.payload.clone();
            for _ in 0..record.ops {
                let Some(op) = op::decode(&mut payload) else {
                    let sequence = record.sequence;
                    gather.report.damage.push(format!("commit {sequence} cannot be read"));
                    break;
                };
                let (stream, first, previous, count, lines, metas) = match op {
                    JournalOp::Append { stream, first, previous, count, lines, metas, .. } => {
                        (stream, first, previous, count, lines, metas)
                    }
                    JournalOp::Trim(stream, start) => {
                        gather.trimmed(stream, start);
                        continue;
                    }
                    JournalOp::Drop(stream) => {
                        gather.trimmed(stream, Offset::LAST.next());
                        continue;
                    }
                    JournalOp::Put { .. } | JournalOp::Set(..) => continue,
                };
                let last = first.plus(u64::from(count) - 1);
                let bytes = lines.len() as u64;
                let run = Run { first, last, previous, events: count.into(), bytes };
                if !is_whole(&lines, &metas, count) {
                    gather.report.damage.push(format!("commit {}: {stream}", record.sequence));
                }
                // What is sealed must be in a segment: this copy is not read any more.
                if file.head.generation > sealed {
                    gather.journaled(stream, run);
                }
            }
        }
    }
    let quarantine = fs.list(&dir.join("quarantine"));
    gather.report.quarantined = quarantine.unwrap_or_default();
    gather.report.quarantined.sort_unstable();
    Ok(gather.finish(known.as_ref()))
}

/// The bytes of a segment's blocks.
fn bytes_of(found: &Found) -> u64 {
    found.read.entries.iter().map(|entry| u64::from(entry.block.len)).sum()
}

/// Checks every block of a segment.
fn check_segment(
    fs: &dyn Fs,
    dir: &Path,
    found: &Found,
    gather: &mut Gather,
) -> std::io::Result<()> {
    let file = fs.open(&segment::path(dir, found.age_ms, found.number), OpenMode::Read)?;
    let name = format!("segments/{}/{:016}.seg", found.age_ms, found.number);
    gather.report.segments += 1;
    for what in &found.read.damage {
        gather.report.damage.push(format!("{name}: {what}"));
    }
    for entry in &found.read.entries {
        let (stream, block) = (entry.stream, &entry.block);
        let read = read_run(file.as_ref(), stream, std::slice::from_ref(block))?;
        let is_good = read.iter().flatten().any(|stored| {
            let (lines, metas) = (stored.block.lines(), stored.block.meta_bytes());
            lines.is_ok_and(|lines| {
                metas.is_ok_and(|metas| is_whole(lines, metas, stored.block.count))
            })
        });
        gather.report.blocks += 1;
        if !is_good {
            let (first, last) = (block.first, block.last);
            gather
                .report
                .damage
                .push(format!("{name} at byte {}: {first} to {last} of {stream}", block.position));
        }
        let (events, bytes) = (block.count.into(), block.plain_len.into());
        let (first, last, previous) = (block.first, block.last, block.previous);
        gather.sealed(stream, Run { first, last, previous, events, bytes });
    }
    Ok(())
}

/// Whether the sidecars describe exactly these lines.
fn is_whole(lines: &[u8], metas: &[u8], count: u32) -> bool {
    let metas = MetaSlice::new(metas);
    let (mut events, mut bytes) = (0, 0);
    for (meta, line) in metas.with_lines(lines) {
        if meta.line_len == 0 || line.last() != Some(&b'\n') {
            return false;
        }
        events += 1;
        bytes += line.len();
    }
    events == count && metas.len() == count as usize && bytes == lines.len()
}
