//! Reading what is on the disk, without a write.

use std::path::{Path, PathBuf};

use super::{Live, OpenError, io_error};
use crate::fs::Fs;
use crate::journal::reader::{self as journal_reader, JournalRead};
use crate::journal::{record, writer as journal_writer};
use crate::segment;
use crate::segment::reader::{SegmentOpen, SegmentRead};
use crate::segment::writer::UNFINISHED;

/// A segment file and its index.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) age_ms: u64,
    pub(crate) number: u64,
    pub(crate) read: SegmentRead,
}

/// The segment files, and the names of those that never became whole.
#[derive(Debug, Default)]
pub(crate) struct Segments {
    pub(crate) found: Vec<Found>,
    pub(crate) unfinished: Vec<PathBuf>,
}

/// The names in a directory that may not exist, in order.
fn list(fs: &dyn Fs, dir: &Path) -> Result<Vec<String>, OpenError> {
    match fs.list(dir) {
        Ok(mut names) => {
            names.sort_unstable();
            Ok(names)
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(io_error("listing a directory")(error)),
    }
}

/// The journal files.
#[derive(Debug, Default)]
pub(crate) struct Journals {
    /// Those that are needed.
    pub(crate) live: Live,
    /// The slots of those that can be used again.
    pub(crate) free: Vec<u32>,
    /// The slots of those that were cut to less than a head.
    pub(crate) cut: Vec<u32>,
    /// The first slot that has no file.
    pub(crate) next_slot: u32,
}

/// Reads every journal file that holds generations above `sealed`.
pub(crate) fn journals(fs: &dyn Fs, dir: &Path, sealed: u64) -> Result<Journals, OpenError> {
    let Journals { mut live, mut free, mut cut, mut next_slot } = Journals::default();
    for name in list(fs, &dir.join("journal"))? {
        let slot = name.strip_suffix(".jrn").and_then(|number| number.parse::<u32>().ok());
        let Some(slot) = slot else { continue };
        next_slot = next_slot.max(slot + 1);
        let path = journal_writer::path(dir, slot);
        match journal_reader::read(fs, &path, sealed).map_err(io_error("reading the journal"))? {
            JournalRead::Live(file) if file.records.is_empty() && file.damage.is_empty() => {
                free.push(slot);
                live.push((slot, file));
            }
            JournalRead::Live(file) => live.push((slot, file)),
            JournalRead::Free => free.push(slot),
            JournalRead::Cut => cut.push(slot),
            JournalRead::Newer(found) => {
                return Err(OpenError::Newer { file: path, found, known: record::VERSION });
            }
        }
    }
    live.sort_by_key(|(_, file)| file.head.generation);
    Ok(Journals { live, free, cut, next_slot })
}

/// Reads the index of every segment file.
pub(crate) fn segments(fs: &dyn Fs, dir: &Path) -> Result<Segments, OpenError> {
    let mut all = Segments::default();
    for family in list(fs, &dir.join("segments"))? {
        let Ok(age_ms) = family.parse::<u64>() else { continue };
        let family = segment::family(dir, age_ms);
        for name in list(fs, &family)? {
            if name.ends_with(UNFINISHED) {
                all.unfinished.push(family.join(name));
                continue;
            }
            let number = name.strip_suffix(".seg").and_then(|number| number.parse::<u64>().ok());
            let Some(number) = number else { continue };
            let path = segment::path(dir, age_ms, number);
            let open = segment::reader::open(fs, &path);
            match open.map_err(io_error("reading a segment"))? {
                SegmentOpen::Read(read) => all.found.push(Found { age_ms, number, read }),
                SegmentOpen::Newer(found) => {
                    return Err(OpenError::Newer { file: path, found, known: segment::VERSION });
                }
            }
        }
    }
    Ok(all)
}
