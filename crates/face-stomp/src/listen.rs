//! Connections: TCP and TLS on the face's own port, WebSocket on the HTTP port. With its folder the
//! only part of this face that knows a socket or axum.
//!
//! Called by `server`: [`Stomp::new`] once, [`Stomp`] as [`Protocol`] for the listener, and
//! [`Stomp::router`] for the HTTP port. The broker session's [`Connection`] drives a session;
//! [`link`] is the way bytes come and go over a WebSocket.

mod link;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::header::{ORIGIN, SEC_WEBSOCKET_PROTOCOL};
use http::{HeaderMap, HeaderValue};
use hyper_util::rt::TokioIo;
use outflow_auth::Auth;
use outflow_broker::{Connection, Link, Pool, Session as _, Socket, Terms};
use outflow_face::{Drain, Peer, Phase, Problem, Protocol};
use outflow_hub::Hub;
use outflow_model::ErrorCode;
use prometheus_client::registry::Registry;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Semaphore;
use tokio_tungstenite::tungstenite::handshake::server::create_response_with_body;
use tokio_util::task::TaskTracker;

use crate::config::Options;
use crate::metrics::Metrics;
use crate::session::{Face, Outbox, Session};
use link::Sockets;

/// The subprotocols of STOMP over WebSocket, the best first (reference `activemq.md` b3). Which
/// version is spoken is CONNECT's to say.
const SUBPROTOCOLS: [&str; 4] = ["v12.stomp", "v11.stomp", "v10.stomp", "stomp"];

/// Whether a client that begins with this byte speaks STOMP: a command's first letter, or the end of
/// line that is a sign of life. No frame of OpenWire does, with its size before it or without.
#[must_use]
pub const fn begins(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || matches!(byte, b'\r' | b'\n')
}

/// The face. Clones are the same.
#[derive(Debug, Clone)]
pub struct Stomp(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    face: Arc<Face>,
    terms: Arc<Terms>,
    /// What connections are called: this, and a number.
    prefix: String,
    next: AtomicU64,
    /// WebSockets are upgraded away from the HTTP listener, which no longer waits for them.
    web_sockets: TaskTracker,
    slots: Arc<Semaphore>,
}

impl Stomp {
    /// Makes the face. Puts its metrics into `registry`; its connections end as `drain` says.
    pub fn new(
        hub: Hub,
        auth: Auth,
        options: Options,
        drain: Drain,
        registry: &mut Registry,
    ) -> Self {
        let metrics = Metrics::register(registry);
        let slots = Arc::new(Semaphore::new(options.max_web_sockets.min(Semaphore::MAX_PERMITS)));
        // Names of temporary destinations must not come back after a restart.
        let prefix = format!("ID-{:x}-{:x}", hub.clock().now().millis(), hub.rng().next_u64());
        let pool = Pool::new(options.limits.held_bytes, metrics.held.clone());
        let terms = Arc::new(Terms {
            hub: hub.clone(),
            drain,
            limits: options.limits.clone(),
            pool: Arc::clone(&pool),
            silent: metrics.silent.clone(),
            stalled: metrics.stalled.clone(),
            unfinished: metrics.unfinished.clone(),
        });
        let face = Arc::new(Face { hub, auth, options, metrics, pool });
        let web_sockets = TaskTracker::new();
        Self(Arc::new(Inner { face, terms, prefix, next: AtomicU64::new(1), web_sockets, slots }))
    }

    /// STOMP over WebSocket, at `/stomp`, `/ws` and `/`.
    pub fn router(&self) -> Router {
        Router::new()
            .route("/stomp", get(upgrade))
            .route("/ws", get(upgrade))
            .route("/", get(upgrade))
            .with_state(self.clone())
    }

    /// Waits until all WebSocket connections have ended. They do so by themselves at the drain.
    pub async fn ended(&self) {
        self.0.web_sockets.close();
        self.0.web_sockets.wait().await;
    }

