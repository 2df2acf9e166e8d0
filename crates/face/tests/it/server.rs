//! A server to test against.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::header::CONTENT_LENGTH;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use futures_util::stream;
use outflow_body::Encoding;
use outflow_face::{App, Counters, Drain, HttpLimits, Problem, RequestId, Tls};
use outflow_model::ErrorCode;
use outflow_model::rng::SeededRng;
use tokio::task::JoinHandle;

/// A running server.
pub(crate) struct Server {
    pub(crate) addr: SocketAddr,
    pub(crate) drain: Drain,
    pub(crate) counters: Arc<Counters>,
    pub(crate) task: JoinHandle<()>,
}

/// What `/pieces` answers with, twice: an answer of hyper's own.
pub(crate) const OWN: &str =
    "HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";

/// `/echo` answers with the decoded request body, `/flood` with bytes for ever, `/` with `hi`.
fn app() -> Router {
    let echo = |request: Request| async {
        let (parts, body) = request.into_parts();
        let refuse = |error: outflow_body::BodyError| Problem::new(error.code(), error.to_string());
        let encoding = Encoding::of(&parts.headers).map_err(refuse)?;
        outflow_body::read(&parts.headers, body, encoding, 1 << 20).await.map_err(refuse)
    };
    let flood = || async {
        let chunk = bytes::Bytes::from(vec![b'x'; 64 << 10]);
        Body::new(Flood(chunk))
    };
    let lost = || async { Problem::new(ErrorCode::NotFound, "no such thing").with("line", 3) };
    let pieces = || async {
        let pieces = stream::unfold(0, |number| async move {
            tokio::time::sleep(Duration::from_millis(100)).await;
            (number < 2).then_some((Ok::<_, Infallible>(OWN), number + 1))
        });
        ([(CONTENT_LENGTH, OWN.len() * 2)], Body::from_stream(pieces))
    };
    Router::new()
        .route("/pieces", get(pieces))
        .route("/", get(|| async { "hi" }))
        .route("/echo", post(echo))
        .route("/flood", get(flood))
        .route("/lost", get(lost))
}

/// What `/own` says of a request that no route saw.
fn in_own_words(path: &str, problem: &Problem, id: &RequestId) -> Option<Response> {
    (path == "/own").then(|| format!("{} {id}: {}", problem.status, problem.detail).into_response())
}

struct Flood(bytes::Bytes);

impl http_body::Body for Flood {
    type Data = bytes::Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<http_body::Frame<Self::Data>, Self::Error>>> {
        std::task::Poll::Ready(Some(Ok(http_body::Frame::data(self.0.clone()))))
    }
}

pub(crate) fn start(limits: HttpLimits, tls: Option<Tls>) -> Server {
    let listener = outflow_face::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let addr = listener.local_addr().unwrap();
    let (drain, counters) = (Drain::new(), Arc::new(Counters::default()));
    let app = App::identified(app(), Arc::new(SeededRng::new(1)), |_, _| false, in_own_words);
    let serving =
        outflow_face::serve(listener, tls, app, limits, drain.clone(), Arc::clone(&counters));
    Server { addr, drain, counters, task: tokio::spawn(serving) }
}
