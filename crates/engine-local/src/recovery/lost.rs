//! Whether the state is the one that goes with the events beside it.
//!
//! Called by recovery, before its first write, by the engine before it opens the state, and by
//! verify. What was sealed is known by the state alone: without it, or with an older one, streams
//! would seem empty and their offsets would be used again.

use std::path::Path;

use super::load::{Segments, journals, segments};
use super::{Known, Live, OpenError, io_error};
use crate::fs::Fs;
use crate::index::{IdMap, IdSet};
use crate::journal::record::FileHead;
use crate::state::{MARKER, PART_COUNT, PART_MARKER, PARTS, is_part};

/// Whether the directory has a state that would be opened rather than made, in whole and in each of
/// its parts: the store makes a part anew, and empty, whose folder or file it does not find. Parts
/// are counted, not looked for by their numbers: those depend on what came of the first start.
pub(crate) fn has_state(fs: &dyn Fs, dir: &Path) -> Result<bool, OpenError> {
    let state = dir.join("state");
    if !list(fs, &state)?.iter().any(|name| name == MARKER) {
        return Ok(false);
    }
    let folder = state.join(PARTS);
    let mut parts = 0;
    // What has no number is a stray, which is moved away before the state is opened.
    for part in list(fs, &folder)?.into_iter().filter(|name| is_part(name)) {
        let names = match fs.list(&folder.join(part)) {
            // A stray file, as the store sees it as well.
            Err(error) if error.kind() == std::io::ErrorKind::NotADirectory => continue,
            names => names.map_err(io_error("listing the state"))?,
        };
        if !names.iter().any(|name| name == PART_MARKER) {
            return Ok(false);
        }
        parts += 1;
    }
    Ok(parts >= PART_COUNT)
}

/// The names in a folder of the state; none when it is not there.
fn list(fs: &dyn Fs, folder: &Path) -> Result<Vec<String>, OpenError> {
    match fs.list(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        names => names.map_err(io_error("listing the state")),
    }
}

/// Whether the directory has segments, or a journal with commits in it.
pub(crate) fn has_data(fs: &dyn Fs, dir: &Path) -> Result<bool, OpenError> {
    if !segments(fs, dir)?.found.is_empty() {
        return Ok(true);
    }
    Ok(journals(fs, dir, 0)?.live.iter().any(|(_, file)| !file.records.is_empty()))
}

/// Whether commits are missing between two of the files: an old one, kept as the spare, may begin
/// where a blank state ends, while those behind it were used again.
fn has_gap(live: &Live) -> bool {
    let mut expected = u64::MAX;
    live.iter().any(|(_, file)| {
        let is_gap = file.head.first_sequence > expected && !file.head.has_jumped;
        let last = file.records.last().map(|record| record.sequence + 1);
        expected = last.unwrap_or(file.head.first_sequence);
        is_gap
    })
}

/// Refuses when commits are missing between the state and the journal, or within the journal, and
/// the segments show that it is the state that lacks them.
///
/// A crash leaves no such gap: a journal file is free only when the state that replaces it is
/// durable. A damaged journal leaves one, but no segments with what the state does not know.
pub(crate) fn check(
    dir: &Path,
    fs: &dyn Fs,
    applied: u64,
    known: &Known,
    live: &Live,
    segments: &Segments,
) -> Result<(), OpenError> {
    let applied = applied.max(known.sealed.last_sequence);
    let first = live.iter().find(|(_, file)| !file.records.is_empty());
    let follows = |head: &FileHead| head.has_jumped || head.first_sequence <= applied + 1;
    let follows = first.is_some_and(|(_, file)| follows(&file.head));
    if follows && !has_gap(live) {
        return Ok(());
    }
    let is_blank = applied == 0 && known.streams.is_empty();
    if is_blank && first.is_some() && (!follows || !segments.found.is_empty()) {
        return Err(OpenError::StateLost(dir.to_owned()));
    }
    // A journal that was set aside explains a gap, and what a crash left in between.
    let quarantine = fs.list(&dir.join("quarantine")).unwrap_or_default();
    if quarantine.iter().any(|name| name.starts_with("journal-")) && !is_blank {
        return Ok(());
    }
    let ends: IdMap<_, _> = known.ends.iter().map(|&(id, end)| (id, end.next)).collect();
    let dropped = known.streams.iter().filter(|(_, record)| record.is_dropped);
    let dropped: IdSet<_> = dropped.map(|&(id, _)| id).collect();
    let mut blocks = segments.found.iter().flat_map(|found| &found.read.entries);
    let is_behind = blocks.any(|entry| {
        let is_known = ends.get(&entry.stream).is_some_and(|&end| entry.block.last < end);
        !is_known && !dropped.contains(&entry.stream)
    });
    if is_behind { Err(OpenError::StateLost(dir.to_owned())) } else { Ok(()) }
}
