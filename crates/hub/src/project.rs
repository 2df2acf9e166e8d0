//! The tenant.

use outflow_model::{ProjectId, StreamName, Timestamp};

/// A tenant: owns streams, credentials and integrations. Airship's app key is its id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Project {
    /// The id, chosen by whoever creates it.
    pub id: ProjectId,
    /// For people, up to 128 bytes.
    pub name: String,
    /// When it was created. Set by the hub; what the caller gives is ignored.
    pub created: Timestamp,
    /// Whether Basic authentication is accepted on `/api/events` (test and demonstration apps,
    /// reference `airship.md` 1.1).
    pub basic_auth: bool,
    /// The stream that clients read who name none. It need not exist yet.
    pub default_stream: StreamName,
    /// Limits.
    pub limits: ProjectLimits,
}

/// What bounds a project.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProjectLimits {
    /// How many readers it may have at once, over all integrations.
    pub connections: u32,
}

impl Default for ProjectLimits {
    fn default() -> Self {
        Self { connections: 20_000 }
    }
}
