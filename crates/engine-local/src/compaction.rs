//! Compaction: rewrites a segment that is more dead than alive, or that was sealed in a hurry.
//!
//! Driven by the keeping thread, when nothing waits to be sealed, or by the simulator.
//!
//! The new file takes the old one's name in one rename, so that after a crash one of them is
//! there, whole. Readers of the old one keep it pinned.

use std::io;
use std::sync::Arc;

use outflow_model::StreamId;

use crate::fs::File;
use crate::index::BlockRef;
use crate::sealer::Pace;
use crate::segment::block::Form;
use crate::segment::footer::Entry;
use crate::segment::reader::read_run;
use crate::segment::writer::SegmentWriter;
use crate::segment::{self, Segment, SegmentMeta};
use crate::shared::{Shared, is_full};

/// How many blocks are read at once.
const RUN: usize = 16;

/// Rewrites the one segment that gains most; `false` when none is worth it.
///
/// # Errors
/// The disk's: the engine has stopped.
pub(crate) fn step(shared: &Shared, pace: Pace<'_>) -> io::Result<bool> {
    if !shared.pending.is_empty() || shared.health.stopped().is_some() {
        return Ok(false);
    }
    let Some(old) = candidate(shared) else { return Ok(false) };
    match rewrite(shared, &old, pace) {
        Ok(done) => {
            shared.check_space();
            Ok(done)
        }
        Err(error) if is_full(&error) => {
            shared.set_full(true);
            Ok(false)
        }
        Err(error) => {
            shared.poison("rewriting a segment", &error);
            Err(error)
        }
    }
}

fn candidate(shared: &Shared) -> Option<Arc<Segment>> {
    let index = shared.index.read();
    let worth = |segment: &&Arc<Segment>| {
        let live = segment.live();
        live > 0 && !segment.is_damaged() && (segment.is_plain || live * 2 < segment.total)
    };
    index
        .segments
        .values()
        .filter(worth)
        .min_by_key(|segment| (segment.live(), segment.uid))
        .cloned()
}

/// Returns whether the segment was replaced.
fn rewrite(shared: &Shared, old: &Arc<Segment>, pace: Pace<'_>) -> io::Result<bool> {
    let path = segment::path(&shared.dir, old.age_ms, old.number);
    let from = match shared.open_segment(old) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            old.set_damaged();
            shared.health.damage(format!("{} was removed by somebody else", path.display()));
            return Ok(false);
        }
        opened => opened?,
    };
    let mut writer = SegmentWriter::begin(shared.fs(), path, old.age_ms, old.number)?;
    for &id in &old.streams {
        let copied = copy(shared, old, from.as_ref(), id, &mut writer, pace);
        match copied {
            Ok(true) => {}
            Ok(false) => {
                writer.abandon(shared.fs());
                return Ok(false);
            }
            Err(error) => {
                writer.abandon(shared.fs());
                return Err(error);
            }
        }
    }
    shared.files.pin(old, from);
    let (file, entries) = writer.finish(shared.fs())?;
    let meta = SegmentMeta { uid: shared.new_uid(), number: old.number, age_ms: old.age_ms };
    let new = Segment::new(meta, &entries);
    shared.files.insert(&new, file);
    show(shared, old, new, &entries);
    Ok(true)
}

/// Copies the blocks that a stream still refers to; `false` when one is damaged.
fn copy(
    shared: &Shared,
    old: &Segment,
    from: &dyn File,
    id: StreamId,
    writer: &mut SegmentWriter,
    pace: Pace<'_>,
) -> io::Result<bool> {
    for run in live_blocks(shared, old, id).chunks(RUN) {
        for (block, read) in run.iter().zip(read_run(from, id, run)?) {
            let Ok(stored) = read else {
                old.set_damaged();
                let (age, number) = (old.age_ms, old.number);
                let (first, last) = (block.first, block.last);
                shared.health.damage(format!(
                    "{age}/{number:016}.seg at byte {}: {first} to {last}",
                    block.position
                ));
                return Ok(false);
            };
            pace(writer.add(id, &stored.block, block.previous, Form::Deflated)?.into());
        }
    }
    Ok(true)
}

fn live_blocks(shared: &Shared, old: &Segment, id: StreamId) -> Vec<BlockRef> {
    let index = shared.index.read();
    let Some(stream) = index.streams.get(&id) else { return Vec::new() };
    stream.sealed.iter().filter(|block| block.segment == old.uid).copied().collect()
}

/// Puts the new blocks in place of the old ones; what was trimmed meanwhile stays trimmed.
fn show(shared: &Shared, old: &Segment, new: Segment, entries: &[Entry]) {
    let new = Arc::new(new);
    shared.index.write().segments.insert(new.uid, new.clone());
    for entries in entries.chunk_by(|a, b| a.stream == b.stream) {
        let mut index = shared.index.write();
        let Some(id) = entries.first().map(|entry| entry.stream) else { continue };
        let Some(stream) = index.streams.get_mut(&id) else { continue };
        let olds = stream.sealed.iter_mut().filter(|block| block.segment == old.uid);
        for block in olds {
            let at = entries.binary_search_by_key(&block.first, |entry| entry.block.first);
            let Some(entry) = at.ok().and_then(|at| entries.get(at)) else { continue };
            *block = BlockRef { segment: new.uid, ..entry.block };
            new.retain(block.len.into());
        }
    }
    shared.index.write().segments.remove(&old.uid);
}
