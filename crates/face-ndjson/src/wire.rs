//! One connection's encoding: blocks, heartbeats and lines to the pieces of one compressed stream.
//! No I/O.
//!
//! gzip: one member per response (rule 3). Its header and trailer are the connection's own; between
//! them stand shared pieces of raw deflate that each end on a byte with nothing held back, so a client
//! sees every event at once. The trailer's CRC is joined from the pieces' CRCs. A line of the
//! connection's own is a stored deflate block (RFC 1951 3.2.4), which needs no compressor.
//!
//! zstd: one frame per piece (RFC 8878 3.1: frames may be concatenated). Identity: the lines.

use bytes::Bytes;
use outflow_hub::{Block, BlockError, crc};

/// How a response is encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Coding {
    /// One gzip member.
    Gzip,
    /// zstd frames.
    Zstd,
    /// Plain lines.
    Identity,
}

impl Coding {
    /// The name in `Content-Encoding`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
            Self::Identity => "identity",
        }
    }
}

/// RFC 1952 2.3: deflate, no name, no time, unknown system.
const GZIP_HEADER: &[u8] = &[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];
/// A final, empty deflate block with fixed codes: it ends the stream.
const DEFLATE_END: [u8; 2] = [3, 0];
/// `\n` as a stored deflate block.
const GZIP_NEWLINE: &[u8] = &[0, 1, 0, 0xfe, 0xff, b'\n'];
const NEWLINE_CRC: u32 = 0x32d7_0693;
const NEWLINE_OPERATOR: u32 = crc::shift_operator(1);
/// A zstd frame of nothing: a stream without any frame is not valid zstd.
const ZSTD_EMPTY: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd, 0x20, 0, 1, 0, 0];
/// `\n` as a zstd frame of one raw block.
const ZSTD_NEWLINE: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd, 0x20, 1, 9, 0, 0, b'\n'];

/// The longest line [`Encoder::line`] takes, in bytes: what one stored deflate block holds.
pub const MAX_LINE_BYTES: usize = 65_535;

/// See the module.
#[derive(Debug)]
pub struct Encoder {
    coding: Coding,
    crc: u32,
    plain_len: u32,
}

impl Encoder {
    /// An encoder that has sent nothing.
    #[must_use]
    pub const fn new(coding: Coding) -> Self {
        Self { coding, crc: 0, plain_len: 0 }
    }

    /// What the response begins with, if anything.
    #[must_use]
    pub const fn begin(&self) -> Option<Bytes> {
        match self.coding {
            Coding::Gzip => Some(Bytes::from_static(GZIP_HEADER)),
            Coding::Zstd => Some(Bytes::from_static(ZSTD_EMPTY)),
            Coding::Identity => None,
        }
    }

    /// A block's events. The bytes are shared, not copied.
    ///
    /// # Errors
    /// [`BlockError`] when the block's stored form is damaged; the stream so far stays whole.
    pub fn block(&mut self, block: &Block) -> Result<Bytes, BlockError> {
        match self.coding {
            Coding::Identity => block.lines().cloned(),
            Coding::Zstd => block.zstd().cloned(),
            Coding::Gzip => {
                let piece = block.deflated()?;
                self.join(piece.crc, piece.operator, piece.plain_len);
                Ok(piece.bytes.clone())
            }
        }
    }

    /// A heartbeat: one `\n` (rule 6).
    pub fn heartbeat(&mut self) -> Bytes {
        match self.coding {
            Coding::Identity => Bytes::from_static(b"\n"),
            Coding::Zstd => Bytes::from_static(ZSTD_NEWLINE),
            Coding::Gzip => {
                self.join(NEWLINE_CRC, NEWLINE_OPERATOR, 1);
                Bytes::from_static(GZIP_NEWLINE)
            }
        }
    }

    /// A line of the connection's own, with its `\n`, of at most [`MAX_LINE_BYTES`]; nothing of a
    /// longer one is sent.
    pub fn line(&mut self, line: &[u8]) -> Bytes {
        let Ok(len) = u16::try_from(line.len()) else { return Bytes::new() };
        match self.coding {
            Coding::Identity => Bytes::copy_from_slice(line),
            Coding::Zstd => {
                // Single segment with a content size of 4 bytes, one last raw block.
                let mut out = vec![0x28, 0xb5, 0x2f, 0xfd, 0xa0];
                out.extend_from_slice(&u32::from(len).to_le_bytes());
                out.extend(((u32::from(len) << 3) | 1).to_le_bytes().iter().take(3));
                out.extend_from_slice(line);
                out.into()
            }
            Coding::Gzip => {
                self.join(
                    crc32fast::hash(line),
                    crc::shift_operator(u64::from(len)),
                    u32::from(len),
                );
                let mut out = vec![0];
                out.extend_from_slice(&len.to_le_bytes());
                out.extend_from_slice(&(!len).to_le_bytes());
                out.extend_from_slice(line);
                out.into()
            }
        }
    }

    /// What the response ends with, if anything.
    #[must_use]
    pub fn end(&self) -> Option<Bytes> {
        match self.coding {
            Coding::Zstd | Coding::Identity => None,
            Coding::Gzip => {
                let trailer =
                    [&DEFLATE_END[..], &self.crc.to_le_bytes(), &self.plain_len.to_le_bytes()];
                Some(trailer.concat().into())
            }
        }
    }

    fn join(&mut self, crc: u32, operator: u32, len: u32) {
        self.crc = crc::join(self.crc, crc, operator);
        // RFC 1952: the length is kept modulo 2^32.
        self.plain_len = self.plain_len.wrapping_add(len);
    }
}
