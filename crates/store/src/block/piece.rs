//! A piece of a gzip member's deflate stream: made once, sent to any client.
//!
//! Called by [`super::Block`] and by whoever stores blocks. A piece is raw deflate from fresh
//! state, ends on a byte with a full flush (`00 00 FF FF`), and is never the final one: pieces put
//! one after another are one valid deflate stream (RFC 1951; reference `engine.md` 3).

use std::cell::RefCell;

use bytes::Bytes;
use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

use super::{BlockError, MAX_BLOCK_BYTES};
use crate::crc;

/// The compressed form: a piece of a gzip member's deflate stream.
#[derive(Debug, Clone)]
pub struct Deflated {
    /// Raw deflate, byte-aligned, never the final block.
    pub bytes: Bytes,
    /// CRC-32 of the plain bytes.
    pub crc: u32,
    /// Length of the plain bytes.
    pub plain_len: u32,
    /// [`crc::shift_operator`] of `plain_len`.
    pub operator: u32,
}

/// What a full flush leaves at the end: an empty stored block.
const FLUSHED: [u8; 4] = [0, 0, 0xFF, 0xFF];

thread_local! {
    // The compressor's tables are a quarter of a megabyte, which costs more to make than a usual
    // block costs to compress; the output is copied from a buffer that is large enough at once,
    // so that what is kept of a block has no unused capacity.
    static COMPRESS: RefCell<(Compress, Vec<u8>)> =
        RefCell::new((Compress::new(Compression::new(1), false), Vec::new()));
    static DECOMPRESS: RefCell<Decompress> = RefCell::new(Decompress::new(false));
}

/// Above this, a thread's output buffer is given back.
const KEPT_BUFFER: usize = 1 << 20;

/// Compresses `plain` into a piece of a deflate stream.
#[must_use]
pub fn deflate(plain: &[u8]) -> Deflated {
    let bytes = COMPRESS.with_borrow_mut(|(compress, out)| {
        compress.reset();
        out.clear();
        out.reserve(plain.len() + plain.len() / 7 + 64);
        loop {
            let rest = plain.get(compress.total_in() as usize..).unwrap_or_default();
            // Compressing into memory fails on misuse only; a piece that is not whole would be
            // caught by the length check at the other end.
            let status = compress.compress_vec(rest, out, FlushCompress::Full);
            let is_taken = compress.total_in() as usize == plain.len();
            // Space left over says that the flush is complete (zlib's manual, `deflate`).
            if status.is_err() || (is_taken && out.len() < out.capacity()) {
                break;
            }
            out.reserve(out.capacity().max(64));
        }
        let bytes = Bytes::copy_from_slice(out);
        if out.capacity() > KEPT_BUFFER {
            *out = Vec::new();
        }
        bytes
    });
    Deflated {
        bytes,
        crc: crc32fast::hash(plain),
        plain_len: plain.len() as u32,
        operator: crc::shift_operator(plain.len() as u64),
    }
}

/// The plain bytes of one piece, which must have exactly `len` bytes and be fit to be followed by
/// another.
pub(super) fn inflate(deflated: &[u8], len: usize) -> Result<Vec<u8>, BlockError> {
    // `len` comes from a checksummed header, and blocks are bounded when written; refuse the rest.
    if len > MAX_BLOCK_BYTES || !deflated.ends_with(&FLUSHED) {
        return Err(BlockError::Corrupt);
    }
    // One byte more than needed shows a piece that holds more than it says.
    let mut out = Vec::with_capacity(len + 1);
    let whole = DECOMPRESS.with_borrow_mut(|decompress| {
        decompress.reset(false);
        let status = decompress.decompress_vec(deflated, &mut out, FlushDecompress::Sync);
        let is_open = matches!(status, Ok(Status::Ok | Status::BufError));
        is_open && decompress.total_in() as usize == deflated.len()
    });
    if whole && out.len() == len { Ok(out) } else { Err(BlockError::Corrupt) }
}
