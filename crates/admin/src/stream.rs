//! `/v1/projects/{project}/streams`: logs of events and their settings.

use std::collections::BTreeSet;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::LOCATION;
use http::{StatusCode, Uri};
use outflow_hub::{Dedup, Durability, Hub, NewStream, Retention, Stream, StreamSettings};
use outflow_model::{Action, StreamName};
use serde::{Deserialize, Serialize};

use crate::access::{Admin, Caller};
use crate::entity_type::{self, EntityTypeView};
use crate::error::Refused;
use crate::ingest_stream::land;
use crate::input::{self, Input};
use crate::page::{Page, PageQuery};

/// The longest that events are kept and ids remembered: 100 years and 30 days.
const MAX_AGE_MS: u64 = 100 * 365 * 86_400_000;
const MAX_WINDOW_MS: u64 = 30 * 86_400_000;
/// The most ids that a stream remembers; about 64 bytes of memory each.
const MAX_IDS: u32 = 10_000_000;

/// A stream: its settings and how it stands.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = Stream))]
pub(crate) struct StreamView {
    /// Unique in its project.
    name: String,
    /// When it was made.
    created: String,
    /// For people.
    description: String,
    retention: RetentionView,
    durability: DurabilityWord,
    /// How copies are recognised by the publisher's event id; null: they are not.
    dedup: Option<DedupView>,
    /// The types of the entities whose changes it holds; null: it is not keyed.
    entities: Option<Vec<EntityTypeView>>,
    /// The entity types that its change feed sends; null: all.
    feed_types: Option<BTreeSet<String>>,
    /// The first offset still kept; equal to `next` when there is none.
    start: String,
    /// The offset after the last event.
    next: String,
    /// The bytes of events kept, about, before compression.
    stored_bytes: u64,
    /// How many readers it has now.
    readers: usize,
}

/// How long events are kept.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = Retention))]
pub(crate) struct RetentionView {
    /// Older events may go, in milliseconds.
    age_ms: u64,
    /// Beyond this many bytes the oldest events go; null: no limit.
    max_bytes: Option<u64>,
}

/// How copies are recognised.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = Dedup))]
pub(crate) struct DedupView {
    /// How long an id is remembered, in milliseconds.
    window_ms: u64,
    /// How many ids are remembered.
    max_ids: u32,
}

/// When publishing is answered.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = Durability))]
#[serde(rename_all = "lowercase")]
pub(crate) enum DurabilityWord {
    /// After the sync that made the events durable.
    Synced,
    /// Before it: a crash may lose the last events.
    Relaxed,
}

/// A stream to make.
#[derive(Debug, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = NewStream))]
#[serde(deny_unknown_fields)]
pub(crate) struct StreamInput {
    /// Letters, digits and `_ - . : / $`.
    #[cfg_attr(
        test,
        schema(
            min_length = 1,
            max_length = 255,
            pattern = "^[A-Za-z0-9_.:/$-]+$",
            example = "orders"
        )
    )]
    name: String,
    /// For people.
    #[cfg_attr(test, schema(max_length = 1024))]
    description: Option<String>,
    retention: Option<RetentionChange>,
    durability: Option<DurabilityWord>,
    /// Null turns it off.
    #[serde(default, deserialize_with = "input::nullable")]
    #[cfg_attr(test, schema(value_type = Option<DedupChange>))]
    dedup: Option<Option<DedupChange>>,
    /// Makes it a keyed stream, which it stays: the types of its entities. Types may be added; the
    /// keys of those there are stay.
    #[cfg_attr(test, schema(min_items = 1, max_items = 256))]
    entities: Option<Vec<EntityTypeView>>,
    /// The entity types that the change feed sends, with all that they depend on; holds at once for
    /// those who are reading. Null: all.
    #[serde(default, deserialize_with = "input::nullable")]
    #[cfg_attr(test, schema(value_type = Option<Vec<String>>))]
    feed_types: Option<Option<BTreeSet<String>>>,
}

/// Changes of a stream; what is absent stays.
#[derive(Debug, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct StreamChange {
    /// For people.
    #[cfg_attr(test, schema(max_length = 1024))]
    description: Option<String>,
    retention: Option<RetentionChange>,
    durability: Option<DurabilityWord>,
    /// Null turns it off.
    #[serde(default, deserialize_with = "input::nullable")]
    #[cfg_attr(test, schema(value_type = Option<DedupChange>))]
    dedup: Option<Option<DedupChange>>,
    /// Makes it a keyed stream, which it stays: the types of its entities. Types may be added; the
    /// keys of those there are stay.
    #[cfg_attr(test, schema(min_items = 1, max_items = 256))]
    entities: Option<Vec<EntityTypeView>>,
    /// The entity types that the change feed sends, with all that they depend on; holds at once for
    /// those who are reading. Null: all.
    #[serde(default, deserialize_with = "input::nullable")]
    #[cfg_attr(test, schema(value_type = Option<Vec<String>>))]
    feed_types: Option<Option<BTreeSet<String>>>,
}

