//! Checking batches and adding them to the group.

use bytes::Bytes;
use outflow_model::meta::META_BYTES;
use outflow_model::{Offset, StreamId, Timestamp};
use outflow_store::{Append, AppendError, Batch, Condition, Op, Put};

use super::{Committer, Effect, Tail};
use crate::catalog;
use crate::index::Chunk;
use crate::journal::op;
use crate::state::StatePut;

/// The longest key in bytes.
const MAX_KEY: usize = 512;
/// The longest value in bytes.
const MAX_VALUE: usize = 1 << 20;
/// How many ops a group holds at most, so that revisions of one group stay apart.
const MAX_OPS: u32 = 1 << 20;

/// How to take back what a refused batch had already staged.
#[derive(Debug)]
pub(super) struct Undo {
    record: usize,
    ops: u32,
    effects: usize,
    puts: usize,
    tails: Vec<(StreamId, Option<Tail>)>,
    keys: Vec<(Bytes, Option<bool>)>,
}

impl Undo {
    pub(super) const fn new(committer: &Committer) -> Self {
        Self {
            record: committer.record.len(),
            ops: committer.ops,
            effects: committer.effects.len(),
            puts: committer.puts.len(),
            tails: Vec::new(),
            keys: Vec::new(),
        }
    }

    pub(super) fn run(self, committer: &mut Committer) {
        committer.record.truncate(self.record);
        committer.ops = self.ops;
        committer.effects.truncate(self.effects);
        committer.puts.truncate(self.puts);
        for (id, before) in self.tails.into_iter().rev() {
            match before {
                Some(tail) => committer.tails.insert(id, tail),
                None => committer.tails.remove(&id),
            };
        }
        for (key, before) in self.keys.into_iter().rev() {
            match before {
                Some(present) => committer.keys.insert(key, present),
                None => committer.keys.remove(&key),
            };
        }
    }
}

impl Committer {
    pub(super) fn stage_all(
        &mut self,
        batch: Batch,
        is_internal: bool,
        undo: &mut Undo,
    ) -> Result<(), AppendError> {
        if let Some(fence) = batch.fence {
            let current = self.epochs.get(usize::from(fence.shard.0));
            if current != Some(&fence.epoch) {
                return Err(AppendError::Fenced);
            }
        }
        if batch.bytes() > self.shared.options.max_batch_bytes() {
            return Err(AppendError::Invalid("the batch is larger than a journal file holds"));
        }
        if self.ops as usize + batch.ops.len() > MAX_OPS as usize {
            return Err(AppendError::Invalid("a batch has up to 1,000,000 parts"));
        }
        for op in batch.ops {
            match op {
                Op::Append(append) => self.stage_append(append, undo)?,
                Op::Put(put) => self.stage_put(put, is_internal, undo)?,
                Op::SetStream(id, config) => {
                    let before = self.tails.get(&id).copied();
                    if before.is_some_and(|tail| tail.is_dropped) {
                        return Err(AppendError::Invalid(
                            "the stream was dropped: its id is used up",
                        ));
                    }
                    let tail = Tail { config, ..before.unwrap_or(Tail::NEW) };
                    self.change(id, before, tail, undo);
                    op::encode_set(&mut self.record, id, config);
                    self.effects.push(Effect::Set(id, config));
                }
                Op::DropStream(id) => {
                    let before = self.tail(id)?;
                    self.change(id, Some(before), Tail { is_dropped: true, ..before }, undo);
                    op::encode_drop(&mut self.record, id);
                    self.effects.push(Effect::Drop(id));
                }
                Op::Trim(id, before) => {
                    let tail = self.tail(id)?;
                    let start = tail.start.max(before.min(tail.next));
                    self.change(id, Some(tail), Tail { start, ..tail }, undo);
                    op::encode_trim(&mut self.record, id, start);
                    self.effects.push(Effect::Trim(id, start));
                }
            }
            self.ops += 1;
        }
        Ok(())
    }

    /// A stream that exists.
    fn tail(&self, id: StreamId) -> Result<Tail, AppendError> {
        let tail = self.tails.get(&id).filter(|tail| !tail.is_dropped);
        tail.copied().ok_or(AppendError::UnknownStream(id))
    }

