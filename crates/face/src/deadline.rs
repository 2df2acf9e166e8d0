//! A request body that must arrive within a time.
//!
//! Made by [`crate::listener`] for every request. Who reads the body is told by an error of the system of
//! the kind `TimedOut`; [`crate::guard`] is told when nobody waits for it any more.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::Frame;
use hyper::body::Incoming;
use tokio::time::Sleep;

use crate::guard::Requests;

/// A request body that must arrive within a time, counted from the first wait for it.
pub(crate) struct Deadline {
    inner: Incoming,
    limit: Duration,
    timer: Option<Pin<Box<Sleep>>>,
    requests: Arc<Requests>,
    has_ended: bool,
}

impl Deadline {
    pub(crate) fn new(inner: Incoming, limit: Duration, requests: Arc<Requests>) -> Self {
        let has_ended = http_body::Body::is_end_stream(&inner);
        requests.body_begun(!has_ended);
        Self { inner, limit, timer: None, requests, has_ended }
    }
}

impl Drop for Deadline {
    fn drop(&mut self) {
        let has_ended = self.has_ended || http_body::Body::is_end_stream(&self.inner);
        self.requests.body_over(!has_ended);
    }
}

impl http_body::Body for Deadline {
    type Data = Bytes;
    type Error = Box<dyn std::error::Error + Send + Sync>;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let this = self.get_mut();
        if let Poll::Ready(frame) = Pin::new(&mut this.inner).poll_frame(cx) {
            if frame.is_none() {
                this.has_ended = true;
                this.requests.body_over(false);
            }
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        let limit = this.limit;
        let timer = this.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep(limit)));
        let late = || io::Error::new(io::ErrorKind::TimedOut, "the body did not arrive in time");
        timer.as_mut().poll(cx).map(|()| Some(Err(late().into())))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> http_body::SizeHint {
        self.inner.size_hint()
    }
}
