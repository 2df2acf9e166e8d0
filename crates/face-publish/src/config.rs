//! What bounds one publish. What all hold together is bounded by the [`Door`](outflow_body::Door).

/// The limits of one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The largest body, decoded, in bytes; at most 1 GiB. 32 MiB by default.
    pub body_bytes: usize,
    /// The most events of one request. 200,000 by default.
    pub events: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { body_bytes: 32 << 20, events: 200_000 }
    }
}
