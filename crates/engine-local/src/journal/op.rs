//! The parts of a commit as the journal keeps them. The layout is drawn in [`crate::journal`].

use bytes::Bytes;
use outflow_model::meta::META_BYTES;
use outflow_model::{Offset, StreamId, Timestamp};
use outflow_store::{Append, Put, Retention, StreamConfig};

use super::buffer::AlignedBuffer;

/// An append as version 1 wrote it: without `previous`.
const OLD_APPEND: u8 = 1;
const PUT: u8 = 2;
const SET: u8 = 3;
const DROP: u8 = 4;
const TRIM: u8 = 5;
const APPEND: u8 = 6;

/// One part of a commit, read back. Bytes are slices of the file's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum JournalOp {
    Append {
        stream: StreamId,
        first: Offset,
        at: Timestamp,
        /// The stream's last event before it.
        previous: Offset,
        count: u32,
        lines: Bytes,
        metas: Bytes,
    },
    Put {
        key: Bytes,
        value: Option<Bytes>,
    },
    Set(StreamId, StreamConfig),
    Drop(StreamId),
    Trim(StreamId, Offset),
}

/// Appends an append whose time is `at`, after the stream's event `previous`.
pub(crate) fn encode_append(
    out: &mut AlignedBuffer,
    append: &Append,
    at: Timestamp,
    previous: Offset,
) {
    let mut head = [0; 40];
    fill(
        &mut head,
        [
            &[APPEND, 0, 0, 0][..],
            &append.stream.0.to_le_bytes(),
            &append.first.get().to_le_bytes(),
            &at.millis().to_le_bytes(),
            &append.count.to_le_bytes(),
            &(append.lines.len() as u32).to_le_bytes(),
            &previous.get().to_le_bytes(),
        ],
    );
    out.extend(&head);
    out.extend(&append.lines);
    out.extend(&append.metas);
}

/// Appends a put; its lengths were checked.
pub(crate) fn encode_put(out: &mut AlignedBuffer, put: &Put) {
    let value = put.value.as_deref();
    let mut head = [0; 8];
    fill(
        &mut head,
        [
            &[PUT, u8::from(value.is_some())][..],
            &(put.key.len() as u16).to_le_bytes(),
            &(value.map_or(0, <[u8]>::len) as u32).to_le_bytes(),
        ],
    );
    out.extend(&head);
    out.extend(&put.key);
    out.extend(value.unwrap_or_default());
}

pub(crate) fn encode_set(out: &mut AlignedBuffer, stream: StreamId, config: StreamConfig) {
    let limit = config.retention.max_bytes;
    let mut head = [0; 24];
    fill(
        &mut head,
        [
            &[SET, u8::from(limit.is_some()), 0, 0][..],
            &stream.0.to_le_bytes(),
            &config.retention.age_ms.to_le_bytes(),
            &limit.unwrap_or(0).to_le_bytes(),
        ],
    );
    out.extend(&head);
}

pub(crate) fn encode_drop(out: &mut AlignedBuffer, stream: StreamId) {
    let mut head = [0; 8];
    fill(&mut head, [&[DROP, 0, 0, 0][..], &stream.0.to_le_bytes()]);
    out.extend(&head);
}

pub(crate) fn encode_trim(out: &mut AlignedBuffer, stream: StreamId, before: Offset) {
    let mut head = [0; 16];
    fill(&mut head, [&[TRIM, 0, 0, 0][..], &stream.0.to_le_bytes(), &before.get().to_le_bytes()]);
    out.extend(&head);
}

/// Puts the parts one after another into `out`.
pub(crate) fn fill<const N: usize>(out: &mut [u8], parts: [&[u8]; N]) {
    let mut rest = out;
    for part in parts {
        let Some((to, after)) = rest.split_at_mut_checked(part.len()) else { return };
        to.copy_from_slice(part);
        rest = after;
    }
}

/// The bytes at `at` as an array.
pub(crate) fn part<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk::<N>().copied()
}

pub(crate) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    part(bytes, at).map(u32::from_le_bytes)
}

pub(crate) fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    part(bytes, at).map(u64::from_le_bytes)
}

pub(crate) fn i64_at(bytes: &[u8], at: usize) -> Option<i64> {
    part(bytes, at).map(i64::from_le_bytes)
}

/// Cuts `len` bytes from the front.
fn take(bytes: &mut Bytes, len: usize) -> Option<Bytes> {
    (len <= bytes.len()).then(|| bytes.split_to(len))
}

