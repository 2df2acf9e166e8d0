//! What the engine itself keeps in the state, under keys that start with byte 0.
//!
//! ```text
//! 0 'c' stream u32 BE   the stream's configuration and start: written with each commit that
//!                       changes them   flags u8 (1: dropped, 2: has size limit)
//!                       age u64 | size limit u64 | start u64
//! 0 'n' stream u32 BE   where the stream ends: written when a generation is sealed
//!                       next u64 | last time i64 | last event u64 | last sealed event u64
//!                       (version 1 had no more than the first two)
//! 0 'g'                 sealed generation u64 | its last sequence u64
//! 0 'l' shard u8        the shard's epoch u64 | the owner's name
//! ```

use std::io;

use bytes::Bytes;
use outflow_model::id::Shard;
use outflow_model::{Offset, StreamId, Timestamp};
use outflow_store::{Retention, StateEntry, StreamConfig};

use crate::journal::op::{i64_at, u64_at};
use crate::state::{State, StatePut};

const DROPPED: u8 = 1;
const LIMITED: u8 = 2;

/// How many entries are read at once.
const PAGE: usize = 1000;

/// What the state says of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct StreamRecord {
    pub(crate) config: StreamConfig,
    pub(crate) start: Offset,
    pub(crate) is_dropped: bool,
}

/// Where the state says that a stream ended when it was last sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct EndRecord {
    pub(crate) next: Offset,
    pub(crate) last_at: Timestamp,
    /// The last event there was; [`Offset::ZERO`]: none, or not known.
    pub(crate) last: Offset,
    /// The last event that is in a segment, unless it was trimmed since; in the same way.
    pub(crate) sealed: Offset,
}

/// Up to where generations are sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct SealedRecord {
    pub(crate) generation: u64,
    pub(crate) last_sequence: u64,
}

fn key(kind: u8, id: &[u8]) -> Bytes {
    [&[0, kind], id].concat().into()
}

fn put(key: Bytes, value: Vec<u8>) -> StatePut {
    StatePut { key, value: Some((value.into(), 0)) }
}

/// The key of a shard's lease.
pub(crate) fn lease_key(shard: Shard) -> Bytes {
    key(b'l', &[shard.0])
}

/// The shard whose lease has `key`.
pub(crate) fn lease_shard(key: &[u8]) -> Option<Shard> {
    match key {
        [0, b'l', shard] => Some(Shard(*shard)),
        _ => None,
    }
}

/// The value of a shard's lease.
pub(crate) fn lease_value(epoch: u64, owner: &str) -> Bytes {
    [&epoch.to_le_bytes()[..], owner.as_bytes()].concat().into()
}

/// The epoch in a lease's value.
pub(crate) fn lease_epoch(value: &[u8]) -> u64 {
    u64_at(value, 0).unwrap_or(0)
}

pub(crate) fn stream_put(id: StreamId, record: &StreamRecord) -> StatePut {
    let limit = record.config.retention.max_bytes;
    let flags =
        if record.is_dropped { DROPPED } else { 0 } | if limit.is_some() { LIMITED } else { 0 };
    let mut value = vec![flags];
    value.extend_from_slice(&record.config.retention.age_ms.to_le_bytes());
    value.extend_from_slice(&limit.unwrap_or(0).to_le_bytes());
    value.extend_from_slice(&record.start.get().to_le_bytes());
    put(key(b'c', &id.0.to_be_bytes()), value)
}

pub(crate) fn end_put(id: StreamId, record: EndRecord) -> StatePut {
    let (next, at) = (record.next.get().to_le_bytes(), record.last_at.millis().to_le_bytes());
    let (last, sealed) = (record.last.get().to_le_bytes(), record.sealed.get().to_le_bytes());
    put(key(b'n', &id.0.to_be_bytes()), [next, at, last, sealed].concat())
}

pub(crate) fn sealed_put(record: SealedRecord) -> StatePut {
    let (generation, last) = (record.generation.to_le_bytes(), record.last_sequence.to_le_bytes());
    put(key(b'g', &[]), [generation, last].concat())
}

fn stream_record(value: &[u8]) -> Option<StreamRecord> {
    let (flags, limit) = (*value.first()?, u64_at(value, 9)?);
    let max_bytes = (flags & LIMITED != 0).then_some(limit);
    let config = StreamConfig { retention: Retention { age_ms: u64_at(value, 1)?, max_bytes } };
    let start = Offset::new(u64_at(value, 17)?);
    Some(StreamRecord { config, start, is_dropped: flags & DROPPED != 0 })
}

fn end_record(value: &[u8]) -> Option<EndRecord> {
    let next = u64_at(value, 0)?;
    Some(EndRecord {
        next: Offset::new(next),
        last_at: Timestamp::from_millis(i64_at(value, 8)?),
        // Version 1 took the event before the end for the last one.
        last: Offset::new(u64_at(value, 16).unwrap_or(next.saturating_sub(1))),
        sealed: Offset::new(u64_at(value, 24).unwrap_or(0)),
    })
}

/// Every entry of a kind, with the stream it is of.
fn records<T>(
    state: &dyn State,
    kind: u8,
    read: impl Fn(&[u8]) -> Option<T>,
) -> io::Result<Vec<(StreamId, T)>> {
    let bad = || io::Error::new(io::ErrorKind::InvalidData, "the state of a stream is damaged");
    let mut all = Vec::new();
    let mut after: Option<Bytes> = None;
    loop {
        let page = state.scan(&[0, kind], after.as_deref(), PAGE)?;
        for StateEntry { key, value, .. } in &page {
            let id = key.get(2..).and_then(|id| id.try_into().ok()).map(u32::from_be_bytes);
            all.push((StreamId(id.ok_or_else(bad)?), read(value).ok_or_else(bad)?));
        }
        match page.last() {
            Some(last) if page.len() == PAGE => after = Some(last.key.clone()),
            _ => return Ok(all),
        }
    }
}

pub(crate) fn streams(state: &dyn State) -> io::Result<Vec<(StreamId, StreamRecord)>> {
    records(state, b'c', stream_record)
}

pub(crate) fn ends(state: &dyn State) -> io::Result<Vec<(StreamId, EndRecord)>> {
    records(state, b'n', end_record)
}

pub(crate) fn sealed(state: &dyn State) -> io::Result<SealedRecord> {
    let entry = state.get(&key(b'g', &[]))?;
    let read = |entry: &StateEntry| {
        let (generation, last) = (u64_at(&entry.value, 0)?, u64_at(&entry.value, 8)?);
        Some(SealedRecord { generation, last_sequence: last })
    };
    Ok(entry.as_ref().and_then(read).unwrap_or_default())
}

/// The epoch of every shard that ever had an owner.
pub(crate) fn epochs(state: &dyn State) -> io::Result<Vec<(Shard, u64)>> {
    let entries = state.scan(&[0, b'l'], None, usize::from(outflow_model::id::SHARDS))?;
    let read = |entry: &StateEntry| Some((lease_shard(&entry.key)?, lease_epoch(&entry.value)));
    Ok(entries.iter().filter_map(read).collect())
}
