//! `/v1/projects/{project}/api-keys`: what issues access tokens, and the tokens themselves.
//!
//! A client secret leaves in [`IssuedApiKeyView`], a token in [`AccessTokenView`], and neither
//! anywhere else; tokens are not kept, so they are in no list.

use std::collections::BTreeSet;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, LOCATION};
use http::{StatusCode, Uri};
use outflow_auth::{ApiKey, NewApiKey, Revoke, Scope};
use outflow_model::{Action, CredentialId, ProjectId};
use serde::{Deserialize, Serialize};

use crate::access::{Admin, Caller};
use crate::error::Refused;
use crate::input::{self, Input};
use crate::page::{Page, PageQuery};

/// A day, in seconds.
const DAY_S: u64 = 86_400;
/// The longest life of a token, in days.
const MAX_DAYS: u64 = 3_650;

/// An API key, without anything secret.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = ApiKey))]
pub(crate) struct ApiKeyView {
    /// Its public half, and the client id of `POST /oauth2/token`.
    id: String,
    /// For people.
    name: String,
    /// What its tokens may do at most.
    scopes: Vec<&'static str>,
    /// The streams that its tokens may touch; null: all that the scopes reach.
    streams: Option<Vec<String>>,
    /// When it was made.
    created: String,
    /// Which generation of its secrets is current; from 1.
    generation: u32,
    /// When the current generation was made.
    rotated: String,
    /// Until when the generation before stays valid; null: it does not.
    deposed_until: Option<String>,
    /// The last four characters of the current client secret.
    last4: String,
}

/// An API key whose client secret was made.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = IssuedApiKey))]
pub(crate) struct IssuedApiKeyView {
    #[serde(flatten)]
    key: ApiKeyView,
    /// The client secret of `POST /oauth2/token`, shown this once; null where it stays as it was.
    secret: Option<String>,
}

/// An API key to make.
#[derive(Debug, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct NewApiKeyInput {
    /// For people: who or what holds it.
    #[serde(default)]
    #[cfg_attr(test, schema(max_length = 128))]
    name: String,
    /// What its tokens may do at most: `streaming-ingest:write`, `feed:read`, `events:read`,
    /// `events:publish`.
    #[cfg_attr(test, schema(min_items = 1, example = json!(["streaming-ingest:write"])))]
    scopes: Vec<String>,
    /// The streams that its tokens may touch; null or absent: all that the scopes reach.
    streams: Option<Vec<String>>,
}

/// An access token to issue: for some days, or until a time.
#[derive(Debug, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct NewAccessToken {
    /// For how many days it holds.
    #[cfg_attr(test, schema(minimum = 1, maximum = 3650))]
    days: Option<u64>,
    /// When it ends (RFC 3339).
    #[cfg_attr(test, schema(format = DateTime))]
    expires: Option<String>,
    /// Some of the key's scopes; absent: all.
    scopes: Option<Vec<String>>,
}

/// An access token.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = AccessToken))]
pub(crate) struct AccessTokenView {
    /// The token, a JWT. It is shown this once and kept nowhere.
    access_token: String,
    /// `Bearer`: how it is presented.
    token_type: &'static str,
    /// When it ends.
    expires: String,
    /// What it may do.
    scopes: Vec<&'static str>,
}

/// Which access tokens to revoke.
#[derive(Debug, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct RevokeInput {
    tokens: RevokeWhich,
}

/// Which tokens.
#[derive(Debug, Clone, Copy, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub(crate) enum RevokeWhich {
    /// Those from before the last rotation.
    Old,
    /// All; the client secret is replaced as well.
    All,
}

impl ApiKeyView {
    fn of(key: &ApiKey) -> Self {
        let names = |all: &BTreeSet<_>| all.iter().map(ToString::to_string).collect();
        Self {
            id: key.id.to_string(),
            name: key.name.clone(),
            scopes: words(&key.scopes),
            streams: key.streams.as_ref().map(names),
            created: key.created.to_string(),
            generation: key.generation,
            rotated: key.rotated.to_string(),
            deposed_until: key.deposed_until.map(|at| at.to_string()),
            last4: key.last4.clone(),
        }
    }
}

fn words(scopes: &BTreeSet<Scope>) -> Vec<&'static str> {
    scopes.iter().map(|scope| scope.as_str()).collect()
}

fn scopes(words: &[String]) -> Result<BTreeSet<Scope>, Refused> {
    let read = |(at, word): (usize, &String)| {
        let known = || Scope::ALL.map(Scope::as_str).join(", ");
        Scope::parse(word).ok_or_else(|| {
            Refused::member(format!("/scopes/{at}"), format!("it is none of {}", known()))
        })
    };
    let scopes: BTreeSet<_> = words.iter().enumerate().map(read).collect::<Result<_, _>>()?;
    if scopes.is_empty() {
        return Err(Refused::member("/scopes", "it must have at least one"));
    }
    Ok(scopes)
}

