//! The stored form of the catalog: JSON with a version, one entry a thing.

use std::sync::Arc;

use bytes::Bytes;
use outflow_model::{IntegrationId, Offset, ProjectId, StreamId, StreamName, Timestamp};
use outflow_store::{Durability, Retention};
use serde::{Deserialize, Serialize};

use crate::stream::Lane;
use crate::webhook::{self, record::WebhookRecord};
use crate::{
    Cursor, Dedup, EntityType, EntityTypes, Ingest, IngestFormat, IngestMode, Integration,
    LandingFile, LandingPlace, Project, ProjectLimits, Stream, StreamSettings, Subscriber,
};

/// Where projects are in the engine's state.
pub(crate) const PROJECTS: &[u8] = b"catalog/project/";
/// Where streams are.
pub(crate) const STREAMS: &[u8] = b"catalog/stream/";
/// Where integrations are.
pub(crate) const INTEGRATIONS: &[u8] = b"catalog/integration/";
/// Where the next stream's number is.
pub(crate) const NEXT_STREAM: &[u8] = b"catalog/next-stream";

/// Where subscribers are.
pub(crate) const SUBSCRIBERS: &[u8] = b"catalog/subscriber/";
/// Where deleted streams ended is: a stream of the same name begins there.
pub(crate) const ENDED: &[u8] = b"catalog/ended/";

/// The version written; newer ones are refused.
const VERSION: u32 = 1;

/// Why an entry cannot be read.
type Fault = String;

#[derive(Serialize, Deserialize)]
struct ProjectRecord {
    v: u32,
    id: String,
    name: String,
    created: i64,
    basic_auth: bool,
    default_stream: String,
    connections: u32,
}

#[derive(Serialize, Deserialize)]
struct StreamRecord {
    v: u32,
    id: u32,
    project: String,
    name: String,
    created: i64,
    age_ms: u64,
    max_bytes: Option<u64>,
    relaxed: bool,
    dedup: Option<DedupRecord>,
    description: String,
    /// Absent: the first offset of all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    begins: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ingest: Option<IngestRecord>,
    /// Absent: the stream is not keyed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    entities: Option<Vec<EntityTypeRecord>>,
    /// Absent: the change feed sends all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    feed_types: Option<std::collections::BTreeSet<String>>,
}

#[derive(Serialize, Deserialize)]
struct IngestRecord {
    name: String,
    format: String,
    mode: String,
}

#[derive(Serialize, Deserialize)]
struct EntityTypeRecord {
    name: String,
    keys: Vec<Vec<String>>,
    group: Option<String>,
    depends_on: Vec<String>,
}

#[derive(Serialize, Deserialize)]
struct DedupRecord {
    window_ms: u64,
    max_ids: u32,
}

#[derive(Serialize, Deserialize)]
struct IntegrationRecord {
    v: u32,
    id: String,
    project: String,
    name: String,
    description: String,
    send_location: bool,
    event_types: Option<std::collections::BTreeSet<String>>,
    compliance: bool,
    max_connections: u32,
    created: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    webhook: Option<WebhookRecord>,
}

#[derive(Serialize, Deserialize)]
struct CursorRecord {
    v: u32,
    name: String,
    offset: u64,
    updated: i64,
}

#[derive(Serialize, Deserialize)]
struct LandingRecord {
    v: u32,
    done: u64,
    file: Option<LandingFileRecord>,
}

#[derive(Serialize, Deserialize)]
struct LandingFileRecord {
    first: u64,
    at: i64,
    end: u64,
}

#[derive(Serialize, Deserialize)]
struct SubscriberRecord {
    v: u32,
    project: String,
    id: String,
    name: String,
    owner: String,
    created: i64,
}

#[derive(Serialize, Deserialize)]
struct EndedRecord {
    v: u32,
    next: u64,
}

#[derive(Serialize, Deserialize)]
struct CounterRecord {
    v: u32,
    next: u32,
}

/// The key of a project.
pub(crate) fn project_key(id: &ProjectId) -> Bytes {
    [PROJECTS, id.as_str().as_bytes()].concat().into()
}

/// The key of a stream. Projects' ids hold no `/`, so the parts stay apart.
pub(crate) fn stream_key(project: &ProjectId, name: &StreamName) -> Bytes {
    [STREAMS, project.as_str().as_bytes(), b"/", name.as_str().as_bytes()].concat().into()
}

/// The key of where the last stream of a name ended.
pub(crate) fn ended_key(project: &ProjectId, name: &StreamName) -> Bytes {
    [ENDED, project.as_str().as_bytes(), b"/", name.as_str().as_bytes()].concat().into()
}

