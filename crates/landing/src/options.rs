//! What the server may set: section `landing` of its configuration.

use std::time::Duration;

/// When files are closed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// A file is closed when its events have this many bytes as stored.
    pub max_bytes: u64,
    /// A file is closed when its first event is this old.
    pub max_age: Duration,
    /// How often streams are looked at.
    pub pause: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            max_bytes: 32 << 20,
            max_age: Duration::from_secs(60),
            pause: Duration::from_secs(1),
        }
    }
}
