//! The way bytes come and go: a byte stream (TCP, TLS) or a WebSocket. Both are streams of bytes to
//! the session (reference `activemq.md` b3: clients cut frames as they like).

use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use axum::extract::ws::{Message, WebSocket};
use bytes::{Buf, BytesMut};
use futures_util::{Sink, Stream};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};

use crate::session::Outbox;

/// A transport.
pub(super) trait Link: Send + Unpin + 'static {
    /// Whether the outbox must keep frames apart.
    const BY_FRAME: bool;

    /// Appends what has come to `input`; 0: the client sends no more. Nothing is lost when it is
    /// not polled to the end.
    fn poll_read(&mut self, cx: &mut Context<'_>, input: &mut BytesMut) -> Poll<io::Result<usize>>;

    /// Sends what waits in `out` and takes it out bit by bit; ready when all of it is on its way.
    fn poll_write(&mut self, cx: &mut Context<'_>, out: &mut Outbox) -> Poll<io::Result<()>>;

    /// Whether something taken out before is not on its way yet.
    fn has_unsent(&self) -> bool;

    /// Ends the sending side.
    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;
}

/// A byte stream.
pub(super) struct Bytes<S> {
    stream: S,
    /// TLS keeps bytes until it is told not to.
    unsent: bool,
}

impl<S> Bytes<S> {
    pub(super) const fn new(stream: S) -> Self {
        Self { stream, unsent: false }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> Link for Bytes<S> {
    const BY_FRAME: bool = false;

    fn poll_read(&mut self, cx: &mut Context<'_>, input: &mut BytesMut) -> Poll<io::Result<usize>> {
        pin!(self.stream.read_buf(input)).poll(cx)
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, out: &mut Outbox) -> Poll<io::Result<()>> {
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

    fn has_unsent(&self) -> bool {
        self.unsent
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// A WebSocket: each STOMP frame is one message, text when it is UTF-8.
pub(super) struct Sockets {
    socket: WebSocket,
    /// What was received and did not fit `input`.
    rest: bytes::Bytes,
    /// Whether something was given to the socket that it has not sent.
    unsent: bool,
}

impl Sockets {
    pub(super) fn new(socket: WebSocket) -> Self {
        Self { socket, rest: bytes::Bytes::new(), unsent: false }
    }
}

fn broken(error: axum::Error) -> io::Error {
    io::Error::other(error)
}

impl Link for Sockets {
    const BY_FRAME: bool = true;

    fn poll_read(&mut self, cx: &mut Context<'_>, input: &mut BytesMut) -> Poll<io::Result<usize>> {
        while self.rest.is_empty() {
            match ready!(Pin::new(&mut self.socket).poll_next(cx)) {
                None | Some(Ok(Message::Close(_))) => return Poll::Ready(Ok(0)),
                Some(Err(error)) => return Poll::Ready(Err(broken(error))),
                Some(Ok(Message::Text(text))) => self.rest = text.into(),
                Some(Ok(Message::Binary(bytes))) => self.rest = bytes,
                // Answered by the socket itself.
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
            }
        }
        let count = self.rest.len().min((input.capacity() - input.len()).max(1));
        input.extend_from_slice(self.rest.get(..count).unwrap_or_default());
        self.rest.advance(count);
        Poll::Ready(Ok(count))
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, out: &mut Outbox) -> Poll<io::Result<()>> {
        while !out.is_empty() {
            let mut socket = Pin::new(&mut self.socket);
            ready!(socket.as_mut().poll_ready(cx)).map_err(broken)?;
            let frame = out.next_frame();
            let count = frame.len();
            // The line end behind a frame is for byte streams; alone it is a heart-beat.
            let frame = if frame.ends_with(b"\0\n") {
                frame.strip_suffix(b"\n").unwrap_or(frame)
            } else {
                frame
            };
            let message = match std::str::from_utf8(frame) {
                Ok(text) => Message::Text(text.into()),
                Err(_) => Message::Binary(bytes::Bytes::copy_from_slice(frame)),
            };
            socket.start_send(message).map_err(broken)?;
            self.unsent = true;
            out.take(count);
        }
        ready!(Pin::new(&mut self.socket).poll_flush(cx)).map_err(broken)?;
        self.unsent = false;
        Poll::Ready(Ok(()))
    }

    fn has_unsent(&self) -> bool {
        self.unsent
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_close(cx).map_err(broken)
    }
}
