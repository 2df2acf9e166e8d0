//! The way bytes come and go over a WebSocket. It is a stream of bytes to the session as TCP is
//! (reference `activemq.md` b3: clients cut frames as they like).
//!
//! Made by [`super`] for each connection that was upgraded; heads of frames are read and written by
//! `tungstenite`. What a message brings is handed on as it comes and never gathered here: the bounds
//! and deadlines of the session hold for it whatever the client says its size is.
//!
//! Invariants: no more than [`RAW_BYTES`] are held of what comes; an idle connection holds no buffer
//! of what comes, and at most [`KEPT_BYTES`] of what goes.

use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use bytes::{Buf, BufMut as _, BytesMut};
use outflow_broker::{Link, Outbox as _};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite};
use tokio_tungstenite::tungstenite::protocol::frame::FrameHeader;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Control, Data, OpCode};

use crate::session::Outbox;

/// The most that is held of what comes: room for a head and for what a control frame says.
const RAW_BYTES: usize = 4 << 10;
/// The most that a control frame may say (RFC 6455, 5.5).
const CONTROL_BYTES: u64 = 125;
/// So much is put together before it is sent; a frame that is larger alone.
const SENDING_BYTES: usize = 16 << 10;
/// What is kept of that memory once all is sent.
const KEPT_BYTES: usize = 4 << 10;

/// A WebSocket: each STOMP frame that goes is one message, text when it is UTF-8; what comes may be
/// cut in any way.
#[derive(Debug)]
pub(super) struct Sockets<S> {
    stream: S,
    /// What has come and is not looked at.
    raw: BytesMut,
    /// How many bytes of the data frame at hand are to come.
    left: u64,
    /// What they are masked with, from the next byte on.
    mask: [u8; 4],
    /// Whether the message goes on in another frame.
    goes_on: bool,
    /// Frames on their way.
    sending: BytesMut,
    /// A control frame to be sent behind them. Of several answers the last is enough (RFC 6455, 5.5.3).
    control: BytesMut,
    /// Whether something was given to the stream that may not be on its way.
    unsent: bool,
    /// Whether the client has said that it is the end.
    is_ended: bool,
    /// Whether it was told so.
    has_closed: bool,
}

fn broken(message: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, message)
}

/// Puts a frame of `payload` behind `out`.
fn put(out: &mut BytesMut, opcode: OpCode, payload: &[u8]) -> io::Result<()> {
    let head = FrameHeader { opcode, ..FrameHeader::default() };
    out.reserve(head.len(payload.len() as u64) + payload.len());
    head.format(payload.len() as u64, &mut out.writer()).map_err(io::Error::other)?;
    out.extend_from_slice(payload);
    Ok(())
}

/// Takes `mask` off `bytes`, and turns it so that it fits those that follow.
fn unmask(bytes: &mut [u8], mask: &mut [u8; 4]) {
    let key = u32::from_ne_bytes(*mask);
    let (words, rest) = bytes.as_chunks_mut::<4>();
    for word in words {
        *word = (u32::from_ne_bytes(*word) ^ key).to_ne_bytes();
    }
    let turn = rest.len();
    rest.iter_mut().zip(*mask).for_each(|(byte, mask)| *byte ^= mask);
    mask.rotate_left(turn);
}

impl<S: AsyncRead + AsyncWrite + Unpin> Sockets<S> {
    pub(super) fn new(stream: S) -> Self {
        Self {
            stream,
            raw: BytesMut::new(),
            left: 0,
            mask: [0; 4],
            goes_on: false,
            sending: BytesMut::new(),
            control: BytesMut::new(),
            unsent: false,
            is_ended: false,
            has_closed: false,
        }
    }

    /// Whether the next frame says that it is the end.
    fn ends_next(&self) -> bool {
        let close = u8::from(OpCode::Control(Control::Close));
        self.raw.first().is_some_and(|first| first & 0x0f == close)
    }

    /// Looks at the next frame's head, and at all of a control frame; false: more has to come.
    fn head(&mut self, cx: &mut Context<'_>) -> io::Result<bool> {
        let mut cursor = io::Cursor::new(&self.raw);
        let parsed = FrameHeader::parse(&mut cursor).map_err(io::Error::other)?;
        let Some((head, len)) = parsed else { return Ok(false) };
        let size = usize::try_from(cursor.position()).unwrap_or(usize::MAX);
        if head.rsv1 || head.rsv2 || head.rsv3 {
            return Err(broken(
                "a WebSocket frame has bits of an extension that was not agreed on",
            ));
        }
        let Some(mut mask) = head.mask else {
            return Err(broken("a WebSocket frame of the client is not masked"));
        };
        match head.opcode {
            OpCode::Data(data) => {
                if (data == Data::Continue) != self.goes_on {
                    return Err(broken("a WebSocket message is not cut as it may be"));
                }
                self.raw.advance(size);
                (self.left, self.mask, self.goes_on) = (len, mask, !head.is_final);
            }
            OpCode::Control(control) => {
                if !head.is_final || len > CONTROL_BYTES {
                    return Err(broken("a WebSocket control frame is too large"));
                }
                let end = size + usize::try_from(len).unwrap_or(usize::MAX);
                let Some(payload) = self.raw.get_mut(size..end) else { return Ok(false) };
                unmask(payload, &mut mask);
                let answer = match control {
                    Control::Close => {
                        self.is_ended = true;
                        // The client's reason, without its words.
                        Some((control, payload.get(..2).unwrap_or_default()))
                    }
                    Control::Ping => Some((Control::Pong, &*payload)),
                    Control::Pong | Control::Reserved(_) => None,
                };
                if let Some((control, payload)) = answer.filter(|_| !self.has_closed) {
                    self.control.clear();
                    put(&mut self.control, OpCode::Control(control), payload)?;
                    self.has_closed = self.is_ended;
                }
                self.raw.advance(end);
                // What cannot be sent at once is when the stream can take it.
                if let Poll::Ready(sent) = self.poll_send(cx) {
                    sent?;
                }
            }
        }
        Ok(true)
    }

