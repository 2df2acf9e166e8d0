//! The one writer: checks batches in order, gathers a group, makes it durable, shows it.
//!
//! Driven by the commit thread or by the simulator; calls the journal, the state and the index.
//!
//! Invariants: a batch is staged whole or not at all; nothing is shown or acknowledged before the
//! sync that holds it (but for relaxed batches, which the caller acknowledges once staged); after
//! a failed write nothing is committed ever again.

mod check;

pub(crate) use check::revision;

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use outflow_model::{Offset, StreamId, Timestamp};
use outflow_store::{AppendError, Batch, StreamConfig};

use crate::active::Generation;
use crate::catalog::{self, StreamRecord};
use crate::index::{Chunk, IdMap, StreamLog};
use crate::journal::buffer::AlignedBuffer;
use crate::journal::record::{self, FileHead};
use crate::journal::writer::JournalWriter;
use crate::shared::{Shared, is_full};
use crate::state::StatePut;

/// A stream as the writer knows it: ahead of the index by what is staged.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tail {
    pub(crate) config: StreamConfig,
    pub(crate) start: Offset,
    pub(crate) next: Offset,
    /// The last event; [`Offset::ZERO`]: none, or not known.
    pub(crate) last: Offset,
    /// When the last event was taken: time never falls within a stream.
    pub(crate) last_at: Timestamp,
    pub(crate) is_dropped: bool,
}

/// What a commit changes in the index.
#[derive(Debug)]
enum Effect {
    Append(StreamId, Chunk),
    Set(StreamId, StreamConfig),
    Drop(StreamId),
    Trim(StreamId, Offset),
}

/// Whether a group can be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Room {
    Yes,
    /// Too many generations wait for the sealer.
    Later,
    /// There is no space for another journal file, and the spare is in use.
    Full,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Committer {
    shared: Arc<Shared>,
    journal: Option<JournalWriter>,
    /// Whether the keeper was asked for the next file.
    asked_for_next: bool,
    next_generation: u64,
    /// The sequence of the next commit.
    sequence: u64,
    /// Whether it jumped at recovery, and no head says so yet.
    has_jumped: bool,
    /// The streams that have chunks in the generation being filled.
    touched: Vec<StreamId>,
    tails: IdMap<StreamId, Tail>,
    epochs: [u64; 256],
    record: AlignedBuffer,
    ops: u32,
    effects: Vec<Effect>,
    puts: Vec<StatePut>,
    /// Keys that the group has put, and whether it leaves them present.
    keys: HashMap<Bytes, bool>,
    /// The streams that the group grew, each once, with their new ends.
    grown: Vec<(StreamId, Offset)>,
}

/// What recovery hands to the committer.
#[derive(Debug)]
pub(crate) struct Resume {
    pub(crate) next_generation: u64,
    pub(crate) next_sequence: u64,
    /// Whether sequences jumped because of damage.
    pub(crate) has_jumped: bool,
    pub(crate) tails: IdMap<StreamId, Tail>,
    pub(crate) epochs: [u64; 256],
}

impl Committer {
    pub(crate) fn new(shared: Arc<Shared>, resume: Resume) -> Self {
        let mut record = AlignedBuffer::default();
        record::begin(&mut record);
        Self {
            shared,
            journal: None,
            asked_for_next: false,
            next_generation: resume.next_generation,
            sequence: resume.next_sequence,
            has_jumped: resume.has_jumped,
            touched: Vec::new(),
            tails: resume.tails,
            epochs: resume.epochs,
            record,
            ops: 0,
            effects: Vec::new(),
            puts: Vec::new(),
            keys: HashMap::new(),
            grown: Vec::new(),
        }
    }

    /// Makes sure that a group of batches of `bytes` can be written, taking a new journal file
    /// into use if need be. Nothing may be staged.
    ///
    /// # Errors
    /// When the disk fails: the engine has stopped.
    pub(crate) fn prepare(&mut self, bytes: usize) -> Result<Room, AppendError> {
        if let Some(reason) = self.shared.health.stopped() {
            return Err(AppendError::Stopped(reason));
        }
        if self.journal.as_ref().is_some_and(|journal| journal.has_room(record::HEAD + bytes)) {
            return Ok(Room::Yes);
        }
        let pending = &self.shared.pending;
        let is_behind = pending.len() >= self.shared.options.pending_generations;
        if is_behind && !self.shared.health.is_full() {
            return Ok(Room::Later);
        }
        // Else the sealer itself waits for room: what makes room must not wait for the sealer.
        let rolled = if is_behind { self.roll_to_spare() } else { self.roll() };
        // Before anything is staged: the spare takes no appends.
        self.shared.check_space();
        match rolled {
            Ok(()) => Ok(Room::Yes),
            Err(error) if is_full(&error) => {
                self.shared.set_full(true);
                Ok(Room::Full)
            }
            Err(error) => {
                Err(AppendError::Stopped(self.shared.poison("taking a journal file", &error)))
            }
        }
    }

    /// Takes the next journal file into use: the spare, if the disk has no room for another.
    fn roll(&mut self) -> io::Result<()> {
        let slot = self.shared.pending.take_slot();
        match self.roll_to(slot) {
            Ok(()) => Ok(()),
            Err(error) => {
                self.shared.pending.give_back(slot);
                if is_full(&error) { self.roll_to_spare() } else { Err(error) }
            }
        }
    }

    fn roll_to_spare(&mut self) -> io::Result<()> {
        let spare = self.shared.pending.take_spare().ok_or(io::ErrorKind::StorageFull)?;
        self.roll_to(spare).inspect_err(|_| self.shared.pending.set_spare(spare))
    }

