//! `/v1/projects/{project}/extractions`: jobs that send a keyed stream's entities as they are.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::LOCATION;
use http::{StatusCode, Uri};
use outflow_hub::{Extraction, ExtractionState, Project, Stream};
use outflow_model::{Action, Offset, StreamName, Timestamp};
use serde::{Deserialize, Serialize};

use crate::access::{Admin, Caller};
use crate::error::Refused;
use crate::input::{self, Input};
use crate::page::{Page, PageQuery};

/// An extraction job.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = Extraction))]
pub(crate) struct ExtractionView {
    /// Unique in its project.
    id: String,
    /// The keyed stream whose entities it sends.
    stream: String,
    state: ExtractionWord,
    /// The types it sends, each after those it depends on.
    types: Vec<String>,
    /// How many of them are sent whole.
    types_done: usize,
    /// How many entities were sent.
    entities: u64,
    /// Where its first event is in the load stream; null before there is one.
    first: Option<String>,
    /// Where its last event so far is.
    last: Option<String>,
    /// When it was started.
    created: String,
    /// When it was over.
    finished: Option<String>,
    /// Why it failed.
    error: Option<String>,
}

/// How a job stands.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = ExtractionState))]
#[serde(rename_all = "lowercase")]
pub(crate) enum ExtractionWord {
    /// It waits for those before it.
    Queued,
    /// It is sending.
    Running,
    /// All is sent.
    Done,
    /// It cannot go on.
    Failed,
    /// It was called off.
    Cancelled,
}

/// What to extract: nothing named means every type.
#[derive(Debug, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = NewExtraction))]
#[serde(deny_unknown_fields)]
pub(crate) struct ExtractionInput {
    /// The keyed stream; may be left out where the project has one.
    stream: Option<String>,
    /// Entity types, with all that they depend on.
    #[serde(default)]
    types: Vec<String>,
    /// Groups of entity types, with all that they depend on.
    #[serde(default)]
    groups: Vec<String>,
}

impl ExtractionView {
    fn of(one: &Extraction) -> Self {
        Self {
            id: one.id.to_string(),
            stream: one.stream.to_string(),
            state: match one.state {
                ExtractionState::Queued => ExtractionWord::Queued,
                ExtractionState::Running => ExtractionWord::Running,
                ExtractionState::Done => ExtractionWord::Done,
                ExtractionState::Failed => ExtractionWord::Failed,
                ExtractionState::Cancelled => ExtractionWord::Cancelled,
            },
            types: one.types.clone(),
            types_done: one.types_done,
            entities: one.entities,
            first: one.first.as_ref().map(Offset::to_string),
            last: one.last.as_ref().map(Offset::to_string),
            created: one.created.to_string(),
            finished: one.finished.as_ref().map(Timestamp::to_string),
            error: one.error.clone(),
        }
    }
}

fn missing() -> Refused {
    Refused::missing("extraction")
}

/// The project, if the caller manages it and all of its streams: a load is everybody's to read.
fn managed(admin: &Admin, caller: &Caller) -> Result<Arc<Project>, Refused> {
    admin.project(&caller.grant, &caller.path.project, Action::Manage)
}

/// List a project's extraction jobs, oldest first; the last hundred are kept.
#[cfg_attr(test, utoipa::path(get, path = "/v1/projects/{project}/extractions", tag = "extractions", operation_id = "list_extractions",
    params(("project" = String, Path, description = "The project."), PageQuery),
    responses((status = 200, description = "A page of jobs.", body = Page<ExtractionView>))))]
pub(crate) async fn list(
    State(admin): State<Admin>,
    caller: Caller,
    uri: Uri,
) -> Result<Json<Page<ExtractionView>>, Refused> {
    let project = managed(&admin, &caller)?;
    let page = PageQuery::of(&uri)?;
    let jobs = admin.hub().extractions(&project.id);
    // Pages go by text: numbers of equal length keep their order.
    let named: Vec<(String, Extraction)> =
        jobs.into_iter().map(|one| (format!("{:010}", one.id), one)).collect();
    Ok(Json(page.cut(named, |(name, _)| name.as_str(), |(_, one)| ExtractionView::of(one))))
}

