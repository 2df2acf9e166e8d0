//! The accept loop, and one task per connection.
//!
//! Called by `server` once per listening address, for HTTP with [`serve`] and for what else faces
//! speak with [`serve_protocol`]. Errors of `accept` never end the loop: running out of descriptors
//! is answered by waiting.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use http::header::CONNECTION;
use http::{HeaderValue, Method, Request, StatusCode, Version};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use socket2::{Domain, SockRef, Socket, TcpKeepalive, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;

use crate::ambiguity::{self, Fault, Refusal};
use crate::bad_head::{self, Told, without_body};
use crate::deadline::Deadline;
use crate::guard::{Guard, Requests};
use crate::link::Link;
use crate::window::{self, Streams};
use crate::{App, Counters, Drain, HttpLimits, Phase, SocketLimits, Tls};

/// Who is at the other end; in the extensions of every request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer {
    /// The address of the peer's socket.
    pub addr: SocketAddr,
    /// Whether the connection is encrypted.
    pub tls: bool,
}

/// How many connections wait in the kernel until they are accepted.
const BACKLOG: i32 = 4096;

/// Opens a listening socket on `addr`; port 0 takes any free one. The address is reusable at once
/// after a restart.
///
/// # Errors
/// Those of the operating system: the address is taken, not local, or not permitted.
pub fn bind(addr: SocketAddr) -> io::Result<TcpListener> {
    let socket =
        Socket::new(Domain::for_address(addr), Type::STREAM, Some(socket2::Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&addr.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// What is spoken on the connections of a listener.
pub trait Protocol: Send + Sync + 'static {
    /// Speaks over `stream`, whose options are set and whose handshake is done, until either side
    /// is done. It follows the drain by itself.
    fn speak<S>(&self, stream: S, peer: Peer) -> impl Future<Output = ()> + Send
    where
        S: Link;
}

/// What the connections of one listener share.
struct Shared<P> {
    protocol: P,
    limits: SocketLimits,
    tls: Option<Tls>,
    drain: Drain,
    counters: Arc<Counters>,
}

/// HTTP, as [`Protocol`].
struct Http {
    app: App,
    http: auto::Builder<Streams>,
    limits: Arc<HttpLimits>,
    drain: Drain,
    counters: Arc<Counters>,
}

/// Serves `app` on `listener` until `drain` reaches [`Phase::Stopping`] and the connections have
/// finished, or [`Phase::Now`] has cut them.
pub async fn serve(
    listener: TcpListener,
    tls: Option<Tls>,
    app: impl Into<App>,
    limits: HttpLimits,
    drain: Drain,
    counters: Arc<Counters>,
) {
    // Not generic, so that all of hyper is compiled once, in this crate.
    serve_http(listener, tls, app.into(), limits, drain, counters).await;
}

async fn serve_http(
    listener: TcpListener,
    tls: Option<Tls>,
    app: App,
    limits: HttpLimits,
    drain: Drain,
    counters: Arc<Counters>,
) {
    let streams = Streams::new(&limits, Arc::clone(&counters));
    let (http, socket) = (http_builder(&limits, streams), limits.socket());
    let (limits, drains, counts) = (Arc::new(limits), drain.clone(), Arc::clone(&counters));
    let protocol = Http { app, http, limits, drain: drains, counters: counts };
    serve_protocol(listener, tls, protocol, socket, drain, counters).await;
}

/// Speaks `protocol` on `listener`'s connections until `drain` reaches [`Phase::Stopping`] and they
/// have ended.
pub async fn serve_protocol<P: Protocol>(
    listener: TcpListener,
    tls: Option<Tls>,
    protocol: P,
    limits: SocketLimits,
    drain: Drain,
    counters: Arc<Counters>,
) {
    let slots = Arc::new(Semaphore::new(limits.max_connections.min(Semaphore::MAX_PERMITS)));
    let shared = Arc::new(Shared { protocol, limits, tls, drain, counters });
    let connections = TaskTracker::new();
    let stopping = shared.drain.reached(Phase::Stopping);
    tokio::pin!(stopping);
    loop {
        let next = async {
            let slot = Arc::clone(&slots).acquire_owned().await;
            (slot, accept(&listener, &shared.counters).await)
        };
        let (slot, (stream, addr)) = tokio::select! {
            () = &mut stopping => break,
            next = next => next,
        };
        let shared = Arc::clone(&shared);
        connections.spawn(async move {
            shared.counters.open.up();
            connection(&shared, stream, addr).await;
            shared.counters.open.down();
            drop(slot);
        });
    }
    drop(listener);
    connections.close();
    connections.wait().await;
}

/// Takes the next connection, however often `accept` fails meanwhile.
async fn accept(listener: &TcpListener, counters: &Counters) -> (TcpStream, SocketAddr) {
    let mut pause = Duration::from_millis(5);
    loop {
        match listener.accept().await {
            Ok(accepted) => {
                counters.accepted.up();
                return accepted;
            }
            // The peer gave up while it waited: nothing of ours is short.
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset
                ) => {}
            Err(error) => {
                counters.accept_errors.up();
                tracing::warn!(%error, "accepting a connection failed, trying again in {} ms", pause.as_millis());
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(Duration::from_secs(1));
            }
        }
    }
}

fn http_builder(limits: &HttpLimits, streams: Streams) -> auto::Builder<Streams> {
    let mut http = auto::Builder::new(streams);
    // hyper's own head timeout runs between requests as well, so it serves as the idle timeout;
    // the head's is the guard's.
    http.http1()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.idle_timeout)
        .max_buf_size(limits.max_head_bytes.max(8192));
    if limits.max_headers != 100 {
        // 100 is hyper's own default, for which it needs no allocation.
        http.http1().max_headers(limits.max_headers);
    }
    http.http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.h2_max_streams)
        // So that what is a little too large is answered by us, with a document.
        .max_header_list_size(u32::try_from(max_fields(limits) * 2).unwrap_or(u32::MAX))
        .initial_stream_window_size(256 << 10)
        .initial_connection_window_size(1 << 20)
        .max_send_buf_size(limits.max_head_bytes)
        .keep_alive_interval(limits.h2_ping_interval)
        .keep_alive_timeout(limits.h2_ping_timeout);
    http
}

