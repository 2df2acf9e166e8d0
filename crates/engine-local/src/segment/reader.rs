//! Reading segments: the index of a file, and runs of blocks.

use std::io;
use std::path::Path;

use outflow_model::StreamId;

use super::block::{self, Stored};
use super::footer::{self, Entry, HeadRead, TRAILER};
use crate::fs::{File, Fs, OpenMode, read_exact_at};
use crate::index::BlockRef;

/// A segment file's index.
#[derive(Debug)]
pub(crate) struct SegmentRead {
    pub(crate) entries: Vec<Entry>,
    /// What is damaged, in words; empty when nothing is.
    pub(crate) damage: Vec<String>,
}

/// What a segment file turned out to be.
#[derive(Debug)]
pub(crate) enum SegmentOpen {
    Read(SegmentRead),
    /// A later version wrote it.
    Newer(u32),
}

/// Reads the index of the file at `path`; from the blocks themselves if the footer is damaged.
pub(crate) fn open(fs: &dyn Fs, path: &Path) -> io::Result<SegmentOpen> {
    let file = fs.open(path, OpenMode::Read)?;
    let len = file.len()?;
    let mut damage = Vec::new();
    let head = read_exact_at(file.as_ref(), 0, len.min(footer::HEAD as u64) as usize)?;
    match footer::decode_head(&head) {
        HeadRead::Newer(version) => return Ok(SegmentOpen::Newer(version)),
        HeadRead::Bad => damage.push("its head is damaged".into()),
        HeadRead::Good { .. } => {}
    }
    let entries = match read_footer(file.as_ref(), len)? {
        Some(entries) => entries,
        None => {
            damage.push("its footer is damaged".into());
            salvage(file.as_ref(), len)?
        }
    };
    Ok(SegmentOpen::Read(SegmentRead { entries, damage }))
}

fn read_footer(file: &dyn File, len: u64) -> io::Result<Option<Vec<Entry>>> {
    let Some(at) = len.checked_sub(TRAILER as u64) else { return Ok(None) };
    let trailer = read_exact_at(file, at, TRAILER)?;
    let Some(position) = footer::position(&trailer, len) else { return Ok(None) };
    let footer = read_exact_at(file, position, (len - position) as usize)?;
    Ok(footer::decode(&footer))
}

/// Finds every good block of a file.
fn salvage(file: &dyn File, len: u64) -> io::Result<Vec<Entry>> {
    let bytes = read_exact_at(file, 0, len as usize)?;
    let (mut entries, mut at) = (Vec::new(), 0);
    while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
        let Some(stored) = block::decode(rest) else {
            at += 1;
            continue;
        };
        let head = stored.block.head();
        let reference = BlockRef {
            first: head.first,
            last: head.last,
            first_at: head.first_at,
            last_at: head.last_at,
            previous: stored.previous,
            segment: 0,
            position: at as u32,
            len: stored.len as u32,
            plain_len: stored.block.plain_len() as u32,
            count: head.count,
        };
        let is_plain = stored.form == block::Form::Plain;
        entries.push(Entry { stream: stored.stream, block: reference, is_plain });
        at += stored.len;
    }
    Ok(entries)
}

/// A block read from disk, or word that it fails its checksum.
pub(crate) type BlockRead = Result<Stored, Damaged>;

/// A stored block is not what the index says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Damaged;

/// Reads blocks of one stream that lie one after another in a file, with one system call.
pub(crate) fn read_run(
    file: &dyn File,
    stream: StreamId,
    run: &[BlockRef],
) -> io::Result<Vec<BlockRead>> {
    let (Some(first), Some(last)) = (run.first(), run.last()) else { return Ok(Vec::new()) };
    let start = u64::from(first.position);
    let len = u64::from(last.position) + u64::from(last.len) - start;
    let bytes = match read_exact_at(file, start, len as usize) {
        Ok(bytes) => bytes,
        // The file is shorter than its index says.
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Vec::new(),
        Err(error) => return Err(error),
    };
    let read = |block: &BlockRef| {
        let at = (u64::from(block.position) - start) as usize;
        let stored = bytes.get(at..at + block.len as usize).and_then(block::decode);
        stored
            .filter(|stored| {
                stored.stream == stream
                    && stored.block.first == block.first
                    && stored.block.last == block.last
            })
            .ok_or(Damaged)
    };
    Ok(run.iter().map(read).collect())
}
