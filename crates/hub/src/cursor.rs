//! Named cursors: places in a stream that the server keeps for a client.
//!
//! Called by `hub`. A cursor is one entry of the engine's state; it goes with its stream.

use bytes::Bytes;
use outflow_model::{Offset, Timestamp};
use outflow_store::{Condition, Op, Put};

use crate::catalog::change::{commit, unavailable};
use crate::catalog::{cursor_prefix, record, scan};
use crate::hub::Inner;
use crate::{CatalogError, Stream};

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

/// The cursor of `stream` with this name.
pub(crate) async fn get(
    inner: &Inner,
    stream: &Stream,
    name: &str,
) -> Result<Option<Cursor>, CatalogError> {
    let entry = inner.engine.get(&key(inner, stream, name)?).await.map_err(unavailable)?;
    entry.map(|entry| record::cursor(&entry.value).map_err(unavailable)).transpose()
}

/// All cursors of `stream`, in order of name.
pub(crate) async fn list(inner: &Inner, stream: &Stream) -> Result<Vec<Cursor>, CatalogError> {
    let entries = scan(&*inner.engine, &cursor_prefix(stream.id)).await?;
    entries.iter().map(|entry| record::cursor(&entry.value).map_err(unavailable)).collect()
}

/// Sets the cursor, forwards or backwards; durable when this returns.
pub(crate) async fn set(
    inner: &Inner,
    stream: &Stream,
    name: &str,
    offset: Offset,
) -> Result<(), CatalogError> {
    let key = key(inner, stream, name)?;
    if inner.engine.get(&key).await.map_err(unavailable)?.is_none() {
        let max = inner.options.max_cursors;
        let page =
            inner.engine.scan(&cursor_prefix(stream.id), None, max).await.map_err(unavailable)?;
        if page.len() >= max {
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
    name: &str,
) -> Result<bool, CatalogError> {
    let key = key(inner, stream, name)?;
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

fn key(inner: &Inner, stream: &Stream, name: &str) -> Result<Bytes, CatalogError> {
    if !inner.catalog.read().has(stream) {
        return Err(CatalogError::NotFound);
    }
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    if name.is_empty() || name.len() > MAX_CURSOR_NAME_BYTES || !name.bytes().all(is_allowed) {
        let reason = format!("cursor: 1 to {MAX_CURSOR_NAME_BYTES} letters, digits, `_`, `-`, `.`");
        return Err(CatalogError::Invalid(reason));
    }
    Ok([&cursor_prefix(stream.id), name.as_bytes()].concat().into())
}
