//! One stream: what a read session yields, handed on as frames.
//!
//! [`Session::apply`] is the state machine: one input in, frames out, no I/O. [`Sending`] drives it
//! on demand: hyper asks for more only when the socket takes more, so a slow reader holds the
//! frames of one block, which it shares with all others and sends as one piece, and an idle one
//! holds nothing.
//!
//! Blocks may have nothing for a feed of chosen types. For such a client silence goes on, with its
//! heartbeats. Its own place may so fall out of what is retained while it listens; that it missed
//! nothing is known when it comes back.

use std::convert::Infallible;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::num::NonZeroU64;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use futures_util::stream::{self, Stream};
use outflow_hub::{Block, CloseReason, Hub, ReadEvent, ReadSession};
use outflow_model::StreamId;
use tokio::time::{Sleep, sleep};

use crate::metrics::Metrics;
use crate::wire::{self, Form, Frames};

/// How a stream is to be rendered.
#[derive(Debug, Clone)]
pub struct Manner {
    /// The feed, for metrics.
    pub feed: &'static str,
    /// As what.
    pub form: Form,
    /// After how many events the stream ends.
    pub limit: Option<NonZeroU64>,
    /// How long clients are told to wait before they connect again.
    pub retry: Duration,
    /// How long a failed stream waits before it ends.
    pub failure_pause: Duration,
    /// What is said before the first event.
    pub opening: Option<Bytes>,
}

/// Why a stream is over.
#[derive(Debug, Clone, PartialEq, Eq)]
enum End {
    /// All that was asked for has been sent.
    Complete,
    /// The hub closed the session.
    Closed(CloseReason),
    /// The client went away.
    Gone,
}

impl End {
    const fn word(&self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Gone => "gone",
            Self::Closed(CloseReason::Revoked) => "revoked",
            Self::Closed(CloseReason::Expired) => "expired",
            Self::Closed(CloseReason::Deleted) => "deleted",
            Self::Closed(CloseReason::Draining) => "draining",
            Self::Closed(CloseReason::Trimmed) => "trimmed",
            Self::Closed(CloseReason::Damaged(_)) => "damaged",
            Self::Closed(CloseReason::Failed(_)) => "failed",
        }
    }

    /// Whether the fault is the server's, so that a client that comes back at once finds it again.
    const fn is_failure(&self) -> bool {
        matches!(self, Self::Closed(CloseReason::Damaged(_) | CloseReason::Failed(_)))
    }
}

/// One stream's state. See the module.
#[derive(Debug)]
pub struct Session {
    hub: Hub,
    stream: Arc<outflow_hub::Stream>,
    metrics: Metrics,
    manner: Manner,
    /// What is to be sent next.
    frames: Option<Arc<Frames>>,
    /// What is sent before: a comment, a heartbeat.
    first: Option<Bytes>,
    /// Whether the client was told when to connect again.
    has_greeted: bool,
    events: u64,
    /// Whether the last block had nothing for this client. Shared with what drives the read.
    was_silent: Arc<AtomicBool>,
    end: Option<End>,
    /// The request's span: the line that says why the stream ended belongs to it.
    span: tracing::Span,
}

impl Session {
    /// A session that has sent nothing yet.
    #[must_use]
    pub fn new(
        hub: Hub,
        stream: Arc<outflow_hub::Stream>,
        metrics: Metrics,
        mut manner: Manner,
    ) -> Self {
        metrics.open.get_or_create(&[("feed", manner.feed)]).inc();
        let first = manner.opening.take();
        Self {
            hub,
            stream,
            metrics,
            manner,
            frames: None,
            first,
            has_greeted: false,
            events: 0,
            was_silent: Arc::default(),
            end: None,
            span: tracing::Span::current(),
        }
    }

    /// Takes what the read session yielded.
    pub fn apply(&mut self, event: ReadEvent) {
        match event {
            ReadEvent::Batch(block) => {
                self.choose_types();
                match shared(&block, self.stream.id, &self.manner.form) {
                    Ok(frames) if frames.is_empty() => {
                        self.was_silent.store(true, Ordering::Relaxed);
                    }
                    Ok(frames) => self.frames = Some(frames),
                    Err(error) => {
                        tracing::error!(first = %block.first, %error, "a block cannot be sent");
                        self.end = Some(End::Closed(CloseReason::Damaged(error.to_string())));
                    }
                }
            }
            ReadEvent::Heartbeat { .. } => {
                self.metrics.heartbeats.inc();
                self.first = Some(wire::HEARTBEAT);
            }
            ReadEvent::Closed(reason) => self.end = Some(End::Closed(reason)),
        }
    }

