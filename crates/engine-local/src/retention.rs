//! Retention: which events go, and giving the disk back.
//!
//! Driven by the keeping thread or by the simulator. Everything that ends events (age, size,
//! trims, drops) moves the start of a stream through the journal; here the starts that age and
//! size ask for are found, and segments that no stream refers to any more are removed.
//!
//! Files of one age expire whole where they can, so that the oldest block of a file stays as long as
//! its newest, but no longer than a tenth of its age. And so that blocks are not older than that at
//! one end than at the other, a generation is sealed before it is full once it holds events of a
//! tenth of their stream's age, an hour at least: however little is published, events go in time.
//! Their bytes go with their file, or when half of it is dead; those in the journal are overwritten
//! as its files are used again.
//!
//! Invariants: a start moves durably before any byte is removed; a damaged segment is set aside,
//! never removed.

use std::io;
use std::sync::Arc;

use outflow_model::{Offset, Timestamp};
use outflow_store::Op;

use crate::index::{Index, StreamLog};
use crate::segment::{self, Segment};
use crate::shared::Shared;

/// How many trims go into one batch.
pub(crate) const OPS: usize = 1000;

/// Which part of its age an event spends in the journal at most, and stays on behind its age.
const PART: u64 = 10;
/// For how long an event may be in the journal whatever its age, in milliseconds: streams of short
/// ages must not make many small files for all the others.
const JOURNALED_MS: u64 = 3_600_000;

/// Whether what is being filled should be handed to the sealer at `now`, though it is not full.
pub(crate) fn is_overdue(shared: &Shared, now: Timestamp) -> bool {
    if !shared.pending.is_empty() || shared.health.is_full() {
        return false;
    }
    let index = shared.index.read();
    index.streams.values().any(|stream| {
        let span = (stream.config.retention.age_ms / PART).max(JOURNALED_MS);
        let span = i64::try_from(span).unwrap_or(i64::MAX);
        let newest = now.plus_millis(span.saturating_neg());
        stream.tail.front().is_some_and(|chunk| chunk.at < newest)
    })
}

/// The trims that are due at `now`.
pub(crate) fn plan(shared: &Shared, now: Timestamp) -> Vec<Op> {
    let ids = shared.index.read().ids();
    let mut trims = Vec::new();
    for ids in ids.chunks(OPS) {
        let index = shared.index.read();
        for &id in ids {
            let Some(stream) = index.streams.get(&id) else { continue };
            if let Some(start) = due(&index, stream, now) {
                trims.push(Op::Trim(id, start));
            }
        }
    }
    trims
}

/// Where a stream should start now, if that is later than it does. Size takes only what leaves
/// at least the limit behind.
fn due(index: &Index, stream: &StreamLog, now: Timestamp) -> Option<Offset> {
    let retention = stream.config.retention;
    let age = i64::try_from(retention.age_ms).unwrap_or(i64::MAX);
    let oldest = now.plus_millis(age.saturating_neg());
    let late = oldest.plus_millis((age / PART as i64).saturating_neg());
    let max_bytes = retention.max_bytes.unwrap_or(u64::MAX);
    let (mut start, mut bytes) = (None, stream.bytes);
    for block in &stream.sealed {
        // Files of one family expire whole; until then a block costs nothing more.
        let newest = match index.segments.get(&block.segment) {
            Some(segment) if segment.age_ms == retention.age_ms && block.last_at >= late => {
                segment.newest
            }
            _ => block.last_at,
        };
        let rest = bytes.saturating_sub(block.plain_len.into());
        if newest >= oldest && rest < max_bytes {
            return start;
        }
        bytes = rest;
        start = Some(block.last.next());
    }
    for chunk in &stream.tail {
        let rest = bytes.saturating_sub(chunk.lines.len() as u64);
        if chunk.at >= oldest && rest < max_bytes {
            return start;
        }
        bytes = rest;
        start = Some(chunk.last().next());
    }
    start
}

/// Removes the segments that no stream refers to.
///
/// # Errors
/// The disk's: the engine has stopped.
pub(crate) fn sweep(shared: &Shared) -> io::Result<()> {
    if shared.health.stopped().is_some() {
        return Ok(());
    }
    let mut dead: Vec<Arc<Segment>> = {
        let index = shared.index.read();
        index.segments.values().filter(|segment| segment.live() == 0).cloned().collect()
    };
    dead.sort_unstable_by_key(|segment| segment.uid);
    for segment in dead {
        remove(shared, &segment)
            .inspect_err(|error| drop(shared.poison("removing a segment", error)))?;
    }
    Ok(())
}

fn remove(shared: &Shared, segment: &Segment) -> io::Result<()> {
    let path = segment::path(&shared.dir, segment.age_ms, segment.number);
    match shared.open_segment(segment) {
        // A reader may have planned with it.
        Ok(file) => shared.files.pin(segment, file),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            shared.health.damage(format!("{} was removed by somebody else", path.display()));
            shared.index.write().segments.remove(&segment.uid);
            return Ok(());
        }
        Err(error) => return Err(error),
    }
    if segment.is_damaged() {
        let quarantine = shared.dir.join("quarantine");
        let name = format!("segment-{}-{:016}.seg", segment.age_ms, segment.number);
        shared.fs().rename(&path, &quarantine.join(&name))?;
        shared.fs().sync_dir(&quarantine)?;
        shared.health.damage(format!("quarantine/{name} was set aside"));
    } else {
        shared.fs().remove(&path)?;
    }
    shared.fs().sync_dir(&segment::family(&shared.dir, segment.age_ms))?;
    shared.index.write().segments.remove(&segment.uid);
    Ok(())
}
