//! Which request goes next, and what came of it.
//!
//! Called by the post after everything that happens.
//!
//! Invariants: the counts are of what is under way, all of which lands; batches wait here by their
//! number only.

use std::collections::{HashMap, VecDeque};

use bytes::Bytes;
use outflow_hub::subscription::EventView;
use outflow_hub::{WebhookAnswer, WebhookError};
use outflow_model::{Offset, Timestamp};
use tokio::sync::oneshot;

use super::{Post, Shared};
use crate::attempt::Attempt;
use crate::attempts::{AttemptEntry, Entry};
use crate::flight::{self, FlightId, Landed, Letter};
use crate::note;
use crate::options::Options;
use crate::outcome::{Failure, Outcome};
use crate::session::{BatchId, Input, offsets};
use crate::settings::Settings;
use crate::signature::MessageId;
use crate::wire::{BatchSize, Body};

/// How many that wait are looked at for one that may go.
const LOOKED_AT: usize = 64;
/// After so many requests in a row without an answer, an endpoint shares a part of the room with its
/// like.
const SILENT_AFTER: u32 = 3;
/// Which part that is.
const SILENT_PART: usize = 10;
/// How many successes of an endpoint are told of in a second.
const TOLD_A_SECOND: u32 = 10;
const SECOND_MS: i64 = 1_000;

/// A batch that may go.
#[derive(Debug, Clone, Copy)]
struct Wanted {
    endpoint: u64,
    batch: BatchId,
    is_noted: bool,
}

/// What is under way, and what waits. See the module.
#[derive(Debug)]
pub(super) struct Dispatch {
    waiting: VecDeque<Wanted>,
    max_in_flight: usize,
    max_per_host: usize,
    max_bytes: usize,
    in_flight: usize,
    silent: usize,
    bytes: usize,
    hosts: HashMap<String, usize>,
    /// What each flight counts for: its host, and whether it is of the silent.
    flights: HashMap<(u64, BatchId), (String, bool)>,
}

impl Dispatch {
    /// With its share of what the options allow.
    pub(super) fn new(options: &Options) -> Self {
        let share = |all: usize| (all / options.posts.max(1)).max(1);
        Self {
            waiting: VecDeque::new(),
            max_in_flight: share(options.max_in_flight),
            max_per_host: share(options.max_per_host),
            max_bytes: share(options.max_body_bytes),
            in_flight: 0,
            silent: 0,
            bytes: 0,
            hosts: HashMap::new(),
            flights: HashMap::new(),
        }
    }

    pub(super) const fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// A batch is to be sent when there is room.
    pub(super) fn want(&mut self, endpoint: u64, batch: BatchId, is_noted: bool) {
        self.waiting.push_back(Wanted { endpoint, batch, is_noted });
    }

    fn has_room(&self) -> bool {
        let has_bytes = self.bytes < self.max_bytes || self.in_flight == 0;
        self.in_flight < self.max_in_flight && has_bytes
    }

    /// Whether one more may go to this host.
    fn admits(&self, host: &str, is_silent: bool) -> bool {
        let silent = (self.max_in_flight / SILENT_PART).max(1);
        self.hosts.get(host).is_none_or(|count| *count < self.max_per_host)
            && (!is_silent || self.silent < silent)
    }

    fn start(&mut self, id: FlightId, host: &str, is_silent: bool, bytes: usize) {
        self.in_flight += 1;
        self.silent += usize::from(is_silent);
        self.bytes += bytes;
        *self.hosts.entry(host.to_owned()).or_default() += 1;
        self.flights.insert((id.endpoint, id.batch), (host.to_owned(), is_silent));
    }

    fn end(&mut self, id: FlightId, bytes: usize) {
        let Some((host, is_silent)) = self.flights.remove(&(id.endpoint, id.batch)) else { return };
        self.in_flight = self.in_flight.saturating_sub(1);
        self.silent = self.silent.saturating_sub(usize::from(is_silent));
        self.bytes = self.bytes.saturating_sub(bytes);
        if let Some(count) = self.hosts.get_mut(&host) {
            *count -= 1;
            if *count == 0 {
                self.hosts.remove(&host);
            }
        }
    }
}

