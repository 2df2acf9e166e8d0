//! What a connection runs over, down to its socket.
//!
//! Made by [`crate::listener`]; [`crate::guard`] reaches through it to the socket when a connection
//! turns from HTTP to a protocol of its own.

use std::io;
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

/// See the module.
pub trait Link: AsyncRead + AsyncWrite + Unpin + Send + 'static {
    /// Sets how long sent bytes may stay unacknowledged.
    ///
    /// # Errors
    /// Those of the operating system: the peer is gone.
    fn set_user_timeout(&self, timeout: Duration) -> io::Result<()>;
}

impl Link for TcpStream {
    #[cfg(target_os = "linux")]
    fn set_user_timeout(&self, timeout: Duration) -> io::Result<()> {
        SockRef::from(self).set_tcp_user_timeout(Some(timeout))
    }

    #[cfg(not(target_os = "linux"))]
    fn set_user_timeout(&self, _timeout: Duration) -> io::Result<()> {
        Ok(())
    }
}

impl Link for TlsStream<TcpStream> {
    fn set_user_timeout(&self, timeout: Duration) -> io::Result<()> {
        self.get_ref().0.set_user_timeout(timeout)
    }
}
