//! The limits of listeners.

use std::time::Duration;

/// The limits of any listener's sockets.
#[derive(Debug, Clone)]
pub struct SocketLimits {
    /// How long a TLS handshake may take.
    pub handshake_timeout: Duration,
    /// See [`HttpLimits::user_timeout`].
    pub user_timeout: Duration,
    /// How many connections may be open; more wait in the kernel's queue.
    pub max_connections: usize,
}

impl HttpLimits {
    /// Those of the socket.
    #[must_use]
    pub const fn socket(&self) -> SocketLimits {
        let Self { handshake_timeout, user_timeout, max_connections, .. } = *self;
        SocketLimits { handshake_timeout, user_timeout, max_connections }
    }
}

impl Default for SocketLimits {
    fn default() -> Self {
        HttpLimits::default().socket()
    }
}

/// The limits of an HTTP listener. Every field bounds what one peer can cost.
#[derive(Debug, Clone)]
pub struct HttpLimits {
    /// How long a request's head may take, from its first byte, or from the connection's opening.
    pub header_timeout: Duration,
    /// How long a request's body may take in all.
    pub body_timeout: Duration,
    /// How long a connection may stay open between two requests.
    pub idle_timeout: Duration,
    /// How long a TLS handshake may take.
    pub handshake_timeout: Duration,
    /// How long a peer may accept no bytes at all before it is cut off. Slow is fine. A stream of HTTP/2
    /// whose reader gives it no room is reset after ten times as long.
    pub write_stall: Duration,
    /// TCP_USER_TIMEOUT: how long sent bytes may stay unacknowledged, or the peer's window shut,
    /// before the kernel gives the connection up. It frees what a vanished peer held; it also ends
    /// a live peer that reads nothing, which is why it is not much less than `write_stall`.
    pub user_timeout: Duration,
    /// The same once a connection speaks another protocol than HTTP, such as STOMP over WebSocket: as on
    /// that protocol's own port.
    pub upgraded_user_timeout: Duration,
    /// How many connections may be open; more wait in the kernel's queue.
    pub max_connections: usize,
    /// How many header fields a request may have; more are answered with 431.
    pub max_headers: usize,
    /// The size of a request's head in bytes, at least 8,192; a larger one is answered with 431.
    /// It bounds hyper's read and write buffers, too: a body frame is taken only while less than
    /// this is waiting to be written.
    pub max_head_bytes: usize,
    /// HTTP/2: streams open at once on a connection.
    pub h2_max_streams: u32,
    /// HTTP/2: how often an idle connection is pinged.
    pub h2_ping_interval: Duration,
    /// HTTP/2: how long a ping may stay unanswered.
    pub h2_ping_timeout: Duration,
}

impl Default for HttpLimits {
    fn default() -> Self {
        Self {
            header_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(75),
            handshake_timeout: Duration::from_secs(10),
            write_stall: Duration::from_secs(30),
            user_timeout: Duration::from_secs(25),
            upgraded_user_timeout: Duration::from_secs(10),
            max_connections: 65_536,
            max_headers: 100,
            max_head_bytes: 64 << 10,
            h2_max_streams: 200,
            h2_ping_interval: Duration::from_secs(15),
            h2_ping_timeout: Duration::from_secs(10),
        }
    }
}
