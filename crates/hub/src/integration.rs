//! A customer's connection point: its entitlements and limits.

use std::collections::BTreeSet;

use outflow_model::{IntegrationId, ProjectId, Timestamp};

use crate::Webhook;

/// How many connections an integration may have, unless it says otherwise.
pub const DEFAULT_MAX_CONNECTIONS: u32 = 100;

/// Whether the id is kept for the server's own use: it begins with a dot. The places that the
/// server keeps in streams are cursors of such owners, which no caller may be.
pub(crate) fn is_reserved(id: &IntegrationId) -> bool {
    id.as_str().starts_with('.')
}

/// A customer's connection point. Tokens belong to it; its entitlements apply to all of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Integration {
    /// The id, unique in its project.
    pub id: IntegrationId,
    /// The project.
    pub project: ProjectId,
    /// For people, up to 128 bytes.
    pub name: String,
    /// For people, up to 1,024 bytes.
    pub description: String,
    /// Whether `LOCATION` events are sent.
    pub send_location: bool,
    /// The types it is entitled to, upper case; `None` for all. `LOCATION` and `COMPLIANCE` have a
    /// switch of their own besides, which must be on in either case.
    pub event_types: Option<BTreeSet<String>>,
    /// Whether `COMPLIANCE` events are sent.
    pub compliance: bool,
    /// How many readers it may have at once.
    pub max_connections: u32,
    /// Where its events are POSTed to, if anywhere. Set by
    /// [`Hub::set_webhook`](crate::Hub::set_webhook) alone; what the caller of another change gives is
    /// ignored.
    pub webhook: Option<Webhook>,
    /// When it was created. Set by the hub; what the caller gives is ignored.
    pub created: Timestamp,
}
