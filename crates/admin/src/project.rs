//! `/v1/projects`: the tenants.
//!
//! Operators make and remove them and set their limits; a key that manages may look at its own
//! and change the rest.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::LOCATION;
use http::{StatusCode, Uri};
use outflow_hub::{CatalogError, NewStream, Project, ProjectLimits, StreamSettings};
use outflow_model::{Action, ErrorCode, ProjectId, StreamName, Timestamp};
use serde::{Deserialize, Serialize};

use crate::access::{Admin, Caller};
use crate::change::to_its_end;
use crate::error::Refused;
use crate::ingest_stream::land;
use crate::input::{self, Input};
use crate::page::{Page, PageQuery};

/// The stream that a project is made with, unless it says otherwise.
const DEFAULT_STREAM: &str = "events";
/// The most live connections that a project may be given.
const MAX_CONNECTIONS: u32 = 1_000_000;

/// A project.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = Project))]
pub(crate) struct ProjectView {
    /// Its id; the app key of Airship clients.
    id: String,
    /// For people.
    name: String,
    /// When it was made.
    created: String,
    /// Whether Basic authentication is accepted on `/api/events`.
    basic_auth: bool,
    /// The stream that clients read who name none.
    default_stream: String,
    limits: Limits,
}

/// What bounds a project.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = ProjectLimits))]
#[serde(deny_unknown_fields)]
pub(crate) struct Limits {
    /// How many live connections it may have, over all integrations.
    #[cfg_attr(test, schema(minimum = 1, maximum = 1_000_000))]
    connections: u32,
}

/// A project to make.
#[derive(Debug, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct NewProject {
    /// Letters, digits, `_`, `-`, `.`.
    #[cfg_attr(
        test,
        schema(min_length = 1, max_length = 64, pattern = "^[A-Za-z0-9_.-]+$", example = "acme")
    )]
    id: String,
    /// For people.
    #[serde(default)]
    #[cfg_attr(test, schema(max_length = 128))]
    name: String,
    /// Whether Basic authentication is accepted on `/api/events`: for tests and demonstrations.
    #[serde(default)]
    basic_auth: bool,
    /// The stream that clients read who name none; made with the project. `events` if absent.
    default_stream: Option<String>,
    limits: Option<Limits>,
}

/// Changes of a project; what is absent stays.
#[derive(Debug, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct ProjectChange {
    /// For people.
    #[cfg_attr(test, schema(max_length = 128))]
    name: Option<String>,
    /// Whether Basic authentication is accepted on `/api/events`.
    basic_auth: Option<bool>,
    /// The stream that clients read who name none. It has to exist.
    default_stream: Option<String>,
    /// For operators only.
    limits: Option<Limits>,
}

impl ProjectView {
    fn of(project: &Project) -> Self {
        Self {
            id: project.id.to_string(),
            name: project.name.clone(),
            created: project.created.to_string(),
            basic_auth: project.basic_auth,
            default_stream: project.default_stream.to_string(),
            limits: Limits { connections: project.limits.connections },
        }
    }
}

impl Limits {
    fn checked(self) -> Result<ProjectLimits, Refused> {
        let range = 1..=MAX_CONNECTIONS;
        let connections = input::within("/limits/connections", self.connections, &range)?;
        Ok(ProjectLimits { connections })
    }
}

fn stream_name(text: &str) -> Result<StreamName, Refused> {
    input::id("/default_stream", text, StreamName::new)
}

/// List the projects that the caller reaches.
#[cfg_attr(test, utoipa::path(get, path = "/v1/projects", tag = "projects", operation_id = "list_projects", params(PageQuery),
    responses((status = 200, description = "A page of projects.", body = Page<ProjectView>))))]
pub(crate) async fn list(
    State(admin): State<Admin>,
    caller: Caller,
    uri: Uri,
) -> Result<Json<Page<ProjectView>>, Refused> {
    let grant = &caller.grant;
    let mut projects = admin.hub().projects();
    projects.retain(|project| grant.allows(Action::Manage, &project.id));
    if projects.is_empty()
        && !grant.actions.contains(&Action::Operate)
        && !grant.actions.contains(&Action::Manage)
    {
        // A credential that manages nothing still learns which project it belongs to.
        projects = admin.hub().projects();
        projects.retain(|project| grant.project.as_ref() == Some(&project.id));
    }
    let page = PageQuery::of(&uri)?;
    Ok(Json(page.cut(projects, |project| project.id.as_str(), |project| ProjectView::of(project))))
}

/// Make a project and its default stream. For operators.
#[cfg_attr(test, utoipa::path(post, path = "/v1/projects", tag = "projects", operation_id = "create_project", request_body = NewProject,
    responses((status = 201, description = "The project.", body = ProjectView))))]