/// How long events are to be kept; what is absent stays, or is the default of a new stream.
#[derive(Debug, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct RetentionChange {
    /// Older events may go, in milliseconds. By default seven days, and 48 hours of a stream that is
    /// made keyed.
    #[cfg_attr(test, schema(minimum = 1000))]
    age_ms: Option<u64>,
    /// Beyond this many bytes the oldest events go; null: no limit. 100 GB by default.
    #[serde(default, deserialize_with = "input::nullable")]
    #[cfg_attr(test, schema(value_type = Option<u64>, minimum = 1))]
    max_bytes: Option<Option<u64>>,
}

/// How copies are to be recognised; what is absent stays, or is the default.
#[derive(Debug, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct DedupChange {
    /// How long an id is remembered, in milliseconds. Ten minutes by default.
    #[cfg_attr(test, schema(minimum = 1, maximum = 2_592_000_000u64))]
    window_ms: Option<u64>,
    /// How many ids are remembered. A million by default.
    #[cfg_attr(test, schema(minimum = 1, maximum = 10_000_000))]
    max_ids: Option<u32>,
}

impl StreamView {
    fn of(hub: &Hub, stream: &Stream) -> Self {
        let stats = hub.stats(stream);
        let settings = &stream.settings;
        Self {
            name: stream.name.to_string(),
            created: stream.created.to_string(),
            description: settings.description.clone(),
            retention: RetentionView {
                age_ms: settings.retention.age_ms,
                max_bytes: settings.retention.max_bytes,
            },
            durability: match settings.durability {
                Durability::Synced => DurabilityWord::Synced,
                Durability::Relaxed => DurabilityWord::Relaxed,
            },
            dedup: settings
                .dedup
                .map(|dedup| DedupView { window_ms: dedup.window_ms, max_ids: dedup.max_ids }),
            entities: settings.entities.as_deref().map(entity_type::views),
            feed_types: settings.feed_types.clone(),
            start: stats.start.to_string(),
            next: stats.next.to_string(),
            stored_bytes: stats.stored_bytes,
            readers: stats.readers,
        }
    }
}

impl StreamChange {
    fn apply(self, settings: &mut StreamSettings) -> Result<(), Refused> {
        if let Some(text) = self.description {
            settings.description = input::description(text)?;
        }
        if let Some(retention) = self.retention {
            settings.retention = retention.applied(settings.retention)?;
        }
        settings.durability = match self.durability {
            Some(DurabilityWord::Synced) => Durability::Synced,
            Some(DurabilityWord::Relaxed) => Durability::Relaxed,
            None => settings.durability,
        };
        match self.dedup {
            Some(Some(dedup)) => {
                settings.dedup = Some(dedup.applied(settings.dedup.unwrap_or_default())?);
            }
            Some(None) => settings.dedup = None,
            None => {}
        }
        if let Some(types) = self.entities {
            settings.entities = Some(entity_type::read(types)?);
        }
        if let Some(types) = self.feed_types {
            settings.feed_types = types;
        }
        Ok(())
    }
}

impl RetentionChange {
    fn applied(self, mut retention: Retention) -> Result<Retention, Refused> {
        if let Some(age) = self.age_ms {
            retention.age_ms = input::within("/retention/age_ms", age, &(1000..=MAX_AGE_MS))?;
        }
        if let Some(max) = self.max_bytes {
            let checked =
                max.map(|max| input::within("/retention/max_bytes", max, &(1..=u64::MAX)));
            retention.max_bytes = checked.transpose()?;
        }
        Ok(retention)
    }
}

impl DedupChange {
    fn applied(self, mut dedup: Dedup) -> Result<Dedup, Refused> {
        if let Some(window) = self.window_ms {
            dedup.window_ms = input::within("/dedup/window_ms", window, &(1..=MAX_WINDOW_MS))?;
        }
        if let Some(max) = self.max_ids {
            dedup.max_ids = input::within("/dedup/max_ids", max, &(1..=MAX_IDS))?;
        }
        Ok(dedup)
    }
}

/// List a project's streams.
#[cfg_attr(test, utoipa::path(get, path = "/v1/projects/{project}/streams", tag = "streams", operation_id = "list_streams",
    params(("project" = String, Path, description = "The project."), PageQuery),
    responses((status = 200, description = "A page of streams.", body = Page<StreamView>))))]
