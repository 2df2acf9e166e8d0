//! What a connection waits for. Each wait can be dropped and begun anew: nothing is lost.

use std::collections::VecDeque;
use std::future::{pending, poll_fn};
use std::io;
use std::task::{Context, Poll, ready};

use bytes::BytesMut;
use outflow_hub::Delivery;
use outflow_hub::destination::{ClaimNews, ClientClaim};
use outflow_hub::subscription::{Browse, ConsumerId, Consumers, Delivered};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;

use super::connection::MESSAGES;
use super::flight::Flight;
use super::socket::Socket;
use super::work::{Done, Job};
use crate::session::{Advice, News, Outbox, Seat};

/// The first size of a read.
pub(super) const READ_BYTES: usize = 2 << 10;
/// How much is read past after the end.
const LINGER_BYTES: usize = 1 << 20;

/// What came of the socket.
pub(super) enum Moved {
    /// So many bytes came; 0: the client sends no more.
    Read(usize),
    /// Bytes were taken.
    Wrote,
    /// It is broken.
    Broken(io::Error),
}

/// The socket and its buffers.
pub(super) struct Io<'a, S> {
    pub(super) socket: &'a mut Socket<S>,
    pub(super) out: &'a mut Outbox,
    pub(super) input: &'a mut BytesMut,
    /// The size of the next read: it follows what comes.
    pub(super) chunk: &'a mut usize,
    /// The most it may become.
    pub(super) most: usize,
    /// Whether to read at all.
    pub(super) reads: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Io<'_, S> {
    /// Waits until the socket has taken or given something.
    pub(super) async fn next(mut self) -> Moved {
        poll_fn(|cx| self.poll(cx)).await
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Moved> {
        if !self.out.is_empty() || self.socket.has_unsent() {
            let before = self.out.len();
            match self.socket.poll_write(cx, self.out) {
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
            match self.socket.poll_read(cx, self.input) {
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
                        if self.input.is_empty() {
                            // An idle connection holds no buffer.
                            *self.input = BytesMut::new();
                        }
                        return Poll::Pending;
                    }
                    break;
                }
            }
        }
        Poll::Ready(Moved::Read(total))
    }
}

/// Waits until the first flight is over.
pub(super) async fn landed(flights: &mut VecDeque<Flight>) {
    match flights.front_mut() {
        Some(flight) => poll_fn(|cx| flight.poll(cx)).await,
        None => pending().await,
    }
}

/// Waits for the answer to the question under way.
pub(super) async fn answered(job: &mut Option<Job>) -> Done {
    match job {
        Some(job) => job.as_mut().await,
        None => pending().await,
    }
}

/// Waits until another connection asks for the client id, or has it.
pub(super) async fn claim_news(claim: Option<&ClientClaim>) -> ClaimNews {
    match claim {
        Some(claim) => claim.news().await,
        None => pending().await,
    }
}

/// Waits until another connection takes this one's id.
pub(super) async fn taken_over(seat: Option<&Seat>) {
    match seat {
        Some(seat) => seat.taken_over().await,
        None => pending().await,
    }
}

/// Waits for what other connections made or removed.
pub(super) async fn told(news: &mut Option<News>) -> Vec<Advice> {
    match news {
        Some(news) => news.next().await,
        None => pending().await,
    }
}

/// Waits until a queue was made.
pub(super) async fn queues_made(made: &mut Option<watch::Receiver<u64>>) {
    let changed = match made {
        Some(made) => made.changed().await.is_ok(),
        None => false,
    };
    if !changed {
        // Nobody asks; the hub, which tells of them, lives longer than the connection.
        pending::<()>().await;
    }
}

/// Waits for messages.
pub(super) async fn delivered(consumers: &mut Option<Consumers>) -> Delivered {
    match consumers {
        Some(consumers) => consumers.next(MESSAGES).await,
        None => pending().await,
    }
}

/// A browser with its next message; `None`: it has seen all.
pub(super) type Browsed = (ConsumerId, Option<Box<Delivery>>);

/// Waits for the next message of the first browser.
pub(super) async fn browsed(browsers: &mut VecDeque<(ConsumerId, Browse)>) -> Browsed {
    match browsers.front_mut() {
        Some((consumer, browse)) => (*consumer, browse.next().await.map(Box::new)),
        None => pending().await,
    }
}

/// Ends the sending side and reads past what still comes, so that the client sees the last answers:
/// closing a socket with unread bytes resets it.
pub(super) async fn linger<S: AsyncRead + AsyncWrite + Unpin>(socket: &mut Socket<S>) {
    let mut input = BytesMut::with_capacity(READ_BYTES);
    let mut left = LINGER_BYTES;
    let _ = poll_fn(|cx| socket.poll_close(cx)).await;
    poll_fn(|cx| {
        loop {
            input.clear();
            let count = ready!(socket.poll_read(cx, &mut input)).unwrap_or(0);
            left = left.saturating_sub(count);
            if count == 0 || left == 0 {
                return Poll::Ready(());
            }
        }
    })
    .await;
}
