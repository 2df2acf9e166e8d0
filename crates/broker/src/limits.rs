//! What a broker session may cost, whatever its wire. The defaults are ActiveMQ's where a client
//! could notice.

use std::time::Duration;

use crate::transaction::Room;

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// How long a connection may take until it has logged in.
    pub connect_timeout: Duration,
    /// How long a login waits whose client id another connection has, while that one is made to
    /// show whether its client is still there. Longer than the network takes to find out
    /// ([`SocketLimits::user_timeout`](outflow_face::SocketLimits)), and shorter than
    /// [`Limits::connect_timeout`].
    pub client_id_wait: Duration,
    /// How long a client may take no bytes at all before it is cut off. Slow is fine.
    pub write_stall: Duration,
    /// For how long nothing may come of a frame that a logged-in client has begun. Slow is fine.
    pub frame_timeout: Duration,
    /// What open transactions of a connection may hold.
    pub room: Room,
    /// What frames of which a part has come, and open transactions, may hold over all connections of a
    /// face, in bytes; of each 64 KiB are not counted.
    pub held_bytes: usize,
    /// The most messages that a consumer may ask to have unacked at once.
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

impl Default for Limits {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(30),
            client_id_wait: Duration::from_secs(12),
            write_stall: Duration::from_secs(30),
            frame_timeout: Duration::from_secs(30),
            room: Room { transactions: 16, bytes: 16 << 20, messages: 20_000 },
            held_bytes: 256 << 20,
            max_prefetch: 32_767,
            max_in_flight: 64,
            output_bytes: 256 << 10,
            read_bytes: 256 << 10,
            all_durable: false,
        }
    }
}
