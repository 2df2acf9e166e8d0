//! The stored form of a credential: JSON with a version, under `auth/cred/<id>`.

use bytes::Bytes;
use outflow_model::{
    Action, CredentialId, DestinationGrant, DestinationPattern, IntegrationId, ProjectId,
    StreamName, Timestamp,
};
use serde::{Deserialize, Serialize};

use crate::{AuthError, Credential, CredentialKind};

/// Where credentials are in the engine's state.
pub(crate) const PREFIX: &[u8] = b"auth/cred/";
/// The version written; a newer one is refused.
const VERSION: u32 = 1;

const ACTIONS: [(Action, &str); 7] = [
    (Action::Read, "read"),
    (Action::Publish, "publish"),
    (Action::Ingest, "ingest"),
    (Action::Feed, "feed"),
    (Action::Compliance, "compliance"),
    (Action::Manage, "manage"),
    (Action::Operate, "operate"),
];

/// A credential as stored.
#[derive(Serialize, Deserialize)]
struct Record {
    v: u32,
    id: String,
    kind: String,
    name: String,
    project: Option<String>,
    integration: Option<String>,
    actions: Vec<String>,
    streams: Option<Vec<String>>,
    created: i64,
    expires: Option<i64>,
    last4: String,
    sha256: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    user: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    destinations: Option<DestinationsRecord>,
}

#[derive(Serialize, Deserialize)]
struct DestinationsRecord {
    consume: Vec<String>,
    send: Vec<String>,
}

/// The key of a credential's record.
pub(crate) fn key(id: &CredentialId) -> Bytes {
    [PREFIX, id.as_str().as_bytes()].concat().into()
}

/// The stored form.
pub(crate) fn encode(credential: &Credential, hash: &[u8; 32]) -> Result<Bytes, AuthError> {
    let word = |action: &Action| {
        ACTIONS.iter().find(|(known, _)| known == action).map(|(_, word)| (*word).into())
    };
    let record = Record {
        v: VERSION,
        id: credential.id.to_string(),
        kind: credential.kind.as_str().into(),
        name: credential.name.clone(),
        project: credential.project.as_ref().map(ToString::to_string),
        integration: credential.integration.as_ref().map(ToString::to_string),
        actions: credential.actions.iter().filter_map(word).collect(),
        streams: credential
            .streams
            .as_ref()
            .map(|all| all.iter().map(ToString::to_string).collect()),
        created: credential.created.millis(),
        expires: credential.expires.map(Timestamp::millis),
        last4: credential.last4.clone(),
        sha256: hex(hash),
        user: credential.user.clone(),
        destinations: credential.destinations.as_ref().map(of_destinations),
    };
    serde_json::to_vec(&record)
        .map(Bytes::from)
        .map_err(|error| AuthError::Corrupt(error.to_string()))
}

/// Reads the stored form.
pub(crate) fn decode(value: &[u8]) -> Result<(Credential, [u8; 32]), AuthError> {
    let corrupt = |what: &str| AuthError::Corrupt(what.into());
    let record: Record =
        serde_json::from_slice(value).map_err(|error| corrupt(&error.to_string()))?;
    if record.v > VERSION {
        return Err(corrupt("written by a newer version"));
    }
    let action = |word: &String| {
        let known = ACTIONS.iter().find(|(_, known)| known == word);
        known.map(|(action, _)| *action).ok_or_else(|| corrupt("unknown action"))
    };
    let name = |_| corrupt("bad name");
    let streams =
        |all: Vec<String>| all.iter().map(|text| StreamName::new(text)).collect::<Result<_, _>>();
    let credential = Credential {
        id: CredentialId::new(&record.id).map_err(name)?,
        kind: CredentialKind::parse(&record.kind).ok_or_else(|| corrupt("unknown kind"))?,
        name: record.name,
        project: record.project.as_deref().map(ProjectId::new).transpose().map_err(name)?,
        integration: record
            .integration
            .as_deref()
            .map(IntegrationId::new)
            .transpose()
            .map_err(name)?,
        actions: record.actions.iter().map(action).collect::<Result<_, _>>()?,
        streams: record.streams.map(streams).transpose().map_err(name)?,
        user: record.user,
        destinations: record.destinations.as_ref().map(destinations).transpose()?,
        created: Timestamp::from_millis(record.created),
        expires: record.expires.map(Timestamp::from_millis),
        last4: record.last4,
    };
    let hash = from_hex(&record.sha256).ok_or_else(|| corrupt("bad hash"))?;
    Ok((credential, hash))
}

fn of_destinations(grant: &DestinationGrant) -> DestinationsRecord {
    let texts =
        |patterns: &[DestinationPattern]| patterns.iter().map(ToString::to_string).collect();
    DestinationsRecord { consume: texts(&grant.consume), send: texts(&grant.send) }
}

fn destinations(record: &DestinationsRecord) -> Result<DestinationGrant, AuthError> {
    let patterns = |texts: &[String]| {
        let patterns = texts.iter().map(|text| DestinationPattern::parse(text));
        patterns.collect::<Result<_, _>>().map_err(|_| AuthError::Corrupt("bad pattern".into()))
    };
    Ok(DestinationGrant { consume: patterns(&record.consume)?, send: patterns(&record.send)? })
}

/// Bytes as hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Reads 32 bytes of [`hex`].
pub(crate) fn from_hex(text: &str) -> Option<[u8; 32]> {
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    let mut out = [0; 32];
    if pairs.len() != out.len() || !rest.is_empty() {
        return None;
    }
    for (byte, pair) in out.iter_mut().zip(pairs) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(out)
}
