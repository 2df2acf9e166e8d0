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

/// How many bytes of states a page has at most, unless one state alone is more: what is made of a
/// page must fit into one batch.
const PAGE_BYTES: usize = 4 << 20;

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
    let mut page = Page::default();
    let mut bytes = 0;
    let mut last = None;
    for entry in &entries {
        if last.is_some() && bytes + entry.value.len() > PAGE_BYTES {
            page.next = last;
            return Ok(page);
        }
        let entity = latest::read(&entry.value)
            .ok_or_else(|| CatalogError::Invalid("the state of an entity is damaged".into()))?;
        bytes += entry.value.len();
        page.entities.push(entity);
        last = Some(entry.key.clone());
    }
    page.next = last.filter(|_| entries.len() >= limit.max(1));
    Ok(page)
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
