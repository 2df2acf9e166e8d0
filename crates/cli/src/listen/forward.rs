//! Sending one event on, and saying what came of it.

use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, USER_AGENT};
use http::{Method, Request, Uri};
use http_body_util::Full;
use outflow_model::Clock as _;
use outflow_model::clock::SystemClock;
use outflow_webhook_wire::body::{BatchSize, Body};
use outflow_webhook_wire::signature::{Message, MessageId, Signer};
use parking_lot::Mutex;
use serde::Deserialize;
use tokio::time::{Instant, timeout};

use crate::failure::Failure;
use crate::http::{Http, next_chunk};
use crate::output;
use crate::tail::{Sink, lines};

/// How long a webhook waits for an answer.
const TIMEOUT: Duration = Duration::from_secs(15);
/// How much of an answer that is no success is shown, in characters.
const SHOWN: usize = 200;
/// How much of an answer is read, in bytes.
const MAX_ANSWER_BYTES: usize = 16 << 10;
const KIND: &str = "application/json; charset=UTF-8";
const AGENT: &str = concat!("Outflow/", env!("CARGO_PKG_VERSION"));

/// Where events go.
#[derive(Debug)]
pub(super) struct Target {
    url: Uri,
    http: Http,
}

impl Target {
    pub(super) fn new(url: Uri, ca_file: Option<&Path>) -> Result<Self, Failure> {
        // It is printed, and nothing sends it: who means it must hear that before it is on a screen.
        if url.authority().is_some_and(|authority| authority.as_str().contains('@')) {
            let reason = "the address to forward to may have no user or password";
            return Err(Failure::Usage(reason.to_owned()));
        }
        let is_http = matches!(url.scheme_str(), Some("http" | "https"));
        if !is_http || url.host().is_none() {
            return Err(Failure::Usage(format!("`{url}` is not an http or https address")));
        }
        let http = Http::new(&url, ca_file)?;
        Ok(Self { url, http })
    }

    pub(super) const fn url(&self) -> &Uri {
        &self.url
    }
}

/// An event as it is sent, however often.
#[derive(Debug, Clone)]
struct Event {
    id: MessageId,
    event_type: String,
    body: Bytes,
}

#[derive(Debug, Deserialize)]
struct Typed<'a> {
    #[serde(rename = "type", borrow)]
    event_type: std::borrow::Cow<'a, str>,
}

/// Sends events on. See the module.
#[derive(Debug)]
pub(super) struct Forwarder {
    target: Target,
    signer: Signer,
    /// What signed requests call the endpoint.
    endpoint: String,
    last: Mutex<Option<Event>>,
}

impl Forwarder {
    pub(super) fn new(target: Target, signer: Signer, project: &str) -> Self {
        Self { target, signer, endpoint: project.to_owned(), last: Mutex::new(None) }
    }

    /// Sends the last event again, with the id that it had.
    pub(super) async fn again(&self) -> Result<(), Failure> {
        let last = self.last.lock().clone();
        match last {
            Some(event) => self.send(&event).await,
            None => output::line("nothing has come yet"),
        }
    }

    /// Sends an event and prints a line for it and one for its answer.
    async fn send(&self, event: &Event) -> Result<(), Failure> {
        output::line(&format!("--> {} {} {} bytes", event.event_type, event.id, event.body.len()))?;
        let begun = Instant::now();
        let said = timeout(TIMEOUT, self.ask(event)).await;
        let took = begun.elapsed().as_millis();
        match said {
            Ok(Ok(said)) => output::line(&format!("<-- {said} in {took} ms")),
            Ok(Err(reason)) => output::line(&format!("<-- no answer: {reason}")),
            Err(_) => output::line(&format!("<-- no answer in {} s", TIMEOUT.as_secs())),
        }
    }

    /// The answer's status, and what it says where it is no success.
    async fn ask(&self, event: &Event) -> Result<String, String> {
        let message = Message {
            id: &event.id,
            at: SystemClock.now(),
            event: Some(&event.event_type),
            endpoint: &self.endpoint,
            body: &event.body,
        };
        let mut request = Request::builder()
            .method(Method::POST)
            .uri(&self.target.url)
            .header(CONTENT_TYPE, KIND)
            .header(USER_AGENT, AGENT);
        for field in self.signer.sign(&message) {
            request = request.header(field.name, field.value());
        }
        let request = request.body(Full::new(event.body.clone())).map_err(|e| e.to_string())?;
        let mut response = self.target.http.send(request).await.map_err(|error| {
            let cause = std::error::Error::source(&error).map(ToString::to_string);
            cause.unwrap_or_else(|| error.to_string())
        })?;
        let status = response.status();
        let mut body = Vec::new();
        while body.len() < MAX_ANSWER_BYTES
            && let Ok(Some(chunk)) = next_chunk(&mut response).await
        {
            body.extend_from_slice(&chunk);
        }
        if status.is_success() {
            return Ok(status.to_string());
        }
        // What a program says must not drive the terminal.
        let text = String::from_utf8_lossy(&body);
        let text: String = text.chars().take(SHOWN).flat_map(char::escape_debug).collect();
        Ok(if text.is_empty() { status.to_string() } else { format!("{status}: {text}") })
    }
}

impl Sink for &Forwarder {
    async fn take(&mut self, line: &[u8]) -> Result<(), Failure> {
        let unknown = || Failure::Answer("an event without an offset or a type".into());
        // The offset names an event within its stream, so an event that is sent again keeps its id.
        let id = lines::offset(line).and_then(|offset| MessageId::parse(&format!("msg_{offset}")));
        let typed: Typed<'_> = serde_json::from_slice(line).map_err(|_| unknown())?;
        let mut body = Body::new(BatchSize::ONE, line.len());
        let body = if body.push(line) { body.finish() } else { None };
        let event = Event {
            id: id.ok_or_else(unknown)?,
            event_type: typed.event_type.into_owned(),
            body: body.ok_or_else(unknown)?,
        };
        *self.last.lock() = Some(event.clone());
        self.send(&event).await
    }

    fn flush(&mut self) -> Result<(), Failure> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_in_the_address_is_refused_and_not_printed() {
        for address in ["http://user:canary@127.0.0.1:9/", "ftp://canary@127.0.0.1/"] {
            let refused = Target::new(address.parse().unwrap(), None).unwrap_err().to_string();
            assert!(refused.contains("no user or password"), "{refused}");
            assert!(!refused.contains("canary"), "{refused}");
        }
    }
}
