//! Bytes to frames, however they are split.

use super::frame::{Frame, Span};
use super::{FrameLimits, NO_BODY_BYTES, Version};

/// Why bytes are not a frame. All are fatal: where the next frame would begin is not known
/// (rule 11).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// The first line is too long to be a command.
    #[error("the command is longer than {max} bytes")]
    CommandTooLong {
        /// The limit.
        max: usize,
    },
    /// A header line is too long.
    #[error("a header line is longer than {max} bytes")]
    LineTooLong {
        /// The limit.
        max: usize,
    },
    /// There are too many headers.
    #[error("there are more than {max} headers")]
    TooManyHeaders {
        /// The limit.
        max: usize,
    },
    /// Command and headers are too large together.
    #[error("the headers have more than {max} bytes")]
    HeadTooLarge {
        /// The limit.
        max: usize,
    },
    /// The body is too large.
    #[error("the body has more than {max} bytes")]
    BodyTooLarge {
        /// The limit.
        max: usize,
    },
    /// `content-length` is no number.
    #[error("the content-length is not a number of bytes")]
    BadContentLength,
    /// No NUL stands where `content-length` says that the body ends.
    #[error("no NUL follows the bytes that content-length counts")]
    NoNul,
    /// A NUL stands before the empty line that ends the headers.
    #[error("a NUL stands in the headers")]
    NulInHead,
    /// Command and headers are not UTF-8.
    #[error("the headers are not valid UTF-8")]
    NotUtf8,
    /// A header line begins with its colon.
    #[error("a header has no name")]
    NoName,
}

/// What the bytes so far are.
#[derive(Debug, Clone, Copy)]
pub enum Decoded<'a> {
    /// The beginning of a frame: call again with the same bytes and more behind them.
    Incomplete,
    /// So many bytes between frames, heart-beats among them (rule 2): drop them.
    Idle(usize),
    /// A frame, and how many bytes it took: drop them.
    Frame(Frame<'a>, usize),
}

/// How far into a frame the bytes so far reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Head,
    /// The body begins at `start`; `len` is what `content-length` says.
    Body {
        start: usize,
        len: Option<usize>,
    },
    /// A body that nobody wants: `left` bytes of what `content-length` says are to come before its NUL;
    /// without one, `come` of them have.
    Past {
        left: Option<usize>,
        come: usize,
    },
}

/// A decoder of one connection's bytes. It remembers how far it has looked, so that a frame that
/// comes byte by byte is looked at once. Of a frame whose body is still to come [`Decoder::begun`]
/// shows the head, so that nothing need be held of one that is refused for it.
#[derive(Debug)]
pub struct Decoder {
    limits: FrameLimits,
    /// `None` until CONNECT was understood.
    version: Option<Version>,
    stage: Stage,
    /// Where the line at hand begins.
    line: usize,
    /// How far the bytes were looked at.
    seen: usize,
    /// The end of the command.
    command: usize,
    content_length: Option<Result<usize, WireError>>,
    /// The most that the body may have.
    body_bytes: usize,
    /// Whether the body is waited for: somebody has seen the head.
    is_wanted: bool,
    spans: Vec<Span>,
}

impl Decoder {
    /// A decoder that expects a CONNECT frame.
    #[must_use]
    pub const fn new(limits: FrameLimits) -> Self {
        Self {
            limits,
            version: None,
            stage: Stage::Head,
            line: 0,
            seen: 0,
            command: 0,
            content_length: None,
            body_bytes: limits.body_bytes,
            is_wanted: false,
            spans: Vec::new(),
        }
    }

    /// Reads as `version` says from the next frame on.
    pub const fn speak(&mut self, version: Version) {
        self.version = Some(version);
    }

    /// Holds what follows to other limits: to be called between frames.
    pub const fn bound(&mut self, limits: FrameLimits) {
        self.limits = limits;
    }

    /// Gives back memory that one large frame made it take.
    pub fn shrink(&mut self) {
        self.spans.shrink_to(16);
    }

