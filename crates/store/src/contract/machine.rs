//! A random walk over an engine beside a plain model of it: after any steps, both agree.
//!
//! The engines' tests draw the steps (as bytes, so that a property test can shrink them) and call
//! [`walk`]. A crash may take relaxed batches that no synced one followed; then the engine has to
//! agree with the model as it was after one of them.

use std::collections::BTreeSet;

use bytes::Bytes;
use outflow_model::{Clock, Offset, StreamId, Timestamp};

use super::model::{Model, holds, pair};
use super::reader::events_of;
use super::sample::{append, batch};
use super::{Bed, Reopen};
use crate::engine::{AppendError, ReadError};
use crate::{Batch, Condition, Durability, Op, Put, Retention, StreamConfig};

/// A step, undecoded: what to do, and to what.
pub type Step = [u8; 4];

const STREAMS: u8 = 5;
const KEYS: u8 = 6;
const FIRST_AT: Timestamp = Timestamp::from_millis(1_700_000_000_000);

/// The walk: the model, and what a crash may take it back to.
#[derive(Debug, Default)]
struct Walk {
    now: Model,
    /// The model before each relaxed batch that nothing synced has followed yet.
    fallbacks: Vec<Model>,
    /// The latest time at which retention ran.
    retained_at: Timestamp,
    revisions: BTreeSet<(Vec<u8>, u64)>,
}

/// Walks the engine of `bed` through `steps` and compares it with the model on the way and at the
/// end, after a crash.
pub async fn walk(bed: &mut dyn Bed, steps: &[Step]) {
    bed.clock().set(FIRST_AT);
    let mut walk = Walk::default();
    let make = [0, 1, 2].map(|n| set_stream(StreamId(1 + n), 2 + n as u8));
    walk.submit(bed, make, Durability::Synced).await;
    for &step in steps {
        walk.step(bed, step).await;
    }
    walk.reopen(bed, Reopen::Crash).await;
}

impl Walk {
    async fn step(&mut self, bed: &mut dyn Bed, [what, a, b, c]: Step) {
        let stream = StreamId(1 + u32::from(a % STREAMS));
        if matches!(what % 32, 15..=17 | 28..) && !self.fallbacks.is_empty() {
            // A relaxed batch is seen when it is durable, which a synced one after it tells.
            self.submit(bed, [], Durability::Synced).await;
        }
        match what % 32 {
            0 | 1 => self.submit(bed, [set_stream(stream, b)], Durability::Synced).await,
            2..=8 => {
                let op = self.append(bed, stream, b, c);
                self.submit(bed, [op], Durability::Synced).await;
            }
            9..=11 => {
                let op = self.append(bed, stream, b, c);
                self.submit(bed, [op], Durability::Relaxed).await;
            }
            12..=14 => {
                let other = StreamId(1 + u32::from(b % STREAMS));
                let key = put(c, a, Condition::Any);
                let ops = [self.append(bed, stream, b, c), key, self.append(bed, other, c, a)];
                self.submit(bed, ops, Durability::Synced).await;
            }
            15..=17 => {
                let condition = self.condition(bed, a, b).await;
                let put = put(a, c, condition);
                self.submit(bed, [put], Durability::Synced).await;
            }
            18 => self.submit(bed, [Op::DropStream(stream)], Durability::Synced).await,
            19 | 20 => {
                let next = self.now.streams.get(&stream).map_or(Offset::FIRST, |log| log.next);
                let before = Offset::new((next.get() + 2).saturating_sub(u64::from(b % 16)));
                self.submit(bed, [Op::Trim(stream, before)], Durability::Synced).await;
            }
            21..=23 => bed.clock().advance(i64::from(b) * 40 - 1_000),
            24 => self.retain(bed).await,
            25 => bed.seal().await,
            26 => self.reopen(bed, Reopen::Clean).await,
            27 => self.reopen(bed, Reopen::Crash).await,
            28 => self.check_seek(bed, stream, i64::from(b) * 100 + i64::from(c)).await,
            29 => self.check_read(bed, stream, b, c).await,
            _ => self.now.check(&*bed.engine()).await.unwrap(),
        }
    }

    /// An append of a few events: mostly at the end, sometimes past it, sometimes below it.
    fn append(&self, bed: &dyn Bed, stream: StreamId, b: u8, c: u8) -> Op {
        let next = self.now.streams.get(&stream).map_or(Offset::FIRST, |log| log.next);
        let first = match b % 16 {
            0 => Offset::new(next.get() - 1),
            1 => next.plus(u64::from(c)),
            _ => next,
        };
        let count = usize::from(c % 5) + 1;
        let size = if c % 31 == 3 { 5_000 } else { 70 + usize::from(b) * 2 };
        Op::Append(append(stream, first, &vec![size; count], bed.clock().now()))
    }

