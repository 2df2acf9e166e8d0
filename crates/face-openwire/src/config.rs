//! What the server may set for this face. The defaults are ActiveMQ's where a client could notice.

use std::time::Duration;

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
    /// How long a connection may take until it has logged in.
    pub connect_timeout: Duration,
    /// How long a login waits whose client id another connection has, while that one is made to
    /// show whether its client is still there. Longer than the network takes to find out
    /// ([`SocketLimits::user_timeout`](outflow_face::SocketLimits)), and shorter than
    /// [`Options::connect_timeout`].
    pub client_id_wait: Duration,
    /// After how long without a byte a connection counts as dead, either way; the shorter one of
    /// this and the client's counts. Zero: never.
    pub inactivity: Duration,
    /// How long a client may take no bytes at all before it is cut off. Slow is fine.
    pub write_stall: Duration,
    /// Sessions a connection may have.
    pub max_sessions: usize,
    /// Producers a connection may have.
    pub max_producers: usize,
    /// Consumers a connection may have.
    pub max_consumers: usize,
    /// Temporary destinations a connection may have.
    pub max_temporary: usize,
    /// Transactions a connection may have open.
    pub max_transactions: usize,
    /// Bytes of events, and number of messages sent and acked, that open transactions of a
    /// connection may hold.
    pub max_transaction_bytes: usize,
    /// See [`Options::max_transaction_bytes`].
    pub max_transaction_messages: usize,
    /// The most messages a consumer may ask to have unacked at once.
    pub max_prefetch: u32,
    /// Batches of sends and acks on their way to the disk, per connection: beyond it the socket is
    /// not read.
    pub max_in_flight: usize,
    /// Bytes written but not yet taken by the socket, beyond which a connection is neither read nor
    /// given messages.
    pub output_bytes: usize,
    /// Bytes read at once at most.
    pub read_bytes: usize,
    /// Whether messages that are not persistent are answered only when they are on the disk, too.
    pub all_durable: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            broker_name: "outflow".to_owned(),
            tight_encoding: true,
            cache: true,
            max_frame_bytes: 32 << 20,
            connect_timeout: Duration::from_secs(30),
            client_id_wait: Duration::from_secs(12),
            inactivity: Duration::from_secs(30),
            write_stall: Duration::from_secs(30),
            max_sessions: 1_000,
            max_producers: 1_000,
            max_consumers: 1_000,
            max_temporary: 1_000,
            max_transactions: 1_000,
            max_transaction_bytes: 16 << 20,
            max_transaction_messages: 20_000,
            max_prefetch: 32_767,
            max_in_flight: 64,
            output_bytes: 256 << 10,
            read_bytes: 256 << 10,
            all_durable: false,
        }
    }
}
