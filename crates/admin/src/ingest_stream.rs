//! `/v1/projects/{project}/ingest-streams`: the streams that upstream systems write to at
//! `/stream/v0/data/{id}`.
//!
//! Each is a stream of the project like any other, by the id that it is given here, so its retention
//! is changed and its events are read as those of others.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::LOCATION;
use http::{StatusCode, Uri};
use outflow_hub::landing::Landed;
use outflow_hub::{
    CatalogError, Hub, Ingest, IngestFormat, IngestMode, NewStream, Stream, StreamSettings,
};
use outflow_model::{Action, ErrorCode, Rng, StreamName};
use serde::{Deserialize, Serialize};

use crate::access::{Admin, Caller};
use crate::error::Refused;
use crate::input::{self, Input};
use crate::page::{Page, PageQuery};

/// What every id begins with (seed 002).
const PREFIX: &str = "is-";
/// How many digits follow: 53 bits.
const ID_DIGITS: usize = 9;
const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// How often an id is drawn before there must be something else wrong.
const DRAWS: usize = 8;

/// An ingest stream.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = IngestStream))]
pub(crate) struct IngestStreamView {
    /// Its id, and its name as a stream.
    id: String,
    /// Where payloads are sent.
    path: String,
    /// For people.
    name: String,
    /// For people.
    description: String,
    format: FormatWord,
    mode: ModeWord,
    /// When it was made.
    created: String,
    /// The first offset still kept; equal to `next` when there is none.
    start: String,
    /// The offset after the last event.
    next: String,
    /// Why nothing of it lands in files just now; absent when it does. It is tried again.
    #[serde(skip_serializing_if = "Option::is_none")]
    landing_failure: Option<LandingFailureView>,
}

/// Why nothing of a stream lands in files.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = LandingFailure))]
pub(crate) struct LandingFailureView {
    /// Since when.
    since: String,
    /// What the system says.
    reason: String,
}

/// The one kind of payload of a stream.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = IngestFormat))]
#[serde(rename_all = "lowercase")]
pub(crate) enum FormatWord {
    /// One JSON object a request.
    #[default]
    Json,
    /// One XML document a request.
    Xml,
}

/// What happens to what comes.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = IngestMode))]
#[serde(rename_all = "lowercase")]
pub(crate) enum ModeWord {
    /// It is stored, and answered 202.
    #[default]
    Active,
    /// It is thrown away, and answered 204.
    Drop,
    /// It is refused with 409.
    Reject,
}

/// An ingest stream to make.
#[derive(Debug, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct NewIngestStream {
    /// For people.
    #[serde(default)]
    #[cfg_attr(test, schema(max_length = 128))]
    name: String,
    /// For people.
    #[serde(default)]
    #[cfg_attr(test, schema(max_length = 1024))]
    description: String,
    #[serde(default)]
    format: FormatWord,
    #[serde(default)]
    mode: ModeWord,
}

/// Changes of an ingest stream; what is absent stays.
#[derive(Debug, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct IngestStreamChange {
    /// For people.
    #[cfg_attr(test, schema(max_length = 128))]
    name: Option<String>,
    /// For people.
    #[cfg_attr(test, schema(max_length = 1024))]
    description: Option<String>,
    mode: Option<ModeWord>,
}

impl FormatWord {
    const fn format(self) -> IngestFormat {
        match self {
            Self::Json => IngestFormat::Json,
            Self::Xml => IngestFormat::Xml,
        }
    }

    const fn of(format: IngestFormat) -> Self {
        match format {
            IngestFormat::Json => Self::Json,
            IngestFormat::Xml => Self::Xml,
        }
    }
}

impl ModeWord {
    const fn mode(self) -> IngestMode {
        match self {
            Self::Active => IngestMode::Active,
            Self::Drop => IngestMode::Drop,
            Self::Reject => IngestMode::Reject,
        }
    }

    const fn of(mode: IngestMode) -> Self {
        match mode {
            IngestMode::Active => Self::Active,
            IngestMode::Drop => Self::Drop,
            IngestMode::Reject => Self::Reject,
        }
    }
}

