//! Who is asking: bearer tokens, Basic, and the vendor's two headers.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue};
use outflow_auth::{Auth, Presented};
use outflow_hub::Hub;
use outflow_model::{Grant, ProjectId};

use crate::config::Options;
use crate::error::Refusal;

/// A caller that has been let in.
#[derive(Debug)]
pub struct Caller {
    /// What it may do.
    pub grant: Grant,
    /// Its project.
    pub project: ProjectId,
}

/// Who sends a request with these headers.
///
/// `Authorization` wins over the vendor's headers. Those are a login of two static strings; with
/// the first alone it is taken for a token.
///
/// # Errors
/// 401 for anything wrong with the credentials, 403 for those that belong to no project.
pub fn caller(
    headers: &HeaderMap,
    options: &Options,
    auth: &Auth,
    hub: &Hub,
) -> Result<Caller, Refusal> {
    let grant = grant(headers, options, auth).ok_or_else(Refusal::unauthenticated)?;
    let project = grant.project.clone().ok_or_else(|| {
        let detail = "the credential belongs to no project, so it has no mailboxes";
        Refusal::new(outflow_model::ErrorCode::Forbidden, detail)
    })?;
    if hub.project(&project).is_none() {
        return Err(Refusal::unauthenticated());
    }
    Ok(Caller { grant, project })
}

fn grant(headers: &HeaderMap, options: &Options, auth: &Auth) -> Option<Grant> {
    if let Some(value) = headers.get(AUTHORIZATION) {
        let (scheme, rest) = value.to_str().ok()?.trim().split_once(' ')?;
        let rest = rest.trim();
        if scheme.eq_ignore_ascii_case("bearer") {
            return auth.authenticate(&Presented::Bearer { project: None, token: rest });
        }
        if !scheme.eq_ignore_ascii_case("basic") {
            return None;
        }
        let pair = String::from_utf8(STANDARD.decode(rest).ok()?).ok()?;
        let (user, password) = pair.split_once(':')?;
        return auth.authenticate(&Presented::Login { user, password });
    }
    let text = |name| headers.get(name).map(HeaderValue::to_str).transpose().ok().flatten();
    match (text(&options.key_header), text(&options.secret_header)) {
        (Some(user), Some(password)) => {
            let (user, password) = (user.trim(), password.trim());
            auth.authenticate(&Presented::Login { user, password })
        }
        (Some(token), None) => {
            auth.authenticate(&Presented::Bearer { project: None, token: token.trim() })
        }
        (None, _) => None,
    }
}