    /// Looks at `input`: after [`Decoded::Incomplete`] the same bytes with more behind them, after
    /// all else what follows the bytes to drop.
    ///
    /// # Errors
    /// [`WireError`]; the decoder is of no use afterwards.
    pub fn decode<'a>(&'a mut self, input: &'a [u8]) -> Result<Decoded<'a>, WireError> {
        if let Stage::Past { left, come } = self.stage {
            return self.past(input, left, come);
        }
        if self.seen == 0 {
            let idle = input.iter().take_while(|byte| matches!(byte, b'\n' | b'\r' | 0)).count();
            if idle > 0 {
                return Ok(Decoded::Idle(idle));
            }
        }
        if self.stage == Stage::Head {
            match self.head(input)? {
                Some(stage) => self.stage = stage,
                None => return Ok(Decoded::Incomplete),
            }
        }
        let Stage::Body { start, len } = self.stage else { return Ok(Decoded::Incomplete) };
        let Some(end) = self.body(input, start, len)? else { return Ok(Decoded::Incomplete) };
        self.begin(Stage::Head);
        let body = input.get(start..end).unwrap_or_default();
        Ok(Decoded::Frame(self.frame(input, start, body)?, end + 1))
    }

    /// Whether, after [`Decoded::Incomplete`], the head of a frame is there whole and its body is not: the
    /// frame without its body, and how many bytes its head took. [`Decoder::want`] or [`Decoder::pass`]
    /// says what becomes of the body; until then it is shown again.
    ///
    /// # Errors
    /// As [`Decoder::decode`].
    pub fn begun<'a>(&'a self, input: &'a [u8]) -> Result<Option<(Frame<'a>, usize)>, WireError> {
        match self.stage {
            Stage::Body { start, .. } if !self.is_wanted => {
                Ok(Some((self.frame(input, start, &[])?, start)))
            }
            _ => Ok(None),
        }
    }

    /// The body of the frame that has begun is waited for.
    pub const fn want(&mut self) {
        self.is_wanted = true;
    }

    /// The body of the frame that has begun is read past as it comes: the bytes of its head are to be
    /// dropped, those of its body are [`Decoded::Idle`].
    pub const fn pass(&mut self) {
        if let Stage::Body { len, .. } = self.stage {
            self.begin(Stage::Past { left: len, come: 0 });
        }
    }

    /// Looks from the next byte on at something else.
    const fn begin(&mut self, stage: Stage) {
        self.stage = stage;
        (self.line, self.seen, self.content_length, self.is_wanted) = (0, 0, None, false);
    }

    /// The frame whose body begins at `start`.
    fn frame<'a>(
        &'a self,
        input: &'a [u8],
        start: usize,
        body: &'a [u8],
    ) -> Result<Frame<'a>, WireError> {
        let head = std::str::from_utf8(input.get(..start).unwrap_or_default())
            .map_err(|_| WireError::NotUtf8)?;
        let command = head.get(..self.command).unwrap_or_default();
        let connects = matches!(command, "CONNECT" | "STOMP" | "CONNECTED");
        let version = self.version.filter(|_| !connects);
        Ok(Frame { head, command, spans: &self.spans, body, version })
    }

    /// Drops what has come of a body that nobody wants.
    fn past<'a>(
        &mut self,
        input: &[u8],
        left: Option<usize>,
        come: usize,
    ) -> Result<Decoded<'a>, WireError> {
        let count = match (left, input) {
            (_, []) => return Ok(Decoded::Incomplete),
            (Some(0), [0, ..]) => {
                self.begin(Stage::Head);
                1
            }
            (Some(0), _) => return Err(WireError::NoNul),
            (Some(left), _) => {
                let count = left.min(input.len());
                self.stage = Stage::Past { left: Some(left - count), come };
                count
            }
            (None, _) => {
                let end = memchr::memchr(0, input);
                let come = come.saturating_add(end.unwrap_or(input.len()));
                if come > self.body_bytes {
                    return Err(WireError::BodyTooLarge { max: self.body_bytes });
                }
                match end {
                    Some(_) => self.begin(Stage::Head),
                    None => self.stage = Stage::Past { left, come },
                }
                end.map_or(input.len(), |end| end + 1)
            }
        };
        Ok(Decoded::Idle(count))
    }

    /// Looks at lines until the empty one.
    fn head(&mut self, input: &[u8]) -> Result<Option<Stage>, WireError> {
        if self.seen == 0 {
            (self.command, self.content_length) = (0, None);
            self.spans.clear();
        }
        loop {
            let new = input.get(self.seen..).unwrap_or_default();
            let found = memchr::memchr2(b'\n', 0, new).map(|at| self.seen + at);
            let end = found.unwrap_or(input.len());
            self.check_line(end)?;
            let Some(end) = found else {
                self.seen = input.len();
                return Ok(None);
            };
            if input.get(end) == Some(&0) {
                return Err(WireError::NulInHead);
            }
            let line = input.get(self.line..end).unwrap_or_default();
            let is_first = self.line == 0;
            let start = std::mem::replace(&mut self.line, end + 1);
            self.seen = end + 1;
            if is_first {
                self.command = line.strip_suffix(b"\r").unwrap_or(line).len();
            } else if line.is_empty() || line == b"\r" {
                let len = self.content_length.take().transpose()?;
                self.body_bytes = match input.get(..self.command) {
                    Some(b"SEND" | b"MESSAGE" | b"ERROR") => self.limits.body_bytes,
                    _ => self.limits.body_bytes.min(NO_BODY_BYTES),
                };
                if len.is_some_and(|len| len > self.body_bytes) {
                    return Err(WireError::BodyTooLarge { max: self.body_bytes });
                }
                return Ok(Some(Stage::Body { start: end + 1, len }));
            } else {
                self.header(line, start)?;
            }
        }
    }

    /// Whether the bytes up to `end` keep the limits. Of two that are broken it names the one that is
    /// broken first, so that the error is the same however the bytes were split.
    fn check_line(&self, end: usize) -> Result<(), WireError> {
        let FrameLimits { command_bytes, line_bytes, head_bytes, .. } = self.limits;
        let (line_limit, too_long) = match self.line {
            0 if command_bytes < line_bytes => {
                (command_bytes, WireError::CommandTooLong { max: command_bytes })
            }
            _ => (line_bytes, WireError::LineTooLong { max: line_bytes }),
        };
        let line_limit = self.line.saturating_add(line_limit);
        // Also what makes the casts to 32 bits harmless.
        let head_limit = head_bytes.min(u32::MAX as usize);
        match end {
            _ if end <= line_limit.min(head_limit) => Ok(()),
            _ if line_limit <= head_limit => Err(too_long),
            _ => Err(WireError::HeadTooLarge { max: head_bytes }),
        }
    }

    /// Takes in the header line that begins at `start`.
    fn header(&mut self, line: &[u8], start: usize) -> Result<(), WireError> {
        if self.spans.len() == self.limits.headers {
            return Err(WireError::TooManyHeaders { max: self.limits.headers });
        }
        // Only in 1.1 a carriage return belongs to the value (rule 1).
        let line = match (self.version, line) {
            (Some(Version::V1_1), line) => line,
            (_, line) => line.strip_suffix(b"\r").unwrap_or(line),
        };
        // A line without a colon is a name without a value (rule 5).
        let colon = memchr::memchr(b':', line).unwrap_or(line.len());
        if colon == 0 {
            return Err(WireError::NoName);
        }
        let value = line.get(colon + 1..).unwrap_or_default();
        if line.get(..colon) == Some(b"content-length") && self.content_length.is_none() {
            self.content_length = Some(content_length(value, self.limits.body_bytes));
        }
        self.spans.push(Span {
            name: start as u32,
            colon: (start + colon) as u32,
            value: (start + line.len() - value.len()) as u32,
            end: (start + line.len()) as u32,
        });
        Ok(())
    }

    /// The end of the body, once all of it and its NUL are there.
    fn body(
        &mut self,
        input: &[u8],
        start: usize,
        len: Option<usize>,
    ) -> Result<Option<usize>, WireError> {
        if let Some(len) = len {
            return match input.get(start + len) {
                None => Ok(None),
                Some(0) => Ok(Some(start + len)),
                Some(_) => Err(WireError::NoNul),
            };
        }
        let new = input.get(self.seen..).unwrap_or_default();
        let found = memchr::memchr(0, new).map(|at| self.seen + at);
        let end = found.unwrap_or(input.len());
        if end - start > self.body_bytes {
            return Err(WireError::BodyTooLarge { max: self.body_bytes });
        }
        self.seen = end;
        Ok(found)
    }
}

/// Reads the value of `content-length` (rule 6).
fn content_length(value: &[u8], max: usize) -> Result<usize, WireError> {
    let digits = value.trim_ascii();
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return Err(WireError::BadContentLength);
    }
    let len = digits.iter().try_fold(0_usize, |sum, digit| {
        sum.checked_mul(10)?.checked_add(usize::from(digit - b'0'))
    });
    len.filter(|len| *len <= max).ok_or(WireError::BodyTooLarge { max })
}
