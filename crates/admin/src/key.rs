//! `/v1/projects/{project}/keys`: what a project publishes, reads and manages with, and its master
//! secret.

use std::collections::BTreeSet;

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use http::{StatusCode, Uri};
use outflow_auth::{CredentialKind, NewCredential};
use outflow_model::Action;
use serde::Deserialize;

use crate::access::{Admin, Caller};
use crate::credential::{self, CredentialView};
use crate::error::Refused;
use crate::input::{self, Input};
use crate::page::Page;

/// A key to issue.
#[derive(Debug, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct NewKey {
    #[serde(default)]
    kind: KeyKind,
    /// For people: who or what holds it.
    #[serde(default)]
    #[cfg_attr(test, schema(max_length = 128))]
    name: String,
    /// What it may do; of a key at least one, of a master secret absent.
    #[serde(default)]
    actions: Vec<KeyAction>,
    /// The streams it may touch; null or absent: all of the project. Not together with `manage`.
    streams: Option<Vec<String>>,
    /// When it ends (RFC 3339); null or absent: never.
    #[cfg_attr(test, schema(format = DateTime))]
    expires: Option<String>,
}

/// What kind of key.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub(crate) enum KeyKind {
    /// Does what its `actions` say.
    #[default]
    Key,
    /// Reads compliance events.
    Master,
}

/// What a key may do.
#[derive(Debug, Clone, Copy, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub(crate) enum KeyAction {
    /// Read events and keep cursors.
    Read,
    /// Publish events.
    Publish,
    /// Change the project's streams, integrations and credentials.
    Manage,
}

impl NewKey {
    fn actions(&self) -> Result<BTreeSet<Action>, Refused> {
        if self.kind == KeyKind::Master {
            if !self.actions.is_empty() {
                return Err(Refused::member(
                    "/actions",
                    "a master secret has no actions of its choice",
                ));
            }
            return Ok(credential::only(Action::Compliance));
        }
        let action = |action: &KeyAction| match action {
            KeyAction::Read => Action::Read,
            KeyAction::Publish => Action::Publish,
            KeyAction::Manage => Action::Manage,
        };
        let actions: BTreeSet<Action> = self.actions.iter().map(action).collect();
        if actions.is_empty() {
            return Err(Refused::member(
                "/actions",
                "it must have at least one of read, publish, manage",
            ));
        }
        // It could give itself a key for the streams that it is kept from.
        if actions.contains(&Action::Manage) && self.streams.is_some() {
            return Err(Refused::member("/streams", "a key that manages reaches all streams"));
        }
        Ok(actions)
    }
}

/// The kinds of credential that are listed and ended here.
const KINDS: [CredentialKind; 2] = [CredentialKind::Key, CredentialKind::Master];

/// List a project's keys, without their secrets.
#[cfg_attr(test, utoipa::path(get, path = "/v1/projects/{project}/keys", tag = "credentials", operation_id = "list_keys",
    params(("project" = String, Path, description = "The project."), crate::page::PageQuery),
    responses((status = 200, description = "A page of keys.", body = Page<CredentialView>))))]
pub(crate) async fn list(
    State(admin): State<Admin>,
    caller: Caller,
    uri: Uri,
) -> Result<Json<Page<CredentialView>>, Refused> {
    credential::page(&admin, &caller, &uri, &KINDS)
}

/// Issue a key; the answer shows it, this once.
#[cfg_attr(test, utoipa::path(post, path = "/v1/projects/{project}/keys", tag = "credentials", operation_id = "create_key",
    params(("project" = String, Path, description = "The project.")), request_body = NewKey,
    responses((status = 201, description = "The key and its secret.", body = credential::IssuedView))))]
pub(crate) async fn create(
    State(admin): State<Admin>,
    input: Input<NewKey>,
) -> Result<Response, Refused> {
    let project = admin.project(&input.caller.grant, &input.caller.path.project, Action::Manage)?;
    let new = input.body()?;
    let credential = NewCredential {
        kind: match new.kind {
            KeyKind::Key => CredentialKind::Key,
            KeyKind::Master => CredentialKind::Master,
        },
        actions: new.actions()?,
        name: input::name(new.name)?,
        project: Some(project.id.clone()),
        integration: None,
        streams: new.streams.as_deref().map(input::streams).transpose()?,
        user: None,
        destinations: None,
        expires: credential::expires(&admin, new.expires.as_deref())?,
    };
    credential::issue(&admin, credential, &format!("/v1/projects/{}/keys", project.id)).await
}

/// Revoke a key. Its live connections end within two seconds.
#[cfg_attr(test, utoipa::path(delete, path = "/v1/projects/{project}/keys/{id}", tag = "credentials", operation_id = "revoke_key",
    params(("project" = String, Path, description = "The project."), ("id" = String, Path, description = "The key's id.")),
    responses((status = 204, description = "It is revoked."))))]
pub(crate) async fn revoke(
    State(admin): State<Admin>,
    caller: Caller,
) -> Result<StatusCode, Refused> {
    credential::end(&admin, &caller, &KINDS).await
}
