//! STOMP frames: bytes to frames and back. No I/O, no meaning.
//!
//! Called by [`crate::listen`] (decoding), [`crate::session`] and [`crate::translate`] (reading
//! headers, encoding). [`Decoder`] gives frames as slices of the connection's buffer; [`FrameWriter`]
//! appends frames to a buffer of bytes. The rules that implementations get wrong are in reference
//! `activemq.md` b1; comments name them by number.
//!
//! Invariants: nothing is allocated from a number that a peer wrote; bytes are looked at once
//! however they are split; what is written is one frame whatever the values hold.

mod decode;
mod encode;
mod frame;

pub use decode::{Decoded, Decoder, WireError};
pub use encode::FrameWriter;
pub use frame::{Frame, Headers};

/// A version of the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Version {
    /// 1.0: no escapes; values are trimmed, because its clients pad them (rule 4).
    V1_0,
    /// 1.1: `\n`, `\c` and `\\`; a carriage return is part of the value (rule 1).
    V1_1,
    /// 1.2: `\r` as well; lines may end with CR LF.
    V1_2,
}

impl Version {
    /// The newest version that `offered`, the value of `accept-version`, holds; 1.0 when the header
    /// is missing (rule 7).
    #[must_use]
    pub fn negotiate(offered: Option<&str>) -> Option<Self> {
        let Some(offered) = offered else { return Some(Self::V1_0) };
        offered.split(',').filter_map(|one| Self::parse(one.trim())).max()
    }

    fn parse(text: &str) -> Option<Self> {
        match text {
            "1.0" => Some(Self::V1_0),
            "1.1" => Some(Self::V1_1),
            "1.2" => Some(Self::V1_2),
            _ => None,
        }
    }

    /// As it is written.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::V1_0 => "1.0",
            Self::V1_1 => "1.1",
            Self::V1_2 => "1.2",
        }
    }
}

/// The largest body of a frame that has no use for one: all but SEND, MESSAGE and ERROR (STOMP 1.2,
/// Body).
const NO_BODY_BYTES: usize = 1 << 10;

/// What a frame may cost. All are checked before memory is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameLimits {
    /// The longest command line, in bytes.
    pub command_bytes: usize,
    /// The longest header line, in bytes.
    pub line_bytes: usize,
    /// The most headers.
    pub headers: usize,
    /// The largest head: command and headers together, in bytes.
    pub head_bytes: usize,
    /// The largest body, in bytes.
    pub body_bytes: usize,
}

impl FrameLimits {
    /// What a frame may cost of a client that nobody knows yet: a login, whose passcode may be a
    /// token, and no body to speak of.
    #[must_use]
    pub fn before_login(self) -> Self {
        Self {
            head_bytes: self.head_bytes.min(16 << 10),
            body_bytes: self.body_bytes.min(NO_BODY_BYTES),
            ..self
        }
    }
}

impl Default for FrameLimits {
    fn default() -> Self {
        Self {
            command_bytes: 1 << 10,
            line_bytes: 10 << 10,
            headers: 100,
            head_bytes: 64 << 10,
            body_bytes: 1 << 20,
        }
    }
}
