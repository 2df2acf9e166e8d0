//! Webhooks as the catalog has them: an integration's endpoint, and its place in a stream.
//!
//! Set by `admin`, read and driven by the webhook face, which puts itself where [`Webhooks`] says, so
//! that `admin` can ask it without naming it. An endpoint's place is a durable subscription that
//! belongs to it: `webhook:` and the integration's id. What the face must not forget of an endpoint's
//! health is an entry of the engine's state; its secrets are `auth`'s.
//!
//! Invariants: an integration's webhook and its subscription come and go in one batch; what the
//! integration is not entitled to, and what the webhook's filter leaves out, is passed over and
//! never handed out.

pub(crate) mod change;
mod look;
pub(crate) mod record;

use std::fmt::Debug;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use outflow_model::{
    ErrorCode, Filter, Grant, IntegrationId, Offset, ProjectId, StreamName, SubscriptionName,
    Timestamp,
};
use outflow_store::{Batch, Condition, Op, Put};

use crate::catalog::change::{unavailable, written};
use crate::catalog::turn::{Change, in_turn};
use crate::subscription::{EventView, Subscription};
use crate::view::{Entitlement, View};
use crate::{CatalogError, Hub, Integration, Start, Stream};

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

/// What is wrong with a webhook, and where: a JSON pointer into its settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookFault {
    /// Such as `/url`.
    pub pointer: String,
    /// In lower case.
    pub reason: String,
}

/// How an endpoint is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookStatus {
    /// `active`, `failing`, `paused` or `disabled`.
    pub state: &'static str,
    /// Since when every attempt has failed.
    pub failing_since: Option<Timestamp>,
    /// How often it has failed since then.
    pub failures: u32,
    /// When the next attempt is made, while it waits for one.
    pub next_attempt: Option<Timestamp>,
    /// Why it is disabled, and since when.
    pub disabled: Option<(String, Timestamp)>,
}

/// What came of one request that an operator asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookAnswer {
    /// Whether the endpoint took it.
    pub taken: bool,
    /// The answer's status; `None`: there was none.
    pub status: Option<u16>,
    /// Why there was none: a sentence for who configured the endpoint.
    pub failure: Option<String>,
    /// How long it took, in milliseconds.
    pub duration_ms: u64,
    /// The beginning of the answer's body.
    pub excerpt: Bytes,
}

/// Why the face did not do what it was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WebhookError {
    /// There is no such endpoint.
    #[error("there is no such webhook")]
    NotFound,
    /// It was asked too often.
    #[error("a webhook is sent at most {max} requests a minute by hand")]
    TooOften {
        /// The limit.
        max: u32,
    },
    /// There is nothing of this to be sent, or more than goes into one message.
    #[error("these events are no message of the webhook")]
    NoMessage,
    /// It is stopping, or has too much to do.
    #[error("webhooks are not served just now; try again")]
    Unavailable,
}

impl WebhookError {
    /// The class of the failure, for the faces' tables.
    #[must_use]
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::NotFound => ErrorCode::NotFound,
            Self::NoMessage => ErrorCode::Malformed,
            Self::TooOften { .. } => ErrorCode::RateLimited,
            Self::Unavailable => ErrorCode::Unavailable,
        }
    }
}

/// An answer of the face, under way.
pub type Asking<'a, T> = Pin<Box<dyn Future<Output = Result<T, WebhookError>> + Send + 'a>>;

/// An endpoint: the project and the integration.
pub type WebhookId = (ProjectId, IntegrationId);

