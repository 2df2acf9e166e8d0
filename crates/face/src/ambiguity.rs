//! Requests that another on the way may have taken for a different one: they are refused, whoever is
//! asked for, so that nobody is led past what the other has checked.
//!
//! [`refusal`] is called by [`crate::listener`] for every request; a [`Look`] is taken by
//! [`crate::guard`] at the head's bytes, for what hyper leaves out of the fields that it gives: a number
//! of bytes beside chunks, and its repetition. Nor does hyper tell by which bytes a line ends: a recipient may
//! take LF alone (RFC 9112 2.2), and one that does not sees other fields. No client that we
//! serve sends it.
//!
//! A head that comes before the answer to the request before it, or behind a body that nobody read, is not
//! looked at like this: who reads its bytes would have to follow the body's. Of two lengths the chunks count
//! there (RFC 9112 6.3), of equal numbers one. Where only its end comes behind that answer, what follows may be
//! a body as well: bytes are a head's if they begin with a request's line.
//!
//! Invariant: where it is in doubt how far a request goes, the connection ends with the answer, so that what
//! follows is never taken for another.

use axum::body::Body;
use http::header::{AUTHORIZATION, CONTENT_LENGTH, HOST, TRANSFER_ENCODING};
use http::{HeaderValue, Request, StatusCode, Version};
use outflow_model::ErrorCode;

use crate::Problem;

const LENGTH: &[u8] = b"content-length:";
const CHUNKS: &[u8] = b"transfer-encoding:";
/// As much of a line as must be seen to know it.
const LINE_BYTES: usize = CHUNKS.len();
/// How the first line of a head ends (RFC 9112 3).
const VERSIONS: [&[u8]; 2] = [b"HTTP/1.1", b"HTTP/1.0"];
/// As much of its end as must be seen to know it, with a CR.
const END_BYTES: usize = 9;

/// What is wrong with a head as its bytes tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It gives the length of its body both as a number and by chunks.
    BothLengths = 1,
    /// It gives that number more than once.
    TwoNumbers,
    /// A line ends without CR.
    BareNewline,
}

impl Fault {
    pub(crate) const ALL: [Self; 3] = [Self::BothLengths, Self::TwoNumbers, Self::BareNewline];
}

/// What is seen of a head, as its bytes come.
#[derive(Debug, Default)]
pub(crate) struct Look {
    /// How the line begins that has not ended.
    line: [u8; LINE_BYTES],
    /// How much of that there is.
    len: usize,
    /// How the first line ends, as far as it has come.
    end: [u8; END_BYTES],
    /// Whether the line's last byte so far is CR.
    has_return: bool,
    has_begun: bool,
    /// Whether the first line is a request's.
    is_request: bool,
    has_ended: bool,
    has_number: bool,
    has_two_numbers: bool,
    has_chunks: bool,
    has_bare_newline: bool,
}

impl Look {
    /// Takes the next bytes of the head, and what comes behind it.
    pub(crate) fn at(&mut self, bytes: &[u8]) {
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
        if let Some(last) = text.last() {
            self.has_return = *last == b'\r';
        }
        if !self.has_begun {
            for byte in text.iter().skip(text.len().saturating_sub(END_BYTES)) {
                self.end.rotate_left(1);
                self.end.iter_mut().rev().take(1).for_each(|last| *last = *byte);
            }
        }
    }

    fn end_line(&mut self) {
        let line = self.line.get(..self.len).unwrap_or_default();
        let is_blank = matches!(line, b"" | b"\r");
        // Blank lines may stand before a head (RFC 9112 2.2).
        self.has_ended = self.has_begun && is_blank;
        if !self.has_begun && !is_blank {
            let end = self.end.strip_suffix(b"\r").unwrap_or(&self.end);
            self.is_request = VERSIONS.into_iter().any(|version| end.ends_with(version));
        }
        self.has_begun |= !is_blank;
        self.has_bare_newline |= self.has_begun && !self.has_return;
        if line.starts_with(LENGTH) {
            self.has_two_numbers |= self.has_number;
            self.has_number = true;
        }
        self.has_chunks |= line == CHUNKS;
        (self.len, self.has_return) = (0, false);
    }

    /// What is wrong with the head, once it is complete. Where it is not `sure` that the bytes were a
    /// head's and no body's, or they do not begin as a head, only what [`refusal`] finds again in its fields.
    pub(crate) const fn fault(&self, sure: bool) -> Option<Fault> {
        let sure = sure && self.is_request;
        if !self.has_ended {
            None
        } else if self.has_number && self.has_chunks {
            Some(Fault::BothLengths)
        } else if sure && self.has_two_numbers {
            Some(Fault::TwoNumbers)
        } else if sure && self.has_bare_newline {
            Some(Fault::BareNewline)
        } else {
            None
        }
    }
}