    /// Takes a journal file into use, and hands the full one to the sealer.
    fn roll_to(&mut self, slot: u32) -> io::Result<()> {
        let (shared, size) = (&self.shared, self.shared.options.journal_bytes);
        let (first_sequence, has_jumped) = (self.sequence, self.has_jumped);
        let head = FileHead { generation: self.next_generation, first_sequence, size, has_jumped };
        // A number is not used again, even if this fails: its head may be on the disk.
        self.next_generation += 1;
        let begun = JournalWriter::begin(shared.fs(), &shared.dir, slot, head, size)?;
        (self.asked_for_next, self.has_jumped) = (false, false);
        self.hand_over();
        self.journal = Some(begun);
        Ok(())
    }

    /// Hands the generation being filled to the sealer.
    pub(crate) fn hand_over(&mut self) {
        let Some(full) = self.journal.take() else { return };
        if full.is_unused() {
            self.shared.pending.give_back(full.slot);
            return;
        }
        self.shared.pending.push(Generation {
            number: full.generation,
            slot: full.slot,
            last_sequence: self.sequence - 1,
            streams: std::mem::take(&mut self.touched),
            is_damaged: false,
        });
    }

    /// Checks a batch against everything before it and adds it to the group, whole or not at all.
    /// `is_internal`: it may write the engine's own keys.
    ///
    /// # Errors
    /// Why it is refused.
    pub(crate) fn stage(&mut self, batch: Batch, is_internal: bool) -> Result<(), AppendError> {
        let mut undo = check::Undo::new(self);
        let staged = self.stage_all(batch, is_internal, &mut undo);
        if staged.is_err() {
            undo.run(self);
        }
        staged
    }

    /// Makes the staged group durable and shows it. Returns its sequence.
    ///
    /// # Errors
    /// `Stopped`: the write failed, and whether the group is there is decided at recovery.
    pub(crate) fn commit(&mut self) -> Result<(), AppendError> {
        if self.ops == 0 {
            self.clear();
            return Ok(());
        }
        let shared = self.shared.clone();
        if let Some(reason) = shared.health.stopped() {
            return Err(AppendError::Stopped(reason));
        }
        let stop = |what, error: &io::Error| AppendError::Stopped(shared.poison(what, error));
        let Some(journal) = &mut self.journal else {
            return Err(AppendError::Stopped("no journal file is in use".into()));
        };
        record::finish(&mut self.record, self.ops, journal.generation, self.sequence);
        journal.write(self.record.contents()).map_err(|error| stop("a journal sync", &error))?;
        if journal.is_half_full() && !self.asked_for_next {
            self.asked_for_next = true;
            shared.wants_next.store(true, Ordering::Relaxed);
            shared.pending.wake();
        }
        if !self.puts.is_empty() {
            shared
                .state()
                .apply(&self.puts, Some(self.sequence))
                .map_err(|error| stop("a write of the state", &error))?;
        }
        self.sequence += 1;
        shared.committed.store(self.last_sequence(), Ordering::Relaxed);
        self.publish();
        if !self.grown.is_empty()
            && let Some(observer) = shared.observer.read().clone()
        {
            observer.committed(&self.grown);
        }
        self.clear();
        Ok(())
    }

    /// Notes durably in the state how far the journal goes, so that damage to its end is found out.
    ///
    /// # Errors
    /// `Stopped`: the write failed.
    pub(crate) fn mark(&self) -> Result<(), AppendError> {
        if let Some(reason) = self.shared.health.stopped() {
            return Err(AppendError::Stopped(reason));
        }
        let state = self.shared.state();
        let marked = state.apply(&[], Some(self.last_sequence())).and_then(|()| state.persist());
        marked.map_err(|error| {
            AppendError::Stopped(self.shared.poison("a write of the state", &error))
        })
    }

    /// The sequence of the last commit.
    pub(crate) const fn last_sequence(&self) -> u64 {
        self.sequence - 1
    }

    fn clear(&mut self) {
        record::begin(&mut self.record);
        self.ops = 0;
        self.effects.clear();
        self.puts.clear();
        self.keys.clear();
        self.grown.clear();
    }

    /// Shows the group to readers.
    fn publish(&mut self) {
        if self.effects.is_empty() {
            return;
        }
        let mut index = self.shared.index.write();
        for effect in self.effects.drain(..) {
            match effect {
                Effect::Append(id, chunk) => {
                    let Some(stream) = index.streams.get_mut(&id) else { continue };
                    let next = chunk.last().next();
                    if stream.push(chunk) {
                        self.touched.push(id);
                    }
                    match self.grown.last_mut() {
                        Some(last) if last.0 == id => last.1 = next,
                        _ => self.grown.push((id, next)),
                    }
                }
                Effect::Set(id, config) => {
                    index.streams.entry(id).or_insert_with(|| StreamLog::new(config)).config =
                        config;
                }
                Effect::Drop(id) => index.drop_stream(id),
                Effect::Trim(id, before) => index.trim(id, before),
            }
        }
        drop(index);
        // Each stream once, with its last end: ends only rise.
        self.grown.sort_unstable_by_key(|&(id, next)| (id, std::cmp::Reverse(next)));
        self.grown.dedup_by_key(|&mut (id, _)| id);
    }

    /// Notes a stream's configuration and start for the state.
    fn put_stream(&mut self, id: StreamId, tail: &Tail) {
        let record =
            StreamRecord { config: tail.config, start: tail.start, is_dropped: tail.is_dropped };
        self.puts.push(catalog::stream_put(id, &record));
    }
}
