//! The HTTP client under [`crate::api`]: connections kept open between requests, TLS by the
//! system's certificate authorities and those of `--ca-file`.
//!
//! Called by [`crate::api`] only. hyper and rustls are here for the server already; a client of its
//! own kind would bring a tree that the build of the server would wait for. Proxies are not used.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Uri};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::{Client, Error};
use hyper_util::rt::TokioExecutor;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

use crate::failure::Failure;

/// Longest wait for a connection, the handshake of TLS not included.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// What asks. Clones share their connections.
#[derive(Debug, Clone)]
pub(crate) struct Http(Client<HttpsConnector<HttpConnector>, Full<Bytes>>);

/// An answer, its body still on the way.
pub(crate) type Response = http::Response<Incoming>;

impl Http {
    /// A client for `server` that trusts the authorities in `ca_file` besides the system's.
    pub(crate) fn new(server: &Uri, ca_file: Option<&Path>) -> Result<Self, Failure> {
        // Looking up the system's authorities takes longer than all else: only where they are used.
        let tls = if server.scheme_str() == Some("https") {
            trusting(ca_file)?
        } else {
            with_roots(RootCertStore::empty())?
        };
        let mut tcp = HttpConnector::new();
        tcp.set_connect_timeout(Some(CONNECT_TIMEOUT));
        tcp.set_nodelay(true);
        tcp.enforce_http(false);
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_or_http()
            .enable_http1()
            .wrap_connector(tcp);
        Ok(Self(Client::builder(TokioExecutor::new()).build(connector)))
    }

    /// Sends a request and gives the answer once its head is there.
    pub(crate) async fn send(&self, request: Request<Full<Bytes>>) -> Result<Response, Error> {
        self.0.request(request).await
    }
}

/// The next piece of an answer's body; `None` at its end.
pub(crate) async fn next_chunk(response: &mut Response) -> Result<Option<Bytes>, hyper::Error> {
    while let Some(frame) = response.body_mut().frame().await {
        if let Ok(data) = frame?.into_data() {
            return Ok(Some(data));
        }
    }
    Ok(None)
}

/// The settings of a client that trusts the system's authorities and those of a file.
fn trusting(ca_file: Option<&Path>) -> Result<ClientConfig, Failure> {
    let mut roots = RootCertStore::empty();
    // What of the system cannot be read is not trusted; a handshake that needs it says so.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if let Some(path) = ca_file {
        let unusable = |reason: String| {
            Failure::Usage(format!("cannot use the certificates of {}: {reason}", path.display()))
        };
        let pem = std::fs::read(path).map_err(|error| unusable(error.to_string()))?;
        for certificate in CertificateDer::pem_slice_iter(&pem) {
            let certificate = certificate.map_err(|error| unusable(error.to_string()))?;
            roots.add(certificate).map_err(|error| unusable(error.to_string()))?;
        }
    }
    with_roots(roots)
}

fn with_roots(roots: RootCertStore) -> Result<ClientConfig, Failure> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| Failure::Usage(error.to_string()))?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}
