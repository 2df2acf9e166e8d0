//! A request under way, from the events of a batch to what came of it.
//!
//! Made by the post, run as a task of its own: packing and signing are work that a post must not do
//! for all of its endpoints.
//!
//! Invariant: the post hears of the end of every flight, also of one whose task came to grief.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use outflow_hub::subscription::EventView;
use outflow_hub::{CatalogError, Stream};
use outflow_model::{ProjectId, Timestamp};
use prometheus_client::metrics::gauge::Gauge;
use tokio::sync::mpsc;

use crate::attempt::{Attempt, Request, Target, Transport};
use crate::metrics::Metrics;
use crate::outcome::{Failure, Outcome};
use crate::session::BatchId;
use crate::signature::{Message, MessageId, Signer};
use crate::wire::{BatchSize, Body, Encoding, body};

/// The largest body that is packed on a thread that serves others, in bytes: a fraction of a millisecond.
const PACKED_AT_ONCE: usize = 16 << 10;

/// Which flight: of which endpoint, since it was taken on, and which batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FlightId {
    pub(crate) endpoint: u64,
    pub(crate) batch: BatchId,
}

/// What came of a flight.
#[derive(Debug)]
pub(crate) struct Landed {
    pub(crate) id: FlightId,
    pub(crate) message: MessageId,
    pub(crate) attempt: Attempt,
}

/// What is sent, before it is packed and signed.
#[derive(Debug)]
pub(crate) struct Letter {
    pub(crate) target: Arc<Target>,
    pub(crate) signer: Arc<Signer>,
    pub(crate) encoding: Encoding,
    pub(crate) timeout: Duration,
    pub(crate) message: MessageId,
    /// The type of all its events, if they have the same.
    pub(crate) event: Option<String>,
    pub(crate) body: Bytes,
    pub(crate) at: Timestamp,
}

impl Letter {
    /// The request, packed and signed; `None`, never in practice: that came to grief.
    pub(crate) async fn pack(self) -> Option<Request> {
        if self.encoding == Encoding::Gzip && self.body.len() > PACKED_AT_ONCE {
            // Megabytes take long enough to hold up what else this thread serves.
            return tokio::task::spawn_blocking(move || self.request()).await.ok();
        }
        Some(self.request())
    }

    fn request(self) -> Request {
        let Self { target, signer, encoding, timeout, message, event, body, at } = self;
        let packed = match encoding {
            Encoding::Gzip => body::gzip(&body).ok(),
            Encoding::Identity => None,
        };
        let encoding = if packed.is_some() { encoding } else { Encoding::Identity };
        let body = packed.unwrap_or(body);
        let signed = Message {
            id: &message,
            at,
            event: event.as_deref(),
            endpoint: target.integration.as_str(),
            body: &body,
        };
        let fields = signer.sign(&signed);
        Request { target, fields, encoding, body, timeout }
    }
}

/// The document of a batch, its message's id, and the type that all its events have.
pub(crate) fn document(
    project: &ProjectId,
    size: BatchSize,
    stream: &Stream,
    events: &[&EventView],
) -> Option<(Bytes, MessageId, Option<String>)> {
    // What the session has put together is one batch, whatever its bytes.
    let bytes: usize = events.iter().map(|event| event.meta().line_len as usize).sum();
    let mut body = Body::with_capacity(size, bytes);
    for event in events {
        if !body.push(event.line()) {
            return None;
        }
    }
    let place = |one: &&EventView| (stream.id, stream.created, one.offset());
    let message = MessageId::of(project, events.iter().map(place));
    let first = events.first()?.meta().type_hash;
    let is_same = events.iter().all(|one| one.meta().type_hash == first);
    let event = events.first().filter(|_| is_same).map(|one| one.event_type().to_owned());
    Some((body.finish()?, message, event))
}

/// Tells the post when it is dropped, whatever has happened.
pub(crate) struct Report {
    landed: Option<Landed>,
    tell: mpsc::UnboundedSender<Landed>,
    in_flight: Gauge,
}

impl Report {
    /// The report of a flight, which is under way from now on. `tell` is the post's, which bounds its
    /// length by the flights that it starts.
    pub(crate) fn new(
        id: FlightId,
        letter: &Letter,
        tell: mpsc::UnboundedSender<Landed>,
        metrics: &Metrics,
    ) -> Self {
        let broken = Attempt {
            outcome: Outcome::of_failure(Failure::Broken),
            status: None,
            excerpt: Bytes::new(),
            took: Duration::ZERO,
        };
        let landed = Some(Landed { id, message: letter.message.clone(), attempt: broken });
        let in_flight = metrics.in_flight.clone();
        in_flight.inc();
        Self { landed, tell, in_flight }
    }
}

impl Drop for Report {
    fn drop(&mut self) {
        self.in_flight.dec();
        if let Some(landed) = self.landed.take() {
            // The post may have stopped.
            let _ = self.tell.send(landed);
        }
    }
}

/// Flies: notes what is to be noted first, sends, and reports.
pub(crate) async fn fly(
    letter: Letter,
    noting: Option<impl Future<Output = Result<(), CatalogError>> + Send>,
    transport: Arc<dyn Transport>,
    mut report: Report,
) {
    if let Some(noting) = noting
        && let Err(error) = noting.await
    {
        // It is sent all the same: after a crash the batch may be cut elsewhere, and no event is lost.
        tracing::warn!(%error, "a webhook's batch could not be noted");
    }
    let Some(request) = letter.pack().await else { return };
    let attempt = transport.attempt(request).await;
    if let Some(landed) = &mut report.landed {
        landed.attempt = attempt;
    }
}
