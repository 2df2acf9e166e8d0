//! One stream: what a read session yields, turned into pieces of a response body.
//!
//! [`Session::apply`] is the state machine: one input in, pieces out, no I/O. [`body`] drives it on
//! demand: hyper asks for a piece only when the socket takes more, so a slow reader holds the block
//! it is being sent and nothing else.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use futures_util::stream;
use outflow_face::RequestId;
use outflow_hub::{Block, BlockError, CloseReason, Hub, ReadEvent, ReadSession};
use outflow_model::Offset;

use crate::metrics::Metrics;
use crate::wire::{Coding, Encoder};

/// How a stream is to be rendered.
#[derive(Debug, Clone)]
pub struct Manner {
    /// How it is encoded.
    pub coding: Coding,
    /// Whether idle time is marked with `OFFSET_UPDATE` events instead of blank lines.
    pub offset_updates: bool,
    /// The stream ends once everything before this offset was sent or filtered out.
    pub until: Option<Offset>,
    /// The stream ends after this many events.
    pub limit: Option<u64>,
    /// How long a failed stream waits before it ends.
    pub failure_pause: Duration,
}

/// Why a stream is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// All that was asked for has been sent.
    Complete,
    /// The hub closed the session.
    Closed(CloseReason),
    /// The client went away.
    Gone,
}

impl End {
    /// The word for logs and metrics.
    #[must_use]
    pub const fn word(&self) -> &'static str {
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
    metrics: Metrics,
    encoder: Encoder,
    manner: Manner,
    considered: Offset,
    events: u64,
    pieces: VecDeque<Bytes>,
    end: Option<End>,
    /// The request's span: the line that says why the stream ended belongs to it.
    span: tracing::Span,
}

impl Session {
    /// A session that has sent nothing yet and whose read begins after `considered`.
    #[must_use]
    pub fn new(hub: Hub, metrics: Metrics, manner: Manner, considered: Offset) -> Self {
        let encoder = Encoder::new(manner.coding);
        metrics.open.get_or_create(&[("coding", manner.coding.name())]).inc();
        let pieces = encoder.begin().into_iter().collect();
        let mut session = Self {
            hub,
            metrics,
            encoder,
            manner,
            considered,
            events: 0,
            pieces,
            end: None,
            span: tracing::Span::current(),
        };
        session.check_end();
        session
    }

    /// Takes what the read session yielded.
    pub fn apply(&mut self, event: ReadEvent) {
        match event {
            ReadEvent::Batch(block) => {
                if let Err(error) = self.block(&block) {
                    tracing::error!(first = %block.first, %error, "a block cannot be sent");
                    self.finish(End::Closed(CloseReason::Damaged(error.to_string())));
                    return;
                }
                self.considered = block.last;
                self.check_end();
            }
            ReadEvent::Heartbeat { considered } => {
                self.considered = considered;
                self.check_end();
                if self.end.is_none() {
                    self.heartbeat();
                }
            }
            ReadEvent::Closed(reason) => self.finish(End::Closed(reason)),
        }
    }

    /// The next piece of the body, if one is ready.
    pub fn piece(&mut self) -> Option<Bytes> {
        let piece = self.pieces.pop_front()?;
        self.metrics.bytes.inc_by(piece.len() as u64);
        Some(piece)
    }

    /// Why the stream is over, once it is.
    #[must_use]
    pub const fn end(&self) -> Option<&End> {
        self.end.as_ref()
    }

    fn block(&mut self, block: &Block) -> Result<(), BlockError> {
        let left = self.manner.limit.map_or(u64::MAX, |limit| limit.saturating_sub(self.events));
        let mut count = u64::from(block.count);
        let piece = if count > left {
            count = left;
            let mut taken = 0;
            let part = block.select(|_, _| {
                taken += 1;
                taken <= left
            })?;
            part.map(|part| self.encoder.block(&part)).transpose()?
        } else {
            Some(self.encoder.block(block)?)
        };
        self.pieces.extend(piece);
        self.events += count;
        self.metrics.events.inc_by(count);
        Ok(())
    }

    fn heartbeat(&mut self) {
        self.metrics.heartbeats.inc();
        let piece = if self.manner.offset_updates {
            self.encoder.line(self.offset_update().as_bytes())
        } else {
            self.encoder.heartbeat()
        };
        self.pieces.push_back(piece);
    }

    /// An `OFFSET_UPDATE` event (reference 1.5): made here, not stored, with all the keys that
    /// clients index (rule 7).
    fn offset_update(&self) -> String {
        let (id, now) = (RequestId::random(self.hub.rng()), self.hub.clock().now());
        let mut line = String::with_capacity(192);
        let _ = writeln!(
            line,
            "{{\"id\":\"{id}\",\"type\":\"OFFSET_UPDATE\",\"offset\":\"{}\",\"occurred\":\"{now}\",\"processed\":\"{now}\"}}",
            self.considered,
        );
        line
    }

    fn check_end(&mut self) {
        let enough = self.manner.limit.is_some_and(|limit| self.events >= limit);
        let there = self.manner.until.is_some_and(|until| self.considered.next() >= until);
        if enough || there {
            self.finish(End::Complete);
        }
    }

    fn finish(&mut self, end: End) {
        if self.end.is_none() {
            self.pieces.extend(self.encoder.end());
            self.end = Some(end);
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let span = std::mem::replace(&mut self.span, tracing::Span::none());
        let _entered = span.enter();
        let end = self.end.take().unwrap_or(End::Gone);
        self.metrics.open.get_or_create(&[("coding", self.manner.coding.name())]).dec();
        self.metrics.ended.get_or_create(&[("reason", end.word())]).inc();
        let (reason, events, considered) = (end.word(), self.events, self.considered);
        match &end {
            End::Closed(CloseReason::Damaged(detail) | CloseReason::Failed(detail)) => {
                tracing::error!(reason, detail, events, %considered, "stream ended");
            }
            _ => tracing::info!(reason, events, %considered, "stream ended"),
        }
    }
}

/// A response body that sends what `read` yields through `session`.
pub fn body(read: ReadSession, session: Session) -> Body {
    Body::from_stream(stream::unfold((read, session), |(mut read, mut session)| async move {
        loop {
            if let Some(piece) = session.piece() {
                return Some((Ok::<_, std::convert::Infallible>(piece), (read, session)));
            }
            if session.end().is_some() {
                return None;
            }
            let event = read.next().await;
            session.apply(event);
            if session.end().is_some_and(End::is_failure) {
                tokio::time::sleep(session.manner.failure_pause).await;
            }
        }
    }))
}
