//! A broker under test and a connection to it that never copies what it reads twice.

use std::cell::Cell;
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

use crate::gauge::Gauge;
use crate::{BenchError, During as _};

/// How many bytes are asked of the socket at once.
const READ: usize = 256 * 1024;
/// Frames are bodies of a few hundred bytes; a longer one would be no answer to what is sent here.
const FRAME_BYTES_MAX: usize = 1 << 20;

/// Where it is, who we are there, and what it costs.
#[derive(Debug)]
pub(crate) struct Broker {
    pub(crate) address: SocketAddr,
    pub(crate) login: String,
    pub(crate) passcode: String,
    pub(crate) gauge: Gauge,
    names: Cell<u32>,
}

impl Broker {
    pub(crate) fn new(address: SocketAddr, login: String, passcode: String, gauge: Gauge) -> Self {
        Self { address, login, passcode, gauge, names: Cell::new(0) }
    }

    /// A name that no run before has used.
    pub(crate) fn fresh(&self, what: &str) -> String {
        self.names.set(self.names.get() + 1);
        format!("bench.{what}.{}.{}", std::process::id(), self.names.get())
    }

    /// Logs in and waits for the answer.
    pub(crate) async fn connect(&self) -> Result<Connection, BenchError> {
        let stream = TcpStream::connect(self.address).await.during("connecting to the broker")?;
        stream.set_nodelay(true).during("setting up a socket")?;
        let (read, write) = stream.into_split();
        let reading = Reading { read, bytes: Vec::with_capacity(READ) };
        let mut connection = Connection { reading, write, server: String::new() };
        let hello = format!(
            "CONNECT\naccept-version:1.2\nhost:/\nheart-beat:0,0\nlogin:{}\npasscode:{}\n\n\0",
            self.login, self.passcode
        );
        connection.send(hello.as_bytes()).await?;
        let mut answer = Vec::new();
        while !answer.starts_with(b"CONNECTED") {
            connection.reading.frames(|frame| answer = frame.to_vec()).await?;
        }
        let answer = String::from_utf8_lossy(&answer);
        let server = answer.lines().find_map(|line| line.strip_prefix("server:"));
        connection.server = server.unwrap_or_default().to_owned();
        Ok(connection)
    }
}

/// A connection, both ways.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) reading: Reading,
    pub(crate) write: OwnedWriteHalf,
    /// What the broker calls itself.
    pub(crate) server: String,
}

impl Connection {
    pub(crate) async fn send(&mut self, frames: &[u8]) -> Result<(), BenchError> {
        self.write.write_all(frames).await.during("sending frames")
    }

    /// Waits for so many frames, whatever they are but ERROR.
    pub(crate) async fn expect(&mut self, count: u64) -> Result<(), BenchError> {
        let mut seen = 0;
        while seen < count {
            seen += self.reading.frames(|_| {}).await?;
        }
        Ok(())
    }
}

/// The half that reads.
#[derive(Debug)]
pub(crate) struct Reading {
    read: OwnedReadHalf,
    /// The beginning of a frame whose end has not come.
    bytes: Vec<u8>,
}

impl Reading {
    /// Gives the buffer back until something comes: thousands of these are open at once.
    pub(crate) fn rest(&mut self) {
        self.bytes.shrink_to_fit();
    }

    /// Waits for bytes and shows each whole frame, without its NUL, to `see`. No body here has a
    /// NUL in it. An ERROR frame is the bench's own end.
    pub(crate) async fn frames(&mut self, mut see: impl FnMut(&[u8])) -> Result<u64, BenchError> {
        if self.bytes.capacity() - self.bytes.len() < READ / 2 {
            self.bytes.reserve(READ);
        }
        if self.read.read_buf(&mut self.bytes).await.during("reading frames")? == 0 {
            return Err(BenchError::Answer("the broker closed the connection".to_owned()));
        }
        let (mut count, mut from) = (0, 0);
        while let Some(rest) = self.bytes.get(from..)
            && let Some(end) = memchr::memchr(0, rest)
        {
            let frame = rest.get(..end).unwrap_or_default().trim_ascii_start();
            if frame.starts_with(b"ERROR") {
                return Err(BenchError::Answer(String::from_utf8_lossy(frame).into_owned()));
            }
            see(frame);
            count += 1;
            from += end + 1;
        }
        self.bytes.drain(..from);
        if self.bytes.len() > FRAME_BYTES_MAX {
            return Err(BenchError::Answer("a frame without end".to_owned()));
        }
        Ok(count)
    }
}
