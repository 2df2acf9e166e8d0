//! `…/integrations/{integration}/webhook`: where an integration's events are POSTed to.
//!
//! Calls the hub for what the endpoint is, `auth` for its secrets, and the webhook face, through the
//! hub, for what only that knows: whether it can send so, how the endpoint is, and a test.
//!
//! A secret leaves in [`IssuedWebhookView`], in the answer that makes it, and nowhere else; of the
//! customer's headers only the names ever leave.

mod input;

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::StatusCode;
use http::header::{CACHE_CONTROL, LOCATION};
use outflow_auth::{Secret, WebhookSecrets};
use outflow_hub::webhook::WebhookId;
use outflow_hub::{Integration, Start, Webhook, WebhookAnswer, Webhooks};
use outflow_model::{Action, ErrorCode, Offset};
use serde::Serialize;

use crate::access::{Admin, Caller};
use crate::error::Refused;
use crate::input::{self as read, Input};
use crate::subscription::Counted;
use input::{NewWebhook, Recovery, Replay, Resend, WebhookRotation};

/// For how long a replaced secret still signs, unless it says otherwise, and at most, in seconds.
const OVERLAP_S: u64 = 24 * 3_600;
const MAX_OVERLAP_S: u64 = 7 * 24 * 3_600;
/// The most replaced secrets that still sign.
const MAX_OLD: usize = 10;

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
    /// `active`, `failing`, `paused`, `disabled`; `unserved` where it cannot be sent to as it is set.
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

/// A webhook whose secret was made.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = IssuedWebhook))]
pub(crate) struct IssuedWebhookView {
    #[serde(flatten)]
    webhook: WebhookView,
    /// What receivers verify requests with, shown this once; null where it stays as it was.
    secret: Option<String>,
}

/// What came of a test.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub(crate) struct WebhookTest {
    /// Whether the endpoint took it.
    taken: bool,
    /// The answer's status; null: there was none.
    status: Option<u16>,
    /// Why there was none.
    failure: Option<String>,
    /// How long it took.
    duration_ms: u64,
    /// The beginning of the answer's body; as base64 where it is no text.
    response: String,
}

impl WebhookTest {
    fn of(answer: WebhookAnswer) -> Self {
        let WebhookAnswer { taken, status, failure, duration_ms, excerpt } = answer;
        let text = std::str::from_utf8(&excerpt);
        let response = text.map_or_else(|_| STANDARD.encode(&excerpt), str::to_owned);
        Self { taken, status, failure, duration_ms, response }
    }
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
    let named = secrets.iter().flat_map(|secrets| &secrets.headers);
    let secret = secrets.as_ref().map_or("", |secrets| secrets.secret.expose());
    let last4 = secret.len().checked_sub(4).and_then(|at| secret.get(at..)).unwrap_or_default();
    let time = |at: outflow_model::Timestamp| at.to_string();
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

/// Give an integration a webhook, or replace its settings. What is absent is as by default; headers and
/// secret stay as they are where they are absent. A new secret is in the answer, this once.
#[cfg_attr(test, utoipa::path(put, path = "/v1/projects/{project}/integrations/{integration}/webhook", tag = "webhooks", operation_id = "put_webhook",
    params(("project" = String, Path, description = "The project."), ("integration" = String, Path, description = "The integration.")),
    request_body = NewWebhook,
    responses((status = 200, description = "The webhook as it is now.", body = IssuedWebhookView), (status = 201, description = "The webhook that was made.", body = IssuedWebhookView))))]
pub(crate) async fn put(
    State(admin): State<Admin>,
    input: Input<NewWebhook>,
) -> Result<Response, Refused> {
    let integration = admin.integration(&input.caller)?;
    let project = admin.project(&input.caller.grant, &input.caller.path.project, Action::Manage)?;
    let new = input.body()?;
    let id = id(&integration);
    let old = integration.webhook.as_ref();
    let start = new.start(old.is_some())?;
    let webhook = new.webhook(&project, old)?;
    let service = service(&admin)?;
    let known = if old.is_some() { secrets(&admin, &id).await? } else { None };
    let headers = match (new.headers(), &known) {
        (Some(headers), _) => headers,
        (None, Some(known)) => known.headers.clone(),
        (None, None) => Vec::new(),
    };
    let plain: Vec<(String, String)> =
        headers.iter().map(|(name, value)| (name.clone(), value.expose().to_owned())).collect();
    service.check(&webhook, &plain)?;
    // One style's secret may be none of another.
    let kept = known
        .filter(|_| new.secret().is_none() && old.is_some_and(|old| old.style == webhook.style));
    let (secrets, issued) = match kept {
        Some(kept) => (WebhookSecrets { headers, ..kept }, None),
        None => {
            let text = service.secret(&webhook.style, new.secret())?;
            let secret = Secret::new(text.clone());
            (WebhookSecrets { secret, old: Vec::new(), headers }, Some(text))
        }
    };
    // First, so that there is never an endpoint without.
    admin.auth().set_webhook_secrets(&id.0, &id.1, Some(&secrets)).await?;
    let is_new = old.is_none();
    let made = admin.hub().set_webhook(&id.0, &id.1, webhook, start).await?;
    service.changed(&id, false).await?;
    tracing::info!(project = %id.0, integration = %id.1, is_new, "webhook set");
    let location = format!("/v1/projects/{}/integrations/{}/webhook", id.0, id.1);
    let webhook = made.webhook.clone().ok_or_else(|| Refused::missing("webhook"))?;
    let view = view(&admin, &Found { id, webhook }).await?;
    let status = if is_new { StatusCode::CREATED } else { StatusCode::OK };
    let headers = [(LOCATION, location), (CACHE_CONTROL, "no-store".to_owned())];
    let view = IssuedWebhookView { webhook: view, secret: issued };
    Ok((status, headers, Json(view)).into_response())
}

