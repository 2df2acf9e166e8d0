//! Putting segments, state and journal together.

use std::io;
use std::sync::Arc;

use outflow_model::{Offset, StreamId};

use super::load::Segments;
use super::{Known, Live, OpenError, Recovery, io_error};
use crate::active::Generation;
use crate::catalog::{self, StreamRecord};
use crate::committer::{Tail, revision};
use crate::index::{Chunk, StreamLog};
use crate::journal::op::{self, JournalOp};
use crate::journal::record::Record;
use crate::segment::{Segment, SegmentMeta};
use crate::state::StatePut;

/// How many puts are given to the state at once.
const PUTS: usize = 1000;

impl Recovery<'_> {
    /// Opens the segments; their blocks wait for their streams to be known.
    pub(super) fn take_segments(&mut self, segments: Segments) -> Result<(), OpenError> {
        for path in segments.unfinished {
            self.parts.fs.remove(&path).map_err(io_error("removing an unfinished segment"))?;
        }
        for found in segments.found {
            self.next_segment = self.next_segment.max(found.number + 1);
            let uid = self.next_uid;
            self.next_uid += 1;
            let meta = SegmentMeta { uid, number: found.number, age_ms: found.age_ms };
            let segment = Segment::new(meta, &found.read.entries);
            for what in found.read.damage {
                segment.set_damaged();
                let (age, number) = (found.age_ms, found.number);
                self.health.damage(format!("segments/{age}/{number:016}.seg: {what}"));
            }
            for entry in found.read.entries {
                let mut block = entry.block;
                block.segment = uid;
                self.loose.entry(entry.stream).or_default().push(block);
            }
            self.index.segments.insert(uid, Arc::new(segment));
        }
        Ok(())
    }

    /// Makes the streams that the state knows.
    pub(super) fn take_state(&mut self, known: Known) {
        for (id, record) in known.streams {
            self.make_stream(id, record);
        }
        for (id, end) in known.ends {
            if let Some(tail) = self.tails.get_mut(&id) {
                tail.next = tail.next.max(end.next);
                tail.last = tail.last.max(end.last);
                tail.last_at = tail.last_at.max(end.last_at);
            }
            if let Some(stream) = self.index.streams.get_mut(&id) {
                stream.next = stream.next.max(end.next);
                stream.sealed_end = stream.sealed_end.max(end.sealed);
            }
        }
    }

    /// Makes a stream and gives it its blocks.
    fn make_stream(&mut self, id: StreamId, record: StreamRecord) {
        let StreamRecord { config, start, is_dropped } = record;
        let mut tail = Tail { config, start, next: start, is_dropped, ..Tail::NEW };
        if is_dropped {
            self.loose.remove(&id);
            self.index.dropped.insert(id);
            self.tails.insert(id, tail);
            return;
        }
        let mut stream = StreamLog::new(config);
        (stream.start, stream.next) = (start, start);
        let mut blocks = self.loose.remove(&id).unwrap_or_default();
        blocks.sort_unstable_by_key(|block| block.first);
        for block in blocks {
            if stream.sealed.back().is_some_and(|last| last.last >= block.first) {
                self.health.damage(format!("stream {id} has offset {} twice", block.first));
                continue;
            }
            tail.last_at = tail.last_at.max(block.last_at);
            tail.last = tail.last.max(block.last);
            stream.next = stream.next.max(block.last.next());
            stream.sealed_end = stream.sealed_end.max(block.last);
            if block.last < start {
                continue;
            }
            if let Some(segment) = self.index.segments.get(&block.segment) {
                segment.retain(block.len.into());
            }
            stream.bytes += u64::from(block.plain_len);
            stream.sealed.push_back(block);
        }
        tail.next = stream.next;
        self.tails.insert(id, tail);
        self.index.streams.insert(id, stream);
    }

    /// Replays the journal files, oldest first.
    pub(super) fn replay(&mut self, live: Live) -> io::Result<()> {
        let mut expected = self.sealed.last_sequence + 1;
        let mut puts = Vec::new();
        for (slot, file) in live {
            let number = file.head.generation;
            self.last_generation = self.last_generation.max(number);
            // Its file is free already.
            let is_free = file.records.is_empty() && file.damage.is_empty();
            let mut damage = file.damage;
            if let Some((at, bytes)) = file.cut {
                tracing::warn!(generation = number, at, bytes, "an unfinished commit is cut off");
            }
            if file.head.first_sequence > expected && !file.head.has_jumped {
                let last = file.head.first_sequence - 1;
                damage.push(format!("commits {expected} to {last} before it are missing"));
            }
            expected = expected.max(file.head.first_sequence);
            let mut generation = Generation {
                number,
                slot,
                last_sequence: expected.saturating_sub(1),
                streams: Vec::new(),
                is_damaged: false,
            };
            for record in &file.records {
                generation.last_sequence = record.sequence;
                expected = record.sequence + 1;
                if let Err(what) = self.replay_record(record, &mut generation, &mut puts)? {
                    damage.push(what);
                }
            }
            self.last_sequence = self.last_sequence.max(expected - 1);
            for what in &damage {
                self.health.damage(format!("journal generation {number}: {what}"));
            }
            generation.is_damaged = !damage.is_empty();
            self.is_damaged |= generation.is_damaged;
            if !is_free {
                self.waiting.push_back(generation);
            }
        }
        self.apply(&mut puts)
    }

    fn apply(&self, puts: &mut Vec<(StatePut, u64)>) -> io::Result<()> {
        let Some(&(_, applied)) = puts.last() else { return Ok(()) };
        let all: Vec<StatePut> = puts.drain(..).map(|(put, _)| put).collect();
        self.parts.state.apply(&all, Some(applied))
    }

    /// Replays one commit. The inner error says what is damaged in it.
    fn replay_record(
        &mut self,
        record: &Record,
        generation: &mut Generation,
        puts: &mut Vec<(StatePut, u64)>,
    ) -> io::Result<Result<(), String>> {
        let is_applied = record.sequence <= self.parts.state.applied();
        let mut payload = record.payload.clone();
        let mut damage = Ok(());
        for number in 0..record.ops {
            let Some(op) = op::decode(&mut payload) else {
                return Ok(Err(format!("commit {} cannot be read", record.sequence)));
            };
            match op {
                JournalOp::Append { .. } => {
                    if let Err(what) = self.replay_append(op, generation) {
                        damage = Err(what);
                    }
                }
                // The state holds what these did.
                _ if is_applied => {}
                JournalOp::Put { key, value } => {
                    let value = value.map(|value| (value, revision(record.sequence, number)));
                    puts.push((StatePut { key, value }, record.sequence));
                }
                JournalOp::Set(id, config) => {
                    match (self.tails.get_mut(&id), self.index.streams.get_mut(&id)) {
                        (Some(tail), Some(stream)) => {
                            (tail.config, stream.config) = (config, config);
                        }
                        _ => {
                            let start = Offset::FIRST;
                            self.make_stream(id, StreamRecord { config, start, is_dropped: false });
                        }
                    }
                    self.put_stream(id, record.sequence, puts);
                }
                JournalOp::Drop(id) => {
                    self.loose.remove(&id);
                    self.index.drop_stream(id);
                    if let Some(tail) = self.tails.get_mut(&id) {
                        tail.is_dropped = true;
                    }
                    self.put_stream(id, record.sequence, puts);
                }
                JournalOp::Trim(id, before) => {
                    self.index.trim(id, before);
                    if let Some(tail) = self.tails.get_mut(&id) {
                        tail.start = tail.start.max(before.min(tail.next));
                    }
                    self.put_stream(id, record.sequence, puts);
                }
            }
        }
        // Between commits only, so that the position is true.
        if puts.len() >= PUTS {
            self.apply(puts)?;
        }
        Ok(damage)
    }

    fn put_stream(&self, id: StreamId, sequence: u64, puts: &mut Vec<(StatePut, u64)>) {
        let Some(tail) = self.tails.get(&id) else { return };
        let record =
            StreamRecord { config: tail.config, start: tail.start, is_dropped: tail.is_dropped };
        puts.push((catalog::stream_put(id, &record), sequence));
    }

    /// Shows an append that is not in a segment.
    fn replay_append(&mut self, op: JournalOp, generation: &mut Generation) -> Result<(), String> {
        let JournalOp::Append { stream: id, first, at, previous, count, lines, metas } = op else {
            return Ok(());
        };
        let Some(tail) = self.tails.get_mut(&id) else {
            return Err(format!("it has events of stream {id}, which nothing else knows"));
        };
        let Some(stream) = self.index.streams.get_mut(&id) else { return Ok(()) };
        let generation_number = generation.number;
        let chunk =
            Chunk { first, count, at, previous, generation: generation_number, lines, metas };
        tail.last_at = tail.last_at.max(at);
        tail.next = tail.next.max(chunk.last().next());
        tail.last = tail.last.max(chunk.last());
        let is_sealed = stream.sealed.back().is_some_and(|last| last.last >= first);
        if is_sealed || chunk.last() < stream.start {
            stream.next = stream.next.max(tail.next);
            // Nothing to seal, but where the stream ends must be noted before this file goes:
            // retention may remove the segment that shows it.
            if generation.streams.last() != Some(&id) {
                generation.streams.push(id);
            }
            return Ok(());
        }
        if stream.push(chunk) {
            generation.streams.push(id);
        }
        Ok(())
    }

    /// Makes ends exact, and reports what is missing and what nothing explains. Starts are exact already: whatever
    /// moves one is in the journal before anything goes.
    pub(super) fn settle(&mut self) {
        let mut missing = Vec::new();
        for (id, stream) in &mut self.index.streams {
            if let Some(tail) = self.tails.get_mut(id) {
                stream.next = stream.next.max(tail.next);
                (tail.start, tail.next) = (stream.start, stream.next);
                stream.last = stream.last.max(tail.last).max(stream.sealed_end);
                tail.last = stream.last;
                stream.last_at = tail.last_at;
                for (from, to) in stream.missing() {
                    missing.push((*id, from, to));
                }
            }
        }
        missing.sort_unstable();
        for (id, from, to) in missing {
            self.health.damage(format!("events {from} to {to} of stream {id} are missing"));
        }
        let mut unknown: Vec<_> = self.loose.keys().copied().collect();
        unknown.sort_unstable();
        for id in unknown {
            self.health
                .damage(format!("segments hold events of stream {id}, which nothing else knows"));
            for block in self.loose.get(&id).into_iter().flatten() {
                if let Some(segment) = self.index.segments.get(&block.segment) {
                    segment.set_damaged();
                }
            }
        }
        let applied = self.parts.state.applied();
        if applied > self.last_sequence {
            let last = self.last_sequence;
            self.health
                .damage(format!("the journal ends at commit {last}, the state at {applied}"));
            self.last_sequence = applied;
            self.is_damaged = true;
        }
    }

    /// Lets streams begin where they end if nothing of them is left to be read.
    pub(super) fn begin_empty(&mut self) {
        for (id, stream) in &mut self.index.streams {
            if stream.is_empty() && stream.last < stream.start {
                stream.start = stream.next;
                if let Some(tail) = self.tails.get_mut(id) {
                    tail.start = stream.next;
                }
            }
        }
    }
}
