//! A stream that cuts off peers who hold a connection without using it.
//!
//! Sits between the socket (or TLS) and hyper. Two clocks run here, because hyper's own do not
//! cover them: the time of a request's head while hyper still guesses the protocol version and
//! after a keep-alive pause, and the time a peer accepts no bytes. A head that begins in the same
//! piece as the end of the request before it, and does not go on, has hyper's time between requests
//! instead. Answers that hyper gives by itself pass here, too, and get a body from
//! [`crate::bad_head`]; and heads, to be looked at by [`crate::ambiguity`].

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, Ordering};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

use crate::ambiguity::{Fault, Look};
use crate::bad_head::{self, Asked};
use crate::{Counters, HttpLimits, Link};

/// What ends any head as one that is malformed: without the blank line hyper would not look.
const NO_HEAD: &[u8] = b"\0\r\n\r\n";
/// Set in [`Requests`] once no head has to be awaited any more: the connection speaks HTTP/2, or
/// no longer HTTP.
const NO_HEADS: u32 = 1 << 31;
/// Set besides when it no longer speaks HTTP.
const UPGRADED: u32 = 1 << 30;

/// How many requests of a connection have reached the router: how a guard learns that a head is
/// complete. And whether a piece of an answer's body is under way.
#[derive(Debug, Default)]
pub(crate) struct Requests {
    begun: AtomicU32,
    /// Whether hyper has a piece of a body that it has not written and flushed yet.
    has_piece: AtomicBool,
    /// Whether somebody waits for the body of the request that began last.
    awaits_body: AtomicBool,
    /// Whether nobody read the body of the request that began last to its end: hyper may yet.
    has_left_body: AtomicBool,
    /// What is wrong with the head that came last: a [`Fault`], or 0.
    fault: AtomicU8,
}

