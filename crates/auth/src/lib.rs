//! Keys and tokens: who may do what.
//!
//! Called by the faces, which turn what a client presented into a [`Grant`](outflow_model::Grant),
//! by `admin`, which issues and revokes, and by `server`. Calls `store` for durable state and
//! `model` for the nouns.
//!
//! Three kinds of secrets: drawn tokens, found by what they are; users' passwords, found by the
//! user's name; and access tokens, which an API key signs and which say themselves what they open.
//!
//! Invariants: only SHA-256 of a secret is stored, but for the signing keys of API keys, which are
//! shown to nobody, and for what webhooks are signed with and sent; a secret is shown once, at issue; no type here prints one. Authentication answers from memory, in the same time and with the same result
//! whether a credential is wrong, unknown, expired or revoked. A revocation is durable before
//! anything acts on it.

pub mod access;
pub mod api_key;
pub mod auth;
pub mod credential;
pub mod error;
pub mod jwt;
mod owner;
pub mod presented;
mod record;
pub mod rng;
pub mod scope;
pub mod secret;
mod table;
pub mod token;
pub mod user;
pub mod webhook;

pub use access::{AccessError, AccessToken, Client};
pub use api_key::{ApiKey, IssuedApiKey, NewApiKey, Revoke};
pub use auth::{ALL_GENERATIONS, Auth, MAX_TOKENS_PER_INTEGRATION, RevokeListener};
pub use credential::{Credential, CredentialKind, Issued, NewCredential};
pub use error::{AuthError, IssueError};
pub use owner::{Ending, OwnerLookup};
pub use presented::Presented;
pub use rng::SystemRng;
pub use scope::Scope;
pub use secret::Secret;
pub use webhook::WebhookSecrets;
