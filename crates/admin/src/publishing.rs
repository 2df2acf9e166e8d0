//! Publishing, described for the document alone: `face-publish` serves it.
//!
//! Compiled for the tests of [`crate::document`] only. Nothing here is ever run.

#![allow(dead_code, reason = "the descriptions are read from what stands above each item")]

use serde::Serialize;

/// The description.
#[derive(utoipa::OpenApi)]
#[openapi(paths(publish))]
pub(crate) struct Publishing;

/// How to answer.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct PublishQuery {
    /// Answer with counts instead of an entry for every event. Batches of more than 1,000 events
    /// are always answered so.
    #[param(default = false)]
    summary: Option<bool>,
}

/// Publish one event, several as NDJSON, or an array; all of them or none.
///
/// An event is a JSON object. Its `id`, `type`, `occurred`, `key`, `headers` and `body` have a
/// meaning, other members are kept as they are. Answered when the events are durable (unless the
/// stream is relaxed). Repeating a request is harmless where events have ids of their own: copies
/// are recognised within the stream's dedup window and answered with the first one's offset.
/// Answered 413: a body, an event or a batch that is larger than the server takes, and a change by which
/// an entity of a keyed stream would have more than 256 KiB.
#[utoipa::path(post, path = "/v1/projects/{project}/streams/{stream}/events", tag = "events", operation_id = "publish",
    params(("project" = String, Path, description = "The project."), ("stream" = String, Path, description = "The stream."), PublishQuery),
    request_body(content((EventInput = "application/json"), (String = "application/x-ndjson"))),
    responses((status = 200, description = "The events are taken.", body = Published)))]
const fn publish() {}

/// The answer to a publish: `events` for small batches, the counts for large ones.
#[derive(Serialize, utoipa::ToSchema)]
#[serde(untagged)]
enum Published {
    /// Every event, in the order of the request.
    Listed {
        /// The events.
        events: Vec<PublishedEvent>,
    },
    /// The batch as a whole.
    Summary(Summary),
}

/// Where an event is.
#[derive(Serialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
struct PublishedEvent {
    /// Its offset; of a copy, the first one's.
    offset: String,
    /// Its id: the publisher's, or the one that the server made.
    id: String,
    /// Whether it was taken before, and is not stored again.
    duplicate: bool,
}

/// A batch as a whole.
#[derive(Serialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
struct Summary {
    /// How many events there were.
    count: u64,
    /// The lowest offset that was given; null if all were copies.
    first: Option<String>,
    /// The highest offset that was given; null if all were copies.
    last: Option<String>,
    /// How many were copies.
    duplicates: u64,
}

/// An event as publishers send it; members that are not named here are kept as they are.
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = Event)]
struct EventInput {
    /// The same on every copy: up to 128 printable ASCII characters. Made by the server if absent.
    #[schema(max_length = 128)]
    id: Option<String>,
    /// Up to 64 printable ASCII characters; `EVENT` if absent.
    #[schema(max_length = 64, example = "ORDER_PLACED")]
    r#type: Option<String>,
    /// When it happened (RFC 3339); the time it is taken if absent or too far ahead.
    #[schema(format = DateTime)]
    occurred: Option<String>,
    /// What it is about; events of one key are in order wherever they go.
    key: Option<String>,
    /// Names and values.
    headers: Option<std::collections::BTreeMap<String, String>>,
    /// Any JSON value; kept byte for byte.
    body: Option<serde_json::Value>,
}
