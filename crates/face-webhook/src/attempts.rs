//! The log of attempts: a stream for each endpoint, which any face reads.
//!
//! The posts hand over what happened; one task makes events of it, `webhook.attempt` and
//! `webhook.alert`, in the stream `webhook.attempts:<integration>`, which it makes when it is first
//! needed. Nobody waits for it.
//!
//! Invariants: a log that falls behind, or cannot be written, holds up no request: what there is no
//! room for is counted and left out, attempts before alerts; what it says of an endpoint is what its own project may know.

pub(crate) mod page;

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use outflow_hub::webhook::WebhookId;
use outflow_hub::{CatalogError, Durability, Hub, NewStream, Retention, Stream, StreamSettings};
use outflow_model::{Draft, Grant, Offset, StreamName, Timestamp};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::health::Alert;
use crate::metrics::Metrics;
use crate::options::Options;
use crate::wire::BatchSize;

/// How many entries may wait to be written.
const WAITING: usize = 4_096;
/// How many of these places no attempt takes: alerts find room however many attempts there are.
const FOR_ALERTS: usize = 512;
/// How many are written together.
const TOGETHER: usize = 256;
/// How many bytes of attempts are kept for an endpoint.
const MAX_BYTES: u64 = 64 << 20;
/// What the names of attempts' streams begin with.
const PREFIX: &str = "webhook.attempts:";

/// The type of an attempt's event.
const ATTEMPT: &str = "webhook.attempt";

/// Something that happened to an endpoint.
#[derive(Debug)]
pub(crate) enum Entry {
    Attempt(AttemptEntry),
    /// It fails for long.
    Alert(Alert),
    /// Nothing is sent to it any more, and why.
    Disabled(&'static str),
}

/// One attempt.
#[derive(Debug)]
pub(crate) struct AttemptEntry {
    pub(crate) message: String,
    pub(crate) offsets: Vec<Offset>,
    /// How many events batches had at most when it was made.
    pub(crate) size: BatchSize,
    /// The first is 1.
    pub(crate) number: u32,
    /// `taken`, `again`, `refused` or `gone`.
    pub(crate) outcome: &'static str,
    /// Why it failed without an answer, as a sentence.
    pub(crate) failure: Option<String>,
    pub(crate) status: Option<u16>,
    pub(crate) duration_ms: u64,
    pub(crate) excerpt: Bytes,
    pub(crate) next: Option<Timestamp>,
    /// How many successes before it were left out.
    pub(crate) left_out: u64,
}

/// Where posts put entries.
#[derive(Debug, Clone)]
pub(crate) struct Log {
    entries: mpsc::Sender<(WebhookId, Entry)>,
    metrics: Metrics,
}

impl Log {
    /// A log, with the task that writes it.
    pub(crate) fn new(
        hub: Hub,
        grant: Grant,
        options: Arc<Options>,
        metrics: Metrics,
    ) -> (Self, impl Future<Output = ()> + Send) {
        let (entries, waiting) = mpsc::channel(WAITING);
        let writing = write(hub, grant, options, waiting);
        (Self { entries, metrics }, writing)
    }

