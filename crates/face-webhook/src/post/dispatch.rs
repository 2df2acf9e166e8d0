//! Requests begin and end: batches become letters, and what came of them is told.
//!
//! Called by the post after everything that happens; [`turns`](super::turns) says which goes next.
//!
//! Invariants: what has begun lands; a batch that could not be sent, as its events were given back or
//! its endpoint was closed, is no failure.

use std::time::Duration;

use super::Post;
use super::endpoint::Endpoint;
use super::turns::Wanted;
use crate::attempt::Attempt;
use crate::attempts::{AttemptEntry, Entry, Log};
use crate::flight::{self, FlightId, Landed, Letter, Report};
use crate::note;
use crate::outcome::{Failure, Outcome};
use crate::session::{BatchId, Input};
use crate::settings::Settings;
use crate::signature::MessageId;
use bytes::Bytes;
use outflow_hub::Delivery;
use outflow_hub::subscription::EventView;

/// An endpoint is slow to answer when it takes so long.
const SLOW: Duration = Duration::from_secs(5);
/// The word for a success.
const TAKEN: &str = "taken";

impl Post {
    /// Sends what may go; says whether anything went.
    pub(super) async fn send(&mut self) -> bool {
        let mut has_sent = false;
        while let Some(wanted) = self.turns.next() {
            if let Some(endpoint) = self.endpoints.get_mut(&wanted.endpoint)
                && endpoint.is_outdated()
            {
                // What may be sent was changed, and that is not heard of yet.
                self.turns.pass(&endpoint.party().place);
                self.look_again(wanted.endpoint, Some(wanted.batch)).await;
                continue;
            }
            match self.launch(wanted) {
                Ok(()) => has_sent = true,
                Err(instead) => {
                    if let Some(endpoint) = self.endpoints.get(&wanted.endpoint) {
                        self.turns.pass(&endpoint.party().place);
                        self.tell(wanted.endpoint, instead).await;
                    }
                }
            }
        }
        has_sent
    }

    /// Begins a request.
    ///
    /// # Errors
    /// What has happened instead.
    fn launch(&mut self, wanted: Wanted) -> Result<(), Input<Delivery>> {
        let Wanted { endpoint: key, batch, is_noted } = wanted;
        if is_noted {
            // What was sent before is on the disk before it is noted what is sent next.
            self.settle_done();
        }
        let at = self.shared.hub.clock().now();
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
            at,
        };
        let noting = is_noted.then(|| {
            let value = note::encode(&endpoint.session.note().shifted(self.ahead()));
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
        let (outcome, now) = (attempt.outcome.clone(), self.now());
        let Some(endpoint) = self.endpoints.get_mut(&key) else { return };
        let is_silent =
            matches!(outcome, Outcome::Again { failure: Failure::Silence | Failure::Connect, .. });
        let is_slow = is_silent || attempt.took >= SLOW;
        endpoint.is_quick = !is_slow;
        endpoint.slow = if is_slow { endpoint.slow.saturating_add(1) } else { 0 };
        self.turns.revise(key, &endpoint.party());
        if matches!(outcome, Outcome::Again { .. }) {
            self.shared.metrics.failures.inc();
        }
        endpoint.answered = attempt.excerpt.clone();
        let entry = endpoint.tells_of(id.batch, &message, attempt);
        self.tell(key, Input::Ended(id.batch, outcome)).await;
        let ahead = self.ahead();
        let Some(endpoint) = self.endpoints.get_mut(&key) else { return };
        endpoint.answered = Bytes::new();
        let Some(mut entry) = entry else { return };
        let next = endpoint.session.next_attempt().filter(|_| entry.outcome == "again");
        entry.next = next.map(|at| at.plus_millis(ahead));
        // Apart, so that no success keeps a failure from being told of.
        let is_taken = entry.outcome == TAKEN;
        let quota = if is_taken { &mut endpoint.successes } else { &mut endpoint.failures };
        for told in quota.admit(entry, now) {
            self.shared.log.tell(&endpoint.id, Entry::Attempt(told));
        }
        self.set_timer(key);
    }

    /// Tells of the last attempts of a second that is over, of which there were too many.
    pub(super) fn tell_late(&mut self, key: u64) {
        let now = self.now();
        let Some(endpoint) = self.endpoints.get_mut(&key) else { return };
        let late = [endpoint.successes.over(now), endpoint.failures.over(now)];
        for told in late.into_iter().flatten() {
            self.shared.log.tell(&endpoint.id, Entry::Attempt(told));
        }
    }
}

impl Endpoint {
    /// Tells of the last attempts, which were too many, before it is served no more.
    pub(super) fn tell_last(&mut self, log: &Log) {
        for told in [self.successes.last(), self.failures.last()].into_iter().flatten() {
            log.tell(&self.id, Entry::Attempt(told));
        }
    }

    /// What is told of an attempt at a batch, before its end changes the session. Of every attempt, though many
    /// are left out: the last of a second is told of, and a request costs far more than this.
    fn tells_of(
        &self,
        batch: BatchId,
        message: &MessageId,
        attempt: Attempt,
    ) -> Option<AttemptEntry> {
        let sent = self.session.under_way(batch)?;
        let (outcome, failure) = words(&attempt.outcome);
        Some(AttemptEntry {
            message: message.to_string(),
            offsets: sent.offsets.to_vec(),
            size: sent.size,
            number: sent.failures + 1,
            outcome,
            failure,
            status: attempt.status,
            duration_ms: millis(attempt.took),
            excerpt: attempt.excerpt,
            next: None,
            left_out: 0,
        })
    }
}

/// The word for an outcome, and why there was none, as a sentence.
pub(super) fn words(outcome: &Outcome) -> (&'static str, Option<String>) {
    match outcome {
        Outcome::Taken => (TAKEN, None),
        Outcome::Again { failure, .. } => ("again", Some(failure.to_string())),
        Outcome::Refused { .. } => ("refused", None),
        Outcome::Gone => ("gone", None),
    }
}

pub(super) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
