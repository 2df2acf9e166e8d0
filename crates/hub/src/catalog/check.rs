//! What settings may be, before anything of them is stored.
//!
//! Called by `change`. A refusal names the setting. What a stream has had since before there was such a
//! bound is not refused: a change may leave it as it is, or better.

use outflow_model::{ProjectId, StreamName};
use outflow_store::Durability;

use super::change::{MAX_DESCRIPTION_BYTES, MAX_NAME_BYTES, check_text};
use crate::extraction::LOAD_STREAM;
use crate::hub::Inner;
use crate::keyed::EntityTypes;
use crate::{CatalogError, Dedup, Integration, StreamSettings, dedup, subscription};

const MAX_EVENT_TYPES: usize = 1_000;
/// The least that an ingest stream keeps: files are closed within the hour, and what comes in bursts
/// must not push out what has not landed.
const INGEST_AGE_MS: u64 = 2 * 3_600_000;
const INGEST_BYTES: u64 = 1 << 30;

type Changed<T> = Result<T, CatalogError>;

/// Checks what a stream is to have; `former` is what it has now.
pub(super) fn check_settings(
    settings: &StreamSettings,
    former: Option<&StreamSettings>,
) -> Changed<()> {
    check_text("description", &settings.description, MAX_DESCRIPTION_BYTES)?;
    if let Some(ingest) = &settings.ingest {
        check_text("name", &ingest.name, MAX_NAME_BYTES)?;
        check_ingest(settings, former)?;
    }
    let risks = |one: &StreamSettings| one.durability == Durability::Relaxed && one.is_choosy();
    if risks(settings) && !former.is_some_and(risks) {
        let reason =
            "durability: keyed and ingest streams are synced: what they answered must last";
        return Err(CatalogError::Invalid(reason.into()));
    }
    if settings.retention.age_ms == 0 || settings.retention.max_bytes == Some(0) {
        return Err(CatalogError::Invalid("retention: must be above 0".into()));
    }
    if let Some(Dedup { window_ms, max_ids }) = settings.dedup
        && (window_ms == 0 || !(1..=dedup::MAX_IDS).contains(&max_ids))
    {
        let max = dedup::MAX_IDS;
        return Err(CatalogError::Invalid(format!("dedup: window above 0 and 1 to {max} ids")));
    }
    Ok(())
}

/// Payloads have no ids and no entities, and stay until they have landed.
fn check_ingest(settings: &StreamSettings, former: Option<&StreamSettings>) -> Changed<()> {
    let StreamSettings { dedup, retention, .. } = settings;
    let former = former.filter(|former| former.ingest.is_some());
    let is_keyed = |one: &StreamSettings| one.entities.is_some() || one.feed_types.is_some();
    let is_shorter = |former: &StreamSettings| retention.age_ms < former.retention.age_ms;
    let is_smaller = |former: &StreamSettings| {
        former.retention.max_bytes.is_none_or(|before| retention.max_bytes < Some(before))
    };
    let reason = if is_keyed(settings) && !former.is_some_and(is_keyed) {
        "entities: an ingest stream takes payloads of upstream systems, not changes of entities"
    } else if dedup.is_some() && former.is_none_or(|former| former.dedup.is_none()) {
        "dedup: payloads of an ingest stream have no ids"
    } else if retention.age_ms < INGEST_AGE_MS && former.is_none_or(is_shorter) {
        "retention: an ingest stream keeps its events for two hours at least, until they have landed"
    } else if retention.max_bytes.is_some_and(|max| max < INGEST_BYTES)
        && former.is_none_or(is_smaller)
    {
        "retention: an ingest stream keeps 1 GiB at least, until it has landed"
    } else {
        return Ok(());
    };
    Err(CatalogError::Invalid(reason.into()))
}

/// The load stream is the server's: extractions write to it what nothing else may.
pub(super) fn check_loads(
    name: &StreamName,
    settings: &StreamSettings,
    former: &StreamSettings,
) -> Changed<()> {
    let chooses = settings.is_choosy() && !former.is_choosy();
    let drops = settings.dedup.is_some() && former.dedup.is_none();
    if name.as_str() == LOAD_STREAM && (chooses || drops) {
        let reason = "extractions write to this stream: it has no entities, payloads or dedup";
        return Err(CatalogError::Invalid(reason.into()));
    }
    Ok(())
}

/// What takes certain events only cannot take the dead ones of a subscription.
pub(super) fn check_choosy(
    inner: &Inner,
    project: &ProjectId,
    name: &StreamName,
    settings: &StreamSettings,
) -> Changed<()> {
    if settings.is_choosy() && subscription::change::takes_dead_letters(inner, project, name) {
        let reason = "a subscription copies its dead events to this stream: it takes any event";
        return Err(CatalogError::Invalid(reason.into()));
    }
    Ok(())
}

/// A keyed stream stays keyed: the states of its entities would be lost or wrong.
pub(super) fn check_entities(old: Option<&EntityTypes>, new: Option<&EntityTypes>) -> Changed<()> {
    let conflict = match (old, new) {
        (None, _) => None,
        (Some(_), None) => Some("a keyed stream stays keyed".into()),
        (Some(old), Some(new)) => new.conflict_with(old),
    };
    conflict.map_or(Ok(()), |reason| Err(CatalogError::Invalid(reason)))
}

/// Adds what the types of the change feed depend on.
pub(super) fn close_feed_types(settings: &mut StreamSettings) -> Changed<()> {
    let Some(chosen) = &mut settings.feed_types else { return Ok(()) };
    let names: Vec<String> = chosen.iter().cloned().collect();
    let Some(types) = settings.entities.as_ref().filter(|_| !names.is_empty()) else {
        let reason = "feed_types: at least one type of a keyed stream";
        return Err(CatalogError::Invalid(reason.into()));
    };
    let closed = types.closure(&names, &[]).map_err(|name| {
        CatalogError::Invalid(format!("feed_types: `{name}` is no entity type of the stream"))
    })?;
    *chosen = closed.into_iter().map(|one| one.name.clone()).collect();
    Ok(())
}

pub(super) fn check_integration(one: &Integration) -> Changed<()> {
    check_text("name", &one.name, MAX_NAME_BYTES)?;
    check_text("description", &one.description, MAX_DESCRIPTION_BYTES)?;
    if one.max_connections == 0 {
        return Err(CatalogError::Invalid("max_connections: must be above 0".into()));
    }
    let types = one.event_types.iter().flatten();
    let is_type = |name: &String| {
        outflow_model::id::EventType::check(name.as_bytes()).is_ok()
            && *name == name.to_ascii_uppercase()
    };
    if types.clone().count() > MAX_EVENT_TYPES || !types.clone().all(is_type) {
        return Err(CatalogError::Invalid("event_types: at most 1000 names in upper case".into()));
    }
    Ok(())
}