    /// Changes what is known of a stream, and notes it for the state.
    fn change(&mut self, id: StreamId, before: Option<Tail>, after: Tail, undo: &mut Undo) {
        undo.tails.push((id, before));
        self.tails.insert(id, after);
        self.put_stream(id, &after);
    }

    fn stage_append(&mut self, append: Append, undo: &mut Undo) -> Result<(), AppendError> {
        if self.shared.health.is_full() {
            return Err(AppendError::Full);
        }
        let tail = self.tails.get_mut(&append.stream).filter(|tail| !tail.is_dropped);
        let tail = tail.ok_or(AppendError::UnknownStream(append.stream))?;
        if append.count == 0 || append.metas.len() != append.count as usize * META_BYTES {
            return Err(AppendError::Invalid("an append has events, and a sidecar for each"));
        }
        if append.lines.last() != Some(&b'\n') {
            return Err(AppendError::Invalid("the lines of an append end in a line feed"));
        }
        let end = append.first.plus(u64::from(append.count));
        if end > Offset::LAST.next() {
            return Err(AppendError::Invalid("the stream has used up its offsets"));
        }
        if append.first < tail.next {
            return Err(AppendError::Conflict);
        }
        undo.tails.push((append.stream, Some(*tail)));
        let at = append.at.max(tail.last_at);
        let previous = tail.last;
        (tail.next, tail.last, tail.last_at) = (end, Offset::new(end.get() - 1), at);
        op::encode_append(&mut self.record, &append, at, previous);
        let Append { stream, first, count, lines, metas, .. } = append;
        let generation = self.journal.as_ref().map_or(0, |journal| journal.generation);
        let chunk = Chunk { first, count, at, previous, generation, lines, metas };
        self.effects.push(Effect::Append(stream, chunk));
        Ok(())
    }

    fn stage_put(
        &mut self,
        put: Put,
        is_internal: bool,
        undo: &mut Undo,
    ) -> Result<(), AppendError> {
        let is_own = put.key.first() == Some(&0);
        if put.key.is_empty() || put.key.len() > MAX_KEY || (is_own && !is_internal) {
            return Err(AppendError::Invalid("a key has 1 to 512 bytes and does not start with 0"));
        }
        if put.value.as_ref().is_some_and(|value| value.len() > MAX_VALUE) {
            return Err(AppendError::Invalid("a value has up to 1 MiB"));
        }
        let in_group = self.keys.get(&put.key).copied();
        let holds = match (put.condition, in_group) {
            (Condition::Any, _) => true,
            (Condition::Absent, Some(is_present)) => !is_present,
            // What this group has already changed has a revision that nobody has seen.
            (Condition::Revision(_), Some(_)) => false,
            (condition, None) => {
                let stored = self.shared.state().get(&put.key);
                let stored = stored.map_err(|error| {
                    AppendError::Stopped(self.shared.poison("a read of the state", &error))
                })?;
                match condition {
                    Condition::Revision(wanted) => {
                        stored.is_some_and(|entry| entry.revision == wanted)
                    }
                    _ => stored.is_none(),
                }
            }
        };
        if !holds {
            return Err(AppendError::Conflict);
        }
        op::encode_put(&mut self.record, &put);
        undo.keys.push((put.key.clone(), in_group));
        self.keys.insert(put.key.clone(), put.value.is_some());
        let revision = revision(self.sequence, self.ops);
        if let Some(shard) = catalog::lease_shard(&put.key)
            && let Some(epoch) = self.epochs.get_mut(usize::from(shard.0))
        {
            *epoch = put.value.as_deref().map_or(*epoch, catalog::lease_epoch);
        }
        let value = put.value.map(|value| (value, revision));
        self.puts.push(StatePut { key: put.key, value });
        Ok(())
    }
}

/// The revision of a put: rises over the life of the engine, and recovery finds the same again.
pub(crate) const fn revision(sequence: u64, op: u32) -> u64 {
    (sequence << 20) | op as u64
}

impl Tail {
    /// A stream before its first event.
    pub(crate) const NEW: Self = Self {
        config: outflow_store::StreamConfig {
            retention: outflow_store::Retention { age_ms: 0, max_bytes: None },
        },
        start: Offset::FIRST,
        next: Offset::FIRST,
        last: Offset::ZERO,
        last_at: Timestamp::from_millis(i64::MIN),
        is_dropped: false,
    };
}
