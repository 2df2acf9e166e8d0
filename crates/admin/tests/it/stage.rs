//! A server without sockets: the application over a hub in memory, with one tenant set up.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::body::Body;
use http::header::{AUTHORIZATION, CONTENT_ENCODING};
use http::{Method, Request, StatusCode};
use http_body_util::BodyExt;
use outflow_auth::{Auth, CredentialKind, NewCredential};
use outflow_body::Door;
use outflow_face::App;
use outflow_face_publish::Limits;
use outflow_hub::{Hub, Options};
use outflow_model::clock::ManualClock;
use outflow_model::rng::SeededRng;
use outflow_model::{Action, Rng, Timestamp};
use outflow_store::memory::MemoryEngine;
use prometheus_client::registry::Registry;
use serde_json::{Value, json};

/// An answer, read whole.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: http::HeaderMap,
    pub(crate) bytes: Vec<u8>,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&self.bytes)))
    }
}

/// An application, its engine, and tokens: an operator, and for the projects `acme` and `rival` keys.
pub(crate) struct Stage {
    pub(crate) app: App,
    pub(crate) hub: Hub,
    pub(crate) engine: Arc<MemoryEngine>,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) operator: String,
    /// The room for bodies that configure.
    pub(crate) small: Arc<Door>,
}

/// How many bytes of requests that configure may be held at once, here.
pub(crate) const ROOM: usize = 4 << 20;

pub(crate) const NOW: &str = "2026-03-01T12:00:00.000Z";

impl Stage {
    pub(crate) async fn new() -> Self {
        Self::with(Limits::default(), 256 << 20).await
    }

    /// One that takes requests within `limits`, and `held` bytes of them at once.
    pub(crate) async fn with(limits: Limits, held: usize) -> Self {
        let clock = Arc::new(ManualClock::new(Timestamp::parse_rfc3339(NOW.as_bytes()).unwrap()));
        let rng: Arc<dyn Rng> = Arc::new(SeededRng::new(7));
        let engine = Arc::new(MemoryEngine::new(clock.clone()));
        let mut registry = Registry::default();
        let hub = Hub::open(
            engine.clone(),
            clock.clone(),
            rng.clone(),
            Options::default(),
            &mut registry,
        );
        let hub = hub.await.unwrap();
        let auth = Auth::open(engine.clone(), clock.clone(), rng.clone()).await.unwrap();
        let operator = NewCredential {
            kind: CredentialKind::Operator,
            name: "first".into(),
            project: None,
            integration: None,
            actions: BTreeSet::from([Action::Operate]),
            streams: None,
            user: None,
            destinations: None,
            expires: None,
        };
        let operator = auth.issue(operator).await.unwrap().secret.expose().to_owned();
        let door = Arc::new(Door::new(held, limits.body_bytes));
        let small = Arc::new(Door::new(ROOM, 0));
        let router = outflow_admin::router(hub.clone(), auth.clone(), small.clone())
            .merge(outflow_face_publish::router(hub.clone(), auth, limits, door))
            .fallback(outflow_admin::no_such_route)
            .method_not_allowed_fallback(outflow_admin::method_not_allowed);
        let stage = Self {
            app: App::identified(router, rng, outflow_face_publish::is_frequent, |_, _, _| None),
            hub,
            engine,
            clock,
            operator,
            small,
        };
        for project in ["acme", "rival"] {
            let made = stage.operate(Method::POST, "/v1/projects", json!({ "id": project })).await;
            assert_eq!(made.status, 201, "{made:?}");
        }
        let integration = json!({ "id": "loader" });
        let made = stage.operate(Method::POST, "/v1/projects/acme/integrations", integration).await;
        assert_eq!(made.status, 201, "{made:?}");
        stage
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.app.answer(request).await;
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes().to_vec();
        Answer { status: parts.status, headers: parts.headers, bytes }
    }

    pub(crate) async fn call(
        &self,
        method: Method,
        path: &str,
        token: Option<&str>,
        body: impl Into<Body>,
    ) -> Answer {
        let mut request = Request::builder().method(method).uri(path);
        if let Some(token) = token {
            request = request.header(AUTHORIZATION, format!("Bearer {token}"));
        }
        self.send(request.body(body.into()).unwrap()).await
    }

    /// As the operator, with a JSON body.
    pub(crate) async fn operate(&self, method: Method, path: &str, body: Value) -> Answer {
        self.call(method, path, Some(&self.operator), body.to_string()).await
    }

    /// As the operator, without a body.
    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.call(Method::GET, path, Some(&self.operator), "").await
    }

    /// A new key of `project`.
    pub(crate) async fn key(&self, project: &str, actions: &[&str]) -> String {
        let path = format!("/v1/projects/{project}/keys");
        let made = self.operate(Method::POST, &path, json!({ "actions": actions })).await;
        assert_eq!(made.status, 201, "{made:?}");
        made.json()["secret"].as_str().unwrap().to_owned()
    }

    /// Publishes to the stream `events` of `acme` as the operator.
    pub(crate) async fn publish(&self, body: impl Into<Body>) -> Answer {
        self.call(
            Method::POST,
            "/v1/projects/acme/streams/events/events",
            Some(&self.operator),
            body,
        )
        .await
    }

    /// The same with a content coding.
    pub(crate) async fn publish_encoded(&self, coding: &str, body: Vec<u8>) -> Answer {
        let request = Request::post("/v1/projects/acme/streams/events/events")
            .header(AUTHORIZATION, format!("Bearer {}", self.operator))
            .header(CONTENT_ENCODING, coding);
        self.send(request.body(body.into()).unwrap()).await
    }
}
