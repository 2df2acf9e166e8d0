//! The journal: where every commit becomes durable.
//!
//! Called by the committer (writing), recovery and verify (reading). Calls the file system.
//!
//! `journal/<slot>.jrn` are a few files of one fixed size, written with zeros when they are made
//! and used again and again: overwriting written blocks needs no metadata, so that a sync is one
//! disk write. A file in use is a *generation*; generations rise for ever.
//!
//! ```text
//! file     header, padded to 4096 | record | record | … | whatever the file held before
//! header   0 magic "OFJ\xFF" | 4 crc32c of 8.. u32 | 8 version u32
//!          12 blocks u32: the file's size in 4096 bytes, and 2^31 when sequences jumped before it
//!          16 generation u64 | 24 first sequence u64
//! record   0 magic "OFC\xFF" | 4 crc32c of 8.. u32 | 8 payload length u32 | 12 ops u32
//!          16 generation u64 | 24 sequence u64 | 32 payload, padded with zeros to 4096
//! payload  ops, each:
//!   append 0 kind 6 | 4 stream u32 | 8 first u64 | 16 at i64 | 24 count u32
//!          28 lines length u32 | 32 previous u64: the stream's last event before it, or 0
//!          40 lines, then count * 72 bytes of sidecars
//!   put    0 kind 2 | 1 has value u8 | 2 key length u16 | 4 value length u32 | 8 key, value
//!   set    0 kind 3 | 1 has size limit u8 | 4 stream u32 | 8 age u64 | 16 size limit u64
//!   drop   0 kind 4 | 4 stream u32
//!   trim   0 kind 5 | 4 stream u32 | 8 offset u64
//! ```
//!
//! All numbers are little-endian. One record is one group commit, written and synced at once.
//! Version 1 is still read: its appends are kind 1, without `previous`, and their lines at 32;
//! its headers say 0 blocks.
//!
//! Invariants: sequences rise by one from record to record, across generations. What a file held
//! before is never taken for alive: its records carry a lower generation, and the magic's byte
//! `0xFF` occurs in no UTF-8 text. A file has its name only when all of its length is durable, and
//! never gets shorter.
//!
//! What a crash can leave, and what cannot be told from it: the last record torn, never
//! acknowledged, is cut, and the log says how much. All else is damage: a bad record before a good
//! one; a file shorter than its head says, or than a head; commits missing between two files; a
//! journal that ends before what the state has seen of it. A commit whose bytes change while it is
//! the very last looks torn. Three things bear witness that it was whole: the next commit, the next
//! file's head, and the state, which notes durably how far the journal goes when commits have
//! rested for about a second, when a generation was sealed, and when the engine is closed. So what
//! stays untold is damage to the last commit of an engine that was killed within that second, and
//! that nobody has started since.
//!
//! After damage nobody knows how many commits are gone. So that no offset, sequence or generation
//! is used twice, all of them jump, further than any lost journal can have reached
//! (`recovery::jump`).

pub(crate) mod buffer;
pub(crate) mod op;
pub(crate) mod reader;
pub(crate) mod record;
pub(crate) mod writer;

use std::io;
use std::path::Path;

use crate::fs::Fs;

/// Keeps a damaged journal file for the operator. Returns its new name.
///
/// # Errors
/// The disk's.
pub(crate) fn set_aside(fs: &dyn Fs, dir: &Path, slot: u32, generation: u64) -> io::Result<String> {
    let quarantine = dir.join("quarantine");
    let name = format!("journal-{generation:016}.jrn");
    fs.rename(&writer::path(dir, slot), &quarantine.join(&name))?;
    fs.sync_dir(&quarantine)?;
    fs.sync_dir(&dir.join("journal"))?;
    Ok(name)
}
