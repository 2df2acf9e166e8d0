//! What the server may set for this face. The defaults are ActiveMQ's where a client could notice.

use std::time::Duration;

use crate::wire::FrameLimits;

/// How a message's JMS type, text or bytes, follows from its frame when no `amq-msg-type` says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TextRule {
    /// A frame without `content-length` is text, and so is one whose `content-type` is `text/*`,
    /// JSON or XML, if its body is UTF-8: most clients count every body, and Java consumers that
    /// expect a `TextMessage` break on ActiveMQ's rule (reference `activemq.md` b2).
    #[default]
    ContentType,
    /// ActiveMQ's rule: a frame with `content-length` is bytes, whatever else it says.
    ContentLength,
}

/// Options of the STOMP face.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// What frames may cost.
    pub frame: FrameLimits,
    /// How long a connection may take until it has sent CONNECT.
    pub connect_timeout: Duration,
    /// How long a CONNECT waits whose client id another connection has, while that one is made to
    /// show whether its client is still there. Longer than the network takes to find out
    /// ([`SocketLimits::user_timeout`](outflow_face::SocketLimits)), and shorter than
    /// [`Options::connect_timeout`].
    pub client_id_wait: Duration,
    /// The shortest heart-beat that is agreed to, either way: a client that asks for less gets this.
    pub min_heart_beat: Duration,
    /// How many heart-beats in a row a client may miss: its silence lasts at most so many times
    /// what it promised. At least 2: its beats are late by the network's delay.
    pub heart_beat_grace: u32,
    /// How long a client may take no bytes at all before it is cut off. Slow is fine.
    pub write_stall: Duration,
    /// Subscriptions a connection may have.
    pub max_subscriptions: usize,
    /// Transactions a connection may have open.
    pub max_transactions: usize,
    /// Bytes of events, and number of messages sent and acked, that open transactions of a
    /// connection may hold.
    pub max_transaction_bytes: usize,
    /// See [`Options::max_transaction_bytes`].
    pub max_transaction_messages: usize,
    /// Messages sent to a consumer of a queue before it has to ack, when it does not say.
    pub prefetch: u32,
    /// The most that a client may ask for.
    pub max_prefetch: u32,
    /// Batches of sends and acks on their way to the disk, per connection: beyond it the socket is
    /// not read.
    pub max_in_flight: usize,
    /// Bytes written but not yet taken by the socket, beyond which a connection is neither read nor
    /// given messages.
    pub output_bytes: usize,
    /// Bytes read at once at most.
    pub read_bytes: usize,
    /// Whether sends without `persistent:true` are answered only when they are on the disk, too.
    pub all_durable: bool,
    /// See [`TextRule`].
    pub text_rule: TextRule,
    /// WebSocket: the origins of pages that may connect; empty: any. A page needs a login either
    /// way, so that visiting it gives it nothing.
    pub origins: Vec<String>,
    /// WebSocket connections open at once; more are answered 503.
    pub max_web_sockets: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            frame: FrameLimits::default(),
            connect_timeout: Duration::from_secs(30),
            client_id_wait: Duration::from_secs(12),
            min_heart_beat: Duration::from_millis(100),
            heart_beat_grace: 2,
            write_stall: Duration::from_secs(30),
            max_subscriptions: 1_000,
            max_transactions: 16,
            max_transaction_bytes: 16 << 20,
            max_transaction_messages: 20_000,
            prefetch: 1_000,
            max_prefetch: 32_767,
            max_in_flight: 64,
            output_bytes: 256 << 10,
            read_bytes: 256 << 10,
            all_durable: false,
            text_rule: TextRule::default(),
            origins: Vec::new(),
            max_web_sockets: 16_384,
        }
    }
}
