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

impl Default for Options {
    fn default() -> Self {
        // Each session of a connection may have one open.
        let room = Room { transactions: 1_000, ..Limits::default().room };
        Self {
            broker_name: "outflow".to_owned(),
            tight_encoding: true,
            cache: true,
            max_frame_bytes: 32 << 20,
            limits: Limits { room, ..Limits::default() },
            inactivity: Duration::from_secs(30),
            max_sessions: 1_000,
            max_producers: 1_000,
            max_consumers: 1_000,
            max_temporary: 1_000,
        }
    }
}
