//! Writing a segment: under another name until all of it is durable.

use std::io;
use std::path::PathBuf;

use outflow_model::{Offset, StreamId};
use outflow_store::Block;

use super::block::{self, Form};
use super::footer::{self, Entry};
use crate::fs::{File, Fs, OpenMode};
use crate::index::BlockRef;

/// How many bytes are gathered before they are written.
const GATHER: usize = 1 << 20;
/// How many bytes are written before they are synced: the disk stays free for commits.
const SYNC_EVERY: u64 = 8 << 20;

/// A segment being written.
#[derive(Debug)]
pub(crate) struct SegmentWriter {
    file: Box<dyn File>,
    path: PathBuf,
    buffer: Vec<u8>,
    /// Where the buffer goes.
    at: u64,
    synced: u64,
    entries: Vec<Entry>,
}

/// The name of a file that is not whole yet.
pub(crate) const UNFINISHED: &str = ".tmp";

impl SegmentWriter {
    /// Begins the segment whose final name will be `path`.
    ///
    /// # Errors
    /// The disk's.
    pub(crate) fn begin(fs: &dyn Fs, path: PathBuf, age_ms: u64, number: u64) -> io::Result<Self> {
        if let Some(dir) = path.parent() {
            fs.create_dir_all(dir)?;
        }
        let unfinished = unfinished(&path);
        if let Err(error) = fs.remove(&unfinished)
            && error.kind() != io::ErrorKind::NotFound
        {
            return Err(error);
        }
        let file = fs.open(&unfinished, OpenMode::CreateNew)?;
        let buffer = footer::encode_head(age_ms, number).to_vec();
        Ok(Self { file, path, buffer, at: 0, synced: 0, entries: Vec::new() })
    }

    /// Adds a block, before which `previous` is the stream's last event. Returns how many bytes
    /// it takes.
    ///
    /// # Errors
    /// The disk's; `InvalidData` when the block is damaged or the file too large.
    pub(crate) fn add(
        &mut self,
        stream: StreamId,
        block: &Block,
        previous: Offset,
        form: Form,
    ) -> io::Result<u32> {
        let position = self.at + self.buffer.len() as u64;
        let before = self.buffer.len();
        block::encode(&mut self.buffer, stream, block, previous, form)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        let len = (self.buffer.len() - before) as u32;
        let too_large = |_| io::Error::new(io::ErrorKind::InvalidData, "the segment is too large");
        let reference = BlockRef {
            first: block.first,
            last: block.last,
            first_at: block.first_at,
            last_at: block.last_at,
            previous,
            segment: 0,
            position: u32::try_from(position).map_err(too_large)?,
            len,
            plain_len: block.plain_len() as u32,
            count: block.count,
        };
        self.entries.push(Entry { stream, block: reference, is_plain: form == Form::Plain });
        if self.buffer.len() >= GATHER {
            self.flush()?;
        }
        Ok(len)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.write_all_at(&self.buffer, self.at)?;
        self.at += self.buffer.len() as u64;
        self.buffer.clear();
        if self.at - self.synced >= SYNC_EVERY {
            self.file.sync_data()?;
            self.synced = self.at;
        }
        Ok(())
    }

    /// Makes the file durable under its final name, replacing what had it.
    ///
    /// # Errors
    /// The disk's.
    pub(crate) fn finish(mut self, fs: &dyn Fs) -> io::Result<(Box<dyn File>, Vec<Entry>)> {
        let end = self.at + self.buffer.len() as u64;
        let footer = footer::encode(&self.entries, end);
        self.buffer.extend_from_slice(&footer);
        self.flush()?;
        self.file.sync_data()?;
        fs.rename(&unfinished(&self.path), &self.path)?;
        // The file has its name: nobody may try again, not even when the disk is full.
        sync_names(fs, &self.path).map_err(io::Error::other)?;
        Ok((self.file, self.entries))
    }

    /// Gives up and removes what was written.
    pub(crate) fn abandon(self, fs: &dyn Fs) {
        // What cannot be removed now is removed when the directory is opened the next time.
        let _ = fs.remove(&unfinished(&self.path));
    }
}

/// Makes a segment's name durable, and that of its family, which may be new as well.
fn sync_names(fs: &dyn Fs, path: &std::path::Path) -> io::Result<()> {
    path.ancestors().skip(1).take(2).try_for_each(|dir| fs.sync_dir(dir))
}

fn unfinished(path: &std::path::Path) -> PathBuf {
    path.with_extension(UNFINISHED.trim_start_matches('.'))
}
