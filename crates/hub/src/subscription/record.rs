//! The stored form of subscriptions: JSON with a version, one entry each.

use std::time::Duration;

use bytes::Bytes;
use outflow_model::{Offset, ProjectId, StreamName, SubscriptionName, Timestamp};
use serde::{Deserialize, Serialize};

use super::{DeliveryOrder, Source, Sources, StreamPattern, SubscriptionId, SubscriptionSettings};
use crate::Start;
use crate::selector::{Dialect, Selector};

/// Where subscriptions are in the engine's state.
pub(crate) const SUBSCRIPTIONS: &[u8] = b"catalog/subscription/";
/// Where the next subscription's number is.
pub(crate) const NEXT_SUBSCRIPTION: &[u8] = b"catalog/next-subscription";
/// Where it is noted when subscriptions were used.
pub(crate) const USED: &[u8] = b"used/";
/// The version written; newer ones are refused.
const VERSION: u32 = 1;

/// A subscription as it is stored.
#[derive(Debug, Clone)]
pub(crate) struct Stored {
    pub(crate) id: SubscriptionId,
    pub(crate) project: ProjectId,
    pub(crate) name: SubscriptionName,
    pub(crate) created: Timestamp,
    pub(crate) sources: Sources,
    pub(crate) settings: SubscriptionSettings,
}

