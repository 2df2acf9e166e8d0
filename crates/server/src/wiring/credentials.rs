//! What credentials and the hub have to know of each other.
//!
//! Called by [`crate::wiring`] at the start.

use std::sync::Arc;

use outflow_auth::Auth;
use outflow_hub::Hub;

/// Has the hub end what a revoked credential holds, and `auth` ask it for whom it issues.
pub(super) fn join(auth: &Auth, hub: &Hub) {
    let revoked = hub.clone();
    auth.on_revoke(Arc::new(move |credential, below| {
        revoked.close_credential(credential, below);
    }));
    let owners = hub.clone();
    auth.look_owners_up(Arc::new(move |project, integration| match integration {
        Some(integration) => owners.integration(project, integration).is_some(),
        None => owners.project(project).is_some(),
    }));
}
