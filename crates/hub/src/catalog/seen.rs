//! Changes that rest on what was seen before.
//!
//! Called by `admin`, which changes some members of a thing and leaves the others as it saw them: if
//! somebody changed it meanwhile, theirs would be undone unseen.

use std::sync::Arc;

use crate::catalog::change;
use crate::catalog::turn::{Change, in_turn, in_turn_then};
use crate::hub::Inner;
use crate::subscription::{self, Subscription, SubscriptionSettings};
use crate::{CatalogError, Hub, Integration, Project, Stream, StreamSettings, webhook};

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

    /// Changes a subscription whose settings are still as `seen`, and is otherwise as
    /// [`Hub::update_subscription`]. A webhook's are its own.
    ///
    /// # Errors
    /// Those of [`Hub::update_subscription`]; [`CatalogError::Conflict`] when they were changed since.
    pub fn update_seen_subscription(
        &self,
        subscription: &Arc<Subscription>,
        seen: Arc<SubscriptionSettings>,
        settings: SubscriptionSettings,
    ) -> Change<()> {
        let subscription = subscription.clone();
        in_turn(&self.inner, |inner| async move {
            if subscription.name().as_str().starts_with(webhook::PREFIX) {
                let reason = "it is the place of a webhook, which has settings of its own";
                return Err(CatalogError::Invalid(reason.into()));
            }
            still(Some(&subscription.settings()), &seen)?;
            subscription::change::update(inner, subscription, settings).await
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
        let id = (seen.project.clone(), seen.id.clone());
        let change = |inner: Arc<Inner>| async move {
            let now = inner.catalog.read().integration(&seen.project, &seen.id);
            still(now.as_ref(), &seen)?;
            change::update_integration(inner, new).await
        };
        in_turn_then(&self.inner, change, |inner| webhook::change::entitled(inner, id))
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
