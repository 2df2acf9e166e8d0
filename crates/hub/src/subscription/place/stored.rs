//! The stored form of places.
//!
//! ```text
//! place/<subscription, 8 hex>/<stream, 8 hex>                  1 u8 | floor u64 | given u64
//! place/<subscription, 8 hex>/<stream, 8 hex>/<chunk, 14 hex>  1 u8 | floor u64 | 0 u8 | (start u16, len u16)*
//!                                                              1 u8 | floor u64 | 1 u8 | 512 bytes, a bit an offset
//!                                                              1 u8 | floor u64 | 2 u8 | count u64
//! ```
//! The last is of that many whole chunks, of which the key's is the first. All numbers are little-endian.

use std::collections::BTreeSet;

use bytes::Bytes;
use outflow_model::{Offset, StreamId};
use outflow_store::{Condition, Op, Put};

use super::{CHUNK, Given, Place, SubscriptionId, Unsure};

/// Above so many ranges a chunk is stored as bits.
const MAX_RANGES: usize = 128;
const VERSION: u8 = 1;
const RANGES: u8 = 0;
const BITS: u8 = 1;
const RUN: u8 = 2;

/// Where places are in the engine's state.
pub(crate) const PLACES: &[u8] = b"place/";

impl Place {
    /// The stored form of a chunk; `None`: nothing above the floor is done in it.
    pub(super) fn chunk(&self, chunk: u64) -> Option<Bytes> {
        let (start, end) = (chunk * CHUNK, (chunk + 1) * CHUNK);
        let before = self.done.range(..start).next_back().filter(|&(_, &to)| to > start);
        let ranges = before.into_iter().chain(self.done.range(start..end));
        let ranges: Vec<(u16, u16)> = ranges
            .map(|(&from, &to)| (from.max(start) - start, to.min(end) - start))
            .map(|(from, to)| (from as u16, (to - from) as u16))
            .collect();
        if ranges.is_empty() {
            return None;
        }
        let mut value = head(self.floor);
        if ranges.len() <= MAX_RANGES {
            value.push(RANGES);
            for (from, len) in ranges {
                value.extend_from_slice(&from.to_le_bytes());
                value.extend_from_slice(&len.to_le_bytes());
            }
        } else {
            let mut bits = [0_u8; CHUNK as usize / 8];
            for (from, len) in ranges {
                for at in usize::from(from)..usize::from(from) + usize::from(len) {
                    if let Some(byte) = bits.get_mut(at / 8) {
                        *byte |= 1 << (at % 8);
                    }
                }
            }
            value.push(BITS);
            value.extend_from_slice(&bits);
        }
        Some(value.into())
    }

    /// Takes a stored entry in; `chunk` is that of its key.
    pub(crate) fn load(&mut self, chunk: Option<u64>, value: &[u8]) -> Result<(), &'static str> {
        let (&version, rest) = value.split_first().ok_or("empty")?;
        if version != VERSION {
            return Err("written by a newer version");
        }
        let (floor, rest) = rest.split_first_chunk::<8>().ok_or("cut short")?;
        let floor = u64::from_le_bytes(*floor);
        self.raise(Offset::new(floor));
        self.unsure = Unsure::none_above(self.floor);
        let Some(chunk) = chunk else {
            self.written = floor;
            let given = rest.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
            self.given = Given::loaded(given);
            return Ok(());
        };
        self.stored.insert(chunk);
        let start = chunk.checked_mul(CHUNK).ok_or("no such chunk")?;
        let done = |from: u64, len: u64| (start + from, start + (from + len).min(CHUNK));
        let ranges: Vec<(u64, u64)> = match rest.split_first() {
            Some((&RANGES, pairs)) => {
                let (pairs, _) = pairs.as_chunks::<4>();
                let pair = |[a, b, c, d]: &[u8; 4]| {
                    let from = u16::from_le_bytes([*a, *b]);
                    done(u64::from(from), u64::from(u16::from_le_bytes([*c, *d])))
                };
                pairs.iter().map(pair).collect()
            }
            Some((&BITS, bits)) => {
                let bit = |at: &usize| bits.get(at / 8).is_some_and(|b| b >> (at % 8) & 1 == 1);
                (0..CHUNK as usize).filter(bit).map(|at| done(at as u64, 1)).collect()
            }
            Some((&RUN, count)) => {
                let count = count.first_chunk().map(|bytes| u64::from_le_bytes(*bytes));
                let end = count.and_then(|count| chunk.checked_add(count)?.checked_mul(CHUNK));
                let end = end.ok_or("no such run")?;
                self.runs.insert(chunk, end / CHUNK);
                vec![(start, end)]
            }
            _ => return Err("unknown form"),
        };
        for (from, to) in ranges {
            self.pass(Offset::new(from), Offset::new(to));
        }
        Ok(())
    }
}

pub(super) fn head(floor: u64) -> Vec<u8> {
    let mut value = vec![VERSION];
    value.extend_from_slice(&floor.to_le_bytes());
    value
}

/// The stored form of so many chunks that are done altogether.
pub(super) fn run(floor: u64, count: u64) -> Bytes {
    let mut value = head(floor);
    value.push(RUN);
    value.extend_from_slice(&count.to_le_bytes());
    value.into()
}

pub(super) fn put(key: Bytes, value: Option<Bytes>) -> Op {
    Op::Put(Put { key, value, condition: Condition::Any })
}

/// The key of a floor, and the front of the keys of its chunks.
pub(crate) fn floor_key(of: SubscriptionId, stream: StreamId) -> Bytes {
    format!("place/{:08x}/{:08x}", of.0, stream.0).into()
}

pub(super) fn chunk_key(of: SubscriptionId, stream: StreamId, chunk: u64) -> Bytes {
    format!("place/{:08x}/{:08x}/{chunk:014x}", of.0, stream.0).into()
}

/// Whose place an entry is, and which chunk of it.
pub(crate) fn parse_key(key: &[u8]) -> Option<(SubscriptionId, StreamId, Option<u64>)> {
    let text = std::str::from_utf8(key.strip_prefix(PLACES)?).ok()?;
    let mut parts = text.split('/');
    let mut number = || u32::from_str_radix(parts.next()?, 16).ok();
    let (subscription, stream) = (SubscriptionId(number()?), StreamId(number()?));
    match parts.next() {
        None => Some((subscription, stream, None)),
        Some(chunk) => Some((subscription, stream, Some(u64::from_str_radix(chunk, 16).ok()?))),
    }
}

/// What removes a stored place, and what may be stored of it.
pub(crate) fn erase(place: &Place, of: SubscriptionId, stream: StreamId, ops: &mut Vec<Op>) {
    let chunks: BTreeSet<u64> = place.stored.iter().copied().chain(place.unsure.chunks()).collect();
    ops.push(put(floor_key(of, stream), None));
    ops.extend(chunks.into_iter().map(|chunk| put(chunk_key(of, stream, chunk), None)));
}

/// The front of the keys of all chunks of a place that may be left of a former source.
pub(crate) fn leftovers(of: SubscriptionId, stream: StreamId) -> Bytes {
    format!("place/{:08x}/{:08x}/", of.0, stream.0).into()
}
