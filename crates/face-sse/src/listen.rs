//! The routes. The only file of this face that knows axum's router.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use bytes::Bytes;
use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_MAX_AGE, CACHE_CONTROL, CONNECTION, CONTENT_TYPE,
};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Version};
use outflow_auth::Auth;
use outflow_face::{Drain, Peer, RequestId, problem};
use outflow_hub::{Hub, Loads, ReadError, ReadRequest, Start, Started, Stream};
use outflow_model::{Action, ErrorCode, Filter, Grant, Offset, ProjectId, StreamName};
use prometheus_client::registry::Registry;

use crate::authenticate;
use crate::config::{Expired, Options};
use crate::error::Refusal;
use crate::held;
use crate::metrics::Metrics;
use crate::session::{self, Manner, Session};
use crate::translate::{self, Place, Wanted};
use crate::wire::{self, Form};

/// nginx and its like would hold events back otherwise.
const ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");
/// What an `EventSource` sends when it connects again.
const LAST_EVENT_ID: &str = "last-event-id";
/// Without it `sseclient` reads everything as Latin-1 (reference 1.6).
const EVENT_STREAM: HeaderValue = HeaderValue::from_static("text/event-stream; charset=utf-8");

/// What the handlers share.
#[derive(Debug)]
struct Face {
    hub: Hub,
    auth: Auth,
    options: Options,
    drain: Drain,
    metrics: Metrics,
}

/// What a request asks to read.
enum Feed {
    Changes,
    Load,
    Stream(String),
}

/// The routes of this face. Puts its metrics into `registry`. While `drain` is under way, who asks
/// for a feed is held.
pub fn router(
    hub: Hub,
    auth: Auth,
    options: Options,
    drain: Drain,
    registry: &mut Registry,
) -> Router {
    let metrics = Metrics::register(registry);
    let face = Arc::new(Face { hub, auth, options, drain, metrics });
    Router::new()
        .route("/v1/projects/{project}/feed/changes", get(changes).options(preflight))
        .route("/v1/projects/{project}/feed/load", get(load).options(preflight))
        .route("/v1/projects/{project}/streams/{stream}/sse", get(stream).options(preflight))
        .with_state(face)
}

type Pairs = Result<Query<Vec<(String, String)>>, QueryRejection>;

async fn changes(
    State(face): State<Arc<Face>>,
    Path(project): Path<String>,
    query: Pairs,
    request: Request,
) -> Response {
    answer(&face, &project, Feed::Changes, query, request).await
}

async fn load(
    State(face): State<Arc<Face>>,
    Path(project): Path<String>,
    query: Pairs,
    request: Request,
) -> Response {
    answer(&face, &project, Feed::Load, query, request).await
}

async fn stream(
    State(face): State<Arc<Face>>,
    Path((project, stream)): Path<(String, String)>,
    query: Pairs,
    request: Request,
) -> Response {
    answer(&face, &project, Feed::Stream(stream), query, request).await
}

