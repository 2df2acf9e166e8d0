//! Requests begin and end: batches become letters, and what came of them is told.
//!
//! Called by the post after everything that happens; [`turns`](super::turns) says which goes next.
//!
//! Invariants: what has begun lands; a batch that could not be sent, as its events were given back or
//! its endpoint was closed, is no failure.

use std::time::Duration;

use bytes::Bytes;
use outflow_hub::subscription::EventView;
use outflow_hub::{Delivery, WebhookAnswer, WebhookError};
use outflow_model::{Offset, Timestamp};
use tokio::sync::oneshot;

use super::turns::Wanted;
use super::{Post, Shared};
use crate::attempt::Attempt;
use crate::attempts::{AttemptEntry, Entry};
use crate::flight::{self, FlightId, Landed, Letter, Report};
use crate::note;
use crate::outcome::{Failure, Outcome};
use crate::session::{Input, offsets};
use crate::settings::Settings;
use crate::signature::MessageId;
use crate::wire::{BatchSize, Body};

/// An endpoint is slow to answer when it takes so long.
const SLOW: Duration = Duration::from_secs(5);

impl Post {
    /// Sends what may go.
    pub(super) async fn send(&mut self) {
        while let Some(wanted) = self.turns.next() {
            if let Err(instead) = self.launch(wanted)
                && let Some(endpoint) = self.endpoints.get(&wanted.endpoint)
            {
                self.turns.pass(&endpoint.party().place);
                self.tell(wanted.endpoint, instead).await;
            }
        }
    }

    /// Begins a request.
    ///
    /// # Errors
    /// What has happened instead.
    fn launch(&mut self, wanted: Wanted) -> Result<(), Input<Delivery>> {
        let Wanted { endpoint: key, batch, is_noted } = wanted;
        let now = self.now();
        let endpoint = self.endpoints.get(&key).ok_or(Input::Unsent(batch))?;
        // Its place was moved, or its events were given back, while it waited for its turn.
        let sending = endpoint.session.batch(batch).ok_or(Input::Unsent(batch))?;
        let document = sending.events.first().and_then(|first| {
            let events: Vec<&EventView> = sending.events.iter().map(|one| &one.event).collect();
            flight::document(&endpoint.id.0, sending.size, &first.stream, &events)
        });
        // Never in practice: it has an event, and not too many. As a failure it is not tried at once again.
        let broken = || Input::Ended(batch, Outcome::of_failure(Failure::Broken));
        let (body, message, event) = document.ok_or_else(broken)?;
        let id = FlightId { endpoint: key, batch };
        let Settings { target, signer, encoding, timeout, .. } = &endpoint.settings;
        let letter = Letter {
            target: target.clone(),
            signer: signer.clone(),
            encoding: *encoding,
            timeout: *timeout,
            message,
            event,
            body,
            at: now,
        };
        let noting = is_noted.then(|| {
            let value = note::encode(&endpoint.session.note());
            self.shared.hub.set_endpoint_note(&endpoint.id, value)
        });
        self.turns.begin(key, batch, endpoint.party(), letter.body.len());
        self.shared.metrics.requests.inc();
        let report = Report::new(id, &letter, self.landed.clone(), &self.shared.metrics);
        let transport = self.shared.transport.clone();
        // A task for each request: it packs and signs on any core, and there are as many as may be under way.
        tokio::spawn(flight::fly(letter, noting, transport, report));
        Ok(())
    }

    /// A flight has ended.
    pub(super) async fn land(&mut self, landed: Landed) {
        let Landed { id, message, attempt } = landed;
        let key = id.endpoint;
        self.turns.end(key, id.batch);
        let outcome = attempt.outcome.clone();
        let Some(endpoint) = self.endpoints.get_mut(&key) else { return };
        let is_silent =
            matches!(outcome, Outcome::Again { failure: Failure::Silence | Failure::Connect, .. });
        let is_slow = is_silent || attempt.took >= SLOW;
        endpoint.slow = if is_slow { endpoint.slow.saturating_add(1) } else { 0 };
        self.turns.revise(key, &endpoint.party());
        if matches!(outcome, Outcome::Again { .. }) {
            self.shared.metrics.failures.inc();
        }
        let told = endpoint.session.batch(id.batch);
        let told = told.map(|sent| (offsets(sent.events), sent.size, sent.failures + 1));
        self.tell(key, Input::Ended(id.batch, outcome)).await;
        if let Some((offsets, size, number)) = told {
            self.log(key, &message, attempt, (offsets, size), number);
        }
    }