/// Reads the op at the front of `payload` and cuts it off; `None` when it is not one.
pub(crate) fn decode(payload: &mut Bytes) -> Option<JournalOp> {
    match *payload.first()? {
        kind @ (APPEND | OLD_APPEND) => {
            let head = take(payload, if kind == APPEND { 40 } else { 32 })?;
            let previous = if kind == APPEND { u64_at(&head, 32)? } else { 0 };
            let count = u32_at(&head, 24)?;
            let lines = take(payload, u32_at(&head, 28)? as usize)?;
            let metas = take(payload, (count as usize).checked_mul(META_BYTES)?)?;
            Some(JournalOp::Append {
                stream: StreamId(u32_at(&head, 4)?),
                first: Offset::new(u64_at(&head, 8)?),
                at: Timestamp::from_millis(i64_at(&head, 16)?),
                previous: Offset::new(previous),
                count: (count > 0).then_some(count)?,
                lines,
                metas,
            })
        }
        PUT => {
            let head = take(payload, 8)?;
            let key = take(payload, part(&head, 2).map(u16::from_le_bytes)?.into())?;
            let value = take(payload, u32_at(&head, 4)? as usize)?;
            Some(JournalOp::Put { key, value: (*head.get(1)? == 1).then_some(value) })
        }
        SET => {
            let head = take(payload, 24)?;
            let limit = u64_at(&head, 16)?;
            let max_bytes = (*head.get(1)? == 1).then_some(limit);
            let retention = Retention { age_ms: u64_at(&head, 8)?, max_bytes };
            Some(JournalOp::Set(StreamId(u32_at(&head, 4)?), StreamConfig { retention }))
        }
        DROP => Some(JournalOp::Drop(StreamId(u32_at(&take(payload, 8)?, 4)?))),
        TRIM => {
            let head = take(payload, 16)?;
            Some(JournalOp::Trim(StreamId(u32_at(&head, 4)?), Offset::new(u64_at(&head, 8)?)))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use outflow_store::Condition;
    use proptest::prelude::*;

    use super::*;

    fn op() -> impl Strategy<Value = JournalOp> {
        let bytes = || prop::collection::vec(any::<u8>(), 0..300).prop_map(Bytes::from);
        prop_oneof![
            (any::<(u32, u64, i64, u64)>(), 1..5_u32, bytes()).prop_map(
                |((id, first, at, previous), count, lines)| {
                    JournalOp::Append {
                        stream: StreamId(id),
                        first: Offset::new(first),
                        at: Timestamp::from_millis(at),
                        previous: Offset::new(previous),
                        count,
                        lines,
                        metas: vec![7; count as usize * META_BYTES].into(),
                    }
                }
            ),
            (bytes(), prop::option::of(bytes()))
                .prop_map(|(key, value)| JournalOp::Put { key, value }),
            (any::<u32>(), any::<u64>(), any::<Option<u64>>()).prop_map(
                |(id, age_ms, max_bytes)| {
                    let retention = Retention { age_ms, max_bytes };
                    JournalOp::Set(StreamId(id), StreamConfig { retention })
                }
            ),
            any::<u32>().prop_map(|id| JournalOp::Drop(StreamId(id))),
            any::<(u32, u64)>().prop_map(|(id, at)| JournalOp::Trim(StreamId(id), Offset::new(at))),
        ]
    }

    fn encode(out: &mut AlignedBuffer, op: &JournalOp) {
        match op.clone() {
            JournalOp::Append { stream, first, at, previous, count, lines, metas } => {
                let append = Append { stream, first, count, at, lines, metas };
                encode_append(out, &append, at, previous);
            }
            JournalOp::Put { key, value } => {
                encode_put(out, &Put { key, value, condition: Condition::Any });
            }
            JournalOp::Set(stream, config) => encode_set(out, stream, config),
            JournalOp::Drop(stream) => encode_drop(out, stream),
            JournalOp::Trim(stream, before) => encode_trim(out, stream, before),
        }
    }

    proptest! {
        #[test]
        fn ops_read_back(ops in prop::collection::vec(op(), 0..8)) {
            let mut out = AlignedBuffer::default();
            ops.iter().for_each(|op| encode(&mut out, op));
            let mut payload = Bytes::copy_from_slice(out.contents());
            let read: Vec<_> = std::iter::from_fn(|| decode(&mut payload)).collect();
            prop_assert_eq!(read, ops);
            prop_assert!(payload.is_empty());
        }

        #[test]
        fn appends_of_version_1_read_back(first: u64, count in 1..5_u32, lines: Vec<u8>) {
            let mut bytes = vec![OLD_APPEND, 0, 0, 0, 7, 0, 0, 0];
            bytes.extend_from_slice(&first.to_le_bytes());
            bytes.extend_from_slice(&5_i64.to_le_bytes());
            bytes.extend_from_slice(&count.to_le_bytes());
            bytes.extend_from_slice(&(lines.len() as u32).to_le_bytes());
            bytes.extend_from_slice(&lines);
            let metas = Bytes::from(vec![3; count as usize * META_BYTES]);
            bytes.extend_from_slice(&metas);
            let (first, previous) = (Offset::new(first), Offset::ZERO);
            let (stream, at) = (StreamId(7), Timestamp::from_millis(5));
            let lines = Bytes::from(lines);
            let op = JournalOp::Append { stream, first, at, previous, count, lines, metas };
            prop_assert_eq!(decode(&mut Bytes::from(bytes)), Some(op));
        }

        #[test]
        fn any_bytes_are_read_without_panic(bytes: Vec<u8>) {
            let mut payload = Bytes::from(bytes);
            while decode(&mut payload).is_some() {}
        }
    }
}
