//! The routes. The only file of this face that knows axum's router.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Query, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use http::header::{
    CACHE_CONTROL, CONNECTION, CONTENT_ENCODING, CONTENT_TYPE, USER_AGENT, VARY, WWW_AUTHENTICATE,
};
use http::request::Parts;
use outflow_auth::Auth;
use outflow_body::{Door, Encoding};
use outflow_face::sparingly::Sparingly;
use outflow_face::{Peer, Problem, RequestId};
use outflow_hub::{Hub, ReadRequest, ReadSession, Start, Stream};
use outflow_model::{Action, ErrorCode, Filter, Grant, Offset, ProjectId, StreamName};
use prometheus_client::registry::Registry;

use crate::authenticate::{self, Route, no_data};
use crate::config::Options;
use crate::error::{Refusal, identify};
use crate::metrics::Metrics;
use crate::negotiate;
use crate::request;
use crate::session::{self, Manner, Session};
use crate::translate::{Wanted, query_start};
use crate::wire::Coding;

/// Says that a stream began later than asked (rule: never silently lossy).
const RESUME: HeaderName = HeaderName::from_static("x-outflow-resume");
/// The offset after which a stream of the generic route began.
const FROM: HeaderName = HeaderName::from_static("outflow-from");
/// Airship's media type (reference 1.5), as its specification writes it.
const AIRSHIP_TYPE: HeaderValue =
    HeaderValue::from_static("application/vnd.urbanairship+x-ndjson; version=3;");
/// Airship's routes, without the slash that may end them.
const ROUTES: [&str; 2] = ["/api/events", "/api/events/general"];
/// The type that both of Airship's routes may be restricted to.
const COMPLIANCE: &str = "COMPLIANCE";

/// What the handlers share.
#[derive(Debug)]
struct Face {
    hub: Hub,
    auth: Auth,
    options: Options,
    /// The room for bodies.
    door: Arc<Door>,
    metrics: Metrics,
    refusals: Sparingly,
}

/// The routes of this face, whose requests' bodies have room by `door`. Puts its metrics into
/// `registry`.
pub fn router(
    hub: Hub,
    auth: Auth,
    options: Options,
    door: Arc<Door>,
    registry: &mut Registry,
) -> Router {
    let metrics = Metrics::register(registry);
    let face = Arc::new(Face { hub, auth, options, door, metrics, refusals: Sparingly::default() });
    // Rule 1: with and without the slash. Every method comes here, to be refused in JSON.
    Router::new()
        .route("/api/events", any(events))
        .route("/api/events/", any(events))
        .route("/api/events/general", any(general))
        .route("/api/events/general/", any(general))
        .route("/v1/projects/{project}/streams/{stream}/events", get(generic))
        .with_state(face)
}

/// Airship's answer to a request of its paths that the listener refuses before any route sees it.
/// For `server`'s application.
#[must_use]
pub fn refuse(path: &str, problem: &Problem, id: &RequestId) -> Option<Response> {
    let is_airships = behind_prefix(path).is_some() || ROUTES.contains(&without_slash(path));
    is_airships.then(|| {
        // Node's client dies of any 5xx (reference 1.6).
        let is_own = problem.status.is_server_error();
        let code = if is_own { ErrorCode::Malformed } else { problem.code };
        Refusal::new(code, problem.detail.as_str()).airship(id)
    })
}

/// The route of Airship's that `path` ends in behind a prefix: clients take a base URL as it is, and
/// some have one with a path (rule 1). For `server`'s fallback, to call the router with.
#[must_use]
pub fn behind_prefix(path: &str) -> Option<&'static str> {
    let path = without_slash(path);
    ROUTES
        .into_iter()
        .find(|route| path.strip_suffix(route).is_some_and(|prefix| !prefix.is_empty()))
}

fn without_slash(path: &str) -> &str {
    path.strip_suffix('/').unwrap_or(path)
}

async fn events(State(face): State<Arc<Face>>, request: Request) -> Response {
    airship(&face, Route::Events, request).await
}

async fn general(State(face): State<Arc<Face>>, request: Request) -> Response {
    airship(&face, Route::General, request).await
}

