//! Removing the streams that tell of endpoints that are no more.
//!
//! Called when the hub opens: they used to be left behind, and are where one was made for an endpoint that
//! then could not be. Who has an integration of that name next must not read them.
//!
//! Invariant: what is there of an endpoint stays, and what a subscription has its dead events copied to.

use std::sync::Arc;

use outflow_model::{IntegrationId, StreamName};

use super::{WebhookId, told_of};
use crate::CatalogError;
use crate::catalog::change::delete_stream;
use crate::catalog::turn::in_turn;
use crate::hub::Inner;
use crate::subscription::change::takes_dead_letters;

/// Removes those that there are, one after another. What fails is left for the next start.
pub(super) fn streams(inner: &Arc<Inner>) {
    let left: Vec<(WebhookId, StreamName)> = {
        let catalog = inner.catalog.read();
        let all = catalog.tenants.values().flat_map(|tenant| tenant.streams.values());
        all.filter_map(|stream| {
            let id = IntegrationId::new(told_of(&stream.name)?).ok()?;
            let one = catalog.integration(&stream.project, &id);
            let is_left = one.is_none_or(|one| one.webhook.is_none());
            is_left.then(|| ((stream.project.clone(), id), stream.name.clone()))
        })
        .collect()
    };
    if left.is_empty() {
        return;
    }
    let inner = inner.clone();
    tokio::spawn(async move {
        for (id, name) in left {
            let (project, stream) = (id.0.clone(), name.clone());
            match in_turn(&inner, |inner| remove(inner, id, name)).await {
                Ok(false) => {}
                Ok(true) => {
                    tracing::info!(%project, %stream, "removed what told of a webhook that is gone");
                }
                Err(error) => {
                    tracing::warn!(%project, %stream, %error, "what told of a webhook that is gone was left behind");
                }
            }
        }
    });
}

/// Says whether it was there and is not any more.
async fn remove(inner: Arc<Inner>, id: WebhookId, name: StreamName) -> Result<bool, CatalogError> {
    let one = inner.catalog.read().integration(&id.0, &id.1);
    let is_there = one.is_some_and(|one| one.webhook.is_some());
    if is_there || takes_dead_letters(&inner, &id.0, &name) {
        return Ok(false);
    }
    match delete_stream(inner, id.0, name).await {
        Ok(()) => Ok(true),
        Err(CatalogError::NotFound) => Ok(false),
        Err(error) => Err(error),
    }
}
