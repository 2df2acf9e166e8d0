//! Making, changing and removing webhooks: a part in the catalog, and the secrets in `auth`.
//!
//! Invariant: one change of one webhook at a time, read, changed and written with no other between, and to
//! its end, the face being told of it, also when the caller goes away.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::{CACHE_CONTROL, LOCATION};
use outflow_auth::{Secret, WebhookSecrets};
use outflow_hub::webhook::WebhookId;
use outflow_hub::{Project, Start, Webhook, WebhookKey};
use outflow_model::{Action, Timestamp};
use serde::Serialize;

use super::input::{NewWebhook, WebhookRotation, key_type};
use super::{Found, WebhookView, found, id, secrets, service, view};
use crate::access::{Admin, Caller};
use crate::change::to_its_end;
use crate::error::Refused;
use crate::input::{self as read, Input};

/// For how long a replaced secret still signs, unless it says otherwise, and at most, in seconds.
const OVERLAP_S: u64 = 24 * 3_600;
const MAX_OVERLAP_S: u64 = 7 * 24 * 3_600;
/// The most replaced secrets that still sign.
const MAX_OLD: usize = 10;

/// A webhook whose secret was made.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = IssuedWebhook))]
pub(crate) struct IssuedWebhookView {
    #[serde(flatten)]
    webhook: WebhookView,
    /// What receivers verify requests with, shown this once; null where it stays as it was.
    secret: Option<String>,
}

/// Runs a change. See the module.
async fn in_turn<T: Send + 'static>(
    admin: &Admin,
    id: &WebhookId,
    change: impl Future<Output = Result<T, Refused>> + Send + 'static,
) -> Result<T, Refused> {
    let turn = admin.webhook_turns().of(id);
    to_its_end(async move {
        let _turn = turn.lock().await;
        change.await
    })
    .await
}

/// The webhook as it is when its turn has come.
fn found_again(admin: &Admin, id: &WebhookId) -> Result<Webhook, Refused> {
    let integration = admin.hub().integration(&id.0, &id.1);
    let integration = integration.ok_or_else(|| Refused::missing("integration"))?;
    integration.webhook.clone().ok_or_else(|| Refused::missing("webhook"))
}

/// Give an integration a webhook, or replace its settings. What is absent is as by default; headers and
/// secret stay as they are where they are absent. A new secret is in the answer, this once; the one
/// before it signs as well for a day, where the style stays.
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
    let (id, new) = (id(&integration), input.body()?);
    let Set { webhook, issued, is_new } =
        in_turn(&admin, &id, set(admin.clone(), project, id.clone(), new)).await?;
    tracing::info!(project = %id.0, integration = %id.1, is_new, "webhook set");
    let location = format!("/v1/projects/{}/integrations/{}/webhook", id.0, id.1);
    let view = view(&admin, &Found { id, webhook }).await?;
    let status = if is_new { StatusCode::CREATED } else { StatusCode::OK };
    let headers = [(LOCATION, location), (CACHE_CONTROL, "no-store".to_owned())];
    let view = IssuedWebhookView { webhook: view, secret: issued };
    Ok((status, headers, Json(view)).into_response())
}

/// What was set, and a secret that was made.
struct Set {
    webhook: Webhook,
    issued: Option<String>,
    is_new: bool,
}

async fn set(
    admin: Admin,
    project: Arc<Project>,
    id: WebhookId,
    new: NewWebhook,
) -> Result<Set, Refused> {
    let integration = admin.hub().integration(&id.0, &id.1);
    let integration = integration.ok_or_else(|| Refused::missing("integration"))?;
    let old = integration.webhook.as_ref();
    let start = new.start(old.is_some())?;
    let webhook = new.webhook(&project, old)?;
    if old.is_none() && admin.hub().stream(&id.0, &webhook.stream).is_none() {
        return Err(Refused::member("/stream", "the project has no such stream"));
    }
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
    let key = new.key_type()?;
    let is_kept = |known: &WebhookSecrets| {
        let kind = kind(&admin, &webhook.style, known);
        let is_same = key.is_none_or(|key| kind == Some(key));
        // One style's secret may be none of another.
        new.secret().is_none() && is_same && old.is_some_and(|old| old.style == webhook.style)
    };
    let (secrets, issued) = match known {
        Some(kept) if is_kept(&kept) => (WebhookSecrets { headers, ..kept }, None),
        known => {
            let text = service.secret(&webhook.style, key, new.secret())?;
            let secret = Secret::new(text.clone());
            // Receivers follow later; and cut short here, nobody would have been told of the new one.
            let of_style = known.filter(|_| old.is_some_and(|old| old.style == webhook.style));
            let now = admin.hub().clock().now();
            let old = of_style.map(|known| signing_on(known, &secret, now, OVERLAP_S));
            (WebhookSecrets { secret, old: old.unwrap_or_default(), headers }, Some(text))
        }
    };
    // In one write: new headers must never go to the old URL.
    let with = vec![admin.auth().setting_webhook_secrets(&id.0, &id.1, &secrets)?];
    let is_new = old.is_none();
    let made = admin.hub().set_webhook_with(id.clone(), webhook, start, with).await?;
    service.changed(&id, false).await?;
    let webhook = made.webhook.clone().ok_or_else(|| Refused::missing("webhook"))?;
    Ok(Set { webhook, issued, is_new })
}

