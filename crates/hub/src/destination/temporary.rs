//! Destinations that go with a connection.
//!
//! Called by faces when a connection first uses one of its own and at its end, and by `server` at
//! its start for those that a crash left behind.
//!
//! Invariant: one is its credential's from its making to its end. Clients choose the ids of their
//! connections and with them these names, which they tell to whoever is to answer them: a name must
//! open nothing.

use std::collections::BTreeMap;

use outflow_model::{Action, CredentialId, Grant, ProjectId, StreamName};
use parking_lot::Mutex;

use super::{Destination, DestinationError, name, reach};
use crate::{CatalogError, Hub};

/// Whose temporary destinations are: in memory only, for none outlasts the server.
#[derive(Debug, Default)]
pub(crate) struct Owners(Mutex<Table>);

#[derive(Debug, Default)]
struct Table {
    projects: BTreeMap<ProjectId, BTreeMap<StreamName, Owner>>,
    /// The number of the next claim.
    next: u64,
}

/// Whose one is, and the number of the last claim: what ended before it does not end it.
#[derive(Debug)]
struct Owner {
    credential: CredentialId,
    claim: u64,
}

/// What came of a claim.
#[derive(Debug, Clone, Copy)]
struct Claimed {
    claim: u64,
    was_there: bool,
}

impl Owners {
    /// Notes whose one is that is to be made; `None`: it is another's.
    fn claim(&self, project: &ProjectId, name: &StreamName, of: &CredentialId) -> Option<Claimed> {
        let mut table = self.0.lock();
        let Table { projects, next } = &mut *table;
        let own = projects.entry(project.clone()).or_default();
        let was_there = match own.get(name) {
            Some(owner) if owner.credential != *of => return None,
            owner => owner.is_some(),
        };
        let claim = *next;
        *next += 1;
        own.insert(name.clone(), Owner { credential: of.clone(), claim });
        Some(Claimed { claim, was_there })
    }

    /// The last claim of one, where there is any.
    fn last_claim(&self, project: &ProjectId, name: &StreamName) -> Option<u64> {
        let table = self.0.lock();
        table.projects.get(project)?.get(name).map(|owner| owner.claim)
    }

    /// Whether one is another credential's.
    pub(crate) fn is_of_another(&self, grant: &Grant, project: &ProjectId, name: &str) -> bool {
        let table = self.0.lock();
        let owner = table.projects.get(project).and_then(|own| own.get(name));
        owner.is_some_and(|owner| owner.credential != grant.credential)
    }

    /// One is no more, unless it was claimed again.
    fn release(&self, project: &ProjectId, name: &StreamName, claim: u64) {
        let mut table = self.0.lock();
        let Some(own) = table.projects.get_mut(project) else { return };
        if own.get(name).is_some_and(|owner| owner.claim == claim) {
            own.remove(name);
        }
        if own.is_empty() {
            table.projects.remove(project);
        }
    }
}

impl Hub {
    /// Makes a temporary destination, unless it is there. Only its connection may ask for it, and
    /// has to see to its end by [`Hub::drop_temporary`].
    ///
    /// # Errors
    /// [`DestinationError`]: `Forbidden` also when one of that name is another credential's.
    pub async fn make_temporary(
        &self,
        grant: &Grant,
        destination: &Destination,
    ) -> Result<(), DestinationError> {
        let project = may_have(grant, destination)?;
        let (name, owners) = (name::of_stream(destination)?, &self.inner().temporary);
        let claimed = owners.claim(project, &name, &grant.credential);
        let Claimed { claim, was_there } = claimed.ok_or(DestinationError::Forbidden)?;
        let made = self.ensure_temporary(project, destination, name.clone()).await;
        if made.is_err() && !was_there {
            owners.release(project, &name, claim);
        }
        made
    }

    async fn ensure_temporary(
        &self,
        project: &ProjectId,
        destination: &Destination,
        stream: StreamName,
    ) -> Result<(), DestinationError> {
        if destination.kind.is_queue() {
            self.ensure_queue(project, destination, name::of_queue(destination)?).await?;
        }
        self.ensure_stream(project, stream, destination.kind).await.map(drop)
    }

    /// Removes a temporary destination with what is in it; nothing when there is none.
    ///
    /// # Errors
    /// [`DestinationError`].
    pub async fn drop_temporary(
        &self,
        grant: &Grant,
        destination: &Destination,
    ) -> Result<(), DestinationError> {
        let project = may_have(grant, destination)?;
        let (name, owners) = (name::of_stream(destination)?, &self.inner().temporary);
        if owners.is_of_another(grant, project, name.as_str()) {
            return Err(DestinationError::Forbidden);
        }
        let claim = owners.last_claim(project, &name);
        self.remove(project, &name).await?;
        if let Some(claim) = claim {
            owners.release(project, &name, claim);
        }
        Ok(())
    }

    /// Removes all temporary destinations: at the server's start, when none has an owner.
    ///
    /// # Errors
    /// [`DestinationError`].
    pub async fn drop_all_temporary(&self) -> Result<(), DestinationError> {
        for project in self.projects() {
            let is_temporary = |name: &str| name::destination(name).kind.is_temporary();
            let mut names: Vec<StreamName> = Vec::new();
            names.extend(self.streams(&project.id).iter().map(|stream| stream.name.clone()));
            let subscriptions = self.subscriptions(&project.id);
            names.extend(
                subscriptions.iter().filter_map(|one| StreamName::new(one.name().as_str()).ok()),
            );
            names.retain(|name| is_temporary(name.as_str()));
            names.sort_unstable();
            names.dedup();
            for name in names {
                self.remove(&project.id, &name).await?;
            }
        }
        Ok(())
    }

    /// Removes a stream and the subscription of its name.
    async fn remove(&self, project: &ProjectId, name: &StreamName) -> Result<(), DestinationError> {
        if let Some(subscription) = self.subscription(project, name.as_str()) {
            gone(self.delete_subscription(&subscription).await)?;
        }
        gone(self.delete_stream(project, name).await)
    }
}

/// The project in which a credential may have a temporary destination.
fn may_have<'g>(
    grant: &'g Grant,
    destination: &Destination,
) -> Result<&'g ProjectId, DestinationError> {
    let project = reach::project(grant)?;
    let may = [Action::Read, Action::Publish].iter().any(|&one| grant.allows(one, project));
    if may && destination.kind.is_temporary() {
        Ok(project)
    } else {
        Err(DestinationError::Forbidden)
    }
}

/// What is not there needs no removal.
fn gone(removed: Result<(), CatalogError>) -> Result<(), DestinationError> {
    match removed {
        Ok(()) | Err(CatalogError::NotFound) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
