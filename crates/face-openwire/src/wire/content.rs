//! A message's body in a frame: bytes that are there already, whoever holds them.
//!
//! Read from frames and made by the translation; written by [`super::field`].
//!
//! Invariant: it is shared, never copied, until it stands in the frame that goes out.

use std::hash::{Hash, Hasher};

use bytes::{BufMut as _, Bytes, BytesMut};

use super::utf8;

/// See the module.
#[derive(Debug, Clone)]
pub enum Content {
    /// As the frame has it.
    Whole(Bytes),
    /// A text that is the same in UTF-8 and in its modified form: the frame has its length before it.
    Text(Bytes),
}

/// The bytes of a text's length.
const LENGTH: usize = 4;

impl Content {
    /// The content of a text message, without a copy where `text`, which is UTF-8, is spelt alike in
    /// a frame. `None`: it is not, and is to be encoded.
    #[must_use]
    pub fn of_text(text: &Bytes) -> Option<Self> {
        let is_sayable = i32::try_from(text.len()).is_ok();
        (is_sayable && utf8::is_alike(text)).then(|| Self::Text(text.clone()))
    }

    /// How many bytes it has in a frame.
    #[must_use]
    pub const fn len(&self) -> usize {
        match self {
            Self::Whole(bytes) => bytes.len(),
            Self::Text(text) => LENGTH + text.len(),
        }
    }

    /// Whether it has none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// As the frame has it.
    #[must_use]
    pub fn to_bytes(&self) -> Bytes {
        match self {
            Self::Whole(bytes) => bytes.clone(),
            Self::Text(_) => {
                let mut out = BytesMut::with_capacity(self.len());
                self.put(&mut out);
                out.freeze()
            }
        }
    }

    /// Appends it as the frame has it.
    pub(super) fn put(&self, out: &mut BytesMut) {
        match self {
            Self::Whole(bytes) => out.put_slice(bytes),
            Self::Text(text) => {
                // Its length was looked at when it was made.
                out.put_i32(i32::try_from(text.len()).unwrap_or(i32::MAX));
                out.put_slice(text);
            }
        }
    }
}

impl From<Bytes> for Content {
    fn from(bytes: Bytes) -> Self {
        Self::Whole(bytes)
    }
}

impl PartialEq for Content {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Whole(own), Self::Whole(theirs)) | (Self::Text(own), Self::Text(theirs)) => {
                own == theirs
            }
            _ => self.to_bytes() == other.to_bytes(),
        }
    }
}

impl Eq for Content {}

impl Hash for Content {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.to_bytes().hash(state);
    }
}
