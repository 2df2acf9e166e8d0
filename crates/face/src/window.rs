//! HTTP/2 streams whose reader gives no room: they end, as a connection does whose peer takes no
//! bytes.
//!
//! A socket on which all is well says nothing of one stream: each has a window of its own, and a
//! reader who leaves it shut would keep its place for ever, as pings are answered besides. So
//! [`crate::listener`] has each stream of HTTP/2 run by [`Streams`], and its answer's body be a
//! [`Watched`] one.
//!
//! Invariant: what counts is only how long hyper holds a piece without asking for the next; a body
//! that has nothing to send waits as long as it likes.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use hyper::rt::Executor;
use tokio::time::{Instant, Sleep};

use crate::{Counters, HttpLimits};

/// How many times [`HttpLimits::write_stall`] a stream may stand still: clients that read slowly give
/// room in large pieces, some of them megabytes.
const PATIENCE: u32 = 10;
/// What is handed over at once, as a client may take a little at a time: a frame's usual size.
const PIECE_BYTES: usize = 16 << 10;

tokio::task_local! {
    static PIECES: Arc<Pieces>;
}

/// How many pieces of an answer were handed over and asked for, together: odd while one waits for
/// room.
#[derive(Debug, Default)]
struct Pieces(AtomicU64);

impl Pieces {
    fn turn(&self, waits: bool) {
        let (now, waits) = (self.0.load(Ordering::Relaxed), u64::from(waits));
        self.0.store(now + ((now % 2) ^ waits), Ordering::Relaxed);
    }

    /// Ends once a piece has waited for `patience`. To be polled after what turns them.
    async fn stalled(&self, patience: Duration) {
        // Made when a piece waits, which for most answers none does.
        let mut timer = None::<Pin<Box<Sleep>>>;
        let mut seen = 0;
        std::future::poll_fn(|cx| {
            let now = self.0.load(Ordering::Relaxed);
            if now.is_multiple_of(2) {
                return Poll::Pending;
            }
            let deadline = || Instant::now() + patience;
            let fresh = || Box::pin(tokio::time::sleep_until(deadline()));
            let timer = timer.get_or_insert_with(fresh);
            if seen != now {
                seen = now;
                timer.as_mut().reset(deadline());
            }
            timer.as_mut().poll(cx)
        })
        .await;
    }
}

/// Runs the streams of HTTP/2 connections.
#[derive(Debug, Clone)]
pub(crate) struct Streams {
    patience: Duration,
    counters: Arc<Counters>,
}

impl Streams {
    pub(crate) fn new(limits: &HttpLimits, counters: Arc<Counters>) -> Self {
        Self { patience: limits.write_stall * PATIENCE, counters }
    }
}

impl<F> Executor<F> for Streams
where
    F: Future + Send + 'static,
    F::Output: Send,
{
    fn execute(&self, stream: F) {
        let Self { patience, counters } = self.clone();
        let pieces = Arc::new(Pieces::default());
        tokio::spawn(PIECES.scope(Arc::clone(&pieces), async move {
            tokio::select! {
                biased;
                _ = stream => {}
                () = pieces.stalled(patience) => {
                    counters.stalled_writes.up();
                    tracing::info!(
                        "a peer gave a stream no room for {} s, and it was reset",
                        patience.as_secs()
                    );
                }
            }
        }));
    }
}

/// `body`, as that of an answer on the stream whose task this is.
pub(crate) fn watched(body: Body) -> Body {
    match PIECES.try_with(Arc::clone) {
        Ok(pieces) => Body::new(Watched { body, rest: Bytes::new(), pieces }),
        Err(_) => body,
    }
}

/// See the module.
struct Watched {
    body: Body,
    /// What is left of its last frame.
    rest: Bytes,
    pieces: Arc<Pieces>,
}

impl http_body::Body for Watched {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = self.get_mut();
        this.pieces.turn(false);
        if this.rest.is_empty() {
            match ready!(Pin::new(&mut this.body).poll_frame(cx))
                .map(|frame| frame.map(Frame::into_data))
            {
                Some(Ok(Ok(data))) => this.rest = data,
                Some(Ok(Err(trailers))) => return Poll::Ready(Some(Ok(trailers))),
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => return Poll::Ready(None),
            }
        }
        let piece = this.rest.split_to(this.rest.len().min(PIECE_BYTES));
        this.pieces.turn(true);
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (rest, hint) = (self.rest.len() as u64, self.body.size_hint());
        let mut all = SizeHint::new();
        all.set_lower(hint.lower() + rest);
        if let Some(upper) = hint.upper() {
            all.set_upper(upper + rest);
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;
    use tokio::time::{sleep, timeout};

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(10);

    #[tokio::test(start_paused = true)]
    async fn only_what_waits_for_room_has_a_time() {
        let pieces = Arc::new(Pieces::default());
        let begun = Instant::now();
        let reader = async {
            // Nothing to send, and slow taking, cost nothing.
            sleep(PATIENCE * 3).await;
            for _ in 0..5 {
                pieces.turn(true);
                sleep(PATIENCE - Duration::from_secs(1)).await;
                pieces.turn(false);
            }
            sleep(PATIENCE * 3).await;
            pieces.turn(true);
            std::future::pending::<()>().await;
        };
        tokio::select! {
            biased;
            () = reader => {}
            () = pieces.stalled(PATIENCE) => {}
        }
        assert_eq!(begun.elapsed(), PATIENCE * 7 + Duration::from_secs(9 * 5));
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_comes_in_pieces_and_unchanged() {
        let text: Vec<u8> = (0..100_000u32).map(|n| n as u8).collect();
        let pieces = Arc::new(Pieces::default());
        let read = PIECES.scope(pieces.clone(), async {
            let mut body = watched(Body::from(text.clone()));
            assert_eq!(http_body::Body::size_hint(&body).exact(), Some(text.len() as u64));
            let first = body.frame().await.unwrap().unwrap().into_data().unwrap();
            assert_eq!(first.len(), PIECE_BYTES);
            let left = (text.len() - first.len()) as u64;
            assert_eq!(http_body::Body::size_hint(&body).exact(), Some(left));
            assert!(timeout(PATIENCE, pieces.stalled(PATIENCE / 2)).await.is_ok(), "it waits");
            [first, body.collect().await.unwrap().to_bytes()].concat()
        });
        assert_eq!(read.await, text);
    }
}
