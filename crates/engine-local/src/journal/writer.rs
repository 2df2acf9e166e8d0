//! The journal file that commits go to.

use std::io;
use std::path::{Path, PathBuf};

use super::buffer::AlignedBuffer;
use super::record::FileHead;
use crate::fs::{ALIGN, File, Fs, OpenMode};

/// How many bytes of zeros are written at once when a file is made.
const ZEROS: usize = 1 << 20;

/// The file of journal slot `slot`.
pub(crate) fn path(dir: &Path, slot: u32) -> PathBuf {
    dir.join("journal").join(format!("{slot:04}.jrn"))
}

/// The file in use.
#[derive(Debug)]
pub(crate) struct JournalWriter {
    file: Box<dyn File>,
    pub(crate) slot: u32,
    pub(crate) generation: u64,
    /// Where the next record goes.
    at: u64,
    size: u64,
}

impl JournalWriter {
    /// Takes the file of `slot` into use as the generation of `head`. It is made if it is not
    /// there, and completed if it is short.
    ///
    /// # Errors
    /// The disk's; the file is then as free as it was.
    pub(crate) fn begin(
        fs: &dyn Fs,
        dir: &Path,
        slot: u32,
        head: FileHead,
        size: u64,
    ) -> io::Result<Self> {
        create(fs, dir, slot, size)?;
        let file = fs.open(&path(dir, slot), OpenMode::Direct)?;
        let mut out = AlignedBuffer::default();
        head.encode(&mut out);
        file.write_all_at(out.contents(), 0)?;
        file.sync_data()?;
        // Its name is durable already, unless the disk was full just when the file was made.
        fs.sync_dir(&dir.join("journal"))?;
        Ok(Self { file, slot, generation: head.generation, at: ALIGN as u64, size })
    }

    /// Whether a record of `len` bytes, head included, fits.
    pub(crate) const fn has_room(&self, len: usize) -> bool {
        self.at + len.next_multiple_of(ALIGN) as u64 <= self.size
    }

    /// Whether so much is written that the next file will be needed soon.
    pub(crate) const fn is_half_full(&self) -> bool {
        self.at > self.size / 2
    }

    /// Whether no record was written.
    pub(crate) const fn is_unused(&self) -> bool {
        self.at == ALIGN as u64
    }

    /// Writes a finished record and makes it durable.
    ///
    /// # Errors
    /// The disk's. The caller must stop: nobody knows what was written.
    pub(crate) fn write(&mut self, record: &[u8]) -> io::Result<()> {
        self.file.write_all_at(record, self.at)?;
        self.file.sync_data()?;
        self.at += record.len() as u64;
        Ok(())
    }
}

/// The file of a slot that is being made.
const UNFINISHED: &str = "tmp";

/// Makes the file of a slot, of `size` zeros, if it is not there. It has its name only when it is
/// whole, so that a shorter one is known to have been cut.
///
/// # Errors
/// The disk's; the file is then as long as it was, or the next call completes it.
pub(crate) fn create(fs: &dyn Fs, dir: &Path, slot: u32, size: u64) -> io::Result<()> {
    let path = path(dir, slot);
    match fs.open(&path, OpenMode::ReadWrite) {
        // The size asked for may have changed.
        Ok(file) => fill(fs, dir, file.as_ref(), size)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let unfinished = path.with_extension(UNFINISHED);
            let file = match fs.open(&unfinished, OpenMode::CreateNew) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    fs.open(&unfinished, OpenMode::ReadWrite)?
                }
                made => made?,
            };
            fill(fs, dir, file.as_ref(), size)?;
            fs.rename(&unfinished, &path)?;
        }
        Err(error) => return Err(error),
    }
    fs.sync_dir(&dir.join("journal"))
}

/// Completes a file that is shorter than `size`.
fn fill(fs: &dyn Fs, dir: &Path, file: &dyn File, size: u64) -> io::Result<()> {
    let len = file.len()?;
    if len >= size {
        // It may be so long in memory only: its maker may have died before the sync.
        return file.sync_data();
    }
    if fs.free_bytes(dir)? < size - len {
        return Err(io::ErrorKind::StorageFull.into());
    }
    // What cannot be whole must not take the room that others need.
    prepare(file, len, size).inspect_err(|_| drop(file.set_len(len)))
}

/// Writes zeros from the file's end, `at`, up to `size`: written blocks sync in half the time of
/// allocated ones (reference `engine.md` 3).
fn prepare(file: &dyn File, mut at: u64, size: u64) -> io::Result<()> {
    let zeros = vec![0; ZEROS.min(size as usize)];
    while at < size {
        let len = (size - at).min(zeros.len() as u64);
        file.write_all_at(zeros.get(..len as usize).unwrap_or_default(), at)?;
        at += len;
    }
    file.sync_data()
}
