//! The routes of server-sent events, described for the document alone: `face-sse` serves them.
//!
//! Compiled for the tests of [`crate::document`] only. Nothing here is ever run.

#![allow(dead_code, reason = "the descriptions are read from what stands above each function")]

/// The descriptions.
#[derive(utoipa::OpenApi)]
#[openapi(paths(changes, load, listen))]
pub(crate) struct Feeding;

/// Where to begin, and by which token.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct PlaceQuery {
    /// Begin after the event of this id, as the header `Last-Event-ID` does, which wins. An id that
    /// is unknown or no longer kept is answered 410, unless the server is set to begin at the oldest.
    #[param(rename = "lastEventId")]
    last_event_id: Option<String>,
    /// Another spelling of `lastEventId`, which wins over it.
    last_id: Option<String>,
    /// Begin at a time: `earliest`, `now`, an ISO 8601 time with its offset, or a duration back from
    /// now such as `5hours` or `PT5H`. An id wins over it.
    from: Option<String>,
    /// End after this many events.
    limit: Option<u64>,
    /// A token, for clients that cannot send headers, such as a browser's `EventSource`. Only one
    /// that ends within an hour is taken from a URL. A stream ends when its token does; as a browser
    /// comes back to the same URL, its page must then open another with a new token.
    access_token: Option<String>,
}

/// Listen to the changes of a keyed stream's entities, as server-sent events.
///
/// Each has an `id`, an `event` (`create`, `update` or `delete`), and two `data` lines: the header
/// with `ref`, `tstamp` and `tick`, and the entity's fields, of an update those that changed.
/// Without a place it begins with what comes next. A line with a colon alone marks silence.
#[utoipa::path(get, path = "/v1/projects/{project}/feed/changes", tag = "feeds", operation_id = "listen_changes",
    params(("project" = String, Path, description = "The project."), PlaceQuery,
        ("stream" = Option<String>, Query, description = "The keyed stream; needed where the project has several."),
        ("Last-Event-ID" = Option<String>, Header, description = "Begin after the event of this id.")),
    responses((status = 200, description = "Events.", body = String, content_type = "text/event-stream"),
        (status = 410, description = "The place is not kept: load anew, or begin with `from`.")))]
const fn changes() {}

/// Listen to what extractions send, as server-sent events.
///
/// Each is an event `load` in the form of a change, with the time and tick of the version that was
/// read: fold both feeds by time and tick. Without a place it begins with the newest extraction. The
/// comment `: end-of-load job=N` marks where the load of job N is whole; it comes again after a
/// reconnect in front of it.
#[utoipa::path(get, path = "/v1/projects/{project}/feed/load", tag = "feeds", operation_id = "listen_load",
    params(("project" = String, Path, description = "The project."), PlaceQuery,
        ("stream" = Option<String>, Query, description = "Loads of this keyed stream only; needed where the project has several."),
        ("Last-Event-ID" = Option<String>, Header, description = "Begin after the event of this id.")),
    responses((status = 200, description = "Events.", body = String, content_type = "text/event-stream"),
        (status = 410, description = "The place is not kept: extract again.")))]
const fn load() {}

/// Listen to any stream, as server-sent events: each is one line of JSON as it was stored.
#[utoipa::path(get, path = "/v1/projects/{project}/streams/{stream}/sse", tag = "feeds", operation_id = "listen_stream",
    params(("project" = String, Path, description = "The project."), ("stream" = String, Path, description = "The stream."), PlaceQuery,
        ("named" = Option<bool>, Query, description = "Whether events are named by their types (the default). `EventSource.onmessage` gets only those that are not."),
        ("Last-Event-ID" = Option<String>, Header, description = "Begin after the event of this id.")),
    responses((status = 200, description = "Events.", body = String, content_type = "text/event-stream"),
        (status = 410, description = "The place is not kept.")))]
const fn listen() {}