impl IngestStreamView {
    fn of(hub: &Hub, stream: &Stream, ingest: &Ingest) -> Self {
        let stats = hub.stats(stream);
        Self {
            id: stream.name.to_string(),
            path: format!("/stream/v0/data/{}", stream.name),
            name: ingest.name.clone(),
            description: stream.settings.description.clone(),
            format: FormatWord::of(ingest.format),
            mode: ModeWord::of(ingest.mode),
            created: stream.created.to_string(),
            start: stats.start.to_string(),
            next: stats.next.to_string(),
            landing_failure: hub.landing_failure(stream).map(|failure| LandingFailureView {
                since: failure.since.to_string(),
                reason: failure.reason,
            }),
        }
    }
}

fn missing() -> Refused {
    Refused::missing("ingest stream")
}

/// The ingest stream that the path names, if the caller manages its project.
fn named(admin: &Admin, caller: &Caller) -> Result<(Arc<Stream>, Ingest), Refused> {
    let project = admin.project(&caller.grant, &caller.path.project, Action::Manage)?;
    let stream = admin.hub().stream_named(project.id.as_str(), &caller.path.last);
    let stream = stream.ok_or_else(missing)?;
    let ingest = stream.settings.ingest.clone().ok_or_else(missing)?;
    Ok((stream, ingest))
}

/// List a project's ingest streams.
#[cfg_attr(test, utoipa::path(get, path = "/v1/projects/{project}/ingest-streams", tag = "streams", operation_id = "list_ingest_streams",
    params(("project" = String, Path, description = "The project."), PageQuery),
    responses((status = 200, description = "A page of ingest streams.", body = Page<IngestStreamView>))))]
pub(crate) async fn list(
    State(admin): State<Admin>,
    caller: Caller,
    uri: Uri,
) -> Result<Json<Page<IngestStreamView>>, Refused> {
    let project = admin.project(&caller.grant, &caller.path.project, Action::Manage)?;
    let page = PageQuery::of(&uri)?;
    let streams = admin.hub().streams(&project.id).into_iter();
    let streams = streams.filter_map(|stream| stream.settings.ingest.clone().zip(Some(stream)));
    let show = |(ingest, stream): &(Ingest, Arc<Stream>)| {
        IngestStreamView::of(admin.hub(), stream, ingest)
    };
    Ok(Json(page.cut(streams.collect(), |(_, stream)| stream.name.as_str(), show)))
}

/// Make an ingest stream; its id is drawn.
#[cfg_attr(test, utoipa::path(post, path = "/v1/projects/{project}/ingest-streams", tag = "streams", operation_id = "create_ingest_stream",
    params(("project" = String, Path, description = "The project.")), request_body = NewIngestStream,
    responses((status = 201, description = "The ingest stream.", body = IngestStreamView))))]
pub(crate) async fn create(
    State(admin): State<Admin>,
    input: Input<NewIngestStream>,
) -> Result<Response, Refused> {
    let project = admin.project(&input.caller.grant, &input.caller.path.project, Action::Manage)?;
    let new = input.body()?;
    let ingest =
        Ingest { name: input::name(new.name)?, format: new.format.format(), mode: new.mode.mode() };
    let settings = StreamSettings {
        description: input::description(new.description)?,
        // Payloads have no ids of their own.
        dedup: None,
        ingest: Some(ingest.clone()),
        ..StreamSettings::default()
    };
    for _ in 0..DRAWS {
        let name = input::id("/id", &draw(admin.hub().rng()), StreamName::new)?;
        let new = NewStream { name, settings: settings.clone() };
        let stream = match admin.hub().create_stream(&project.id, new).await {
            Err(CatalogError::Exists) => continue,
            made => made?,
        };
        let location = format!("/v1/projects/{}/ingest-streams/{}", project.id, stream.name);
        let view = IngestStreamView::of(admin.hub(), &stream, &ingest);
        return Ok((StatusCode::CREATED, [(LOCATION, location)], Json(view)).into_response());
    }
    Err(Refused::new(ErrorCode::Internal, "no id was free"))
}