/// The project that the caller manages and the API key that its path names.
fn named(admin: &Admin, caller: &Caller) -> Result<(ProjectId, CredentialId), Refused> {
    let project = admin.project(&caller.grant, &caller.path.project, Action::Manage)?;
    let id = CredentialId::new(&caller.path.last).map_err(|_| missing())?;
    Ok((project.id.clone(), id))
}

fn missing() -> Refused {
    Refused::missing("API key")
}

const fn no_store() -> (http::HeaderName, &'static str) {
    (CACHE_CONTROL, "no-store")
}

/// List a project's API keys, without their secrets.
#[cfg_attr(test, utoipa::path(get, path = "/v1/projects/{project}/api-keys", tag = "credentials", operation_id = "list_api_keys",
    params(("project" = String, Path, description = "The project."), PageQuery),
    responses((status = 200, description = "A page of API keys.", body = Page<ApiKeyView>))))]
pub(crate) async fn list(
    State(admin): State<Admin>,
    caller: Caller,
    uri: Uri,
) -> Result<Json<Page<ApiKeyView>>, Refused> {
    let project = admin.project(&caller.grant, &caller.path.project, Action::Manage)?;
    let page = PageQuery::of(&uri)?;
    let keys = admin.auth().api_keys(&project.id);
    Ok(Json(page.cut(keys, |key| key.id.as_str(), ApiKeyView::of)))
}

/// Make an API key; the answer shows its client secret, this once.
#[cfg_attr(test, utoipa::path(post, path = "/v1/projects/{project}/api-keys", tag = "credentials", operation_id = "create_api_key",
    params(("project" = String, Path, description = "The project.")), request_body = NewApiKeyInput,
    responses((status = 201, description = "The API key and its client secret.", body = IssuedApiKeyView))))]
pub(crate) async fn create(
    State(admin): State<Admin>,
    input: Input<NewApiKeyInput>,
) -> Result<Response, Refused> {
    let project = admin.project(&input.caller.grant, &input.caller.path.project, Action::Manage)?;
    let new = input.body()?;
    let new = NewApiKey {
        project: project.id.clone(),
        name: input::name(new.name)?,
        scopes: scopes(&new.scopes)?,
        streams: new.streams.as_deref().map(input::streams).transpose()?,
    };
    let issued = admin.auth().create_api_key(new).await?;
    tracing::info!(credential = %issued.key.id, kind = "api-key", "credential issued");
    let location = format!("/v1/projects/{}/api-keys/{}", project.id, issued.key.id);
    let view = IssuedApiKeyView {
        key: ApiKeyView::of(&issued.key),
        secret: Some(issued.secret.expose().to_owned()),
    };
    let headers = [(LOCATION, location), (CACHE_CONTROL, "no-store".to_owned())];
    Ok((StatusCode::CREATED, headers, Json(view)).into_response())
}

/// Show an API key, without its secret.
#[cfg_attr(test, utoipa::path(get, path = "/v1/projects/{project}/api-keys/{id}", tag = "credentials", operation_id = "get_api_key",
    params(("project" = String, Path, description = "The project."), ("id" = String, Path, description = "The API key's id.")),
    responses((status = 200, description = "The API key.", body = ApiKeyView))))]
pub(crate) async fn show(
    State(admin): State<Admin>,
    caller: Caller,
) -> Result<Json<ApiKeyView>, Refused> {
    let (project, id) = named(&admin, &caller)?;
    let key = admin.auth().api_key(&project, &id).ok_or_else(missing)?;
    Ok(Json(ApiKeyView::of(&key)))
}

/// Delete an API key, and with it all its tokens. Their live connections end within two seconds.
#[cfg_attr(test, utoipa::path(delete, path = "/v1/projects/{project}/api-keys/{id}", tag = "credentials", operation_id = "delete_api_key",
    params(("project" = String, Path, description = "The project."), ("id" = String, Path, description = "The API key's id.")),
    responses((status = 204, description = "It is deleted."))))]
pub(crate) async fn delete(
    State(admin): State<Admin>,
    caller: Caller,
) -> Result<StatusCode, Refused> {
    let (project, id) = named(&admin, &caller)?;
    if !admin.auth().delete_api_key(&project, &id).await? {
        return Err(missing());
    }
    tracing::info!(credential = %id, "credential deleted");
    Ok(StatusCode::NO_CONTENT)
}

