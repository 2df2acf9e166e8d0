//! Requests by hand: a made-up event, and a message that was sent before.
//!
//! Asked for through `service`. They stand in no line: they are sent at once, past all that waits, or
//! not at all.
//!
//! Invariants: such a request counts as any other, in number, by project and host, and in bytes, from before
//! its events are read until its answer has been; whoever asks goes away at any time, and its room
//! comes back.

use std::sync::Arc;

use bytes::Bytes;
use outflow_hub::subscription::EventView;
use outflow_hub::webhook::WebhookId;
use outflow_hub::{Stream, WebhookAnswer, WebhookError};
use outflow_model::Timestamp;
use tokio::sync::{mpsc, oneshot};

use super::dispatch::{millis, words};
use super::endpoint::Endpoint;
use super::turns::Flight;
use super::{Post, Shared};
use crate::flight::{self, Letter};
use crate::outcome::Outcome;
use crate::settings::Settings;
use crate::signature::MessageId;
use crate::wire::{BatchSize, Body};

/// How many requests an endpoint is sent by hand in a minute.
const MAX_BY_HAND: u32 = 10;
const MINUTE_MS: i64 = 60_000;
/// More bytes than a made-up event has.
const TEST_BYTES: usize = 1_024;

/// Who hears what came of it.
type Asker = oneshot::Sender<Result<WebhookAnswer, WebhookError>>;

/// The requests by hand of an endpoint: the minute in which they are counted, and how many there were.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct ByHand {
    minute: i64,
    count: u32,
}

impl ByHand {
    /// Whether one more is within the limit; it counts. Else in how many seconds one is.
    fn admit(&mut self, now: Timestamp) -> Result<(), u32> {
        let minute = now.millis().div_euclid(MINUTE_MS);
        if self.minute != minute {
            (self.minute, self.count) = (minute, 0);
        }
        self.count = self.count.saturating_add(1);
        if self.count <= MAX_BY_HAND {
            return Ok(());
        }
        let left = MINUTE_MS - now.millis().rem_euclid(MINUTE_MS);
        Err(u32::try_from(left).unwrap_or(0).div_ceil(1_000))
    }
}

/// Room for one request by hand, which comes back when this is dropped.
#[derive(Debug)]
pub(crate) struct Permit {
    flight: Option<Flight>,
    freed: mpsc::UnboundedSender<Flight>,
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(flight) = self.flight.take() {
            // The post may have stopped.
            let _ = self.freed.send(flight);
        }
    }
}

/// A message that is sent again, which has its permit.
#[derive(Debug)]
pub(crate) struct Resend {
    pub(crate) stream: Arc<Stream>,
    pub(crate) events: Vec<EventView>,
    /// Its id, as it was.
    pub(crate) message: String,
    /// The size of batches when it was made, if it is known.
    pub(crate) size: Option<BatchSize>,
    pub(crate) permit: Permit,
}

impl Post {
    /// Room for one more request to an endpoint, which counts as sent.
    ///
    /// # Errors
    /// There is none, or it is one too many.
    pub(super) fn permit(&mut self, id: &WebhookId) -> Result<Permit, WebhookError> {
        // What a message has is not known yet: no more than a batch may have.
        self.permit_of(id, self.shared.options.max_batch_bytes)
    }

    fn permit_of(&mut self, id: &WebhookId, bytes: usize) -> Result<Permit, WebhookError> {
        // What has ended may not have been heard of yet.
        while let Ok(flight) = self.freeing.try_recv() {
            self.turns.end_by_hand(flight);
        }
        let now = self.now();
        let known = self.names.get(id).and_then(|key| self.endpoints.get_mut(key));
        let Some(endpoint) = known else { return Err(self.absent(id)) };
        let flight = self.turns.begin_by_hand(endpoint.party(), bytes);
        let flight = Some(flight.ok_or(WebhookError::Crowded)?);
        let permit = Permit { flight, freed: self.freed.clone() };
        let admitted = endpoint.by_hand.admit(now);
        admitted.map_err(|seconds| WebhookError::TooOften { max: MAX_BY_HAND, seconds })?;
        Ok(permit)
    }

    /// Sends a made-up event.
    pub(super) fn test(&mut self, id: &WebhookId, asker: Asker) {
        let permit = match self.permit_of(id, TEST_BYTES) {
            Ok(permit) => permit,
            Err(error) => return refuse(asker, error),
        };
        let Some(endpoint) = self.endpoint(id) else { return };
        let now = self.shared.hub.clock().now();
        let name = format!("test_{:016x}", self.shared.hub.rng().next_u64());
        // As a stored line is written.
        let event = format!(
            r#"{{"id":"{name}","type":"CUSTOM","offset":"0","occurred":"{now}","processed":"{now}","body":{{"name":"webhook.test"}}}}"#
        );
        let mut body = Body::new(endpoint.session.rules().size, usize::MAX);
        let pushed = body.push(event.as_bytes());
        let (body, message) = (body.finish().filter(|_| pushed), MessageId::parse(&name));
        let document = body.zip(message);
        let document = document.map(|(body, message)| (body, message, Some("CUSTOM".into())));
        send(&self.shared, &endpoint.settings, document, now, permit, asker);
    }

    /// Sends a message once more.
    pub(super) fn send_again(&mut self, id: &WebhookId, message: Resend, asker: Asker) {
        let Resend { stream, events, message, size, mut permit } = message;
        let Some(endpoint) = self.endpoint(id) else {
            return refuse(asker, self.absent(id));
        };
        let size = size.unwrap_or_else(|| endpoint.session.rules().size);
        let events: Vec<&EventView> = events.iter().collect();
        let document = flight::document(&id.0, size, &stream, &events);
        // Without one of its events it is another message.
        let document = document.filter(|(_, id, _)| id.as_str() == message);
        if let Some((flight, (body, ..))) = permit.flight.as_mut().zip(document.as_ref()) {
            self.turns.weigh(flight, body.len());
        }
        let Some(endpoint) = self.endpoint(id) else { return };
        let now = self.shared.hub.clock().now();
        send(&self.shared, &endpoint.settings, document, now, permit, asker);
    }

    fn endpoint(&self, id: &WebhookId) -> Option<&Endpoint> {
        self.endpoints.get(self.names.get(id)?)
    }
}

/// Who asked may have gone away: nobody minds that an answer is not heard.
fn refuse(asker: Asker, error: WebhookError) {
    let _ = asker.send(Err(error));
}

/// Sends a document; the answer goes to who asked.
fn send(
    shared: &Shared,
    settings: &Settings,
    document: Option<(Bytes, MessageId, Option<String>)>,
    now: Timestamp,
    permit: Permit,
    asker: Asker,
) {
    let Some((body, message, event)) = document else {
        return refuse(asker, WebhookError::NoMessage);
    };
    let letter = Letter {
        target: settings.target.clone(),
        signer: settings.signer.clone(),
        encoding: settings.encoding,
        timeout: settings.timeout,
        message,
        event,
        body,
        at: now,
    };
    let transport = shared.transport.clone();
    tokio::spawn(async move {
        // Who asked hears that it is not served just now.
        let Some(request) = letter.pack().await else { return };
        let attempt = transport.attempt(request).await;
        drop(permit);
        let (_, failure) = words(&attempt.outcome);
        // Who asked may have gone away.
        let _ = asker.send(Ok(WebhookAnswer {
            taken: attempt.outcome == Outcome::Taken,
            status: attempt.status,
            failure,
            duration_ms: millis(attempt.took),
            excerpt: attempt.excerpt,
        }));
    });
}
