//! The stored form of an API key: JSON with a version, under `auth/api-key/<id>`.
//!
//! Holds signing keys as they are: whoever checks signatures by HMAC must have them. Client secrets
//! are kept as SHA-256 only (docs/decisions/0013).

use std::collections::BTreeSet;

use bytes::Bytes;
use outflow_model::{CredentialId, ProjectId, StreamName, Timestamp};
use serde::{Deserialize, Serialize};

use super::ring::{Generation, Held};
use crate::record::{from_hex, hex};
use crate::{AuthError, Scope};

/// Where API keys are in the engine's state.
pub(crate) const PREFIX: &[u8] = b"auth/api-key/";
/// The version written; a newer one is refused.
const VERSION: u32 = 1;

#[derive(Serialize, Deserialize)]
struct Record {
    v: u32,
    id: String,
    project: String,
    name: String,
    scopes: Vec<String>,
    streams: Option<Vec<String>>,
    created: i64,
    current: GenerationRecord,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    deposed: Option<DeposedRecord>,
}

#[derive(Serialize, Deserialize)]
struct GenerationRecord {
    number: u32,
    created: i64,
    signing: String,
    sha256: String,
    last4: String,
}

#[derive(Serialize, Deserialize)]
struct DeposedRecord {
    until: i64,
    generation: GenerationRecord,
}

/// The key of an API key's record.
pub(crate) fn key(id: &CredentialId) -> Bytes {
    [PREFIX, id.as_str().as_bytes()].concat().into()
}

/// The stored form.
pub(crate) fn encode(held: &Held) -> Result<Bytes, AuthError> {
    let record = Record {
        v: VERSION,
        id: held.id.to_string(),
        project: held.project.to_string(),
        name: held.name.clone(),
        scopes: held.scopes.iter().map(ToString::to_string).collect(),
        streams: held.streams.as_ref().map(|all| all.iter().map(ToString::to_string).collect()),
        created: held.created.millis(),
        current: of_generation(&held.current),
        deposed: held.deposed.as_ref().map(|(generation, until)| DeposedRecord {
            until: until.millis(),
            generation: of_generation(generation),
        }),
    };
    let corrupt = |error: serde_json::Error| AuthError::Corrupt(error.to_string());
    serde_json::to_vec(&record).map(Bytes::from).map_err(corrupt)
}

/// Reads the stored form.
pub(crate) fn decode(value: &[u8]) -> Result<Held, AuthError> {
    let corrupt = |what: &str| AuthError::Corrupt(what.into());
    let record: Record =
        serde_json::from_slice(value).map_err(|error| corrupt(&error.to_string()))?;
    if record.v > VERSION {
        return Err(corrupt("written by a newer version"));
    }
    let scopes = record.scopes.iter().map(|word| Scope::parse(word)).collect::<Option<_>>();
    let streams = |all: &Vec<String>| {
        all.iter().map(|text| StreamName::new(text)).collect::<Result<BTreeSet<_>, _>>()
    };
    let deposed = |one: &DeposedRecord| {
        Some((generation(&one.generation)?, Timestamp::from_millis(one.until)))
    };
    let name = |_| corrupt("bad name");
    Ok(Held {
        id: CredentialId::new(&record.id).map_err(name)?,
        project: ProjectId::new(&record.project).map_err(name)?,
        name: record.name,
        scopes: scopes.ok_or_else(|| corrupt("unknown scope"))?,
        streams: record.streams.as_ref().map(streams).transpose().map_err(name)?,
        created: Timestamp::from_millis(record.created),
        current: generation(&record.current).ok_or_else(|| corrupt("bad secret"))?,
        deposed: match &record.deposed {
            Some(one) => Some(deposed(one).ok_or_else(|| corrupt("bad secret"))?),
            None => None,
        },
    })
}

fn of_generation(one: &Generation) -> GenerationRecord {
    GenerationRecord {
        number: one.number,
        created: one.created.millis(),
        signing: hex(&one.signing),
        sha256: hex(&one.secret_hash),
        last4: one.last4.clone(),
    }
}

fn generation(record: &GenerationRecord) -> Option<Generation> {
    Some(Generation {
        number: record.number,
        created: Timestamp::from_millis(record.created),
        signing: from_hex(&record.signing)?,
        secret_hash: from_hex(&record.sha256)?,
        last4: record.last4.clone(),
    })
}