/// Take an integration's webhook from it, with its place and its secrets.
#[cfg_attr(test, utoipa::path(delete, path = "/v1/projects/{project}/integrations/{integration}/webhook", tag = "webhooks", operation_id = "delete_webhook",
    params(("project" = String, Path, description = "The project."), ("integration" = String, Path, description = "The integration.")),
    responses((status = 204, description = "It is gone."))))]
pub(crate) async fn delete(
    State(admin): State<Admin>,
    caller: Caller,
) -> Result<StatusCode, Refused> {
    let Found { id, .. } = found(&admin, &caller)?;
    admin.hub().remove_webhook(&id.0, &id.1).await?;
    admin.auth().set_webhook_secrets(&id.0, &id.1, None).await?;
    if let Some(service) = admin.hub().webhooks() {
        service.changed(&id, false).await?;
    }
    tracing::info!(project = %id.0, integration = %id.1, "webhook removed");
    Ok(StatusCode::NO_CONTENT)
}

/// Send a made-up event of type `CUSTOM`, past all that waits; at most ten times a minute.
#[cfg_attr(test, utoipa::path(post, path = "/v1/projects/{project}/integrations/{integration}/webhook/test", tag = "webhooks", operation_id = "test_webhook",
    params(("project" = String, Path, description = "The project."), ("integration" = String, Path, description = "The integration.")),
    responses((status = 200, description = "What came of it.", body = WebhookTest))))]
pub(crate) async fn test(
    State(admin): State<Admin>,
    caller: Caller,
) -> Result<Json<WebhookTest>, Refused> {
    let Found { id, .. } = found(&admin, &caller)?;
    Ok(Json(WebhookTest::of(service(&admin)?.test(&id).await?)))
}

/// Send events once more, from one offset to another, as one message, past all that waits: what
/// `webhook.attempts:` names as `first_offset` and `last_offset` is the same message.
#[cfg_attr(test, utoipa::path(post, path = "/v1/projects/{project}/integrations/{integration}/webhook/resend", tag = "webhooks", operation_id = "resend_webhook",
    params(("project" = String, Path, description = "The project."), ("integration" = String, Path, description = "The integration.")),
    request_body = Resend, responses((status = 200, description = "What came of it.", body = WebhookTest))))]
pub(crate) async fn resend(
    State(admin): State<Admin>,
    input: Input<Resend>,
) -> Result<Json<WebhookTest>, Refused> {
    let Found { id, .. } = found(&admin, &input.caller)?;
    let (first, last) = input.body()?.offsets()?;
    Ok(Json(WebhookTest::of(service(&admin)?.resend(&id, first, last).await?)))
}

/// Replace the secret. The one before signs as well for a while, so that receivers can follow.
#[cfg_attr(test, utoipa::path(post, path = "/v1/projects/{project}/integrations/{integration}/webhook/rotate", tag = "webhooks", operation_id = "rotate_webhook_secret",
    params(("project" = String, Path, description = "The project."), ("integration" = String, Path, description = "The integration.")),
    request_body = WebhookRotation, responses((status = 200, description = "The webhook and its new secret.", body = IssuedWebhookView))))]
pub(crate) async fn rotate(
    State(admin): State<Admin>,
    input: Input<WebhookRotation>,
) -> Result<Response, Refused> {
    let found = found(&admin, &input.caller)?;
    let wanted = input.body()?;
    let overlap = wanted.overlap_s.unwrap_or(OVERLAP_S);
    let overlap = read::within("/overlap_s", overlap, &(0..=MAX_OVERLAP_S))?;
    let id = &found.id;
    let known = secrets(&admin, id).await?.ok_or_else(|| Refused::missing("webhook"))?;
    let text = service(&admin)?.secret(&found.webhook.style, wanted.secret.as_deref())?;
    let now = admin.hub().clock().now();
    let until = now.plus_millis(i64::try_from(overlap * 1_000).unwrap_or(i64::MAX));
    let before = std::iter::once((known.secret, until)).filter(|(_, until)| *until > now);
    let old = known.old.into_iter().filter(|(_, until)| *until > now);
    let old = before.chain(old).take(MAX_OLD).collect();
    let secrets = WebhookSecrets { secret: Secret::new(text.clone()), old, headers: known.headers };
    admin.auth().set_webhook_secrets(&id.0, &id.1, Some(&secrets)).await?;
    service(&admin)?.changed(id, false).await?;
    tracing::info!(project = %id.0, integration = %id.1, "webhook's secret replaced");
    let view = IssuedWebhookView { webhook: view(&admin, &found).await?, secret: Some(text) };
    Ok(([(CACHE_CONTROL, "no-store")], Json(view)).into_response())
}

