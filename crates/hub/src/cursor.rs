//! Named cursors: places in a stream that the server keeps for a client.
//!
//! Called by `hub`. A cursor is one entry of the engine's state; it goes with its stream.
//!
//! Invariant: each integration has a space of names of its own, so that no customer can see or move
//! another's place. Callers that belong to no integration (the project's keys, operators) share one.
//! Owners whose ids begin with a dot are parts of the server.

use bytes::Bytes;
use outflow_model::{IntegrationId, Offset, StreamId, Timestamp};
use outflow_store::{Condition, Op, Put};

use crate::catalog::change::{commit, unavailable};
use crate::catalog::{cursor_prefix, record, scan};
use crate::hub::Inner;
use crate::{CatalogError, Hub, Stream};

/// The longest name of a cursor, in bytes. Names are made of letters, digits, `_`, `-`, `.`.
pub const MAX_CURSOR_NAME_BYTES: usize = 64;

/// A named place in a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    /// Its name.
    pub name: String,
    /// The last offset its client is done with: resume after it.
    pub offset: Offset,
    /// When it was last set.
    pub updated: Timestamp,
}

impl Hub {
    /// The place of a named cursor. `owner` is the integration of the caller's grant: each has
    /// cursors of its own, and callers without one share theirs.
    ///
    /// # Errors
    /// [`CatalogError`].
    pub async fn cursor(
        &self,
        stream: &Stream,
        owner: Option<&IntegrationId>,
        name: &str,
    ) -> Result<Option<Offset>, CatalogError> {
        Ok(get(self.inner(), stream, owner, name).await?.map(|cursor| cursor.offset))
    }

    /// All cursors of a stream that are `owner`'s, in order of name.
    ///
    /// # Errors
    /// [`CatalogError`].
    pub async fn cursors(
        &self,
        stream: &Stream,
        owner: Option<&IntegrationId>,
    ) -> Result<Vec<Cursor>, CatalogError> {
        list(self.inner(), stream, owner).await
    }

    /// A named cursor, with the time at which it was set.
    ///
    /// # Errors
    /// [`CatalogError`].
    pub async fn cursor_and_time(
        &self,
        stream: &Stream,
        owner: Option<&IntegrationId>,
        name: &str,
    ) -> Result<Option<Cursor>, CatalogError> {
        get(self.inner(), stream, owner, name).await
    }

    /// Sets a named cursor, forwards or backwards; made when it is not there.
    ///
    /// # Errors
    /// [`CatalogError`].
    pub async fn set_cursor(
        &self,
        stream: &Stream,
        owner: Option<&IntegrationId>,
        name: &str,
        offset: Offset,
    ) -> Result<(), CatalogError> {
        set(self.inner(), stream, owner, name, offset).await
    }

    /// Removes a named cursor; says whether there was one.
    ///
    /// # Errors
    /// [`CatalogError`].
    pub async fn delete_cursor(
        &self,
        stream: &Stream,
        owner: Option<&IntegrationId>,
        name: &str,
    ) -> Result<bool, CatalogError> {
        delete(self.inner(), stream, owner, name).await
    }
}

/// The cursor of `stream` with this name in `owner`'s space.
pub(crate) async fn get(
    inner: &Inner,
    stream: &Stream,
    owner: Option<&IntegrationId>,
    name: &str,
) -> Result<Option<Cursor>, CatalogError> {
    let entry = inner.engine.get(&key(inner, stream, owner, name)?).await.map_err(unavailable)?;
    entry.map(|entry| record::cursor(&entry.value).map_err(unavailable)).transpose()
}

/// All cursors of `stream` in `owner`'s space, in order of name.
pub(crate) async fn list(
    inner: &Inner,
    stream: &Stream,
    owner: Option<&IntegrationId>,
) -> Result<Vec<Cursor>, CatalogError> {
    let space = space(stream.id, owner);
    let entries = scan(&*inner.engine, &space).await?;
    let own = entries.iter().filter(|entry| is_within(&space, &entry.key));
    own.map(|entry| record::cursor(&entry.value).map_err(unavailable)).collect()
}

/// Sets the cursor, forwards or backwards; durable when this returns.
pub(crate) async fn set(
    inner: &Inner,
    stream: &Stream,
    owner: Option<&IntegrationId>,
    name: &str,
    offset: Offset,
) -> Result<(), CatalogError> {
    let key = key(inner, stream, owner, name)?;
    if inner.engine.get(&key).await.map_err(unavailable)?.is_none() {
        let max = inner.options.max_cursors;
        let space = space(stream.id, owner);
        // The shared names come before all integrations' keys, so a page holds as many as count.
        let page = inner.engine.scan(&space, None, max).await.map_err(unavailable)?;
        if page.iter().filter(|entry| is_within(&space, &entry.key)).count() >= max {
            return Err(CatalogError::TooMany { max });
        }
    }
    let cursor = Cursor { name: name.into(), offset, updated: inner.clock.now() };
    put(inner, key, Some(record::of_cursor(&cursor))).await
}

/// Removes the cursor; says whether there was one.
pub(crate) async fn delete(
    inner: &Inner,
    stream: &Stream,
    owner: Option<&IntegrationId>,
    name: &str,
) -> Result<bool, CatalogError> {
    let key = key(inner, stream, owner, name)?;
    let is_there = inner.engine.get(&key).await.map_err(unavailable)?.is_some();
    if is_there {
        put(inner, key, None).await?;
    }
    Ok(is_there)
}

async fn put(inner: &Inner, key: Bytes, value: Option<Bytes>) -> Result<(), CatalogError> {
    let put = Put { key, value, condition: Condition::Any };
    commit(inner, vec![Op::Put(put)]).await
}

/// The keys of an integration's cursors; without one, of the shared cursors and of everybody's.
/// `~` is in no name and sorts after all of them.
pub(crate) fn space(stream: StreamId, owner: Option<&IntegrationId>) -> Vec<u8> {
    let mut key = cursor_prefix(stream);
    if let Some(owner) = owner {
        key.extend(format!("~{owner}/").into_bytes());
    }
    key
}

/// Whether `key` is a cursor of this very space: the shared one is the front of all others.
fn is_within(space: &[u8], key: &[u8]) -> bool {
    key.strip_prefix(space).is_some_and(|name| !name.contains(&b'/'))
}

fn key(
    inner: &Inner,
    stream: &Stream,
    owner: Option<&IntegrationId>,
    name: &str,
) -> Result<Bytes, CatalogError> {
    if !inner.catalog.read().has(stream) {
        return Err(CatalogError::NotFound);
    }
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    if name.is_empty() || name.len() > MAX_CURSOR_NAME_BYTES || !name.bytes().all(is_allowed) {
        let reason = format!("cursor: 1 to {MAX_CURSOR_NAME_BYTES} letters, digits, `_`, `-`, `.`");
        return Err(CatalogError::Invalid(reason));
    }
    Ok([&space(stream.id, owner), name.as_bytes()].concat().into())
}
