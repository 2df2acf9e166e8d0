//! `POST /v1/projects/{project}/streams/{stream}/events`: events come in.
//!
//! One request is one publish: its events become durable together, in order, or none does. The
//! body is one JSON object, objects with white space between them (NDJSON), or one array of
//! objects; its first byte says which, and `Content-Type` is not looked at, because half of all
//! clients send a wrong one (`curl -d` says it sends a form). `Content-Encoding` is: gzip, zstd or
//! nothing.
//!
//! The way of one request: the caller's reach, then room for the body ([`Door`]), the body
//! ([`outflow_body`]), room for the draft ([`Hub::room_for`]), the draft ([`Draft::push_body`],
//! splitting, checking and rendering in one pass), [`Hub::publish_within`], the answer ([`answer`]).
//!
//! Invariants: this is the hot path, so nothing is allocated for an event by itself: a batch is a
//! body, a draft and an answer, each one buffer. Memory is bounded by the [`Door`] and by what may be on
//! its way however many publish at once, for drafts are made when there is room for them. No task
//! computes for longer than it takes to render 1 MiB.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::rejection::RawPathParamsRejection;
use axum::extract::{Query, RawPathParams, Request, State};
use axum::response::Response;
use axum::routing::post;
use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::request::Parts;
use http::{HeaderMap, Method, Uri};
use outflow_auth::{Auth, Presented};
use outflow_body::{Door, Encoding};
use outflow_face::bearer;
use outflow_face::request_id::RequestId;
use outflow_hub::{Hub, Stream, Unreached};
use outflow_model::draft::BodyError;
use outflow_model::{Action, Draft, ErrorCode, Grant, StreamName};
use serde::Deserialize;
use serde_json::json;
use tracing::Span;

use crate::answer;
use crate::config::Limits;
use crate::error::{Refusal, not_made};

/// Bodies whose drafts are up to this size are rendered where they were read, which takes a few
/// milliseconds; larger ones on a thread for such work, so that other connections are not kept waiting.
const INLINE_BYTES: usize = 4 << 20;

/// What the handler works on.
#[derive(Debug)]
struct Face {
    hub: Hub,
    auth: Auth,
    limits: Limits,
    door: Arc<Door>,
}

/// The route, without fallbacks: `server` sets those on the merged router. Bodies come through
/// `door`, which others may share.
pub fn router(hub: Hub, auth: Auth, limits: Limits, door: Arc<Door>) -> Router {
    let limits = Limits { body_bytes: limits.body_bytes.clamp(1, 1 << 30), ..limits };
    Router::new()
        .route("/v1/projects/{project}/streams/{stream}/events", post(publish))
        .with_state(Arc::new(Face { hub, auth, limits, door }))
}

/// Whether a request is a publish by its method and path: those are too many for a tracing span
/// each.
#[must_use]
pub fn is_frequent(method: &Method, path: &str) -> bool {
    *method == Method::POST && path.starts_with("/v1/") && path.ends_with("/events")
}

/// How to answer.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    /// Counts instead of an entry for every event. Batches of more than 1,000 events are always
    /// answered so.
    #[serde(default)]
    summary: bool,
}

async fn publish(
    State(face): State<Arc<Face>>,
    params: Result<RawPathParams, RawPathParamsRejection>,
    request: Request,
) -> Response {
    let id = request.extensions().get::<RequestId>().cloned();
    let (parts, body) = request.into_parts();
    let mut body = Some(body);
    match take(&face, params, &parts, &mut body, id.as_ref()).await {
        Ok(response) => response,
        Err(refusal) => {
            outflow_body::discard_unread(&parts.headers, body).await;
            refusal.answer(id.as_ref())
        }
    }
}

/// Takes `body` when it comes to reading it.
async fn take(
    face: &Face,
    params: Result<RawPathParams, RawPathParamsRejection>,
    parts: &Parts,
    body: &mut Option<Body>,
    id: Option<&RequestId>,
) -> Result<Response, Refusal> {
    let grant = authenticate(&face.auth, &parts.headers)?;
    // A path that is not UTF-8 names nothing.
    let names =
        params.as_ref().map_err(|_| Refusal::new(ErrorCode::NotFound, "there is no such route"))?;
    let (project, stream) = project_and_stream(names);
    let stream = target(&face.hub, &grant, project, stream).await?;
    let wanted = wanted(&parts.uri)?;
    let encoding = Encoding::of(&parts.headers)?;
    let limits = face.limits;
    // Held until the events are taken, so that body and draft together stay bounded.
    let sent = body.as_ref().map_or(Some(0), |body| http_body::Body::size_hint(body).exact());
    if let Some(body) = body {
        outflow_body::check_announced(body, encoding, limits.body_bytes)?;
    }
    let mut room = face.door.room(project, sent, encoding, limits.body_bytes).await?;
    let body = body.take().unwrap_or_default();
    let (headers, limit) = (&parts.headers, limits.body_bytes);
    let body = outflow_body::read_within(headers, body, encoding, limit, &mut room).await?;
    let unpublished = |error| {
        // In a span made for it: publishes have none of their own ([`is_frequent`]).
        let span = id.map_or_else(Span::none, |id| tracing::info_span!("request", %id));
        span.in_scope(|| Refusal::from(error))
    };
    // Before the draft is made: of small events it is many times the body.
    let most = Draft::most_bytes_of(&body, limits.events);
    let draft_room = face.hub.room_for(&stream, most).await.map_err(unpublished)?;
    let draft = render(&face.hub, body, most, limits.events).await?;
    let ids =
        (!wanted.summary && draft.len() <= answer::MAX_LISTED).then(|| answer::Ids::of(&draft));
    let published = face.hub.publish_within(draft_room, &grant, &stream, draft).await;
    let receipt = published.map_err(unpublished)?;
    drop(room);
    Ok(match ids {
        Some(ids) => answer::listed(&receipt, &ids),
        None => answer::summary(&receipt),
    })
}