/// The prefix of where a project's deleted streams ended; itself the key of the highest end of those
/// that are not kept one by one.
pub(crate) fn ended_prefix(project: &ProjectId) -> Bytes {
    [ENDED, project.as_str().as_bytes(), b"/"].concat().into()
}

/// The key of an integration.
pub(crate) fn integration_key(project: &ProjectId, id: &IntegrationId) -> Bytes {
    [INTEGRATIONS, project.as_str().as_bytes(), b"/", id.as_str().as_bytes()].concat().into()
}

/// The stored form of a project.
pub(crate) fn of_project(project: &Project) -> Bytes {
    bytes(&ProjectRecord {
        v: VERSION,
        id: project.id.to_string(),
        name: project.name.clone(),
        created: project.created.millis(),
        basic_auth: project.basic_auth,
        default_stream: project.default_stream.to_string(),
        connections: project.limits.connections,
    })
}

/// Reads a project.
pub(crate) fn project(value: &[u8]) -> Result<Project, Fault> {
    let record: ProjectRecord = read(value)?;
    Ok(Project {
        id: ProjectId::new(&record.id).map_err(fault)?,
        name: record.name,
        created: Timestamp::from_millis(record.created),
        basic_auth: record.basic_auth,
        default_stream: StreamName::new(&record.default_stream).map_err(fault)?,
        limits: ProjectLimits { connections: record.connections },
    })
}

/// The stored form of a stream.
pub(crate) fn of_stream(stream: &Stream) -> Bytes {
    let StreamSettings { retention, durability, dedup, entities, feed_types, description, ingest } =
        &stream.settings;
    bytes(&StreamRecord {
        v: VERSION,
        id: stream.id.0,
        project: stream.project.to_string(),
        name: stream.name.to_string(),
        created: stream.created.millis(),
        age_ms: retention.age_ms,
        max_bytes: retention.max_bytes,
        relaxed: *durability == Durability::Relaxed,
        dedup: dedup.map(|Dedup { window_ms, max_ids }| DedupRecord { window_ms, max_ids }),
        description: description.clone(),
        begins: Some(stream.begins.get()).filter(|_| stream.begins > Offset::FIRST),
        ingest: ingest.as_ref().map(|Ingest { name, format, mode }| IngestRecord {
            name: name.clone(),
            format: format.as_str().into(),
            mode: mode.as_str().into(),
        }),
        feed_types: feed_types.clone(),
        entities: entities.as_ref().map(|types| types.all().iter().map(of_entity_type).collect()),
    })
}

fn of_entity_type(one: &EntityType) -> EntityTypeRecord {
    let EntityType { name, keys, group, depends_on } = one.clone();
    EntityTypeRecord { name, keys, group, depends_on }
}

fn entity_type(record: EntityTypeRecord) -> EntityType {
    let EntityTypeRecord { name, keys, group, depends_on } = record;
    EntityType { name, keys, group, depends_on }
}

/// Reads a stream.
pub(crate) fn stream(value: &[u8]) -> Result<Stream, Fault> {
    let record: StreamRecord = read(value)?;
    let dedup = record.dedup.map(|DedupRecord { window_ms, max_ids }| Dedup { window_ms, max_ids });
    let types = record.entities.map(|types| types.into_iter().map(entity_type).collect());
    let entities = types.map(EntityTypes::new).transpose().map_err(fault)?;
    Ok(Stream {
        id: StreamId(record.id),
        project: ProjectId::new(&record.project).map_err(fault)?,
        name: StreamName::new(&record.name).map_err(fault)?,
        created: Timestamp::from_millis(record.created),
        settings: StreamSettings {
            retention: Retention { age_ms: record.age_ms, max_bytes: record.max_bytes },
            durability: if record.relaxed { Durability::Relaxed } else { Durability::Synced },
            dedup,
            entities: entities.map(Arc::new),
            feed_types: record.feed_types,
            description: record.description,
            ingest: record.ingest.as_ref().map(ingest).transpose()?,
        },
        begins: record.begins.map_or(Offset::FIRST, Offset::new),
        lane: Lane::new(StreamId(record.id)),
    })
}

fn ingest(record: &IngestRecord) -> Result<Ingest, Fault> {
    let format = IngestFormat::parse(&record.format);
    let mode = IngestMode::parse(&record.mode);
    let both = format.zip(mode).ok_or_else(|| "unknown format or mode of ingest".to_owned());
    both.map(|(format, mode)| Ingest { name: record.name.clone(), format, mode })
}