pub(crate) async fn create(
    State(admin): State<Admin>,
    input: Input<NewProject>,
) -> Result<Response, Refused> {
    Admin::operate(&input.caller.grant)?;
    let new = input.body()?;
    let project = Project {
        id: input::id("/id", &new.id, ProjectId::new)?,
        name: input::name(new.name)?,
        created: Timestamp::default(),
        basic_auth: new.basic_auth,
        default_stream: stream_name(new.default_stream.as_deref().unwrap_or(DEFAULT_STREAM))?,
        limits: new.limits.map(Limits::checked).transpose()?.unwrap_or_default(),
    };
    let project = admin.hub().create_project(project).await?;
    let stream =
        NewStream { name: project.default_stream.clone(), settings: StreamSettings::default() };
    admin.hub().create_stream(&project.id, stream).await?;
    let location = format!("/v1/projects/{}", project.id);
    Ok((StatusCode::CREATED, [(LOCATION, location)], Json(ProjectView::of(&project)))
        .into_response())
}

/// Show a project.
#[cfg_attr(test, utoipa::path(get, path = "/v1/projects/{project}", tag = "projects", operation_id = "get_project",
    params(("project" = String, Path, description = "The project.")),
    responses((status = 200, description = "The project.", body = ProjectView))))]
pub(crate) async fn show(
    State(admin): State<Admin>,
    caller: Caller,
) -> Result<Json<ProjectView>, Refused> {
    let project = admin.project(&caller.grant, &caller.path.project, Action::Manage)?;
    Ok(Json(ProjectView::of(&project)))
}

/// Change a project; what is absent stays.
#[cfg_attr(test, utoipa::path(patch, path = "/v1/projects/{project}", tag = "projects", operation_id = "update_project",
    params(("project" = String, Path, description = "The project.")), request_body = ProjectChange,
    responses((status = 200, description = "The project as it is now.", body = ProjectView))))]
pub(crate) async fn update(
    State(admin): State<Admin>,
    input: Input<ProjectChange>,
) -> Result<Json<ProjectView>, Refused> {
    let grant = &input.caller.grant;
    let seen = admin.project(grant, &input.caller.path.project, Action::Manage)?;
    let mut project = (*seen).clone();
    let change = input.body()?;
    if let Some(limits) = change.limits {
        if !grant.actions.contains(&Action::Operate) {
            let refused = Refused::new(ErrorCode::Forbidden, "limits are set by operators");
            return Err(refused.place(serde_json::json!({
                "pointer": "/limits", "detail": "limits are set by operators"
            })));
        }
        project.limits = limits.checked()?;
    }
    if let Some(name) = change.name {
        project.name = input::name(name)?;
    }
    if let Some(basic_auth) = change.basic_auth {
        project.basic_auth = basic_auth;
    }
    if let Some(name) = change.default_stream {
        let name = stream_name(&name)?;
        // A name that stands for nothing would cut off every client that names no stream.
        if admin.hub().stream(&project.id, &name).is_none() {
            return Err(Refused::member("/default_stream", "the project has no such stream"));
        }
        project.default_stream = name;
    }
    Ok(Json(ProjectView::of(&*admin.hub().update_seen_project(seen, project).await?)))
}

/// Remove a project with its streams, events and credentials, for good. For operators.
#[cfg_attr(test, utoipa::path(delete, path = "/v1/projects/{project}", tag = "projects", operation_id = "delete_project",
    params(("project" = String, Path, description = "The project."),
        ("force" = Option<bool>, Query, description = "Whether events of ingest streams that have not landed may go as well. Without it they land first, and a delete that they keep waiting is refused with 503, or with 409 where nothing lands.")),
    responses((status = 204, description = "It is gone."))))]
pub(crate) async fn delete(
    State(admin): State<Admin>,
    caller: Caller,
    uri: Uri,
) -> Result<StatusCode, Refused> {
    let project = admin.project(&caller.grant, &caller.path.project, Action::Manage)?;
    Admin::operate(&caller.grant)?;
    let landed = land(&admin, &admin.hub().streams(&project.id), &uri).await?;
    let (auth, id) = (admin.auth().clone(), project.id.clone());
    // Until the project is gone nobody gets a credential for it, which would be there for the next one of its
    // name. Held by the change itself, which goes on when the caller goes away.
    let (ending, hub) = (auth.end_owner(&id, None), admin.hub().clone());
    // Credentials once nothing refuses any more, and before all else: if the second step fails,
    // nobody is left who could use what remains, and the operator can ask again.
    let revoked = async move {
        let revoked = auth.revoke_all(&id, None).await;
        revoked.map(drop).map_err(|error| CatalogError::Unavailable(error.to_string()))
    };
    let deleting = async move {
        let deleted = hub.delete_landed_project(&project.id, landed, Box::pin(revoked)).await;
        drop(ending);
        deleted
    };
    to_its_end(deleting).await?;
    Ok(StatusCode::NO_CONTENT)
}
