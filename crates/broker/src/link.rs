//! The way bytes come and go, and the reading and writing of them.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};

use crate::session::Outbox;

/// The first size of a read.
pub(crate) const READ_BYTES: usize = 2 << 10;
/// How much more room than it needs, besides its own size again, half a frame may stand in.
const SPARE_BYTES: usize = 16 << 10;
/// How much is read past after the end.
const LINGER_BYTES: usize = 1 << 20;

/// A transport that takes from an outbox `O`.
pub trait Link<O>: Send + Unpin + 'static {
    /// Appends what has come to `input`; 0: the client sends no more. Nothing is lost when it is
    /// not polled to the end.
    fn poll_read(&mut self, cx: &mut Context<'_>, input: &mut BytesMut) -> Poll<io::Result<usize>>;

    /// Sends what waits in `out` and takes it out bit by bit; ready when all of it is on its way.
    fn poll_write(&mut self, cx: &mut Context<'_>, out: &mut O) -> Poll<io::Result<()>>;

    /// Whether something taken out before is not on its way yet.
    fn has_unsent(&self) -> bool;

    /// Ends the sending side.
    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;
}

/// A byte stream: TCP or TLS.
#[derive(Debug)]
pub struct Socket<S> {
    stream: S,
    /// TLS keeps bytes until it is told not to.
    unsent: bool,
}

impl<S> Socket<S> {
    /// A link over a stream.
    pub const fn new(stream: S) -> Self {
        Self { stream, unsent: false }
    }
}

impl<S, O> Link<O> for Socket<S>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    O: Outbox,
{
    fn poll_read(&mut self, cx: &mut Context<'_>, input: &mut BytesMut) -> Poll<io::Result<usize>> {
        pin!(self.stream.read_buf(input)).poll(cx)
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, out: &mut O) -> Poll<io::Result<()>> {
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

/// What came of the socket.
pub(crate) enum Moved {
    /// So many bytes came; 0: the client sends no more.
    Read(usize),
    /// Bytes were taken.
    Wrote,
    /// It is broken.
    Broken(io::Error),
}

/// The link and its buffers.
pub(crate) struct Io<'a, L, O> {
    pub(crate) link: &'a mut L,
    pub(crate) out: &'a mut O,
    pub(crate) input: &'a mut BytesMut,
    /// The size of the next read: it follows what comes.
    pub(crate) chunk: &'a mut usize,
    /// The most it may become.
    pub(crate) most: usize,
    /// Whether to read at all.
    pub(crate) reads: bool,
}

impl<L: Link<O>, O: Outbox> Io<'_, L, O> {
    /// Waits until the socket has taken or given something. A call that is dropped loses nothing.
    pub(crate) async fn next(mut self) -> Moved {
        poll_fn(|cx| self.poll(cx)).await
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Moved> {
        if !self.out.is_empty() || self.link.has_unsent() {
            let before = self.out.len();
            match self.link.poll_write(cx, self.out) {
                Poll::Ready(Ok(())) => return Poll::Ready(Moved::Wrote),
                Poll::Ready(Err(error)) => return Poll::Ready(Moved::Broken(error)),
                Poll::Pending if self.out.len() < before => return Poll::Ready(Moved::Wrote),
                Poll::Pending => {}
            }
        }
        if self.reads { self.poll_read(cx) } else { Poll::Pending }
    }

    /// Reads what the socket has, up to `most`.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Moved> {
        let mut total = 0;
        while total < self.most {
            self.input.reserve(*self.chunk);
            let room = self.input.capacity() - self.input.len();
            match self.link.poll_read(cx, self.input) {
                Poll::Ready(Ok(0)) if total == 0 => return Poll::Ready(Moved::Read(0)),
                Poll::Ready(Ok(count)) => {
                    total += count;
                    // What fills the room twice over may have more behind it.
                    if count == room {
                        *self.chunk = (*self.chunk * 2).min(self.most);
                    } else {
                        *self.chunk = (*self.chunk).min((count * 2).max(READ_BYTES));
                        break;
                    }
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Moved::Broken(error)),
                Poll::Pending => {
                    if total == 0 {
                        self.shed();
                        return Poll::Pending;
                    }
                    break;
                }
            }
        }
        Poll::Ready(Moved::Read(total))
    }

    /// Nothing more is there: an idle connection holds no buffer, and one with half a frame none that is
    /// much larger than that, which nobody would count.
    fn shed(&mut self) {
        let spare = self.input.len() + 4 * *self.chunk + SPARE_BYTES;
        if self.input.is_empty() {
            *self.input = BytesMut::new();
        } else if self.input.try_reclaim(spare) {
            *self.input = BytesMut::from(&**self.input);
        }
    }
}

/// Ends the sending side and reads past what still comes, so that the client sees the last answers:
/// closing a socket with unread bytes resets it.
pub(crate) async fn linger<O, L: Link<O>>(link: &mut L) {
    let mut input = BytesMut::with_capacity(READ_BYTES);
    let mut left = LINGER_BYTES;
    let _ = poll_fn(|cx| link.poll_close(cx)).await;
    poll_fn(|cx| {
        loop {
            input.clear();
            let count = ready!(link.poll_read(cx, &mut input)).unwrap_or(0);
            left = left.saturating_sub(count);
            if count == 0 || left == 0 {
                return Poll::Ready(());
            }
        }
    })
    .await;
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use bytes::{Buf as _, BufMut as _};

    use super::*;

    /// A link that has so many bytes, and an outbox without any.
    struct Source(usize);

    impl Outbox for () {
        fn len(&self) -> usize {
            0
        }

        fn waiting(&self) -> &[u8] {
            &[]
        }

        fn take(&mut self, _count: usize) {}

        fn shrink(&mut self) {}
    }

    impl Link<()> for Source {
        fn poll_read(
            &mut self,
            _cx: &mut Context<'_>,
            input: &mut BytesMut,
        ) -> Poll<io::Result<usize>> {
            let count = self.0.min(input.capacity() - input.len());
            self.0 -= count;
            input.put_bytes(b'x', count);
            if count == 0 { Poll::Pending } else { Poll::Ready(Ok(count)) }
        }

        fn poll_write(&mut self, _cx: &mut Context<'_>, _out: &mut ()) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn has_unsent(&self) -> bool {
            false
        }

        fn poll_close(&mut self, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    #[test]
    fn half_a_frame_does_not_keep_the_room_of_what_came_before_it() {
        let (mut source, mut input, mut chunk) = (Source(0), BytesMut::new(), READ_BYTES);
        let mut cx = Context::from_waker(Waker::noop());
        for more in [2 << 20, 1] {
            source.0 += more;
            loop {
                let (link, input, chunk) = (&mut source, &mut input, &mut chunk);
                let mut io = Io { link, out: &mut (), input, chunk, most: 256 << 10, reads: true };
                match io.poll(&mut cx) {
                    Poll::Ready(Moved::Read(_)) => {
                        // All of it but the last byte are whole frames.
                        let whole = io.input.len() - 1;
                        io.input.advance(whole);
                    }
                    _ => break,
                }
            }
        }
        assert_eq!(input.len(), 1);
        assert!(!input.try_reclaim(64 << 10), "it stands in the room of a large read");
    }
}
