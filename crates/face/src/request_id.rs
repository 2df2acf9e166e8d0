//! An id for every request: in the log, in the answer, and in the caller's own log when it sent
//! one.
//!
//! [`layer`] is put around the whole application by `server`; handlers take the id from the
//! request's extensions.

use std::fmt;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use http::{HeaderName, HeaderValue};
use outflow_model::Rng;
use tracing::Instrument;

/// The header that carries the id both ways.
pub const HEADER: HeaderName = HeaderName::from_static("x-request-id");

/// A request's id: a random UUID, or what the caller sent in `X-Request-Id` if that is 1 to 64
/// letters, digits, `-`, `_` or `.`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestId(HeaderValue);

impl RequestId {
    /// A random (version 4) UUID.
    #[must_use]
    pub fn random(rng: &dyn Rng) -> Self {
        let mut bytes = [0; 16];
        rng.fill(&mut bytes);
        let bits =
            (u128::from_be_bytes(bytes) & !(0xf << 76) & !(0x3 << 62)) | (0x4 << 76) | (0x2 << 62);
        let hex = format!("{bits:032x}");
        let mut text = String::with_capacity(36);
        for (at, digit) in hex.chars().enumerate() {
            if matches!(at, 8 | 12 | 16 | 20) {
                text.push('-');
            }
            text.push(digit);
        }
        // Hexadecimal digits and dashes are always a valid header value.
        Self(HeaderValue::from_str(&text).unwrap_or_else(|_| HeaderValue::from_static("-")))
    }

    /// The caller's own id, if it sent a usable one.
    #[must_use]
    pub fn sent(value: &HeaderValue) -> Option<Self> {
        let allowed =
            |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        let bytes = value.as_bytes();
        ((1..=64).contains(&bytes.len()) && bytes.iter().all(allowed)).then(|| Self(value.clone()))
    }

    /// The id as a header value.
    #[must_use]
    pub fn header(&self) -> HeaderValue {
        self.0.clone()
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.to_str().unwrap_or_default()
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Gives every request that reaches `app` an id and a tracing span named `request`, and every
/// answer the header `X-Request-Id`. Queries, which may hold secrets, are not logged.
pub fn layer(app: Router, rng: Arc<dyn Rng>) -> Router {
    app.layer(from_fn_with_state(rng, identify))
}

async fn identify(State(rng): State<Arc<dyn Rng>>, mut request: Request, next: Next) -> Response {
    let id = request.headers().get(HEADER).and_then(RequestId::sent);
    let id = id.unwrap_or_else(|| RequestId::random(&*rng));
    let span = tracing::info_span!("request", %id, method = %request.method(), path = request.uri().path());
    request.extensions_mut().insert(id.clone());
    async move {
        let mut response = next.run(request).await;
        tracing::debug!(status = response.status().as_u16(), "answered");
        response.headers_mut().insert(HEADER, id.header());
        response
    }
    .instrument(span)
    .await
}
