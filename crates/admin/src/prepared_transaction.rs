//! `/v1/projects/{project}/prepared-transactions`: distributed transactions that wait for their
//! transaction manager, for where it cannot end them any more.
//!
//! Whoever prepared one ends it by its own protocol; here any is ended by who manages the project,
//! such as one whose user was deleted.

use axum::Json;
use axum::extract::State;
use http::{StatusCode, Uri};
use outflow_hub::subscription::PreparedTransaction;
use outflow_model::{Action, ErrorCode, ProjectId};
use serde::Serialize;

use crate::access::{Admin, Caller};
use crate::error::Refused;
use crate::page::{Page, PageQuery};

/// A prepared transaction.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = PreparedTransaction))]
pub(crate) struct PreparedView {
    /// Unique in its project: the credential, a colon and the name.
    id: String,
    /// The credential that prepared it; it may be deleted by now. Empty where an older version
    /// prepared it and did not note it.
    credential: String,
    /// Its name in hexadecimal. An XA branch's is its format (8 digits), the length of the global
    /// part of its id (2 digits), that part, and the branch's qualifier.
    name: String,
    /// When it was prepared; null where an older version did not note it.
    prepared: Option<String>,
    /// How many messages it has acknowledged, which nobody gets until it is ended.
    acknowledged: usize,
    /// How many bytes of messages it publishes when it is committed.
    bytes: usize,
}

fn id_of(one: &PreparedTransaction) -> String {
    format!("{}:{}", one.credential, one.name)
}

impl PreparedView {
    fn of(id: &str, one: &PreparedTransaction) -> Self {
        Self {
            id: id.to_owned(),
            credential: one.credential.clone(),
            name: one.name.clone(),
            prepared: one.at.map(|at| at.to_string()),
            acknowledged: one.answers,
            bytes: one.bytes,
        }
    }
}

/// The project that the path names, if the caller manages all of it.
fn managed(admin: &Admin, caller: &Caller) -> Result<ProjectId, Refused> {
    let project = admin.project(&caller.grant, &caller.path.project, Action::Manage)?;
    if caller.grant.streams.is_some() {
        let detail = "transactions are of the whole project, and the credential is of some streams";
        return Err(Refused::new(ErrorCode::Forbidden, detail));
    }
    Ok(project.id.clone())
}

/// List the transactions that are prepared and not ended.
#[cfg_attr(test, utoipa::path(get, path = "/v1/projects/{project}/prepared-transactions", tag = "prepared transactions", operation_id = "list_prepared_transactions",
    params(("project" = String, Path, description = "The project."), PageQuery),
    responses((status = 200, description = "A page of prepared transactions.", body = Page<PreparedView>))))]
pub(crate) async fn list(
    State(admin): State<Admin>,
    caller: Caller,
    uri: Uri,
) -> Result<Json<Page<PreparedView>>, Refused> {
    let project = managed(&admin, &caller)?;
    let page = PageQuery::of(&uri)?;
    let all: Vec<(String, PreparedTransaction)> =
        admin.hub().prepared_of(&project).into_iter().map(|one| (id_of(&one), one)).collect();
    Ok(Json(page.cut(all, |(id, _)| id.as_str(), |(id, one)| PreparedView::of(id, one))))
}

/// Commit a prepared transaction: what it publishes is stored, what it has acknowledged is done.
#[cfg_attr(test, utoipa::path(post, path = "/v1/projects/{project}/prepared-transactions/{id}/commit", tag = "prepared transactions", operation_id = "commit_prepared_transaction",
    params(("project" = String, Path, description = "The project."), ("id" = String, Path, description = "The transaction.")),
    responses((status = 204, description = "It is committed."))))]
pub(crate) async fn commit(
    State(admin): State<Admin>,
    caller: Caller,
) -> Result<StatusCode, Refused> {
    end(&admin, &caller, true).await
}

/// Roll a prepared transaction back: what it publishes is dropped, what it has acknowledged comes
/// again.
#[cfg_attr(test, utoipa::path(post, path = "/v1/projects/{project}/prepared-transactions/{id}/rollback", tag = "prepared transactions", operation_id = "roll_back_prepared_transaction",
    params(("project" = String, Path, description = "The project."), ("id" = String, Path, description = "The transaction.")),
    responses((status = 204, description = "It is rolled back."))))]
pub(crate) async fn roll_back(
    State(admin): State<Admin>,
    caller: Caller,
) -> Result<StatusCode, Refused> {
    end(&admin, &caller, false).await
}

async fn end(admin: &Admin, caller: &Caller, commits: bool) -> Result<StatusCode, Refused> {
    let project = managed(admin, caller)?;
    let id = &caller.path.last;
    let missing = || Refused::missing("prepared transaction");
    let (credential, name) = id.rsplit_once(':').ok_or_else(missing)?;
    admin.hub().end_prepared(&project, credential, name, commits).await?;
    tracing::info!(%project, transaction = id, commits, "a prepared transaction was ended by hand");
    Ok(StatusCode::NO_CONTENT)
}
