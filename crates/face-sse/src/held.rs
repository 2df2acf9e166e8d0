//! What a draining server sends instead of a feed: heartbeats, until it goes.
//!
//! Made by [`crate::listen`]. A refusal would be final for PyPI's `sseclient`, which raises whatever
//! is no 2xx out of its loop (reference 1.6, rule 6). A stream that ends without an event is to every
//! client a reason to come again after its pause, with the place that it has: so the port may be
//! closed for as long as the pause, and not for as long as the drain. Behind a balancer that is time
//! enough to be sent to a server that is ready.
//!
//! Invariant: it ends as soon as the listener is closed, so that it never delays a stop.

use std::convert::Infallible;
use std::time::Duration;

use axum::body::Body;
use futures_util::stream;
use outflow_face::{Drain, Phase};
use tokio::time::timeout;

use crate::wire;

/// A body with a heartbeat at once and after each `silence`, until `drain` ends what is left.
pub(crate) fn body(drain: Drain, silence: Duration) -> Body {
    Body::from_stream(stream::unfold((drain, true), move |(drain, is_first)| async move {
        let is_over = drain.phase() >= Phase::Stopping
            || (!is_first && timeout(silence, drain.reached(Phase::Stopping)).await.is_ok());
        (!is_over).then_some((Ok::<_, Infallible>(wire::HEARTBEAT), (drain, false)))
    }))
}
