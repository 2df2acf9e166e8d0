//! The credentials in force, in memory: by id for administration, by hash for authentication, and
//! users by name.
//!
//! Invariant: a user is found by its name only, so that its password alone opens nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use outflow_model::{CredentialId, Grant, ProjectId, Timestamp};
use subtle::{Choice, ConstantTimeEq};

use crate::Credential;

/// A credential with what authentication compares and hands out.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) credential: Credential,
    pub(crate) hash: [u8; 32],
    grant: Grant,
}

impl Entry {
    /// Prepares `credential` for use.
    pub(crate) fn new(credential: Credential, hash: [u8; 32]) -> Self {
        let grant = Grant {
            credential: credential.id.clone(),
            generation: 0,
            expires: credential.expires,
            project: credential.project.clone(),
            integration: credential.integration.clone(),
            actions: Arc::new(credential.actions.clone()),
            streams: credential.streams.clone().map(Arc::new),
            destinations: credential.destinations.clone().map(Arc::new),
        };
        Self { credential, hash, grant }
    }

    /// Whether it opens `project` now to one who presented a secret with this hash. Looks at
    /// everything before it answers, so that the time says nothing.
    fn opens(&self, hash: &[u8; 32], project: Option<&str>, exact: bool, now: Timestamp) -> Choice {
        let own = self.credential.project.as_ref().map(ProjectId::as_str);
        let reaches = match (project, own) {
            (Some(asked), Some(own)) => asked.as_bytes().ct_eq(own.as_bytes()),
            (Some(_), None) => Choice::from(u8::from(!exact)),
            (None, _) => Choice::from(1),
        };
        let alive = self.credential.expires.is_none_or(|expires| now < expires);
        self.hash.ct_eq(hash) & reaches & Choice::from(u8::from(alive))
    }
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Table {
    by_id: BTreeMap<CredentialId, Arc<Entry>>,
    /// One secret may belong to several fixed credentials, such as `dev`'s token and master secret.
    by_hash: BTreeMap<[u8; 32], Vec<Arc<Entry>>>,
    /// Users of different projects may have the same name.
    by_user: BTreeMap<String, Vec<Arc<Entry>>>,
    /// Stands in for a secret that is not there, so that a miss does the work of a hit.
    nobody: Vec<Arc<Entry>>,
}

impl Table {
    /// A table with none; `nobody` is compared with secrets that are not there and opens nothing.
    pub(crate) fn new(nobody: Entry) -> Self {
        Self {
            by_id: BTreeMap::new(),
            by_hash: BTreeMap::new(),
            by_user: BTreeMap::new(),
            nobody: vec![Arc::new(nobody)],
        }
    }

    /// Adds a credential, or replaces the one with its id.
    pub(crate) fn insert(&mut self, entry: Entry) {
        self.remove(&entry.credential.id);
        let entry = Arc::new(entry);
        match &entry.credential.user {
            Some(user) => self.by_user.entry(user.clone()).or_default().push(entry.clone()),
            None => self.by_hash.entry(entry.hash).or_default().push(entry.clone()),
        }
        self.by_id.insert(entry.credential.id.clone(), entry);
    }

    /// Removes a credential.
    pub(crate) fn remove(&mut self, id: &CredentialId) {
        let Some(entry) = self.by_id.remove(id) else { return };
        match &entry.credential.user {
            Some(user) => take_out(&mut self.by_user, user, id),
            None => take_out(&mut self.by_hash, &entry.hash, id),
        }
    }

    /// The credentials that have the same secret as this one, itself among them: whoever presented it
    /// may do by the name of one what another one allows.
    pub(crate) fn sharing(&self, id: &CredentialId) -> Vec<CredentialId> {
        let Some(entry) = self.by_id.get(id) else { return Vec::new() };
        let same = match &entry.credential.user {
            Some(_) => None,
            None => self.by_hash.get(&entry.hash),
        };
        let ids = same.into_iter().flatten().map(|other| other.credential.id.clone());
        std::iter::once(id.clone()).chain(ids.filter(|other| other != id)).collect()
    }

    /// The credential with this id.
    pub(crate) fn get(&self, id: &CredentialId) -> Option<&Entry> {
        self.by_id.get(id).map(Arc::as_ref)
    }

    /// All, in order of id.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Credential> {
        self.by_id.values().map(|entry| &entry.credential)
    }

    /// The grant of the user of this name whose password has this hash.
    pub(crate) fn user(&self, name: &str, hash: &[u8; 32], now: Timestamp) -> Option<Grant> {
        let candidates = self.by_user.get(name).unwrap_or(&self.nobody);
        // All are looked at, so that the time says nothing of which.
        let mut found = None;
        for entry in candidates {
            if bool::from(entry.opens(hash, None, false, now)) {
                found = Some(entry.grant.clone());
            }
        }
        found
    }

    /// The grant of a secret with this hash. Where several credentials share the secret, it may do
    /// what any of them may, in the name of the first that belongs to an integration.
    pub(crate) fn grant(
        &self,
        hash: &[u8; 32],
        project: Option<&str>,
        exact: bool,
        now: Timestamp,
    ) -> Option<Grant> {
        let candidates = self.by_hash.get(hash).unwrap_or(&self.nobody);
        // The usual case, and that of a secret that is not there.
        if let [only] = candidates.as_slice() {
            let is_open = bool::from(only.opens(hash, project, exact, now));
            return is_open.then(|| only.grant.clone());
        }
        let mut open = candidates
            .iter()
            .filter(|entry| bool::from(entry.opens(hash, project, exact, now)))
            .collect::<Vec<_>>();
        open.sort_by_key(|entry| entry.grant.integration.is_none());
        let (first, others) = open.split_first()?;
        let mut grant = first.grant.clone();
        // Rights are joined only where the reach is the same, so that none widens another. What is of
        // no integration shows no less than what is of one, whose name and bounds hold for all.
        let same_reach = |other: &&&Arc<Entry>| {
            let other = &other.grant;
            let narrows = other.integration.is_none() || other.integration == grant.integration;
            narrows
                && other.project == grant.project
                && other.streams == grant.streams
                && other.destinations == grant.destinations
        };
        let joined = others.iter().filter(same_reach).map(|other| &other.grant);
        let (mut actions, mut expires) = (BTreeSet::new(), grant.expires);
        for other in joined {
            actions.extend(other.actions.iter().copied());
            // What was joined holds only while all of it does.
            expires = [expires, other.expires].into_iter().flatten().min();
        }
        if !actions.is_subset(&grant.actions) {
            actions.extend(grant.actions.iter().copied());
            (grant.actions, grant.expires) = (Arc::new(actions), expires);
        }
        Some(grant)
    }
}

/// Entries that were the last of their key leave no key behind.
fn take_out<K: Ord>(map: &mut BTreeMap<K, Vec<Arc<Entry>>>, key: &K, id: &CredentialId) {
    if let Some(same) = map.get_mut(key) {
        same.retain(|other| other.credential.id != *id);
        if same.is_empty() {
            map.remove(key);
        }
    }
}
