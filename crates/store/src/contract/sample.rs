//! Batches to test with: lines whose every byte is known from stream and offset.

use outflow_model::{Meta, Offset, StreamId, Timestamp};

use crate::{Append, Batch, Op, StreamConfig};

/// The stored line of the event at `offset`, about `size` bytes long.
#[must_use]
pub fn line(stream: StreamId, offset: Offset, size: usize) -> Vec<u8> {
    let head =
        format!(r#"{{"id":"{stream}-{offset}","type":"SAMPLE","offset":"{offset}","body":""#);
    // Neither constant nor random: blocks of it compress about as events do.
    let mut seed = offset.get() ^ u64::from(stream.0) << 40;
    let filling = size.saturating_sub(head.len() + 3);
    let letters = (0..filling).map(|at| {
        if at % 24 == 0 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(at as u64);
        }
        b'a' + ((seed >> (at % 24)) % 16) as u8
    });
    head.bytes().chain(letters).chain(*b"\"}\n").collect()
}

/// Events of about `sizes` bytes from offset `first`, taken at `at`.
#[must_use]
pub fn append(stream: StreamId, first: Offset, sizes: &[usize], at: Timestamp) -> Append {
    let (mut lines, mut metas) = (Vec::new(), Vec::new());
    for (index, &size) in sizes.iter().enumerate() {
        let offset = first.plus(index as u64);
        let line = line(stream, offset, size);
        let id_len = line[7..].iter().position(|&byte| byte == b'"').unwrap();
        let meta = Meta {
            offset,
            occurred: at,
            processed: at,
            id_hash: u128::from(offset.get()),
            line_len: line.len() as u32,
            id_len: id_len as u16,
            type_len: 6,
            ..Meta::default()
        };
        meta.encode(&mut metas);
        lines.extend_from_slice(&line);
    }
    let count = sizes.len() as u32;
    Append { stream, first, count, at, lines: lines.into(), metas: metas.into() }
}

/// `count` usual events, taken at `at`.
#[must_use]
pub fn usual(stream: StreamId, first: Offset, count: usize, at: Timestamp) -> Append {
    append(stream, first, &vec![200; count], at)
}

/// A synced batch of `ops`.
#[must_use]
pub fn batch(ops: impl IntoIterator<Item = Op>) -> Batch {
    Batch { ops: ops.into_iter().collect(), ..Batch::default() }
}

/// A batch that makes streams 1 to `count` with the usual configuration.
#[must_use]
pub fn make_streams(count: u32) -> Batch {
    batch((1..=count).map(|id| Op::SetStream(StreamId(id), StreamConfig::default())))
}
