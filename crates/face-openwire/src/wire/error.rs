//! Why bytes are no command, and why a command is no bytes.
//!
//! Every decoding error is fatal to its connection: where the next value would begin is not known,
//! and the caches of the two sides may differ from then on.

use outflow_model::ErrorCode;

/// Why a frame is not a command. `at` counts from the frame's type, the size before it left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// A value goes past the end of the frame.
    #[error("the frame ends inside the value at byte {at}")]
    Truncated {
        /// Where the value begins.
        at: usize,
    },
    /// There are fewer bits than the fields need.
    #[error("the frame has too few bits; byte {at}")]
    FewBits {
        /// Where the data stood.
        at: usize,
    },
    /// A size or length is negative.
    #[error("a length is negative; byte {at}")]
    NegativeLength {
        /// Where it stands.
        at: usize,
    },
    /// The frame is larger than agreed.
    #[error("the frame has {len} bytes, the most is {max}")]
    TooLarge {
        /// Its size.
        len: u64,
        /// The limit.
        max: u64,
    },
    /// No type has this code in the version spoken.
    #[error("no type has code {code}; byte {at}")]
    UnknownType {
        /// The code.
        code: u8,
        /// Where the type's fields would begin.
        at: usize,
    },
    /// A type stands where another belongs.
    #[error("a value of type {code} does not belong here; byte {at}")]
    UnexpectedType {
        /// The code.
        code: u8,
        /// Where the type's fields begin.
        at: usize,
    },
    /// A message claims to be there in an encoding of its own, which no peer sends.
    #[error("a message in a frame of its own; byte {at}")]
    NestedFrame {
        /// Where the data stood.
        at: usize,
    },
    /// Values stand inside of values too deep.
    #[error("values are nested more than {max} deep; byte {at}")]
    TooDeep {
        /// The limit.
        max: usize,
        /// Where the data stood.
        at: usize,
    },
    /// Lists have more elements than the frame has bytes.
    #[error("there are more elements than the frame can hold; byte {at}")]
    TooMany {
        /// Where the list stands.
        at: usize,
    },
    /// A text is not modified UTF-8.
    #[error("a text is not modified UTF-8; byte {at}")]
    NotUtf8 {
        /// Where the fault is.
        at: usize,
    },
    /// The cache has nothing at this index.
    #[error("nothing is cached at {index}; byte {at}")]
    NotCached {
        /// The index.
        index: i16,
        /// Where the data stood.
        at: usize,
    },
    /// The values that the peer has cached have too much text.
    #[error("the values cached have more than {max} bytes; byte {at}")]
    CacheFull {
        /// The limit.
        max: usize,
        /// Where the data stood.
        at: usize,
    },
    /// Bytes follow the last field.
    #[error("the command ends at byte {at}, the frame does not")]
    Trailing {
        /// Where they begin.
        at: usize,
    },
}

impl WireError {
    /// What the error is to a caller who knows no frames.
    #[must_use]
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::TooLarge { .. } | Self::CacheFull { .. } => ErrorCode::TooLarge,
            _ => ErrorCode::Malformed,
        }
    }
}

/// Why a command cannot be written. Nothing was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// A text is longer than the wire can say.
    #[error("a text has {len} bytes, the most is {max}")]
    TextTooLong {
        /// Its length in modified UTF-8.
        len: usize,
        /// The limit.
        max: usize,
    },
    /// A list has more elements than the wire can say.
    #[error("a list has {len} elements, the most is {max}")]
    ListTooLong {
        /// Its length.
        len: usize,
        /// The limit.
        max: usize,
    },
    /// The fields have more bits than the wire can say.
    #[error("the command has more than {max} bytes of bits")]
    ManyBits {
        /// The limit.
        max: usize,
    },
    /// The frame is larger than the peer takes.
    #[error("the frame has {len} bytes, the peer takes {max}")]
    TooLarge {
        /// Its size.
        len: u64,
        /// The limit.
        max: u64,
    },
    /// The version spoken has no such type.
    #[error("version {version} has no type {code}")]
    NewerType {
        /// The code.
        code: u8,
        /// The version.
        version: u8,
    },
}

impl EncodeError {
    /// What the error is to a caller who knows no frames.
    #[must_use]
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::TextTooLong { .. }
            | Self::ListTooLong { .. }
            | Self::ManyBits { .. }
            | Self::TooLarge { .. } => ErrorCode::TooLarge,
            Self::NewerType { .. } => ErrorCode::NotAcceptable,
        }
    }
}
