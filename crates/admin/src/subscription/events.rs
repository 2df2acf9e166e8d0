//! `…/subscriptions/{subscription}/events`: what waits in a subscription, without taking it.
//!
//! First the unsettled events as of now; then, to who follows, those that come, through a passing
//! subscription of the request's own over the same streams, so that no consumer goes without.

use std::collections::HashMap;
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bytes::{Bytes, BytesMut};
use futures_util::stream::unfold;
use http::Uri;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use outflow_hub::subscription::{
    Browse, ConsumerOptions, Delivered, Delivery, NewSubscription, Subscription,
    SubscriptionSettings,
};
use outflow_hub::{Consumers, Hub};
use outflow_model::{Action, Grant, Offset, StreamId, SubscriptionName};
use serde::Deserialize;
use tokio::time::timeout;

use super::{found, from_now};
use crate::access::{Admin, Caller};
use crate::error::Refused;
use crate::input;

/// After this long without an event an empty line says that the connection lives.
const HEARTBEAT: Duration = Duration::from_secs(2);
/// About how many bytes are sent at once.
const CHUNK_BYTES: usize = 64 << 10;
/// How many events are asked for at once.
const BATCH: usize = 256;

/// What to show.
#[derive(Debug, Deserialize)]
#[cfg_attr(test, derive(utoipa::IntoParams), into_params(parameter_in = Query))]
#[serde(deny_unknown_fields)]
pub(crate) struct EventsQuery {
    /// Whether to go on with the events that come, or end at what waits now.
    #[serde(default = "yes")]
    #[cfg_attr(test, param(default = true))]
    follow: bool,
    /// End after so many events.
    limit: Option<u64>,
}

const fn yes() -> bool {
    true
}

/// Show the events that wait in a subscription as NDJSON, and those that come. None is taken.
#[cfg_attr(test, utoipa::path(get, path = "/v1/projects/{project}/subscriptions/{subscription}/events", tag = "subscriptions", operation_id = "browse_subscription",
    params(("project" = String, Path, description = "The project."), ("subscription" = String, Path, description = "The subscription."), EventsQuery),
    responses((status = 200, description = "Events as they were stored, one a line, and empty lines while there are none.",
        body = String, content_type = "application/x-ndjson"))))]
pub(crate) async fn show(
    State(admin): State<Admin>,
    caller: Caller,
    uri: Uri,
) -> Result<Response, Refused> {
    let subscription = found(&admin, &caller, Action::Read)?;
    let query: EventsQuery = input::query(&uri)?;
    let (hub, grant) = (admin.hub(), &caller.grant);
    // Before the look: what comes in between is then in both, and told once.
    let coming = if query.follow { Some(tap(hub, grant, &subscription).await?) } else { None };
    let waiting = hub.browse(grant, &subscription, None).await?;
    let shown = Shown {
        waiting: Some(waiting),
        coming,
        seen: HashMap::new(),
        left: query.limit.unwrap_or(u64::MAX),
    };
    let body = unfold(shown, async |mut shown| {
        let chunk = shown.next().await?;
        Some((Ok::<_, std::convert::Infallible>(chunk), shown))
    });
    let headers = [(CONTENT_TYPE, "application/x-ndjson"), (CACHE_CONTROL, "no-store")];
    Ok((headers, Body::from_stream(body)).into_response())
}

/// A consumer of what comes to the subscription's streams from now on.
async fn tap(hub: &Hub, grant: &Grant, of: &Subscription) -> Result<Consumers, Refused> {
    let name = format!("passing:{:016x}", hub.rng().next_u64());
    let new = NewSubscription {
        name: input::id("", &name, SubscriptionName::new)?,
        sources: from_now(of.sources()),
        settings: SubscriptionSettings {
            selector: of.settings().selector.clone(),
            ..SubscriptionSettings::default()
        },
        durable: false,
    };
    let tap = hub.create_subscription(of.project(), new).await?;
    let mut consumers = hub.consumers(grant);
    let options =
        ConsumerOptions { auto_ack: true, name: "tail".to_owned(), ..ConsumerOptions::default() };
    consumers.add(&tap, options).await?;
    Ok(consumers)
}

/// What is still to be shown.
struct Shown {
    waiting: Option<Browse>,
    coming: Option<Consumers>,
    /// The last offset shown of each stream, so that none is shown twice.
    seen: HashMap<StreamId, Offset>,
    left: u64,
}

impl Shown {
    /// The next lines; `None` at the end.
    async fn next(&mut self) -> Option<Bytes> {
        let mut chunk = BytesMut::new();
        while let Some(waiting) = &mut self.waiting {
            if self.left == 0 || chunk.len() >= CHUNK_BYTES {
                break;
            }
            match waiting.next().await {
                Some(delivery) => self.show(&delivery, &mut chunk),
                None => self.waiting = None,
            }
        }
        if !chunk.is_empty() {
            return Some(chunk.freeze());
        }
        while self.left > 0 {
            let Ok(delivered) = timeout(HEARTBEAT, self.coming.as_mut()?.next(BATCH)).await else {
                return Some(Bytes::from_static(b"\n"));
            };
            let Delivered::Events { events, .. } = delivered else { return None };
            events.iter().for_each(|delivery| self.show(delivery, &mut chunk));
            if !chunk.is_empty() {
                return Some(chunk.freeze());
            }
        }
        None
    }

    fn show(&mut self, delivery: &Delivery, chunk: &mut BytesMut) {
        let (stream, offset) = (delivery.stream.id, delivery.event.offset());
        let is_new = self.seen.get(&stream).is_none_or(|seen| offset > *seen);
        if is_new && self.left > 0 {
            self.left -= 1;
            self.seen.insert(stream, offset);
            chunk.extend_from_slice(delivery.event.line());
        }
    }
}
