//! Decoding piece by piece, up to a limit.
//!
//! Called by [`read`](crate::read). Invariant: no more than the limit is ever held, whatever a piece expands
//! to.

use std::io::Write;

use bytes::Bytes;
use flate2::write::GzDecoder;
use zstd::stream::raw::{DParameter, Decoder as ZstdDecoder, InBuffer, Operation, OutBuffer};

use crate::{BodyError, Encoding};

/// What every member of a gzip body begins with (RFC 1952 2.3.1).
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// Decoded bytes, at most `limit` of them.
#[derive(Debug)]
pub(crate) struct Bounded {
    bytes: Vec<u8>,
    limit: usize,
    over: bool,
}

impl Bounded {
    const fn new(limit: usize) -> Self {
        Self { bytes: Vec::new(), limit, over: false }
    }
}

impl Write for Bounded {
    fn write(&mut self, buf: &[u8]) -> std::io::Result<usize> {
        self.over |= self.bytes.len() + buf.len() > self.limit;
        if self.over {
            return Err(std::io::ErrorKind::FileTooLarge.into());
        }
        self.bytes.extend_from_slice(buf);
        Ok(buf.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// A decoder that is given a body piece by piece.
pub(crate) enum Decoder {
    /// `head`: how much of the two bytes that a member begins with was seen.
    Gzip {
        inner: Box<GzDecoder<Bounded>>,
        any: bool,
        head: usize,
    },
    Zstd {
        inner: ZstdDecoder<'static>,
        out: Bounded,
        open: bool,
    },
}

impl Decoder {
    pub(crate) fn new(encoding: Encoding, limit: usize) -> Result<Self, BodyError> {
        let out = Bounded::new(limit);
        if encoding == Encoding::Gzip {
            return Ok(Self::Gzip { inner: Box::new(GzDecoder::new(out)), any: false, head: 0 });
        }
        let zstd = || {
            let mut inner = ZstdDecoder::new()?;
            inner.set_parameter(DParameter::WindowLogMax(23))?;
            Ok::<_, std::io::Error>(inner)
        };
        let inner = zstd().map_err(|error| malformed("zstd", &error))?;
        Ok(Self::Zstd { inner, out, open: false })
    }

    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Gzip { inner, .. } => inner.get_ref().bytes.len(),
            Self::Zstd { out, .. } => out.bytes.len(),
        }
    }

    pub(crate) fn write(&mut self, slice: &[u8]) -> Result<(), BodyError> {
        match self {
            Self::Gzip { inner, any, head } => {
                *any = true;
                let done = write_members(inner, head, slice);
                let (over, limit) = (inner.get_ref().over, inner.get_ref().limit);
                done.map_err(|error| refused(over, limit, "gzip", &error))
            }
            Self::Zstd { inner, out, open } => {
                let mut input = InBuffer::around(slice);
                let mut room = [0u8; 16 << 10];
                loop {
                    let mut output = OutBuffer::around(&mut room[..]);
                    let hint = inner
                        .run(&mut input, &mut output)
                        .map_err(|error| malformed("zstd", &error))?;
                    *open = hint != 0;
                    let written = output.pos();
                    let done = out.write_all(output.as_slice());
                    done.map_err(|error| refused(out.over, out.limit, "zstd", &error))?;
                    if input.pos() == slice.len() && written < room.len() {
                        return Ok(());
                    }
                }
            }
        }
    }

    pub(crate) fn finish(self) -> Result<Bytes, BodyError> {
        match self {
            Self::Gzip { any: false, .. } => Ok(Bytes::new()),
            Self::Gzip { mut inner, .. } => {
                // A member that is whole takes no byte more. Of one that is cut within its trailer,
                // the decoder would say that the checksum is wrong.
                let is_whole = matches!(inner.write(&[0]), Ok(0));
                let done = if is_whole { inner.try_finish() } else { Err(cut_short()) };
                let (over, limit) = (inner.get_ref().over, inner.get_ref().limit);
                done.map_err(|error| refused(over, limit, "gzip", &error))?;
                inner
                    .finish()
                    .map(|out| out.bytes.into())
                    .map_err(|error| malformed("gzip", &error))
            }
            Self::Zstd { open: true, .. } => Err(malformed("zstd", &cut_short())),
            Self::Zstd { out, .. } => Ok(out.bytes.into()),
        }
    }
}

/// Decodes a slice of a body of several members, each of which has its checksum.
fn write_members(
    inner: &mut GzDecoder<Bounded>,
    head: &mut usize,
    mut slice: &[u8],
) -> std::io::Result<()> {
    while !slice.is_empty() {
        // The decoder waits for a whole header before it says that it is none.
        let expected = GZIP_MAGIC.get(*head..).unwrap_or_default();
        if expected.iter().zip(slice).any(|(expected, byte)| expected != byte) {
            let reason = "what it begins with, or goes on with, is no gzip member";
            return Err(std::io::Error::new(std::io::ErrorKind::InvalidData, reason));
        }
        let seen = expected.len().min(slice.len());
        match inner.write(slice)? {
            0 => {
                inner.try_finish()?;
                let limit = inner.get_ref().limit;
                let out = std::mem::replace(inner.get_mut(), Bounded::new(limit));
                *inner = GzDecoder::new(out);
                *head = 0;
            }
            taken => {
                *head += seen.min(taken);
                slice = slice.get(taken..).unwrap_or_default();
            }
        }
    }
    Ok(())
}

fn cut_short() -> std::io::Error {
    std::io::ErrorKind::UnexpectedEof.into()
}

fn refused(over: bool, limit: usize, coding: &'static str, error: &std::io::Error) -> BodyError {
    if over { BodyError::TooLarge { limit } } else { malformed(coding, error) }
}

fn malformed(coding: &'static str, error: &std::io::Error) -> BodyError {
    let reason = if error.kind() == std::io::ErrorKind::UnexpectedEof {
        "it is cut short".to_owned()
    } else {
        error.to_string()
    };
    BodyError::Malformed { coding, reason }
}
