//! `POST /v1/projects/{project}/streams/{stream}/events`: events come in.
//!
//! One request is one publish: its events become durable together, in order, or none does. The
//! body is one JSON object, objects with white space between them (NDJSON), or one array of
//! objects; its first byte says which, and `Content-Type` is not looked at, because half of all
//! clients send a wrong one (`curl -d` says it sends a form). `Content-Encoding` is: gzip, zstd or
//! nothing.
//!
//! The way of one request: the caller's reach, then room for the body (`Door`), the body
//! ([`outflow_body`]), the draft ([`Draft::push_body`], splitting, checking and rendering in
//! one pass), [`Hub::publish`], the answer (`answer`).
//!
//! Invariants: this is the hot path, so nothing is allocated for an event by itself: a batch is a
//! body, a draft and an answer, each one buffer. Memory is bounded by [`Limits`] however many
//! publish at once. No task computes for longer than it takes to render 1 MiB.

mod answer;
mod door;

use axum::extract::rejection::RawPathParamsRejection;
use axum::extract::{RawPathParams, Request, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::Method;
use outflow_body::Encoding;
use outflow_face::request_id::RequestId;
use outflow_hub::Hub;
use outflow_model::draft::BodyError;
use outflow_model::{Draft, ErrorCode};
use serde::Deserialize;
use serde_json::json;
use tracing::Span;

use crate::access::{Admin, Names};
use crate::error::Refused;
use crate::input;

pub(crate) use door::Door;

/// Bodies up to this size are rendered where they were read, which takes a few milliseconds;
/// larger ones on a thread for such work, so that other connections are not kept waiting.
const INLINE_BYTES: usize = 1 << 20;

/// What bounds publishing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The largest body, decoded, in bytes; at most 1 GiB. 32 MiB by default.
    pub body_bytes: usize,
    /// The most events of one request. 200,000 by default.
    pub events: usize,
    /// How many bytes of bodies may be held at once, over all requests; raised to `body_bytes` if
    /// that is more. 256 MiB by default. Drafts of about one and a half times that come on top.
    pub held_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { body_bytes: 32 << 20, events: 200_000, held_bytes: 256 << 20 }
    }
}

/// How to answer.
#[derive(Debug, Default, Deserialize)]
#[cfg_attr(test, derive(utoipa::IntoParams), into_params(parameter_in = Query))]
#[serde(deny_unknown_fields)]
pub(crate) struct PublishQuery {
    /// Answer with counts instead of an entry for every event. Batches of more than 1,000 events
    /// are always answered so.
    #[serde(default)]
    #[cfg_attr(test, param(default = false))]
    summary: bool,
}

/// Publish one event, several as NDJSON, or an array; all of them or none.
///
/// An event is a JSON object. Its `id`, `type`, `occurred`, `key`, `headers` and `body` have a
/// meaning, other members are kept as they are. Answered when the events are durable (unless the
/// stream is relaxed). Repeating a request is harmless where events have ids of their own: copies
/// are recognised within the stream's dedup window and answered with the first one's offset.
#[cfg_attr(test, utoipa::path(post, path = "/v1/projects/{project}/streams/{stream}/events", tag = "events", operation_id = "publish",
    params(("project" = String, Path, description = "The project."), ("stream" = String, Path, description = "The stream."), PublishQuery),
    request_body(content((answer::EventInput = "application/json"), (String = "application/x-ndjson"))),
    responses((status = 200, description = "The events are taken.", body = answer::Published))))]
pub(crate) async fn publish(
    State(admin): State<Admin>,
    params: Result<RawPathParams, RawPathParamsRejection>,
    request: Request,
) -> Response {
    let id = request.extensions().get::<RequestId>().cloned();
    match take(&admin, params, request, id.as_ref()).await {
        Ok(response) => response,
        Err(refused) => refused.named(id.as_ref()).into_response(),
    }
}

/// Whether a request is a publish by its method and path: those are too many for a tracing span
/// each.
#[must_use]
pub fn is_frequent(method: &Method, path: &str) -> bool {
    *method == Method::POST && path.starts_with("/v1/") && path.ends_with("/events")
}

async fn take(
    admin: &Admin,
    params: Result<RawPathParams, RawPathParamsRejection>,
    request: Request,
    id: Option<&RequestId>,
) -> Result<Response, Refused> {
    let (parts, body) = request.into_parts();
    let grant = admin.authenticate(&parts.headers)?;
    let names = params.as_ref().map_err(|_| Refused::missing("route"))?;
    let (project, stream) = Names::of_stream(names);
    let stream = admin.stream_to_publish(&grant, project, stream).await?;
    let query: PublishQuery = match parts.uri.query() {
        Some(_) => input::query(&parts.uri)?,
        None => PublishQuery::default(),
    };
    let encoding = Encoding::of(&parts.headers)?;
    let door = admin.door();
    // Held until the events are taken, so that body and draft together stay bounded.
    let sent = http_body::Body::size_hint(&body).exact();
    let room = door.room(project, sent, encoding).await?;
    let body = outflow_body::read(body, encoding, door.limits().body_bytes).await?;
    let draft = render(admin.hub(), body, door.limits().events).await?;
    let ids =
        (!query.summary && draft.len() <= answer::MAX_LISTED).then(|| answer::Ids::of(&draft));
    let receipt = admin.hub().publish(&grant, &stream, draft).await.map_err(|error| {
        // In a span made for it: publishes have none of their own ([`is_frequent`]).
        let span = id.map_or_else(Span::none, |id| tracing::info_span!("request", %id));
        span.in_scope(|| Refused::from(error))
    })?;
    drop(room);
    Ok(match ids {
        Some(ids) => answer::listed(&receipt, &ids),
        None => answer::summary(&receipt),
    })
}

async fn render(hub: &Hub, body: Bytes, max_events: usize) -> Result<Draft, Refused> {
    if body.len() <= INLINE_BYTES {
        return render_now(hub, &body, max_events);
    }
    let hub = hub.clone();
    let rendered = tokio::task::spawn_blocking(move || render_now(&hub, &body, max_events)).await;
    rendered.unwrap_or_else(|_| {
        Err(Refused::new(ErrorCode::Internal, "the server failed; its log says more"))
    })
}

fn render_now(hub: &Hub, body: &[u8], max_events: usize) -> Result<Draft, Refused> {
    let mut draft = Draft::default();
    let pushed = draft.push_body(body, max_events, &hub.rules(), hub.rng());
    match pushed.map_err(|error| misplaced(body, error))? {
        0 => Err(Refused::new(ErrorCode::Malformed, "the body holds no event")),
        _ => Ok(draft),
    }
}

/// The refusal of one event, and so of its whole batch.
fn misplaced(body: &[u8], error: BodyError) -> Refused {
    let code = if error.too_large { ErrorCode::TooLarge } else { ErrorCode::Malformed };
    let BodyError { index, line, at, reason, .. } = error;
    let is_array = body.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'[');
    let (place, pointer) = if is_array {
        (format!("element {index}, byte {at}"), Some(format!("/{index}")))
    } else {
        (format!("line {line}, byte {at}"), None)
    };
    Refused::new(code, format!("{place}: {reason}; nothing of the body was published"))
        .place(json!({ "pointer": pointer, "line": line, "byte": at, "detail": reason }))
}
