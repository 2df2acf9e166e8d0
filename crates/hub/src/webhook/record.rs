//! The stored form of a webhook: a part of its integration's record.

use std::time::Duration;

use outflow_model::StreamName;
use serde::{Deserialize, Serialize};

use super::Webhook;

/// See the module.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct WebhookRecord {
    stream: String,
    url: String,
    batch: u32,
    lanes: Option<u32>,
    gzip: bool,
    filter: Option<String>,
    style: String,
    pauses_ms: Vec<u64>,
    timeout_ms: Option<u64>,
    disable_after_ms: Option<u64>,
    paused: bool,
}

/// The stored form.
pub(crate) fn of(one: &Webhook) -> WebhookRecord {
    let millis = |time: &Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    WebhookRecord {
        stream: one.stream.to_string(),
        url: one.url.clone(),
        batch: one.batch,
        lanes: one.lanes,
        gzip: one.gzip,
        filter: one.filter.clone(),
        style: one.style.clone(),
        pauses_ms: one.pauses.iter().map(millis).collect(),
        timeout_ms: one.timeout.as_ref().map(millis),
        disable_after_ms: one.disable_after.as_ref().map(millis),
        paused: one.paused,
    }
}

/// Reads the stored form.
pub(crate) fn read(record: WebhookRecord) -> Result<Webhook, String> {
    Ok(Webhook {
        stream: StreamName::new(&record.stream).map_err(|error| error.to_string())?,
        url: record.url,
        batch: record.batch,
        lanes: record.lanes,
        gzip: record.gzip,
        filter: record.filter,
        style: record.style,
        pauses: record.pauses_ms.into_iter().map(Duration::from_millis).collect(),
        timeout: record.timeout_ms.map(Duration::from_millis),
        disable_after: record.disable_after_ms.map(Duration::from_millis),
        paused: record.paused,
    })
}
