//! Changes of webhooks: making, changing, removing them, and moving their places.
//!
//! Called by [`Hub`](crate::Hub) in turn with all changes of the catalog: durable first, shown after.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use outflow_model::{Offset, StreamName, Timestamp};
use outflow_store::{Condition, Op, Put};

use super::{Webhook, WebhookId, note_key, recovered, subscription_name, telling, view};
use crate::catalog::change::{commit, create_stream, delete_stream, keep_integration, unavailable};
use crate::catalog::record;
use crate::hub::Inner;
use crate::subscription::change::{create_with, end_with, locate};
use crate::subscription::rewind::{Undone, reopen, rewind as rewind_subscription};
use crate::subscription::{NewSubscription, Source, Sources, Subscription, SubscriptionSettings};
use crate::{CatalogError, Integration, NewStream, Start, Stream};

/// What dead events' streams begin with: those that an endpoint will never take.
const PARKED: &str = "webhook.parked:";
/// The longest URL that is stored, in bytes; the face wants less.
const MAX_URL_BYTES: usize = 8 << 10;

type Changed<T> = Result<T, CatalogError>;

/// See [`Hub::set_webhook`](crate::Hub::set_webhook).
pub(crate) async fn set(
    inner: Arc<Inner>,
    id: WebhookId,
    webhook: Webhook,
    start: Start,
    with: Vec<Op>,
) -> Changed<Arc<Integration>> {
    if webhook.url.len() > MAX_URL_BYTES {
        return Err(CatalogError::Invalid("url: too long".into()));
    }
    let old = inner.catalog.read().integration(&id.0, &id.1).ok_or(CatalogError::NotFound)?;
    let one = Integration { webhook: Some(webhook.clone()), ..(*old).clone() };
    let shown = view(&one)?;
    let mut ops = vec![replacing(&inner, &one).await?];
    ops.extend(with);
    let subscription = match &old.webhook {
        Some(known) if known.stream != webhook.stream => {
            let reason = "stream: it cannot be changed, as the place is in it; remove the webhook";
            return Err(CatalogError::Invalid(reason.into()));
        }
        Some(_) => {
            commit(&inner, ops).await?;
            subscription(&inner, &id)
        }
        None => {
            // Something may have been noted of one before while it was removed.
            ops.extend(forgetting(&id));
            Some(create_with(&inner, &id.0, place(&id, &webhook, start)?, ops).await?)
        }
    };
    let one = keep_integration(&inner, one);
    if let Some(subscription) = subscription {
        subscription.show(&inner, shown);
    }
    Ok(one)
}

/// The subscription that holds an endpoint's place, as it begins.
fn place(id: &WebhookId, webhook: &Webhook, start: Start) -> Changed<NewSubscription> {
    let parked = parked_name(id)?;
    let source = Source { stream: webhook.stream.clone(), start, filter: None };
    Ok(NewSubscription {
        name: subscription_name(&id.1)?,
        sources: Sources::Streams(vec![source]),
        settings: SubscriptionSettings {
            dead_letter: Some(parked),
            description: format!("the webhook of {}", id.1),
            ..SubscriptionSettings::default()
        },
        durable: true,
    })
}

/// See [`Hub::remove_webhook`](crate::Hub::remove_webhook).
pub(crate) async fn remove(inner: Arc<Inner>, id: WebhookId) -> Changed<bool> {
    let old = inner.catalog.read().integration(&id.0, &id.1).ok_or(CatalogError::NotFound)?;
    if old.webhook.is_none() {
        return Ok(false);
    }
    forget_told(&inner, &id).await?;
    let one = Integration { webhook: None, ..(*old).clone() };
    let mut ops = vec![replacing(&inner, &one).await?];
    ops.extend(forgetting(&id));
    match subscription(&inner, &id) {
        Some(subscription) => end_with(&inner, &subscription, ops).await?,
        None => commit(&inner, ops).await?,
    }
    keep_integration(&inner, one);
    Ok(true)
}

