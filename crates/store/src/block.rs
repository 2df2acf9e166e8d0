//! A run of consecutive events of one stream: the unit of storage and of sending.
//!
//! A block is held plain, compressed, or both; each form is made at most once and shared by all
//! readers. The compressed form is raw deflate from fresh state, ended on a byte by a full flush,
//! so that blocks can be put one after another inside any client's single gzip stream.

use std::any::Any;
use std::cell::RefCell;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use outflow_model::meta::META_BYTES;
use outflow_model::{MetaSlice, Offset, Timestamp};
use parking_lot::Mutex;

mod piece;

use piece::inflate;
pub use piece::{Deflated, deflate};

/// The fastest level: blocks are made while their readers wait.
const ZSTD_LEVEL: i32 = 1;

thread_local! {
    /// A context is a megabyte to make and zero, many times what a small block costs to compress.
    static ZSTD: RefCell<Option<zstd::bulk::Compressor<'static>>> = const { RefCell::new(None) };
}

/// Why a block could not be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BlockError {
    /// The compressed bytes are not what the block says.
    #[error("the block does not decompress to what its header says")]
    Corrupt,
}

/// A block. See the module.
#[derive(Debug)]
pub struct Block {
    /// The first event's offset.
    pub first: Offset,
    /// The last event's offset. For a filtered block, the last offset considered.
    pub last: Offset,
    /// How many events it holds.
    pub count: u32,
    /// When the first event was taken.
    pub first_at: Timestamp,
    /// When the last event was taken.
    pub last_at: Timestamp,
    plain_len: u32,
    metas_len: u32,
    plain: OnceLock<Bytes>,
    metas: OnceLock<Bytes>,
    deflated: OnceLock<Deflated>,
    deflated_metas: Option<Bytes>,
    zstd: OnceLock<Bytes>,
    renditions: Mutex<Vec<(u64, Arc<dyn Any + Send + Sync>)>>,
}

/// How many renditions a block keeps; those that ask for further ones make their own.
const MAX_RENDITIONS: usize = 4;

/// What a block's header says about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlockHead {
    /// See [`Block::first`].
    pub first: Offset,
    /// See [`Block::last`].
    pub last: Offset,
    /// See [`Block::count`].
    pub count: u32,
    /// See [`Block::first_at`].
    pub first_at: Timestamp,
    /// See [`Block::last_at`].
    pub last_at: Timestamp,
}

impl Block {
    /// A block of plain lines and sidecars.
    #[must_use]
    pub fn plain(head: BlockHead, lines: Bytes, metas: Bytes) -> Self {
        let block = Self::empty(head, lines.len() as u32, metas.len() as u32);
        let _ = block.plain.set(lines);
        let _ = block.metas.set(metas);
        block
    }

    /// A block as it is stored: both parts compressed.
    #[must_use]
    pub fn stored(head: BlockHead, lines: Deflated, metas: Bytes, metas_len: u32) -> Self {
        let mut block = Self::empty(head, lines.plain_len, metas_len);
        let _ = block.deflated.set(lines);
        block.deflated_metas = Some(metas);
        block
    }

    fn empty(head: BlockHead, plain_len: u32, metas_len: u32) -> Self {
        Self {
            first: head.first,
            last: head.last,
            count: head.count,
            first_at: head.first_at,
            last_at: head.last_at,
            plain_len,
            metas_len,
            plain: OnceLock::new(),
            metas: OnceLock::new(),
            deflated: OnceLock::new(),
            deflated_metas: None,
            zstd: OnceLock::new(),
            renditions: Mutex::default(),
        }
    }

    /// Its head.
    #[must_use]
    pub const fn head(&self) -> BlockHead {
        BlockHead {
            first: self.first,
            last: self.last,
            count: self.count,
            first_at: self.first_at,
            last_at: self.last_at,
        }
    }

    /// The length of the plain lines in bytes.
    #[must_use]
    pub const fn plain_len(&self) -> usize {
        self.plain_len as usize
    }

    /// The lines.
    ///
    /// # Errors
    /// [`BlockError`] when the stored form is damaged.
    pub fn lines(&self) -> Result<&Bytes, BlockError> {
        if let Some(plain) = self.plain.get() {
            return Ok(plain);
        }
        let deflated = self.deflated.get().ok_or(BlockError::Corrupt)?;
        let plain = inflate(&deflated.bytes, self.plain_len as usize)?;
        if crc32fast::hash(&plain) != deflated.crc {
            return Err(BlockError::Corrupt);
        }
        Ok(self.plain.get_or_init(|| plain.into()))
    }

    /// The sidecars' bytes.
    ///
    /// # Errors
    /// [`BlockError`] when the stored form is damaged.
    pub fn meta_bytes(&self) -> Result<&Bytes, BlockError> {
        if let Some(metas) = self.metas.get() {
            return Ok(metas);
        }
        let stored = self.deflated_metas.as_ref().ok_or(BlockError::Corrupt)?;
        let metas = inflate(stored, self.metas_len as usize)?;
        Ok(self.metas.get_or_init(|| metas.into()))
    }

