//! Who is asking: `Authorization` and `X-UA-Appkey` to a grant and a project.

use std::borrow::Cow;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use outflow_auth::{Auth, Presented};
use outflow_hub::{Hub, Project};
use outflow_model::{Action, ErrorCode, Grant, ProjectId};

use crate::error::Refusal;

/// The header that names the project.
const APP_KEY: &str = "x-ua-appkey";

/// Which of Airship's two routes is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Route {
    /// `/api/events`: an integration's token.
    Events,
    /// `/api/events/general`: compliance events, by the project's master secret.
    General,
}

/// What `Authorization` holds.
enum Authorization<'a> {
    Bearer(Cow<'a, str>),
    Basic { user: String, password: String },
}

fn authorization(headers: &HeaderMap) -> Option<Authorization<'_>> {
    let value = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, rest) = value.trim().split_once(' ')?;
    let rest = rest.trim();
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(Authorization::Bearer(rest.into()));
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let pair = String::from_utf8(STANDARD.decode(rest).ok()?).ok()?;
    let (user, password) = pair.split_once(':')?;
    Some(Authorization::Basic { user: user.to_owned(), password: password.to_owned() })
}

/// The grant and project of a request to one of Airship's routes (reference 1.1 and 1.7).
///
/// # Errors
/// 401 for anything wrong with the credentials; only then 404 when the project does not exist and
/// 403 when the grant does not reach.
pub fn airship(
    headers: &HeaderMap,
    route: Route,
    auth: &Auth,
    hub: &Hub,
) -> Result<(Grant, Arc<Project>), Refusal> {
    let app_key = match headers.get(APP_KEY).map(http::HeaderValue::to_str) {
        Some(Ok(key)) => Some(key.trim()),
        Some(Err(_)) => return Err(Refusal::unauthenticated()),
        None => None,
    };
    match authorization(headers).ok_or_else(Refusal::unauthenticated)? {
        Authorization::Bearer(token) => {
            let key = app_key.ok_or_else(|| {
                Refusal::new(ErrorCode::Unauthenticated, "the header X-UA-Appkey is missing")
            })?;
            let presented = Presented::Bearer { project: Some(key), token: &token };
            let grant = auth.authenticate(&presented).ok_or_else(Refusal::unauthenticated)?;
            if route == Route::General {
                let detail =
                    "this resource takes Basic authentication with the app key and master secret";
                return Err(Refusal::new(ErrorCode::Unauthenticated, detail));
            }
            let project = project(hub, key)?;
            if !grant.allows(Action::Read, &project.id) {
                return Err(Refusal::new(
                    ErrorCode::Forbidden,
                    "the token does not allow reading events",
                ));
            }
            Ok((grant, project))
        }
        Authorization::Basic { user, password } => {
            // On the compliance route the header is required as well; elsewhere Basic suffices.
            if route == Route::General && app_key.is_none() {
                let detail = "the header X-UA-Appkey is missing";
                return Err(Refusal::new(ErrorCode::Unauthenticated, detail));
            }
            if app_key.is_some_and(|key| key != user) {
                return Err(Refusal::unauthenticated());
            }
            let presented = Presented::Basic { user: &user, password: &password };
            let grant = auth.authenticate(&presented).ok_or_else(Refusal::unauthenticated)?;
            let project = project(hub, &user)?;
            let allowed = match route {
                Route::Events => project.basic_auth && grant.allows(Action::Read, &project.id),
                Route::General => grant.allows(Action::Compliance, &project.id),
            };
            if allowed { Ok((grant, project)) } else { Err(Refusal::unauthenticated()) }
        }
    }
}

fn project(hub: &Hub, key: &str) -> Result<Arc<Project>, Refusal> {
    let id = ProjectId::new(key).map_err(|_| Refusal::unauthenticated())?;
    hub.project(&id).ok_or_else(no_data)
}

/// The answer where a project, or what it streams, does not exist.
#[must_use]
pub fn no_data() -> Refusal {
    Refusal::new(ErrorCode::NotFound, "there is no data for that app key")
}

/// The grant of a bearer token on our own routes.
#[must_use]
pub fn bearer(headers: &HeaderMap, auth: &Auth) -> Option<Grant> {
    match authorization(headers)? {
        Authorization::Bearer(token) => {
            auth.authenticate(&Presented::Bearer { project: None, token: &token })
        }
        Authorization::Basic { .. } => None,
    }
}
