//! `POST /oauth2/token` and `/api/v0/oauth2/token`: an API key's client secret is exchanged for an
//! access token by the client credentials grant (RFC 6749 4.4; reference `aria_itas_amperity.md`
//! 1.2 and 3.2).
//!
//! The client is named in the body, a form or JSON, or by Basic authentication (RFC 6749 2.3.1).
//! Here alone errors are those of RFC 6749 5.2 and not problem documents.
//!
//! Invariants: no answer is to be stored by anyone; an unknown client and a wrong secret are
//! answered alike.

mod form;

use axum::Json;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{
    AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, PRAGMA, RETRY_AFTER, WWW_AUTHENTICATE,
};
use http::{HeaderMap, HeaderValue, StatusCode};
use outflow_auth::access::AccessError;
use outflow_auth::{AccessToken, Client, Scope};
use outflow_body::{BodyError, Encoding};
use serde::{Deserialize, Serialize};

use crate::access::Admin;

/// The largest request, decoded: two secrets of the longest kind fit.
const MAX_BODY_BYTES: usize = 32 << 10;
/// Whose room bodies have before their client is known. No project's name has a slash.
const UNKNOWN: &str = "/oauth2/token";
/// Nothing is wrong with the request, but too many come at once. RFC 6749 has the word for another
/// answer (4.1.2.1), and 5.2 has none.
const BUSY: &str = "temporarily_unavailable";
/// The header by which a client of the ingest interface names its project.
const TENANT: &str = "x-amperity-tenant";

/// What a client asks with. Other parameters are ignored (RFC 6749 3.2).
#[derive(Default, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = TokenRequest))]
pub(crate) struct Asked {
    /// `client_credentials`.
    grant_type: Option<String>,
    /// The API key's id, or its project's; absent with Basic authentication.
    client_id: Option<String>,
    /// A valid client secret of the API key, or an access token of it that still holds.
    client_secret: Option<String>,
    /// Some of the key's scopes, with spaces between them; absent: all.
    scope: Option<String>,
}

/// A token (RFC 6749 5.1).
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = TokenResponse))]
pub(crate) struct Granted {
    /// A JWT.
    access_token: String,
    /// `Bearer`.
    token_type: &'static str,
    /// For how many seconds it holds.
    expires_in: i64,
    /// What it may do, with spaces between the scopes.
    scope: String,
}

/// Why there is none (RFC 6749 5.2).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = TokenError))]
pub(crate) struct Denied {
    /// `invalid_request`, `invalid_client`, `invalid_scope`, `unsupported_grant_type` or
    /// `temporarily_unavailable`.
    error: &'static str,
    /// The same for people.
    error_description: String,
    /// Whether the client authenticated itself by a header, and is answered by one.
    #[serde(skip)]
    by_header: bool,
}

impl Denied {
    fn request(description: impl Into<String>) -> Self {
        let error_description = description.into();
        Self { error: "invalid_request", error_description, by_header: false }
    }

    fn body(error: &BodyError) -> Self {
        let error_name = if *error == BodyError::NoRoom { BUSY } else { "invalid_request" };
        Self { error: error_name, ..Self::request(error.to_string()) }
    }

    fn of(error: AccessError, by_header: bool) -> Self {
        let name = match error {
            AccessError::Client => "invalid_client",
            AccessError::Scope => "invalid_scope",
            AccessError::Lifetime => "invalid_request",
        };
        Self { error: name, error_description: error.to_string(), by_header }
    }
}

impl IntoResponse for Denied {
    fn into_response(self) -> Response {
        // RFC 6749 5.2: 401 must answer a client that used the header, all else is 400.
        let is_refused_login = self.by_header && self.error == "invalid_client";
        let status = match self.error {
            BUSY => StatusCode::SERVICE_UNAVAILABLE,
            _ if is_refused_login => StatusCode::UNAUTHORIZED,
            _ => StatusCode::BAD_REQUEST,
        };
        let mut response = (status, no_store(), Json(self)).into_response();
        if status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        if is_refused_login {
            let basic = HeaderValue::from_static("Basic realm=\"token\"");
            response.headers_mut().insert(WWW_AUTHENTICATE, basic);
        }
        response
    }
}

const fn no_store() -> [(http::HeaderName, &'static str); 2] {
    [(CACHE_CONTROL, "no-store, no-cache, must-revalidate"), (PRAGMA, "no-cache")]
}

/// Exchange an API key's client secret for an access token of an hour (RFC 6749 4.4).
#[cfg_attr(test, utoipa::path(post, path = "/oauth2/token", tag = "oauth2", operation_id = "exchange", security(()),
    request_body(content((Asked = "application/x-www-form-urlencoded"), (Asked = "application/json"))),
    responses((status = 200, description = "An access token.", body = Granted), (status = 400, description = "There is none.", body = Denied),
        (status = 401, description = "There is none for who authenticated itself by Basic.", body = Denied))))]
pub(crate) async fn token(State(admin): State<Admin>, request: Request) -> Response {
    match exchange(&admin, request).await {
        Ok(granted) => (no_store(), Json(granted)).into_response(),
        Err(denied) => denied.into_response(),
    }
}

