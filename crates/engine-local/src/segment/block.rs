//! A block as a segment stores it. The layout is drawn in [`crate::segment`].

use bytes::Bytes;
use outflow_model::{Offset, StreamId, Timestamp};
use outflow_store::block::BlockHead;
use outflow_store::{Block, BlockError, Deflated, crc};

use crate::journal::op::{fill, i64_at, u32_at, u64_at};

/// The size of a block's head.
const HEAD: usize = 80;
/// The size of a head without `previous`, as version 1 wrote it.
const OLD_HEAD: usize = 72;
/// The parts are stored as they are.
const FLAG_PLAIN: u32 = 1;
/// The head has `previous`.
const FLAG_PREVIOUS: u32 = 2;

pub(crate) const MAGIC: [u8; 4] = *b"OFB\xFF";

/// Whether the parts of a block are deflated when it is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    Deflated,
    /// Saves the time now; compaction deflates it later.
    Plain,
}

/// Appends `block`, before which `previous` is the stream's last event, in its stored form to
/// `out`.
///
/// # Errors
/// When the block is damaged.
pub(crate) fn encode(
    out: &mut Vec<u8>,
    stream: StreamId,
    block: &Block,
    previous: Offset,
    form: Form,
) -> Result<(), BlockError> {
    let (lines, crc, (metas, metas_len), flags) = match form {
        Form::Deflated => {
            let deflated = block.deflated()?;
            (&deflated.bytes, deflated.crc, block.deflated_metas()?, 0)
        }
        Form::Plain => {
            // The block's own checksum covers plain lines; theirs is made when they are deflated.
            let metas = block.meta_bytes()?;
            (block.lines()?, 0, (metas.clone(), metas.len() as u32), FLAG_PLAIN)
        }
    };
    let mut head = [0; HEAD];
    fill(
        &mut head,
        [
            &MAGIC[..],
            &[0; 4],
            &stream.0.to_le_bytes(),
            &block.count.to_le_bytes(),
            &block.first.get().to_le_bytes(),
            &block.last.get().to_le_bytes(),
            &block.first_at.millis().to_le_bytes(),
            &block.last_at.millis().to_le_bytes(),
            &(block.plain_len() as u32).to_le_bytes(),
            &crc.to_le_bytes(),
            &(lines.len() as u32).to_le_bytes(),
            &metas_len.to_le_bytes(),
            &(metas.len() as u32).to_le_bytes(),
            &(flags | FLAG_PREVIOUS).to_le_bytes(),
            &previous.get().to_le_bytes(),
        ],
    );
    let covered = head.get(8..).unwrap_or_default();
    let sum = crc32c::crc32c_append(crc32c::crc32c_append(crc32c::crc32c(covered), lines), &metas);
    fill(&mut head, [&MAGIC[..], &sum.to_le_bytes()]);
    out.reserve(HEAD + lines.len() + metas.len());
    out.extend_from_slice(&head);
    out.extend_from_slice(lines);
    out.extend_from_slice(&metas);
    Ok(())
}

/// A stored block read back.
#[derive(Debug)]
pub(crate) struct Stored {
    pub(crate) stream: StreamId,
    pub(crate) block: Block,
    /// The stream's last event before it; [`Offset::ZERO`]: none, or not known.
    pub(crate) previous: Offset,
    pub(crate) form: Form,
    /// Its size in the file.
    pub(crate) len: usize,
}

/// How long the head is that starts with `head`.
fn head_len(head: &[u8]) -> Option<usize> {
    Some(if u32_at(head, 68)? & FLAG_PREVIOUS == 0 { OLD_HEAD } else { HEAD })
}

/// How long the block is that starts with `head`, if it is one.
pub(crate) fn stored_len(head: &[u8]) -> Option<usize> {
    if !head.starts_with(&MAGIC) {
        return None;
    }
    let parts = (u32_at(head, 56)? as usize).checked_add(u32_at(head, 64)? as usize)?;
    head_len(head)?.checked_add(parts)
}

