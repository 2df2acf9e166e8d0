//! Requests to the server: addresses, the token, errors, pages.
//!
//! Called by every command; calls [`crate::http`].

use std::error::Error;
use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue, RETRY_AFTER, USER_AGENT};
use http::{Method, Request, StatusCode, Uri};
use http_body_util::{BodyExt, Full};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use crate::connection::Connection;
use crate::failure::{Failure, Refusal};
use crate::http::{Http, Response, next_chunk};

/// Longest wait for a whole answer to an ordinary request.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);
/// The program, as it names itself to servers.
const AGENT: HeaderValue = HeaderValue::from_static(concat!("outflow/", env!("CARGO_PKG_VERSION")));
/// What stands for itself in a path or a query: RFC 3986's unreserved characters.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
/// How many entries a page of a list has.
const PAGE: u32 = 1000;
/// How often a change is sent that meets others, and the pause after the first time, which grows.
const CHANGE_TRIES: u32 = 5;
const CHANGE_PAUSE: Duration = Duration::from_millis(20);

/// A server and how to talk to it. See the module.
#[derive(Debug, Clone)]
pub(crate) struct Api {
    /// The server's address as it was given, for messages.
    server: String,
    /// The address without a slash at its end.
    base: String,
    token: Option<HeaderValue>,
    http: Http,
    project: Option<String>,
    /// Whether the token is that of `OUTFLOW_TOKEN`.
    by_variable: bool,
}

impl Api {
    /// Prepares to talk to the server; connects to nothing yet.
    pub(crate) fn new(connection: &Connection) -> Result<Self, Failure> {
        let server = connection.server.clone();
        let uri: Option<Uri> = server.parse().ok();
        let uri = uri.filter(|uri| {
            matches!(uri.scheme_str(), Some("http" | "https")) && uri.query().is_none()
        });
        let uri = uri
            .ok_or_else(|| Failure::Usage(format!("`{server}` is not an http or https address")))?;
        let token = connection.token()?.map(|token| {
            let mut value = HeaderValue::from_str(&format!("Bearer {token}"))
                .map_err(|_| Failure::Usage("the token has characters that no token has".into()))?;
            value.set_sensitive(true);
            Ok::<_, Failure>(value)
        });
        let http = Http::new(&uri, connection.ca_file.as_deref())?;
        let base = server.trim_end_matches('/').to_owned();
        // A variable that is set to nothing is as one that is not set.
        let project = connection.project.clone().filter(|project| !project.trim().is_empty());
        let by_variable = connection.token_is_the_variables();
        Ok(Self { server, base, token: token.transpose()?, http, project, by_variable })
    }

    /// The project asked for, or the only one that the token reaches.
    pub(crate) async fn project(&self) -> Result<String, Failure> {
        if let Some(project) = &self.project {
            return Ok(project.clone());
        }
        let page = self.get(&["v1", "projects"], &[("limit", "2")]).await?;
        match page.get("items").and_then(Value::as_array).map(Vec::as_slice) {
            Some([only]) => only
                .get("id")
                .and_then(Value::as_str)
                .map(str::to_owned)
                .ok_or_else(|| Failure::Answer("a project without an id".into())),
            Some([]) => Err(Failure::Usage(
                "there is no project yet: make one with `outflow project create`".into(),
            )),
            _ => Err(Failure::Usage("say which project: --project ID, or OUTFLOW_PROJECT".into())),
        }
    }

    /// The address of `segments`, each escaped, with `query`.
    pub(crate) fn url(&self, segments: &[&str], query: &[(&str, &str)]) -> String {
        let mut url = self.base.clone();
        for segment in segments {
            url.push('/');
            url.extend(utf8_percent_encode(segment, ESCAPED));
        }
        for (index, (name, value)) in query.iter().enumerate() {
            url.push(if index == 0 { '?' } else { '&' });
            url.extend(utf8_percent_encode(name, ESCAPED));
            url.push('=');
            url.extend(utf8_percent_encode(value, ESCAPED));
        }
        url
    }

