//! Rewrites full journal generations into segments, sorted by stream.
//!
//! Driven by the sealing thread or by the simulator; calls segments, the index and the state.
//!
//! The order makes a crash harmless at every point: segments durable under their names, then
//! shown, then the ends of streams and the sealed generation durable in the state, and only then
//! is the journal file free. A crash in between leaves events both in a segment and in the
//! journal, and recovery takes each once.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use outflow_model::{Offset, StreamId, Timestamp};

use crate::active::Generation;
use crate::catalog::{self, EndRecord, SealedRecord};
use crate::index::Chunk;
use crate::journal;
use crate::reading;
use crate::segment::block::Form;
use crate::segment::footer::Entry;
use crate::segment::writer::SegmentWriter;
use crate::segment::{self, Segment, SegmentMeta};
use crate::shared::{Shared, is_full};

/// How many ends of streams are given to the state at once.
const PUTS: usize = 1000;

/// Told how many bytes were written, so that it can slow the sealer down.
pub(crate) type Pace<'a> = &'a mut dyn FnMut(u64);

/// Seals the oldest generation that waits. `false`: none waits, the disk is full, or the engine
/// has stopped: what a failed sealing left is sorted out at recovery only.
///
/// # Errors
/// When the disk fails: the engine has stopped.
pub(crate) fn step(shared: &Shared, pace: Pace<'_>) -> io::Result<bool> {
    if shared.health.stopped().is_some() {
        return Ok(false);
    }
    let Some(generation) = shared.pending.oldest() else { return Ok(false) };
    match seal(shared, &generation, pace) {
        Ok(()) => {
            shared.pending.sealed();
            if shared.pending.is_spare_spent() {
                shared.keep_spare();
            }
            shared.check_space();
            Ok(true)
        }
        Err(error) if is_full(&error) => {
            shared.set_full(true);
            Ok(false)
        }
        Err(error) => {
            shared.poison("sealing", &error);
            Err(error)
        }
    }
}

fn seal(shared: &Shared, generation: &Generation, pace: Pace<'_>) -> io::Result<()> {
    let families = families(shared, generation);
    // With more waiting behind it, time matters more than space: compaction deflates later.
    let form = if shared.pending.len() > 1 { Form::Plain } else { Form::Deflated };
    for (age_ms, streams) in &families {
        let number = shared.new_segment_number();
        let path = segment::path(&shared.dir, *age_ms, number);
        let mut writer = SegmentWriter::begin(shared.fs(), path, *age_ms, number)?;
        if let Err(error) = write(shared, generation, streams, &mut writer, form, pace) {
            writer.abandon(shared.fs());
            return Err(error);
        }
        let (file, entries) = writer.finish(shared.fs())?;
        let meta = SegmentMeta { uid: shared.new_uid(), number, age_ms: *age_ms };
        let segment = Segment::new(meta, &entries);
        shared.files.insert(&segment, file);
        show(shared, generation, segment, &entries);
    }
    note_ends(shared, generation)?;
    if generation.is_damaged {
        // Before it counts as sealed, so that a crash cannot free its file.
        shared.state().persist()?;
        let (slot, number) = (generation.slot, generation.number);
        let name = journal::set_aside(shared.fs(), &shared.dir, slot, number)?;
        shared.health.damage(format!("quarantine/{name} was set aside"));
    }
    let sealed =
        SealedRecord { generation: generation.number, last_sequence: generation.last_sequence };
    shared.state().apply(&[catalog::sealed_put(sealed)], None)?;
    shared.state().persist()
}

/// The generation's streams, in order, by the age at which their events expire.
fn families(shared: &Shared, generation: &Generation) -> BTreeMap<u64, Vec<StreamId>> {
    let mut streams = generation.streams.clone();
    streams.sort_unstable();
    streams.dedup();
    let mut families: BTreeMap<u64, Vec<StreamId>> = BTreeMap::new();
    let index = shared.index.read();
    for id in streams {
        let Some(stream) = index.streams.get(&id) else { continue };
        if stream.tail.front().is_some_and(|chunk| chunk.generation <= generation.number) {
            families.entry(stream.config.retention.age_ms).or_default().push(id);
        }
    }
    families
}