    /// Appends to `input` what there is of the data frame at hand; 0: the client sends no more.
    fn poll_data(&mut self, cx: &mut Context<'_>, input: &mut BytesMut) -> Poll<io::Result<usize>> {
        let room = (input.capacity() - input.len()).max(1);
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(room);
        let start = input.len();
        let count = if self.raw.is_empty() {
            let mut room = (&mut *input).limit(most);
            ready!(pin!(self.stream.read_buf(&mut room)).poll(cx))?
        } else {
            let count = most.min(self.raw.len());
            input.extend_from_slice(self.raw.get(..count).unwrap_or_default());
            self.raw.advance(count);
            count
        };
        unmask(input.get_mut(start..).unwrap_or_default(), &mut self.mask);
        self.left -= count as u64;
        Poll::Ready(Ok(count))
    }

    /// Sends what is put together, and the control frame behind it.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            if self.sending.is_empty() {
                if self.control.is_empty() {
                    break;
                }
                self.sending = std::mem::take(&mut self.control);
            }
            self.unsent = true;
            let count = ready!(Pin::new(&mut self.stream).poll_write(cx, &self.sending))?;
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.sending.advance(count);
        }
        if self.sending.capacity() > KEPT_BYTES {
            self.sending = BytesMut::new();
        }
        ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
        self.unsent = false;
        Poll::Ready(Ok(()))
    }
}

impl<S> Link<Outbox> for Sockets<S>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    fn poll_read(&mut self, cx: &mut Context<'_>, input: &mut BytesMut) -> Poll<io::Result<usize>> {
        // Small messages that came together are given together; only the first is waited for.
        let mut total = 0;
        loop {
            let is_full = input.len() == input.capacity();
            if self.is_ended || (total > 0 && (self.raw.is_empty() || is_full)) {
                return Poll::Ready(Ok(total));
            }
            if self.left > 0 {
                let count = ready!(self.poll_data(cx, input))?;
                if count == 0 {
                    return Poll::Ready(Ok(0));
                }
                total += count;
                continue;
            }
            if total > 0 && self.ends_next() {
                // Nothing is sent behind the answer to that: what came before it is dealt with first.
                return Poll::Ready(Ok(total));
            }
            match self.head(cx) {
                Ok(true) => continue,
                Ok(false) if total == 0 => {}
                Err(error) if total == 0 => return Poll::Ready(Err(error)),
                // What is wrong stays where it is, and is found again.
                Ok(false) | Err(_) => return Poll::Ready(Ok(total)),
            }
            // A head and a control frame are smaller than this: there is always room.
            let most = RAW_BYTES.saturating_sub(self.raw.len());
            self.raw.reserve(most);
            let mut room = (&mut self.raw).limit(most);
            let Poll::Ready(read) = pin!(self.stream.read_buf(&mut room)).poll(cx) else {
                if self.raw.is_empty() {
                    self.raw = BytesMut::new();
                }
                return Poll::Pending;
            };
            if read? == 0 {
                return Poll::Ready(Ok(0));
            }
        }
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, out: &mut Outbox) -> Poll<io::Result<()>> {
        while !out.is_empty() {
            if self.has_closed {
                return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
            }
            if !self.sending.is_empty() {
                ready!(self.poll_send(cx))?;
            }
            while !out.is_empty() && self.sending.len() < SENDING_BYTES {
                let frame = out.next_frame();
                let count = frame.len();
                // The line end behind a frame is for byte streams; alone it is a heart-beat.
                let frame = if frame.ends_with(b"\0\n") {
                    frame.strip_suffix(b"\n").unwrap_or(frame)
                } else {
                    frame
                };
                let is_text = std::str::from_utf8(frame).is_ok();
                let data = if is_text { Data::Text } else { Data::Binary };
                put(&mut self.sending, OpCode::Data(data), frame)?;
                out.take(count);
            }
        }
        self.poll_send(cx)
    }

    fn has_unsent(&self) -> bool {
        self.unsent || !self.sending.is_empty() || !self.control.is_empty()
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.has_closed {
            self.has_closed = true;
            self.control.clear();
            put(&mut self.control, OpCode::Control(Control::Close), &[])?;
        }
        self.poll_send(cx)
    }
}