    async fn condition(&self, bed: &dyn Bed, key: u8, b: u8) -> Condition {
        let found = bed.engine().get(&key_of(key)).await.unwrap();
        match (b % 4, found) {
            (0, _) => Condition::Any,
            (1, _) => Condition::Absent,
            (2, Some(entry)) => Condition::Revision(entry.revision),
            (_, entry) => Condition::Revision(entry.map_or(7, |entry| entry.revision ^ 1)),
        }
    }

    async fn submit<const N: usize>(
        &mut self,
        bed: &dyn Bed,
        ops: [Op; N],
        durability: Durability,
    ) {
        let engine = bed.engine();
        let mut after = self.now.clone();
        let mut expected = Ok(());
        for op in &ops {
            let holds = match op {
                Op::Put(put) => holds(&*engine, put).await,
                _ => true,
            };
            expected = if holds { after.apply(op) } else { Err(AppendError::Conflict) };
            if expected.is_err() {
                break;
            }
        }
        let touched: Vec<_> = ops.iter().filter_map(key_put).collect();
        let result = engine.submit(Batch { durability, ..batch(ops) }).await;
        match (&expected, &result) {
            (Err(AppendError::Invalid(_)), Err(AppendError::Invalid(_))) => return,
            _ => assert_eq!(result, expected),
        }
        if result.is_err() {
            return;
        }
        let before = std::mem::replace(&mut self.now, after);
        match durability {
            Durability::Synced => self.fallbacks.clear(),
            Durability::Relaxed => self.fallbacks.push(before),
        }
        for key in touched {
            if let Some(entry) = engine.get(&key).await.unwrap() {
                assert!(self.revisions.insert((key, entry.revision)), "a revision is back");
            }
        }
    }

    async fn reopen(&mut self, bed: &mut dyn Bed, how: Reopen) {
        bed.reopen(how).await;
        let engine = bed.engine();
        let mut candidates = vec![std::mem::take(&mut self.now)];
        if how == Reopen::Crash {
            candidates.append(&mut self.fallbacks);
            candidates[1..].reverse();
        }
        let mut reasons = Vec::new();
        for mut candidate in candidates {
            candidate.unexpire(&*engine);
            match candidate.check(&*engine).await {
                Ok(()) => {
                    self.now = candidate;
                    return self.fallbacks.clear();
                }
                Err(reason) => reasons.push(reason),
            }
        }
        panic!("after {how:?}: {reasons:#?}");
    }

    async fn retain(&mut self, bed: &mut dyn Bed) {
        // What retention takes, it takes from what is durable: a synced batch settles that.
        self.submit(bed, [], Durability::Synced).await;
        bed.retain().await;
        self.retained_at = self.retained_at.max(bed.clock().now());
        self.now.follow_retention(&*bed.engine(), self.retained_at).unwrap();
    }

    async fn check_seek(&self, bed: &dyn Bed, stream: StreamId, ms: i64) {
        let at = FIRST_AT.plus_millis(ms);
        let found = bed.engine().seek(stream, at).await;
        let Some(log) = self.now.streams.get(&stream) else {
            return assert_eq!(found, Err(ReadError::UnknownStream(stream)));
        };
        let wanted = log.events.iter().find(|(_, (taken, _))| *taken >= at);
        assert_eq!(found, Ok(wanted.map_or(log.next, |(&offset, _)| offset)));
    }

    async fn check_read(&self, bed: &dyn Bed, stream: StreamId, b: u8, c: u8) {
        let Some(log) = self.now.streams.get(&stream) else { return };
        let engine = bed.engine();
        let start = engine.bounds(stream).unwrap().start;
        let span = log.next.get() - start.get() + 1;
        let from = start.plus(u64::from(b) * span / 256);
        let read = engine.read(stream, from, usize::from(c) * 16).await.unwrap();
        let events = read.blocks.iter().flat_map(|block| events_of(block));
        let events: Vec<_> = events.filter(|event| event.offset >= from).collect();
        let expected = log.events.range(from..).take(events.len());
        assert!(events.iter().map(pair).eq(expected.map(|(&offset, (_, line))| (offset, &**line))));
        assert_eq!(events.is_empty(), log.events.range(from..).next().is_none());
    }
}

fn key_put(op: &Op) -> Option<Vec<u8>> {
    if let Op::Put(put) = op { Some(put.key.to_vec()) } else { None }
}

fn key_of(key: u8) -> Vec<u8> {
    format!("key/{}", key % KEYS).into_bytes()
}

fn put(key: u8, value: u8, condition: Condition) -> Op {
    let value =
        (!value.is_multiple_of(4)).then(|| Bytes::from(vec![value; usize::from(value) * 3]));
    Op::Put(Put { key: key_of(key).into(), value, condition })
}

fn set_stream(id: StreamId, b: u8) -> Op {
    let age_ms = [2_000, 10_000, 86_400_000][usize::from(b % 3)];
    let max_bytes = b.is_multiple_of(5).then_some(4_000);
    Op::SetStream(id, StreamConfig { retention: Retention { age_ms, max_bytes } })
}
