//! Changes that rest on what was seen before.
//!
//! Called by `admin`, which changes some members of a thing and leaves the others as it saw them: if
//! somebody changed it meanwhile, theirs would be undone unseen.

use std::sync::Arc;

use crate::catalog::change;
use crate::catalog::turn::{Change, in_turn};
use crate::{CatalogError, Hub, Integration, Project, Stream, StreamSettings};

impl Hub {
    /// Changes a project that is still as `seen`, and is otherwise as [`Hub::update_project`].
    ///
    /// # Errors
    /// Those of [`Hub::update_project`]; [`CatalogError::Conflict`] when it was changed since.
    pub fn update_seen_project(&self, seen: Arc<Project>, new: Project) -> Change<Arc<Project>> {
        in_turn(&self.inner, |inner| async move {
            let now = {
                let catalog = inner.catalog.read();
                catalog.tenants.get(&seen.id).map(|tenant| tenant.project.clone())
            };
            still(now.as_ref(), &seen)?;
            change::update_project(inner, new).await
        })
    }

    /// Changes a stream that is still as `seen`, and is otherwise as [`Hub::update_stream`].
    ///
    /// # Errors
    /// Those of [`Hub::update_stream`]; [`CatalogError::Conflict`] when it was changed since.
    pub fn update_seen_stream(
        &self,
        seen: Arc<Stream>,
        settings: StreamSettings,
    ) -> Change<Arc<Stream>> {
        in_turn(&self.inner, |inner| async move {
            let now = inner.catalog.read().stream(&seen.project, &seen.name);
            still(now.as_ref(), &seen)?;
            change::update_stream(inner, seen.project.clone(), seen.name.clone(), settings).await
        })
    }

    /// Changes an integration that is still as `seen`, and is otherwise as
    /// [`Hub::update_integration`].
    ///
    /// # Errors
    /// Those of [`Hub::update_integration`]; [`CatalogError::Conflict`] when it was changed since.
    pub fn update_seen_integration(
        &self,
        seen: Arc<Integration>,
        new: Integration,
    ) -> Change<Arc<Integration>> {
        in_turn(&self.inner, |inner| async move {
            let now = inner.catalog.read().integration(&seen.project, &seen.id);
            still(now.as_ref(), &seen)?;
            change::update_integration(inner, new).await
        })
    }
}

/// Whether what is there now is what was seen: every change puts another in its place.
fn still<T>(now: Option<&Arc<T>>, seen: &Arc<T>) -> Result<(), CatalogError> {
    match now {
        Some(now) if Arc::ptr_eq(now, seen) => Ok(()),
        Some(_) => Err(CatalogError::Conflict),
        None => Err(CatalogError::NotFound),
    }
}