    /// Speaks STOMP over `link` until either side is done.
    async fn converse(
        &self,
        link: impl Link<Outbox>,
        out: Outbox,
        transport: &'static str,
        peer: &str,
    ) {
        let inner = &self.0;
        let number = inner.next.fetch_add(1, Ordering::Relaxed);
        let session = Session::new(Arc::clone(&inner.face), format!("{}-{number}", inner.prefix));
        tracing::debug!(session = %session.name(), peer, transport, "connection opened");
        let open = inner.face.metrics.open.get_or_create_owned(&[("transport", transport)]);
        open.inc();
        Connection::new(link, session, out, Arc::clone(&inner.terms)).run().await;
        open.dec();
    }
}

impl Protocol for Stomp {
    async fn speak<S>(&self, stream: S, peer: Peer)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let transport = if peer.tls { "tls" } else { "tcp" };
        let out = Outbox::new(false);
        self.converse(Socket::new(stream), out, transport, &peer.addr.to_string()).await;
    }
}

/// Whether a page of this origin may connect; a client that names none is no page.
fn is_allowed(headers: &HeaderMap, origins: &[String]) -> bool {
    let Some(origin) = headers.get(ORIGIN) else { return true };
    origins.is_empty() || origins.iter().any(|allowed| origin.as_bytes() == allowed.as_bytes())
}

/// The best of the subprotocols that a client offers, if it offers any that is known.
fn subprotocol(headers: &HeaderMap) -> Option<HeaderValue> {
    let offers = headers.get_all(SEC_WEBSOCKET_PROTOCOL);
    let offered = |known: &str| {
        let mut offers = offers.iter().filter_map(|offer| offer.to_str().ok());
        offers.any(|offer| offer.split(',').any(|one| one.trim() == known))
    };
    let best = SUBPROTOCOLS.into_iter().find(|known| offered(known));
    best.map(HeaderValue::from_static)
}

/// Turns an HTTP connection into a WebSocket that speaks STOMP.
async fn upgrade(State(stomp): State<Stomp>, mut request: Request) -> Response {
    let problem = |code, detail: &str| Problem::new(code, detail).into_response();
    let Ok(mut response) = create_response_with_body(&request, Body::empty) else {
        return problem(
            ErrorCode::NotFound,
            "there is nothing here but STOMP over WebSocket: connect with the subprotocol v12.stomp",
        );
    };
    if stomp.0.terms.drain.phase() != Phase::Serving {
        return problem(ErrorCode::ShuttingDown, "the server is shutting down; connect again");
    }
    let options = &stomp.0.face.options;
    if !is_allowed(request.headers(), &options.origins) {
        return problem(ErrorCode::Forbidden, "pages of this origin may not connect");
    }
    let Ok(slot) = Arc::clone(&stomp.0.slots).try_acquire_owned() else {
        return problem(ErrorCode::Unavailable, "there are as many connections as there may be");
    };
    if let Some(protocol) = subprotocol(request.headers()) {
        response.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, protocol);
    }
    let peer = request.extensions().get::<Peer>().map(|peer| peer.addr.to_string());
    let upgrading = hyper::upgrade::on(&mut request);
    let tracker = stomp.0.web_sockets.clone();
    tracker.spawn(async move {
        // One that is gone before it is a WebSocket has nothing to tell.
        let Ok(upgraded) = upgrading.await else { return };
        let peer = peer.as_deref().unwrap_or("unknown");
        // Each frame is a message of its own (reference b3).
        let out = Outbox::new(true);
        stomp.converse(Sockets::new(TokioIo::new(upgraded)), out, "websocket", peer).await;
        drop(slot);
    });
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_first_byte_tells_stomp_from_openwire() {
        for frame in ["CONNECT\n", "STOMP\n", "connect\n", "\n", "\r\n"] {
            assert!(begins(frame.as_bytes()[0]), "{frame:?}");
        }
        // A size of four bytes, and without one the code of WireFormatInfo.
        assert!(!begins(0) && !begins(1));
    }
}
