//! What tokens, keys and operators have in common: how they are shown, issued and revoked.
//!
//! Called by [`crate::token`], [`crate::key`], [`crate::user`] and [`crate::operator`]. The secret leaves in
//! [`IssuedView`], the answer that creates it, and nowhere else.

use std::collections::BTreeSet;

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, LOCATION};
use http::{StatusCode, Uri};
use outflow_auth::{Credential, CredentialKind, NewCredential};
use outflow_hub::Project;
use outflow_model::{Action, DestinationPattern, Timestamp};
use serde::Serialize;

use crate::access::{Admin, Caller};
use crate::error::Refused;
use crate::input;
use crate::page::{Page, PageQuery};

/// A credential, without its secret.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = Credential))]
pub(crate) struct CredentialView {
    /// Its public half; opens nothing.
    id: String,
    /// `token`, `key`, `master`, `operator` or `user`.
    kind: &'static str,
    /// For people.
    name: String,
    /// The integration it belongs to.
    integration: Option<String>,
    /// What it may do.
    actions: Vec<&'static str>,
    /// The streams it may touch; null: all of its project.
    streams: Option<Vec<String>>,
    /// What a user logs in with.
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<String>,
    /// The destinations a user may consume from; absent: all of its project.
    #[serde(skip_serializing_if = "Option::is_none")]
    consume: Option<Vec<String>>,
    /// The destinations a user may send to; absent: all of its project.
    #[serde(skip_serializing_if = "Option::is_none")]
    send: Option<Vec<String>>,
    /// When it was issued.
    created: String,
    /// When it ends; null: never.
    expires: Option<String>,
    /// The last four characters of the secret; empty for short ones.
    last4: String,
}

/// A credential just issued.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = IssuedCredential))]
pub(crate) struct IssuedView {
    #[serde(flatten)]
    credential: CredentialView,
    /// The secret. It is shown this once: keep it.
    secret: String,
}

impl CredentialView {
    pub(crate) fn of(credential: &Credential) -> Self {
        let streams = credential.streams.as_ref();
        Self {
            id: credential.id.to_string(),
            kind: credential.kind.as_str(),
            name: credential.name.clone(),
            integration: credential.integration.as_ref().map(ToString::to_string),
            actions: credential.actions.iter().copied().map(action_name).collect(),
            streams: streams.map(|names| names.iter().map(ToString::to_string).collect()),
            user: credential.user.clone(),
            consume: credential.destinations.as_ref().map(|grant| texts(&grant.consume)),
            send: credential.destinations.as_ref().map(|grant| texts(&grant.send)),
            created: credential.created.to_string(),
            expires: credential.expires.map(|at| at.to_string()),
            last4: credential.last4.clone(),
        }
    }
}

fn texts(patterns: &[DestinationPattern]) -> Vec<String> {
    patterns.iter().map(ToString::to_string).collect()
}

const fn action_name(action: Action) -> &'static str {
    match action {
        Action::Read => "read",
        Action::Publish => "publish",
        Action::Ingest => "ingest",
        Action::Feed => "feed",
        Action::Compliance => "compliance",
        Action::Manage => "manage",
        Action::Operate => "operate",
    }
}

/// When a new credential ends: in the future, if at all.
pub(crate) fn expires(admin: &Admin, text: Option<&str>) -> Result<Option<Timestamp>, Refused> {
    let Some(text) = text else { return Ok(None) };
    let at = input::time("/expires", text)?;
    if at <= admin.hub().clock().now() {
        return Err(Refused::member("/expires", "it is in the past"));
    }
    Ok(Some(at))
}

/// The actions of a credential that has one.
pub(crate) fn only(action: Action) -> BTreeSet<Action> {
    BTreeSet::from([action])
}

/// Issues `new` and answers with the secret. `list` is the path of the list it appears in.
pub(crate) async fn issue(
    admin: &Admin,
    new: NewCredential,
    list: &str,
) -> Result<Response, Refused> {
    let issued = admin.auth().issue(new).await?;
    let view = IssuedView {
        credential: CredentialView::of(&issued.credential),
        secret: issued.secret.expose().to_owned(),
    };
    tracing::info!(credential = %issued.credential.id, kind = view.credential.kind, "credential issued");
    let location = format!("{list}/{}", issued.credential.id);
    let headers = [(LOCATION, location), (CACHE_CONTROL, "no-store".to_owned())];
    Ok((StatusCode::CREATED, headers, Json(view)).into_response())
}

/// The project's credentials of these kinds.
fn of_kinds(admin: &Admin, project: &Project, kinds: &[CredentialKind]) -> Vec<Credential> {
    let mut all = admin.auth().list(Some(&project.id), None);
    all.retain(|credential| kinds.contains(&credential.kind));
    all
}

/// A page of them, for who manages the project.
pub(crate) fn page(
    admin: &Admin,
    caller: &Caller,
    uri: &Uri,
    kinds: &[CredentialKind],
) -> Result<Json<Page<CredentialView>>, Refused> {
    let project = admin.project(&caller.grant, &caller.path.project, Action::Manage)?;
    let all = of_kinds(admin, &project, kinds);
    Ok(Json(PageQuery::of(uri)?.cut(all, |one| one.id.as_str(), CredentialView::of)))
}

/// Revokes the one of them that the path names, for who manages the project.
pub(crate) async fn end(
    admin: &Admin,
    caller: &Caller,
    kinds: &[CredentialKind],
) -> Result<StatusCode, Refused> {
    let project = admin.project(&caller.grant, &caller.path.project, Action::Manage)?;
    revoke(admin, &of_kinds(admin, &project, kinds), &caller.path.last).await
}

/// Revokes the credential named `id` if it is among `reachable`.
pub(crate) async fn revoke(
    admin: &Admin,
    reachable: &[Credential],
    id: &str,
) -> Result<StatusCode, Refused> {
    let missing = || Refused::missing("credential");
    let found =
        reachable.iter().find(|credential| credential.id.as_str() == id).ok_or_else(missing)?;
    if !admin.auth().revoke(&found.id).await? {
        return Err(missing());
    }
    tracing::info!(credential = %found.id, "credential revoked");
    Ok(StatusCode::NO_CONTENT)
}
