//! The file system as the engine sees it: a trait, so that a simulator can stand in for the disk,
//! and [`RealFs`], the operating system's.
//!
//! Called by every file of the engine that touches a disk; calls `std::fs` and `rustix`.
//!
//! What an implementation must hold, and all that the engine relies on: bytes are durable once
//! [`File::sync_data`] returned (its length included); a name is durable once [`Fs::sync_dir`] of
//! its directory returned; before that, any part of what was written may be there after a crash,
//! in any order, and a created, renamed or removed name may or may not be.

use std::fmt::Debug;
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::OFlags;

/// What writes through [`OpenMode::Direct`] are aligned to: position, length and memory.
pub const ALIGN: usize = 4096;

/// How a file is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpenMode {
    /// For reading and writing; fails when it exists.
    CreateNew,
    /// For reading; fails when it is absent.
    Read,
    /// For reading and writing; fails when it is absent.
    ReadWrite,
    /// For writing past the page cache where the file system can, each write durable when it
    /// returns; else as [`OpenMode::ReadWrite`]. Writes are aligned to [`ALIGN`]; there are no
    /// reads. [`File::sync_data`] is called after each write all the same.
    Direct,
}

/// An open file.
pub trait File: Send + Sync + Debug {
    /// Reads at `at` into `out`; returns how many bytes, 0 at the end of the file.
    ///
    /// # Errors
    /// The operating system's.
    fn read_at(&self, out: &mut [u8], at: u64) -> io::Result<usize>;

    /// Writes all of `data` at `at`.
    ///
    /// # Errors
    /// The operating system's; some of the bytes may have been written.
    fn write_all_at(&self, data: &[u8], at: u64) -> io::Result<()>;

    /// Makes everything written, and the length, durable.
    ///
    /// # Errors
    /// The operating system's. Afterwards nothing is known about what was written: the caller
    /// must stop, never retry.
    fn sync_data(&self) -> io::Result<()>;

    /// The length in bytes.
    ///
    /// # Errors
    /// The operating system's.
    fn len(&self) -> io::Result<u64>;

    /// Cuts or extends the file with zeros.
    ///
    /// # Errors
    /// The operating system's.
    fn set_len(&self, len: u64) -> io::Result<()>;

    /// Whether it has no bytes.
    ///
    /// # Errors
    /// The operating system's.
    fn is_empty(&self) -> io::Result<bool> {
        self.len().map(|len| len == 0)
    }
}

/// A file system.
pub trait Fs: Send + Sync + Debug {
    /// Opens a file.
    ///
    /// # Errors
    /// The operating system's, `NotFound` and `AlreadyExists` among them.
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Box<dyn File>>;

    /// The names in a directory, in no order.
    ///
    /// # Errors
    /// The operating system's, `NotFound` among them.
    fn list(&self, dir: &Path) -> io::Result<Vec<String>>;

    /// Makes a directory and those above it.
    ///
    /// # Errors
    /// The operating system's.
    fn create_dir_all(&self, dir: &Path) -> io::Result<()>;

    /// Renames a file, replacing what has the new name, at once or not at all.
    ///
    /// # Errors
    /// The operating system's.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file. Open handles keep its bytes.
    ///
    /// # Errors
    /// The operating system's.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Makes the names in a directory durable.
    ///
    /// # Errors
    /// The operating system's.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;

    /// How many bytes can still be written to the disk that holds `dir`.
    ///
    /// # Errors
    /// The operating system's.
    fn free_bytes(&self, dir: &Path) -> io::Result<u64>;

    /// How many bytes the disk that holds `dir` has.
    ///
    /// # Errors
    /// The operating system's.
    fn total_bytes(&self, dir: &Path) -> io::Result<u64>;
}

/// Reads exactly `len` bytes at `at`.
///
/// # Errors
/// `UnexpectedEof` when the file ends before; else the operating system's.
pub fn read_exact_at(file: &dyn File, at: u64, len: usize) -> io::Result<Vec<u8>> {
    let mut out = vec![0; len];
    let mut done = 0;
    while let Some(rest) = out.get_mut(done..).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, at + done as u64) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(n) => done += n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(out)
}

/// The operating system's file system.
#[derive(Debug, Clone, Copy, Default)]
pub struct RealFs;

#[derive(Debug)]
struct RealFile {
    file: std::fs::File,
    /// Whether each write is durable when it returns.
    durable_writes: bool,
}

impl File for RealFile {
    fn read_at(&self, out: &mut [u8], at: u64) -> io::Result<usize> {
        self.file.read_at(out, at)
    }

    fn write_all_at(&self, data: &[u8], at: u64) -> io::Result<()> {
        self.file.write_all_at(data, at)
    }

    fn sync_data(&self) -> io::Result<()> {
        if self.durable_writes { Ok(()) } else { self.file.sync_data() }
    }

    fn len(&self) -> io::Result<u64> {
        self.file.metadata().map(|meta| meta.len())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }
}

/// Whether reads past the page cache work: some file systems fail them only when they come.
fn takes_direct_reads(file: &std::fs::File) -> bool {
    let mut space = vec![0; 2 * ALIGN];
    let skip = space.as_ptr().addr().next_multiple_of(ALIGN) - space.as_ptr().addr();
    space.get_mut(skip..skip + ALIGN).is_some_and(|block| file.read_at(block, 0).is_ok())
}

impl Fs for RealFs {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Box<dyn File>> {
        let mut options = std::fs::OpenOptions::new();
        options.read(true).write(mode != OpenMode::Read).create_new(mode == OpenMode::CreateNew);
        if mode == OpenMode::Direct {
            let flags = (OFlags::DIRECT | OFlags::DSYNC).bits();
            // Some file systems (tmpfs, some overlays) refuse O_DIRECT.
            let direct = options.clone().custom_flags(flags as i32).open(path);
            if let Some(file) = direct.ok().filter(takes_direct_reads) {
                return Ok(Box::new(RealFile { file, durable_writes: true }));
            }
        }
        Ok(Box::new(RealFile { file: options.open(path)?, durable_writes: false }))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        std::fs::read_dir(dir)?
            .map(|entry| entry.map(|entry| entry.file_name().to_string_lossy().into_owned()))
            .collect()
    }

    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        std::fs::create_dir_all(dir)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_file(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        std::fs::File::open(dir)?.sync_all()
    }

    fn free_bytes(&self, dir: &Path) -> io::Result<u64> {
        let stat = rustix::fs::statvfs(dir)?;
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }

    fn total_bytes(&self, dir: &Path) -> io::Result<u64> {
        let stat = rustix::fs::statvfs(dir)?;
        Ok(stat.f_blocks.saturating_mul(stat.f_frsize))
    }
}
