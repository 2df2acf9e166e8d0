//! `…/integrations/{integration}/webhook`: where an integration's events are POSTed to.
//!
//! Calls the hub for what the endpoint is, `auth` for its secrets, and the webhook face, through the
//! hub, for what only that knows: whether it can send so, how the endpoint is, and a test.
//!
//! [`change`] makes, changes and removes endpoints, each in its [`turn`]; [`sent`] is what they were sent.
//!
//! A secret leaves in [`change::IssuedWebhookView`], in the answer that makes it, and nowhere else; of
//! the customer's headers only the names ever leave.

pub(crate) mod change;
mod input;
pub(crate) mod sent;
pub(crate) mod turn;

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use outflow_auth::WebhookSecrets;
use outflow_hub::webhook::{Recovered, WebhookId};
use outflow_hub::{Integration, Start, Webhook, Webhooks};
use outflow_model::{ErrorCode, Offset};
use serde::Serialize;

use crate::access::{Admin, Caller};
use crate::error::Refused;
use crate::input::{self as read, Input};
use input::{Recovery, Replay};

/// A webhook.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = Webhook))]
pub(crate) struct WebhookView {
    /// Where events are POSTed to.
    url: String,
    /// The stream that they are of.
    stream: String,
    /// How many events a request has at most; 1: one object, else an array.
    batch: u32,
    /// How many requests may be under way at once, in order for each key; null: all in order.
    lanes: Option<u32>,
    /// Whether bodies are packed with gzip.
    gzip: bool,
    /// Which events are sent; null: all that the integration is entitled to.
    filters: Option<serde_json::Value>,
    /// How requests are signed: `standard`, `stripe`, `github` or `none`.
    style: String,
    /// The names of the headers that are added.
    headers: Vec<String>,
    /// The pauses after failures, in milliseconds; empty: the server's.
    retry_pauses_ms: Vec<u64>,
    /// How long an attempt may last; null: as the server says.
    timeout_ms: Option<u64>,
    /// After how many seconds of failure only it is disabled; null: as the server says.
    disable_after_s: Option<u64>,
    /// Whether nothing is sent for now.
    paused: bool,
    /// The last four characters of the secret.
    secret_last4: String,
    /// What receivers verify requests with where it signs with Ed25519: `whpk_` and the public key;
    /// null: they need the secret.
    public_key: Option<String>,
    /// The public keys of the secrets that were replaced and still sign.
    previous_public_keys: Vec<String>,
    /// `active`, `failing`, `paused`, `disabled`; `unserved` where it cannot be sent to as it is set, or
    /// its stream is gone.
    state: &'static str,
    /// Since when every attempt has failed; null: the last one did not.
    failing_since: Option<String>,
    /// How often it has failed since then.
    failures: u32,
    /// When the next attempt is made, while it waits for one.
    next_attempt: Option<String>,
    /// Why it is disabled: `gone` (it answered 410) or `failing`; null: it is not.
    disabled: Option<String>,
    /// How many events are not delivered yet; those that the filter leaves out count until they are
    /// looked at.
    backlog: u64,
    /// How many events retention took before they were delivered, since the server started.
    lost: u64,
}

/// What is sent again of what an endpoint has refused.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = RecoveredEvents))]
pub(crate) struct RecoveredView {
    /// How many events: those that retention has taken, and those that wait to be sent, do not count.
    events: u64,
    /// There are more than are sent again at once: recover since this time for the next ones. Null: these
    /// were all.
    next_since: Option<String>,
}

/// The webhook of an integration, as a caller that manages its project has asked for it.
struct Found {
    id: WebhookId,
    webhook: Webhook,
}

fn id(integration: &Integration) -> WebhookId {
    (integration.project.clone(), integration.id.clone())
}

fn found(admin: &Admin, caller: &Caller) -> Result<Found, Refused> {
    let integration = admin.integration(caller)?;
    let webhook = integration.webhook.clone().ok_or_else(|| Refused::missing("webhook"))?;
    Ok(Found { id: id(&integration), webhook })
}

