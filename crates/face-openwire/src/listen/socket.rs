//! The way bytes come and go.

use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};

use crate::session::Outbox;

/// A byte stream: TCP or TLS.
pub(super) struct Socket<S> {
    stream: S,
    /// TLS keeps bytes until it is told not to.
    unsent: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Socket<S> {
    pub(super) const fn new(stream: S) -> Self {
        Self { stream, unsent: false }
    }

    /// Appends what has come to `input`; 0: the client sends no more. Nothing is lost when it is
    /// not polled to the end.
    pub(super) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        input: &mut BytesMut,
    ) -> Poll<io::Result<usize>> {
        pin!(self.stream.read_buf(input)).poll(cx)
    }

    /// Sends what waits in `out` and takes it out bit by bit; ready when all of it is on its way.
    pub(super) fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        out: &mut Outbox,
    ) -> Poll<io::Result<()>> {
        while !out.is_empty() {
            let count = ready!(Pin::new(&mut self.stream).poll_write(cx, out.waiting()))?;
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            out.take(count);
            self.unsent = true;
        }
        ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
        self.unsent = false;
        Poll::Ready(Ok(()))
    }

    /// Whether something taken out before is not on its way yet.
    pub(super) const fn has_unsent(&self) -> bool {
        self.unsent
    }

    /// Ends the sending side.
    pub(super) fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