impl Requests {
    /// A request's head is complete.
    pub(crate) fn begun(&self, version: http::Version) {
        if version == http::Version::HTTP_2 {
            self.begun.fetch_or(NO_HEADS, Ordering::Relaxed);
        } else {
            // Reaches the flags' bits only after a thousand million requests.
            self.begun.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The connection speaks another protocol from now on, which watches its peer itself.
    pub(crate) fn upgraded(&self) {
        self.begun.fetch_or(NO_HEADS | UPGRADED, Ordering::Relaxed);
    }

    fn get(&self) -> u32 {
        self.begun.load(Ordering::Relaxed)
    }

    /// hyper took a piece of an answer's body, or its end.
    pub(crate) fn piece_taken(&self) {
        self.has_piece.store(true, Ordering::Relaxed);
    }

    /// The request that began last has a body that somebody waits for from now on, or none.
    pub(crate) fn body_begun(&self, awaits: bool) {
        self.awaits_body.store(awaits, Ordering::Relaxed);
        self.has_left_body.store(false, Ordering::Relaxed);
    }

    /// Nobody waits for that body any more; it `is_left` when it was not read to its end.
    pub(crate) fn body_over(&self, is_left: bool) {
        self.awaits_body.store(false, Ordering::Relaxed);
        self.has_left_body.store(is_left, Ordering::Relaxed);
    }

    /// What is wrong with the head of the request that has just begun.
    pub(crate) fn fault(&self) -> Option<Fault> {
        if self.fault.load(Ordering::Relaxed) == 0 {
            return None;
        }
        let fault = self.fault.swap(0, Ordering::Relaxed);
        Fault::ALL.into_iter().find(|one| *one as u8 == fault)
    }

    /// All that hyper had is written: it flushes nothing before.
    fn flushed(&self) {
        if self.has_piece() {
            self.has_piece.store(false, Ordering::Relaxed);
        }
    }

    fn has_piece(&self) -> bool {
        self.has_piece.load(Ordering::Relaxed)
    }
}

/// The head that is being awaited.
#[derive(Debug)]
struct Head {
    /// [`Requests`] when the head began.
    requests: u32,
    deadline: Instant,
    /// Whether any of it has come.
    has_begun: bool,
    /// Whether something was written since: then it is not a request that the peer waits for.
    is_between: bool,
    /// Whether what comes can be nothing but the head.
    is_sure: bool,
    look: Look,
    asked: Asked,
    /// Made when the head has not come in one piece, which is rare.
    timer: Option<Pin<Box<Sleep>>>,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Guard<S> {
    inner: S,
    limits: Arc<HttpLimits>,
    counters: Arc<Counters>,
    requests: Arc<Requests>,
    head: Option<Head>,
    /// Whether a response was written since the last head: the next byte begins another one.
    answered: bool,
    stall: Option<Pin<Box<Sleep>>>,
    stalled: bool,
    /// Whether all that was written is flushed, so that what comes begins a message.
    is_flushed: bool,
    /// Whether the head took too long and hyper was made to say so.
    is_late: bool,
    /// What is written in the place of hyper's own answer, and how much of it was.
    instead: Option<Box<(Vec<u8>, usize)>>,
    /// Whether the socket has what the protocol that follows HTTP wants of it.
    upgraded: bool,
}

impl<S> Guard<S> {
    pub(crate) fn new(
        inner: S,
        limits: Arc<HttpLimits>,
        counters: Arc<Counters>,
        requests: Arc<Requests>,
    ) -> Self {
        let mut guard = Self {
            inner,
            limits,
            counters,
            requests,
            head: None,
            answered: false,
            stall: None,
            stalled: false,
            is_flushed: true,
            is_late: false,
            instead: None,
            upgraded: false,
        };
        // A connection that never says anything is a slow head, too.
        guard.await_head();
        guard
    }

    fn await_head(&mut self) {
        let deadline = Instant::now() + self.limits.header_timeout;
        let requests = self.requests.get();
        self.head = Some(Head {
            requests,
            deadline,
            has_begun: false,
            is_between: false,
            is_sure: !self.requests.has_left_body.load(Ordering::Relaxed),
            look: Look::default(),
            asked: Asked::default(),
            timer: None,
        });
    }

    /// Looks at bytes that have come: they may be of a head.
    fn look(&mut self, bytes: &[u8]) {
        let Some(head) = &mut self.head else { return };
        head.has_begun = true;
        // What comes after a request began is its body.
        if head.requests == self.requests.get() {
            head.asked.look(bytes);
            head.look.at(bytes);
            if let Some(fault) = head.look.fault(head.is_sure) {
                self.requests.fault.store(fault as u8, Ordering::Relaxed);
            }
        }
    }

    /// Before a wait for more bytes: when the head that is awaited has taken too long, fails, or gives
    /// once what no head may have, so that hyper ends the connection with an answer.
    fn check_head(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> io::Result<bool> {
        let Some(head) = &mut self.head else { return Ok(false) };
        if head.requests != self.requests.get() {
            self.head = None;
            return Ok(false);
        }
        let deadline = head.deadline;
        let timer = head.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
        if timer.as_mut().poll(cx).is_pending() {
            return Ok(false);
        }
        if !self.is_late {
            self.counters.slow_heads.up();
            self.is_late = true;
            if head.has_begun && !head.is_between && buf.remaining() >= NO_HEAD.len() {
                buf.put_slice(NO_HEAD);
                return Ok(true);
            }
        }
        Err(io::Error::new(io::ErrorKind::TimedOut, "the request's head did not arrive in time"))
    }

    /// Turns a write's outcome into progress, a wait, or the end.
    fn check_write<T>(
        &mut self,
        cx: &mut Context<'_>,
        outcome: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if outcome.is_ready() {
            self.stalled = false;
            self.answered = true;
            self.is_flushed = false;
            if let Some(head) = &mut self.head {
                head.is_between = true;
            }
            return outcome;
        }
        let deadline = Instant::now() + self.limits.write_stall;
        // The timer is kept for the next wait: a busy stream fills its socket again and again.
        let timer = self.stall.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
        if !self.stalled {
            self.stalled = true;
            timer.as_mut().reset(deadline);
        }
        if timer.as_mut().poll(cx).is_pending() {
            return Poll::Pending;
        }
        self.counters.stalled_writes.up();
        tracing::info!(
            "a peer accepted no bytes for {} s and was cut off",
            self.limits.write_stall.as_secs()
        );
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the peer accepts no bytes")))
    }
}

impl<S: Link> Guard<S> {
    /// Before an answer is written: with that which ends HTTP, the socket gets the other protocol's
    /// patience.
    fn follow_upgrade(&mut self) -> io::Result<()> {
        if !self.upgraded && self.requests.get() & UPGRADED != 0 {
            self.upgraded = true;
            self.inner.set_user_timeout(self.limits.upgraded_user_timeout)?;
        }
        Ok(())
    }

    /// Whether `buf` is an answer of hyper's own, which another is written for.
    fn is_replaced(&mut self, buf: &[u8]) -> bool {
        let is_message = self.is_flushed && !self.requests.has_piece();
        if is_message && self.instead.is_none() && self.requests.get() & NO_HEADS == 0 {
            let now = self.head.as_ref().filter(|head| head.requests == self.requests.get());
            let is_head = now.is_some_and(|head| head.asked.is_head());
            let message = bad_head::instead(buf, self.is_late, is_head, &self.limits);
            self.instead = message.map(|message| Box::new((message, 0)));
        }
        self.instead.is_some()
    }

    /// Writes what stands for hyper's own answer, which has `length` bytes.
    fn poll_instead(&mut self, cx: &mut Context<'_>, length: usize) -> Poll<io::Result<usize>> {
        while let Some((message, written)) = self.instead.as_deref_mut() {
            let rest = message.get(*written..).unwrap_or_default();
            if rest.is_empty() {
                self.instead = None;
                break;
            }
            match ready!(Pin::new(&mut self.inner).poll_write(cx, rest))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                more => *written += more,
            }
        }
        Poll::Ready(Ok(length))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Guard<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        let outcome = Pin::new(&mut this.inner).poll_read(cx, buf);
        // What comes after `100 Continue`, or beside an answer that has begun, is still the body.
        let is_body = this.requests.awaits_body.load(Ordering::Relaxed);
        if buf.filled().len() > before && this.answered && !is_body {
            this.answered = false;
            let requests = this.requests.get();
            let is_awaited = this.head.as_ref().is_some_and(|head| head.requests == requests);
            if !is_awaited && requests & NO_HEADS == 0 {
                this.await_head();
            }
        }
        if let Some(come) = buf.filled().get(before..).filter(|come| !come.is_empty()) {
            this.look(come);
        }
        // Bytes that are there are taken: a head that comes in small pieces meets its deadline at
        // the wait for the next.
        if outcome.is_pending() && this.check_head(cx, buf)? {
            return Poll::Ready(Ok(()));
        }
        outcome
    }
}

impl<S: Link> AsyncWrite for Guard<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.follow_upgrade()?;
        let outcome = if this.is_replaced(buf) {
            this.poll_instead(cx, buf.len())
        } else {
            Pin::new(&mut this.inner).poll_write(cx, buf)
        };
        this.check_write(cx, outcome)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.follow_upgrade()?;
        let outcome = match bufs {
            [only] if this.is_replaced(only) => this.poll_instead(cx, only.len()),
            _ => Pin::new(&mut this.inner).poll_write_vectored(cx, bufs),
        };
        this.check_write(cx, outcome)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        match Pin::new(&mut this.inner).poll_flush(cx) {
            // A flush with nothing to do is not progress.
            Poll::Ready(done) => {
                this.is_flushed = true;
                this.requests.flushed();
                Poll::Ready(done)
            }
            Poll::Pending => this.check_write(cx, Poll::Pending),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let outcome = Pin::new(&mut this.inner).poll_shutdown(cx);
        this.check_write(cx, outcome)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use parking_lot::Mutex;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

    use super::*;

    /// A link without a socket, which remembers what was asked of it.
    struct Pipe(DuplexStream, Arc<Mutex<Vec<Duration>>>);

    impl AsyncRead for Pipe {
        fn poll_read(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            buf: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            Pin::new(&mut self.0).poll_read(cx, buf)
        }
    }

    impl AsyncWrite for Pipe {
        fn poll_write(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            buf: &[u8],
        ) -> Poll<io::Result<usize>> {
            Pin::new(&mut self.0).poll_write(cx, buf)
        }

        fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            Pin::new(&mut self.0).poll_flush(cx)
        }

        fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            Pin::new(&mut self.0).poll_shutdown(cx)
        }
    }

    impl Link for Pipe {
        fn set_user_timeout(&self, timeout: Duration) -> io::Result<()> {
            self.1.lock().push(timeout);
            Ok(())
        }
    }

    #[tokio::test]
    async fn a_connection_that_leaves_http_gets_the_other_protocols_patience() {
        let (_peer, own) = tokio::io::duplex(64);
        let (requests, asked) = (Arc::new(Requests::default()), Arc::default());
        let limits = HttpLimits::default();
        let link = Pipe(own, Arc::clone(&asked));
        let counters = Arc::new(Counters::default());
        let mut guard = Guard::new(link, Arc::new(limits.clone()), counters, requests.clone());
        requests.begun(http::Version::HTTP_11);
        guard.write_all(b"an answer").await.unwrap();
        requests.begun(http::Version::HTTP_2);
        guard.write_all(b"another").await.unwrap();
        assert_eq!(*asked.lock(), []);
        requests.upgraded();
        guard.write_all(b"101").await.unwrap();
        guard.write_all(b"a frame").await.unwrap();
        assert_eq!(*asked.lock(), [limits.upgraded_user_timeout]);
        assert!(limits.upgraded_user_timeout < limits.user_timeout);
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_has_its_time_and_the_pause_between_requests_has_none_here() {
        let (mut peer, own) = tokio::io::duplex(64);
        let limits = HttpLimits { header_timeout: Duration::from_secs(1), ..HttpLimits::default() };
        let (counters, requests) = (Arc::new(Counters::default()), Arc::new(Requests::default()));
        let link = Pipe(own, Arc::default());
        let mut guard = Guard::new(link, Arc::new(limits), counters.clone(), requests.clone());
        let mut bytes = [0; 64];
        for _ in 0..3 {
            peer.write_all(b"a head").await.unwrap();
            assert_eq!(guard.read(&mut bytes).await.unwrap(), 6);
            requests.begun(http::Version::HTTP_11);
            guard.write_all(b"an answer").await.unwrap();
            peer.read_exact(&mut bytes[..9]).await.unwrap();
            // Longer than a head may take.
            let pause = tokio::time::timeout(Duration::from_secs(5), guard.read(&mut bytes));
            assert!(pause.await.is_err(), "it waits");
        }
        assert_eq!(counters.slow_heads.get(), 0);
        peer.write_all(b"half a he").await.unwrap();
        assert_eq!(guard.read(&mut bytes).await.unwrap(), 9);
        let begun = Instant::now();
        let read = guard.read(&mut bytes).await.unwrap();
        assert_eq!(&bytes[..read], NO_HEAD, "hyper is to give it up");
        assert!(guard.read(&mut bytes).await.is_err(), "it took too long");
        assert_eq!((counters.slow_heads.get(), begun.elapsed().as_secs()), (1, 1));
    }
}
