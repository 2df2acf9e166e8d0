//! Random batches, and what they must come to.

use bytes::Bytes;
use futures_util::FutureExt;
use outflow_model::rng::SeededRng;
use outflow_model::{Offset, Rng, StreamId, Timestamp};
use outflow_store::contract::model::Model;
use outflow_store::contract::sample;
use outflow_store::{
    AppendError, Batch, Condition, Durability, Engine, Op, Put, Retention, StreamConfig,
};

const STREAMS: u64 = 6;
const KEYS: u64 = 8;

/// A batch of one to four parts. `model` says where streams end.
pub(crate) fn batch(rng: &SeededRng, model: &Model, engine: &dyn Engine, now: Timestamp) -> Batch {
    let parts = if rng.below(3) == 0 { 2 + rng.below(3) } else { 1 };
    let mut model = model.clone();
    let mut ops = Vec::new();
    for _ in 0..parts {
        let op = op(rng, &model, engine, now);
        // So that later parts build on this one, if it can be applied at all.
        let _ = model.apply(&op);
        ops.push(op);
    }
    let is_relaxed = rng.below(4) == 0;
    let durability = if is_relaxed { Durability::Relaxed } else { Durability::Synced };
    Batch { ops, durability, fence: None }
}

fn op(rng: &SeededRng, model: &Model, engine: &dyn Engine, now: Timestamp) -> Op {
    let id = StreamId(1 + rng.below(STREAMS) as u32);
    let next = model.streams.get(&id).map_or(Offset::FIRST, |log| log.next);
    match rng.below(40) {
        0..=2 => Op::SetStream(id, config(rng)),
        3 if rng.below(8) == 0 => Op::DropStream(id),
        4 => Op::Trim(id, Offset::new(next.get() + 3 - rng.below(40).min(next.get()))),
        5..=14 => put(rng, engine),
        _ => {
            let first = match rng.below(24) {
                0 => Offset::new(next.get() - 1),
                1 => next.plus(rng.below(100)),
                _ => next,
            };
            let sizes: Vec<_> = (0..1 + rng.below(6)).map(|_| size(rng)).collect();
            Op::Append(sample::append(id, first, &sizes, now))
        }
    }
}

fn size(rng: &SeededRng) -> usize {
    match rng.below(40) {
        0 => 9_000 + rng.below(4_000) as usize,
        1..=8 => 800 + rng.below(3_000) as usize,
        _ => 80 + rng.below(400) as usize,
    }
}

fn config(rng: &SeededRng) -> StreamConfig {
    let age_ms = [5_000, 60_000, 3_600_000, 604_800_000][rng.below(4) as usize];
    let max_bytes = (rng.below(4) == 0).then(|| 5_000 + rng.below(40_000));
    StreamConfig { retention: Retention { age_ms, max_bytes } }
}

fn put(rng: &SeededRng, engine: &dyn Engine) -> Op {
    let key = format!("key/{}", rng.below(KEYS));
    let value = (rng.below(5) > 0)
        .then(|| Bytes::from(vec![rng.below(256) as u8; rng.below(300) as usize]));
    let condition = match rng.below(6) {
        0 => Condition::Absent,
        1 | 2 => {
            let found = engine.get(key.as_bytes()).now_or_never().unwrap();
            let revision = found.ok().flatten().map_or(5, |entry| entry.revision);
            Condition::Revision(revision ^ u64::from(rng.below(8) == 0))
        }
        _ => Condition::Any,
    };
    Op::Put(Put { key: key.into(), value, condition })
}

/// The model after `batch`, or why it must be refused. `revisions` are those that the engine had
/// before the group; `changed` are the keys that the group has put since, and is added to.
pub(crate) fn expect(
    model: &Model,
    batch: &Batch,
    revisions: &dyn Fn(&[u8]) -> Option<u64>,
    changed: &mut Vec<Bytes>,
) -> Result<Model, AppendError> {
    let mut after = model.clone();
    let mut puts = Vec::new();
    for op in &batch.ops {
        if let Op::Put(put) = op {
            let is_changed = changed.contains(&put.key) || puts.contains(&put.key);
            let holds = match put.condition {
                Condition::Any => true,
                Condition::Absent => !after.state.contains_key(&put.key[..]),
                Condition::Revision(wanted) => !is_changed && revisions(&put.key) == Some(wanted),
            };
            if !holds {
                return Err(AppendError::Conflict);
            }
            puts.push(put.key.clone());
        }
        after.apply(op)?;
    }
    changed.append(&mut puts);
    Ok(after)
}

/// The stream that `op` drops, if it does.
pub(crate) const fn dropped(op: &Op) -> Option<StreamId> {
    if let Op::DropStream(id) = op { Some(*id) } else { None }
}

/// The batch in a few words, for whoever reads the calls of a failing seed.
pub(crate) fn told(batch: &Batch) -> String {
    let words = batch.ops.iter().map(|op| match op {
        Op::Append(append) => format!("append {} {}+{}", append.stream, append.first, append.count),
        Op::Put(put) => format!("put {}", String::from_utf8_lossy(&put.key)),
        Op::SetStream(id, config) => format!("set {id} {} ms", config.retention.age_ms),
        Op::DropStream(id) => format!("drop {id}"),
        Op::Trim(id, before) => format!("trim {id} {before}"),
    });
    words.collect::<Vec<_>>().join(", ")
}
