//! Destinations that go with a connection.
//!
//! Called by faces when a connection first uses one of its own and at its end, and by `server` at
//! its start for those that a crash left behind.

use outflow_model::{Action, Grant, ProjectId, StreamName};

use super::{Destination, DestinationError, name, reach};
use crate::{CatalogError, Hub};

impl Hub {
    /// Makes a temporary destination, unless it is there. Only its connection may ask for it, and
    /// has to see to its end by [`Hub::drop_temporary`].
    ///
    /// # Errors
    /// [`DestinationError`].
    pub async fn make_temporary(
        &self,
        grant: &Grant,
        destination: &Destination,
    ) -> Result<(), DestinationError> {
        let project = may_have(grant, destination)?;
        if destination.kind.is_queue() {
            self.ensure_queue(project, destination, name::of_queue(destination)?).await?;
        }
        self.ensure_stream(project, name::of_stream(destination)?, destination.kind).await?;
        Ok(())
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
        self.remove(project, &name::of_stream(destination)?).await
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
