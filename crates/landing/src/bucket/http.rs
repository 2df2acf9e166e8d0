//! The HTTP client under an object store: connections kept open, TLS by the system's authorities.
//!
//! Called by `object_store`. hyper and rustls are here for the server already; what the crate would
//! bring itself is another TLS provider with a native build. Invariant: no request waits for ever, as
//! the lander looks after all streams in turn.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use object_store::client::{
    HttpClient, HttpConnector as Connect, HttpError, HttpErrorKind, HttpRequest, HttpRequestBody,
    HttpResponse, HttpResponseBody, HttpService,
};
use object_store::{ClientConfigKey, ClientOptions};
use rustls::{ClientConfig, RootCertStore};

/// Longest wait for a connection, the handshake of TLS not included.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest wait for an answer to a request without a body, and for the next piece of an answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
/// The slowest upload that is waited for, in bytes a second.
const SLOWEST: usize = 256 << 10;

/// What took too long.
#[derive(Debug, thiserror::Error)]
#[error("the object store did not answer in time")]
struct Late;

/// What makes clients.
#[derive(Debug)]
pub(super) struct Connector;

impl Connect for Connector {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        let allows_http = options.get_config_value(&ClientConfigKey::AllowHttp);
        let mut tcp = HttpConnector::new();
        tcp.set_connect_timeout(Some(CONNECT_TIMEOUT));
        tcp.set_nodelay(true);
        tcp.enforce_http(false);
        let connector = HttpsConnectorBuilder::new().with_tls_config(tls()?);
        let connector = if allows_http.as_deref() == Some("true") {
            connector.https_or_http()
        } else {
            connector.https_only()
        };
        let connector = connector.enable_http1().wrap_connector(tcp);
        Ok(HttpClient::new(Hyper(Client::builder(TokioExecutor::new()).build(connector))))
    }
}

fn tls() -> object_store::Result<ClientConfig> {
    let mut roots = RootCertStore::empty();
    // What of the system cannot be read is not trusted; a handshake that needs it says so.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| object_store::Error::Generic { store: "TLS", source: error.into() })?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

#[derive(Debug)]
struct Hyper(Client<HttpsConnector<HttpConnector>, HttpRequestBody>);

impl Hyper {
    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let upload = request.body().content_length().div_ceil(SLOWEST);
        let patience = ANSWER_TIMEOUT + Duration::from_secs(upload as u64);
        let answer = tokio::time::timeout(patience, self.0.request(request)).await;
        let answer = answer.map_err(|_| HttpError::new(HttpErrorKind::Timeout, Late))?;
        let answer = answer.map_err(|error| {
            let is_connect = error.is_connect();
            // A put or a get again does what it did before.
            let kind = if is_connect { HttpErrorKind::Connect } else { HttpErrorKind::Request };
            HttpError::new(kind, error)
        })?;
        let (parts, body) = answer.into_parts();
        Ok(HttpResponse::from_parts(parts, in_time(body)))
    }
}

/// The body, of which every piece has to come in time.
fn in_time(body: Incoming) -> HttpResponseBody {
    let pieces = stream::try_unfold(body, |mut body| async move {
        let late = |_| HttpError::new(HttpErrorKind::Timeout, Late);
        match tokio::time::timeout(ANSWER_TIMEOUT, body.frame()).await.map_err(late)? {
            Some(Ok(piece)) => Ok(Some((piece, body))),
            Some(Err(error)) => Err(HttpError::new(HttpErrorKind::Interrupted, error)),
            None => Ok(None),
        }
    });
    HttpResponseBody::new(StreamBody::new(pieces))
}

impl HttpService for Hyper {
    fn call<'a, 'b>(
        &'a self,
        request: HttpRequest,
    ) -> Pin<Box<dyn Future<Output = Result<HttpResponse, HttpError>> + Send + 'b>>
    where
        'a: 'b,
        Self: 'b,
    {
        Box::pin(self.send(request))
    }
}