/// What the face does for those who configure endpoints.
pub trait Webhooks: Debug + Send + Sync + 'static {
    /// Whether it can send as these settings say, with these headers and in this style.
    ///
    /// # Errors
    /// [`WebhookFault`].
    fn check(&self, webhook: &Webhook, headers: &[(String, String)]) -> Result<(), WebhookFault>;

    /// A new secret for the style, or the given one if it can be one. The text is a secret.
    ///
    /// # Errors
    /// [`WebhookFault`].
    fn secret(&self, style: &str, given: Option<&str>) -> Result<String, WebhookFault>;

    /// The endpoint was made, changed or removed. `anew`: also what was disabled begins again.
    fn changed<'a>(&'a self, id: &'a WebhookId, anew: bool) -> Asking<'a, ()>;

    /// The endpoint's place was moved.
    fn moved<'a>(&'a self, id: &'a WebhookId) -> Asking<'a, ()>;

    /// The next attempt is now.
    fn retry<'a>(&'a self, id: &'a WebhookId) -> Asking<'a, ()>;

    /// How it is.
    fn status<'a>(&'a self, id: &'a WebhookId) -> Asking<'a, WebhookStatus>;

    /// Sends the events from one offset to another once more, as one message, past all that waits.
    fn resend<'a>(
        &'a self,
        id: &'a WebhookId,
        first: Offset,
        last: Offset,
    ) -> Asking<'a, WebhookAnswer>;

    /// Sends a made-up event, past all that waits.
    fn test<'a>(&'a self, id: &'a WebhookId) -> Asking<'a, WebhookAnswer>;
}

/// What the streams begin with that tell of an endpoint: what it was sent, and what it refused.
const TELLING: [&str; 2] = ["webhook.attempts:", "webhook.parked:"];

/// Whether a stream tells of the endpoint of another integration than the grant's: answers of one
/// customer's receivers are not for another.
pub(crate) fn is_of_another(grant: &Grant, stream: &StreamName) -> bool {
    let Some(own) = &grant.integration else { return false };
    let of = TELLING.iter().find_map(|prefix| stream.as_str().strip_prefix(prefix));
    of.is_some_and(|of| of != own.as_str())
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

    /// The subscription that holds an endpoint's place.
    #[must_use]
    pub fn endpoint_subscription(
        &self,
        project: &ProjectId,
        integration: &IntegrationId,
    ) -> Option<Arc<Subscription>> {
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
        let id = (project.clone(), integration.clone());
        in_turn(self.inner(), |inner| change::set(inner, id, webhook, start))
    }

    /// Takes an integration's endpoint from it, with its place; says whether there was one.
    ///
    /// # Errors
    /// [`CatalogError`].
    pub fn remove_webhook(&self, project: &ProjectId, integration: &IntegrationId) -> Change<bool> {
        let id = (project.clone(), integration.clone());
        in_turn(self.inner(), |inner| change::remove(inner, id))
    }

    /// Sets an endpoint's place: everything from `start` on is sent, again if it was.
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
        in_turn(self.inner(), |inner| change::rewind(inner, id, start))
    }

    /// Sends the events again that an endpoint has refused since a time: to it only, in their order,
    /// before what it was not sent yet. Says how many. They stay where they were parked as well.
    ///
    /// # Errors
    /// [`CatalogError`].
    pub fn recover_webhook(
        &self,
        project: &ProjectId,
        integration: &IntegrationId,
        since: Timestamp,
    ) -> Change<u64> {
        let id = (project.clone(), integration.clone());
        in_turn(self.inner(), |inner| change::recover(inner, id, since))
    }

    /// The events of an endpoint's stream from one offset to another that it may be sent, with the
    /// stream; at most 100.
    ///
    /// # Errors
    /// [`CatalogError`].
    pub async fn endpoint_events(
        &self,
        id: &WebhookId,
        first: Offset,
        last: Offset,
    ) -> Result<(Arc<Stream>, Vec<EventView>), CatalogError> {
        look::events(self.inner(), id, first, last).await
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
    /// these calls, and durable when what it returns is ready.
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
        let commit = one.map(|_| self.inner().engine.submit(batch));
        async move { written(commit.ok_or(CatalogError::NotFound)?.await) }
    }
}

/// Where an endpoint's health is noted.
pub(crate) fn note_key(id: &WebhookId) -> Bytes {
    ["webhook/", id.0.as_str(), "/", id.1.as_str()].concat().into()
}
