//! The two directions of a connection: bytes to commands, and commands to bytes.
//!
//! Called by the listener and the session.

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};

use super::bits::BitsOut;
use super::cache::{Received, Sent};
use super::error::{EncodeError, WireError};
use super::format::WireFormat;
use super::reader::Reader;
use super::structure::Structure as _;
use super::table::Command;
use super::writer::Writer;

/// The bytes of a frame's size.
const PREFIX: usize = 4;

/// What a connection receives.
#[derive(Debug)]
pub struct Decoder {
    format: WireFormat,
    cache: Received,
    /// The largest frame taken, whatever the format allows.
    bound: u64,
}

impl Decoder {
    /// A decoder of frames of `format`, with nothing cached.
    #[must_use]
    pub fn new(format: WireFormat) -> Self {
        Self { cache: Received::new(format.cache_size), format, bound: u64::MAX }
    }

    /// Takes no frame of more than so many bytes from now on, whatever the format allows.
    pub const fn bound(&mut self, bytes: u64) {
        self.bound = bytes;
    }

    fn max_frame(&self) -> u64 {
        self.format.max_frame_size.min(self.bound)
    }

    /// The format it reads.
    #[must_use]
    pub const fn format(&self) -> &WireFormat {
        &self.format
    }

    /// Reads frames of `format` from now on, with nothing cached.
    pub fn speak(&mut self, format: WireFormat) {
        *self = Self { bound: self.bound, ..Self::new(format) };
    }

    /// The next command of `buffer`, whose frame is taken out of it; none when it holds no whole
    /// frame yet.
    ///
    /// Without sizes before frames, what there is is read each time: agree on that only with a peer
    /// whose frames are small.
    ///
    /// # Errors
    /// When what it holds is no frame of the format. The connection cannot go on.
    pub fn read(&mut self, buffer: &mut BytesMut) -> Result<Option<Command>, WireError> {
        if !self.format.size_prefix {
            return self.read_without_size(buffer);
        }
        let Some(len) = self.frame_len(buffer)? else { return Ok(None) };
        if buffer.len() - PREFIX < len {
            return Ok(None);
        }
        buffer.advance(PREFIX);
        let frame = buffer.split_to(len).freeze();
        self.decode(&frame).map(Some)
    }

    /// How many bytes follow the size that `buffer` begins with; none when it is not whole yet.
    ///
    /// # Errors
    /// When it is negative, or more than the format allows: before any of it has to be kept.
    pub fn frame_len(&self, buffer: &[u8]) -> Result<Option<usize>, WireError> {
        let Some(prefix) = buffer.first_chunk::<PREFIX>() else { return Ok(None) };
        let len = u32::try_from(i32::from_be_bytes(*prefix))
            .map_err(|_| WireError::NegativeLength { at: 0 })?;
        let max = self.max_frame();
        match usize::try_from(len) {
            Ok(bytes) if u64::from(len) <= max => Ok(Some(bytes)),
            _ => Err(WireError::TooLarge { len: len.into(), max }),
        }
    }

    fn read_without_size(&mut self, buffer: &mut BytesMut) -> Result<Option<Command>, WireError> {
        if buffer.is_empty() {
            return Ok(None);
        }
        let max = self.max_frame();
        let len = buffer.len() as u64;
        // Shared for as long as it is read; given back whole when it is not a frame yet.
        let whole = buffer.split().freeze();
        // What a part of a frame has kept, the whole frame must not find: it is read from its begin.
        self.cache.begin_trial();
        let outcome = self.decode_first(&whole);
        self.cache.end_trial(outcome.is_ok());
        let taken = match &outcome {
            Ok((_, taken)) => *taken,
            Err(_) => 0,
        };
        buffer.extend_from_slice(whole.get(taken..).unwrap_or_default());
        match outcome {
            Ok((command, _)) => Ok(Some(command)),
            Err(WireError::Truncated { .. }) if len <= max => Ok(None),
            Err(WireError::Truncated { .. }) => Err(WireError::TooLarge { len, max }),
            Err(error) => Err(error),
        }
    }

    /// The command of one whole frame, given without the size before it.
    ///
    /// # Errors
    /// When it is no frame of the format. The connection cannot go on.
    pub fn decode(&mut self, frame: &Bytes) -> Result<Command, WireError> {
        let max = self.max_frame();
        if frame.len() as u64 > max {
            return Err(WireError::TooLarge { len: frame.len() as u64, max });
        }
        match self.decode_first(frame)? {
            (command, taken) if taken == frame.len() => Ok(command),
            (_, at) => Err(WireError::Trailing { at }),
        }
    }

