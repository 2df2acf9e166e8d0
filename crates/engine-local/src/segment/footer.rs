//! The head, footer and trailer of a segment file. The layout is drawn in [`crate::segment`].

use outflow_model::{Offset, StreamId, Timestamp};

use crate::index::BlockRef;
use crate::journal::op::{fill, i64_at, u32_at, u64_at};

/// The size of a file's head.
pub(crate) const HEAD: usize = 32;
/// The size of a footer's entry.
const ENTRY: usize = 64;
/// The size of an entry without `previous`, as version 1 wrote it.
const OLD_ENTRY: usize = 56;
/// The size of the trailer.
pub(crate) const TRAILER: usize = 24;

const HEAD_MAGIC: [u8; 4] = *b"OFS\xFF";
const TRAILER_MAGIC: [u8; 4] = *b"OFE\xFF";

/// A block's entry in a footer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) stream: StreamId,
    /// Where it is; its segment is not set yet.
    pub(crate) block: BlockRef,
    pub(crate) is_plain: bool,
}

/// What the head of a segment file turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HeadRead {
    Good {
        age_ms: u64,
        number: u64,
    },
    /// Written by a later version.
    Newer(u32),
    Bad,
}

pub(crate) fn encode_head(age_ms: u64, number: u64) -> [u8; HEAD] {
    let mut head = [0; HEAD];
    let version = super::VERSION.to_le_bytes();
    let (age, number) = (age_ms.to_le_bytes(), number.to_le_bytes());
    fill(&mut head, [&HEAD_MAGIC[..], &[0; 4], &version, &[0; 4], &age, &number]);
    let crc = crc32c::crc32c(head.get(8..).unwrap_or_default());
    fill(&mut head, [&HEAD_MAGIC[..], &crc.to_le_bytes()]);
    head
}

pub(crate) fn decode_head(bytes: &[u8]) -> HeadRead {
    let read = || {
        let head = bytes.get(..HEAD)?;
        let is_whole =
            head.starts_with(&HEAD_MAGIC) && u32_at(head, 4)? == crc32c::crc32c(head.get(8..)?);
        let version = u32_at(head, 8)?;
        match (is_whole, version > super::VERSION) {
            (false, _) => None,
            (true, true) => Some(HeadRead::Newer(version)),
            (true, false) => {
                Some(HeadRead::Good { age_ms: u64_at(head, 16)?, number: u64_at(head, 24)? })
            }
        }
    };
    read().unwrap_or(HeadRead::Bad)
}

/// The footer and the trailer of a file whose blocks end at `position`.
pub(crate) fn encode(entries: &[Entry], position: u64) -> Vec<u8> {
    let mut out = vec![0; entries.len() * ENTRY + TRAILER];
    for (entry, to) in entries.iter().zip(out.chunks_exact_mut(ENTRY)) {
        let block = &entry.block;
        fill(
            to,
            [
                &entry.stream.0.to_le_bytes()[..],
                &block.count.to_le_bytes(),
                &block.first.get().to_le_bytes(),
                &block.last.get().to_le_bytes(),
                &block.first_at.millis().to_le_bytes(),
                &block.last_at.millis().to_le_bytes(),
                &block.position.to_le_bytes(),
                &block.len.to_le_bytes(),
                &block.plain_len.to_le_bytes(),
                &u32::from(entry.is_plain).to_le_bytes(),
                &block.previous.get().to_le_bytes(),
            ],
        );
    }
    let at = entries.len() * ENTRY;
    if let Some((footer, trailer)) = out.split_at_mut_checked(at) {
        let count = (entries.len() as u32).to_le_bytes();
        let position = position.to_le_bytes();
        fill(trailer, [&TRAILER_MAGIC[..], &[0; 4], &position, &count, &[0; 4]]);
        let crc =
            crc32c::crc32c_append(crc32c::crc32c(footer), trailer.get(8..).unwrap_or_default());
        fill(trailer, [&TRAILER_MAGIC[..], &crc.to_le_bytes()]);
    }
    out
}

/// Where the footer of a file of `file_len` bytes starts, by its trailer; `None` when it is not
/// a trailer.
pub(crate) fn position(trailer: &[u8], file_len: u64) -> Option<u64> {
    let position = u64_at(trailer, 8)?;
    let footer = file_len.checked_sub(position)?.checked_sub(TRAILER as u64)?;
    let fits = trailer.starts_with(&TRAILER_MAGIC) && entry_len(trailer, footer).is_some();
    fits.then_some(position)
}

/// How long each entry is of a footer of `len` bytes: its number tells the versions apart.
fn entry_len(trailer: &[u8], len: u64) -> Option<usize> {
    let count = u64::from(u32_at(trailer, 16)?);
    [ENTRY, OLD_ENTRY].into_iter().find(|&entry| count * entry as u64 == len)
}

/// Reads the footer and trailer; `None` when they fail their checksum.
pub(crate) fn decode(bytes: &[u8]) -> Option<Vec<Entry>> {
    let (footer, trailer) = bytes.split_at_checked(bytes.len().checked_sub(TRAILER)?)?;
    let crc = crc32c::crc32c_append(crc32c::crc32c(footer), trailer.get(8..)?);
    if !trailer.starts_with(&TRAILER_MAGIC) || u32_at(trailer, 4)? != crc {
        return None;
    }
    let entry_len = entry_len(trailer, footer.len() as u64)?;
    footer.chunks_exact(entry_len).map(decode_entry).collect()
}

fn decode_entry(bytes: &[u8]) -> Option<Entry> {
    let block = BlockRef {
        first: Offset::new(u64_at(bytes, 8)?),
        last: Offset::new(u64_at(bytes, 16)?),
        first_at: Timestamp::from_millis(i64_at(bytes, 24)?),
        last_at: Timestamp::from_millis(i64_at(bytes, 32)?),
        previous: Offset::new(u64_at(bytes, OLD_ENTRY).unwrap_or(0)),
        segment: 0,
        position: u32_at(bytes, 40)?,
        len: u32_at(bytes, 44)?,
        plain_len: u32_at(bytes, 48)?,
        count: u32_at(bytes, 4)?,
    };
    Some(Entry { stream: StreamId(u32_at(bytes, 0)?), block, is_plain: u32_at(bytes, 52)? == 1 })
}