fn draw(rng: &dyn Rng) -> String {
    let digit = |_| DIGITS.get(rng.below(62) as usize).map_or('0', |&digit| char::from(digit));
    PREFIX.chars().chain((0..ID_DIGITS).map(digit)).collect()
}

/// Show an ingest stream.
#[cfg_attr(test, utoipa::path(get, path = "/v1/projects/{project}/ingest-streams/{id}", tag = "streams", operation_id = "get_ingest_stream",
    params(("project" = String, Path, description = "The project."), ("id" = String, Path, description = "The ingest stream's id.")),
    responses((status = 200, description = "The ingest stream.", body = IngestStreamView))))]
pub(crate) async fn show(
    State(admin): State<Admin>,
    caller: Caller,
) -> Result<Json<IngestStreamView>, Refused> {
    let (stream, ingest) = named(&admin, &caller)?;
    Ok(Json(IngestStreamView::of(admin.hub(), &stream, &ingest)))
}

/// Change an ingest stream; what is absent stays.
#[cfg_attr(test, utoipa::path(patch, path = "/v1/projects/{project}/ingest-streams/{id}", tag = "streams", operation_id = "update_ingest_stream",
    params(("project" = String, Path, description = "The project."), ("id" = String, Path, description = "The ingest stream's id.")),
    request_body = IngestStreamChange, responses((status = 200, description = "The ingest stream as it is now.", body = IngestStreamView))))]
pub(crate) async fn update(
    State(admin): State<Admin>,
    input: Input<IngestStreamChange>,
) -> Result<Json<IngestStreamView>, Refused> {
    let (stream, mut ingest) = named(&admin, &input.caller)?;
    let change = input.body()?;
    let mut settings = stream.settings.clone();
    if let Some(name) = change.name {
        ingest.name = input::name(name)?;
    }
    if let Some(text) = change.description {
        settings.description = input::description(text)?;
    }
    ingest.mode = change.mode.map_or(ingest.mode, ModeWord::mode);
    settings.ingest = Some(ingest.clone());
    let stream = admin.hub().update_seen_stream(stream, settings).await?;
    Ok(Json(IngestStreamView::of(admin.hub(), &stream, &ingest)))
}

/// Whether what has not landed may be dropped.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct DeleteQuery {
    #[serde(default)]
    force: bool,
}

/// How long a delete waits until all has landed.
const PATIENCE: Duration = Duration::from_secs(10);

/// Has ingest streams land before they are deleted, unless `uri` says that what has not may go.
pub(crate) async fn land(
    admin: &Admin,
    streams: &[Arc<Stream>],
    uri: &Uri,
) -> Result<Landed, Refused> {
    let query: DeleteQuery = match uri.query() {
        Some(_) => input::query(uri)?,
        None => DeleteQuery::default(),
    };
    if query.force {
        return Ok(Landed::forced());
    }
    Ok(admin.hub().land(streams, PATIENCE).await?)
}

/// Remove an ingest stream with its events, for good.
#[cfg_attr(test, utoipa::path(delete, path = "/v1/projects/{project}/ingest-streams/{id}", tag = "streams", operation_id = "delete_ingest_stream",
    params(("project" = String, Path, description = "The project."), ("id" = String, Path, description = "The ingest stream's id."),
        ("force" = Option<bool>, Query, description = "Whether events of ingest streams that have not landed may go as well. Without it they land first, and a delete that they keep waiting is refused with 503, or with 409 where nothing lands.")),
    responses((status = 204, description = "It is gone."))))]
pub(crate) async fn delete(
    State(admin): State<Admin>,
    caller: Caller,
    uri: Uri,
) -> Result<StatusCode, Refused> {
    let (stream, _) = named(&admin, &caller)?;
    let landed = land(&admin, std::slice::from_ref(&stream), &uri).await?;
    admin.hub().delete_landed_stream(&stream.project, &stream.name, landed).await?;
    Ok(StatusCode::NO_CONTENT)
}
