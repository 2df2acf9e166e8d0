//! What an authenticated caller may do.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::destination::{DestinationKind, DestinationPattern};
use crate::{CredentialId, IntegrationId, ProjectId, Timestamp};

/// Something a caller can be allowed to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Action {
    /// Read events.
    Read,
    /// Publish events.
    Publish,
    /// Write to the project's ingest streams, and to no other.
    Ingest,
    /// Read the project's feeds of entities, and no other stream.
    Feed,
    /// Read compliance events with the project's master secret.
    Compliance,
    /// Change the project's own configuration.
    Manage,
    /// Change any project: the operator.
    Operate,
}

/// Who the caller is and how far the credential reaches. Made by `auth`, checked by `hub`; it
/// holds no secret.
#[derive(Debug, Clone)]
pub struct Grant {
    /// The credential that was presented; sessions end when it is revoked.
    pub credential: CredentialId,
    /// Which generation of it: an older one may be revoked while a newer one holds. 0 for
    /// credentials that have but one.
    pub generation: u32,
    /// When it ends by itself, and with it the sessions that it opened; `None` for never.
    pub expires: Option<Timestamp>,
    /// The project it belongs to; `None` for an operator, who reaches all.
    pub project: Option<ProjectId>,
    /// The integration it belongs to, whose connection limit and entitlements apply.
    pub integration: Option<IntegrationId>,
    /// What it may do.
    pub actions: Arc<BTreeSet<Action>>,
    /// The streams it may touch, by name; `None` for all of its project.
    pub streams: Option<Arc<BTreeSet<crate::StreamName>>>,
    /// The destinations it may use; `None` for all of its project. Where it is given, a stream is
    /// reached only as one of them.
    pub destinations: Option<Arc<DestinationGrant>>,
}

/// The destinations that a credential may use.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DestinationGrant {
    /// Those it may consume from.
    pub consume: Vec<DestinationPattern>,
    /// Those it may send to.
    pub send: Vec<DestinationPattern>,
}

impl DestinationGrant {
    /// Whether it may consume from all that `name`, with or without wildcards, stands for.
    #[must_use]
    pub fn consumes(&self, kind: DestinationKind, name: &str) -> bool {
        self.consume.iter().any(|pattern| pattern.covers(kind, name))
    }

    /// Whether it may send to all that `name` stands for.
    #[must_use]
    pub fn sends(&self, kind: DestinationKind, name: &str) -> bool {
        self.send.iter().any(|pattern| pattern.covers(kind, name))
    }
}

impl Grant {
    /// Whether this grant allows `action` in `project`.
    #[must_use]
    pub fn allows(&self, action: Action, project: &ProjectId) -> bool {
        if self.actions.contains(&Action::Operate) {
            return true;
        }
        self.actions.contains(&action) && self.project.as_ref() == Some(project)
    }
}