#[derive(Serialize, Deserialize)]
struct Record {
    v: u32,
    id: u32,
    project: String,
    name: String,
    created: i64,
    sources: SourcesRecord,
    strict: bool,
    selector: Option<SelectorRecord>,
    exclusive: bool,
    group_by_key: bool,
    max_deliveries: Option<u32>,
    dead_letter: Option<String>,
    lease_ms: Option<u64>,
    idle_expiry_ms: Option<u64>,
    max_age_ms: Option<u64>,
    owns: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    no_local: bool,
    description: String,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum SourcesRecord {
    Streams(Vec<SourceRecord>),
    Matching { pattern: String, start: StartRecord },
}

#[derive(Serialize, Deserialize)]
struct SourceRecord {
    stream: String,
    start: StartRecord,
    filter: Option<SelectorRecord>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum StartRecord {
    Earliest,
    Latest,
    After(u64),
    At(i64),
}

#[derive(Serialize, Deserialize)]
struct SelectorRecord {
    text: String,
    strings_as_numbers: bool,
}

/// The key of a subscription. Projects' ids hold no `/`, so the parts stay apart.
pub(crate) fn key(project: &ProjectId, name: &SubscriptionName) -> Bytes {
    [SUBSCRIPTIONS, project.as_str().as_bytes(), b"/", name.as_str().as_bytes()].concat().into()
}

/// The key of when a subscription was used.
pub(crate) fn used_key(id: SubscriptionId) -> Bytes {
    format!("used/{:08x}", id.0).into()
}

/// The stored form of a time of use.
pub(crate) fn of_used(at: Timestamp) -> Bytes {
    at.millis().to_string().into()
}

/// Reads a time of use; `None` when it cannot be understood, which costs nothing but a delay.
pub(crate) fn used(key: &[u8], value: &[u8]) -> Option<(SubscriptionId, Timestamp)> {
    let id = std::str::from_utf8(key.strip_prefix(USED)?).ok()?;
    let at = std::str::from_utf8(value).ok()?.parse().ok()?;
    Some((SubscriptionId(u32::from_str_radix(id, 16).ok()?), Timestamp::from_millis(at)))
}

/// The stored form of a subscription.
pub(crate) fn of(stored: &Stored) -> Bytes {
    let Stored { id, project, name, created, sources, settings } = stored;
    let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    let record = Record {
        v: VERSION,
        id: id.0,
        project: project.to_string(),
        name: name.to_string(),
        created: created.millis(),
        sources: of_sources(sources),
        strict: settings.order == DeliveryOrder::Strict,
        selector: settings.selector.as_ref().map(of_selector),
        exclusive: settings.exclusive,
        group_by_key: settings.group_by_key,
        max_deliveries: settings.max_deliveries,
        dead_letter: settings.dead_letter.as_ref().map(ToString::to_string),
        lease_ms: settings.lease.map(millis),
        idle_expiry_ms: settings.idle_expiry.map(millis),
        max_age_ms: settings.max_age.map(millis),
        owns: settings.owns,
        no_local: settings.no_local,
        description: settings.description.clone(),
    };
    // A plain struct of strings and numbers: writing it cannot fail.
    serde_json::to_vec(&record).unwrap_or_default().into()
}

/// Reads a subscription.
pub(crate) fn read(value: &[u8]) -> Result<Stored, String> {
    #[derive(Deserialize)]
    struct Version {
        v: u32,
    }
    let fault = |error: serde_json::Error| error.to_string();
    let Version { v } = serde_json::from_slice(value).map_err(fault)?;
    if v > VERSION {
        return Err(format!("written by a newer version ({v}; this one knows {VERSION})"));
    }
    let record: Record = serde_json::from_slice(value).map_err(fault)?;
    let stream = |name: &str| StreamName::new(name).map_err(|error| error.to_string());
    Ok(Stored {
        id: SubscriptionId(record.id),
        project: ProjectId::new(&record.project).map_err(|error| error.to_string())?,
        name: SubscriptionName::new(&record.name).map_err(|error| error.to_string())?,
        created: Timestamp::from_millis(record.created),
        sources: sources(record.sources)?,
        settings: SubscriptionSettings {
            order: if record.strict { DeliveryOrder::Strict } else { DeliveryOrder::Normal },
            selector: record.selector.map(selector).transpose()?,
            exclusive: record.exclusive,
            group_by_key: record.group_by_key,
            max_deliveries: record.max_deliveries,
            dead_letter: record.dead_letter.as_deref().map(stream).transpose()?,
            lease: record.lease_ms.map(Duration::from_millis),
            idle_expiry: record.idle_expiry_ms.map(Duration::from_millis),
            max_age: record.max_age_ms.map(Duration::from_millis),
            owns: record.owns,
            no_local: record.no_local,
            description: record.description,
        },
    })
}

fn of_sources(sources: &Sources) -> SourcesRecord {
    match sources {
        Sources::Streams(sources) => SourcesRecord::Streams(
            sources
                .iter()
                .map(|source| SourceRecord {
                    stream: source.stream.to_string(),
                    start: of_start(source.start),
                    filter: source.filter.as_ref().map(of_selector),
                })
                .collect(),
        ),
        Sources::Matching { pattern, start } => {
            SourcesRecord::Matching { pattern: pattern.to_string(), start: of_start(*start) }
        }
    }
}

fn sources(record: SourcesRecord) -> Result<Sources, String> {
    Ok(match record {
        SourcesRecord::Streams(sources) => {
            let source = |record: SourceRecord| {
                Ok::<_, String>(Source {
                    stream: StreamName::new(&record.stream).map_err(|error| error.to_string())?,
                    start: start(&record.start),
                    filter: record.filter.map(selector).transpose()?,
                })
            };
            Sources::Streams(sources.into_iter().map(source).collect::<Result<_, _>>()?)
        }
        SourcesRecord::Matching { pattern, start: at } => Sources::Matching {
            pattern: StreamPattern::new(&pattern).map_err(|error| error.to_string())?,
            start: start(&at),
        },
    })
}

const fn of_start(start: Start) -> StartRecord {
    match start {
        Start::Earliest => StartRecord::Earliest,
        Start::Latest => StartRecord::Latest,
        Start::After(offset) => StartRecord::After(offset.get()),
        Start::At(at) => StartRecord::At(at.millis()),
    }
}

const fn start(record: &StartRecord) -> Start {
    match record {
        StartRecord::Earliest => Start::Earliest,
        StartRecord::Latest => Start::Latest,
        StartRecord::After(offset) => Start::After(Offset::new(*offset)),
        StartRecord::At(at) => Start::At(Timestamp::from_millis(*at)),
    }
}

fn of_selector(selector: &Selector) -> SelectorRecord {
    let strings_as_numbers = selector.dialect() == Dialect::StringsAsNumbers;
    SelectorRecord { text: selector.text().into(), strings_as_numbers }
}

fn selector(record: SelectorRecord) -> Result<Selector, String> {
    let SelectorRecord { text, strings_as_numbers } = record;
    let dialect = if strings_as_numbers { Dialect::StringsAsNumbers } else { Dialect::Plain };
    Selector::parse(&text, dialect).map_err(|error| error.to_string())
}
