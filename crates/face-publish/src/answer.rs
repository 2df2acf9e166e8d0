//! The answers to a publish, written by hand into one buffer.
//!
//! Called by [`crate::listen`]. `admin` describes them in its document, and its tests hold these
//! texts to it.

use std::io::Write;

use axum::body::Body;
use axum::response::Response;
use http::HeaderValue;
use http::header::CONTENT_TYPE;
use outflow_hub::{Placed, Receipt};
use outflow_model::Draft;

/// The most events that are answered one by one.
pub const MAX_LISTED: usize = 1000;

/// What one entry of the answer takes, about: its fixed parts, an offset and a UUID.
const ENTRY_BYTES: usize = 110;

/// The ids of a draft's events, kept for the answer while the draft goes its way.
#[derive(Debug)]
pub struct Ids {
    text: Vec<u8>,
    ends: Vec<usize>,
}

impl Ids {
    /// Those of `draft`.
    pub fn of(draft: &Draft) -> Self {
        let mut ids = Self {
            text: Vec::with_capacity(draft.len() * 40),
            ends: Vec::with_capacity(draft.len()),
        };
        for (meta, line) in draft.metas().with_lines(draft.lines()) {
            ids.text.extend_from_slice(meta.id(line));
            ids.ends.push(ids.text.len());
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
pub fn listed(receipt: &Receipt, ids: &Ids) -> Response {
    json(write_listed(receipt, ids))
}

/// `{"count":n,"first":"…","last":"…","duplicates":n}`
pub fn summary(receipt: &Receipt) -> Response {
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
    fn events_are_listed_or_counted() {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        let offset = |n: u64| Offset::new(1_000_000_000_000_000 + n);
        let placed = |n, duplicate| Placed { offset: offset(n), duplicate };
        let receipt = Receipt { events: vec![placed(7, true), placed(8, false), placed(9, false)] };
        let ids = Ids { text: b"abc".to_vec(), ends: vec![1, 2, 3] };
        assert_eq!(
            text(write_listed(&receipt, &ids)),
            r#"{"events":[{"offset":"1000000000000007","id":"a","duplicate":true},{"offset":"1000000000000008","id":"b","duplicate":false},{"offset":"1000000000000009","id":"c","duplicate":false}]}"#
        );
        assert_eq!(
            text(write_summary(&receipt)),
            r#"{"count":3,"first":"1000000000000008","last":"1000000000000009","duplicates":1}"#
        );
        let copies = Receipt { events: vec![placed(7, true)] };
        assert_eq!(
            text(write_summary(&copies)),
            r#"{"count":1,"first":null,"last":null,"duplicates":1}"#
        );
    }
}
