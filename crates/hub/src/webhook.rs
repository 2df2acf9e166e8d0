//! Webhooks as the catalog has them: an integration's endpoint, and its place in a stream.
//!
//! Set by `admin`, read and driven by the webhook face, which puts itself where [`Webhooks`] says, so
//! that `admin` can ask it without naming it. An endpoint's place is a durable subscription that
//! belongs to it: `webhook:` and the integration's id. What the face must not forget of an endpoint's
//! health is an entry of the engine's state; its secrets are `auth`'s.
//!
//! Invariants: an integration's webhook and its subscription come and go in one batch, and what tells of the
//! webhook is gone before it: the next one of that name tells nothing of it; what the
//! integration is not entitled to, and what the webhook's filter leaves out, is passed over and
//! never handed out.

pub mod attempt;
pub(crate) mod change;
pub mod face;
mod look;
pub(crate) mod record;
mod recovered;
mod sweep;

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use outflow_model::{
    Filter, Grant, IntegrationId, Offset, ProjectId, StreamName, SubscriptionName, Timestamp,
};
use outflow_store::{Batch, Condition, Op, Put};

use crate::catalog::change::{unavailable, written};
use crate::catalog::turn::{Change, in_turn, in_turn_between};
use crate::hub::Inner;
use crate::subscription::{EventView, Subscription};
use crate::view::{Entitlement, View};
use crate::{CatalogError, Hub, Integration, NewStream, Start, Stream};
pub use face::{
    Asking, WebhookAnswer, WebhookError, WebhookFault, WebhookKey, WebhookStatus, Webhooks,
};

/// What the names of webhooks' subscriptions begin with.
pub(crate) const PREFIX: &str = "webhook:";

/// Where an integration's events are POSTed to, and how. What the face makes of the texts is its own
/// affair: [`Webhooks::check`] says whether it can.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Webhook {
    /// The stream that it gets events of. It cannot be changed: the place is in it.
    pub stream: StreamName,
    /// The URL.
    pub url: String,
    /// How many events a request has at most.
    pub batch: u32,
    /// How many requests may be under way at once, those with events of one key one after another;
    /// `None`: one after another.
    pub lanes: Option<u32>,
    /// Whether bodies are packed.
    pub gzip: bool,
    /// Which of the events that the integration is entitled to it gets: the `filters` of reference
    /// `airship.md` 1.2 as JSON; `None`: all.
    pub filter: Option<String>,
    /// How requests are signed.
    pub style: String,
    /// The pauses after failures; empty: the server's.
    pub pauses: Vec<Duration>,
    /// How long an attempt may last; `None`: as the server says.
    pub timeout: Option<Duration>,
    /// After how long of failure only it is disabled; `None`: as the server says.
    pub disable_after: Option<Duration>,
    /// Whether nothing is sent for now.
    pub paused: bool,
}

/// An endpoint: the project and the integration.
pub type WebhookId = (ProjectId, IntegrationId);

/// What was found to be sent again of what an endpoint refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recovered {
    /// How many events are sent again.
    pub events: u64,
    /// There are more, the first of which was parked then: recover since then for the next part.
    pub rest: Option<Timestamp>,
}

/// What the streams begin with that tell of an endpoint: what it was sent, and what it refused.
const TELLING: [&str; 2] = ["webhook.attempts:", "webhook.parked:"];

/// Of which integration's endpoint a stream tells, if it does.
fn told_of(stream: &StreamName) -> Option<&str> {
    TELLING.iter().find_map(|prefix| stream.as_str().strip_prefix(prefix))
}

/// Whether a stream tells of an endpoint. Only the server writes there: what is sent again is what such
/// streams say.
pub(crate) fn is_telling(stream: &StreamName) -> bool {
    told_of(stream).is_some()
}

/// Whether a stream tells of the endpoint of another integration than the grant's: answers of one
/// customer's receivers are not for another.
pub(crate) fn is_of_another(grant: &Grant, stream: &StreamName) -> bool {
    let Some(own) = &grant.integration else { return false };
    told_of(stream).is_some_and(|of| of != own.as_str())
}

/// The streams that tell of an endpoint. They are made with it or when they are needed, and go with it.
pub(crate) fn telling(id: &IntegrationId) -> impl Iterator<Item = StreamName> {
    TELLING.iter().filter_map(move |prefix| StreamName::new(&format!("{prefix}{id}")).ok())
}

/// When the hub opens: lets endpoints see what they are entitled to, and removes what is left of others.
pub(crate) fn opened(inner: &Arc<Inner>) {
    change::look_at_all(inner);
    sweep::streams(inner);
}

