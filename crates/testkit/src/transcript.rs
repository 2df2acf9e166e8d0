//! A small harness for tests of faces: plays bytes to a server as a real client writes them and
//! reads what comes back, byte for byte.
//!
//! Used by the tests of faces only. It understands just enough HTTP/1.1 to find where a head and
//! a chunk end, and nothing of what they mean.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// How long a test waits for bytes that it expects.
const PATIENCE: Duration = Duration::from_secs(20);

/// A connection that plays a transcript.
#[derive(Debug)]
pub struct Player {
    stream: TcpStream,
    seen: Vec<u8>,
}

/// An answer's head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// The status line.
    pub status: String,
    /// The header fields in order, names in lower case.
    pub fields: Vec<(String, String)>,
}

impl Head {
    /// The first field named `name`, which is given in lower case.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(field, _)| field == name).map(|(_, value)| value.as_str())
    }
}

impl Player {
    /// Connects.
    ///
    /// # Errors
    /// Those of the socket.
    pub async fn connect(addr: SocketAddr) -> io::Result<Self> {
        Ok(Self { stream: TcpStream::connect(addr).await?, seen: Vec::new() })
    }

    /// Sends `bytes`.
    ///
    /// # Errors
    /// Those of the socket.
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.stream.write_all(bytes.as_ref()).await
    }

    /// Reads an answer's head.
    ///
    /// # Errors
    /// Those of the socket; also when the connection ends before, or nothing comes for 20 s.
    pub async fn head(&mut self) -> io::Result<Head> {
        let head = self.until(b"\r\n\r\n").await?;
        let head = String::from_utf8_lossy(&head).into_owned();
        let mut lines = head.trim_end().split("\r\n");
        let status = lines.next().unwrap_or_default().to_owned();
        let fields = lines.filter_map(|line| {
            let (name, value) = line.split_once(':')?;
            Some((name.to_ascii_lowercase(), value.trim().to_owned()))
        });
        Ok(Head { status, fields: fields.collect() })
    }

    /// Reads a body of a known length.
    ///
    /// # Errors
    /// As [`Player::head`].
    pub async fn exactly(&mut self, len: usize) -> io::Result<Vec<u8>> {
        while self.seen.len() < len {
            self.more().await?;
        }
        Ok(self.seen.drain(..len).collect())
    }

    /// Reads one chunk of a chunked body; the last one is empty.
    ///
    /// # Errors
    /// As [`Player::head`].
    pub async fn chunk(&mut self) -> io::Result<Vec<u8>> {
        let line = self.until(b"\r\n").await?;
        let digits = String::from_utf8_lossy(&line).trim().to_owned();
        let len = usize::from_str_radix(&digits, 16)
            .map_err(|_| io::Error::other(format!("not a chunk: {digits}")))?;
        let chunk = self.exactly(len).await?;
        self.exactly(2).await?;
        Ok(chunk)
    }

    /// Reads a line with its newline; `None` when the connection has ended after the line before.
    ///
    /// # Errors
    /// As [`Player::head`].
    pub async fn line(&mut self) -> io::Result<Option<String>> {
        match self.until(b"\n").await {
            Ok(line) => Ok(Some(String::from_utf8_lossy(&line).into_owned())),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof && self.seen.is_empty() => {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Reads to the end of the connection.
    ///
    /// # Errors
    /// As [`Player::head`], but for the end.
    pub async fn rest(&mut self) -> io::Result<Vec<u8>> {
        loop {
            match self.more().await {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    return Ok(std::mem::take(&mut self.seen));
                }
                Err(error) => return Err(error),
            }
        }
    }

    async fn until(&mut self, end: &[u8]) -> io::Result<Vec<u8>> {
        loop {
            if let Some(at) = self.seen.windows(end.len()).position(|window| window == end) {
                return Ok(self.seen.drain(..at + end.len()).collect());
            }
            self.more().await?;
        }
    }

    async fn more(&mut self) -> io::Result<()> {
        let read = self.stream.read_buf(&mut self.seen);
        match tokio::time::timeout(PATIENCE, read).await {
            Ok(Ok(0)) => Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(error),
            Err(_) => Err(io::ErrorKind::TimedOut.into()),
        }
    }
}
