//! The routes. The only file of this face that knows axum's router.
//!
//! Paths count in any case, which axum's routes do not, so this face is a layer that takes what
//! [`wire::is_ours`] and lets everything else pass.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, StatusCode};
use outflow_auth::Auth;
use outflow_body::{Door, Encoding, Held};
use outflow_face::Drain;
use outflow_hub::Hub;
use prometheus_client::registry::Registry;

use crate::authenticate::{self, Caller};
use crate::calls::{Answer, Confirmed, Face, Turns};
use crate::config::Options;
use crate::document;
use crate::error::Refusal;
use crate::metrics::Metrics;
use crate::wire::{self, Call, Grammar, WireError};

/// The largest body of a call that is no Publish, in bytes: all it can hold is parameters.
const MAX_PARAMETER_BYTES: usize = 64 << 10;

/// `otherwise`, with this face's paths taken out of it. Bodies come through `door`, which others may
/// share. Puts its metrics into `registry`; when `drain` begins, waiting Peeks are answered.
pub fn router(
    otherwise: Router,
    hub: Hub,
    auth: Auth,
    options: Options,
    door: Arc<Door>,
    drain: Drain,
    registry: &mut Registry,
) -> Router {
    let metrics = Metrics::register(registry);
    let parked = AtomicUsize::new(0);
    let (turns, confirmed) = (Turns::default(), Confirmed::default());
    let face = Face { hub, auth, options, door, drain, metrics, parked, turns, confirmed };
    let face = Arc::new(face);
    otherwise.layer(from_fn_with_state(face, answer))
}

async fn answer(State(face): State<Arc<Face>>, request: Request, next: Next) -> Response {
    if !wire::is_ours(request.uri().path()) {
        return next.run(request).await;
    }
    let (parts, body) = request.into_parts();
    let mut body = Some(body);
    match perform(&face, &parts, &mut body).await {
        Ok(answer) => render(answer),
        Err(refusal) => {
            let (status, code) = refusal.status();
            face.metrics.refused.get_or_create(&[("code", code)]).inc();
            let reason = refusal.detail.as_str();
            tracing::info!(status = status.as_u16(), code, reason, "call refused");
            outflow_body::discard_unread(&parts.headers, body).await;
            refusal.answer(&parts.headers)
        }
    }
}

async fn perform(face: &Face, parts: &Parts, body: &mut Option<Body>) -> Result<Answer, Refusal> {
    let query = parts.uri.query().unwrap_or_default();
    let asked = wire::parse(parts.method.as_str(), parts.uri.path(), query);
    if let Ok((_, call @ Call::Describe)) = &asked {
        face.metrics.calls.get_or_create(&[("call", call.name())]).inc();
        return Ok(Answer { status: StatusCode::OK, body: Some(document::text().to_owned()) });
    }
    // Who is asking comes before whether the question is right.
    let caller = authenticate::caller(&parts.headers, &face.options, &face.auth, &face.hub)?;
    if let Ok((grammar, call @ Call::Publish { topic })) = &asked {
        let limit = face.options.max_message_bytes;
        // Held until the message is stored, so that body and draft together stay bounded.
        let (message, held) = read(face, &caller, &parts.headers, body, limit).await?;
        let answer = face.publish(&caller, *grammar, topic, &message).await?;
        drop(held);
        face.metrics.calls.get_or_create(&[("call", call.name())]).inc();
        return Ok(answer);
    }
    let (grammar, call) = completed(face, &caller, asked, parts, body).await?;
    let name = call.name();
    let answer = Box::pin(face.perform(&caller, grammar, call)).await?;
    face.metrics.calls.get_or_create(&[("call", name)]).inc();
    Ok(answer)
}

/// The call, with what its body says: parameters may stand there, too. A Publish is left as it is,
/// for its body is the message.
async fn completed(
    face: &Face,
    caller: &Caller,
    asked: Result<(Grammar, Call), WireError>,
    parts: &Parts,
    body: &mut Option<Body>,
) -> Result<(Grammar, Call), Refusal> {
    let is_empty = body.as_ref().is_none_or(http_body::Body::is_end_stream);
    if is_empty || matches!(asked, Err(WireError::NoSuchCall | WireError::Method { .. })) {
        return Ok(asked?);
    }
    let read = read(face, caller, &parts.headers, body, MAX_PARAMETER_BYTES).await;
    let (read, _held) = match (read, &asked) {
        (Ok(read), _) => read,
        // What is wrong without the body says more than what is wrong with it.
        (Err(_), Err(_)) => return Ok(asked?),
        (Err(refusal), Ok(_)) => return Err(refusal),
    };
    let query = parts.uri.query().unwrap_or_default();
    match wire::parse_with(parts.method.as_str(), parts.uri.path(), query, &read) {
        Ok((_, Call::Publish { .. })) => Ok(asked?),
        completed => Ok(completed?),
    }
}

/// The body, and the room that it holds.
async fn read(
    face: &Face,
    caller: &Caller,
    headers: &HeaderMap,
    body: &mut Option<Body>,
    limit: usize,
) -> Result<(Bytes, Held), Refusal> {
    let encoding = Encoding::of(headers)?;
    let sent = body.as_ref().map_or(Some(0), |body| http_body::Body::size_hint(body).exact());
    if let Some(body) = body {
        outflow_body::check_announced(body, encoding, limit)?;
    }
    let mut held = face.door.room(caller.project.as_str(), sent, encoding, limit).await?;
    let body = body.take().unwrap_or_default();
    let read = outflow_body::read_within(headers, body, encoding, limit, &mut held).await?;
    Ok((read, held))
}

fn render(answer: Answer) -> Response {
    let Answer { status, body } = answer;
    let mut response = match body {
        Some(text) => (status, text).into_response(),
        None => status.into_response(),
    };
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if status != StatusCode::NO_CONTENT {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
    response
}