/// Reads the block at the front of `bytes`; `None` when it fails its checksum.
pub(crate) fn decode(bytes: &[u8]) -> Option<Stored> {
    let len = stored_len(bytes)?;
    let bytes = bytes.get(..len)?;
    if u32_at(bytes, 4)? != crc32c::crc32c(bytes.get(8..)?) {
        return None;
    }
    let head = BlockHead {
        first: Offset::new(u64_at(bytes, 16)?),
        last: Offset::new(u64_at(bytes, 24)?),
        count: u32_at(bytes, 12)?,
        first_at: Timestamp::from_millis(i64_at(bytes, 32)?),
        last_at: Timestamp::from_millis(i64_at(bytes, 40)?),
    };
    let head_len = head_len(bytes)?;
    let previous = if head_len == HEAD { u64_at(bytes, OLD_HEAD)? } else { 0 };
    let (lines, metas) = bytes.get(head_len..)?.split_at_checked(u32_at(bytes, 56)? as usize)?;
    // Copies, so that a cached block holds no more than itself in memory.
    let (lines, metas) = (Bytes::copy_from_slice(lines), Bytes::copy_from_slice(metas));
    let plain_len = u32_at(bytes, 48)?;
    let (block, form) = if u32_at(bytes, 68)? & FLAG_PLAIN == 0 {
        let operator = crc::shift_operator(plain_len.into());
        let lines = Deflated { bytes: lines, crc: u32_at(bytes, 52)?, plain_len, operator };
        (Block::stored(head, lines, metas, u32_at(bytes, 60)?), Form::Deflated)
    } else {
        (Block::plain(head, lines, metas), Form::Plain)
    };
    let (stream, previous) = (StreamId(u32_at(bytes, 8)?), Offset::new(previous));
    Some(Stored { stream, block, previous, form, len })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PREVIOUS: Offset = Offset::new(77);

    fn block() -> Block {
        let head = BlockHead {
            first: Offset::FIRST,
            last: Offset::FIRST.plus(9),
            count: 10,
            first_at: Timestamp::from_millis(5),
            last_at: Timestamp::from_millis(6),
        };
        Block::plain(head, Bytes::from(vec![b'l'; 1000]), Bytes::from(vec![3; 720]))
    }

    #[test]
    fn both_forms_read_back() {
        for form in [Form::Deflated, Form::Plain] {
            let mut out = Vec::new();
            encode(&mut out, StreamId(9), &block(), PREVIOUS, form).unwrap();
            assert_eq!(stored_len(&out), Some(out.len()));
            let stored = decode(&out).unwrap();
            assert_eq!((stored.stream, stored.form, stored.len), (StreamId(9), form, out.len()));
            assert_eq!(stored.previous, PREVIOUS);
            assert_eq!(stored.block.head(), block().head());
            assert_eq!(stored.block.lines().unwrap(), block().lines().unwrap());
            assert_eq!(stored.block.meta_bytes().unwrap(), block().meta_bytes().unwrap());
        }
    }

    #[test]
    fn a_block_of_version_1_reads_back() {
        let mut out = Vec::new();
        encode(&mut out, StreamId(9), &block(), PREVIOUS, Form::Plain).unwrap();
        out.drain(OLD_HEAD..HEAD);
        out[68] = FLAG_PLAIN as u8;
        let sum = crc32c::crc32c(&out[8..]);
        out[4..8].copy_from_slice(&sum.to_le_bytes());
        let stored = decode(&out).unwrap();
        assert_eq!((stored.previous, stored.len), (Offset::ZERO, out.len()));
        assert_eq!(stored.block.lines().unwrap(), block().lines().unwrap());
    }

    #[test]
    fn every_flipped_bit_is_found() {
        let mut out = Vec::new();
        encode(&mut out, StreamId(9), &block(), PREVIOUS, Form::Deflated).unwrap();
        for bit in 0..out.len() * 8 {
            out[bit / 8] ^= 1 << (bit % 8);
            assert!(decode(&out).is_none(), "bit {bit}");
            out[bit / 8] ^= 1 << (bit % 8);
        }
        for len in 0..out.len() {
            assert!(decode(&out[..len]).is_none(), "cut to {len}");
        }
    }
}
