//! `/v1/projects/{project}/integrations`: customers' connection points.

use std::collections::BTreeSet;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::LOCATION;
use http::{StatusCode, Uri};
use outflow_hub::Integration;
use outflow_hub::integration::DEFAULT_MAX_CONNECTIONS;
use outflow_model::{Action, IntegrationId, ProjectId, Timestamp};
use serde::{Deserialize, Serialize};

use crate::access::{Admin, Caller};
use crate::change::to_its_end;
use crate::error::Refused;
use crate::input::{self, Input};
use crate::page::{Page, PageQuery};

/// The most live connections that an integration may be given.
const MAX_CONNECTIONS: u32 = 100_000;

/// An integration.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = Integration))]
pub(crate) struct IntegrationView {
    /// Unique in its project.
    id: String,
    /// For people.
    name: String,
    /// For people.
    description: String,
    /// When it was made.
    created: String,
    /// Whether it receives `LOCATION` events.
    send_location: bool,
    /// The event types it may read; null: all but those with a switch of their own.
    event_types: Option<BTreeSet<String>>,
    /// Whether it receives `COMPLIANCE` events.
    compliance: bool,
    /// How many live connections it may have.
    max_connections: u32,
}

/// An integration to make.
#[derive(Debug, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct NewIntegration {
    /// Letters, digits, `_`, `-`, `.`.
    #[cfg_attr(
        test,
        schema(
            min_length = 1,
            max_length = 64,
            pattern = "^[A-Za-z0-9_.-]+$",
            example = "warehouse"
        )
    )]
    id: String,
    /// For people.
    #[cfg_attr(test, schema(max_length = 128))]
    name: Option<String>,
    /// For people.
    #[cfg_attr(test, schema(max_length = 1024))]
    description: Option<String>,
    /// Whether it receives `LOCATION` events.
    send_location: Option<bool>,
    /// The event types it may read; null or absent: all but those with a switch of their own.
    event_types: Option<Vec<String>>,
    /// Whether it receives `COMPLIANCE` events.
    compliance: Option<bool>,
    /// How many live connections it may have. 100 by default.
    #[cfg_attr(test, schema(minimum = 1, maximum = 100_000))]
    max_connections: Option<u32>,
}

/// Changes of an integration; what is absent stays.
#[derive(Debug, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct IntegrationChange {
    /// For people.
    #[cfg_attr(test, schema(max_length = 128))]
    name: Option<String>,
    /// For people.
    #[cfg_attr(test, schema(max_length = 1024))]
    description: Option<String>,
    /// Whether it receives `LOCATION` events.
    send_location: Option<bool>,
    /// The event types it may read; null: all but those with a switch of their own.
    #[serde(default, deserialize_with = "input::nullable")]
    #[cfg_attr(test, schema(value_type = Option<Vec<String>>))]
    event_types: Option<Option<Vec<String>>>,
    /// Whether it receives `COMPLIANCE` events.
    compliance: Option<bool>,
    /// How many live connections it may have.
    #[cfg_attr(test, schema(minimum = 1, maximum = 100_000))]
    max_connections: Option<u32>,
}

impl IntegrationView {
    fn of(integration: &Integration) -> Self {
        Self {
            id: integration.id.to_string(),
            name: integration.name.clone(),
            description: integration.description.clone(),
            created: integration.created.to_string(),
            send_location: integration.send_location,
            event_types: integration.event_types.clone(),
            compliance: integration.compliance,
            max_connections: integration.max_connections,
        }
    }
}

impl IntegrationChange {
    fn apply(self, integration: &mut Integration) -> Result<(), Refused> {
        if let Some(name) = self.name {
            integration.name = input::name(name)?;
        }
        if let Some(text) = self.description {
            integration.description = input::description(text)?;
        }
        if let Some(types) = self.event_types {
            integration.event_types = types.as_deref().map(input::event_types).transpose()?;
        }
        if let Some(max) = self.max_connections {
            integration.max_connections =
                input::within("/max_connections", max, &(1..=MAX_CONNECTIONS))?;
        }
        integration.send_location = self.send_location.unwrap_or(integration.send_location);
        integration.compliance = self.compliance.unwrap_or(integration.compliance);
        Ok(())
    }
}

fn fresh(id: IntegrationId, project: ProjectId) -> Integration {
    Integration {
        id,
        project,
        name: String::new(),
        description: String::new(),
        send_location: false,
        event_types: None,
        compliance: false,
        max_connections: DEFAULT_MAX_CONNECTIONS,
        webhook: None,
        created: Timestamp::default(),
    }
}