fn service(admin: &Admin) -> Result<&dyn Webhooks, Refused> {
    let service = admin.hub().webhooks().map(|service| &**service);
    service.ok_or_else(|| Refused::new(ErrorCode::Unavailable, "webhooks are not served here"))
}

async fn secrets(admin: &Admin, id: &WebhookId) -> Result<Option<WebhookSecrets>, Refused> {
    Ok(admin.auth().webhook_secrets(&id.0, &id.1).await?)
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// How it stands.
async fn view(admin: &Admin, found: &Found) -> Result<WebhookView, Refused> {
    let Found { id, webhook } = found;
    let secrets = secrets(admin, id).await?;
    let status = match admin.hub().webhooks() {
        Some(service) => service.status(id).await.ok(),
        None => None,
    };
    let place = admin.hub().endpoint_subscription(&id.0, &id.1);
    let stats = place.map(|place| admin.hub().subscription_stats(&place));
    // Nothing comes for it any more.
    let has_stream = admin.hub().stream(&id.0, &webhook.stream).is_some();
    let status = status.filter(|_| has_stream);
    let named = secrets.iter().flat_map(|secrets| &secrets.headers);
    let secret = secrets.as_ref().map_or("", |secrets| secrets.secret.expose());
    let last4 = secret.len().checked_sub(4).and_then(|at| secret.get(at..)).unwrap_or_default();
    let time = |at: outflow_model::Timestamp| at.to_string();
    let public = |secret: &str| {
        let service = admin.hub().webhooks()?;
        service.public_key(&webhook.style, secret)
    };
    let now = admin.hub().clock().now();
    let old = secrets.iter().flat_map(|secrets| &secrets.old).filter(|(_, until)| *until > now);
    let previous = old.filter_map(|(secret, _)| public(secret.expose())).collect();
    Ok(WebhookView {
        url: webhook.url.clone(),
        stream: webhook.stream.to_string(),
        batch: webhook.batch,
        lanes: webhook.lanes,
        gzip: webhook.gzip,
        filters: webhook.filter.as_ref().and_then(|text| serde_json::from_str(text).ok()),
        style: webhook.style.clone(),
        headers: named.map(|(name, _)| name.clone()).collect(),
        retry_pauses_ms: webhook.pauses.iter().copied().map(millis).collect(),
        timeout_ms: webhook.timeout.map(millis),
        disable_after_s: webhook.disable_after.map(|time| time.as_secs()),
        paused: webhook.paused,
        secret_last4: last4.to_owned(),
        public_key: public(secret),
        previous_public_keys: previous,
        state: status.as_ref().map_or("unserved", |status| status.state),
        failing_since: status.as_ref().and_then(|status| status.failing_since).map(time),
        failures: status.as_ref().map_or(0, |status| status.failures),
        next_attempt: status.as_ref().and_then(|status| status.next_attempt).map(time),
        disabled: status.and_then(|status| status.disabled).map(|(why, _)| why),
        backlog: stats.as_ref().map_or(0, |stats| stats.backlog),
        lost: stats.map_or(0, |stats| stats.lost),
    })
}

/// Show an integration's webhook, how it is, and how much waits for it.
#[cfg_attr(test, utoipa::path(get, path = "/v1/projects/{project}/integrations/{integration}/webhook", tag = "webhooks", operation_id = "get_webhook",
    params(("project" = String, Path, description = "The project."), ("integration" = String, Path, description = "The integration.")),
    responses((status = 200, description = "The webhook.", body = WebhookView))))]
pub(crate) async fn show(
    State(admin): State<Admin>,
    caller: Caller,
) -> Result<Json<WebhookView>, Refused> {
    let found = found(&admin, &caller)?;
    Ok(Json(view(&admin, &found).await?))
}