/// The name of an endpoint's subscription.
pub(crate) fn subscription_name(id: &IntegrationId) -> Result<SubscriptionName, CatalogError> {
    let name = SubscriptionName::new(&format!("{PREFIX}{id}"));
    name.map_err(|error| CatalogError::Invalid(format!("id: {error}")))
}

/// What an endpoint gets: what its integration is entitled to, and its filter lets pass.
pub(crate) fn view(one: &Integration) -> Result<Option<Arc<View>>, CatalogError> {
    let Some(webhook) = &one.webhook else { return Ok(None) };
    let filter = match &webhook.filter {
        Some(text) => Filter::parse(text.as_bytes())
            .map_err(|error| CatalogError::Invalid(format!("filter: {error}")))?,
        None => Filter::all(),
    };
    let view = View::new(Arc::new(filter), None, &Entitlement::of_integration(one), None);
    Ok(Some(Arc::new(view)).filter(|view| !view.is_all()))
}

impl Hub {
    /// Says who serves webhooks; once, at the start.
    pub fn set_webhooks(&self, webhooks: Arc<dyn Webhooks>) {
        // The first one stays.
        let _ = self.inner().webhooks.set(webhooks);
    }

    /// Who serves webhooks; `None`: nobody.
    #[must_use]
    pub fn webhooks(&self) -> Option<&Arc<dyn Webhooks>> {
        self.inner().webhooks.get()
    }

    /// The integrations that have an endpoint.
    #[must_use]
    pub fn endpoints(&self) -> Vec<Arc<Integration>> {
        let catalog = self.inner().catalog.read();
        let all = catalog.tenants.values().flat_map(|tenant| tenant.integrations.values());
        all.filter(|one| one.webhook.is_some()).cloned().collect()
    }

    /// The subscription that holds an endpoint's place. `None` also while what is stored of its filter
    /// cannot be read, as by a version that knows less: nobody then knows what it may be sent.
    #[must_use]
    pub fn endpoint_subscription(
        &self,
        project: &ProjectId,
        integration: &IntegrationId,
    ) -> Option<Arc<Subscription>> {
        let one = self.integration(project, integration)?;
        view(&one).ok()?;
        self.subscription(project, &format!("{PREFIX}{integration}"))
    }

    /// Gives an integration an endpoint, or changes the one it has; a new one begins at `start`.
    ///
    /// # Errors
    /// [`CatalogError`].
    pub fn set_webhook(
        &self,
        project: &ProjectId,
        integration: &IntegrationId,
        webhook: Webhook,
        start: Start,
    ) -> Change<Arc<Integration>> {
        self.set_webhook_with((project.clone(), integration.clone()), webhook, start, Vec::new())
    }

    /// As [`Self::set_webhook`], with what is stored of it elsewhere, such as its secrets: both in one
    /// write, so that no crash leaves one without the other.
    ///
    /// # Errors
    /// [`CatalogError`].
    pub fn set_webhook_with(
        &self,
        id: WebhookId,
        webhook: Webhook,
        start: Start,
        with: Vec<Op>,
    ) -> Change<Arc<Integration>> {
        in_turn(self.inner(), |inner| change::set(inner, id, webhook, start, with))
    }

    /// Takes an integration's endpoint from it, with its place and the streams that tell of it; says whether
    /// there was one.
    ///
    /// # Errors
    /// [`CatalogError`].
    pub fn remove_webhook(&self, project: &ProjectId, integration: &IntegrationId) -> Change<bool> {
        let id = (project.clone(), integration.clone());
        in_turn(self.inner(), |inner| change::remove(inner, id))
    }

    /// Makes a stream that tells of an endpoint, while there is that endpoint.
    ///
    /// # Errors
    /// [`CatalogError`].
    pub fn create_telling_stream(&self, id: &WebhookId, new: NewStream) -> Change<Arc<Stream>> {
        let id = id.clone();
        in_turn(self.inner(), |inner| change::create_telling(inner, id, new))
    }

    /// Sets an endpoint's place: everything from `start` on is sent, again if it was. The face is told
    /// of it before whoever called is, also of one that has gone away.
    ///
    /// # Errors
    /// [`CatalogError`].
    pub fn rewind_webhook(
        &self,
        project: &ProjectId,
        integration: &IntegrationId,
        start: Start,
    ) -> Change<()> {
        let id = (project.clone(), integration.clone());
        let (moving, moved) = (id.clone(), id.clone());
        let before = change::moving(self.inner().clone(), moving);
        let change = |inner| change::rewind(inner, id, start);
        in_turn_between(self.inner(), before, change, |inner, _| change::moved(inner, moved))
    }

