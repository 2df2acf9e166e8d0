//! An application as a listener serves it: a router, and an id and a tracing span for every
//! request.
//!
//! Made by `server`, called by [`crate::serve`] once per request. It stands around the router
//! instead of being a layer inside it, because a layer costs each request two boxes and a clone.
//!
//! Invariant: no path or query is logged, for either may hold a secret that someone put there by
//! mistake; at level debug the span names the route that was matched.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{MatchedPath, Request};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, Method};
use outflow_model::Rng;
use tower::Service;
use tracing::field::Empty;
use tracing::{Instrument, Level, Span};

use crate::Problem;
use crate::request_id::{HEADER, RequestId};

/// How an interface of its own words answers a request that no route saw, if the path is its.
pub type Refuse = fn(path: &str, problem: &Problem, id: &RequestId) -> Option<Response>;

/// See the module. Cheap to clone.
#[derive(Debug, Clone)]
pub struct App {
    router: Router,
    naming: Option<Arc<Naming>>,
}

/// How requests get their ids and spans.
#[derive(Debug)]
struct Naming {
    rng: Arc<dyn Rng>,
    /// The same router, which also says in the span which route was matched.
    traced: Router,
    is_frequent: fn(&Method, &str) -> bool,
    refuse: Refuse,
}

impl Naming {
    fn id(&self, headers: &HeaderMap) -> RequestId {
        let sent = headers.get(HEADER).and_then(RequestId::sent);
        sent.unwrap_or_else(|| RequestId::random(&*self.rng))
    }
}

impl From<Router> for App {
    /// Without ids.
    fn from(router: Router) -> Self {
        Self { router, naming: None }
    }
}

impl App {
    /// Every request gets an id, every answer the header `X-Request-Id`, and what is logged
    /// between the two is in a span named `request`.
    ///
    /// `is_frequent` says by method and path which requests are too many for a span each: theirs
    /// is made at level debug only, and what they log at other levels must name the id itself.
    /// `refuse` puts what the listener refuses by itself into the words of the path's interface.
    #[must_use]
    pub fn identified(
        router: Router,
        rng: Arc<dyn Rng>,
        is_frequent: fn(&Method, &str) -> bool,
        refuse: Refuse,
    ) -> Self {
        let traced = router.clone().layer(from_fn(name_route));
        Self { router, naming: Some(Arc::new(Naming { rng, traced, is_frequent, refuse })) }
    }

    /// Answers one request.
    pub async fn answer(&self, mut request: Request<Body>) -> Response {
        let Some(naming) = &self.naming else { return call(&self.router, request).await };
        let id = naming.id(request.headers());
        request.extensions_mut().insert(id.clone());
        let method = request.method();
        let span = if (naming.is_frequent)(method, request.uri().path()) {
            tracing::debug_span!("request", %id, %method, route = Empty)
        } else {
            tracing::info_span!("request", %id, %method, route = Empty)
        };
        let is_traced = tracing::enabled!(Level::DEBUG);
        let router = if is_traced { &naming.traced } else { &self.router };
        let mut response = if span.is_disabled() {
            call(router, request).await
        } else {
            async {
                let response = call(router, request).await;
                tracing::debug!(status = response.status().as_u16(), "answered");
                response
            }
            .instrument(span)
            .await
        };
        response.headers_mut().insert(HEADER, id.header());
        response
    }

    /// The answer to a request that no route is to see.
    #[cold]
    pub(crate) fn refuse(&self, request: &Request<Body>, problem: Problem) -> Response {
        let Some(naming) = &self.naming else { return problem.into_response() };
        let id = naming.id(request.headers());
        let own = (naming.refuse)(request.uri().path(), &problem, &id);
        let general = || problem.with("request_id", id.as_str()).into_response();
        let mut response = own.unwrap_or_else(general);
        response.headers_mut().insert(HEADER, id.header());
        response
    }
}

async fn call(router: &Router, request: Request<Body>) -> Response {
    // A router's clone is a reference; calling one needs a mutable one of its own.
    match router.clone().call(request).await {
        Ok(response) => response,
        Err(never) => match never {},
    }
}

async fn name_route(request: Request, next: Next) -> Response {
    if let Some(route) = request.extensions().get::<MatchedPath>() {
        Span::current().record("route", route.as_str());
    }
    next.run(request).await
}