    /// The sidecars.
    ///
    /// # Errors
    /// [`BlockError`] when the stored form is damaged.
    pub fn metas(&self) -> Result<MetaSlice<'_>, BlockError> {
        Ok(MetaSlice::new(self.meta_bytes()?))
    }

    /// The compressed lines, compressed now if nobody has asked before.
    ///
    /// # Errors
    /// [`BlockError`] when the stored form is damaged.
    pub fn deflated(&self) -> Result<&Deflated, BlockError> {
        if let Some(deflated) = self.deflated.get() {
            return Ok(deflated);
        }
        let lines = self.lines()?;
        Ok(self.deflated.get_or_init(|| deflate(lines)))
    }

    /// The compressed sidecars and their plain length, as a segment stores them.
    ///
    /// # Errors
    /// [`BlockError`] when the stored form is damaged.
    pub fn deflated_metas(&self) -> Result<(Bytes, u32), BlockError> {
        match &self.deflated_metas {
            Some(stored) => Ok((stored.clone(), self.metas_len)),
            None => Ok((deflate(self.meta_bytes()?).bytes, self.metas_len)),
        }
    }

    /// The lines as one zstd frame.
    ///
    /// # Errors
    /// [`BlockError`] when the stored form is damaged.
    pub fn zstd(&self) -> Result<&Bytes, BlockError> {
        if let Some(frame) = self.zstd.get() {
            return Ok(frame);
        }
        let lines = self.lines()?;
        let frame = ZSTD.with_borrow_mut(|context| match context {
            Some(context) => context.compress(lines),
            none => none.insert(zstd::bulk::Compressor::new(ZSTD_LEVEL)?).compress(lines),
        });
        let frame = frame.map_err(|_| BlockError::Corrupt)?;
        Ok(self.zstd.get_or_init(|| frame.into()))
    }

    /// What someone above makes of the block, made once and shared by all who ask with the same
    /// `key`: a form that this storey knows nothing of.
    ///
    /// # Errors
    /// What `make` says.
    pub fn rendition<T: Any + Send + Sync, E>(
        &self,
        key: u64,
        make: impl FnOnce(&Self) -> Result<T, E>,
    ) -> Result<Arc<T>, E> {
        // Held while it is made: readers of one block come together, and wait less than they work.
        let mut renditions = self.renditions.lock();
        let known = renditions.iter().find(|(known, _)| *known == key);
        if let Some(known) = known.and_then(|(_, known)| known.clone().downcast().ok()) {
            return Ok(known);
        }
        let made = Arc::new(make(self)?);
        if renditions.len() < MAX_RENDITIONS {
            renditions.push((key, made.clone()));
        }
        Ok(made)
    }

    /// The events at or above `from`, as a block of their own that shares this one's bytes; `None`
    /// when there are none.
    ///
    /// # Errors
    /// [`BlockError`] when the stored form is damaged.
    pub fn tail_from(&self, from: Offset) -> Result<Option<Self>, BlockError> {
        let (all, metas) = (self.lines()?, self.meta_bytes()?);
        let (mut skipped, mut at, mut first_at) = (0, 0, self.first_at);
        for meta in MetaSlice::new(metas).iter() {
            first_at = first_at.max(meta.processed).min(self.last_at);
            if meta.offset >= from {
                let count = (metas.len() / META_BYTES - skipped) as u32;
                let head = BlockHead { first: meta.offset, count, first_at, ..self.head() };
                let metas = metas.slice(skipped * META_BYTES..);
                let lines = (at <= all.len()).then(|| all.slice(at..));
                return Ok(Some(Self::plain(head, lines.ok_or(BlockError::Corrupt)?, metas)));
            }
            skipped += 1;
            at += meta.line_len as usize;
        }
        Ok(None)
    }

    /// The events that `keep` accepts, as a block of their own with the same `last`; `None` when
    /// there are none.
    ///
    /// # Errors
    /// [`BlockError`] when the stored form is damaged.
    pub fn select(
        &self,
        mut keep: impl FnMut(&outflow_model::Meta, &[u8]) -> bool,
    ) -> Result<Option<Self>, BlockError> {
        let (all, metas) = (self.lines()?, self.metas()?);
        let (mut lines, mut kept) = (Vec::new(), Vec::new());
        // An event's time is that of the clock when it was taken, but never falls within a stream.
        let (mut at, mut first, mut last_at) = (self.first_at, None, self.first_at);
        for (meta, line) in metas.with_lines(all) {
            at = at.max(meta.processed).min(self.last_at);
            if keep(&meta, line) {
                first.get_or_insert((meta.offset, at));
                last_at = at;
                lines.extend_from_slice(line);
                meta.encode(&mut kept);
            }
        }
        let Some((first, first_at)) = first else { return Ok(None) };
        let count = MetaSlice::new(&kept).len() as u32;
        let head = BlockHead { first, last: self.last, count, first_at, last_at };
        Ok(Some(Self::plain(head, lines.into(), kept.into())))
    }
}

/// The largest plain size of a block: one event of the largest size, plus a usual block.
pub const MAX_BLOCK_BYTES: usize = 96 << 20;
