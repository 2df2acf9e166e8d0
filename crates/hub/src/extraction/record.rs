//! The stored form of extraction jobs: JSON with a version, one entry each.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use outflow_model::{Offset, ProjectId, StreamId, StreamName, Timestamp};
use outflow_store::{Condition, Op, Put};
use serde::{Deserialize, Serialize};

use super::{Extraction, ExtractionState};

/// Where jobs are in the engine's state.
pub(super) const EXTRACTIONS: &[u8] = b"extraction/";
/// The version written; newer ones are refused.
const VERSION: u32 = 1;

#[derive(Serialize, Deserialize)]
struct Record {
    v: u32,
    id: u32,
    project: String,
    stream: String,
    stream_id: u32,
    /// Not in records of before it was told apart.
    #[serde(default)]
    begins: u64,
    types: Vec<String>,
    state: StateRecord,
    types_done: usize,
    /// The key of the last entity sent, in base64.
    after: Option<String>,
    entities: u64,
    first: Option<u64>,
    last: Option<u64>,
    created: i64,
    finished: Option<i64>,
    error: Option<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum StateRecord {
    Queued,
    Running,
    Done,
    Failed,
    Cancelled,
}

fn key(project: &ProjectId, id: u32) -> Bytes {
    let number = format!("/{id:010}");
    [EXTRACTIONS, project.as_str().as_bytes(), number.as_bytes()].concat().into()
}

/// What removes a job's record.
pub(super) fn removal(project: &ProjectId, id: u32) -> Op {
    Op::Put(Put { key: key(project, id), value: None, condition: Condition::Any })
}

/// What stores a job as it is.
pub(super) fn put(one: &Extraction) -> Op {
    let record = Record {
        v: VERSION,
        id: one.id,
        project: one.project.to_string(),
        stream: one.stream.to_string(),
        stream_id: one.stream_id.0,
        begins: one.begins.get(),
        types: one.types.clone(),
        state: match one.state {
            ExtractionState::Queued => StateRecord::Queued,
            ExtractionState::Running => StateRecord::Running,
            ExtractionState::Done => StateRecord::Done,
            ExtractionState::Failed => StateRecord::Failed,
            ExtractionState::Cancelled => StateRecord::Cancelled,
        },
        types_done: one.types_done,
        after: one.after.as_ref().map(|key| STANDARD.encode(key)),
        entities: one.entities,
        first: one.first.map(Offset::get),
        last: one.last.map(Offset::get),
        created: one.created.millis(),
        finished: one.finished.map(Timestamp::millis),
        error: one.error.clone(),
    };
    // A plain struct of strings and numbers: writing it cannot fail, and an empty value would be
    // refused when read.
    let value = serde_json::to_vec(&record).unwrap_or_default();
    let (key, value) = (key(&one.project, one.id), Some(value.into()));
    Op::Put(Put { key, value, condition: Condition::Any })
}

/// Reads a job.
pub(super) fn read(value: &[u8]) -> Result<Extraction, String> {
    let fault = |error: &dyn std::fmt::Display| format!("an extraction job: {error}");
    let record: Record = serde_json::from_slice(value).map_err(|error| fault(&error))?;
    if record.v > VERSION {
        return Err(fault(&"written by a newer version"));
    }
    let after = record.after.map(|text| STANDARD.decode(text)).transpose();
    Ok(Extraction {
        id: record.id,
        project: ProjectId::new(&record.project).map_err(|error| fault(&error))?,
        stream: StreamName::new(&record.stream).map_err(|error| fault(&error))?,
        stream_id: StreamId(record.stream_id),
        begins: Offset::new(record.begins),
        types: record.types,
        state: match record.state {
            StateRecord::Queued => ExtractionState::Queued,
            StateRecord::Running => ExtractionState::Running,
            StateRecord::Done => ExtractionState::Done,
            StateRecord::Failed => ExtractionState::Failed,
            StateRecord::Cancelled => ExtractionState::Cancelled,
        },
        types_done: record.types_done,
        after: after.map_err(|error| fault(&error))?.map(Into::into),
        entities: record.entities,
        first: record.first.map(Offset::new),
        last: record.last.map(Offset::new),
        created: Timestamp::from_millis(record.created),
        finished: record.finished.map(Timestamp::from_millis),
        error: record.error,
    })
}
