//! What a peer is told whose request's head cannot be taken: a problem document, as by every route.
//!
//! hyper answers such a head by itself, with a status and no body, before any service sees it.
//! [`crate::guard`] writes what [`instead`] makes of that in its place. A head of HTTP/2 that is too
//! large is refused by [`crate::listener`] with [`too_large`]; the same frames at twice the size, and
//! whatever is wrong with HTTP/2's framing, are answered by hyper, without a document. So is a bad head that
//! comes in one piece with a request before it, if the two answers are written at once.
//!
//! Invariant: only a whole message is replaced, and only at the beginning of one. What a body holds is
//! never taken for hyper's answer, whatever it says, because [`Told`] says when its bytes are on their way.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http::header::CONTENT_LENGTH;
use http::{HeaderMap, StatusCode};
use http_body::{Frame, SizeHint};
use outflow_model::ErrorCode;

use crate::guard::Requests;
use crate::{HttpLimits, Problem};

/// No answer of hyper's own is longer.
const LONGEST: usize = 256;

/// The body of an answer that tells of its pieces.
#[derive(Debug)]
pub(crate) struct Told {
    body: Body,
    requests: Arc<Requests>,
}

impl Told {
    pub(crate) const fn new(body: Body, requests: Arc<Requests>) -> Self {
        Self { body, requests }
    }
}

impl http_body::Body for Told {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = self.get_mut();
        let frame = ready!(Pin::new(&mut this.body).poll_frame(cx));
        this.requests.piece_taken();
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Whether a head's method is HEAD, whose answer has no body (RFC 9110 9.3.2), found as its bytes come:
/// nobody else says so of a head that was not taken.
#[derive(Debug, Default)]
pub(crate) struct Asked {
    /// How much of the method has come.
    len: u8,
    is_other: bool,
}

impl Asked {
    const HEAD: &[u8] = b"HEAD ";

    /// Takes the next bytes of the head, and what comes behind it.
    pub(crate) fn look(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            if self.is_other || self.is_head() {
                return;
            }
            // Blank lines may stand before a head (RFC 9112 2.2).
            if self.len == 0 && matches!(byte, b'\r' | b'\n') {
                continue;
            }
            self.is_other = Self::HEAD.get(usize::from(self.len)) != Some(&byte);
            self.len += 1;
        }
    }

    pub(crate) const fn is_head(&self) -> bool {
        !self.is_other && self.len as usize == Self::HEAD.len()
    }
}

/// The answer as one to HEAD has it: with the length of its body, and without that.
pub(crate) fn without_body(mut answer: Response) -> Response {
    if let Some(length) = http_body::Body::size_hint(answer.body()).exact() {
        answer.headers_mut().insert(CONTENT_LENGTH, length.into());
    }
    answer.map(|_| Body::empty())
}

/// The message to write in the place of `written`, if that is an answer without a body to a head that
/// was not taken; `is_late` when the head did not come in time, `is_head` when it asks for no body.
pub(crate) fn instead(
    written: &[u8],
    is_late: bool,
    is_head: bool,
    limits: &HttpLimits,
) -> Option<Vec<u8>> {
    const EMPTY: &str = "content-length: 0\r\n";
    if written.len() > LONGEST || !written.starts_with(b"HTTP/1.") {
        return None;
    }
    let written = std::str::from_utf8(written).ok()?;
    let (line, fields) = written.split_once("\r\n")?;
    let status = line.split(' ').nth(1)?;
    let status = status.parse().ok().and_then(|status| StatusCode::from_u16(status).ok())?;
    // The blank line is the end, and nothing follows.
    let fields = fields.strip_suffix("\r\n").filter(|fields| !fields.contains("\r\n\r\n"))?;
    let (before, behind) = fields.split_once(EMPTY)?;
    let told = if is_late { StatusCode::REQUEST_TIMEOUT } else { status };
    let (code, detail) = match (told, status) {
        (StatusCode::REQUEST_TIMEOUT, StatusCode::BAD_REQUEST) => {
            let limit = limits.header_timeout.as_millis();
            (ErrorCode::Timeout, format!("the request's head did not arrive within {limit} ms"))
        }
        (StatusCode::BAD_REQUEST, _) => {
            (ErrorCode::Malformed, "the request's head is not one of HTTP/1.1".to_owned())
        }
        (StatusCode::URI_TOO_LONG, _) => {
            (ErrorCode::TooLarge, "the request's target is too long".to_owned())
        }
        (StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, _) => {
            let HttpLimits { max_headers, max_head_bytes, .. } = limits;
            let most = format!("at most {max_headers} header fields and {max_head_bytes} bytes");
            (ErrorCode::TooLarge, format!("a request's head has {most}"))
        }
        _ => return None,
    };
    let body = Problem::new(code, detail).of_status(told).to_json().to_string();
    let (number, length) = (told.as_u16(), body.len());
    let body = if is_head { "" } else { body.as_str() };
    let title = told.canonical_reason().unwrap_or_default();
    let version = line.split(' ').next()?;
    Some(
        format!(
            "{version} {number} {title}\r\n{before}content-type: application/problem+json\r\n\
             content-length: {length}\r\n{behind}\r\n{body}"
        )
        .into_bytes(),
    )
}