/// Start to send the entities of a keyed stream into the project's load stream.
///
/// Publishing goes on meanwhile; each event tells the time and tick of the version that it holds.
/// Jobs of a project are done one after another.
#[cfg_attr(test, utoipa::path(post, path = "/v1/projects/{project}/extractions", tag = "extractions", operation_id = "start_extraction",
    params(("project" = String, Path, description = "The project.")), request_body = ExtractionInput,
    responses((status = 201, description = "The job.", body = ExtractionView))))]
pub(crate) async fn create(
    State(admin): State<Admin>,
    input: Input<ExtractionInput>,
) -> Result<Response, Refused> {
    let project = managed(&admin, &input.caller)?;
    let ExtractionInput { stream, types, groups } = input.body()?;
    let stream = match &stream {
        Some(name) => {
            input::id("/stream", name, StreamName::new)?;
            let grant = &input.caller.grant;
            admin.stream(grant, project.id.as_str(), name, Action::Manage)?
        }
        None => only_keyed(&admin, &project)?,
    };
    let one = admin.hub().start_extraction(&stream, &types, &groups).await?;
    let location = format!("/v1/projects/{}/extractions/{}", project.id, one.id);
    let view = Json(ExtractionView::of(&one));
    Ok((StatusCode::CREATED, [(LOCATION, location)], view).into_response())
}

fn only_keyed(admin: &Admin, project: &Project) -> Result<Arc<Stream>, Refused> {
    let mut streams = admin.hub().streams(&project.id);
    streams.retain(|stream| stream.settings.entities.is_some());
    match (streams.pop(), streams.is_empty()) {
        (Some(one), true) => Ok(one),
        (None, _) => Err(Refused::member("/stream", "the project has no keyed stream")),
        (Some(_), false) => {
            Err(Refused::member("/stream", "the project has several keyed streams; say which"))
        }
    }
}

/// Show an extraction job and how far it got.
#[cfg_attr(test, utoipa::path(get, path = "/v1/projects/{project}/extractions/{id}", tag = "extractions", operation_id = "get_extraction",
    params(("project" = String, Path, description = "The project."), ("id" = String, Path, description = "The job.")),
    responses((status = 200, description = "The job.", body = ExtractionView))))]
pub(crate) async fn show(
    State(admin): State<Admin>,
    caller: Caller,
) -> Result<Json<ExtractionView>, Refused> {
    let project = managed(&admin, &caller)?;
    let id: u32 = caller.path.last.parse().map_err(|_| missing())?;
    let one = admin.hub().extractions(&project.id).into_iter().find(|one| one.id == id);
    Ok(Json(ExtractionView::of(&one.ok_or_else(missing)?)))
}

/// Call an extraction job off; what it has sent stays in the load stream.
#[cfg_attr(test, utoipa::path(post, path = "/v1/projects/{project}/extractions/{id}/cancel", tag = "extractions", operation_id = "cancel_extraction",
    params(("project" = String, Path, description = "The project."), ("id" = String, Path, description = "The job.")),
    responses((status = 200, description = "The job as it is now.", body = ExtractionView))))]
pub(crate) async fn cancel(
    State(admin): State<Admin>,
    caller: Caller,
) -> Result<Json<ExtractionView>, Refused> {
    let project = managed(&admin, &caller)?;
    let id: u32 = caller.path.last.parse().map_err(|_| missing())?;
    let one =
        admin.hub().cancel_extraction(&project.id, id).await.map_err(|error| match error {
            outflow_hub::CatalogError::NotFound => missing(),
            other => other.into(),
        })?;
    Ok(Json(ExtractionView::of(&one)))
}
