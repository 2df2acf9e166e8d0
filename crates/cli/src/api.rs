//! Requests to the server: addresses, the token, errors, pages.
//!
//! Called by every command; the only file, with [`crate::tail`], that speaks HTTP.

use std::time::Duration;

use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue, RETRY_AFTER};
use reqwest::{Method, Response, StatusCode, Url};
use serde_json::Value;

use crate::connection::Connection;
use crate::failure::{Failure, Refusal};

/// Longest wait for a whole answer to an ordinary request.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);
/// Longest wait for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How many entries a page of a list has.
const PAGE: u32 = 1000;

/// A server and how to talk to it. See the module.
#[derive(Debug, Clone)]
pub(crate) struct Api {
    server: Url,
    http: reqwest::Client,
    project: Option<String>,
    /// Whether the token is that of `OUTFLOW_TOKEN`.
    by_variable: bool,
}

impl Api {
    /// Prepares to talk to the server; connects to nothing yet.
    pub(crate) fn new(connection: &Connection) -> Result<Self, Failure> {
        let server = Url::parse(&connection.server).ok().filter(|url| !url.cannot_be_a_base());
        let server =
            server.filter(|url| matches!(url.scheme(), "http" | "https")).ok_or_else(|| {
                Failure::Usage(format!("`{}` is not an http or https address", connection.server))
            })?;
        let mut headers = HeaderMap::new();
        if let Some(token) = connection.token()? {
            let mut value = HeaderValue::from_str(&format!("Bearer {token}"))
                .map_err(|_| Failure::Usage("the token has characters that no token has".into()))?;
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        let mut http = reqwest::Client::builder()
            .default_headers(headers)
            .user_agent(concat!("outflow/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT_TIMEOUT)
            .tcp_nodelay(true)
            .gzip(false);
        if let Some(path) = &connection.ca_file {
            let unusable = |reason: String| {
                Failure::Usage(format!(
                    "cannot use the certificates of {}: {reason}",
                    path.display()
                ))
            };
            let pem = std::fs::read(path).map_err(|error| unusable(error.to_string()))?;
            let certificates = reqwest::Certificate::from_pem_bundle(&pem)
                .map_err(|error| unusable(error.to_string()))?;
            http = http.tls_certs_merge(certificates);
        }
        let http = http.build().map_err(|error| Failure::Usage(reason(&error)))?;
        // A variable that is set to nothing is as one that is not set.
        let project = connection.project.clone().filter(|project| !project.trim().is_empty());
        Ok(Self { server, http, project, by_variable: connection.token_is_the_variables() })
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
    pub(crate) fn url(&self, segments: &[&str], query: &[(&str, &str)]) -> Url {
        let mut url = self.server.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(segments);
        }
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        url
    }

    /// Sends a request and gives the answer once its head is there and says success.
    pub(crate) async fn send(&self, request: reqwest::RequestBuilder) -> Result<Response, Failure> {
        let response = request.send().await.map_err(|error| self.unreachable(&error))?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let retry_after = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
        let retry_after = retry_after.and_then(|text| text.parse().ok()).map(Duration::from_secs);
        let body = response.bytes().await.unwrap_or_default();
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

    /// A request of the shared client.
    pub(crate) fn request(&self, method: Method, url: Url) -> reqwest::RequestBuilder {
        self.http.request(method, url)
    }

    /// Sends a request whose answer is one JSON value, or nothing.
    pub(crate) async fn json(&self, request: reqwest::RequestBuilder) -> Result<Value, Failure> {
        let response = self.send(request.timeout(ANSWER_TIMEOUT)).await?;
        let body = response.bytes().await.map_err(|error| self.unreachable(&error))?;
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
        self.json(self.request(Method::GET, self.url(path, query))).await
    }

    /// Sends one thing.
    pub(crate) async fn call(
        &self,
        method: Method,
        path: &[&str],
        body: &Value,
    ) -> Result<Value, Failure> {
        self.json(self.request(method, self.url(path, &[])).json(body)).await
    }

    /// Removes one thing.
    pub(crate) async fn delete(&self, path: &[&str]) -> Result<(), Failure> {
        self.json(self.request(Method::DELETE, self.url(path, &[]))).await.map(drop)
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
    pub(crate) fn unreachable(&self, error: &reqwest::Error) -> Failure {
        Failure::Unreachable { server: self.server.to_string(), reason: reason(error) }
    }

    /// The failure of a connection that brings nothing, not even heartbeats.
    pub(crate) fn silent(&self) -> Failure {
        Failure::Unreachable {
            server: self.server.to_string(),
            reason: "it has gone silent".into(),
        }
    }
}

/// The innermost cause, which says most: `connection refused` rather than `error sending request`.
fn reason(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}