    /// As [`Self::rewind_webhook`], but what was not delivered yet before `start` is sent as well. Gives
    /// where that is: from there on everything is sent, again if it was.
    ///
    /// # Errors
    /// [`CatalogError`].
    pub fn replay_webhook(
        &self,
        project: &ProjectId,
        integration: &IntegrationId,
        start: Start,
    ) -> Change<Offset> {
        let id = (project.clone(), integration.clone());
        let (moving, moved) = (id.clone(), id.clone());
        let before = change::moving(self.inner().clone(), moving);
        let change = |inner| change::replay(inner, id, start);
        in_turn_between(self.inner(), before, change, |inner, from| {
            change::reopened(inner, moved, from.unwrap_or(Offset::LAST))
        })
    }

    /// Sends the events again that an endpoint has refused since a time: to it only, in their order,
    /// before what it was not sent yet. They stay where they were parked as well; what an earlier call has
    /// sent again is left out, unless it was refused again. The face is told of it as of
    /// [`Self::rewind_webhook`].
    ///
    /// # Errors
    /// [`CatalogError`].
    pub async fn recover_webhook(
        &self,
        project: &ProjectId,
        integration: &IntegrationId,
        since: Timestamp,
    ) -> Result<Recovered, CatalogError> {
        let id = (project.clone(), integration.clone());
        // Looked for out of turn: there may be much to read, and others wait for their changes.
        let parked = look::parked(self.inner(), &id, since).await?;
        let rest = parked.rest;
        let (moving, moved) = (id.clone(), id.clone());
        let before = change::moving(self.inner().clone(), moving);
        let change = |inner| change::reopen_parked(inner, id, parked);
        // What was taken is not sent again, whatever else is.
        let after = |inner, _| change::reopened(inner, moved, Offset::LAST);
        let events = in_turn_between(self.inner(), before, change, after).await?;
        Ok(Recovered { events, rest })
    }

    /// The events at these offsets of an endpoint's stream, at most 100, in this order, with the stream.
    /// Those that are no longer there, or that it may not be sent now, are left out.
    ///
    /// # Errors
    /// [`CatalogError`].
    pub async fn endpoint_events(
        &self,
        id: &WebhookId,
        offsets: &[Offset],
    ) -> Result<(Arc<Stream>, Vec<EventView>), CatalogError> {
        look::events(self.inner(), id, offsets).await
    }

    /// Looks at the events of a stream from one offset to before another, in order, until `each` breaks.
    /// Whoever calls bounds how many that are.
    ///
    /// # Errors
    /// [`CatalogError::Unavailable`].
    pub async fn look_through<B: Send>(
        &self,
        stream: &Stream,
        from: Offset,
        end: Offset,
        each: impl FnMut(EventView) -> ControlFlow<B> + Send,
    ) -> Result<Option<B>, CatalogError> {
        look::through(self.inner(), stream, from, end, each).await
    }

    /// The first event of a stream that was taken at a time or later, and where the stream ends.
    ///
    /// # Errors
    /// [`CatalogError::Unavailable`].
    pub async fn stretch_since(
        &self,
        stream: &Stream,
        since: Option<Timestamp>,
    ) -> Result<(Offset, Offset), CatalogError> {
        look::stretch(self.inner(), stream, since).await
    }

    /// What was noted of an endpoint's health; `None`: nothing.
    ///
    /// # Errors
    /// [`CatalogError::Unavailable`].
    pub async fn endpoint_note(&self, id: &WebhookId) -> Result<Option<Bytes>, CatalogError> {
        let entry = self.inner().engine.get(&note_key(id)).await.map_err(unavailable)?;
        Ok(entry.map(|entry| entry.value))
    }

    /// Notes an endpoint's health, in the face's own form: queued when this returns, in the order of
    /// these calls and after all that was settled before, and durable when what it returns is ready.
    ///
    /// # Errors
    /// [`CatalogError::NotFound`] for one that is no more; those of storing.
    pub fn set_endpoint_note(
        &self,
        id: &WebhookId,
        value: Option<Bytes>,
    ) -> impl Future<Output = Result<(), CatalogError>> + Send + use<> {
        let one = self.integration(&id.0, &id.1).filter(|one| one.webhook.is_some());
        let put = Put { key: note_key(id), value, condition: Condition::Any };
        let batch = Batch { ops: vec![Op::Put(put)], ..Batch::default() };
        // A note of what is sent next must not be found with a place before what was sent last.
        if let Some(place) = change::subscription(self.inner(), id) {
            place.catch_up(self.inner());
        }
        let commit = one.map(|_| self.inner().engine.submit(batch));
        async move { written(commit.ok_or(CatalogError::NotFound)?.await) }
    }
}

/// Where an endpoint's health is noted.
pub(crate) fn note_key(id: &WebhookId) -> Bytes {
    ["webhook/", id.0.as_str(), "/", id.1.as_str()].concat().into()
}
