//! Requests that another on the way may have taken for a different one: they are refused, whoever is
//! asked for, so that nobody is led past what the other has checked.
//!
//! [`refusal`] is called by [`crate::listener`] for every request, [`Lengths`] are looked for by
//! [`crate::guard`] in the head's bytes: of a request that gives its length both as a number and by chunks
//! hyper drops the number before anybody sees it. Of such a request that is sent before the answer to
//! the one before it, the chunks count (RFC 9112 6.3). The connection ends with either, so that what
//! follows is never taken for a request.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::header::{AUTHORIZATION, HOST, TRANSFER_ENCODING};
use http::{Request, Version};
use outflow_model::ErrorCode;

use crate::Problem;

const LENGTH: &[u8] = b"content-length:";
const CHUNKS: &[u8] = b"transfer-encoding:";
/// As much of a line as must be seen to know it.
const LINE_BYTES: usize = CHUNKS.len();

/// Whether a head gives the length of its body twice, found as its bytes come.
#[derive(Debug, Default)]
pub(crate) struct Lengths {
    /// How the line begins that has not ended.
    line: [u8; LINE_BYTES],
    /// How much of that there is.
    len: usize,
    has_begun: bool,
    has_ended: bool,
    has_number: bool,
    has_chunks: bool,
}

impl Lengths {
    /// Takes the next bytes of the head, and what comes behind it.
    pub(crate) fn look(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        while !self.has_ended && !rest.is_empty() {
            let end = memchr::memchr(b'\n', rest);
            let (text, after) = rest.split_at(end.unwrap_or(rest.len()));
            self.add(text);
            rest = after.split_first().map_or(after, |(_, after)| after);
            if end.is_some() {
                self.end_line();
            }
        }
    }

    fn add(&mut self, text: &[u8]) {
        let room = self.line.get_mut(self.len..).unwrap_or_default();
        let more = text.len().min(room.len());
        for (to, from) in room.iter_mut().zip(text) {
            *to = from.to_ascii_lowercase();
        }
        self.len += more;
    }

    fn end_line(&mut self) {
        let line = self.line.get(..self.len).unwrap_or_default();
        // Blank lines may stand before a head (RFC 9112 2.2).
        self.has_ended = self.has_begun && matches!(line, b"" | b"\r");
        self.has_begun |= !matches!(line, b"" | b"\r");
        self.has_number |= line.starts_with(LENGTH);
        self.has_chunks |= line == CHUNKS;
        self.len = 0;
    }

    /// Whether the head is complete and does.
    pub(crate) const fn are_two(&self) -> bool {
        self.has_ended && self.has_number && self.has_chunks
    }
}

/// The answer to a request that could be taken for another; `has_two_lengths` when its head may be
/// one whose [`Lengths`] are two.
pub(crate) fn refusal(request: &Request<Body>, has_two_lengths: bool) -> Option<Response> {
    let (headers, version) = (request.headers(), request.version());
    let count = |name| headers.get_all(name).iter().take(2).count();
    let detail = if version == Version::HTTP_11 && count(HOST) != 1 {
        // RFC 9112 3.2.
        "an HTTP/1.1 request has exactly one Host header"
    } else if count(AUTHORIZATION) > 1 {
        "the request has several `authorization` headers"
    } else if has_two_lengths && headers.contains_key(TRANSFER_ENCODING) {
        "a request has either `content-length` or `transfer-encoding`"
    } else {
        return None;
    };
    Some(refused(detail))
}

#[cold]
fn refused(detail: &str) -> Response {
    Problem::new(ErrorCode::Malformed, detail).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn are_two(head: &str, piece: usize) -> bool {
        let mut lengths = Lengths::default();
        head.as_bytes().chunks(piece).for_each(|bytes| lengths.look(bytes));
        lengths.are_two()
    }

    #[test]
    fn two_lengths_are_found_however_the_head_comes() {
        let number = "Content-Length: 4\r\n";
        let chunks = "TRANSFER-encoding: chunked\r\n";
        for piece in [1, 2, 7, 1000] {
            for head in [
                format!("POST / HTTP/1.1\r\n{number}Host: x\r\n{chunks}\r\n"),
                format!("\r\nPOST / HTTP/1.1\r\n{chunks}{number}\r\nbody"),
                format!("POST / HTTP/1.1\n{chunks}{number}\n").replace('\r', ""),
            ] {
                assert!(are_two(&head, piece), "{head:?} by {piece}");
            }
            for head in [
                format!("POST / HTTP/1.1\r\n{number}\r\n{chunks}\r\n"),
                format!("POST / HTTP/1.1\r\n{chunks}\r\n{number}\r\n"),
                format!("POST / HTTP/1.1\r\nX: {number}{chunks}\r\n"),
                format!("POST / HTTP/1.1\r\nx-{number}x-{chunks}\r\n"),
                format!("POST / HTTP/1.1\r\n{number}{chunks}"),
            ] {
                assert!(!are_two(&head, piece), "{head:?} by {piece}");
            }
        }
    }
}