/// Answers a request to one of Airship's routes.
async fn airship(face: &Face, route: Route, request: Request) -> Response {
    let operation = operation(face, &request);
    let peer = peer(&request);
    let (parts, body) = request.into_parts();
    let mut body = Some(body);
    match open_airship(face, route, &parts, &mut body, peer).await {
        Ok(mut response) => {
            identify(response.headers_mut(), &operation);
            response
        }
        Err(refusal) => {
            let (status, code) = refusal.status();
            face.metrics.refused.get_or_create(&[("code", code)]).inc();
            // The metric counts all; the log shows who is refused without being flooded by one.
            if let Some(unlogged) = face.refusals.allow(face.hub.clock().now()) {
                let (status, reason) = (status.as_u16(), &refusal.detail);
                tracing::info!(status, code, reason, unlogged, "request refused");
            }
            outflow_body::discard_unread(&parts.headers, body).await;
            let mut response = refusal.airship(&operation);
            if route == Route::General && response.status() == StatusCode::UNAUTHORIZED {
                // The only scheme that it takes.
                let scheme = HeaderValue::from_static("Basic realm=\"events\"");
                response.headers_mut().insert(WWW_AUTHENTICATE, scheme);
            }
            if refusal.code == ErrorCode::ShuttingDown {
                send_elsewhere(face, &parts, &mut response).await;
            }
            response
        }
    }
}

