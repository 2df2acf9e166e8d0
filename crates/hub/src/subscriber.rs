//! Subscribers: the names under which clients keep their mailboxes.
//!
//! Called by `hub`. A subscriber is one entry of the engine's state; it goes with its project. What
//! it receives is a subscription's to know. Those that were asked for are remembered: every call of
//! a client names its subscriber, and a look into the engine's state takes a thread.
//!
//! Invariants: an id belongs to the owner that took it first, until it is deleted; what is
//! remembered is what is stored.

use std::collections::HashMap;

use bytes::Bytes;
use outflow_model::{CredentialId, ProjectId, Timestamp};
use outflow_store::{Condition, Op, Put};
use parking_lot::RwLock;

use crate::catalog::change::{commit, unavailable};
use crate::catalog::{record, scan};
use crate::hub::Inner;
use crate::{CatalogError, Hub};

/// The longest name of a subscriber, in bytes.
pub const MAX_SUBSCRIBER_NAME_BYTES: usize = 800;

/// The longest owner, in bytes.
const MAX_OWNER_BYTES: usize = 200;

/// A name under which a client keeps a mailbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscriber {
    /// Its project.
    pub project: ProjectId,
    /// Its id, chosen by the face; a name as credentials have them.
    pub id: String,
    /// What its client calls it.
    pub name: String,
    /// Whose it is, in the words of the face that made it.
    pub owner: String,
    /// When it was made. Set by the hub; what the caller gives is ignored.
    pub created: Timestamp,
}

impl Hub {
    /// The subscriber with this id.
    ///
    /// # Errors
    /// [`CatalogError`].
    pub async fn subscriber(
        &self,
        project: &ProjectId,
        id: &str,
    ) -> Result<Option<Subscriber>, CatalogError> {
        get(&self.inner, project, id).await
    }

    /// Keeps a subscriber and gives it; gives the one that is there when its id is taken.
    ///
    /// # Errors
    /// [`CatalogError`].
    pub async fn register_subscriber(&self, new: Subscriber) -> Result<Subscriber, CatalogError> {
        register(&self.inner, new).await
    }

    /// Removes a subscriber; says whether there was one. Its subscription stays.
    ///
    /// # Errors
    /// [`CatalogError`].
    pub async fn delete_subscriber(
        &self,
        project: &ProjectId,
        id: &str,
    ) -> Result<bool, CatalogError> {
        delete(&self.inner, project, id).await
    }
}

/// How many are remembered; beyond it all are forgotten.
const MAX_KNOWN: usize = 100_000;

/// The subscribers that are remembered, by their keys.
#[derive(Debug, Default)]
pub(crate) struct Known(RwLock<Table>);

#[derive(Debug, Default)]
struct Table {
    by_key: HashMap<Bytes, Subscriber>,
    /// Counts what was forgotten, so that who read before does not bring it back.
    forgotten: u64,
}

impl Known {
    /// Remembers what was read when so many were forgotten.
    fn put(&self, key: Bytes, subscriber: &Subscriber, forgotten: u64) {
        let mut table = self.0.write();
        if table.forgotten != forgotten {
            return;
        }
        if table.by_key.len() >= MAX_KNOWN {
            table.by_key.clear();
        }
        table.by_key.insert(key, subscriber.clone());
    }

    fn forget(&self, which: impl Fn(&Bytes) -> bool) {
        let mut table = self.0.write();
        table.forgotten += 1;
        table.by_key.retain(|key, _| !which(key));
    }

    /// A project is no more, and its subscribers with it.
    pub(crate) fn project_ended(&self, project: &ProjectId) {
        let space = space(project);
        self.forget(|key| key.starts_with(&space));
    }
}

/// The subscriber with this id.
async fn get(
    inner: &Inner,
    project: &ProjectId,
    id: &str,
) -> Result<Option<Subscriber>, CatalogError> {
    let key = key(project, id);
    let forgotten = {
        let table = inner.subscribers.0.read();
        if let Some(known) = table.by_key.get(&key) {
            return Ok(Some(known.clone()));
        }
        table.forgotten
    };
    let Some(entry) = inner.engine.get(&key).await.map_err(unavailable)? else { return Ok(None) };
    let found = record::subscriber(&entry.value).map_err(unavailable)?;
    inner.subscribers.put(key, &found, forgotten);
    Ok(Some(found))
}

/// Keeps a subscriber, unless its id is taken: then gives the one that has it.
async fn register(inner: &Inner, new: Subscriber) -> Result<Subscriber, CatalogError> {
    if let Some(found) = get(inner, &new.project, &new.id).await? {
        return Ok(found);
    }
    check(&new)?;
    if !inner.catalog.read().tenants.contains_key(&new.project) {
        return Err(CatalogError::NotFound);
    }
    let max = inner.options.max_subscribers;
    let space = space(&new.project);
    if inner.engine.scan(&space, None, max).await.map_err(unavailable)?.len() >= max {
        return Err(CatalogError::TooMany { max });
    }
    let new = Subscriber { created: inner.clock.now(), ..new };
    let value = Some(record::of_subscriber(&new));
    let put = Put { key: key(&new.project, &new.id), value, condition: Condition::Absent };
    match commit(inner, vec![Op::Put(put)]).await {
        Ok(()) => Ok(new),
        // Someone was faster: whoever it was has it.
        Err(CatalogError::Conflict) => {
            get(inner, &new.project, &new.id).await?.ok_or(CatalogError::Conflict)
        }
        Err(error) => Err(error),
    }
}

/// Removes a subscriber; says whether there was one.
async fn delete(inner: &Inner, project: &ProjectId, id: &str) -> Result<bool, CatalogError> {
    let is_there = get(inner, project, id).await?.is_some();
    if is_there {
        let key = key(project, id);
        let put = Put { key: key.clone(), value: None, condition: Condition::Any };
        commit(inner, vec![Op::Put(put)]).await?;
        inner.subscribers.forget(|known| *known == key);
    }
    Ok(is_there)
}

/// What removes all subscribers of a project.
pub(crate) async fn drop_all(inner: &Inner, project: &ProjectId) -> Result<Vec<Op>, CatalogError> {
    let entries = scan(&*inner.engine, &space(project)).await?;
    let absent = |key| Op::Put(Put { key, value: None, condition: Condition::Any });
    Ok(entries.into_iter().map(|entry| absent(entry.key)).collect())
}

/// The keys of a project's subscribers. Projects' ids hold no `/`, so the parts stay apart.
fn space(project: &ProjectId) -> Vec<u8> {
    [record::SUBSCRIBERS, project.as_str().as_bytes(), b"/"].concat()
}

fn key(project: &ProjectId, id: &str) -> Bytes {
    [&space(project), id.as_bytes()].concat().into()
}

fn check(new: &Subscriber) -> Result<(), CatalogError> {
    let invalid = |what: &str| Err(CatalogError::Invalid(what.to_owned()));
    if CredentialId::check(new.id.as_bytes()).is_err() {
        return invalid("id: 1 to 64 letters, digits, `_`, `-`, `.`");
    }
    if new.name.is_empty() || new.name.len() > MAX_SUBSCRIBER_NAME_BYTES {
        return invalid("name: 1 to 800 bytes");
    }
    if new.owner.len() > MAX_OWNER_BYTES {
        return invalid("owner: at most 200 bytes");
    }
    Ok(())
}
