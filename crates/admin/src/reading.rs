//! The routes that stream events, described for the document alone: `face-ndjson` serves them.
//!
//! Compiled for the tests of [`crate::document`] only. Nothing here is ever run.

#![allow(dead_code, reason = "the descriptions are read from what stands above each function")]

/// The descriptions.
#[derive(utoipa::OpenApi)]
#[openapi(paths(read, events, general))]
pub(crate) struct Reading;

/// Read a stream as NDJSON: one event a line, an empty line when nothing came for a while.
#[utoipa::path(get, path = "/v1/projects/{project}/streams/{stream}/events", tag = "reading", operation_id = "read",
    params(("project" = String, Path, description = "The project."), ("stream" = String, Path, description = "The stream."),
        ("start" = Option<String>, Query, description = "Where to begin: `earliest`, `latest`, `now`, the offset of the last event that counts as read, or an RFC 3339 time. `latest` if absent."),
        ("cursor" = Option<String>, Query, description = "Begin after the place of this cursor, if it has one; over `start`."),
        ("follow" = Option<bool>, Query, description = "Whether to go on with what is published from now on (the default), or end at what is the end now."),
        ("limit" = Option<u64>, Query, description = "End after this many events."),
        ("filters" = Option<String>, Query, description = "A JSON array of filters; events that pass one of them are sent. At most 64 KiB, of 1,000 entries and 250 matchers, nested 32 deep.")),
    responses((status = 200, description = "Events as they were stored. The header `Outflow-From` is the offset that reading begins after.",
        body = String, content_type = "application/x-ndjson")))]
const fn read() {}

/// Read the default stream of a project as Airship's Real-Time Data Streaming does, version 3.
///
/// The project is the header `X-UA-Appkey`, or the user of Basic authentication where the project
/// accepts it.
#[utoipa::path(post, path = "/api/events", tag = "reading", operation_id = "read_airship",
    params(("X-UA-Appkey" = Option<String>, Header, description = "The project, with a bearer token.")),
    request_body(content = Option<serde_json::Value>, description = "An object with any of `start` (`EARLIEST` or `LATEST`), `resume_offset`, `filters`, \
        `subset`, `enable_offset_updates`, and beyond Airship's `start_time` (RFC 3339) and `cursor` (a name). At most 64 KiB, decoded; its filters have at most 1,000 entries \
        and 250 matchers, nested 32 deep."),
    responses((status = 200, description = "Events, one a line, and empty lines while there are none.",
        body = String, content_type = "application/vnd.urbanairship+x-ndjson; version=3;")))]
const fn events() {}

/// Read the compliance events of a project's default stream, with its master secret.
#[utoipa::path(post, path = "/api/events/general", tag = "reading", operation_id = "read_airship_general",
    request_body(content = Option<serde_json::Value>, description = "As for `/api/events`."),
    responses((status = 200, description = "Events, one a line, and empty lines while there are none.",
        body = String, content_type = "application/vnd.urbanairship+x-ndjson; version=3;")))]
const fn general() {}
