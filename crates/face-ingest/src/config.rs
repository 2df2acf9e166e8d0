//! What the server may set for this face: section `ingest` of its configuration.

use std::time::Duration;

/// Options of the ingest face.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// The largest payload, in bytes after decoding (seed 002: 254 kb).
    pub max_payload_bytes: usize,
    /// How many requests a second a project may make, and how many at once after a rest (reference
    /// 3.1: 1,000).
    pub requests_per_second: u32,
    /// How many bytes of payloads may be on their way in at once, over all projects; one project has
    /// a quarter of that at most.
    pub held_bytes: usize,
    /// How long a payload may wait for its commit before it is answered 504. It may be stored all
    /// the same: a client that tries again may store it twice.
    pub commit_timeout: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            max_payload_bytes: 254_000,
            requests_per_second: 1_000,
            held_bytes: 256 << 20,
            commit_timeout: Duration::from_secs(20),
        }
    }
}