/// The stored form of an integration.
pub(crate) fn of_integration(one: &Integration) -> Bytes {
    bytes(&IntegrationRecord {
        v: VERSION,
        id: one.id.to_string(),
        project: one.project.to_string(),
        name: one.name.clone(),
        description: one.description.clone(),
        send_location: one.send_location,
        event_types: one.event_types.clone(),
        compliance: one.compliance,
        max_connections: one.max_connections,
        created: one.created.millis(),
        webhook: one.webhook.as_ref().map(webhook::record::of),
    })
}

/// Reads an integration.
pub(crate) fn integration(value: &[u8]) -> Result<Integration, Fault> {
    let record: IntegrationRecord = read(value)?;
    Ok(Integration {
        id: IntegrationId::new(&record.id).map_err(fault)?,
        project: ProjectId::new(&record.project).map_err(fault)?,
        name: record.name,
        description: record.description,
        send_location: record.send_location,
        event_types: record.event_types,
        compliance: record.compliance,
        max_connections: record.max_connections,
        created: Timestamp::from_millis(record.created),
        webhook: record.webhook.map(webhook::record::read).transpose()?,
    })
}

/// The stored form of a cursor.
pub(crate) fn of_cursor(cursor: &Cursor) -> Bytes {
    let (offset, updated) = (cursor.offset.get(), cursor.updated.millis());
    bytes(&CursorRecord { v: VERSION, name: cursor.name.clone(), offset, updated })
}

/// Reads a cursor.
pub(crate) fn cursor(value: &[u8]) -> Result<Cursor, Fault> {
    let CursorRecord { name, offset, updated, .. } = read(value)?;
    Ok(Cursor { name, offset: Offset::new(offset), updated: Timestamp::from_millis(updated) })
}

/// The stored form of how far a stream has landed.
pub(crate) fn of_landing(place: &LandingPlace) -> Bytes {
    let file = place.file.map(|file| LandingFileRecord {
        first: file.first.get(),
        at: file.at.millis(),
        end: file.end.get(),
    });
    bytes(&LandingRecord { v: VERSION, done: place.done.get(), file })
}

/// Reads how far a stream has landed.
pub(crate) fn landing(value: &[u8]) -> Result<LandingPlace, Fault> {
    let LandingRecord { done, file, .. } = read(value)?;
    let file = file.map(|file| LandingFile {
        first: Offset::new(file.first),
        at: Timestamp::from_millis(file.at),
        end: Offset::new(file.end),
    });
    Ok(LandingPlace { done: Offset::new(done), file })
}

/// The stored form of a subscriber.
pub(crate) fn of_subscriber(one: &Subscriber) -> Bytes {
    bytes(&SubscriberRecord {
        v: VERSION,
        project: one.project.to_string(),
        id: one.id.clone(),
        name: one.name.clone(),
        owner: one.owner.clone(),
        created: one.created.millis(),
    })
}

/// Reads a subscriber.
pub(crate) fn subscriber(value: &[u8]) -> Result<Subscriber, Fault> {
    let SubscriberRecord { project, id, name, owner, created, .. } = read(value)?;
    let project = ProjectId::new(&project).map_err(fault)?;
    Ok(Subscriber { project, id, name, owner, created: Timestamp::from_millis(created) })
}

/// The stored form of where a stream ended: the offset after its last event.
pub(crate) fn of_ended(next: Offset) -> Bytes {
    bytes(&EndedRecord { v: VERSION, next: next.get() })
}

/// Reads where a stream ended.
pub(crate) fn ended(value: &[u8]) -> Result<Offset, Fault> {
    Ok(Offset::new(read::<EndedRecord>(value)?.next))
}

/// The stored form of the next stream's number.
pub(crate) fn of_counter(next: u32) -> Bytes {
    bytes(&CounterRecord { v: VERSION, next })
}

/// Reads the next stream's number.
pub(crate) fn counter(value: &[u8]) -> Result<u32, Fault> {
    Ok(read::<CounterRecord>(value)?.next)
}

fn bytes<T: Serialize>(record: &T) -> Bytes {
    // Records are plain structs of strings and numbers: writing one cannot fail, and an empty
    // value would be refused when read.
    serde_json::to_vec(record).unwrap_or_default().into()
}

/// Looks at the version first: a newer form may not even parse.
fn read<T: for<'de> Deserialize<'de>>(value: &[u8]) -> Result<T, Fault> {
    #[derive(Deserialize)]
    struct Version {
        v: u32,
    }
    let Version { v } = serde_json::from_slice(value).map_err(fault)?;
    if v > VERSION {
        return Err(format!("written by a newer version ({v}; this one knows {VERSION})"));
    }
    serde_json::from_slice(value).map_err(fault)
}

fn fault(error: impl std::fmt::Display) -> Fault {
    error.to_string()
}
