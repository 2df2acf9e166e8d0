//! Named cursors: places in a stream that the server keeps for a client.

use outflow_model::{Offset, Timestamp};

/// The longest name of a cursor, in bytes. Names are made of letters, digits, `_`, `-`, `.`.
pub const MAX_CURSOR_NAME_BYTES: usize = 64;

/// A named place in a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    /// Its name.
    pub name: String,
    /// The last offset its client is done with: resume after it.
    pub offset: Offset,
    /// When it was last set.
    pub updated: Timestamp,
}