    /// The next piece of the body, if one is ready.
    pub fn piece(&mut self) -> Option<Bytes> {
        let piece = match self.first.take() {
            Some(first) => first,
            None if self.frames.is_some() && !self.has_greeted => {
                self.has_greeted = true;
                wire::retry(self.manner.retry.as_millis())
            }
            None => self.events()?,
        };
        self.metrics.bytes.inc_by(piece.len() as u64);
        Some(piece)
    }

    fn events(&mut self) -> Option<Bytes> {
        let frames = self.frames.take()?;
        let left = self.manner.limit.map_or(u64::MAX, |limit| limit.get() - self.events);
        let (bytes, events) = frames.up_to(left);
        self.events += events;
        self.metrics.events.inc_by(events);
        if events == left {
            self.end = Some(End::Complete);
        }
        Some(bytes)
    }

    /// Takes the types that the change feed sends as they are now: a change of them holds for what
    /// comes next.
    fn choose_types(&mut self) {
        let Form::Changes(types) = &mut self.manner.form else { return };
        let Some(now) = self.hub.stream(&self.stream.project, &self.stream.name) else { return };
        if !Arc::ptr_eq(&now, &self.stream) {
            types.clone_from(&now.settings.feed_types);
            self.stream = now;
        }
    }
}

/// The frames of `block`, rendered now if nobody has asked for them in this form before.
fn shared(
    block: &Block,
    stream: StreamId,
    form: &Form,
) -> Result<Arc<Frames>, outflow_hub::BlockError> {
    let mut hasher = DefaultHasher::new();
    form.hash(&mut hasher);
    block.rendition(hasher.finish(), |block| Frames::render(block, stream, form))
}

impl Drop for Session {
    fn drop(&mut self) {
        let span = std::mem::replace(&mut self.span, tracing::Span::none());
        let _entered = span.enter();
        let end = self.end.take().unwrap_or(End::Gone);
        self.metrics.open.get_or_create(&[("feed", self.manner.feed)]).dec();
        self.metrics.ended.get_or_create(&[("reason", end.word())]).inc();
        let (reason, events) = (end.word(), self.events);
        match &end {
            End::Closed(CloseReason::Damaged(detail) | CloseReason::Failed(detail)) => {
                tracing::error!(reason, detail, events, "stream ended");
            }
            _ => tracing::info!(reason, events, "stream ended"),
        }
    }
}

/// A response body that sends what `read` yields through `session`.
pub fn body(read: ReadSession, session: Session) -> Body {
    let was_silent = Arc::clone(&session.was_silent);
    let events = stream::unfold((read, was_silent), |(mut read, was_silent)| async move {
        if was_silent.swap(false, Ordering::Relaxed) {
            read.stay_silent();
        }
        let event = read.next().await;
        Some((event, (read, was_silent)))
    });
    Body::from_stream(Sending { events: Box::pin(events), session, pause: None })
}

/// The pieces of a session, as they are asked for.
struct Sending {
    events: Pin<Box<dyn Stream<Item = ReadEvent> + Send>>,
    session: Session,
    /// The pause before a failed stream ends.
    pause: Option<Pin<Box<Sleep>>>,
}

impl Stream for Sending {
    type Item = Result<Bytes, Infallible>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        loop {
            if let Some(piece) = this.session.piece() {
                return Poll::Ready(Some(Ok(piece)));
            }
            if let Some(end) = &this.session.end {
                if end.is_failure() {
                    let wait = this.session.manner.failure_pause;
                    let pause = this.pause.get_or_insert_with(|| Box::pin(sleep(wait)));
                    ready!(pause.as_mut().poll(cx));
                }
                return Poll::Ready(None);
            }
            match ready!(this.events.as_mut().poll_next(cx)) {
                Some(event) => this.session.apply(event),
                None => return Poll::Ready(None),
            }
        }
    }
}