/// The grant of the request's bearer token. One that is missing, malformed, unknown, expired or
/// revoked is answered alike.
fn authenticate(auth: &Auth, headers: &HeaderMap) -> Result<Grant, Refusal> {
    let token = headers.get(AUTHORIZATION).and_then(bearer);
    let presented = Presented::Bearer { project: None, token: token.unwrap_or_default() };
    auth.authenticate(&presented)
        .ok_or_else(|| Refusal::new(ErrorCode::Unauthenticated, "a valid bearer token is needed"))
}

fn project_and_stream(params: &RawPathParams) -> (&str, &str) {
    params.iter().fold(("", ""), |(project, stream), (name, value)| match name {
        "project" => (value, stream),
        "stream" => (project, value),
        _ => (project, stream),
    })
}

/// The stream to publish to. Of a queue or topic that so far has only consumers of brokers'
/// protocols it is made now.
async fn target(
    hub: &Hub,
    grant: &Grant,
    project: &str,
    name: &str,
) -> Result<Arc<Stream>, Refusal> {
    let missing = match hub.stream_for(grant, project, name, Action::Publish) {
        Ok(stream) => return Ok(stream),
        Err(unreached @ (Unreached::Project | Unreached::Stream)) => unreached,
        Err(Unreached::Forbidden) => return Err(Unreached::Forbidden.into()),
    };
    let Ok(name) = StreamName::new(name) else { return Err(missing.into()) };
    let project = hub.project_for(grant, project, Action::Publish)?;
    // An operator is of no project; what it publishes is.
    let within = Grant { project: Some(project.id.clone()), ..grant.clone() };
    match hub.awaited_stream(&within, &name).await {
        Ok(Some(stream)) => Ok(stream),
        Ok(None) => Err(missing.into()),
        Err(error) => Err(not_made(&error, missing)),
    }
}

fn wanted(uri: &Uri) -> Result<Wanted, Refusal> {
    if uri.query().is_none() {
        return Ok(Wanted::default());
    }
    let read = Query::try_from_uri(uri).map(|Query(wanted)| wanted);
    read.map_err(|error| {
        let text = error.body_text();
        // axum begins with what its own code was doing.
        let reason = text.strip_prefix("Failed to deserialize query string: ").unwrap_or(&text);
        Refusal::new(ErrorCode::Malformed, format!("the query: {reason}"))
    })
}

/// `most`: how large the draft may get.
async fn render(hub: &Hub, body: Bytes, most: usize, max_events: usize) -> Result<Draft, Refusal> {
    if most <= INLINE_BYTES {
        return render_now(hub, &body, max_events);
    }
    let hub = hub.clone();
    let rendered = tokio::task::spawn_blocking(move || render_now(&hub, &body, max_events)).await;
    rendered.unwrap_or_else(|_| {
        Err(Refusal::new(ErrorCode::Internal, "the server failed; its log says more"))
    })
}

fn render_now(hub: &Hub, body: &[u8], max_events: usize) -> Result<Draft, Refusal> {
    let mut draft = Draft::default();
    let pushed = draft.push_body(body, max_events, &hub.rules(), hub.rng());
    match pushed.map_err(|error| misplaced(body, error))? {
        0 => Err(Refusal::new(ErrorCode::Malformed, "the body holds no event")),
        _ => Ok(draft),
    }
}

/// The refusal of one event, and so of its whole batch.
fn misplaced(body: &[u8], error: BodyError) -> Refusal {
    let code = if error.too_large { ErrorCode::TooLarge } else { ErrorCode::Malformed };
    let BodyError { index, line, at, reason, .. } = error;
    let is_array = body.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'[');
    let (place, pointer) = if is_array {
        (format!("element {index}, byte {at}"), Some(format!("/{index}")))
    } else {
        (format!("line {line}, byte {at}"), None)
    };
    Refusal::new(code, format!("{place}: {reason}; nothing of the body was published"))
        .place(json!({ "pointer": pointer, "line": line, "byte": at, "detail": reason }))
}
