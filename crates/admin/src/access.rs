//! Who calls, which things the path names, and whether the caller reaches them.
//!
//! Called first by every handler. A project, stream or integration of the hub is only ever looked
//! up here, so none can be touched without the check.
//!
//! Invariants: what is not the caller's is answered as what does not exist; a missing, malformed,
//! unknown, expired or revoked credential is answered alike.

use std::sync::Arc;

use axum::extract::{FromRequestParts, RawPathParams};
use http::HeaderMap;
use http::header::AUTHORIZATION;
use http::request::Parts;
use outflow_auth::{Auth, Presented};
use outflow_body::{Door, Held};
use outflow_face::bearer;
use outflow_hub::{Hub, Integration, Project, Stream};
use outflow_model::{Action, ErrorCode, Grant, IntegrationId};

use crate::error::Refused;
use crate::webhook::turn::Turns;

/// What the handlers work on; cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Admin(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    hub: Hub,
    auth: Auth,
    /// The room for bodies.
    door: Arc<Door>,
    webhook_turns: Turns,
}

impl Admin {
    pub(crate) fn new(hub: Hub, auth: Auth, door: Arc<Door>) -> Self {
        Self(Arc::new(Inner { hub, auth, door, webhook_turns: Turns::default() }))
    }

    /// Room for the body of a request, of `project` or of nobody that is known yet.
    pub(crate) fn room(&self, project: &str) -> Held {
        self.0.door.growing(project)
    }

    pub(crate) fn hub(&self) -> &Hub {
        &self.0.hub
    }

    pub(crate) fn auth(&self) -> &Auth {
        &self.0.auth
    }

    /// Taken by who changes a webhook: see [`crate::webhook::change`].
    pub(crate) fn webhook_turns(&self) -> &Turns {
        &self.0.webhook_turns
    }

    /// The grant of the request's bearer token.
    pub(crate) fn authenticate(&self, headers: &HeaderMap) -> Result<Grant, Refused> {
        let token = headers.get(AUTHORIZATION).and_then(bearer);
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
        Ok(self.0.hub.project_for(grant, name, action)?)
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
        Ok(self.0.hub.stream_for(grant, project, name, action)?)
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
