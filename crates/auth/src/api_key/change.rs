//! Making, rotating, revoking and deleting API keys. Every change is durable before it is in force.

use std::sync::Arc;

use outflow_model::{CredentialId, ProjectId, Timestamp};
use outflow_store::{Batch, Condition, Op, Put};

use super::ring::{Generation, Held};
use super::{DEPOSED_FOR, IssuedApiKey, MAX_API_KEYS, NewApiKey, Revoke, record};
use crate::auth::{ALL_GENERATIONS, Inner, MAX_NAME_BYTES, MAX_STREAMS, detached};
use crate::jwt::KEY_BYTES;
use crate::{ApiKey, Auth, AuthError, IssueError, Secret, token};

impl Auth {
    /// Makes an API key. It is durable when this returns; the client secret is in the answer and
    /// nowhere else.
    ///
    /// # Errors
    /// [`IssueError`].
    pub async fn create_api_key(&self, new: NewApiKey) -> Result<IssuedApiKey, IssueError> {
        check(&new)?;
        let inner = self.inner.clone();
        let (id, current, secret) = draw(&inner, 1);
        let id = CredentialId::new(&id)
            .map_err(|_| IssueError::Invalid("the id drawn is not a name"))?;
        let NewApiKey { project, name, scopes, streams } = new;
        let created = current.created;
        let held = Held { id, project, name, scopes, streams, created, current, deposed: None };
        detached(async move {
            let _turn = inner.changes.lock().await;
            inner.owners.check(&held.project, None)?;
            let of_project = |entry: &&Arc<_>| is_of(entry, &held.project);
            if inner.ring.read().iter().filter(of_project).count() >= MAX_API_KEYS {
                return Err(IssueError::TooMany { max: MAX_API_KEYS });
            }
            let key = put(&inner, held, Condition::Absent).await?;
            Ok(IssuedApiKey { key, secret })
        })
        .await
    }

    /// The API keys of a project, in order of id.
    #[must_use]
    pub fn api_keys(&self, project: &ProjectId) -> Vec<ApiKey> {
        let now = self.inner.clock.now();
        let ring = self.inner.ring.read();
        ring.iter()
            .filter(|entry| is_of(entry, project))
            .map(|entry| entry.held.view(now))
            .collect()
    }

    /// The project's API key of this id.
    #[must_use]
    pub fn api_key(&self, project: &ProjectId, id: &CredentialId) -> Option<ApiKey> {
        let ring = self.inner.ring.read();
        ring.of_project(project, id).map(|entry| entry.held.view(self.inner.clock.now()))
    }

    /// Makes a key's next generation. Tokens and the client secret of the current one stay valid
    /// for [`DEPOSED_FOR`]; those of the one before end now. `None`: no such key.
    ///
    /// # Errors
    /// [`AuthError`]; nothing changed.
    pub async fn rotate_api_key(
        &self,
        project: &ProjectId,
        id: &CredentialId,
    ) -> Result<Option<IssuedApiKey>, AuthError> {
        let rotate = |held: &mut Held, next: Generation| {
            let until = next.created.millis().saturating_add(DEPOSED_FOR.as_millis() as i64);
            let before = std::mem::replace(&mut held.current, next);
            held.deposed.replace((before, Timestamp::from_millis(until))).is_some()
        };
        let changed = self.change_api_key(project, id, true, rotate).await?;
        Ok(changed.and_then(|(key, secret)| Some(IssuedApiKey { key, secret: secret? })))
    }

    /// Revokes access tokens of a key. With [`Revoke::All`] the client secret is replaced, and the
    /// new one given. `None`: no such key.
    ///
    /// Live connections of tokens that were revoked end.
    ///
    /// # Errors
    /// [`AuthError`]; nothing changed.
    pub async fn revoke_access_tokens(
        &self,
        project: &ProjectId,
        id: &CredentialId,
        which: Revoke,
    ) -> Result<Option<(ApiKey, Option<Secret>)>, AuthError> {
        let revoke = move |held: &mut Held, next: Generation| {
            let had_old = held.deposed.take().is_some();
            if which == Revoke::All {
                held.current = next;
            }
            had_old || which == Revoke::All
        };
        self.change_api_key(project, id, which == Revoke::All, revoke).await
    }