    /// Tells of an attempt, unless too many have been told of.
    fn log(
        &mut self,
        key: u64,
        message: &MessageId,
        attempt: Attempt,
        (offsets, size): (Vec<Offset>, BatchSize),
        number: u32,
    ) {
        let now = self.now();
        let Some(endpoint) = self.endpoints.get_mut(&key) else { return };
        // Apart, so that no success keeps a failure from being told of.
        let is_taken = attempt.outcome == Outcome::Taken;
        let quota = if is_taken { &mut endpoint.successes } else { &mut endpoint.failures };
        let Some(left_out) = quota.admit(now) else { return };
        let (outcome, failure) = words(&attempt.outcome);
        let entry = AttemptEntry {
            message: message.to_string(),
            offsets,
            size,
            number,
            outcome,
            failure,
            status: attempt.status,
            duration_ms: millis(attempt.took),
            excerpt: attempt.excerpt,
            next: endpoint.session.next_attempt().filter(|_| outcome == "again"),
            left_out,
        };
        self.shared.log.tell(&endpoint.id, Entry::Attempt(entry));
    }
}

/// The word for an outcome, and why there was none, as a sentence.
fn words(outcome: &Outcome) -> (&'static str, Option<String>) {
    match outcome {
        Outcome::Taken => ("taken", None),
        Outcome::Again { failure, .. } => ("again", Some(failure.to_string())),
        Outcome::Refused { .. } => ("refused", None),
        Outcome::Gone => ("gone", None),
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// Sends a made-up event, past all that waits; the answer goes to who asked.
pub(super) fn test(
    shared: &Shared,
    settings: &Settings,
    size: BatchSize,
    now: Timestamp,
    answer: oneshot::Sender<Result<WebhookAnswer, WebhookError>>,
) {
    let name = format!("test_{:016x}", shared.hub.rng().next_u64());
    // As a stored line is written.
    let event = format!(
        r#"{{"id":"{name}","type":"CUSTOM","offset":"0","occurred":"{now}","processed":"{now}","body":{{"name":"webhook.test"}}}}"#
    );
    let mut body = Body::new(size, usize::MAX);
    let pushed = body.push(event.as_bytes());
    let (body, message) = (body.finish().filter(|_| pushed), MessageId::parse(&name));
    let document = body.zip(message).map(|(body, message)| (body, message, Some("CUSTOM".into())));
    by_hand(shared, settings, document, now, answer);
}

/// Sends a message past all that waits; the answer goes to who asked.
pub(super) fn by_hand(
    shared: &Shared,
    settings: &Settings,
    document: Option<(Bytes, MessageId, Option<String>)>,
    now: Timestamp,
    answer: oneshot::Sender<Result<WebhookAnswer, WebhookError>>,
) {
    let Some((body, message, event)) = document else {
        // Who asked may have gone away.
        let _ = answer.send(Err(WebhookError::NoMessage));
        return;
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
    // Bounded by how often an endpoint may be sent to by hand.
    tokio::spawn(async move {
        // Who asked hears that it is not served just now.
        let Some(request) = letter.pack().await else { return };
        let attempt = transport.attempt(request).await;
        let (_, failure) = words(&attempt.outcome);
        // Who asked may have gone away.
        let _ = answer.send(Ok(WebhookAnswer {
            taken: attempt.outcome == Outcome::Taken,
            status: attempt.status,
            failure,
            duration_ms: millis(attempt.took),
            excerpt: attempt.excerpt,
        }));
    });
}
