//! Who calls, which things the path names, and whether the caller reaches them.
//!
//! Called first by every handler. A project, stream or integration of the hub is only ever looked
//! up here, so none can be touched without the check.
//!
//! Invariants: what is not the caller's is answered as what does not exist; a missing, malformed,
//! unknown, expired or revoked credential is answered alike.

use std::sync::Arc;

use axum::extract::{FromRequestParts, RawPathParams};
use http::header::AUTHORIZATION;
use http::request::Parts;
use http::{HeaderMap, HeaderValue};
use outflow_auth::{Auth, Presented};
use outflow_hub::{DestinationError, Hub, Integration, Project, Stream};
use outflow_model::{Action, ErrorCode, Grant, IntegrationId, ProjectId, StreamName};

use crate::error::Refused;
use crate::publish::Door;

/// What the handlers work on; cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Admin(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    hub: Hub,
    auth: Auth,
    door: Door,
}

impl Admin {
    pub(crate) fn new(hub: Hub, auth: Auth, door: Door) -> Self {
        Self(Arc::new(Inner { hub, auth, door }))
    }

    pub(crate) fn hub(&self) -> &Hub {
        &self.0.hub
    }

    pub(crate) fn auth(&self) -> &Auth {
        &self.0.auth
    }

    pub(crate) fn door(&self) -> &Door {
        &self.0.door
    }

    /// The grant of the request's bearer token.
    pub(crate) fn authenticate(&self, headers: &HeaderMap) -> Result<Grant, Refused> {
        let token = headers.get(AUTHORIZATION).map(HeaderValue::as_bytes).and_then(bearer);
        let presented = Presented::Bearer { project: None, token: token.unwrap_or_default() };
        self.0.auth.authenticate(&presented).ok_or_else(|| {
            Refused::new(ErrorCode::Unauthenticated, "a valid bearer token is needed")
        })
    }

    /// Lets only operators pass.
    pub(crate) fn operate(grant: &Grant) -> Result<(), Refused> {
        if grant.actions.contains(&Action::Operate) { Ok(()) } else { Err(forbidden()) }
    }

    /// The project, if the caller may do `action` in it.
    pub(crate) fn project(
        &self,
        grant: &Grant,
        name: &str,
        action: Action,
    ) -> Result<Arc<Project>, Refused> {
        let missing = || Refused::missing("project");
        let id = ProjectId::new(name).map_err(|_| missing())?;
        let is_operator = grant.actions.contains(&Action::Operate);
        if !is_operator && grant.project.as_ref() != Some(&id) {
            return Err(missing());
        }
        let project = self.0.hub.project(&id).ok_or_else(missing)?;
        if grant.allows(action, &id) { Ok(project) } else { Err(forbidden()) }
    }

    /// The stream, if the caller may do `action` on it. Streams that the credential is not made
    /// for do not exist for it.
    pub(crate) fn stream(
        &self,
        grant: &Grant,
        project: &str,
        name: &str,
        action: Action,
    ) -> Result<Arc<Stream>, Refused> {
        // The usual case: one look-up, and no name is copied.
        if let Some(stream) = self.0.hub.stream_named(project, name)
            && grant.allows(action, &stream.project)
            && grant.streams.as_ref().is_none_or(|streams| streams.contains(&stream.name))
        {
            return Ok(stream);
        }
        // Something is in the way: what, is said in the order that betrays nothing.
        let project = self.project(grant, project, action)?;
        let missing = || Refused::missing("stream");
        let name = StreamName::new(name).map_err(|_| missing())?;
        if grant.streams.as_ref().is_some_and(|streams| !streams.contains(&name)) {
            return Err(missing());
        }
        self.0.hub.stream(&project.id, &name).ok_or_else(missing)
    }

    /// The stream to publish to. Of a queue or topic that so far has only consumers of brokers'
    /// protocols it is made now.
    pub(crate) async fn stream_to_publish(
        &self,
        grant: &Grant,
        project: &str,
        name: &str,
    ) -> Result<Arc<Stream>, Refused> {
        let refused = match self.stream(grant, project, name, Action::Publish) {
            Err(refused) if refused.is_missing() => refused,
            found => return found,
        };
        let Ok(name) = StreamName::new(name) else { return Err(refused) };
        let project = self.project(grant, project, Action::Publish)?;
        // An operator is of no project; what it publishes is.
        let within = Grant { project: Some(project.id.clone()), ..grant.clone() };
        match self.0.hub.awaited_stream(&within, &name).await {
            Ok(Some(stream)) => Ok(stream),
            Err(DestinationError::Unavailable(reason)) => {
                tracing::error!(reason, "a stream was not made");
                Err(Refused::new(ErrorCode::Unavailable, "the stream cannot be made just now"))
            }
            Ok(None) | Err(_) => Err(refused),
        }
    }

    /// The integration, if the caller manages its project.
    pub(crate) fn integration(&self, caller: &Caller) -> Result<Arc<Integration>, Refused> {
        let project = self.project(&caller.grant, &caller.path.project, Action::Manage)?;
        let missing = || Refused::missing("integration");
        let id = IntegrationId::new(&caller.path.integration).map_err(|_| missing())?;
        self.0.hub.integration(&project.id, &id).ok_or_else(missing)
    }
}

fn forbidden() -> Refused {
    Refused::new(ErrorCode::Forbidden, "the credential does not allow this")
}

/// The token of a `Bearer` header; the scheme in any case (RFC 9110 11.1).
fn bearer(header: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(header).ok()?;
    let (scheme, token) = text.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// The names in the path; those that the route does not have are empty.
#[derive(Debug, Default)]
pub(crate) struct Names {
    pub(crate) project: String,
    pub(crate) stream: String,
    pub(crate) integration: String,
    /// A credential, a cursor or a subscription.
    pub(crate) last: String,
    /// The day and the name of a landed file.
    pub(crate) day: String,
    pub(crate) file: String,
}

impl Names {
    /// The project and the stream; empty where the route has none.
    pub(crate) fn of_stream(params: &RawPathParams) -> (&str, &str) {
        params.iter().fold(("", ""), |(project, stream), (name, value)| match name {
            "project" => (value, stream),
            "stream" => (project, value),
            _ => (project, stream),
        })
    }

    pub(crate) fn of(params: &RawPathParams) -> Self {
        let mut names = Self::default();
        for (name, value) in params {
            match name {
                "project" => value.clone_into(&mut names.project),
                "stream" => value.clone_into(&mut names.stream),
                "integration" => value.clone_into(&mut names.integration),
                "day" => value.clone_into(&mut names.day),
                "file" => value.clone_into(&mut names.file),
                _ => value.clone_into(&mut names.last),
            }
        }
        names
    }
}

/// An authenticated caller and the things that its path names.
#[derive(Debug)]
pub(crate) struct Caller {
    pub(crate) grant: Grant,
    pub(crate) path: Names,
}

impl FromRequestParts<Admin> for Caller {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, admin: &Admin) -> Result<Self, Refused> {
        let grant = admin.authenticate(&parts.headers)?;
        // A path that is not UTF-8 names nothing.
        let params = RawPathParams::from_request_parts(parts, admin).await;
        let path = params.as_ref().map(Names::of).map_err(|_| Refused::missing("route"))?;
        Ok(Self { grant, path })
    }
}
