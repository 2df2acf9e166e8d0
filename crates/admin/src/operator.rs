//! `/v1/operators`: those who reach every project. For operators only.

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use http::{StatusCode, Uri};
use outflow_auth::{Credential, CredentialKind, NewCredential};
use outflow_model::{Action, ErrorCode};
use serde::Deserialize;

use crate::access::{Admin, Caller};
use crate::credential::{self, CredentialView};
use crate::error::Refused;
use crate::input::{self, Input};
use crate::page::{Page, PageQuery};

/// An operator to make.
#[derive(Debug, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct NewOperator {
    /// For people: who holds it.
    #[serde(default)]
    #[cfg_attr(test, schema(max_length = 128))]
    name: String,
    /// When it ends (RFC 3339); null or absent: never.
    #[cfg_attr(test, schema(format = DateTime))]
    expires: Option<String>,
}

fn operators(admin: &Admin) -> Vec<Credential> {
    let mut all = admin.auth().list(None, None);
    all.retain(|credential| credential.kind == CredentialKind::Operator);
    all
}

/// List the operators, without their secrets.
#[cfg_attr(test, utoipa::path(get, path = "/v1/operators", tag = "operators", operation_id = "list_operators", params(PageQuery),
    responses((status = 200, description = "A page of operators.", body = Page<CredentialView>))))]
pub(crate) async fn list(
    State(admin): State<Admin>,
    caller: Caller,
    uri: Uri,
) -> Result<Json<Page<CredentialView>>, Refused> {
    Admin::operate(&caller.grant)?;
    let page = PageQuery::of(&uri)?;
    Ok(Json(page.cut(operators(&admin), |operator| operator.id.as_str(), CredentialView::of)))
}

/// Make an operator; the answer shows the token, this once.
#[cfg_attr(test, utoipa::path(post, path = "/v1/operators", tag = "operators", operation_id = "create_operator", request_body = NewOperator,
    responses((status = 201, description = "The operator and its token.", body = credential::IssuedView))))]
pub(crate) async fn create(
    State(admin): State<Admin>,
    input: Input<NewOperator>,
) -> Result<Response, Refused> {
    Admin::operate(&input.caller.grant)?;
    let new = input.body()?;
    let credential = NewCredential {
        kind: CredentialKind::Operator,
        name: input::name(new.name)?,
        project: None,
        integration: None,
        actions: credential::only(Action::Operate),
        streams: None,
        user: None,
        destinations: None,
        expires: credential::expires(&admin, new.expires.as_deref())?,
    };
    credential::issue(&admin, credential, "/v1/operators").await
}

/// Revoke an operator; the last one that does not end by itself stays.
#[cfg_attr(test, utoipa::path(delete, path = "/v1/operators/{id}", tag = "operators", operation_id = "revoke_operator",
    params(("id" = String, Path, description = "The operator's id.")),
    responses((status = 204, description = "It is revoked."))))]
pub(crate) async fn revoke(
    State(admin): State<Admin>,
    caller: Caller,
) -> Result<StatusCode, Refused> {
    Admin::operate(&caller.grant)?;
    let all = operators(&admin);
    let id = &caller.path.last;
    let is_named = |operator: &&Credential| operator.id.as_str() == id;
    let lasting = || all.iter().filter(|operator| operator.expires.is_none());
    if lasting().count() == 1 && lasting().any(|operator| is_named(&operator)) {
        return Err(Refused::new(
            ErrorCode::Conflict,
            "it is the last operator; make another first",
        ));
    }
    credential::revoke(&admin, &all, id).await
}
