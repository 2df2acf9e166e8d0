//! The route of upstream systems, described for the document alone: `face-ingest` serves it.
//!
//! Compiled for the tests of [`crate::document`] only. Nothing here is ever run.

#![allow(dead_code, reason = "the descriptions are read from what stands above each function")]

/// The descriptions.
#[derive(utoipa::OpenApi)]
#[openapi(paths(ingest))]
pub(crate) struct Ingesting;

/// Send one record to an ingest stream: a JSON object or an XML document, as the stream takes.
///
/// Answered when the record is durable. It lands in exactly one file, with others of its stream.
/// JSON keeps its bytes but for newlines between tokens: numbers of any size stay as they are written, as do
/// names that an object has twice. XML is parsed when it lands: a document that
/// does not parse lands among the failed records, with its bytes and the reason. What is answered
/// 400, 401, 403, 404, 409, 413 or 415 is not to be sent again as it is; 429, 500, 503 and 504 are,
/// after `Retry-After`.
#[utoipa::path(post, path = "/stream/v0/data/{id}", tag = "ingest", operation_id = "ingest",
    params(("id" = String, Path, description = "The ingest stream, `is-` and nine letters or digits."),
        ("X-Amperity-Tenant" = Option<String>, Header, description = "The project; when it is named it must be the token's."),
        ("Content-Encoding" = Option<String>, Header, description = "`gzip`, `zstd` or none.")),
    request_body(content((serde_json::Value = "application/json"), (String = "application/xml"))),
    responses((status = 202, description = "The record is taken, and durable."),
        (status = 204, description = "The stream is set to drop what comes: thrown away."),
        (status = 400, description = "The record is no JSON object; line and byte are named."),
        (status = 401, description = "The token does not hold, or is not of the tenant that is named: fetch a new one."),
        (status = 403, description = "The token's scopes do not have `streaming-ingest:write`."),
        (status = 404, description = "There is no such ingest stream here."),
        (status = 409, description = "The stream is set to reject what comes."),
        (status = 413, description = "The record is larger than the server takes, 254,000 bytes unless it is set."),
        (status = 415, description = "The stream takes another content type."),
        (status = 429, description = "Too many requests of this tenant; `Retry-After` says when to come again."),
        (status = 503, description = "Not now; `Retry-After` says when to come again."),
        (status = 504, description = "The body did not come in time.")))]
const fn ingest() {}