/// Deletes what tells of an endpoint that is about to go: what a customer's receiver refused and answered is
/// not for who has an integration of that name next.
pub(crate) async fn forget_told(inner: &Arc<Inner>, id: &WebhookId) -> Changed<()> {
    for name in telling(&id.1) {
        match delete_stream(inner.clone(), id.0.clone(), name).await {
            Ok(()) | Err(CatalogError::NotFound) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// See [`Hub::create_telling_stream`](crate::Hub::create_telling_stream).
pub(crate) async fn create_telling(
    inner: Arc<Inner>,
    id: WebhookId,
    new: NewStream,
) -> Changed<Arc<Stream>> {
    let one = inner.catalog.read().integration(&id.0, &id.1);
    if one.is_none_or(|one| one.webhook.is_none()) {
        // It has gone meanwhile, and what tells of it.
        return Err(CatalogError::NotFound);
    }
    create_stream(inner, id.0, new).await
}

/// See [`Hub::rewind_webhook`](crate::Hub::rewind_webhook).
pub(crate) async fn rewind(inner: Arc<Inner>, id: WebhookId, start: Start) -> Changed<()> {
    let subscription = subscription(&inner, &id).ok_or(CatalogError::NotFound)?;
    recovered::forget(&inner, &id).await?;
    rewind_subscription(&inner, &subscription, start, Undone::Skipped).await
}

/// See [`Hub::replay_webhook`](crate::Hub::replay_webhook).
pub(crate) async fn replay(inner: Arc<Inner>, id: WebhookId, start: Start) -> Changed<Offset> {
    let subscription = subscription(&inner, &id).ok_or(CatalogError::NotFound)?;
    let mut from = Offset::LAST;
    // It has one, or none where that was deleted.
    for stream in subscription.streams() {
        from = from.min(locate(&inner, &stream, start).await?);
    }
    let start = Start::After(Offset::new(from.get().saturating_sub(1)));
    rewind_subscription(&inner, &subscription, start, Undone::Kept).await?;
    Ok(from)
}

/// What an endpoint has refused.
#[derive(Debug, Default)]
pub(crate) struct Parked {
    /// Where the events are in the webhook's stream.
    pub(super) offsets: BTreeSet<Offset>,
    /// When the first was parked that there was no room for.
    pub(super) rest: Option<Timestamp>,
    /// From where to before where in the stream of what was parked they are.
    pub(super) stretch: (Offset, Offset),
}

/// Makes events that an endpoint has refused such as it was not sent yet. Says how many.
pub(crate) async fn reopen_parked(
    inner: Arc<Inner>,
    id: WebhookId,
    parked: Parked,
) -> Changed<u64> {
    let one = inner.catalog.read().integration(&id.0, &id.1).ok_or(CatalogError::NotFound)?;
    let webhook = one.webhook.as_ref().ok_or(CatalogError::NotFound)?;
    let subscription = subscription(&inner, &id).ok_or(CatalogError::NotFound)?;
    let Parked { offsets, stretch, .. } = parked;
    let count = reopen(&inner, &subscription, &webhook.stream, &offsets).await?;
    if !offsets.is_empty()
        && let Err(error) = recovered::add(&inner, &id, stretch).await
    {
        // They are sent again all the same.
        tracing::warn!(project = %id.0, integration = %id.1, %error, "it was not noted what is sent again to a webhook; the next recovery may send it once more");
    }
    Ok(count)
}

/// Has the face take nothing of an endpoint's place, which is about to be moved, until it hears that it
/// was: what it takes back of what is being sent is known to it then. As of [`moved`], one that does not hear it
/// has stopped.
pub(crate) async fn moving(inner: Arc<Inner>, id: WebhookId) {
    let Some(face) = inner.webhooks.get().cloned() else { return };
    if let Err(error) = face.moving(&id).await {
        tracing::debug!(project = %id.0, integration = %id.1, %error, "nobody was told that a webhook's place is moved");
    }
}

/// Tells the face that events come again that an endpoint had done with: all from there on, and others.
/// As of [`moved`].
pub(crate) async fn reopened(inner: Arc<Inner>, id: WebhookId, from: Offset) {
    let Some(face) = inner.webhooks.get().cloned() else { return };
    if let Err(error) = face.reopened(&id, from).await {
        tracing::debug!(project = %id.0, integration = %id.1, %error, "nobody was told that a webhook is sent again what it had done with");
    }
}

/// Tells the face that an endpoint's place was moved. One that does not hear it has stopped, and
/// finds the place as it is when it begins again.
pub(crate) async fn moved(inner: Arc<Inner>, id: WebhookId) {
    let Some(face) = inner.webhooks.get().cloned() else { return };
    if let Err(error) = face.moved(&id).await {
        tracing::debug!(project = %id.0, integration = %id.1, %error, "nobody was told that a webhook's place was moved");
    }
}

/// Tells the face that what an endpoint is entitled to may be other than it was: what it holds and has
/// not sent is looked at again. As of [`moved`], one that does not hear it has stopped.
pub(crate) async fn entitled(inner: Arc<Inner>, id: WebhookId) {
    let one = inner.catalog.read().integration(&id.0, &id.1);
    let Some(face) = inner.webhooks.get().cloned() else { return };
    if one.is_some_and(|one| one.webhook.is_some())
        && let Err(error) = face.changed(&id, false).await
    {
        tracing::debug!(project = %id.0, integration = %id.1, %error, "nobody was told that an integration was changed");
    }
}

/// The stream of the events that an endpoint refused.
pub(super) fn parked_name(id: &WebhookId) -> Changed<StreamName> {
    let name = StreamName::new(&format!("{PARKED}{}", id.1));
    name.map_err(|error| CatalogError::Invalid(format!("id: {error}")))
}

/// The subscription of an endpoint.
pub(crate) fn subscription(inner: &Inner, id: &WebhookId) -> Option<Arc<Subscription>> {
    let name = subscription_name(&id.1).ok()?;
    inner.subscriptions.directory.read().find(&id.0, name.as_str())
}

/// What removes the note of an endpoint's health, and of what it was sent again.
pub(crate) fn forgetting(id: &WebhookId) -> [Op; 2] {
    let note = Put { key: note_key(id), value: None, condition: Condition::Any };
    [Op::Put(note), recovered::forgetting(id)]
}

/// Lets the endpoints of an integration that was changed see what it is entitled to now.
pub(crate) fn look_again(inner: &Arc<Inner>, one: &Integration) {
    let id = (one.project.clone(), one.id.clone());
    if let Some(subscription) = subscription(inner, &id).filter(|_| one.webhook.is_some()) {
        match view(one) {
            Ok(shown) => subscription.show(inner, shown),
            // What was shown before stays, and nobody serves it: see [`Hub::endpoint_subscription`].
            Err(error) => {
                tracing::error!(project = %id.0, integration = %id.1, %error, "a webhook's filter cannot be read; the webhook is not served");
            }
        }
    }
}

/// Lets all endpoints see what they are entitled to, when the hub opens.
pub(crate) fn look_at_all(inner: &Arc<Inner>) {
    let tenants = inner.catalog.read();
    let all = tenants.tenants.values().flat_map(|tenant| tenant.integrations.values());
    let all: Vec<Arc<Integration>> = all.cloned().collect();
    drop(tenants);
    all.iter().for_each(|one| look_again(inner, one));
}

/// What replaces an integration's record.
async fn replacing(inner: &Inner, one: &Integration) -> Changed<Op> {
    let key: Bytes = record::integration_key(&one.project, &one.id);
    let entry = inner.engine.get(&key).await.map_err(unavailable)?.ok_or(CatalogError::NotFound)?;
    let value = Some(record::of_integration(one));
    Ok(Op::Put(Put { key, value, condition: Condition::Revision(entry.revision) }))
}
