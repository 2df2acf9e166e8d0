//! The log of attempts: a stream for each endpoint, which any face reads.
//!
//! The posts hand over what happened; one task makes events of it, `webhook.attempt`, `webhook.alert` and
//! `webhook.key_alert`, in the stream `webhook.attempts:<integration>`. That is made with the endpoint, so
//! that it can be read before there is anything to tell, or when it is first needed. Nobody waits for it.
//!
//! Invariants: a log that falls behind, or cannot be written, holds up no request: what there is no
//! room for is counted and left out, attempts before alerts; however much one project has to tell, there
//! is room for the others; what it says of an endpoint is what its own project may know.

pub(crate) mod page;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use outflow_hub::webhook::WebhookId;
use outflow_hub::{CatalogError, Durability, Hub, NewStream, Retention, Stream, StreamSettings};
use outflow_model::{Draft, Grant, Offset, ProjectId, StreamName, Timestamp};
use parking_lot::Mutex;
use serde::Serialize;
use tokio::sync::mpsc;

use crate::health::Alert;
use crate::metrics::Metrics;
use crate::options::Options;
use crate::session::Stuck;
use crate::wire::BatchSize;

/// How many entries may wait to be written.
const WAITING: usize = 4_096;
/// How many of these places no attempt takes: alerts find room however many attempts there are.
const FOR_ALERTS: usize = 512;
/// How many times the places that are left for all one project may have, as of requests under way.
const SHARE: usize = 4;
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
    /// Some of its keys do.
    Stuck(Stuck),
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
    /// How many of its kind before it were left out.
    pub(crate) left_out: u64,
}

/// How many entries of each project wait to be written; none that has none.
type Shares = Arc<Mutex<HashMap<ProjectId, usize>>>;

/// Where posts put entries.
#[derive(Debug, Clone)]
pub(crate) struct Log {
    entries: mpsc::Sender<(WebhookId, Entry)>,
    shares: Shares,
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
        let shares = Shares::default();
        let writing = write(hub, grant, options, waiting, Arc::clone(&shares));
        (Self { entries, shares, metrics }, writing)
    }

    /// Adds an entry, if there is room.
    pub(crate) fn tell(&self, id: &WebhookId, entry: Entry) {
        let kept = if matches!(entry, Entry::Attempt(_)) { FOR_ALERTS } else { 0 };
        let left = self.entries.capacity().saturating_sub(kept);
        let mut shares = self.shares.lock();
        let own = shares.get(&id.0).copied().unwrap_or(0);
        let has_room = own < left.saturating_mul(SHARE);
        if has_room && self.entries.try_send((id.clone(), entry)).is_ok() {
            shares.insert(id.0.clone(), own + 1);
        } else {
            self.metrics.untold.inc();
        }
    }
}

/// These entries wait no more.
fn release(shares: &Shares, entries: &[(WebhookId, Entry)]) {
    let mut shares = shares.lock();
    for ((project, _), _) in entries {
        if let Some(own) = shares.get_mut(project) {
            *own = own.saturating_sub(1);
            if *own == 0 {
                shares.remove(project);
            }
        }
    }
}

