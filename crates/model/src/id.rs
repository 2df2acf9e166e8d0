//! Names and identifiers. Each is a type of its own, so that none can stand in for another.

use std::fmt;
use std::sync::Arc;

/// Why a name was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// It is empty or has more than `max` bytes.
    #[error("must have 1 to {max} characters")]
    Length {
        /// The longest name allowed, in bytes.
        max: usize,
    },
    /// It has a character outside the allowed set.
    #[error("character {at} is not allowed here")]
    Character {
        /// The zero-based byte position of the first offending character.
        at: usize,
    },
    /// A segment of it, between slashes, is empty, `.` or `..`: URL paths lose such segments, so
    /// that nothing could address it.
    #[error("no part of it between slashes may be empty, `.` or `..`")]
    Segment,
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $max:literal, $allowed:expr, $in_paths:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The longest one allowed, in bytes.
            pub const MAX_BYTES: usize = $max;

            /// Checks `text` and keeps it.
            ///
            /// # Errors
            /// [`NameError`] says which rule `text` breaks.
            pub fn new(text: &str) -> Result<Self, NameError> {
                Self::check(text.as_bytes())?;
                Ok(Self(text.into()))
            }

            /// Checks the bytes of a name without keeping them.
            ///
            /// # Errors
            /// [`NameError`] says which rule `text` breaks.
            pub fn check(text: &[u8]) -> Result<(), NameError> {
                if text.is_empty() || text.len() > $max {
                    return Err(NameError::Length { max: $max });
                }
                let allowed: fn(u8) -> bool = $allowed;
                match text.iter().position(|&byte| !allowed(byte)) {
                    Some(at) => Err(NameError::Character { at }),
                    None if $in_paths && !is_addressable(text) => Err(NameError::Segment),
                    None => Ok(()),
                }
            }

            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        /// Names are looked up by their text.
        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

const fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.')
}

/// Whether URL paths keep every segment of a name as it is (RFC 3986 5.2.4).
fn is_addressable(text: &[u8]) -> bool {
    text.split(|&byte| byte == b'/').all(|part| !matches!(part, b"" | b"." | b".."))
}

/// Printable ASCII that JSON strings carry without an escape.
const fn is_plain_json_byte(byte: u8) -> bool {
    matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\'
}

name!(
    /// A tenant; Airship's app key. Letters, digits, `_`, `-`, `.`.
    ProjectId, 64, is_name_byte, true
);
name!(
    /// A stream's name, unique in its project. Letters, digits and `_ - . : / $`, as
    /// the destinations of message brokers have; no part between slashes is empty, `.` or `..`.
    StreamName, 255, |byte| is_name_byte(byte) || matches!(byte, b':' | b'/' | b'$'),
    true
);
name!(
    /// A subscription's name, unique in its project; made of what a stream's name is made of.
    SubscriptionName, 255, |byte| is_name_byte(byte) || matches!(byte, b':' | b'/' | b'$'),
    true
);
name!(
    /// An integration: one connection point of a customer, with its tokens and limits.
    IntegrationId, 64, is_name_byte, true
);
name!(
    /// A credential's public half: it may be shown and logged; it opens nothing.
    CredentialId, 64, is_name_byte, true
);
name!(
    /// An event's id, the same on every copy. Printable ASCII that needs no JSON escape, so that a
    /// stored line holds it as it came.
    EventId, 128, is_plain_json_byte, false
);
name!(
    /// An event's type, such as `CUSTOM`. Printable ASCII that needs no JSON escape.
    EventType, 64, is_plain_json_byte, false
);

/// The type of the message by which streams tell the place they have considered (reference
/// `airship.md` 1.5): a published event of this type would pass for one.
pub const OFFSET_UPDATE: &str = "OFFSET_UPDATE";

/// A stream's number: what the log knows a stream by. Never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId(pub u32);

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s{}", self.0)
    }
}

/// How many shards streams are spread over: the units of ownership.
pub const SHARDS: u16 = 256;

/// A unit of ownership: one node at a time owns a shard and all its streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Shard(pub u8);

impl StreamId {
    /// The shard that owns this stream; fixed for good.
    #[must_use]
    pub const fn shard(self) -> Shard {
        // A multiplicative hash: consecutive numbers land on far-apart shards.
        Shard((self.0.wrapping_mul(0x9E37_79B1) >> 24) as u8)
    }
}
