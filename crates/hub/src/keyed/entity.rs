//! Reading the latest states of a keyed stream's entities.
//!
//! Called by [`Hub::entities`](crate::Hub::entities) for whoever makes snapshots.

use bytes::Bytes;
use outflow_model::{Tick, Timestamp};

use super::{change, latest};
use crate::catalog::change::unavailable;
use crate::hub::Inner;
use crate::{CatalogError, Hub, Stream};

/// The latest state of an entity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entity {
    /// When it was last changed: the processed time of that event.
    pub at: Timestamp,
    /// The tick of that event.
    pub tick: Tick,
    /// What it is: the JSON object of type and keys, in the publisher's bytes.
    pub entity_ref: Bytes,
    /// All its fields: a JSON object in the publisher's bytes.
    pub payload: Bytes,
}

/// A page of entities.
#[derive(Debug, Clone, Default)]
pub struct Page {
    /// In the order of their stored keys.
    pub entities: Vec<Entity>,
    /// Where to read on; `None` at the end.
    pub next: Option<Bytes>,
}

/// Up to `limit` entities of a type, after the place that a former page named.
pub(crate) async fn page(
    inner: &Inner,
    stream: &Stream,
    entity_type: &str,
    after: Option<&[u8]>,
    limit: usize,
) -> Result<Page, CatalogError> {
    let prefix = change::prefix(stream.id, entity_type);
    let entries = inner.engine.scan(&prefix, after, limit.max(1)).await.map_err(unavailable)?;
    let next = (entries.len() >= limit.max(1)).then(|| entries.last().map(|last| last.key.clone()));
    let read = |value: &Bytes| {
        latest::read(value)
            .ok_or_else(|| unavailable("the stored state of an entity cannot be read"))
    };
    let entities = entries.iter().map(|entry| read(&entry.value)).collect::<Result<_, _>>()?;
    Ok(Page { entities, next: next.flatten() })
}

impl Hub {
    /// Up to `limit` entities of a keyed stream's type in their latest states, after the place that
    /// a former page named.
    ///
    /// # Errors
    /// [`CatalogError`].
    pub async fn entities(
        &self,
        stream: &Stream,
        entity_type: &str,
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Page, CatalogError> {
        page(self.inner(), stream, entity_type, after, limit).await
    }
}