/// A browser asks before it sends a token or a place in a header. Any origin may: what is readable
/// is decided by the token alone, and a browser sends none by itself.
async fn preflight() -> Response {
    let mut response = StatusCode::NO_CONTENT.into_response();
    let headers = response.headers_mut();
    for (name, value) in [
        (ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
        (ACCESS_CONTROL_ALLOW_METHODS, "GET"),
        (ACCESS_CONTROL_ALLOW_HEADERS, "authorization, last-event-id, cache-control"),
        (ACCESS_CONTROL_MAX_AGE, "86400"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

async fn answer(
    face: &Face,
    project: &str,
    feed: Feed,
    query: Pairs,
    request: Request,
) -> Response {
    let peer = request
        .extensions()
        .get::<Peer>()
        .map_or_else(|| "unknown".to_owned(), |peer| peer.addr.to_string());
    let (parts, _) = request.into_parts();
    let mut response = match open(face, project, feed, query, &parts, peer).await {
        Ok(response) => response,
        Err(refusal) => {
            face.metrics.refused.get_or_create(&[("code", problem::name(refusal.code))]).inc();
            tracing::info!(
                code = problem::name(refusal.code),
                reason = refusal.detail,
                "request refused"
            );
            refusal.answer(parts.extensions.get::<RequestId>())
        }
    };
    response.headers_mut().insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    response
}

async fn open(
    face: &Face,
    project: &str,
    feed: Feed,
    query: Pairs,
    parts: &Parts,
    peer: String,
) -> Result<Response, Refusal> {
    let Query(pairs) = query.map_err(|error| Refusal::malformed(error.body_text()))?;
    let now = face.hub.clock().now();
    let wanted = Wanted::read(&pairs, now)?;
    let (headers, in_url) = (&parts.headers, wanted.token.as_deref());
    let grant = authenticate::grant(headers, in_url, &face.auth, now, face.options.url_token)?;
    let project = ProjectId::new(project).map_err(|_| Refusal::missing("project"))?;
    // Another tenant's project looks exactly like none.
    let is_operator = grant.actions.contains(&Action::Operate);
    if face.hub.project(&project).is_none()
        || (!is_operator && grant.project.as_ref() != Some(&project))
    {
        return Err(Refusal::missing("project"));
    }
    let Found { stream, form, word, load } = find(face, &grant, &project, feed, &wanted)?;
    let place = place(headers, wanted.place);
    let newest = load.as_ref().map(|(_, newest)| *newest);
    let (start, opening) = begin(face, &stream, newest, place)?;
    let request = request(face, &stream, start, peer);
    let read = match &load {
        Some((of, _)) => face.hub.open_load(&grant, of, request).await,
        None => face.hub.open_read(&grant, request).await,
    };
    let read = match read {
        Err(ReadError::ShuttingDown) => {
            face.metrics.held.inc();
            tracing::info!(
                project = %stream.project, stream = %stream.name, credential = %grant.credential,
                feed = word, "held until the server is gone"
            );
            let body = held::body(face.drain.clone(), face.options.heartbeat);
            return Ok(event_stream(body, parts.version));
        }
        read => read?,
    };
    let started = read.start();
    let missed = missed(face, &stream, &form, start, started).await?;
    let opening = began(face, started, missed, opening)?;
    tracing::info!(
        project = %stream.project, stream = %stream.name, credential = %grant.credential,
        feed = word, from = %read.start().from, session = read.id(), "stream opened"
    );
    let manner = Manner {
        feed: word,
        form,
        limit: wanted.limit,
        retry: face.options.retry,
        failure_pause: face.options.failure_pause,
        opening,
    };
    let session = Session::new(face.hub.clone(), stream, face.metrics.clone(), manner);
    Ok(event_stream(session::body(read, session), parts.version))
}

fn event_stream(body: Body, version: Version) -> Response {
    let mut response = Response::new(body);
    if version <= Version::HTTP_11 {
        unframed(&mut response);
    }
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, EVENT_STREAM);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store, no-transform"));
    headers.insert(ACCEL_BUFFERING, HeaderValue::from_static("no"));
    response
}

/// Ends the body with the connection instead of framing it in chunks. PyPI's `sseclient` reads the
/// socket past `http.client`'s back: it takes the lines around chunks for text, breaks an event that
/// goes over two of them, and makes an empty event of the last one. An event stream loses nothing by
/// it, as its blocks say themselves where they end. An answer may be of HTTP/1.0 where clients
/// handle a later version wrongly (RFC 9110 2.5), and hyper does not frame its body.
fn unframed(response: &mut Response) {
    *response.version_mut() = Version::HTTP_10;
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
}

/// What a request means.
struct Found {
    stream: Arc<Stream>,
    /// How it is rendered.
    form: Form,
    /// What it is called in logs.
    word: &'static str,
    /// Of a load: of which keyed stream, and where its newest begins.
    load: Option<(Arc<Stream>, Offset)>,
}

fn find(
    face: &Face,
    grant: &Grant,
    project: &ProjectId,
    feed: Feed,
    wanted: &Wanted,
) -> Result<Found, Refusal> {
    let named = |name: &str| {
        let name = StreamName::new(name).map_err(|_| Refusal::missing("stream"))?;
        face.hub.stream(project, &name).ok_or_else(|| Refusal::missing("stream"))
    };
    match feed {
        Feed::Stream(name) => {
            let (stream, form) = (named(&name)?, Form::Lines { named: wanted.named });
            Ok(Found { stream, form, word: "stream", load: None })
        }
        Feed::Load => {
            // The loads of all streams are in one, so that who reaches that reaches only those of the keyed
            // streams that it may read by themselves.
            let of = match &wanted.stream {
                Some(name) => keyed(face, grant, project)
                    .into_iter()
                    .find(|stream| stream.name.as_str() == name)
                    .ok_or_else(|| Refusal::missing("keyed stream"))?,
                None => only_keyed(face, grant, project)?,
            };
            let stream = face.hub.load_stream(project);
            let none = || Refusal::new(ErrorCode::NotFound, "nothing was extracted here yet");
            let stream = stream.ok_or_else(none)?;
            let Loads { begins, newest } = face.hub.loads(&stream, &of).map_err(Refusal::from)?;
            let form = Form::Loads { of: of.name.clone(), begins };
            Ok(Found { stream, form, word: "load", load: Some((of, newest)) })
        }
        Feed::Changes => {
            let stream = match &wanted.stream {
                Some(name) => named(name)?,
                None => only_keyed(face, grant, project)?,
            };
            if stream.settings.entities.is_none() {
                return Err(Refusal::missing("keyed stream"));
            }
            let form = Form::Changes(stream.settings.feed_types.clone());
            Ok(Found { stream, form, word: "changes", load: None })
        }
    }
}

/// The keyed streams of a project that the caller reaches.
fn keyed(face: &Face, grant: &Grant, project: &ProjectId) -> Vec<Arc<Stream>> {
    let mut keyed = face.hub.streams(project);
    keyed.retain(|stream| {
        stream.settings.entities.is_some() && face.hub.reaches(grant, Action::Read, stream)
    });
    keyed
}

/// The only one.
fn only_keyed(face: &Face, grant: &Grant, project: &ProjectId) -> Result<Arc<Stream>, Refusal> {
    let mut keyed = keyed(face, grant, project);
    match (keyed.pop(), keyed.is_empty()) {
        (Some(one), true) => Ok(one),
        (None, _) => Err(Refusal::missing("keyed stream")),
        (Some(_), false) => Err(several()),
    }
}

fn several() -> Refusal {
    Refusal::malformed("the project has several keyed streams; say which by `stream`")
}

/// Where to begin: the header wins, as a browser connects again to the very same URL.
fn place(headers: &HeaderMap, place: Place) -> Place {
    // What is no text is an id that was never given, and not none.
    let in_header = headers.get(LAST_EVENT_ID).map(|id| String::from_utf8_lossy(id.as_bytes()));
    let in_header = in_header.as_deref().map(str::trim).filter(|id| !id.is_empty());
    in_header.map_or(place, |id| Place::AfterId(id.to_owned()))
}

/// The start of a read, and what is to be said about it.
fn begin(
    face: &Face,
    stream: &Stream,
    newest_load: Option<Offset>,
    place: Place,
) -> Result<(Start, Option<Bytes>), Refusal> {
    let oldest = || Some(wire::comment("began at the oldest event that is kept"));
    Ok(match place {
        Place::Earliest => (Start::Earliest, None),
        Place::Latest => (Start::Latest, None),
        Place::Unsaid if let Some(newest) = newest_load => {
            // Its beginning may have been retired: then with the oldest that is left.
            let first = newest.max(face.hub.stats(stream).start);
            (Start::After(Offset::new(first.get().saturating_sub(1))), None)
        }
        Place::Unsaid => (Start::Latest, None),
        Place::At(time) => {
            let age = i64::try_from(stream.settings.retention.age_ms).unwrap_or(i64::MAX);
            let is_older = face.hub.clock().now().millis().saturating_sub(age) > time.millis();
            (Start::At(time), is_older.then(oldest).flatten())
        }
        Place::AfterId(id) => {
            // What was never given is as unknown as what is none: events that a relaxed stream
            // lost in a crash, or another server's.
            let next = face.hub.stats(stream).next;
            let given = translate::after_id(&id, stream.id).filter(|after| *after < next);
            match (given, face.options.expired) {
                (Some(after), _) => (Start::After(after), None),
                (None, Expired::Oldest) => (Start::Earliest, oldest()),
                (None, Expired::Gone) => return Err(Refusal::expired()),
            }
        }
    })
}

/// Whether the feed may have sent events since the place asked for that are no longer kept: who
/// listens to a feed that is silent for long has an old place, and has missed nothing.
async fn missed(
    face: &Face,
    stream: &Stream,
    form: &Form,
    start: Start,
    started: Started,
) -> Result<bool, Refusal> {
    let (Start::After(after), true) = (start, started.trimmed) else { return Ok(false) };
    match form {
        Form::Changes(_) => Ok(face.hub.changes_missed(stream, after, started.from).await?),
        Form::Loads { .. } => Ok(face.hub.loads_missed(&stream.project, after, started.from)),
        Form::Lines { .. } => Ok(true),
    }
}

/// What is to be said about where a read began.
fn began(
    face: &Face,
    started: Started,
    missed: bool,
    opening: Option<Bytes>,
) -> Result<Option<Bytes>, Refusal> {
    if started.damaged.is_some() {
        return Ok(Some(wire::comment("damaged events were passed over")));
    }
    match (missed, face.options.expired) {
        (false, _) => Ok(opening),
        (true, Expired::Gone) => Err(Refusal::expired()),
        (true, Expired::Oldest) => {
            Ok(Some(wire::comment("began at the oldest event that is kept")))
        }
    }
}

fn request(face: &Face, stream: &Arc<Stream>, start: Start, peer: String) -> ReadRequest {
    ReadRequest {
        stream: stream.clone(),
        start,
        filter: Arc::new(Filter::all()),
        subset: None,
        only_type: None,
        heartbeat: face.options.heartbeat,
        peer,
        slack: false,
    }
}
