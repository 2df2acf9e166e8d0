//! Whose credentials are: nothing is issued for a project or an integration that is on its way out,
//! or gone.
//!
//! Asked by whatever issues, in its turn. Told by `admin`, which holds an [`Ending`] from before it
//! revokes what there is until the catalog has forgotten the owner; `server` says how the catalog is
//! asked. Without the first, what is issued between the two steps would be there when somebody makes
//! an owner of the same name; without the second, what was asked for before and issued after.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, OnceLock};

use outflow_model::{IntegrationId, ProjectId};
use parking_lot::Mutex;

use crate::{Auth, IssueError};

/// Says whether there is this project, and this integration of it.
pub type OwnerLookup = Arc<dyn Fn(&ProjectId, Option<&IntegrationId>) -> bool + Send + Sync>;

/// A project, or one of its integrations.
type Owner = (ProjectId, Option<IntegrationId>);

/// See the module.
#[derive(Default)]
pub(crate) struct Owners {
    /// How many times each is on its way out.
    ending: Mutex<BTreeMap<Owner, usize>>,
    lookup: OnceLock<OwnerLookup>,
}

impl Owners {
    /// Whether something may be issued for this owner. For whoever has the turn.
    pub(crate) fn check(
        &self,
        project: &ProjectId,
        integration: Option<&IntegrationId>,
    ) -> Result<(), IssueError> {
        let is_ending = {
            let ending = self.ending.lock();
            let of = |integration: Option<&IntegrationId>| {
                ending.contains_key(&(project.clone(), integration.cloned()))
            };
            !ending.is_empty() && (of(None) || (integration.is_some() && of(integration)))
        };
        let is_there = self.lookup.get().is_none_or(|exists| exists(project, integration));
        if is_ending || !is_there { Err(IssueError::NoOwner) } else { Ok(()) }
    }
}

/// While it is held, nothing is issued for an owner.
#[must_use = "it ends when it is dropped"]
pub struct Ending {
    auth: Auth,
    owner: Owner,
}

impl fmt::Debug for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Ending").field(&self.owner).finish()
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        let mut ending = self.auth.inner.owners.ending.lock();
        if let Some(times) = ending.get_mut(&self.owner) {
            *times -= 1;
            if *times == 0 {
                ending.remove(&self.owner);
            }
        }
    }
}

impl Auth {
    /// Issues nothing more for a project, or for one of its integrations, as long as the answer is held.
    pub fn end_owner(&self, project: &ProjectId, integration: Option<&IntegrationId>) -> Ending {
        let owner = (project.clone(), integration.cloned());
        *self.inner.owners.ending.lock().entry(owner.clone()).or_default() += 1;
        Ending { auth: self.clone(), owner }
    }

    /// Says how to ask whether an owner exists; once, at the start. Without it, all do.
    pub fn look_owners_up(&self, lookup: OwnerLookup) {
        // The first one stays.
        let _ = self.inner.owners.lookup.set(lookup);
    }
}