impl Post {
    /// Sends what may go.
    pub(super) fn send(&mut self) {
        let mut passed = 0;
        while self.dispatch.has_room() && passed < LOOKED_AT {
            let Some(wanted) = self.dispatch.waiting.pop_front() else { return };
            let Some(endpoint) = self.endpoints.get(&wanted.endpoint) else { continue };
            let is_silent = endpoint.silences >= SILENT_AFTER;
            let host = endpoint.settings.target.endpoint.authority();
            if self.dispatch.admits(host, is_silent) {
                self.launch(wanted, is_silent);
            } else {
                passed += 1;
                self.dispatch.waiting.push_back(wanted);
            }
        }
    }

    fn launch(&mut self, wanted: Wanted, is_silent: bool) {
        let Wanted { endpoint: key, batch, is_noted } = wanted;
        let now = self.now();
        let Some(endpoint) = self.endpoints.get(&key) else { return };
        let id = FlightId { endpoint: key, batch };
        let size = endpoint.session.rules().size;
        let events = endpoint.session.batch(batch).map(|(events, _)| events);
        let document = events.and_then(|events| {
            let stream = &events.first()?.stream;
            let events: Vec<&EventView> = events.iter().map(|one| &one.event).collect();
            flight::document(&endpoint.id.0, size, stream, &events)
        });
        let Some((body, message, event)) = document else {
            // Its place was moved, or its events taken back, while it waited here.
            let attempt = nothing();
            let message = MessageId::of(&endpoint.id.0, []);
            // The post has the other end.
            let _ = self.landed.send(Landed { id, message, attempt, body_bytes: 0 });
            return;
        };
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
        let host = target.endpoint.authority().to_owned();
        self.dispatch.start(id, &host, is_silent, letter.body.len());
        self.shared.metrics.requests.inc();
        self.shared.metrics.in_flight.inc();
        let (transport, tell) = (self.shared.transport.clone(), self.landed.clone());
        // A task for each request: it packs and signs on any core, and there are as many as may be under way.
        tokio::spawn(flight::fly(id, letter, noting, transport, tell));
    }

    /// A flight has ended.
    pub(super) async fn land(&mut self, landed: Landed) {
        let Landed { id, message, attempt, body_bytes } = landed;
        let key = id.endpoint;
        if self.dispatch.flights.contains_key(&(key, id.batch)) {
            self.dispatch.end(id, body_bytes);
            self.shared.metrics.in_flight.dec();
        }
        let outcome = attempt.outcome.clone();
        let Some(endpoint) = self.endpoints.get_mut(&key) else { return };
        let is_silent =
            matches!(outcome, Outcome::Again { failure: Failure::Silence | Failure::Connect, .. });
        endpoint.silences = if is_silent { endpoint.silences.saturating_add(1) } else { 0 };
        if matches!(outcome, Outcome::Again { .. }) {
            self.shared.metrics.failures.inc();
        }
        let told = endpoint.session.batch(id.batch);
        let told = told.map(|(events, failures)| (offsets(events), failures + 1));
        self.tell(key, Input::Ended(id.batch, outcome)).await;
        if let Some((offsets, number)) = told {
            self.log(key, &message, attempt, offsets, number);
        }
    }

    /// Tells of an attempt: of every failure, and of some successes.
    fn log(
        &mut self,
        key: u64,
        message: &MessageId,
        attempt: Attempt,
        offsets: Vec<Offset>,
        number: u32,
    ) {
        let now = self.now();
        let Some(endpoint) = self.endpoints.get_mut(&key) else { return };
        let mut left_out = 0;
        if attempt.outcome == Outcome::Taken {
            let (second, told, left) = &mut endpoint.told;
            let this = now.millis().div_euclid(SECOND_MS);
            if *second != this {
                (*second, *told) = (this, 0);
            }
            if *told >= TOLD_A_SECOND {
                *left += 1;
                return;
            }
            *told += 1;
            left_out = std::mem::take(left);
        }
        let (outcome, failure) = words(&attempt.outcome);
        let entry = AttemptEntry {
            message: message.to_string(),
            offsets,
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

/// An attempt that was not made.
fn nothing() -> Attempt {
    let outcome = Outcome::of_failure(Failure::Broken);
    Attempt { outcome, status: None, excerpt: Bytes::new(), took: std::time::Duration::ZERO }
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

fn millis(time: std::time::Duration) -> u64 {
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
        let attempt = transport.attempt(letter.request()).await;
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
