//! Reading the log of attempts, the last one first, and finding the events of a message in it.
//!
//! Called by `service`, for those who configure endpoints. The log is a stream, which is read forwards,
//! so it is gone through stretch by stretch from its end back.
//!
//! Invariant: what is asked for once looks at no more than [`LOOKED_AT`] or [`SEARCHED`] entries.

use std::ops::ControlFlow;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use outflow_hub::subscription::{BodyView, EventView};
use outflow_hub::webhook::WebhookId;
use outflow_hub::webhook::attempt::{AttemptPage, AttemptQuery, WebhookAttempt};
use outflow_hub::{CatalogError, Hub, Stream};
use outflow_model::{Offset, Timestamp};
use serde::Deserialize;

use super::{ATTEMPT, name};
use crate::wire::BatchSize;

/// How many entries are read at once.
const STRETCH: u64 = 256;
/// How many entries are looked at for a page.
const LOOKED_AT: u64 = 10_000;
/// How many entries are looked at for a message.
const SEARCHED: u64 = 100_000;
/// The most events of a message.
const MAX_EVENTS: u64 = 100;

/// An attempt as `attempts` writes it.
#[derive(Debug, Deserialize)]
struct Record {
    message: String,
    first_offset: String,
    last_offset: String,
    #[serde(default)]
    runs: Vec<(String, String)>,
    #[serde(default)]
    batch: Option<u64>,
    attempt: u32,
    outcome: String,
    status: Option<u16>,
    failure: Option<String>,
    duration_ms: u64,
    next_attempt: Option<String>,
    #[serde(default)]
    left_out: u64,
    #[serde(default)]
    response: String,
    response_base64: Option<String>,
}

/// The events of a message that was sent, and in batches of which size it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sent {
    pub(crate) offsets: Vec<Offset>,
    pub(crate) size: Option<BatchSize>,
}

impl Record {
    fn of(event: &EventView) -> Option<Self> {
        if event.event_type() != ATTEMPT {
            return None;
        }
        let BodyView::Json(body) = event.body() else { return None };
        serde_json::from_slice(body).ok()
    }

    /// Which events: runs of offsets without a gap, of no more events than a message has; `None`: there is
    /// no such message.
    fn runs(&self) -> Option<Vec<(Offset, Offset)>> {
        let mut left = MAX_EVENTS;
        let mut run = |first: &str, last: &str| {
            let (first, last): (u64, u64) = (first.parse().ok()?, last.parse().ok()?);
            if last > Offset::LAST.get() {
                return None;
            }
            left = left.checked_sub(last.checked_sub(first)?.checked_add(1)?)?;
            Some((Offset::new(first), Offset::new(last)))
        };
        if self.runs.is_empty() {
            return Some(vec![run(&self.first_offset, &self.last_offset)?]);
        }
        self.runs.iter().map(|(first, last)| run(first, last)).collect()
    }

    fn shown(self, event: &EventView) -> Option<WebhookAttempt> {
        let runs = self.runs()?;
        let decode = |text: String| STANDARD.decode(text).ok().map(Bytes::from);
        let excerpt = self.response_base64.and_then(decode);
        let next = self.next_attempt.as_deref();
        Some(WebhookAttempt {
            at: event.offset(),
            ended: event.meta().processed,
            message: self.message,
            runs,
            number: self.attempt,
            outcome: self.outcome,
            status: self.status,
            failure: self.failure,
            duration_ms: self.duration_ms,
            excerpt: excerpt.unwrap_or_else(|| self.response.into()),
            next_attempt: next.and_then(|text| Timestamp::parse_rfc3339(text.as_bytes())),
            left_out: self.left_out,
        })
    }

    fn sent(&self) -> Option<Sent> {
        let runs = self.runs()?.into_iter();
        let offsets = runs.flat_map(|(first, last)| first.get()..=last.get()).map(Offset::new);
        let offsets = offsets.collect();
        let size = self.batch.and_then(|size| BatchSize::new(size).ok());
        Some(Sent { offsets, size })
    }
}

/// The log of an endpoint, if there is one: it is made with its first entry.
fn log(hub: &Hub, id: &WebhookId) -> Option<Arc<Stream>> {
    hub.stream(&id.0, &name(id)?)
}