/// Issue an access token; the answer shows it, this once.
#[cfg_attr(test, utoipa::path(post, path = "/v1/projects/{project}/api-keys/{id}/tokens", tag = "credentials", operation_id = "issue_access_token",
    params(("project" = String, Path, description = "The project."), ("id" = String, Path, description = "The API key's id.")),
    request_body = NewAccessToken, responses((status = 201, description = "The access token.", body = AccessTokenView))))]
pub(crate) async fn issue_token(
    State(admin): State<Admin>,
    input: Input<NewAccessToken>,
) -> Result<Response, Refused> {
    let (project, id) = named(&admin, &input.caller)?;
    admin.auth().api_key(&project, &id).ok_or_else(missing)?;
    let new = input.body()?;
    let lifetime = lifetime(&admin, &new)?;
    let scopes = new.scopes.as_deref().map(scopes).transpose()?;
    let issued = admin.auth().issue_access_token(&project, &id, lifetime, scopes)?;
    tracing::info!(credential = %id, expires = %issued.expires, "access token issued");
    let view = AccessTokenView {
        access_token: issued.token.expose().to_owned(),
        token_type: "Bearer",
        expires: issued.expires.to_string(),
        scopes: words(&issued.scopes),
    };
    Ok((StatusCode::CREATED, [no_store()], Json(view)).into_response())
}

/// For how long a token is to hold, in whole seconds.
fn lifetime(admin: &Admin, new: &NewAccessToken) -> Result<Duration, Refused> {
    match (new.days, &new.expires) {
        (Some(days), None) => {
            let days = input::within("/days", days, &(1..=MAX_DAYS))?;
            Ok(Duration::from_secs(days * DAY_S))
        }
        (None, Some(text)) => {
            let left = input::time("/expires", text)?.millis() - admin.hub().clock().now().millis();
            let left = u64::try_from(left / 1000).unwrap_or(0);
            if !(1..=MAX_DAYS * DAY_S).contains(&left) {
                let reason = "it must be from a second to 3650 days ahead";
                return Err(Refused::member("/expires", reason));
            }
            Ok(Duration::from_secs(left))
        }
        (None, None) | (Some(_), Some(_)) => {
            Err(Refused::member("/days", "either `days` or `expires` is needed"))
        }
    }
}

/// Rotate an API key: its tokens and client secret stay valid for 30 days beside the new ones.
///
/// Those from before the rotation before this one end now.
#[cfg_attr(test, utoipa::path(post, path = "/v1/projects/{project}/api-keys/{id}/rotate", tag = "credentials", operation_id = "rotate_api_key",
    params(("project" = String, Path, description = "The project."), ("id" = String, Path, description = "The API key's id.")),
    responses((status = 200, description = "The API key and its new client secret.", body = IssuedApiKeyView))))]
pub(crate) async fn rotate(
    State(admin): State<Admin>,
    caller: Caller,
) -> Result<Response, Refused> {
    let (project, id) = named(&admin, &caller)?;
    let issued = admin.auth().rotate_api_key(&project, &id).await?.ok_or_else(missing)?;
    tracing::info!(credential = %id, generation = issued.key.generation, "API key rotated");
    let secret = Some(issued.secret.expose().to_owned());
    let view = IssuedApiKeyView { key: ApiKeyView::of(&issued.key), secret };
    Ok(([no_store()], Json(view)).into_response())
}

/// Revoke access tokens of an API key: those from before its last rotation, or all.
///
/// With `all` the client secret is replaced, and the answer shows the new one. Live connections of
/// the key end within two seconds.
#[cfg_attr(test, utoipa::path(post, path = "/v1/projects/{project}/api-keys/{id}/revoke", tag = "credentials", operation_id = "revoke_access_tokens",
    params(("project" = String, Path, description = "The project."), ("id" = String, Path, description = "The API key's id.")),
    request_body = RevokeInput, responses((status = 200, description = "The API key.", body = IssuedApiKeyView))))]
pub(crate) async fn revoke(
    State(admin): State<Admin>,
    input: Input<RevokeInput>,
) -> Result<Response, Refused> {
    let (project, id) = named(&admin, &input.caller)?;
    admin.auth().api_key(&project, &id).ok_or_else(missing)?;
    let which = match input.body()?.tokens {
        RevokeWhich::Old => Revoke::Old,
        RevokeWhich::All => Revoke::All,
    };
    let revoked = admin.auth().revoke_access_tokens(&project, &id, which).await?;
    let (key, secret) = revoked.ok_or_else(missing)?;
    tracing::info!(credential = %id, ?which, "access tokens revoked");
    let secret = secret.map(|secret| secret.expose().to_owned());
    let view = IssuedApiKeyView { key: ApiKeyView::of(&key), secret };
    Ok(([no_store()], Json(view)).into_response())
}