async fn write(
    hub: Hub,
    grant: Grant,
    options: Arc<Options>,
    mut waiting: mpsc::Receiver<(WebhookId, Entry)>,
    shares: Shares,
) {
    let mut entries = Vec::new();
    while waiting.recv_many(&mut entries, TOGETHER).await > 0 {
        release(&shares, &entries);
        let rules = hub.rules();
        let mut drafts: BTreeMap<WebhookId, Draft> = BTreeMap::new();
        for (id, entry) in entries.drain(..) {
            // Strings and numbers: writing them cannot fail.
            let Ok(text) = event(&entry) else { continue };
            let integration = id.1.clone();
            let draft = drafts.entry(id).or_default();
            if let Err(error) = draft.push_json(&text, &rules, hub.rng()) {
                tracing::debug!(%integration, %error, "an attempt was not told of");
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
pub(crate) async fn stream(hub: &Hub, id: &WebhookId, options: &Options) -> Option<Arc<Stream>> {
    let name = name(id)?;
    if let Some(stream) = hub.stream(&id.0, &name) {
        return Some(stream);
    }
    match hub.create_telling_stream(id, new(id, name.clone(), options)).await {
        Ok(stream) => Some(stream),
        // Of an endpoint that is gone there is nothing to tell.
        Err(CatalogError::NotFound) => None,
        Err(CatalogError::Exists) => hub.stream(&id.0, &name),
        Err(error) => {
            tracing::debug!(integration = %id.1, %error, "attempts are not told of");
            None
        }
    }
}

/// Makes the stream of an endpoint's attempts that may be made later.
pub(crate) async fn prepare(
    hub: &Hub,
    id: &WebhookId,
    options: &Options,
) -> Result<(), CatalogError> {
    let Some(name) = name(id) else { return Ok(()) };
    match hub.create_stream(&id.0, new(id, name, options)).await {
        Ok(_) | Err(CatalogError::Exists) => Ok(()),
        Err(error) => Err(error),
    }
}

fn new(id: &WebhookId, name: StreamName, options: &Options) -> NewStream {
    let age_ms = u64::try_from(options.attempts_age.as_millis()).unwrap_or(u64::MAX);
    let settings = StreamSettings {
        retention: Retention { age_ms, max_bytes: Some(MAX_BYTES) },
        durability: Durability::Relaxed,
        description: format!("what came of the requests to the webhook of {}", id.1),
        ..StreamSettings::default()
    };
    NewStream { name, settings }
}

/// The name of the stream of an endpoint's attempts.
pub(crate) fn name(id: &WebhookId) -> Option<StreamName> {
    StreamName::new(&format!("{PREFIX}{}", id.1)).ok()
}

/// An entry as an event.
#[derive(Debug, Serialize)]
struct Told<B> {
    #[serde(rename = "type")]
    event_type: &'static str,
    body: B,
}

#[derive(Debug, Serialize)]
struct AlertBody {
    percent: u8,
    failing_since: String,
    failures: u32,
}

#[derive(Debug, Serialize)]
struct StuckBody {
    keys: usize,
    failing_since: String,
    failures: u32,
    first_offset: String,
}

#[derive(Debug, Serialize)]
struct DisabledBody {
    reason: &'static str,
}

#[derive(Debug, Serialize)]
struct AttemptBody<'a> {
    message: &'a str,
    first_offset: Option<String>,
    last_offset: Option<String>,
    events: usize,
    batch: usize,
    attempt: u32,
    outcome: &'static str,
    status: Option<u16>,
    duration_ms: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    runs: Option<Vec<Vec<String>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_attempt: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    left_out: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_base64: Option<String>,
}

/// An entry as the text of an event.
fn event(entry: &Entry) -> serde_json::Result<Vec<u8>> {
    match entry {
        Entry::Attempt(one) => {
            serde_json::to_vec(&Told { event_type: ATTEMPT, body: attempt(one) })
        }
        Entry::Alert(Alert { percent, since, failures }) => {
            let failing_since = since.to_string();
            let body = AlertBody { percent: *percent, failing_since, failures: *failures };
            serde_json::to_vec(&Told { event_type: "webhook.alert", body })
        }
        Entry::Stuck(Stuck { keys, since, failures, first }) => {
            let (failing_since, first_offset) = (since.to_string(), first.to_string());
            let (keys, failures) = (*keys, *failures);
            let body = StuckBody { keys, failing_since, failures, first_offset };
            serde_json::to_vec(&Told { event_type: "webhook.key_alert", body })
        }
        Entry::Disabled(reason) => {
            let body = DisabledBody { reason };
            serde_json::to_vec(&Told { event_type: "webhook.disabled", body })
        }
    }
}

fn attempt(one: &AttemptEntry) -> AttemptBody<'_> {
    let text = std::str::from_utf8(&one.excerpt);
    let runs = runs(&one.offsets);
    AttemptBody {
        message: &one.message,
        first_offset: one.offsets.first().map(ToString::to_string),
        last_offset: one.offsets.last().map(ToString::to_string),
        events: one.offsets.len(),
        batch: one.size.get(),
        attempt: one.number,
        outcome: one.outcome,
        status: one.status,
        duration_ms: one.duration_ms,
        runs: (runs.len() > 1).then_some(runs),
        next_attempt: one.next.map(|at| at.to_string()),
        failure: one.failure.as_deref(),
        left_out: (one.left_out > 0).then_some(one.left_out),
        response: text.ok().filter(|text| !text.is_empty()),
        response_base64: text.is_err().then(|| STANDARD.encode(&one.excerpt)),
    }
}

/// Offsets as runs without a gap: the first and the last of each.
fn runs(offsets: &[Offset]) -> Vec<Vec<String>> {
    let follows = |a: &Offset, b: &Offset| a.next() == *b;
    let ends = |run: &[Offset]| [run.first(), run.last()].into_iter().flatten().copied().collect();
    let runs = offsets.chunk_by(follows).map(ends);
    runs.map(|ends: Vec<Offset>| ends.iter().map(ToString::to_string).collect()).collect()
}

#[cfg(test)]
mod tests {
    use outflow_model::IntegrationId;

    use super::*;

    fn id(project: &str, integration: &str) -> WebhookId {
        (ProjectId::new(project).unwrap(), IntegrationId::new(integration).unwrap())
    }

    fn entry() -> Entry {
        Entry::Attempt(AttemptEntry {
            message: "msg_1".into(),
            offsets: vec![Offset::new(1), Offset::new(2), Offset::new(5)],
            size: BatchSize::default(),
            number: 1,
            outcome: "again",
            failure: Some("no answer came in time".into()),
            status: None,
            duration_ms: 15_000,
            excerpt: Bytes::new(),
            next: None,
            left_out: 0,
        })
    }

    #[tokio::test]
    async fn what_one_project_has_to_tell_leaves_room_for_the_others() {
        let (entries, mut waiting) = mpsc::channel(WAITING);
        let log = Log { entries, shares: Shares::default(), metrics: Metrics::default() };
        let (loud, quiet) = (id("loud", "a"), id("quiet", "b"));
        let tell = |of: &WebhookId, count: usize| {
            let before = log.entries.capacity();
            (0..count).for_each(|_| log.tell(of, entry()));
            before - log.entries.capacity()
        };
        assert!(tell(&loud, 100_000) < WAITING);
        assert_eq!(tell(&quiet, 300), 300, "all of what the other has to tell");
        let before = log.entries.capacity();
        log.tell(&loud, Entry::Disabled("failing"));
        assert_eq!(before - log.entries.capacity(), 1, "an alert finds room");
        // What is written leaves its place.
        let mut some = Vec::new();
        waiting.recv_many(&mut some, WAITING).await;
        release(&log.shares, &some);
        assert!(log.shares.lock().is_empty());
        assert_eq!(tell(&loud, 1_000), 1_000);
    }

    #[test]
    fn an_attempt_is_told_with_what_there_is_of_it() {
        let text = String::from_utf8(event(&entry()).unwrap()).unwrap();
        let [first, second, last] = [1, 2, 5].map(Offset::new);
        let expected = format!(
            "{{\"type\":\"webhook.attempt\",\"body\":{{\"message\":\"msg_1\",\
             \"first_offset\":\"{first}\",\"last_offset\":\"{last}\",\"events\":3,\"batch\":10,\
             \"attempt\":1,\"outcome\":\"again\",\"status\":null,\"duration_ms\":15000,\
             \"runs\":[[\"{first}\",\"{second}\"],[\"{last}\",\"{last}\"]],\
             \"failure\":\"no answer came in time\"}}}}"
        );
        assert_eq!(text, expected);
    }
}