    /// Changes a key: `change` is given what may become its next generation and says whether
    /// something that was valid is not any more.
    async fn change_api_key(
        &self,
        project: &ProjectId,
        id: &CredentialId,
        replaces_secret: bool,
        change: impl FnOnce(&mut Held, Generation) -> bool + Send + 'static,
    ) -> Result<Option<(ApiKey, Option<Secret>)>, AuthError> {
        let (inner, project, id) = (self.inner.clone(), project.clone(), id.clone());
        detached(async move {
            let _turn = inner.changes.lock().await;
            let held = inner.ring.read().of_project(&project, &id).map(|one| one.held.clone());
            let Some(mut held) = held else { return Ok(None) };
            let number = held.current.number.saturating_add(1);
            let (_, next, secret) = draw(&inner, number);
            let ends_some = change(&mut held, next);
            let below = held.first_valid(inner.clock.now());
            let key = put(&inner, held, Condition::Any).await?;
            if ends_some {
                inner.tell_revoked(&id, below);
            }
            Ok(Some((key, replaces_secret.then_some(secret))))
        })
        .await
    }

    /// Deletes a key, and with it all its tokens. Says whether there was one.
    ///
    /// # Errors
    /// [`AuthError`]; it is then still in force.
    pub async fn delete_api_key(
        &self,
        project: &ProjectId,
        id: &CredentialId,
    ) -> Result<bool, AuthError> {
        let (inner, project, id) = (self.inner.clone(), project.clone(), id.clone());
        detached(async move {
            let _turn = inner.changes.lock().await;
            if inner.ring.read().of_project(&project, &id).is_none() {
                return Ok(false);
            }
            let batch = Batch { ops: vec![absent(&id)], ..Batch::default() };
            inner.engine.submit(batch).await?;
            inner.ring.write().remove(&id);
            inner.tell_revoked(&id, ALL_GENERATIONS);
            Ok(true)
        })
        .await
    }
}

/// What removes a record.
fn absent(id: &CredentialId) -> Op {
    Op::Put(Put { key: record::key(id), value: None, condition: Condition::Any })
}

fn is_of(entry: &super::ring::Entry, project: &ProjectId) -> bool {
    entry.held.project == *project
}

async fn put(inner: &Inner, held: Held, condition: Condition) -> Result<ApiKey, AuthError> {
    let value = Some(record::encode(&held)?);
    let put = Put { key: record::key(&held.id), value, condition };
    inner.engine.submit(Batch { ops: vec![Op::Put(put)], ..Batch::default() }).await?;
    let key = held.view(inner.clock.now());
    inner.ring.write().insert(held);
    Ok(key)
}

/// A new id, a new generation, and its client secret.
fn draw(inner: &Inner, number: u32) -> (String, Generation, Secret) {
    let (id, secret) = token::draw(&*inner.rng);
    let mut signing = [0; KEY_BYTES];
    inner.rng.fill(&mut signing);
    let (secret_hash, last4) = (token::hash(secret.expose()), token::last4(secret.expose()));
    let generation = Generation { number, created: inner.clock.now(), signing, secret_hash, last4 };
    (id, generation, secret)
}

fn check(new: &NewApiKey) -> Result<(), IssueError> {
    if new.name.len() > MAX_NAME_BYTES {
        return Err(IssueError::Invalid("the name may have at most 128 bytes"));
    }
    if new.scopes.is_empty() {
        return Err(IssueError::Invalid("at least one scope is needed"));
    }
    if new.streams.as_ref().is_some_and(|streams| streams.len() > MAX_STREAMS) {
        return Err(IssueError::Invalid("at most 1000 streams may be named"));
    }
    Ok(())
}