    /// The command that `bytes` begin with, and how many of them it takes.
    fn decode_first(&mut self, bytes: &Bytes) -> Result<(Command, usize), WireError> {
        let whole = if self.format.size_prefix { bytes.len() as u64 } else { u64::MAX };
        let elements = usize::try_from(whole.min(self.max_frame())).unwrap_or(usize::MAX);
        let mut reader = Reader::new(&self.format, &mut self.cache, bytes, elements);
        if bytes.first() == Some(&0) {
            return Ok((Command::Null, 1));
        }
        let code = reader.code()?;
        if self.format.tight {
            reader.open_bits()?;
        }
        let command = Command::read(code, &mut reader)?;
        Ok((command, reader.at()))
    }
}

/// What an encoder that has nothing to write may keep of its memory.
const KEPT_BYTES: usize = 4 << 10;

/// What a connection sends.
#[derive(Debug)]
pub struct Encoder {
    format: WireFormat,
    cache: Sent,
    bits: BitsOut,
    /// The data of a tight frame while its bits are collected.
    data: BytesMut,
}

impl Encoder {
    /// An encoder of frames of `format`, with nothing cached.
    #[must_use]
    pub fn new(format: WireFormat) -> Self {
        Self {
            cache: Sent::new(format.cache_size),
            format,
            bits: BitsOut::default(),
            data: BytesMut::new(),
        }
    }

    /// The format it writes.
    #[must_use]
    pub const fn format(&self) -> &WireFormat {
        &self.format
    }

    /// Writes frames of `format` from now on, with nothing cached.
    pub fn speak(&mut self, format: WireFormat) {
        *self = Self::new(format);
    }

    /// Gives back the memory that a large frame took.
    pub fn shrink(&mut self) {
        if self.data.capacity() > KEPT_BYTES {
            self.data = BytesMut::new();
        }
    }

    /// Appends the frame of `command` to `out`.
    ///
    /// # Errors
    /// When the wire, the version or the peer cannot take it. Nothing is appended then, and the
    /// connection can go on.
    pub fn encode(&mut self, command: &Command, out: &mut BytesMut) -> Result<(), EncodeError> {
        let start = out.len();
        if self.format.cache {
            self.cache.begin_frame();
        }
        let outcome = if self.format.tight {
            self.encode_tight(command, out)
        } else {
            self.encode_loose(command, out)
        };
        if outcome.is_err() {
            out.truncate(start);
            self.cache.forget();
        }
        outcome
    }

    fn encode_loose(&mut self, command: &Command, out: &mut BytesMut) -> Result<(), EncodeError> {
        let start = out.len();
        if self.format.size_prefix {
            out.put_i32(0);
        }
        let from = out.len();
        let mut writer = Writer {
            format: &self.format,
            cache: &mut self.cache,
            bits: &mut self.bits,
            data: out,
        };
        writer.code(command.code())?;
        command.write(&mut writer)?;
        let len = self.checked_len(out.len() - from)?;
        if self.format.size_prefix
            && let Some(prefix) = out.get_mut(start..from)
        {
            prefix.copy_from_slice(&len.to_be_bytes());
        }
        Ok(())
    }

    fn encode_tight(&mut self, command: &Command, out: &mut BytesMut) -> Result<(), EncodeError> {
        self.bits.clear();
        self.data.clear();
        let mut writer = Writer {
            format: &self.format,
            cache: &mut self.cache,
            bits: &mut self.bits,
            data: &mut self.data,
        };
        writer.code(command.code())?;
        command.write(&mut writer)?;
        let (code, data) = self.data.split_first_chunk::<1>().unwrap_or((&[0], &[]));
        let nothing = matches!(command, Command::Null);
        let bits = if nothing { 0 } else { self.bits.encoded_len()? };
        let len = self.checked_len(code.len() + bits + data.len())?;
        if self.format.size_prefix {
            out.put_i32(len);
        }
        out.put_slice(code);
        if !nothing {
            self.bits.write(out);
        }
        out.put_slice(data);
        Ok(())
    }

    fn checked_len(&self, len: usize) -> Result<i32, EncodeError> {
        let max = self.format.max_frame_size;
        match i32::try_from(len) {
            Ok(size) if len as u64 <= max => Ok(size),
            _ => Err(EncodeError::TooLarge { len: len as u64, max }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{Message, MessageKind};

    #[test]
    fn the_memory_of_a_large_frame_is_given_back() {
        let mut encoder = Encoder::new(WireFormat::initial(1 << 24));
        encoder.speak(WireFormat { tight: true, ..encoder.format().clone() });
        let content = Some(bytes::Bytes::from(vec![b'x'; 1 << 20]).into());
        let message = Message { kind: MessageKind::Bytes, content, ..Message::default() };
        let mut out = BytesMut::new();
        encoder.encode(&Command::Message(Box::new(message)), &mut out).unwrap();
        assert!(out.len() > 1 << 20 && encoder.data.capacity() > 1 << 20);
        encoder.shrink();
        assert!(encoder.data.capacity() <= KEPT_BYTES);
    }
}
