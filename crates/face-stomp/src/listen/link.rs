//! The way bytes come and go over a WebSocket. It is a stream of bytes to the session as TCP is
//! (reference `activemq.md` b3: clients cut frames as they like).

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::extract::ws::{Message, WebSocket};
use bytes::{Buf, BytesMut};
use futures_util::{Sink, Stream};
use outflow_broker::{Link, Outbox as _};

use crate::session::Outbox;

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

impl Link<Outbox> for Sockets {
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
