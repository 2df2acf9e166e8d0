//! A connection, whatever it is made of: TCP, TLS on it, either through a proxy.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// How much is read at once: most answers are shorter.
const READ_BYTES: usize = 4 << 10;

/// What bytes go through.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// A connection to an endpoint, with what is read from it.
///
/// Behind a pointer, since through a proxy there may be TLS in TLS; that is one jump for some
/// thousand bytes.
pub(super) struct Line {
    stream: Box<dyn Stream>,
    buffer: Box<[u8]>,
}

impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Line")
    }
}

impl Line {
    pub(super) fn new(stream: Box<dyn Stream>) -> Self {
        Self { stream, buffer: vec![0; READ_BYTES].into_boxed_slice() }
    }

    pub(super) fn stream(&mut self) -> Pin<&mut dyn Stream> {
        Pin::new(&mut *self.stream)
    }

    /// The bytes that are there; none: the connection has ended.
    pub(super) fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<std::io::Result<&[u8]>> {
        let mut buffer = ReadBuf::new(&mut self.buffer);
        let done = Pin::new(&mut *self.stream).poll_read(cx, &mut buffer);
        let length = buffer.filled().len();
        done.map_ok(|()| self.buffer.get(..length).unwrap_or_default())
    }

    /// Whether nothing has come since the last answer, neither an end nor an answer that nobody
    /// asked for.
    pub(super) fn is_quiet(&mut self) -> bool {
        self.poll_read(&mut Context::from_waker(Waker::noop())).is_pending()
    }
}
