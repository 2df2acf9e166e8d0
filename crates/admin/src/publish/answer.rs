//! The answers to a publish, written by hand into one buffer.
//!
//! Called by [`super::publish`]. The types that are only described, never built, keep the OpenAPI
//! document true; a test holds the hand-written text to them.

use std::io::Write;

use axum::body::Body;
use axum::response::Response;
use http::HeaderValue;
use http::header::CONTENT_TYPE;
use outflow_hub::{Placed, Receipt};
use outflow_model::Draft;
use serde::{Deserialize, Serialize};

/// The most events that are answered one by one.
pub(crate) const MAX_LISTED: usize = 1000;

/// What one entry of the answer takes, about: its fixed parts, an offset and a UUID.
const ENTRY_BYTES: usize = 110;

/// The answer to a publish: `events` for small batches, the counts for large ones.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(untagged)]
#[expect(dead_code, reason = "described in the document; the text is written by hand")]
pub(crate) enum Published {
    /// Every event, in the order of the request.
    Listed {
        /// The events.
        events: Vec<PublishedEvent>,
    },
    /// The batch as a whole.
    Summary(Summary),
}

/// Where an event is.
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct PublishedEvent {
    /// Its offset; of a copy, the first one's.
    offset: String,
    /// Its id: the publisher's, or the one that the server made.
    id: String,
    /// Whether it was taken before, and is not stored again.
    duplicate: bool,
}

/// A batch as a whole.
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct Summary {
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
#[cfg(test)]
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = Event)]
pub(crate) struct EventInput {
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

/// The ids of a draft's events, kept for the answer while the draft goes its way.
#[derive(Debug)]
pub(crate) struct Ids {
    text: Vec<u8>,
    ends: Vec<usize>,
}

impl Ids {
    pub(crate) fn of(draft: &Draft) -> Self {
        let mut ids = Self {
            text: Vec::with_capacity(draft.len() * 40),
            ends: Vec::with_capacity(draft.len()),
        };
        let mut lines = draft.lines();
        for meta in draft.metas() {
            let Some((line, rest)) = lines.split_at_checked(meta.line_len as usize) else { break };
            ids.text.extend_from_slice(meta.id(line));
            ids.ends.push(ids.text.len());
            lines = rest;
        }
        ids
    }

    /// Ids hold nothing that JSON would escape (`EventId`).
    fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, &end)| self.text.get(start..end).unwrap_or_default())
    }
}

/// `{"events":[{"offset":"…","id":"…","duplicate":false},…]}`
pub(crate) fn listed(receipt: &Receipt, ids: &Ids) -> Response {
    json(write_listed(receipt, ids))
}

/// `{"count":n,"first":"…","last":"…","duplicates":n}`
pub(crate) fn summary(receipt: &Receipt) -> Response {
    json(write_summary(receipt))
}

fn write_listed(receipt: &Receipt, ids: &Ids) -> Vec<u8> {
    let mut out = Vec::with_capacity(16 + receipt.events.len() * ENTRY_BYTES);
    out.extend_from_slice(b"{\"events\":[");
    for (at, (Placed { offset, duplicate }, id)) in
        receipt.events.iter().zip(ids.iter()).enumerate()
    {
        out.extend_from_slice(if at == 0 { b"{\"offset\":\"" } else { b",{\"offset\":\"" });
        // Writing to a Vec does not fail.
        let _ = write!(out, "{offset}");
        out.extend_from_slice(b"\",\"id\":\"");
        out.extend_from_slice(id);
        out.extend_from_slice(if *duplicate {
            b"\",\"duplicate\":true}"
        } else {
            b"\",\"duplicate\":false}"
        });
    }
    out.extend_from_slice(b"]}");
    out
}

fn write_summary(receipt: &Receipt) -> Vec<u8> {
    let count = receipt.events.len();
    // Offsets rise within a batch.
    let mut fresh = receipt.events.iter().filter(|placed| !placed.duplicate);
    let first = fresh.next();
    let last = receipt.events.iter().rfind(|placed| !placed.duplicate);
    let duplicates = count - first.map_or(0, |_| 1 + fresh.count());
    let mut out = Vec::with_capacity(96);
    let quoted = |out: &mut Vec<u8>, placed: Option<&Placed>| {
        // Writing to a Vec does not fail, here and below.
        let _ = match placed {
            Some(placed) => write!(out, "\"{}\"", placed.offset),
            None => write!(out, "null"),
        };
    };
    let _ = write!(out, "{{\"count\":{count},\"first\":");
    quoted(&mut out, first);
    out.extend_from_slice(b",\"last\":");
    quoted(&mut out, last);
    let _ = write!(out, ",\"duplicates\":{duplicates}}}");
    out
}

fn json(text: Vec<u8>) -> Response {
    let mut response = Response::new(Body::from(text));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

#[cfg(test)]
mod tests {
    use outflow_model::Offset;

    use super::*;

    #[test]
    fn the_text_is_what_the_document_says() {
        let offset = |n: u64| Offset::new(1_000_000_000_000_000 + n);
        let placed = |n, duplicate| Placed { offset: offset(n), duplicate };
        let receipt = Receipt { events: vec![placed(7, true), placed(8, false), placed(9, false)] };
        let ids = Ids { text: b"abc".to_vec(), ends: vec![1, 2, 3] };
        let mut answer: serde_json::Value =
            serde_json::from_slice(&write_listed(&receipt, &ids)).unwrap();
        let events: Vec<PublishedEvent> = serde_json::from_value(answer["events"].take()).unwrap();
        let seen: Vec<_> =
            events.iter().map(|event| (&*event.offset, &*event.id, event.duplicate)).collect();
        assert_eq!(
            seen,
            [
                ("1000000000000007", "a", true),
                ("1000000000000008", "b", false),
                ("1000000000000009", "c", false)
            ]
        );
        let summary: Summary = serde_json::from_slice(&write_summary(&receipt)).unwrap();
        assert_eq!((summary.count, summary.duplicates), (3, 1));
        assert_eq!(summary.first.as_deref(), Some("1000000000000008"));
        assert_eq!(summary.last.as_deref(), Some("1000000000000009"));
        let copies = Receipt { events: vec![placed(7, true)] };
        let summary: Summary = serde_json::from_slice(&write_summary(&copies)).unwrap();
        assert_eq!((summary.first, summary.duplicates), (None, 1));
    }
}
