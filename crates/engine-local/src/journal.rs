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
//! header   0 magic "OFJ\xFF" | 4 crc32c of 8.. u32 | 8 version u32 | 12 zero u32
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
//! Version 1 is still read: its appends are kind 1, without `previous`, and their lines at 32.
//!
//! Invariants: sequences rise by one from record to record, across generations. What a file held
//! before is never taken for alive: its records carry a lower generation, and the magic's byte
//! `0xFF` occurs in no UTF-8 text. A bad record after which nothing of its generation is good is
//! a torn write that nobody was told of, and is cut; a bad record anywhere else is damage.

pub(crate) mod buffer;
pub(crate) mod op;
pub(crate) mod reader;
pub(crate) mod record;
pub(crate) mod writer;
