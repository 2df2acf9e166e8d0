//! What the server may set for this face. The defaults are ActiveMQ's but for
//! limits on sizes and counts, which ActiveMQ has higher or not at all.

use std::time::Duration;

use outflow_broker::{Limits, Room};

/// Options of the OpenWire face.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// What clients are told the broker is called.
    pub broker_name: String,
    /// Whether frames are offered in their tight form: fewer bytes, more work for both sides.
    pub tight_encoding: bool,
    /// Whether repeated ids and destinations are offered to be named by an index.
    pub cache: bool,
    /// The largest frame, in bytes.
    pub max_frame_bytes: usize,
    /// What sessions may cost.
    pub limits: Limits,
    /// After how long without a byte a connection counts as dead, either way; the shorter one of
    /// this and the client's counts. Zero: never.
    pub inactivity: Duration,
    /// Sessions a connection may have.
    pub max_sessions: usize,
    /// Producers a connection may have.
    pub max_producers: usize,
    /// Consumers a connection may have.
    pub max_consumers: usize,
    /// Temporary destinations a connection may have.
    pub max_temporary: usize,
}

/// What a frame needs that holds the largest event, of `event_bytes`: half as much again, which a text may
/// have more in modified UTF-8, and 64 KiB for all that a message has besides.
#[must_use]
pub const fn frame_bytes(event_bytes: usize) -> usize {
    event_bytes + event_bytes / 2 + (64 << 10)
}

impl Default for Options {
    fn default() -> Self {
        // Each session of a connection may have one open.
        let room = Room { transactions: 1_000, ..Limits::default().room };
        Self {
            broker_name: "outflow".to_owned(),
            tight_encoding: true,
            cache: true,
            max_frame_bytes: frame_bytes(1 << 20),
            limits: Limits { room, ..Limits::default() },
            inactivity: Duration::from_secs(30),
            max_sessions: 1_000,
            max_producers: 1_000,
            max_consumers: 1_000,
            max_temporary: 1_000,
        }
    }
}