/// The same at the path that clients of the ingest interface know.
#[cfg_attr(test, utoipa::path(post, path = "/api/v0/oauth2/token", tag = "oauth2", operation_id = "exchange_v0", security(()),
    params(("X-Amperity-Tenant" = Option<String>, Header, description = "The project: the API key must be one of it.")),
    request_body(content((Asked = "application/x-www-form-urlencoded"), (Asked = "application/json"))),
    responses((status = 200, description = "An access token.", body = Granted), (status = 400, description = "There is none.", body = Denied),
        (status = 401, description = "There is none for who authenticated itself by Basic.", body = Denied))))]
pub(crate) async fn token_v0(state: State<Admin>, request: Request) -> Response {
    token(state, request).await
}

async fn exchange(admin: &Admin, request: Request) -> Result<Granted, Denied> {
    let (parts, body) = request.into_parts();
    let mut body = Some(body);
    let exchanged = grant(admin, &parts.headers, &mut body).await;
    if exchanged.is_err() {
        // An unread body costs the client its answer, or the connection.
        outflow_body::discard_unread(&parts.headers, body).await;
    }
    exchanged
}

/// Takes `body` when it comes to reading it.
async fn grant(
    admin: &Admin,
    headers: &HeaderMap,
    body: &mut Option<Body>,
) -> Result<Granted, Denied> {
    let login = basic(headers)?;
    let encoding = Encoding::of(headers);
    let encoding = encoding.map_err(|error| Denied::request(error.to_string()))?;
    let (body, mut room) = (body.take().unwrap_or_default(), admin.room(UNKNOWN));
    let body = outflow_body::read_within(headers, body, encoding, MAX_BODY_BYTES, &mut room).await;
    let asked = read(headers, &body.map_err(|error| Denied::body(&error))?)?;
    match asked.grant_type.as_deref() {
        Some("client_credentials") => {}
        Some(_) => {
            return Err(Denied {
                error: "unsupported_grant_type",
                ..Denied::request("the grant type must be client_credentials")
            });
        }
        None => return Err(Denied::request("grant_type is missing")),
    }
    let project = headers.get(TENANT).map(HeaderValue::to_str).transpose();
    let project = project.map_err(|_| Denied::request("the tenant's header is not readable"))?;
    let by_header = login.is_some();
    let (id, secret) = client(&asked, login)?;
    let client = Client { id: &id, secret: &secret, project };
    // An empty parameter counts as omitted (RFC 6749 3.2).
    let scope = asked.scope.as_deref().filter(|scope| !scope.is_empty());
    let issued = admin.auth().exchange(client, scope);
    let issued = issued.map_err(|error| Denied::of(error, by_header))?;
    Ok(Granted::of(&issued))
}

impl Granted {
    fn of(issued: &AccessToken) -> Self {
        Self {
            access_token: issued.token.expose().to_owned(),
            token_type: "Bearer",
            expires_in: issued.lifetime_s,
            scope: Scope::join(&issued.scopes),
        }
    }
}

/// The client's id and secret, from the one place where they are.
fn client(asked: &Asked, login: Option<(String, String)>) -> Result<(String, String), Denied> {
    match (login, &asked.client_id, &asked.client_secret) {
        (Some(login), id, None) if id.as_ref().is_none_or(|id| *id == login.0) => Ok(login),
        (Some(_), ..) => Err(Denied::request("the client authenticates itself twice")),
        (None, Some(id), Some(secret)) => Ok((id.clone(), secret.clone())),
        (None, ..) => Err(Denied::request("client_id and client_secret are needed")),
    }
}

/// The login of a Basic header. Its two parts are encoded as in a form (RFC 6749 2.3.1).
fn basic(headers: &HeaderMap) -> Result<Option<(String, String)>, Denied> {
    let Some(value) = headers.get(AUTHORIZATION) else { return Ok(None) };
    let unreadable = || Denied::of(AccessError::Client, true);
    let (scheme, rest) =
        value.to_str().ok().and_then(|text| text.trim().split_once(' ')).ok_or_else(unreadable)?;
    // Some clients send a token wherever they go, also here where it says nothing.
    if !scheme.eq_ignore_ascii_case("basic") {
        return Ok(None);
    }
    let pair = STANDARD.decode(rest.trim()).ok().and_then(|pair| String::from_utf8(pair).ok());
    let pair = pair.ok_or_else(unreadable)?;
    let (id, secret) = pair.split_once(':').ok_or_else(unreadable)?;
    let both = form::decode(id).zip(form::decode(secret));
    both.map(Some).ok_or_else(unreadable)
}

/// Reads a form or JSON, whichever the content type says, in any case.
fn read(headers: &HeaderMap, body: &Bytes) -> Result<Asked, Denied> {
    let named = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let name = named.split(';').next().unwrap_or_default().trim();
    if name.eq_ignore_ascii_case("application/json") {
        // The parser's own words could repeat a secret.
        return serde_json::from_slice(body).map_err(|error| {
            let (line, column) = (error.line(), error.column());
            Denied::request(format!("the body is not such JSON (line {line}, column {column})"))
        });
    }
    if !name.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        return Err(Denied::request("the body must be a form or application/json"));
    }
    let mut asked = Asked::default();
    for pair in form::pairs(body) {
        let (name, value) = pair.ok_or_else(|| Denied::request("the form cannot be read"))?;
        let slot = match name.as_str() {
            "grant_type" => &mut asked.grant_type,
            "client_id" => &mut asked.client_id,
            "client_secret" => &mut asked.client_secret,
            "scope" => &mut asked.scope,
            _ => continue,
        };
        if slot.replace(value).is_some() {
            return Err(Denied::request(format!("{name} comes twice")));
        }
    }
    Ok(asked)
}
