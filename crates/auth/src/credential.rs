//! Credentials: what is known of them besides their secret.

use std::collections::BTreeSet;

use outflow_model::{
    Action, CredentialId, DestinationGrant, IntegrationId, ProjectId, StreamName, Timestamp,
};

use crate::Secret;

/// What a credential is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CredentialKind {
    /// An integration's token: reads the project's streams with the integration's entitlements.
    Token,
    /// A project's API key: publishes, reads or manages.
    Key,
    /// A project's master secret: reads compliance events.
    Master,
    /// The operator's token: reaches every project.
    Operator,
    /// A user with a password, for protocols whose clients log in: reaches destinations.
    User,
}

impl CredentialKind {
    /// The word for it, as stored and shown: `token`, `key`, `master`, `operator`,
    /// `user`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::Key => "key",
            Self::Master => "master",
            Self::Operator => "operator",
            Self::User => "user",
        }
    }

    /// Reads [`CredentialKind::as_str`]'s word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Token, Self::Key, Self::Master, Self::Operator, Self::User]
            .into_iter()
            .find(|kind| kind.as_str() == word)
    }
}

/// What to issue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewCredential {
    /// What it is for.
    pub kind: CredentialKind,
    /// For people, up to 128 bytes; may be empty.
    pub name: String,
    /// The project; required for all but [`CredentialKind::Operator`], which has none.
    pub project: Option<ProjectId>,
    /// The integration; required for [`CredentialKind::Token`], optional for a key, else none.
    pub integration: Option<IntegrationId>,
    /// What it may do; at least one.
    pub actions: BTreeSet<Action>,
    /// The streams it may touch; `None` for all of the project.
    pub streams: Option<BTreeSet<StreamName>>,
    /// The name to log in with, of a [`CredentialKind::User`] only; `None`: five digits are drawn.
    pub user: Option<String>,
    /// The destinations it may use, of a user only; `None` for all of the project.
    pub destinations: Option<DestinationGrant>,
    /// When it ends; `None` for never.
    pub expires: Option<Timestamp>,
}

/// A credential, without its secret: safe to show and log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credential {
    /// Its public half.
    pub id: CredentialId,
    /// What it is for.
    pub kind: CredentialKind,
    /// For people.
    pub name: String,
    /// The project.
    pub project: Option<ProjectId>,
    /// The integration.
    pub integration: Option<IntegrationId>,
    /// What it may do.
    pub actions: BTreeSet<Action>,
    /// The streams it may touch.
    pub streams: Option<BTreeSet<StreamName>>,
    /// The name to log in with, unique in its project.
    pub user: Option<String>,
    /// The destinations it may use.
    pub destinations: Option<DestinationGrant>,
    /// When it was issued.
    pub created: Timestamp,
    /// When it ends.
    pub expires: Option<Timestamp>,
    /// The last four characters of the secret, so that people can tell theirs apart; empty for
    /// secrets under 16 characters, of which four would be too much to show.
    pub last4: String,
}

/// A credential just issued, with the secret that is shown this once.
#[derive(Debug)]
pub struct Issued {
    /// What is kept.
    pub credential: Credential,
    /// What is shown.
    pub secret: Secret,
}