/// What signs as well once `new` has replaced what an endpoint's requests were signed with until now,
/// which does so for so many seconds; newest first.
fn signing_on(
    known: WebhookSecrets,
    new: &Secret,
    now: Timestamp,
    overlap_s: u64,
) -> Vec<(Secret, Timestamp)> {
    // Who wants the one before to end at once means all of them: it may be known to somebody.
    if overlap_s == 0 {
        return Vec::new();
    }
    let overlap = i64::try_from(overlap_s.saturating_mul(1_000)).unwrap_or(i64::MAX);
    let before = std::iter::once((known.secret, now.plus_millis(overlap))).chain(known.old);
    // Nothing signs twice, as where what is set is what was set before.
    let signs_on = |one: &(Secret, Timestamp)| one.1 > now && one.0 != *new;
    before.filter(signs_on).take(MAX_OLD).collect()
}

/// What an endpoint's requests are signed with, where the style has more than one kind.
fn kind(admin: &Admin, style: &str, secrets: &WebhookSecrets) -> Option<WebhookKey> {
    let public = admin.hub().webhooks()?.public_key(style, secrets.secret.expose());
    Some(if public.is_some() { WebhookKey::Ed25519 } else { WebhookKey::Hmac })
}

/// Take an integration's webhook from it, with its place, its secrets, and what was told of it: its attempts
/// and what it refused.
#[cfg_attr(test, utoipa::path(delete, path = "/v1/projects/{project}/integrations/{integration}/webhook", tag = "webhooks", operation_id = "delete_webhook",
    params(("project" = String, Path, description = "The project."), ("integration" = String, Path, description = "The integration.")),
    responses((status = 204, description = "It is gone."))))]
pub(crate) async fn delete(
    State(admin): State<Admin>,
    caller: Caller,
) -> Result<StatusCode, Refused> {
    let Found { id, .. } = found(&admin, &caller)?;
    in_turn(&admin, &id, remove(admin.clone(), id.clone())).await?;
    tracing::info!(project = %id.0, integration = %id.1, "webhook removed");
    Ok(StatusCode::NO_CONTENT)
}

async fn remove(admin: Admin, id: WebhookId) -> Result<(), Refused> {
    admin.hub().remove_webhook(&id.0, &id.1).await?;
    admin.auth().set_webhook_secrets(&id.0, &id.1, None).await?;
    if let Some(service) = admin.hub().webhooks() {
        service.changed(&id, false).await?;
    }
    Ok(())
}

/// Replace the secret. The one before signs as well for a while, so that receivers can follow.
#[cfg_attr(test, utoipa::path(post, path = "/v1/projects/{project}/integrations/{integration}/webhook/rotate", tag = "webhooks", operation_id = "rotate_webhook_secret",
    params(("project" = String, Path, description = "The project."), ("integration" = String, Path, description = "The integration.")),
    request_body = WebhookRotation, responses((status = 200, description = "The webhook and its new secret.", body = IssuedWebhookView))))]
pub(crate) async fn rotate(
    State(admin): State<Admin>,
    input: Input<WebhookRotation>,
) -> Result<Response, Refused> {
    let Found { id, .. } = found(&admin, &input.caller)?;
    let wanted = input.body()?;
    let (webhook, text) = in_turn(&admin, &id, replace(admin.clone(), id.clone(), wanted)).await?;
    tracing::info!(project = %id.0, integration = %id.1, "webhook's secret replaced");
    let view = view(&admin, &Found { id, webhook }).await?;
    let view = IssuedWebhookView { webhook: view, secret: Some(text) };
    Ok(([(CACHE_CONTROL, "no-store")], Json(view)).into_response())
}

async fn replace(
    admin: Admin,
    id: WebhookId,
    wanted: WebhookRotation,
) -> Result<(Webhook, String), Refused> {
    let webhook = found_again(&admin, &id)?;
    let overlap = wanted.overlap_s.unwrap_or(OVERLAP_S);
    let overlap = read::within("/overlap_s", overlap, &(0..=MAX_OVERLAP_S))?;
    let known = secrets(&admin, &id).await?.ok_or_else(|| Refused::missing("webhook"))?;
    let key = match key_type(wanted.key_type.as_deref())? {
        None if wanted.secret.is_none() => kind(&admin, &webhook.style, &known),
        key => key,
    };
    let text = service(&admin)?.secret(&webhook.style, key, wanted.secret.as_deref())?;
    let (secret, headers) = (Secret::new(text.clone()), known.headers.clone());
    let old = signing_on(known, &secret, admin.hub().clock().now(), overlap);
    let secrets = WebhookSecrets { secret, old, headers };
    admin.auth().set_webhook_secrets(&id.0, &id.1, Some(&secrets)).await?;
    service(&admin)?.changed(&id, false).await?;
    Ok((webhook, text))
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
    let Found { id, .. } = found(admin, caller)?;
    let webhook = in_turn(admin, &id, pausing(admin.clone(), id.clone(), paused)).await?;
    tracing::info!(project = %id.0, integration = %id.1, paused, "webhook paused or resumed");
    Ok(Json(view(admin, &Found { id, webhook }).await?))
}

async fn pausing(admin: Admin, id: WebhookId, paused: bool) -> Result<Webhook, Refused> {
    let service = service(&admin)?;
    let webhook = Webhook { paused, ..found_again(&admin, &id)? };
    admin.hub().set_webhook(&id.0, &id.1, webhook.clone(), Start::Latest).await?;
    service.changed(&id, !paused).await?;
    Ok(webhook)
}