/// How many bytes the header fields of an HTTP/2 request may have.
fn max_fields(limits: &HttpLimits) -> usize {
    limits.max_head_bytes.min(16 << 10)
}

/// Serves one connection to its end.
async fn connection<P: Protocol>(shared: &Shared<P>, stream: TcpStream, addr: SocketAddr) {
    if let Err(error) = set_options(&stream, &shared.limits) {
        // The peer is already gone; there is nobody to serve.
        tracing::debug!(%addr, %error, "socket options were refused");
        return;
    }
    match &shared.tls {
        None => shared.protocol.speak(stream, Peer { addr, tls: false }).await,
        // In a box, because it is three times as large: a plain connection shall not pay for it.
        Some(tls) => Box::pin(secure(shared, tls, stream, addr)).await,
    }
}

/// Does the handshake and serves the connection over TLS.
async fn secure<P: Protocol>(shared: &Shared<P>, tls: &Tls, stream: TcpStream, addr: SocketAddr) {
    let limit = shared.limits.handshake_timeout;
    let handshake = tokio::time::timeout(limit, tls.acceptor().accept(stream));
    let failed = tokio::select! {
        () = shared.drain.reached(Phase::Now) => return,
        outcome = handshake => match outcome {
            Ok(Ok(stream)) => return shared.protocol.speak(stream, Peer { addr, tls: true }).await,
            Ok(Err(error)) => error.to_string(),
            Err(_) => "it took too long".to_owned(),
        },
    };
    shared.counters.tls_failures.up();
    tracing::debug!(%addr, error = failed, "TLS handshake failed");
}

fn set_options(stream: &TcpStream, limits: &SocketLimits) -> io::Result<()> {
    // Heartbeats and small blocks must not wait for Nagle's algorithm.
    stream.set_nodelay(true)?;
    let socket = SockRef::from(stream);
    let keepalive = TcpKeepalive::new()
        .with_time(Duration::from_secs(15))
        .with_interval(Duration::from_secs(5));
    socket.set_tcp_keepalive(&keepalive)?;
    stream.set_user_timeout(limits.user_timeout)
}

/// The answer to a request that the application may not see.
fn refusal(
    app: &App,
    request: &Request<Body>,
    fault: Option<Fault>,
    max_fields: usize,
) -> Option<Response> {
    let is_h2 = request.version() == Version::HTTP_2;
    let too_large = || is_h2.then(|| bad_head::too_large(request.headers(), max_fields)).flatten();
    let too_large = || too_large().map(|problem| Refusal { problem, is_last: false });
    let Refusal { problem, is_last } = ambiguity::refusal(request, fault).or_else(too_large)?;
    let mut refusal = app.refuse(request, problem);
    if is_last {
        refusal.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    // A router leaves the body out by itself.
    Some(if request.method() == Method::HEAD { without_body(refusal) } else { refusal })
}

/// The answer of the application, or that which a request gets that it may not see.
async fn answer(
    app: &App,
    request: Request<Body>,
    fault: Option<Fault>,
    max_fields: usize,
) -> Response {
    if let Some(refusal) = refusal(app, &request, fault, max_fields) {
        return refusal;
    }
    app.answer(request).await
}

impl Protocol for Http {
    async fn speak<S>(&self, stream: S, peer: Peer)
    where
        S: Link,
    {
        let requests = Arc::new(Requests::default());
        let guard = Guard::new(
            stream,
            Arc::clone(&self.limits),
            Arc::clone(&self.counters),
            Arc::clone(&requests),
        );
        let (body_timeout, max_fields) = (self.limits.body_timeout, max_fields(&self.limits));
        let app = self.app.clone();
        let service = service_fn(move |request: Request<Incoming>| {
            requests.begun(request.version());
            let fault = requests.fault();
            let requests = Arc::clone(&requests);
            let within = |body| Body::new(Deadline::new(body, body_timeout, Arc::clone(&requests)));
            let mut request = request.map(within);
            request.extensions_mut().insert(peer);
            let app = app.clone();
            // In a box, because hyper keeps room for this future as long as the connection lives: an
            // idle stream shall not pay for the request that began it.
            Box::pin(async move {
                let answer = answer(&app, request, fault, max_fields).await;
                if answer.status() == StatusCode::SWITCHING_PROTOCOLS {
                    requests.upgraded();
                }
                Ok::<_, Infallible>(answer.map(|body| Told::new(window::watched(body), requests)))
            })
        });
        let connection = self.http.serve_connection_with_upgrades(TokioIo::new(guard), service);
        tokio::pin!(connection);
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = self.drain.reached(Phase::Stopping) => {
                connection.as_mut().graceful_shutdown();
                tokio::select! {
                    ended = connection.as_mut() => ended,
                    () = self.drain.reached(Phase::Now) => Ok(()),
                }
            }
        };
        if let Err(error) = ended {
            tracing::debug!(addr = %peer.addr, error, "connection ended");
        }
    }
}