    /// Adds an entry, if there is room.
    pub(crate) fn tell(&self, id: &WebhookId, entry: Entry) {
        let is_attempt = matches!(entry, Entry::Attempt(_));
        if is_attempt && self.entries.capacity() <= FOR_ALERTS {
            self.metrics.untold.inc();
            return;
        }
        if self.entries.try_send((id.clone(), entry)).is_err() {
            self.metrics.untold.inc();
        }
    }
}

async fn write(
    hub: Hub,
    grant: Grant,
    options: Arc<Options>,
    mut waiting: mpsc::Receiver<(WebhookId, Entry)>,
) {
    let mut entries = Vec::new();
    while waiting.recv_many(&mut entries, TOGETHER).await > 0 {
        let mut drafts: Vec<(WebhookId, Draft)> = Vec::new();
        for (id, entry) in entries.drain(..) {
            let at = drafts.iter().position(|(known, _)| *known == id).unwrap_or_else(|| {
                drafts.push((id, Draft::default()));
                drafts.len() - 1
            });
            let text = event(&entry).to_string();
            let rules = hub.rules();
            if let Some((id, draft)) = drafts.get_mut(at)
                && let Err(error) = draft.push_json(text.as_bytes(), &rules, hub.rng())
            {
                tracing::debug!(integration = %id.1, %error, "an attempt was not told of");
            }
        }
        for (id, draft) in drafts {
            let Some(stream) = stream(&hub, &id, &options).await else { continue };
            let durability = Some(Durability::Relaxed);
            if let Err(error) = hub.enqueue(&grant, &stream, draft, durability).await {
                tracing::debug!(integration = %id.1, %error, "attempts were not told of");
            }
        }
    }
}

/// The stream of an endpoint's attempts, made if need be.
async fn stream(hub: &Hub, id: &WebhookId, options: &Options) -> Option<Arc<Stream>> {
    let name = name(id)?;
    if let Some(stream) = hub.stream(&id.0, &name) {
        return Some(stream);
    }
    // Of an endpoint that is gone there is nothing to tell.
    hub.integration(&id.0, &id.1)?;
    let age_ms = u64::try_from(options.attempts_age.as_millis()).unwrap_or(u64::MAX);
    let settings = StreamSettings {
        retention: Retention { age_ms, max_bytes: Some(MAX_BYTES) },
        durability: Durability::Relaxed,
        description: format!("what came of the requests to the webhook of {}", id.1),
        ..StreamSettings::default()
    };
    match hub.create_stream(&id.0, NewStream { name: name.clone(), settings }).await {
        Ok(stream) => Some(stream),
        Err(CatalogError::Exists) => hub.stream(&id.0, &name),
        Err(error) => {
            tracing::debug!(integration = %id.1, %error, "attempts are not told of");
            None
        }
    }
}

/// The name of the stream of an endpoint's attempts.
pub(crate) fn name(id: &WebhookId) -> Option<StreamName> {
    StreamName::new(&format!("{PREFIX}{}", id.1)).ok()
}

/// An entry as an event.
fn event(entry: &Entry) -> Value {
    match entry {
        Entry::Attempt(one) => json!({ "type": ATTEMPT, "body": attempt(one) }),
        Entry::Alert(Alert { percent, since, failures }) => json!({
            "type": "webhook.alert",
            "body": {
                "percent": percent, "failing_since": since.to_string(), "failures": failures,
            },
        }),
        Entry::Disabled(why) => json!({ "type": "webhook.disabled", "body": { "reason": why } }),
    }
}

fn attempt(one: &AttemptEntry) -> Value {
    let (first, last) = (one.offsets.first(), one.offsets.last());
    let mut body = json!({
        "message": one.message,
        "first_offset": first.map(ToString::to_string),
        "last_offset": last.map(ToString::to_string),
        "events": one.offsets.len(),
        "batch": one.size.get(),
        "attempt": one.number,
        "outcome": one.outcome,
        "status": one.status,
        "duration_ms": one.duration_ms,
    });
    let text = std::str::from_utf8(&one.excerpt).ok();
    let excerpt = match text {
        Some(text) => ("response", text.to_owned()),
        None => ("response_base64", STANDARD.encode(&one.excerpt)),
    };
    let next = one.next.map(|at| ("next_attempt", Value::from(at.to_string())));
    let failure = one.failure.as_ref().map(|text| ("failure", Value::from(text.as_str())));
    let runs = runs(&one.offsets);
    let runs = (runs.len() > 1).then(|| ("runs", Value::from(runs)));
    let left_out = (one.left_out > 0).then(|| ("left_out", Value::from(one.left_out)));
    let excerpt = (!one.excerpt.is_empty()).then(|| (excerpt.0, Value::from(excerpt.1)));
    if let Some(members) = body.as_object_mut() {
        let more = [runs, next, failure, left_out, excerpt].into_iter().flatten();
        members.extend(more.map(|(name, value)| (name.to_owned(), value)));
    }
    body
}

/// Offsets as runs without a gap: the first and the last of each.
fn runs(offsets: &[Offset]) -> Vec<Vec<String>> {
    let follows = |a: &Offset, b: &Offset| a.next() == *b;
    let ends = |run: &[Offset]| [run.first(), run.last()].into_iter().flatten().copied().collect();
    let runs = offsets.chunk_by(follows).map(ends);
    runs.map(|ends: Vec<Offset>| ends.iter().map(ToString::to_string).collect()).collect()
}
