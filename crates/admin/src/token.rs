//! `/v1/projects/{project}/integrations/{integration}/tokens`: what an integration reads with.

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use http::{StatusCode, Uri};
use outflow_auth::{Credential, CredentialKind, NewCredential};
use outflow_hub::Integration;
use outflow_model::Action;
use serde::Deserialize;

use crate::access::{Admin, Caller};
use crate::credential::{self, CredentialView};
use crate::error::Refused;
use crate::input::{self, Input};
use crate::page::{Page, PageQuery};

/// A token to issue.
#[derive(Debug, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct NewToken {
    /// For people: who or what holds it.
    #[serde(default)]
    #[cfg_attr(test, schema(max_length = 128))]
    name: String,
    /// When it ends (RFC 3339); null or absent: never.
    #[cfg_attr(test, schema(format = DateTime))]
    expires: Option<String>,
}

fn tokens(admin: &Admin, integration: &Integration) -> Vec<Credential> {
    let mut all = admin.auth().list(Some(&integration.project), Some(&integration.id));
    all.retain(|credential| credential.kind == CredentialKind::Token);
    all
}

/// List an integration's tokens, without their secrets.
#[cfg_attr(test, utoipa::path(get, path = "/v1/projects/{project}/integrations/{integration}/tokens", tag = "credentials", operation_id = "list_tokens",
    params(("project" = String, Path, description = "The project."), ("integration" = String, Path, description = "The integration."), PageQuery),
    responses((status = 200, description = "A page of tokens.", body = Page<CredentialView>))))]
pub(crate) async fn list(
    State(admin): State<Admin>,
    caller: Caller,
    uri: Uri,
) -> Result<Json<Page<CredentialView>>, Refused> {
    let integration = admin.integration(&caller)?;
    let page = PageQuery::of(&uri)?;
    Ok(Json(page.cut(tokens(&admin, &integration), |token| token.id.as_str(), CredentialView::of)))
}

/// Issue a token; the answer shows it, this once. An integration has at most 25.
#[cfg_attr(test, utoipa::path(post, path = "/v1/projects/{project}/integrations/{integration}/tokens", tag = "credentials", operation_id = "create_token",
    params(("project" = String, Path, description = "The project."), ("integration" = String, Path, description = "The integration.")),
    request_body = NewToken, responses((status = 201, description = "The token and its secret.", body = credential::IssuedView))))]
pub(crate) async fn create(
    State(admin): State<Admin>,
    input: Input<NewToken>,
) -> Result<Response, Refused> {
    let integration = admin.integration(&input.caller)?;
    let new = input.body()?;
    let credential = NewCredential {
        kind: CredentialKind::Token,
        name: input::name(new.name)?,
        project: Some(integration.project.clone()),
        integration: Some(integration.id.clone()),
        actions: credential::only(Action::Read),
        streams: None,
        user: None,
        destinations: None,
        expires: credential::expires(&admin, new.expires.as_deref())?,
    };
    let list =
        format!("/v1/projects/{}/integrations/{}/tokens", integration.project, integration.id);
    credential::issue(&admin, credential, &list).await
}

/// Revoke a token. Its live connections end within two seconds.
#[cfg_attr(test, utoipa::path(delete, path = "/v1/projects/{project}/integrations/{integration}/tokens/{id}", tag = "credentials", operation_id = "revoke_token",
    params(("project" = String, Path, description = "The project."), ("integration" = String, Path, description = "The integration."),
        ("id" = String, Path, description = "The token's id.")),
    responses((status = 204, description = "It is revoked."))))]
pub(crate) async fn revoke(
    State(admin): State<Admin>,
    caller: Caller,
) -> Result<StatusCode, Refused> {
    let integration = admin.integration(&caller)?;
    credential::revoke(&admin, &tokens(&admin, &integration), &caller.path.last).await
}