/// List a project's integrations.
#[cfg_attr(test, utoipa::path(get, path = "/v1/projects/{project}/integrations", tag = "integrations", operation_id = "list_integrations",
    params(("project" = String, Path, description = "The project."), PageQuery),
    responses((status = 200, description = "A page of integrations.", body = Page<IntegrationView>))))]
pub(crate) async fn list(
    State(admin): State<Admin>,
    caller: Caller,
    uri: Uri,
) -> Result<Json<Page<IntegrationView>>, Refused> {
    let project = admin.project(&caller.grant, &caller.path.project, Action::Manage)?;
    let page = PageQuery::of(&uri)?;
    let all = admin.hub().integrations(&project.id);
    Ok(Json(page.cut(all, |integration| integration.id.as_str(), |one| IntegrationView::of(one))))
}

/// Make an integration.
#[cfg_attr(test, utoipa::path(post, path = "/v1/projects/{project}/integrations", tag = "integrations", operation_id = "create_integration",
    params(("project" = String, Path, description = "The project.")), request_body = NewIntegration,
    responses((status = 201, description = "The integration.", body = IntegrationView))))]
pub(crate) async fn create(
    State(admin): State<Admin>,
    input: Input<NewIntegration>,
) -> Result<Response, Refused> {
    let project = admin.project(&input.caller.grant, &input.caller.path.project, Action::Manage)?;
    let new = input.body()?;
    let mut integration = fresh(input::id("/id", &new.id, IntegrationId::new)?, project.id.clone());
    let change = IntegrationChange {
        name: new.name,
        description: new.description,
        send_location: new.send_location,
        event_types: new.event_types.map(Some),
        compliance: new.compliance,
        max_connections: new.max_connections,
    };
    change.apply(&mut integration)?;
    let integration = admin.hub().create_integration(integration).await?;
    let location = format!("/v1/projects/{}/integrations/{}", project.id, integration.id);
    let view = IntegrationView::of(&integration);
    Ok((StatusCode::CREATED, [(LOCATION, location)], Json(view)).into_response())
}

/// Show an integration.
#[cfg_attr(test, utoipa::path(get, path = "/v1/projects/{project}/integrations/{integration}", tag = "integrations", operation_id = "get_integration",
    params(("project" = String, Path, description = "The project."), ("integration" = String, Path, description = "The integration.")),
    responses((status = 200, description = "The integration.", body = IntegrationView))))]
pub(crate) async fn show(
    State(admin): State<Admin>,
    caller: Caller,
) -> Result<Json<IntegrationView>, Refused> {
    Ok(Json(IntegrationView::of(&*admin.integration(&caller)?)))
}

/// Change an integration; what is absent stays.
#[cfg_attr(test, utoipa::path(patch, path = "/v1/projects/{project}/integrations/{integration}", tag = "integrations", operation_id = "update_integration",
    params(("project" = String, Path, description = "The project."), ("integration" = String, Path, description = "The integration.")),
    request_body = IntegrationChange,
    responses((status = 200, description = "The integration as it is now.", body = IntegrationView))))]
pub(crate) async fn update(
    State(admin): State<Admin>,
    input: Input<IntegrationChange>,
) -> Result<Json<IntegrationView>, Refused> {
    let seen = admin.integration(&input.caller)?;
    let mut integration = (*seen).clone();
    input.body()?.apply(&mut integration)?;
    Ok(Json(IntegrationView::of(&*admin.hub().update_seen_integration(seen, integration).await?)))
}

/// Remove an integration with its tokens. Its live connections end within two seconds.
#[cfg_attr(test, utoipa::path(delete, path = "/v1/projects/{project}/integrations/{integration}", tag = "integrations", operation_id = "delete_integration",
    params(("project" = String, Path, description = "The project."), ("integration" = String, Path, description = "The integration.")),
    responses((status = 204, description = "It is gone."))))]
pub(crate) async fn delete(
    State(admin): State<Admin>,
    caller: Caller,
) -> Result<StatusCode, Refused> {
    let integration = admin.integration(&caller)?;
    let (auth, hub) = (admin.auth().clone(), admin.hub().clone());
    to_its_end(async move {
        // Credentials first, and none anew, as with projects.
        let (project, id) = (&integration.project, &integration.id);
        let _ending = auth.end_owner(project, Some(id));
        auth.revoke_all(project, Some(id)).await?;
        Ok::<_, Refused>(hub.delete_integration(project, id).await?)
    })
    .await?;
    Ok(StatusCode::NO_CONTENT)
}
