//! The credentials in force, in memory, backed by the engine's state.

use std::fmt;
use std::sync::Arc;

use outflow_model::{Clock, CredentialId, Grant, IntegrationId, ProjectId, Rng};
use outflow_store::Engine;

use crate::{AuthError, Credential, IssueError, Issued, NewCredential, Presented};

/// How many tokens an integration may have (reference `airship.md` 1.1).
pub const MAX_TOKENS_PER_INTEGRATION: usize = 25;

/// The credentials in force. Cheap to clone; clones share everything.
#[derive(Clone)]
pub struct Auth;

impl fmt::Debug for Auth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Auth(..)")
    }
}

#[allow(clippy::all, missing_docs, unused_variables, clippy::todo)]
impl Auth {
    pub async fn open(engine: Arc<dyn Engine>, clock: Arc<dyn Clock>, rng: Arc<dyn Rng>) -> Result<Self, AuthError> { todo!() }
    pub async fn issue(&self, new: NewCredential) -> Result<Issued, IssueError> { todo!() }
    pub async fn issue_fixed(&self, new: NewCredential, secret: &str) -> Result<Credential, IssueError> { todo!() }
    pub async fn revoke(&self, id: &CredentialId) -> Result<bool, AuthError> { todo!() }
    pub async fn revoke_all(&self, project: &ProjectId, integration: Option<&IntegrationId>) -> Result<usize, AuthError> { todo!() }
    pub fn list(&self, project: Option<&ProjectId>, integration: Option<&IntegrationId>) -> Vec<Credential> { todo!() }
    pub fn authenticate(&self, presented: &Presented<'_>) -> Option<Grant> { todo!() }
    pub fn on_revoke(&self, listener: Arc<dyn Fn(&CredentialId) + Send + Sync>) { todo!() }
}
