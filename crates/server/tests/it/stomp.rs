//! As much STOMP 1.2 as these tests need: frames over one TCP connection, read to their NUL.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::reader::NAME;

/// A frame as it came, without its NUL.
#[derive(Debug, Clone)]
pub(crate) struct Frame(String);

impl Frame {
    pub(crate) fn command(&self) -> &str {
        self.0.split('\n').next().unwrap_or_default()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let head = self.0.split("\n\n").next()?;
        head.lines().skip(1).find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
    }

    pub(crate) fn body(&self) -> &str {
        self.0.split_once("\n\n").map_or("", |(_, body)| body)
    }
}

/// A connection that has logged in.
pub(crate) struct Stomp {
    socket: TcpStream,
    bytes: Vec<u8>,
}

impl Stomp {
    /// As the sample project's own key. `None` when the server is gone.
    pub(crate) async fn connect(address: SocketAddr) -> Option<Self> {
        Self::log_in(address, NAME, NAME).await
    }

    /// As this user. `None` when the server is gone.
    pub(crate) async fn log_in(address: SocketAddr, login: &str, passcode: &str) -> Option<Self> {
        let socket = TcpStream::connect(address).await.ok()?;
        socket.set_nodelay(true).ok()?;
        let mut stomp = Self { socket, bytes: Vec::new() };
        let hello = format!(
            "CONNECT\naccept-version:1.2\nhost:localhost\nheart-beat:0,0\nlogin:{login}\npasscode:{passcode}\n\n\0"
        );
        stomp.send(&hello).await?;
        let answer = stomp.frame().await?;
        assert_eq!(answer.command(), "CONNECTED", "{answer:?}");
        Some(stomp)
    }

    pub(crate) async fn send(&mut self, frames: &str) -> Option<()> {
        self.socket.write_all(frames.as_bytes()).await.ok()
    }

    /// The next frame; `None` when the connection is cut.
    pub(crate) async fn frame(&mut self) -> Option<Frame> {
        loop {
            let start = self.bytes.iter().position(|byte| !matches!(byte, b'\n' | b'\r'));
            self.bytes.drain(..start.unwrap_or(self.bytes.len()));
            if let Some(end) = self.bytes.iter().position(|&byte| byte == 0) {
                let frame = self.bytes.drain(..=end).collect::<Vec<_>>();
                let text = std::str::from_utf8(&frame[..end]).unwrap();
                return Some(Frame(text.to_owned()));
            }
            if self.socket.read_buf(&mut self.bytes).await.ok()? == 0 {
                return None;
            }
        }
    }
}