/// A page of attempts.
///
/// # Errors
/// [`CatalogError::Unavailable`].
pub(crate) async fn page(
    hub: &Hub,
    id: &WebhookId,
    query: &AttemptQuery,
) -> Result<AttemptPage, CatalogError> {
    let mut attempts = Vec::new();
    let Some(stream) = log(hub, id) else { return Ok(AttemptPage { attempts, next: None }) };
    let (first, end) = hub.stretch_since(&stream, query.since).await?;
    let mut end = query.before.map_or(end, |before| before.min(end));
    let least = back(end, LOOKED_AT).max(first);
    let is_wanted = |record: &Record, event: &EventView| {
        query.status.is_none_or(|status| status.is_of(&record.outcome, record.status))
            && query.since.is_none_or(|since| event.meta().processed >= since)
    };
    while end > least {
        let from = back(end, STRETCH).max(least);
        let mut found = Vec::new();
        let look = |event: EventView| {
            let record = Record::of(&event).filter(|record| is_wanted(record, &event));
            found.extend(record.and_then(|record| record.shown(&event)));
            ControlFlow::<()>::Continue(())
        };
        hub.look_through(&stream, from, end, look).await?;
        for attempt in found.into_iter().rev() {
            if attempts.len() >= query.limit {
                let next = attempts.last().map(|last: &WebhookAttempt| last.at);
                return Ok(AttemptPage { attempts, next });
            }
            attempts.push(attempt);
        }
        end = from;
    }
    Ok(AttemptPage { attempts, next: Some(end).filter(|end| *end > first) })
}

/// What a message was, as the log tells of the last attempt at it.
///
/// # Errors
/// [`CatalogError::Unavailable`].
pub(crate) async fn find(
    hub: &Hub,
    id: &WebhookId,
    message: &str,
) -> Result<Option<Sent>, CatalogError> {
    let Some(stream) = log(hub, id) else { return Ok(None) };
    let (first, mut end) = hub.stretch_since(&stream, None).await?;
    let least = back(end, SEARCHED).max(first);
    while end > least {
        let from = back(end, STRETCH).max(least);
        let look = |event: EventView| match Record::of(&event) {
            Some(record) if record.message == message => ControlFlow::Break(record.sent()),
            Some(_) | None => ControlFlow::Continue(()),
        };
        if let Some(sent) = hub.look_through(&stream, from, end, look).await? {
            return Ok(sent);
        }
        end = from;
    }
    Ok(None)
}

fn back(from: Offset, by: u64) -> Offset {
    Offset::new(from.get().saturating_sub(by))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(runs: &[[&str; 2]]) -> Record {
        let [first, last] = runs[0];
        let text = serde_json::json!({
            "message": "msg_1", "first_offset": first, "last_offset": last, "runs": &runs[1..],
            "attempt": 1, "outcome": "again", "status": null, "failure": null, "duration_ms": 1,
            "next_attempt": null, "response_base64": null,
        });
        serde_json::from_value(text).unwrap()
    }

    #[test]
    fn a_record_of_what_no_message_can_be_tells_of_none() {
        let odd: &[&[[&str; 2]]] = &[
            &[["0", "18446744073709551615"]],
            &[["18446744073709551615", "18446744073709551615"]],
            &[["9007199254740992", "9007199254740992"]],
            &[["2", "1"]],
            &[["1", "101"]],
            &[["1", "2"], ["1", "100"], ["200", "200"]],
            &[["1", "2"], ["0", "18446744073709551614"], ["0", "18446744073709551614"]],
            &[["1", "2"], ["", "2"]],
            &[["-1", "2"]],
        ];
        for runs in odd {
            assert_eq!(record(runs).runs(), None, "{runs:?}");
            assert_eq!(record(runs).sent(), None, "{runs:?}");
        }
        let one = record(&[["1", "100"], ["1", "99"], ["9007199254740991", "9007199254740991"]]);
        let sent = one.sent().unwrap();
        assert_eq!((sent.offsets.len(), sent.offsets.last()), (100, Some(&Offset::LAST)));
        assert_eq!(record(&[["1", "100"]]).sent().unwrap().offsets.len(), 100);
    }
}
