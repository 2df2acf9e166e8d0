//! The route. The only file of this face that knows axum.
//!
//! This is a hot path: what a request allocates is its body, its draft and what HTTP costs anyway.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::rejection::RawPathParamsRejection;
use axum::extract::{RawPathParams, Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use outflow_auth::{Auth, Presented};
use outflow_body::{BodyError, Encoding};
use outflow_face::bearer;
use outflow_face::request_id::RequestId;
use outflow_face::sparingly::Sparingly;
use outflow_hub::{Hub, IngestFormat, IngestMode, Stream};
use outflow_model::{Action, ErrorCode, Grant};
use prometheus_client::registry::Registry;

use crate::config::Options;
use crate::error::Refusal;
use crate::gate::Gates;
use crate::metrics::Metrics;
use crate::{translate, wire};

/// Where the streams are.
const PREFIX: &str = "/stream/v0/data/";
/// The header by which a client names its project.
const TENANT: HeaderName = HeaderName::from_static("x-amperity-tenant");

struct Face {
    hub: Hub,
    auth: Auth,
    options: Options,
    gates: Gates,
    metrics: Metrics,
    /// A tenant may have as many payloads refused as it likes.
    lines: Sparingly,
}

/// The routes of this face. Puts its metrics into `registry`.
pub fn router(hub: Hub, auth: Auth, options: Options, registry: &mut Registry) -> Router {
    let (held, largest) = (options.held_bytes, options.max_payload_bytes);
    let gates = Gates::new(options.requests_per_second, held, largest);
    let metrics = Metrics::register(registry);
    let face = Face { hub, auth, options, gates, metrics, lines: Sparingly::default() };
    Router::new().route("/stream/v0/data/{stream}", post(answer)).with_state(Arc::new(face))
}

/// Whether a request is one of this face's by its method and path: those are too many for a tracing
/// span each.
#[must_use]
pub fn is_frequent(method: &Method, path: &str) -> bool {
    *method == Method::POST && path.starts_with(PREFIX)
}

async fn answer(
    State(face): State<Arc<Face>>,
    params: Result<RawPathParams, RawPathParamsRejection>,
    request: Request,
) -> Response {
    let (parts, body) = request.into_parts();
    let mut body = Some(body);
    // What is not text names no stream, which only those may learn who have a token.
    let params = params.ok();
    let stream = params.as_ref().and_then(|params| params.iter().next());
    let stream = stream.map_or("", |(_, name)| name);
    match take(&face, stream, &parts, &mut body).await {
        Ok(status) => status.into_response(),
        Err(refusal) => {
            // An unread body costs the client its answer, or the connection.
            outflow_body::discard_unread(&parts.headers, body).await;
            refuse(&face, &refusal, parts.extensions.get::<RequestId>())
        }
    }
}

fn refuse(face: &Face, refusal: &Refusal, id: Option<&RequestId>) -> Response {
    let code = outflow_face::problem::name(refusal.code);
    face.metrics.refused.get_or_create(&[("code", code)]).inc();
    if matches!(refusal.code, ErrorCode::Internal | ErrorCode::Unavailable | ErrorCode::Timeout)
        && let Some(left_out) = face.lines.allow(face.hub.clock().now())
    {
        let reason = refusal.cause.as_deref().unwrap_or(&refusal.detail);
        let id = id.map(RequestId::as_str);
        tracing::warn!(id, code, reason, left_out, "a payload was not stored");
    }
    refusal.answer(id)
}

/// Takes one payload in; gives the status of a good answer.
async fn take(
    face: &Face,
    stream: &str,
    parts: &Parts,
    body: &mut Option<Body>,
) -> Result<StatusCode, Refusal> {
    let grant = authenticate(face, &parts.headers)?;
    let (stream, format, mode) = find(face, &grant, stream)?;
    let gate = face.gates.of(&stream.project);
    gate.pass().map_err(|seconds| Refusal {
        retry_after: Some(seconds),
        ..Refusal::new(ErrorCode::RateLimited, "the project makes more requests than it may")
    })?;
    match mode {
        IngestMode::Active => {}
        IngestMode::Drop => {
            face.metrics.dropped.inc();
            if let Some(body) = body.take() {
                outflow_body::discard(body).await;
            }
            return Ok(StatusCode::NO_CONTENT);
        }
        IngestMode::Reject => {
            return Err(Refusal::new(ErrorCode::Conflict, "the stream takes nothing just now"));
        }
    }
    let content_type = only(&parts.headers, &CONTENT_TYPE)?;
    let content_type = content_type.and_then(|value| value.to_str().ok()).unwrap_or_default();
    if wire::format(content_type) != Some(format) {
        let detail = format!("the stream takes {} only", format.as_str());
        return Err(Refusal::new(ErrorCode::UnsupportedMedia, detail));
    }
    let encoding = Encoding::of(&parts.headers)?;
    let payload = body.take().unwrap_or_default();
    let limit = face.options.max_payload_bytes;
    let mut room = gate.room();
    let payload =
        outflow_body::read_within(&parts.headers, payload, encoding, limit, &mut room).await;
    let payload = payload.inspect_err(|error| {
        if *error == BodyError::Timeout {
            face.metrics.slow.inc();
        }
    })?;
    let draft = translate::draft(&face.hub, format, content_type, &payload)?;
    let stored = face.hub.ingest(&grant, &stream, draft);
    match tokio::time::timeout(face.options.commit_timeout, stored).await {
        Ok(stored) => drop(stored?),
        Err(_) => {
            let detail = "the payload was not known to be stored in time";
            return Err(Refusal::new(ErrorCode::Timeout, detail));
        }
    }
    drop(room);
    face.metrics.accepted.inc();
    face.metrics.bytes.inc_by(payload.len() as u64);
    Ok(StatusCode::ACCEPTED)
}

/// Who sends a request with these headers. A tenant that is named must be the token's.
fn authenticate(face: &Face, headers: &HeaderMap) -> Result<Grant, Refusal> {
    let refused = || Refusal::new(ErrorCode::Unauthenticated, "the token does not hold");
    let token = only(headers, &AUTHORIZATION)?.and_then(bearer).ok_or_else(refused)?;
    let project = only(headers, &TENANT)?.map(HeaderValue::to_str).transpose();
    let project = project.map_err(|_| refused())?;
    face.auth.authenticate(&Presented::Bearer { project, token }).ok_or_else(refused)
}

/// The one header of this name. Of several, whoever passed the request on may have looked at another
/// than we would.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a HeaderValue>, Refusal> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (_, Some(_)) => {
            Err(Refusal::malformed(format!("the request has several `{name}` headers")))
        }
        (value, None) => Ok(value),
    }
}

/// The ingest stream of this id, if the caller may write to it.
fn find(
    face: &Face,
    grant: &Grant,
    name: &str,
) -> Result<(Arc<Stream>, IngestFormat, IngestMode), Refusal> {
    let project = grant.project.as_ref().ok_or_else(Refusal::no_such_stream)?;
    let may = [Action::Ingest, Action::Publish].iter().any(|&one| grant.allows(one, project));
    if !may {
        let detail = "the token's scopes do not have streaming-ingest:write";
        return Err(Refusal::new(ErrorCode::Forbidden, detail));
    }
    let stream = face.hub.stream_named(project.as_str(), name);
    let listed = |stream: &Arc<Stream>| {
        grant.streams.as_ref().is_none_or(|streams| streams.contains(&stream.name))
    };
    let stream = stream.filter(listed).ok_or_else(Refusal::no_such_stream)?;
    let ingest = stream.settings.ingest.as_ref().ok_or_else(Refusal::no_such_stream)?;
    let (format, mode) = (ingest.format, ingest.mode);
    Ok((stream, format, mode))
}
