//! Connections: TCP and TLS on the face's own port. The only part of this face that knows a socket.
//!
//! Called by `server`: [`OpenWire::new`] once, and [`OpenWire`] as [`Protocol`] for the listener.
//! The broker session's [`Connection`] drives a session.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use outflow_auth::Auth;
use outflow_broker::{Connection, Pool, Socket, Terms};
use outflow_face::{Drain, Peer, Protocol};
use outflow_hub::Hub;
use prometheus_client::registry::Registry;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::config::Options;
use crate::metrics::Metrics;
use crate::session::{Face, Live, Outbox, Session};
use crate::translate::bodies::Bodies;

/// The face. Clones are the same.
#[derive(Debug, Clone)]
pub struct OpenWire(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    face: Arc<Face>,
    terms: Arc<Terms>,
    next: AtomicU64,
}

impl OpenWire {
    /// Makes the face. Puts its metrics into `registry`; its connections end as `drain` says.
    pub fn new(
        hub: Hub,
        auth: Auth,
        options: Options,
        drain: Drain,
        registry: &mut Registry,
    ) -> Self {
        let metrics = Metrics::register(registry);
        // Ids of the server's own messages must not come back after a restart.
        let broker =
            format!("ID:outflow-{:x}-{:x}", hub.clock().now().millis(), hub.rng().next_u64());
        let live = Live::default();
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
        let bodies = Bodies::new(metrics.built.clone());
        let face = Arc::new(Face { hub, auth, options, metrics, pool, broker, live, bodies });
        Self(Arc::new(Inner { face, terms, next: AtomicU64::new(1) }))
    }
}

impl Protocol for OpenWire {
    async fn speak<S>(&self, stream: S, peer: Peer)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let inner = &self.0;
        let transport = if peer.tls { "tls" } else { "tcp" };
        let number = inner.next.fetch_add(1, Ordering::Relaxed);
        let session = Session::new(Arc::clone(&inner.face), number);
        tracing::debug!(session = number, peer = %peer.addr, transport, "connection opened");
        let open = inner.face.metrics.open.get_or_create_owned(&[("transport", transport)]);
        open.inc();
        let out = Outbox::new(inner.face.options.max_frame_bytes as u64);
        Connection::new(Socket::new(stream), session, out, Arc::clone(&inner.terms)).run().await;
        open.dec();
    }
}
