//! The API keys in force, in memory.
//!
//! Changed by `change` once a change is durable, asked by [`crate::access`].

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use outflow_model::{CredentialId, Grant, ProjectId, Timestamp};
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};

use crate::jwt::{KEY_BYTES, SigningKey};
use crate::{ApiKey, Scope};

/// One generation of a key. `Debug` shows nothing secret.
#[derive(Clone)]
pub(crate) struct Generation {
    /// From 1.
    pub(crate) number: u32,
    /// When it was made.
    pub(crate) created: Timestamp,
    /// What signs its tokens.
    pub(crate) signing: [u8; KEY_BYTES],
    /// The SHA-256 of its client secret.
    pub(crate) secret_hash: [u8; 32],
    /// The last four characters of the client secret.
    pub(crate) last4: String,
}

impl fmt::Debug for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Generation({})", self.number)
    }
}

/// A key with its generations.
#[derive(Debug, Clone)]
pub(crate) struct Held {
    pub(crate) id: CredentialId,
    pub(crate) project: ProjectId,
    pub(crate) name: String,
    pub(crate) scopes: BTreeSet<Scope>,
    pub(crate) streams: Option<BTreeSet<outflow_model::StreamName>>,
    pub(crate) created: Timestamp,
    pub(crate) current: Generation,
    /// The one before, and until when it is valid.
    pub(crate) deposed: Option<(Generation, Timestamp)>,
}

impl Held {
    /// What may be shown of it.
    pub(crate) fn view(&self, now: Timestamp) -> ApiKey {
        let until = self.deposed.as_ref().map(|(_, until)| *until);
        ApiKey {
            id: self.id.clone(),
            project: self.project.clone(),
            name: self.name.clone(),
            scopes: self.scopes.clone(),
            streams: self.streams.clone(),
            created: self.created,
            generation: self.current.number,
            rotated: self.current.created,
            deposed_until: until.filter(|until| now < *until),
            last4: self.current.last4.clone(),
        }
    }

    /// The generations that are valid now.
    fn valid(&self, now: Timestamp) -> impl Iterator<Item = &Generation> {
        let deposed = self.deposed.iter().filter(move |(_, until)| now < *until);
        std::iter::once(&self.current).chain(deposed.map(|(generation, _)| generation))
    }

    /// The first generation that is valid now; those below it are not, or never were.
    pub(crate) fn first_valid(&self, now: Timestamp) -> u32 {
        self.valid(now).map(|one| one.number).fold(self.current.number, u32::min)
    }

    /// When this generation ends by itself, if it does.
    pub(crate) fn ends(&self, generation: u32) -> Option<Timestamp> {
        let deposed = self.deposed.as_ref().filter(|(one, _)| one.number == generation);
        deposed.map(|(_, until)| *until)
    }

    /// The generation that has a client secret of this hash. Looks at all.
    pub(crate) fn knows(&self, hash: &[u8; 32], now: Timestamp) -> Option<u32> {
        let equal = |(known, number): (Choice, u32), one: &Generation| {
            let is_it = one.secret_hash.ct_eq(hash);
            (known | is_it, u32::conditional_select(&number, &one.number, is_it))
        };
        let (known, number) = self.valid(now).fold((Choice::from(0), 0), equal);
        bool::from(known).then_some(number)
    }
}

/// A key prepared for checking tokens.
pub(crate) struct Entry {
    pub(crate) held: Held,
    signers: Vec<(u32, SigningKey)>,
    /// All its scopes as one text, as most of its tokens have them.
    scope_text: String,
    /// What a token with all scopes may do.
    grant: Grant,
}

impl Entry {
    fn new(held: Held) -> Self {
        let both = std::iter::once(&held.current)
            .chain(held.deposed.iter().map(|(generation, _)| generation));
        let signers = both.map(|one| (one.number, SigningKey::new(&one.signing))).collect();
        let grant = grant(&held, &held.scopes);
        Self { scope_text: Scope::join(&held.scopes), signers, grant, held }
    }

    /// What signs the tokens of this generation, if it is valid now.
    pub(crate) fn signer(&self, generation: u32, now: Timestamp) -> Option<&SigningKey> {
        let is_valid = self.held.valid(now).any(|one| one.number == generation);
        let signer = self.signers.iter().find(|(number, _)| *number == generation);
        signer.filter(|_| is_valid).map(|(_, signer)| signer)
    }

    /// What a token with these scopes may do: nothing that the key may not.
    pub(crate) fn grant(&self, scopes: &str) -> Option<Grant> {
        if scopes == self.scope_text {
            return Some(self.grant.clone());
        }
        let scopes = Scope::parse_all(scopes)?;
        let scopes = scopes.intersection(&self.held.scopes).copied().collect::<BTreeSet<_>>();
        (!scopes.is_empty()).then(|| grant(&self.held, &scopes))
    }
}

fn grant(held: &Held, scopes: &BTreeSet<Scope>) -> Grant {
    Grant {
        credential: held.id.clone(),
        generation: held.current.number,
        expires: None,
        project: Some(held.project.clone()),
        integration: None,
        actions: Arc::new(scopes.iter().map(|scope| scope.action()).collect()),
        streams: held.streams.clone().map(Arc::new),
        destinations: None,
    }
}

/// See the module.
pub(crate) struct Ring {
    keys: BTreeMap<CredentialId, Arc<Entry>>,
    /// Stands in for a key that is not there, so that a miss does the work of a hit. Its own bytes
    /// are dropped where it is made, so it signs nothing.
    nobody: SigningKey,
}

impl Ring {
    pub(crate) fn new(nobody: &[u8; KEY_BYTES]) -> Self {
        Self { keys: BTreeMap::new(), nobody: SigningKey::new(nobody) }
    }

    /// Adds a key, or replaces the one with its id.
    pub(crate) fn insert(&mut self, held: Held) {
        self.keys.insert(held.id.clone(), Arc::new(Entry::new(held)));
    }

    pub(crate) fn remove(&mut self, id: &CredentialId) {
        self.keys.remove(id);
    }

    pub(crate) fn get(&self, id: &str) -> Option<&Arc<Entry>> {
        self.keys.get(id)
    }

    /// The project's key of this id.
    pub(crate) fn of_project(&self, project: &ProjectId, id: &CredentialId) -> Option<&Arc<Entry>> {
        self.keys.get(id).filter(|entry| entry.held.project == *project)
    }

    /// All, in order of id.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<Entry>> {
        self.keys.values()
    }

    pub(crate) const fn nobody(&self) -> &SigningKey {
        &self.nobody
    }
}
