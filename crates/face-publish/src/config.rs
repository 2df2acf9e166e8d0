//! What bounds publishing.

/// The limits of one server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The largest body, decoded, in bytes; at most 1 GiB. 32 MiB by default.
    pub body_bytes: usize,
    /// The most events of one request. 200,000 by default.
    pub events: usize,
    /// How many bytes of bodies may be held at once, over all requests; raised to `body_bytes` if
    /// that is more. 256 MiB by default. Drafts of about one and a half times that come on top.
    pub held_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { body_bytes: 32 << 20, events: 200_000, held_bytes: 256 << 20 }
    }
}
