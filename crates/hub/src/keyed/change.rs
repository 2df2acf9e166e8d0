//! What an event of a keyed stream says: which entity, and what happened to it.
//!
//! Called by `publish` for every event of a draft, before any lock is taken.

use bytes::Bytes;
use outflow_model::json::{Kind, Value};
use outflow_model::meta::{FLAG_BODY_BASE64, FLAG_BODY_TEXT};
use outflow_model::{Draft, Meta, StreamId};

use super::{EntityType, EntityTypes};
use crate::PublishError;

/// Where the states of entities are in the engine's state.
pub(crate) const ENTITIES: &[u8] = b"keyed/entity/";
/// The longest key of an entity, in bytes as it is stored.
const MAX_KEY_BYTES: usize = 256;

/// What happens to an entity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Happening {
    /// It begins, with all its fields.
    Create,
    /// Some of its fields change.
    Update,
    /// It ends.
    Delete,
}

/// One event's change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Change {
    /// Where the entity is in the engine's state.
    pub(crate) key: Bytes,
    pub(crate) kind: Happening,
    /// Which of the stream's types it is of, by its place among them.
    pub(crate) entity_type: usize,
}

/// The changes of a draft's events, in order.
///
/// # Errors
/// The first event that is none, by its place.
pub(crate) fn read(
    stream: StreamId,
    types: &EntityTypes,
    draft: &Draft,
) -> Result<Vec<Change>, PublishError> {
    let events = draft.metas().with_lines(draft.lines());
    let read =
        events.enumerate().map(|(index, (meta, line))| {
            of_event(stream, types, &meta, line)
                .map_err(|Fault { at, reason }| PublishError::Entity { index, place: at, reason })
        });
    read.collect()
}

/// What is wrong with an event, and where in it.
#[derive(Debug)]
struct Fault {
    at: String,
    reason: String,
}

fn fault(at: impl Into<String>, reason: impl Into<String>) -> Fault {
    Fault { at: at.into(), reason: reason.into() }
}

fn of_event(
    stream: StreamId,
    types: &EntityTypes,
    meta: &Meta,
    line: &[u8],
) -> Result<Change, Fault> {
    let kind = match meta.event_type(line) {
        b"create" => Happening::Create,
        b"update" => Happening::Update,
        b"delete" => Happening::Delete,
        _ => return Err(fault("/type", "must be create, update or delete in a keyed stream")),
    };
    let entity_ref = entity_ref(meta, line)?;
    let name = entity_ref.get(b"type").and_then(Value::as_string);
    let name = name.ok_or_else(|| fault("/ref/type", "must name an entity type"))?.to_text();
    let at = types.all().iter().position(|one| one.name == *name);
    let (at, entity_type) =
        at.and_then(|at| Some((at, types.all().get(at)?))).ok_or_else(|| {
            let shown: String = name.chars().take(64).collect();
            fault("/ref/type", format!("`{shown}` is not an entity type of the stream"))
        })?;
    let ids = entity_ref.get(b"ids").filter(|ids| matches!(ids.kind(), Kind::Object));
    let ids = ids.ok_or_else(|| fault("/ref/ids", "must be an object with the entity's keys"))?;
    let body = Value::new(meta.body(line));
    let is_text = meta.flags & (FLAG_BODY_TEXT | FLAG_BODY_BASE64) != 0;
    let is_object = meta.body_start != 0 && matches!(body.kind(), Kind::Object) && !is_text;
    if kind != Happening::Delete && !is_object {
        return Err(fault("/body", "must be an object with the entity's fields"));
    }
    Ok(Change { key: key(stream, entity_type, ids)?, kind, entity_type: at })
}

/// The member `ref`, which must be there once.
fn entity_ref<'a>(meta: &Meta, line: &'a [u8]) -> Result<Value<'a>, Fault> {
    let mut found = meta.others(line).filter(|(name, _)| name.is(b"ref"));
    match (found.next(), found.next()) {
        (Some((_, value)), None) if matches!(value.kind(), Kind::Object) => Ok(value),
        (Some(_), Some(_)) => Err(fault("/ref", "comes twice")),
        (Some(_), None) | (None, _) => {
            Err(fault("/ref", "must be an object with the entity's `type` and `ids`"))
        }
    }
}

/// Where the entity is: the stream, the type, and each field of the key with its kind and length,
/// so that no two keys read alike. Numbers count as they are written: `1` and `1.0` are two.
fn key(stream: StreamId, entity_type: &EntityType, ids: Value<'_>) -> Result<Bytes, Fault> {
    let mut key = prefix(stream, &entity_type.name);
    let start = key.len();
    for field in entity_type.keys.first().into_iter().flatten() {
        let at = || format!("/ref/ids/{}", field.replace('~', "~0").replace('/', "~1"));
        let value = ids.get(field.as_bytes());
        let value = value.ok_or_else(|| fault(at(), "this field of the key is missing"))?;
        let (kind, text) = match value.kind() {
            Kind::String(raw) => (b's', raw.unescape()),
            Kind::Number(_) => (b'n', value.text().into()),
            Kind::Bool(_) => (b'b', value.text().into()),
            Kind::Null | Kind::Array | Kind::Object => {
                return Err(fault(at(), "must be a string, a number, true or false"));
            }
        };
        let Ok(len) = u16::try_from(text.len()) else {
            return Err(fault(at(), format!("keys may have {MAX_KEY_BYTES} bytes")));
        };
        key.push(kind);
        key.extend_from_slice(&len.to_be_bytes());
        key.extend_from_slice(&text);
        if key.len() - start > MAX_KEY_BYTES {
            return Err(fault(at(), format!("keys may have {MAX_KEY_BYTES} bytes")));
        }
    }
    Ok(key.into())
}

/// What the keys of all entities of a stream's type begin with. No name of a type holds `/`.
pub(crate) fn prefix(stream: StreamId, entity_type: &str) -> Vec<u8> {
    let mut key = stream_prefix(stream);
    key.extend_from_slice(entity_type.as_bytes());
    key.push(b'/');
    key
}

/// What the keys of all entities of a stream begin with, in order of the streams' numbers.
pub(crate) fn stream_prefix(stream: StreamId) -> Vec<u8> {
    let mut key = ENTITIES.to_vec();
    key.extend_from_slice(format!("{:010}/", stream.0).as_bytes());
    key
}