/// Why header fields of HTTP/2 are refused that have more than `max` bytes together, counted as
/// HTTP/2 does (RFC 9113 6.5.2).
pub(crate) fn too_large(headers: &HeaderMap, max: usize) -> Option<Problem> {
    let bytes =
        |name: &http::HeaderName, value: &http::HeaderValue| name.as_str().len() + value.len() + 32;
    let all: usize = headers.iter().map(|(name, value)| bytes(name, value)).sum();
    (all > max).then(|| {
        let detail = format!("header fields may have {max} bytes together, and these have {all}");
        let problem = Problem::new(ErrorCode::TooLarge, detail);
        problem.of_status(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE)
    })
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    const OWN: &str = "HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\n\
                       content-length: 0\r\ndate: Mon, 23 Nov 2026 00:00:00 GMT\r\n\r\n";

    fn replaced(written: &str, is_late: bool) -> Option<String> {
        let message = instead(written.as_bytes(), is_late, false, &HttpLimits::default())?;
        Some(String::from_utf8(message).unwrap())
    }

    #[test]
    fn an_answer_without_a_body_gets_one_of_its_length() {
        let message = replaced(OWN, false).unwrap();
        let (head, body) = message.split_once("\r\n\r\n").unwrap();
        let document: Value = serde_json::from_str(body).unwrap();
        assert!(
            head.starts_with("HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close")
        );
        assert!(
            head.ends_with("GMT") && head.contains(&format!("content-length: {}\r\n", body.len()))
        );
        assert_eq!(
            (document["status"].as_u64(), document["code"].as_str()),
            (Some(431), Some("too_large"))
        );
        let late =
            replaced(&OWN.replace("431 Request Header Fields Too Large", "400 Bad Request"), true);
        assert!(late.unwrap().starts_with("HTTP/1.1 408 Request Timeout\r\n"));
    }

    #[test]
    fn a_head_is_known_by_its_method_however_it_comes() {
        let asks = |head: &str, piece: usize| {
            let mut asked = Asked::default();
            head.as_bytes().chunks(piece).for_each(|bytes| asked.look(bytes));
            asked.is_head()
        };
        for piece in [1, 2, 1000] {
            for head in ["HEAD / HTTP/1.1\r\na b: c", "\r\n\nHEAD ", "HEAD GET"] {
                assert!(asks(head, piece), "{head:?} by {piece}");
            }
            for head in
                ["HEAD", "HEADS / HTTP/1.1", "head / HTTP/1.1", "GET / HEAD ", "H\nEAD ", ""]
            {
                assert!(!asks(head, piece), "{head:?} by {piece}");
            }
        }
    }

    #[test]
    fn nothing_else_is_touched() {
        for other in [
            OWN.replace("431", "404"),
            OWN.replace("431", "200"),
            OWN.replace("content-length: 0", "content-length: 1"),
            format!("{OWN}more"),
            format!("{OWN}\r\n"),
            format!("x{OWN}"),
            OWN.replace("date", &"d".repeat(LONGEST)),
            OWN[..OWN.len() - 1].to_owned(),
            String::new(),
        ] {
            assert_eq!(replaced(&other, false), None, "{other}");
        }
    }
}