/// Send nothing until it is resumed. What is under way may still be taken.
#[cfg_attr(test, utoipa::path(post, path = "/v1/projects/{project}/integrations/{integration}/webhook/pause", tag = "webhooks", operation_id = "pause_webhook",
    params(("project" = String, Path, description = "The project."), ("integration" = String, Path, description = "The integration.")),
    responses((status = 200, description = "The webhook as it is now.", body = WebhookView))))]
pub(crate) async fn pause(
    State(admin): State<Admin>,
    caller: Caller,
) -> Result<Json<WebhookView>, Refused> {
    set_paused(&admin, &caller, true).await
}

/// Go on where it was paused or disabled, at once.
#[cfg_attr(test, utoipa::path(post, path = "/v1/projects/{project}/integrations/{integration}/webhook/resume", tag = "webhooks", operation_id = "resume_webhook",
    params(("project" = String, Path, description = "The project."), ("integration" = String, Path, description = "The integration.")),
    responses((status = 200, description = "The webhook as it is now.", body = WebhookView))))]
pub(crate) async fn resume(
    State(admin): State<Admin>,
    caller: Caller,
) -> Result<Json<WebhookView>, Refused> {
    set_paused(&admin, &caller, false).await
}

async fn set_paused(
    admin: &Admin,
    caller: &Caller,
    paused: bool,
) -> Result<Json<WebhookView>, Refused> {
    let Found { id, webhook } = found(admin, caller)?;
    let service = service(admin)?;
    let webhook = Webhook { paused, ..webhook };
    admin.hub().set_webhook(&id.0, &id.1, webhook.clone(), Start::Latest).await?;
    service.changed(&id, !paused).await?;
    tracing::info!(project = %id.0, integration = %id.1, paused, "webhook paused or resumed");
    Ok(Json(view(admin, &Found { id, webhook }).await?))
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

/// Send everything from a place on, again if it was sent: the same events have the same ids.
#[cfg_attr(test, utoipa::path(post, path = "/v1/projects/{project}/integrations/{integration}/webhook/replay", tag = "webhooks", operation_id = "replay_webhook",
    params(("project" = String, Path, description = "The project."), ("integration" = String, Path, description = "The integration.")),
    request_body = Replay, responses((status = 200, description = "The webhook as it is now.", body = WebhookView))))]
pub(crate) async fn replay(
    State(admin): State<Admin>,
    input: Input<Replay>,
) -> Result<Json<WebhookView>, Refused> {
    let found = found(&admin, &input.caller)?;
    let from = input.body()?.from;
    let start = match place(&from)? {
        // The event named is sent as well.
        Start::After(offset) => Start::After(Offset::new(offset.get().saturating_sub(1))),
        start => start,
    };
    let id = &found.id;
    admin.hub().rewind_webhook(&id.0, &id.1, start).await?;
    service(&admin)?.moved(id).await?;
    tracing::info!(project = %id.0, integration = %id.1, from, "webhook replays");
    Ok(Json(view(&admin, &found).await?))
}

/// Send the events again that the endpoint has refused since a time: to it only, in their order,
/// before what it was not sent yet.
#[cfg_attr(test, utoipa::path(post, path = "/v1/projects/{project}/integrations/{integration}/webhook/recover", tag = "webhooks", operation_id = "recover_webhook",
    params(("project" = String, Path, description = "The project."), ("integration" = String, Path, description = "The integration.")),
    request_body = Recovery, responses((status = 200, description = "How many events are sent again.", body = Counted))))]
pub(crate) async fn recover(
    State(admin): State<Admin>,
    input: Input<Recovery>,
) -> Result<Json<Counted>, Refused> {
    let Found { id, .. } = found(&admin, &input.caller)?;
    let since = read::time("/since", &input.body()?.since)?;
    let events = admin.hub().recover_webhook(&id.0, &id.1, since).await?;
    service(&admin)?.moved(&id).await?;
    tracing::info!(project = %id.0, integration = %id.1, events, "what a webhook refused is sent again");
    Ok(Json(Counted { events }))
}

/// `earliest`, `latest`, an offset or a time.
fn place(text: &str) -> Result<Start, Refused> {
    match text {
        "earliest" => Ok(Start::Earliest),
        "latest" => Ok(Start::Latest),
        digits if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            let offset = digits.parse().map(|offset| Start::After(Offset::new(offset)));
            offset.map_err(|_| Refused::member("/from", "it is no offset"))
        }
        time => read::time("/from", time).map(Start::At),
    }
}
