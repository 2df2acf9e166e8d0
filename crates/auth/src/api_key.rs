//! API keys: what issues access tokens, and what is known of them besides their secrets.
//!
//! An API key has a *generation*: a signing key that never leaves the server, and a client secret
//! that is shown once. Rotating makes the next generation; the one before stays valid for
//! [`DEPOSED_FOR`] more, so that tokens and clients can be changed one by one, and a further
//! rotation drops it (reference `aria_itas_amperity.md` 3.2). Revoking drops generations, deleting
//! the key all of them. A token names its key and generation, so it holds as long as both are there.
//!
//! `change` makes the changes, `ring` holds the keys in memory, `record` knows the stored form, and
//! [`crate::access`] issues and checks tokens.

pub(crate) mod change;
pub(crate) mod record;
pub(crate) mod ring;

use std::collections::BTreeSet;
use std::time::Duration;

use outflow_model::{CredentialId, ProjectId, StreamName, Timestamp};

use crate::{Scope, Secret};

/// How long the generation before the current one stays valid after a rotation: 30 days.
pub const DEPOSED_FOR: Duration = Duration::from_secs(30 * 86_400);
/// How many API keys a project may have.
pub const MAX_API_KEYS: usize = 100;

/// An API key, without anything secret: safe to show and log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKey {
    /// Its public half, and the client id for OAuth 2.0.
    pub id: CredentialId,
    /// The project.
    pub project: ProjectId,
    /// For people.
    pub name: String,
    /// What its tokens may do at most.
    pub scopes: BTreeSet<Scope>,
    /// The streams that its tokens may touch; `None` for all that the scopes reach.
    pub streams: Option<BTreeSet<StreamName>>,
    /// When it was made.
    pub created: Timestamp,
    /// Which generation is current; from 1.
    pub generation: u32,
    /// When the current generation was made.
    pub rotated: Timestamp,
    /// Until when the generation before stays valid, if it does.
    pub deposed_until: Option<Timestamp>,
    /// The last four characters of the current client secret.
    pub last4: String,
}

/// An API key to make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewApiKey {
    /// The project.
    pub project: ProjectId,
    /// For people, up to 128 bytes; may be empty.
    pub name: String,
    /// What its tokens may do at most; at least one.
    pub scopes: BTreeSet<Scope>,
    /// The streams that its tokens may touch; `None` for all that the scopes reach.
    pub streams: Option<BTreeSet<StreamName>>,
}

/// An API key with a new client secret, which is shown this once.
#[derive(Debug)]
pub struct IssuedApiKey {
    /// What is kept.
    pub key: ApiKey,
    /// What is shown.
    pub secret: Secret,
}

/// Which access tokens to revoke.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Revoke {
    /// Those from before the last rotation.
    Old,
    /// All there are; the client secret is replaced as well.
    All,
}
