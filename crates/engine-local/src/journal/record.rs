//! The heads of journal files and of records. The layout is drawn in [`crate::journal`].

use bytes::Bytes;

use super::buffer::AlignedBuffer;
use super::op::{fill, u32_at, u64_at};
use crate::fs::ALIGN;

/// The newest journal format that this code reads, and the one it writes.
pub(crate) const VERSION: u32 = 2;
/// The size of a file's and of a record's head.
pub(crate) const HEAD: usize = 32;

const FILE_MAGIC: [u8; 4] = *b"OFJ\xFF";
const RECORD_MAGIC: [u8; 4] = *b"OFC\xFF";

/// Sequences jumped before this file, because of damage.
const JUMPED: u32 = 1 << 31;

/// What the head of a journal file says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FileHead {
    pub(crate) generation: u64,
    /// The sequence of its first record, whether it was written or not.
    pub(crate) first_sequence: u64,
    /// The size of the file in bytes at least; 0: not known. Kept in units of [`ALIGN`].
    pub(crate) size: u64,
    /// Whether sequences jumped before it, so that no commits are missing there.
    pub(crate) has_jumped: bool,
}

/// What the head of a journal file turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FileHeadRead {
    Good(FileHead),
    /// Written by a later version.
    Newer(u32),
    /// Never written, torn or damaged.
    Bad,
}

impl FileHead {
    /// The head, padded to a disk block.
    pub(crate) fn encode(self, out: &mut AlignedBuffer) {
        let mut head = [0; HEAD];
        let blocks = (self.size / ALIGN as u64) as u32 | if self.has_jumped { JUMPED } else { 0 };
        fill(
            &mut head,
            [
                &FILE_MAGIC[..],
                &[0; 4],
                &VERSION.to_le_bytes(),
                &blocks.to_le_bytes(),
                &self.generation.to_le_bytes(),
                &self.first_sequence.to_le_bytes(),
            ],
        );
        let crc = crc32c::crc32c(head.get(8..).unwrap_or_default());
        fill(&mut head, [&FILE_MAGIC[..], &crc.to_le_bytes()]);
        out.clear();
        out.extend(&head);
        out.pad();
    }

    pub(crate) fn decode(bytes: &[u8]) -> FileHeadRead {
        let read = || {
            let head = bytes.get(..HEAD)?;
            let is_whole =
                head.starts_with(&FILE_MAGIC) && u32_at(head, 4)? == crc32c::crc32c(head.get(8..)?);
            if !is_whole {
                return None;
            }
            let version = u32_at(head, 8)?;
            if version > VERSION {
                return Some(FileHeadRead::Newer(version));
            }
            let (generation, first_sequence) = (u64_at(head, 16)?, u64_at(head, 24)?);
            let blocks = u32_at(head, 12)?;
            let size = u64::from(blocks & !JUMPED) * ALIGN as u64;
            let has_jumped = blocks & JUMPED != 0;
            Some(FileHeadRead::Good(Self { generation, first_sequence, size, has_jumped }))
        };
        read().unwrap_or(FileHeadRead::Bad)
    }
}

/// Begins a record: leaves room for its head.
pub(crate) fn begin(out: &mut AlignedBuffer) {
    out.clear();
    out.extend(&[0; HEAD]);
}

/// Ends a record: writes its head, whose checksum covers the payload, and pads it.
pub(crate) fn finish(out: &mut AlignedBuffer, ops: u32, generation: u64, sequence: u64) {
    let payload = (out.len() - HEAD) as u32;
    let mut head = [0; HEAD];
    fill(
        &mut head,
        [
            &RECORD_MAGIC[..],
            &[0; 4],
            &payload.to_le_bytes(),
            &ops.to_le_bytes(),
            &generation.to_le_bytes(),
            &sequence.to_le_bytes(),
        ],
    );
    out.set(0, &head);
    let crc = crc32c::crc32c(out.contents().get(8..).unwrap_or_default());
    out.set(4, &crc.to_le_bytes());
    out.pad();
}

/// A record read back.
#[derive(Debug, Clone)]
pub(crate) struct Record {
    pub(crate) generation: u64,
    pub(crate) sequence: u64,
    /// How many ops the payload holds.
    pub(crate) ops: u32,
    pub(crate) payload: Bytes,
    /// Where it is in the file.
    pub(crate) position: u64,
    /// Its size in the file, padding included.
    pub(crate) size: usize,
}

/// The generation of the record that seems to begin at `at`, and how many bytes of it are there:
/// what its head says, whole or not.
pub(crate) fn claimed(file: &Bytes, at: usize) -> Option<(u64, usize)> {
    let rest = file.get(at..).filter(|rest| rest.starts_with(&RECORD_MAGIC))?;
    let size = HEAD.saturating_add(u32_at(rest, 8)? as usize).next_multiple_of(ALIGN);
    Some((u64_at(rest, 16)?, size.min(rest.len())))
}

/// The record at `at` in a journal file's bytes, if a whole one is there.
pub(crate) fn decode(file: &Bytes, at: usize) -> Option<Record> {
    let rest = file.get(at..)?;
    if !rest.starts_with(&RECORD_MAGIC) {
        return None;
    }
    let len = HEAD.checked_add(u32_at(rest, 8)? as usize)?;
    if u32_at(rest, 4)? != crc32c::crc32c(rest.get(8..len)?) {
        return None;
    }
    let size = len.next_multiple_of(ALIGN);
    let padding = rest.get(len..size.min(rest.len()))?;
    if padding.iter().any(|&byte| byte != 0) {
        return None;
    }
    Some(Record {
        generation: u64_at(rest, 16)?,
        sequence: u64_at(rest, 24)?,
        ops: u32_at(rest, 12)?,
        payload: file.slice(at + HEAD..at + len),
        position: at as u64,
        size,
    })
}
