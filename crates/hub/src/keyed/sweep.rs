//! Removing the entities of streams that are gone.
//!
//! Called when a stream was deleted, and when the hub opens, for what a crash left behind. Streams'
//! numbers are not used again, so it does not matter when.

use std::sync::Arc;

use bytes::Bytes;
use outflow_model::StreamId;
use outflow_store::{Batch, Condition, Op, Put};

use super::change::{ENTITIES, stream_prefix};
use crate::hub::Inner;

/// How many are removed in one batch.
const AT_ONCE: usize = 500;

/// Removes the entities of `streams`, a page at a time, and what is counted as kept of them in memory.
/// What fails is left for the next start.
pub(crate) fn streams(inner: &Arc<Inner>, streams: Vec<StreamId>) {
    for stream in &streams {
        inner.metrics.entities_kept(inner.entity_room.forget(*stream));
    }
    let inner = inner.clone();
    tokio::spawn(async move {
        for stream in streams {
            if let Err(error) = one(&inner, stream).await {
                tracing::warn!(%stream, %error, "entities of a deleted stream were left behind");
            }
        }
    });
}

/// Finds streams that have entities and are no more.
pub(crate) fn orphans(inner: &Arc<Inner>) {
    let inner = inner.clone();
    tokio::spawn(async move {
        let mut after: Option<Vec<u8>> = None;
        loop {
            let page = match inner.engine.scan(ENTITIES, after.as_deref(), 1).await {
                Ok(page) => page,
                Err(error) => {
                    tracing::warn!(%error, "entities cannot be listed");
                    return;
                }
            };
            let Some(stream) = page.first().and_then(|entry| stream_of(&entry.key)) else { return };
            let is_known = {
                let catalog = inner.catalog.read();
                let mut all = catalog.tenants.values().flat_map(|tenant| tenant.streams.values());
                all.any(|one| one.id == stream)
            };
            if !is_known && let Err(error) = one(&inner, stream).await {
                tracing::warn!(%stream, %error, "entities of a deleted stream were left behind");
            }
            // Above every key of this stream: `/` is followed by `0`.
            let mut beyond = stream_prefix(stream);
            beyond.pop();
            beyond.push(b'0');
            after = Some(beyond);
        }
    });
}

fn stream_of(key: &[u8]) -> Option<StreamId> {
    let number = key.strip_prefix(ENTITIES)?.split(|&byte| byte == b'/').next()?;
    Some(StreamId(std::str::from_utf8(number).ok()?.parse().ok()?))
}

async fn one(inner: &Inner, stream: StreamId) -> Result<(), String> {
    let prefix = stream_prefix(stream);
    let mut limit = 1;
    // What was removed leaves a mark until the state is compacted: going over the marks of all
    // pages before for each page would take a time that grows with the square of the entities.
    let mut after: Option<Bytes> = None;
    loop {
        let page = inner.engine.scan(&prefix, after.as_deref(), limit).await;
        let page = page.map_err(|error| error.to_string())?;
        let Some(last) = page.last() else { return Ok(()) };
        after = Some(last.key.clone());
        let gone = |key: Bytes| Op::Put(Put { key, value: None, condition: Condition::Any });
        let ops = page.into_iter().map(|entry| gone(entry.key)).collect();
        let removed = inner.engine.submit(Batch { ops, ..Batch::default() }).await;
        removed.map_err(|error| error.to_string())?;
        // States may be large: the first pages are small in case they are.
        limit = (limit * 4).min(AT_ONCE);
    }
}