fn write(
    shared: &Shared,
    generation: &Generation,
    streams: &[StreamId],
    writer: &mut SegmentWriter,
    form: Form,
    pace: Pace<'_>,
) -> io::Result<()> {
    for &id in streams {
        let chunks = chunks(shared, generation, id);
        let mut rest = chunks.as_slice();
        while !rest.is_empty() {
            let (group, after) = rest
                .split_at_checked(group(rest, shared.options.block_bytes))
                .unwrap_or((rest, &[]));
            rest = after;
            let (Some(block), Some(first)) = (reading::join(group), group.first()) else {
                continue;
            };
            let len = writer.add(id, &block, first.previous, form)?;
            pace(len.into());
        }
    }
    Ok(())
}

/// A stream's chunks of the generation. Chunks of earlier ones come first and are sealed already.
fn chunks(shared: &Shared, generation: &Generation, id: StreamId) -> Vec<Chunk> {
    let index = shared.index.read();
    let Some(stream) = index.streams.get(&id) else { return Vec::new() };
    let of = |chunk: &&Chunk| chunk.generation == generation.number;
    stream.tail.iter().take_while(of).cloned().collect()
}

/// How many chunks make the next block: about `block_bytes` of lines, none missing in between,
/// and such that the times of their events tell when each was taken (time lookups need that).
fn group(chunks: &[Chunk], block_bytes: usize) -> usize {
    let (mut bytes, mut time, mut tells) = (0, Timestamp::from_millis(i64::MIN), true);
    let (mut first_at, mut last) = (None, Offset::LAST);
    let fits = chunks.iter().take_while(|chunk| {
        let is_first = first_at.is_none();
        let follows = chunk.previous <= last;
        last = chunk.last();
        let same_time = *first_at.get_or_insert(chunk.at) == chunk.at;
        // Within one time nothing needs telling; after it, everything does.
        let told = reading::times_tell(chunk, time.max(first_at.unwrap_or(chunk.at)));
        let joins = same_time || (tells && told);
        tells &= told || same_time;
        time = time.max(chunk.at);
        bytes += chunk.lines.len();
        is_first || (follows && joins && bytes <= block_bytes)
    });
    fits.count().max(1)
}

/// Puts the segment's blocks in place of the chunks they were made of.
fn show(shared: &Shared, generation: &Generation, segment: Segment, entries: &[Entry]) {
    let segment = Arc::new(segment);
    let mut index = shared.index.write();
    index.segments.insert(segment.uid, segment.clone());
    drop(index);
    for entries in entries.chunk_by(|a, b| a.stream == b.stream) {
        let mut index = shared.index.write();
        let Some(id) = entries.first().map(|entry| entry.stream) else { continue };
        let Some(stream) = index.streams.get_mut(&id) else { continue };
        while let Some(chunk) =
            stream.tail.front().filter(|chunk| chunk.generation <= generation.number)
        {
            stream.bytes = stream.bytes.saturating_sub(chunk.lines.len() as u64);
            stream.tail.pop_front();
        }
        let sealed_end = entries.last().map_or(Offset::ZERO, |entry| entry.block.last);
        stream.sealed_end = stream.sealed_end.max(sealed_end);
        for entry in entries.iter().filter(|entry| entry.block.last >= stream.start) {
            let mut block = entry.block;
            block.segment = segment.uid;
            segment.retain(block.len.into());
            stream.bytes += u64::from(block.plain_len);
            stream.sealed.push_back(block);
        }
    }
}

/// Notes in the state where the generation's streams end.
fn note_ends(shared: &Shared, generation: &Generation) -> io::Result<()> {
    let mut streams = generation.streams.clone();
    streams.sort_unstable();
    streams.dedup();
    for ids in streams.chunks(PUTS) {
        let index = shared.index.read();
        let mut puts = Vec::with_capacity(ids.len());
        for &id in ids {
            let Some(stream) = index.streams.get(&id) else { continue };
            let (next, last_at) = (stream.next, stream.last_at);
            let (last, sealed) = (stream.last, stream.sealed_end);
            let end = EndRecord { next, last_at, last, sealed };
            puts.push(catalog::end_put(id, end));
        }
        drop(index);
        shared.state().apply(&puts, None)?;
    }
    Ok(())
}