/// A draining server: the client asks again at once, on a new connection, which behind a balancer
/// leads to a server that is ready.
async fn send_elsewhere(face: &Face, parts: &Parts, response: &mut Response) {
    tokio::time::sleep(face.options.drain_pause).await;
    // HTTP/2 knows no such header; its connections are told to go by the listener.
    if parts.version <= Version::HTTP_11 {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
}

fn operation(face: &Face, request: &Request) -> RequestId {
    request
        .extensions()
        .get::<RequestId>()
        .cloned()
        .unwrap_or_else(|| RequestId::random(face.hub.rng()))
}

/// Opens the stream, or says why not; takes `body` when it comes to reading it.
async fn open_airship(
    face: &Face,
    route: Route,
    parts: &Parts,
    body: &mut Option<Body>,
    peer: String,
) -> Result<Response, Refusal> {
    if parts.method != Method::POST {
        return Err(Refusal::method());
    }
    let (grant, project) = authenticate::airship(&parts.headers, route, &face.auth, &face.hub)?;
    if !negotiate::accepts_version_3(&parts.headers) {
        return Err(Refusal::new(ErrorCode::NotAcceptable, "only version 3 of the API is offered"));
    }
    let coding = negotiate::airship_coding(&parts.headers).ok_or_else(|| {
        Refusal::new(
            ErrorCode::NotAcceptable,
            "only the encodings gzip, zstd and identity are offered",
        )
    })?;
    let encoding = Encoding::of(&parts.headers)?;
    let (limit, mut room) =
        (face.options.max_request_bytes, face.door.growing(project.id.as_str()));
    let (headers, body) = (&parts.headers, body.take().unwrap_or_default());
    let bytes = outflow_body::read_within(headers, body, encoding, limit, &mut room).await?;
    let wanted = Wanted::read(&request::Body::read(&bytes)?, route)?;
    drop((bytes, room));
    let stream = face.hub.stream(&project.id, &project.default_stream).ok_or_else(no_data)?;
    let read = ReadRequest {
        start: begin(face, &grant, &stream, wanted.cursor.as_deref(), wanted.start).await?,
        stream,
        filter: wanted.filter,
        subset: wanted.subset,
        only_type: (route == Route::General).then_some(COMPLIANCE),
        heartbeat: face.options.heartbeat(),
        peer,
        // Rule 20: Node, the one client without a User-Agent, opens a second stream beside the
        // first when its filter changes.
        slack: !parts.headers.contains_key(USER_AGENT),
    };
    let read = open(face, &grant, read).await?;
    let manner = Manner {
        coding,
        offset_updates: wanted.offset_updates,
        until: None,
        limit: None,
        failure_pause: face.options.failure_pause,
    };
    Ok(stream_response(face, read, manner, AIRSHIP_TYPE))
}

fn peer(request: &Request) -> String {
    request
        .extensions()
        .get::<Peer>()
        .map_or_else(|| "unknown".to_owned(), |peer| peer.addr.to_string())
}

/// Where to begin: after the cursor's place if it has one.
async fn begin(
    face: &Face,
    grant: &Grant,
    stream: &Stream,
    cursor: Option<&str>,
    start: Start,
) -> Result<Start, Refusal> {
    let Some(name) = cursor else { return Ok(start) };
    let place = face.hub.cursor(stream, grant.integration.as_ref(), name).await?;
    Ok(place.map_or(start, Start::After))
}

async fn open(face: &Face, grant: &Grant, request: ReadRequest) -> Result<ReadSession, Refusal> {
    let (peer, stream, asked) = (request.peer.clone(), Arc::clone(&request.stream), request.start);
    let read = face.hub.open_read(grant, request).await?;
    let started = read.start();
    tracing::info!(
        peer, project = %stream.project, stream = %stream.name, credential = %grant.credential, ?asked,
        from = %started.from, trimmed = started.trimmed, session = read.id(), "stream opened"
    );
    if started.trimmed {
        face.metrics.trimmed.inc();
    }
    if let Some(past) = started.damaged {
        face.metrics.damaged.inc();
        tracing::warn!(session = read.id(), %past, "stream begins past damaged events");
    }
    Ok(read)
}

/// The 200 that streams `read`.
fn stream_response(
    face: &Face,
    read: ReadSession,
    manner: Manner,
    media_type: HeaderValue,
) -> Response {
    let started = read.start();
    let coding = manner.coding;
    let session =
        Session::new(face.hub.clone(), face.metrics.clone(), manner, before(started.from));
    let mut response = Response::new(session::body(read, session));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, media_type);
    headers.insert(VARY, HeaderValue::from_static("Accept-Encoding"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if coding != Coding::Identity {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static(coding.name()));
    }
    let why = match started.damaged {
        Some(_) => Some("damaged"),
        None => started.trimmed.then_some("trimmed"),
    };
    let said = why.map(|why| HeaderValue::from_str(&format!("{why}; start={}", started.from)));
    headers.extend(said.and_then(Result::ok).map(|said| (RESUME, said)));
    response
}

/// The offset after which a read that begins at `from` resumes.
fn before(from: Offset) -> Offset {
    Offset::new(from.get().saturating_sub(1))
}

/// How soon a read that does not follow is asked whether it has caught up.
const CATCH_UP: Duration = Duration::from_millis(20);

/// `GET /v1/projects/{project}/streams/{stream}/events`: any stream as plain NDJSON.
async fn generic(
    State(face): State<Arc<Face>>,
    Path((project, stream)): Path<(String, String)>,
    query: Result<Query<Vec<(String, String)>>, axum::extract::rejection::QueryRejection>,
    request: Request,
) -> Response {
    let peer = peer(&request);
    let (parts, _) = request.into_parts();
    let opened = async {
        let Query(pairs) = query.map_err(|error| Refusal::malformed(error.body_text()))?;
        let wanted = GenericWanted::read(pairs)?;
        let headers = &parts.headers;
        let grant = authenticate::bearer(headers, &face.auth).ok_or_else(|| {
            Refusal::new(ErrorCode::Unauthenticated, "a valid bearer token is needed")
        })?;
        open_generic(&face, &grant, headers, (&project, &stream), wanted, peer).await
    };
    match opened.await {
        Ok(response) => response,
        Err(refusal) => {
            face.metrics.refused.get_or_create(&[("code", refusal.status().1)]).inc();
            let mut problem = Problem::new(refusal.code, refusal.detail);
            if let Some(id) = parts.extensions.get::<RequestId>() {
                problem = problem.with("request_id", id.as_str());
            }
            problem.into_response()
        }
    }
}

async fn open_generic(
    face: &Face,
    grant: &Grant,
    headers: &HeaderMap,
    (project, name): (&str, &str),
    wanted: GenericWanted,
    peer: String,
) -> Result<Response, Refusal> {
    let missing = || Refusal::new(ErrorCode::NotFound, "no such stream");
    let project = ProjectId::new(project).map_err(|_| missing())?;
    let name = StreamName::new(name).map_err(|_| missing())?;
    // Another tenant's stream looks exactly like none.
    let theirs = grant.project.as_ref().is_none_or(|own| *own == project);
    let stream = face.hub.stream(&project, &name).filter(|_| theirs).ok_or_else(missing)?;
    if !grant.allows(Action::Read, &project) {
        return Err(Refusal::new(ErrorCode::Forbidden, "the credential does not allow reading"));
    }
    let coding = if headers.contains_key(http::header::ACCEPT_ENCODING) {
        negotiate::coding(headers).ok_or_else(|| {
            Refusal::new(ErrorCode::NotAcceptable, "no offered encoding is accepted")
        })?
    } else {
        Coding::Identity
    };
    let until = (!wanted.follow).then(|| face.hub.stats(&stream).next);
    let read = ReadRequest {
        start: begin(face, grant, &stream, wanted.cursor.as_deref(), wanted.start).await?,
        stream,
        filter: wanted.filter,
        subset: None,
        only_type: None,
        heartbeat: if wanted.follow { face.options.heartbeat() } else { CATCH_UP },
        peer,
        slack: false,
    };
    let read = open(face, grant, read).await?;
    let from = before(read.start().from);
    let manner = Manner {
        coding,
        offset_updates: false,
        until,
        limit: wanted.limit,
        failure_pause: face.options.failure_pause,
    };
    let mut response =
        stream_response(face, read, manner, HeaderValue::from_static("application/x-ndjson"));
    response
        .headers_mut()
        .extend(HeaderValue::from_str(&from.to_string()).ok().map(|from| (FROM, from)));
    Ok(response)
}

/// The query of the generic route.
struct GenericWanted {
    start: Start,
    cursor: Option<String>,
    filter: Arc<Filter>,
    follow: bool,
    limit: Option<u64>,
}

impl GenericWanted {
    fn read(pairs: Vec<(String, String)>) -> Result<Self, Refusal> {
        let mut given = BTreeMap::new();
        for (name, value) in pairs {
            if !["start", "follow", "limit", "filters", "cursor"].contains(&name.as_str()) {
                return Err(Refusal::malformed(format!(
                    "unexpected parameter `{}`",
                    request::shown(&name)
                )));
            }
            if let Some(twice) = given.insert(name.clone(), value) {
                drop(twice);
                return Err(Refusal::malformed(format!("parameter `{name}` given twice")));
            }
        }
        let start = given.remove("start").map_or(Ok(Start::Latest), |start| {
            let fault = "`start` must be earliest, latest, now, an offset or an RFC 3339 time";
            query_start(&start).ok_or_else(|| Refusal::malformed(fault))
        })?;
        let follow = match given.remove("follow").as_deref() {
            None | Some("true") => true,
            Some("false") => false,
            Some(_) => return Err(Refusal::malformed("`follow` must be true or false")),
        };
        let limit = given.remove("limit").map(|limit| limit.parse());
        let limit =
            limit.transpose().map_err(|_| Refusal::malformed("`limit` must be an integer"))?;
        let filter = given
            .remove("filters")
            .map_or(Ok(Filter::all()), |json| Filter::parse_any_types(json.as_bytes()))?;
        Ok(Self { start, cursor: given.remove("cursor"), filter: Arc::new(filter), follow, limit })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_taken_off_airships_routes_only() {
        for (path, route) in [
            ("/x/api/events", Some("/api/events")),
            ("/x/y/api/events/", Some("/api/events")),
            ("/x/api/events/general/", Some("/api/events/general")),
            ("/api/events", None),
            ("/x/api/events/other", None),
            ("/x/myapi/events", None),
            ("/", None),
        ] {
            assert_eq!(behind_prefix(path), route, "{path}");
        }
    }

    #[tokio::test]
    async fn what_no_route_saw_is_refused_in_airships_shape_on_its_paths() {
        let id = RequestId::sent(&HeaderValue::from_static("mine")).unwrap();
        let problem = Problem::new(ErrorCode::Malformed, "two hosts");
        for path in ["/api/events", "/api/events/general/", "/x/api/events"] {
            let refused = refuse(path, &problem, &id).unwrap();
            assert_eq!(refused.status(), StatusCode::BAD_REQUEST);
            let body = axum::body::to_bytes(refused.into_body(), 1_000).await.unwrap();
            let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
            let told = (&body["error"], &body["error_code"], &body["operation_id"]);
            assert_eq!(told, (&"Bad Request".into(), &40001.into(), &"mine".into()));
            assert_eq!(body["details"]["error"], "two hosts");
            // No status that a client dies of.
            let unknown = problem.clone().of_status(StatusCode::NOT_IMPLEMENTED);
            assert_eq!(refuse(path, &unknown, &id).unwrap().status(), StatusCode::BAD_REQUEST);
        }
        assert!(refuse("/v1/projects", &problem, &id).is_none());
    }
}