/// Make the next attempt now.
#[cfg_attr(test, utoipa::path(post, path = "/v1/projects/{project}/integrations/{integration}/webhook/retry", tag = "webhooks", operation_id = "retry_webhook",
    params(("project" = String, Path, description = "The project."), ("integration" = String, Path, description = "The integration.")),
    responses((status = 200, description = "The webhook as it is now.", body = WebhookView))))]
pub(crate) async fn retry(
    State(admin): State<Admin>,
    caller: Caller,
) -> Result<Json<WebhookView>, Refused> {
    let found = found(&admin, &caller)?;
    service(&admin)?.retry(&found.id).await?;
    Ok(Json(view(&admin, &found).await?))
}

/// Send everything from a place on, again if it was sent: the same events have the same ids. What was not
/// delivered before that place is sent as well, unless it is to be skipped; `latest` skips it always.
#[cfg_attr(test, utoipa::path(post, path = "/v1/projects/{project}/integrations/{integration}/webhook/replay", tag = "webhooks", operation_id = "replay_webhook",
    params(("project" = String, Path, description = "The project."), ("integration" = String, Path, description = "The integration.")),
    request_body = Replay, responses((status = 200, description = "The webhook as it is now.", body = WebhookView))))]
pub(crate) async fn replay(
    State(admin): State<Admin>,
    input: Input<Replay>,
) -> Result<Json<WebhookView>, Refused> {
    let found = found(&admin, &input.caller)?;
    let Replay { from, skip } = input.body()?;
    let start = match place(&from)? {
        // The event named is sent as well.
        Start::After(offset) => Start::After(Offset::new(offset.get().saturating_sub(1))),
        start => start,
    };
    let id = &found.id;
    if skip || start == Start::Latest {
        admin.hub().rewind_webhook(&id.0, &id.1, start).await?;
    } else {
        admin.hub().replay_webhook(&id.0, &id.1, start).await?;
    }
    tracing::info!(project = %id.0, integration = %id.1, from, skip, "webhook replays");
    Ok(Json(view(&admin, &found).await?))
}

/// Send the events again that the endpoint has refused since a time: to it only, in their order,
/// before what it was not sent yet. What an earlier recovery has sent again is left out, unless it was
/// refused again; a replay sends that as well.
#[cfg_attr(test, utoipa::path(post, path = "/v1/projects/{project}/integrations/{integration}/webhook/recover", tag = "webhooks", operation_id = "recover_webhook",
    params(("project" = String, Path, description = "The project."), ("integration" = String, Path, description = "The integration.")),
    request_body = Recovery, responses((status = 200, description = "How many events are sent again, and since when there are more.", body = RecoveredView))))]
pub(crate) async fn recover(
    State(admin): State<Admin>,
    input: Input<Recovery>,
) -> Result<Json<RecoveredView>, Refused> {
    let Found { id, .. } = found(&admin, &input.caller)?;
    let since = read::time("/since", &input.body()?.since)?;
    let Recovered { events, rest } = admin.hub().recover_webhook(&id.0, &id.1, since).await?;
    tracing::info!(project = %id.0, integration = %id.1, events, "what a webhook refused is sent again");
    Ok(Json(RecoveredView { events, next_since: rest.map(|at| at.to_string()) }))
}

/// What is said of a place that is none.
const PLACES: &str =
    "it is none of: `earliest`, `latest`, an offset, an RFC 3339 time such as 2030-01-31T00:00:00Z";

/// `earliest`, `latest`, an offset or a time.
fn place(text: &str) -> Result<Start, Refused> {
    match text {
        "earliest" => Ok(Start::Earliest),
        "latest" => Ok(Start::Latest),
        digits if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            let offset = digits.parse().map(|offset| Start::After(Offset::new(offset)));
            offset.map_err(|_| Refused::member("/from", PLACES))
        }
        time => {
            read::time("/from", time).map(Start::At).map_err(|_| Refused::member("/from", PLACES))
        }
    }
}