pub(crate) async fn list(
    State(admin): State<Admin>,
    caller: Caller,
    uri: Uri,
) -> Result<Json<Page<StreamView>>, Refused> {
    let project = admin.project(&caller.grant, &caller.path.project, Action::Manage)?;
    let page = PageQuery::of(&uri)?;
    let mut streams = admin.hub().streams(&project.id);
    if let Some(only) = &caller.grant.streams {
        streams.retain(|stream| only.contains(&stream.name));
    }
    let show = |stream: &std::sync::Arc<Stream>| StreamView::of(admin.hub(), stream);
    Ok(Json(page.cut(streams, |stream| stream.name.as_str(), show)))
}

/// Make a stream.
#[cfg_attr(test, utoipa::path(post, path = "/v1/projects/{project}/streams", tag = "streams", operation_id = "create_stream",
    params(("project" = String, Path, description = "The project.")), request_body = StreamInput,
    responses((status = 201, description = "The stream.", body = StreamView))))]
pub(crate) async fn create(
    State(admin): State<Admin>,
    input: Input<StreamInput>,
) -> Result<Response, Refused> {
    let project = admin.project(&input.caller.grant, &input.caller.path.project, Action::Manage)?;
    let new = input.body()?;
    let name = input::id("/name", &new.name, StreamName::new)?;
    if input.caller.grant.streams.as_ref().is_some_and(|only| !only.contains(&name)) {
        return Err(Refused::member("/name", "the credential is not made for this stream"));
    }
    let types = new.entities.map(entity_type::read).transpose()?;
    let mut settings = types.map_or_else(StreamSettings::default, StreamSettings::keyed);
    let change = StreamChange {
        description: new.description,
        retention: new.retention,
        durability: new.durability,
        dedup: new.dedup,
        entities: None,
        feed_types: new.feed_types,
    };
    change.apply(&mut settings)?;
    let stream = admin.hub().create_stream(&project.id, NewStream { name, settings }).await?;
    let location = format!("/v1/projects/{}/streams/{}", project.id, escaped(stream.name.as_str()));
    let view = StreamView::of(admin.hub(), &stream);
    Ok((StatusCode::CREATED, [(LOCATION, location)], Json(view)).into_response())
}

/// A stream's name as one segment of a path: of the characters that names have, only `/` parts
/// segments.
fn escaped(name: &str) -> String {
    name.replace('/', "%2F")
}

/// Show a stream: its settings, where it begins and ends, its size and readers.
#[cfg_attr(test, utoipa::path(get, path = "/v1/projects/{project}/streams/{stream}", tag = "streams", operation_id = "get_stream",
    params(("project" = String, Path, description = "The project."), ("stream" = String, Path, description = "The stream.")),
    responses((status = 200, description = "The stream.", body = StreamView))))]
pub(crate) async fn show(
    State(admin): State<Admin>,
    caller: Caller,
) -> Result<Json<StreamView>, Refused> {
    let stream =
        admin.stream(&caller.grant, &caller.path.project, &caller.path.stream, Action::Manage)?;
    Ok(Json(StreamView::of(admin.hub(), &stream)))
}

/// Change a stream; what is absent stays.
#[cfg_attr(test, utoipa::path(patch, path = "/v1/projects/{project}/streams/{stream}", tag = "streams", operation_id = "update_stream",
    params(("project" = String, Path, description = "The project."), ("stream" = String, Path, description = "The stream.")),
    request_body = StreamChange, responses((status = 200, description = "The stream as it is now.", body = StreamView))))]
pub(crate) async fn update(
    State(admin): State<Admin>,
    input: Input<StreamChange>,
) -> Result<Json<StreamView>, Refused> {
    let path = &input.caller.path;
    let stream = admin.stream(&input.caller.grant, &path.project, &path.stream, Action::Manage)?;
    let mut settings = stream.settings.clone();
    input.body()?.apply(&mut settings)?;
    let stream = admin.hub().update_seen_stream(stream, settings).await?;
    Ok(Json(StreamView::of(admin.hub(), &stream)))
}

/// Remove a stream with its events and cursors, for good. Its readers' connections end.
#[cfg_attr(test, utoipa::path(delete, path = "/v1/projects/{project}/streams/{stream}", tag = "streams", operation_id = "delete_stream",
    params(("project" = String, Path, description = "The project."), ("stream" = String, Path, description = "The stream."),
        ("force" = Option<bool>, Query, description = "Whether events of ingest streams that have not landed may go as well. Without it they land first, and a delete that they keep waiting is refused with 503, or with 409 where nothing lands.")),
    responses((status = 204, description = "It is gone."))))]
pub(crate) async fn delete(
    State(admin): State<Admin>,
    caller: Caller,
    uri: Uri,
) -> Result<StatusCode, Refused> {
    let stream =
        admin.stream(&caller.grant, &caller.path.project, &caller.path.stream, Action::Manage)?;
    let landed = land(&admin, std::slice::from_ref(&stream), &uri).await?;
    admin.hub().delete_landed_stream(&stream.project, &stream.name, landed).await?;
    Ok(StatusCode::NO_CONTENT)
}