/// Why a request is refused that could be taken for another.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) problem: Problem,
    /// Whether the connection ends with it.
    pub(crate) is_last: bool,
}

/// Whether a request could be taken for another; `fault` is what the bytes of its head tell.
pub(crate) fn refusal(request: &Request<Body>, fault: Option<Fault>) -> Option<Refusal> {
    let (headers, version) = (request.headers(), request.version());
    let count = |name| headers.get_all(name).iter().take(2).count();
    let (is_last, detail) = if let Some(refusal) = coding(headers.get_all(TRANSFER_ENCODING)) {
        return Some(refusal);
    } else if fault == Some(Fault::BothLengths) && headers.contains_key(TRANSFER_ENCODING) {
        (true, "a request has either `content-length` or `transfer-encoding`")
    } else if fault == Some(Fault::TwoNumbers) && headers.contains_key(CONTENT_LENGTH) {
        (true, "a request has one `content-length`")
    } else if fault == Some(Fault::BareNewline) {
        (true, "each line of a request's head ends with CR and LF")
    } else if version == Version::HTTP_11 && count(HOST) != 1 {
        // RFC 9112 3.2.
        (false, "an HTTP/1.1 request has exactly one Host header")
    } else if count(AUTHORIZATION) > 1 {
        (false, "the request has several `authorization` headers")
    } else {
        return None;
    };
    Some(Refusal { problem: Problem::new(ErrorCode::Malformed, detail), is_last })
}

/// Whether a body is coded otherwise than by chunks, once: all else is a body's own.
fn coding<'a>(fields: impl IntoIterator<Item = &'a HeaderValue>) -> Option<Refusal> {
    let mut codings =
        fields.into_iter().flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    let is_chunked = |coding: &[u8]| coding.trim_ascii().eq_ignore_ascii_case(b"chunked");
    let first = codings.next()?;
    let (mut is_known, mut is_one) = (is_chunked(first), true);
    for coding in codings {
        is_known &= is_chunked(coding);
        is_one = false;
    }
    let detail = "the only transfer coding is `chunked`, once";
    let problem = match (is_known, is_one) {
        (true, true) => return None,
        // RFC 9112 7.1 and 6.1.
        (true, false) => Problem::new(ErrorCode::Malformed, detail),
        (false, _) => {
            Problem::new(ErrorCode::UnsupportedMedia, detail).of_status(StatusCode::NOT_IMPLEMENTED)
        }
    };
    Some(Refusal { problem, is_last: true })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(head: &str, piece: usize) -> Option<Fault> {
        let mut look = Look::default();
        head.as_bytes().chunks(piece).for_each(|bytes| look.at(bytes));
        look.fault(true)
    }

    #[test]
    fn faults_are_found_however_the_head_comes() {
        let number = "Content-Length: 4\r\n";
        let chunks = "TRANSFER-encoding: chunked\r\n";
        let both = Some(Fault::BothLengths);
        let (two, bare) = (Some(Fault::TwoNumbers), Some(Fault::BareNewline));
        for piece in [1, 2, 7, 1000] {
            for (head, found) in [
                (format!("POST / HTTP/1.1\r\n{number}Host: x\r\n{chunks}\r\n"), both),
                (format!("\r\nPOST / HTTP/1.1\r\n{chunks}{number}\r\nbody"), both),
                (format!("POST / HTTP/1.1\n{chunks}{number}\n").replace('\r', ""), both),
                (format!("POST / HTTP/1.1\r\n{number}{number}\r\n"), two),
                (format!("POST / HTTP/1.1\n{number}\r\n"), bare),
                (format!("POST / HTTP/1.1\r\nHost: x\n{number}\r\n"), bare),
                (format!("POST / HTTP/1.1\r\n{number}\n"), bare),
                (format!("POST / HTTP/1.1\r\n{number}\r\n{chunks}\r\n"), None),
                (format!("POST / HTTP/1.1\r\n{number}\r\n{number}\n\n"), None),
                (format!("POST / HTTP/1.1\r\n{chunks}\r\n{number}\r\n"), None),
                (format!("POST / HTTP/1.1\r\nX: {number}{chunks}\r\n"), None),
                (format!("POST / HTTP/1.1\r\nx-{number}x-{chunks}\r\n"), None),
                (format!("POST / HTTP/1.1\r\n{number}{chunks}"), None),
                (format!("POST / HTTP/1.0\n{number}\n"), bare),
                // The end of a head, and a body.
                (format!("\r\n{{}}\n{{}}\nPOST / HTTP/1.1\r\n{number}{number}\r\n"), None),
                (format!("{number}\r\nPOST / HTTP/1.1\n{number}\r\n"), None),
                ("\n\nGET / HTTP/1.1\r\n\r\n".to_owned(), None),
            ] {
                assert_eq!(fault(&head, piece), found, "{head:?} by {piece}");
            }
        }
    }
}