    /// Sends a request and gives the answer once its head is there and says success.
    pub(crate) async fn send(
        &self,
        method: Method,
        url: &str,
        body: Option<(&'static str, Bytes)>,
    ) -> Result<Response, Failure> {
        let mut request = Request::builder().method(method).uri(url).header(USER_AGENT, AGENT);
        if let Some(token) = &self.token {
            request = request.header(AUTHORIZATION, token);
        }
        if let Some((kind, _)) = &body {
            request = request.header(CONTENT_TYPE, *kind);
        }
        let body = body.map(|(_, body)| body).unwrap_or_default();
        let request =
            request.body(Full::new(body)).map_err(|error| Failure::Usage(error.to_string()))?;
        let response = self.http.send(request).await.map_err(|error| self.unreachable(&error))?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let retry_after = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
        let retry_after = retry_after.and_then(|text| text.parse().ok()).map(Duration::from_secs);
        let body = response.into_body().collect().await.map(http_body_util::Collected::to_bytes);
        let body = body.unwrap_or_default();
        let mut refusal = Refusal::read(status.as_u16(), retry_after, &body);
        if status == StatusCode::FORBIDDEN && self.by_variable {
            refusal.places.push(
                "the token is that of OUTFLOW_TOKEN; --token-file FILE names another, such as \
                 `operator-token` in the server's data directory"
                    .into(),
            );
        }
        Err(Failure::Refused(Box::new(refusal)))
    }

    /// The next piece of an answer; `None` at its end.
    pub(crate) async fn chunk(&self, response: &mut Response) -> Result<Option<Bytes>, Failure> {
        next_chunk(response).await.map_err(|error| self.unreachable(&error))
    }

    /// Sends a request whose answer is one JSON value, or nothing.
    pub(crate) async fn json(
        &self,
        method: Method,
        url: &str,
        body: Option<(&'static str, Bytes)>,
    ) -> Result<Value, Failure> {
        let whole = async {
            let response = self.send(method, url, body).await?;
            let body = response.into_body().collect().await;
            body.map(http_body_util::Collected::to_bytes).map_err(|error| self.unreachable(&error))
        };
        let body =
            tokio::time::timeout(ANSWER_TIMEOUT, whole).await.map_err(|_| self.silent())??;
        if body.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&body).map_err(|error| Failure::Answer(error.to_string()))
    }

    /// Reads one thing.
    pub(crate) async fn get(
        &self,
        path: &[&str],
        query: &[(&str, &str)],
    ) -> Result<Value, Failure> {
        self.json(Method::GET, &self.url(path, query), None).await
    }

    /// Sends one thing.
    pub(crate) async fn call(
        &self,
        method: Method,
        path: &[&str],
        body: &Value,
    ) -> Result<Value, Failure> {
        let body = Bytes::from(body.to_string());
        self.json(method, &self.url(path, &[]), Some(("application/json", body))).await
    }

    /// Changes some members of one thing. Where somebody changed it at the same moment, once more: what
    /// is sent is laid over what is there then, so nothing of theirs is undone.
    pub(crate) async fn change(&self, path: &[&str], body: &Value) -> Result<Value, Failure> {
        let mut tries = 1;
        loop {
            match self.call(Method::PATCH, path, body).await {
                Err(Failure::Refused(refusal))
                    if refusal.status == StatusCode::CONFLICT.as_u16() && tries < CHANGE_TRIES => {}
                done => return done,
            }
            tokio::time::sleep(CHANGE_PAUSE * tries).await;
            tries += 1;
        }
    }

    /// Removes one thing.
    pub(crate) async fn delete(&self, path: &[&str]) -> Result<(), Failure> {
        self.json(Method::DELETE, &self.url(path, &[]), None).await.map(drop)
    }

    /// Removes one thing that may hold events which have not landed: those go as well if `force`.
    pub(crate) async fn delete_landed(&self, path: &[&str], force: bool) -> Result<(), Failure> {
        let query: &[(&str, &str)] = if force { &[("force", "true")] } else { &[] };
        self.json(Method::DELETE, &self.url(path, query), None).await.map(drop)
    }

    /// Reads a whole list, page by page.
    pub(crate) async fn list(&self, path: &[&str]) -> Result<Vec<Value>, Failure> {
        self.list_where(path, &[]).await
    }

    /// Reads what a query picks of a list, page by page.
    pub(crate) async fn list_where(
        &self,
        path: &[&str],
        only: &[(&str, &str)],
    ) -> Result<Vec<Value>, Failure> {
        let limit = PAGE.to_string();
        let mut all = Vec::new();
        let mut after: Option<String> = None;
        loop {
            let mut query = vec![("limit", limit.as_str())];
            query.extend(only);
            query.extend(after.as_deref().map(|after| ("after", after)));
            let mut page = self.get(path, &query).await?;
            match page.get_mut("items").map(Value::take) {
                Some(Value::Array(items)) => all.extend(items),
                _ => return Err(Failure::Answer("a list without items".into())),
            }
            match page.get("next").and_then(Value::as_str) {
                Some(next) => after = Some(next.to_owned()),
                None => return Ok(all),
            }
        }
    }

    /// The failure of a broken connection.
    fn unreachable(&self, error: &(dyn Error + 'static)) -> Failure {
        Failure::Unreachable { server: self.server.clone(), reason: reason(error) }
    }

    /// The failure of a connection that brings nothing, not even heartbeats.
    pub(crate) fn silent(&self) -> Failure {
        Failure::Unreachable { server: self.server.clone(), reason: "it has gone silent".into() }
    }
}

/// The innermost cause, which says most: `connection refused` rather than `error sending request`.
fn reason(error: &(dyn Error + 'static)) -> String {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}
