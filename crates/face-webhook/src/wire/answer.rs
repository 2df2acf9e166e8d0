//! An endpoint's answer: the status, when to come back, the beginning of its body.
//!
//! Fed by whoever owns the socket. The status decides what becomes of a batch; the body is read for
//! people only, and so that the connection can be used again.
//!
//! Invariants: the head is whole before anything is believed; what is read and kept is
//! bounded by [`Limits`], whatever lengths are announced; a fault in the body never changes
//! what the status said; a connection is only used again when its answer ended where it said.

use super::chunk::Chunks;

/// The most headers of an answer.
const MAX_HEADERS: usize = 100;
/// The longest `Retry-After` that means anything.
const MAX_RETRY_AFTER_BYTES: usize = 64;

/// What of an answer is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The longest head, interim answers counted one by one, in bytes.
    pub head_bytes: usize,
    /// How much of a body is read for the sake of the connection, in bytes; what is longer is left.
    pub body_bytes: usize,
    /// How much of a body is kept, in bytes.
    pub excerpt_bytes: usize,
    /// The most interim answers (1xx).
    pub interims: u32,
}

impl Default for Limits {
    /// Reference `trust_ux.md` 1.3, SSRF rule 4: 16 KiB of either.
    fn default() -> Self {
        Self { head_bytes: 16 << 10, body_bytes: 16 << 10, excerpt_bytes: 2_000, interims: 8 }
    }
}

/// What an endpoint answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// 200 to 999.
    pub status: u16,
    /// The `Retry-After` as it came.
    pub retry_after: Option<String>,
    /// The beginning of the body, as it came: packed if it came packed.
    pub excerpt: Vec<u8>,
    /// Whether the connection can carry another request.
    pub is_reusable: bool,
}

/// Why there is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AnswerError {
    /// The head goes over its limit.
    #[error("the answer's head is too large")]
    TooLarge,
    /// Too many interim answers.
    #[error("too many interim answers")]
    Interims,
    /// Not HTTP/1.
    #[error("the answer is not HTTP/1.1")]
    Malformed,
    /// The connection ended before the head did.
    #[error("the connection was closed before an answer")]
    Closed,
}

/// Where a body ends (RFC 9112 6.3).
#[derive(Debug)]
enum Framing {
    /// After so many bytes.
    Sized(u64),
    Chunked(Chunks),
    /// With the connection.
    Closing,
}

/// A body that is being read.
#[derive(Debug)]
struct Reading {
    answer: Answer,
    framing: Framing,
    /// How many bytes of it have come.
    seen: usize,
    /// Whether the endpoint keeps the connection.
    lasts: bool,
}

/// Reads one answer. See the module.
#[derive(Debug)]
pub struct Decoder {
    limits: Limits,
    /// The head so far, and from where on its end is looked for.
    head: Vec<u8>,
    from: usize,
    interims: u32,
    body: Option<Reading>,
}

impl Decoder {
    /// A decoder for the next answer of a connection.
    #[must_use]
    pub const fn new(limits: Limits) -> Self {
        Self { limits, head: Vec::new(), from: 0, interims: 0, body: None }
    }

    /// Takes what came; gives the answer once no more is wanted of it.
    ///
    /// # Errors
    /// [`AnswerError`]: the connection is of no use any more.
    pub fn take(&mut self, bytes: &[u8]) -> Result<Option<Answer>, AnswerError> {
        if self.body.is_some() {
            return Ok(self.take_body(bytes));
        }
        self.head.extend_from_slice(bytes);
        while let Some(end) = self.end_of_head() {
            let Some(head) = parse(self.head.get(..end).unwrap_or_default())? else { continue };
            let rest = self.head.split_off(end);
            self.from = 0;
            if let Parsed::Final(reading) = head {
                self.head = Vec::new();
                self.body = Some(reading);
                return Ok(self.take_body(&rest));
            }
            self.head = rest;
            self.interims += 1;
            if self.interims > self.limits.interims {
                return Err(AnswerError::Interims);
            }
        }
        if self.head.len() > self.limits.head_bytes { Err(AnswerError::TooLarge) } else { Ok(None) }
    }

    /// Whether the status has come, and with it what becomes of the batch.
    #[must_use]
    pub const fn has_status(&self) -> bool {
        self.body.is_some()
    }

    /// Whether the status has come, and says that the batch is taken.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.body.as_ref().is_some_and(|reading| (200..300).contains(&reading.answer.status))
    }

    /// The body is read to its end, however long it is: the endpoint may say what it reads while it reads it.
    pub const fn read_out(&mut self) {
        self.limits.body_bytes = usize::MAX;
    }

    /// The connection has ended: the answer that there is.
    ///
    /// # Errors
    /// [`AnswerError::Closed`]: there is none.
    pub fn end(self) -> Result<Answer, AnswerError> {
        self.cut().ok_or(AnswerError::Closed)
    }

    /// The answer as far as it has come, if its status has; it goes on.
    #[must_use]
    pub fn so_far(&self) -> Option<Answer> {
        self.body.as_ref().map(|reading| reading.answer.clone())
    }

    /// The time is over: the answer that there is, if its status has come.
    #[must_use]
    pub fn cut(self) -> Option<Answer> {
        self.body.map(|reading| reading.answer)
    }

    /// The place after the next empty line of the head, within its limit.
    fn end_of_head(&mut self) -> Option<usize> {
        let head = self.head.get(..self.limits.head_bytes).unwrap_or(&self.head);
        let new = head.get(self.from..)?;
        let found = new.iter().enumerate().find_map(|(at, &byte)| {
            let after = match new.get(at + 1..)? {
                [b'\n', ..] => 2,
                [b'\r', b'\n', ..] => 3,
                _ => return None,
            };
            (byte == b'\n').then_some(at + after)
        });
        // The first of the two newlines may be there already.
        let rest = self.from.max(head.len().saturating_sub(2));
        self.from = found.map_or(rest, |found| self.from + found);
        found.map(|_| self.from)
    }

    /// Takes bytes of the body; gives the answer when it is over, or too long to be read out.
    fn take_body(&mut self, bytes: &[u8]) -> Option<Answer> {
        let Reading { answer, framing, seen, lasts } = self.body.as_mut()?;
        let max = self.limits.excerpt_bytes;
        let keep = |data: &[u8]| {
            let room = max.saturating_sub(answer.excerpt.len()).min(data.len());
            answer.excerpt.extend_from_slice(data.get(..room).unwrap_or_default());
        };
        *seen = seen.saturating_add(bytes.len());
        let taken = framing.take(bytes, keep);
        if !taken.is_over && *seen <= self.limits.body_bytes {
            return None;
        }
        answer.is_reusable = *lasts && taken.is_over && taken.is_all;
        self.body.take().map(|reading| reading.answer)
    }
}

/// What became of bytes.
struct Taken {
    /// Whether the body is over.
    is_over: bool,
    /// Whether all of them belong to it. Others may pass for the answer to a request not made yet.
    is_all: bool,
}

impl Framing {
    /// Takes bytes, and gives `keep` what is content of them.
    fn take(&mut self, bytes: &[u8], mut keep: impl FnMut(&[u8])) -> Taken {
        match self {
            Self::Sized(left) => {
                let used = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
                keep(bytes.get(..used).unwrap_or_default());
                *left -= used as u64;
                Taken { is_over: *left == 0, is_all: used == bytes.len() }
            }
            Self::Chunked(chunks) => match chunks.take(bytes, keep) {
                Ok(used) => Taken { is_over: chunks.is_over(), is_all: used == bytes.len() },
                // From here on nothing on the connection means anything.
                Err(_) => Taken { is_over: true, is_all: false },
            },
            Self::Closing => {
                keep(bytes);
                Taken { is_over: false, is_all: true }
            }
        }
    }
}

/// What a head is of.
enum Parsed {
    Interim,
    Final(Reading),
}

/// Reads a head that ends with an empty line; `None`: it was empty lines only.
fn parse(head: &[u8]) -> Result<Option<Parsed>, AnswerError> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut response = httparse::Response::new(&mut headers);
    match response.parse(head) {
        Ok(httparse::Status::Complete(used)) if used == head.len() => {}
        Ok(httparse::Status::Partial) => return Ok(None),
        Ok(httparse::Status::Complete(_)) | Err(_) => return Err(AnswerError::Malformed),
    }
    let status = response.code.ok_or(AnswerError::Malformed)?;
    match status {
        // Nobody asked for another protocol.
        0..100 | 101 => return Err(AnswerError::Malformed),
        100..200 => return Ok(Some(Parsed::Interim)),
        _ => {}
    }
    let framing = framing(status, response.headers)?;
    let asks_to_close = values(response.headers, "connection")
        .any(|value| tokens(value).any(|token| token.eq_ignore_ascii_case(b"close")));
    // Two lengths at once are a way to smuggle an answer.
    let has_both = values(response.headers, "transfer-encoding").next().is_some()
        && values(response.headers, "content-length").next().is_some();
    let is_bounded = !has_both && !matches!(framing, Framing::Closing);
    let lasts = response.version == Some(1) && !asks_to_close && is_bounded;
    let retry_after = values(response.headers, "retry-after").next();
    let retry_after = retry_after.filter(|value| value.len() <= MAX_RETRY_AFTER_BYTES);
    let retry_after = retry_after.and_then(|value| std::str::from_utf8(value).ok());
    let answer = Answer {
        status,
        retry_after: retry_after.map(|value| value.trim().to_owned()),
        excerpt: Vec::new(),
        is_reusable: false,
    };
    Ok(Some(Parsed::Final(Reading { answer, framing, seen: 0, lasts })))
}

/// Where the body of an answer ends.
fn framing(status: u16, headers: &[httparse::Header<'_>]) -> Result<Framing, AnswerError> {
    if matches!(status, 204 | 304) {
        return Ok(Framing::Sized(0));
    }
    if let Some(last) = values(headers, "transfer-encoding").last() {
        let is_chunked =
            tokens(last).last().is_some_and(|token| token.eq_ignore_ascii_case(b"chunked"));
        return Ok(if is_chunked { Framing::Chunked(Chunks::default()) } else { Framing::Closing });
    }
    let mut length = None;
    for token in values(headers, "content-length").flat_map(tokens) {
        let digits = std::str::from_utf8(token)
            .ok()
            .filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
        let one: u64 = digits.and_then(|text| text.parse().ok()).ok_or(AnswerError::Malformed)?;
        if length.is_some_and(|known| known != one) {
            return Err(AnswerError::Malformed);
        }
        length = Some(one);
    }
    Ok(length.map_or(Framing::Closing, Framing::Sized))
}

fn values<'a>(
    headers: &'a [httparse::Header<'a>],
    name: &'a str,
) -> impl Iterator<Item = &'a [u8]> {
    headers.iter().filter(move |one| one.name.eq_ignore_ascii_case(name)).map(|one| one.value)
}

fn tokens(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|&byte| byte == b',').map(<[u8]>::trim_ascii)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The answer to bytes that come in pieces, the connection staying open or not.
    fn read(bytes: &[u8], step: usize, ends: bool) -> Result<Option<Answer>, AnswerError> {
        let mut decoder = Decoder::new(Limits::default());
        for part in bytes.chunks(step.max(1)) {
            if let Some(answer) = decoder.take(part)? {
                return Ok(Some(answer));
            }
        }
        if ends { decoder.end().map(Some) } else { Ok(None) }
    }

    fn whole(bytes: &str) -> Result<Option<Answer>, AnswerError> {
        read(bytes.as_bytes(), usize::MAX, false)
    }

    fn answer(status: u16, excerpt: &str, is_reusable: bool) -> Answer {
        Answer { status, retry_after: None, excerpt: excerpt.into(), is_reusable }
    }

    #[test]
    fn answers_are_read_in_any_pieces() {
        let cases = [
            ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", answer(200, "ok", true)),
            ("HTTP/1.1 204 No Content\r\n\r\n", answer(204, "", true)),
            ("HTTP/1.1 202 \nContent-Length: 0\n\n", answer(202, "", true)),
            (
                "\r\n\r\nHTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 500 Oh\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nno\r\n0\r\n\r\n",
                answer(500, "no", true),
            ),
            (
                "HTTP/1.1 400 Bad\r\nConnection: foo, CLOSE\r\nContent-Length: 2, 2\r\n\r\nno",
                answer(400, "no", false),
            ),
            ("HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", answer(200, "", false)),
        ];
        for (bytes, expected) in cases {
            for step in 1..=bytes.len() {
                let got = read(bytes.as_bytes(), step, false);
                assert_eq!(got, Ok(Some(expected.clone())), "{bytes:?} by {step}");
            }
        }
    }

    #[test]
    fn a_body_without_an_end_is_cut_and_the_status_stands() {
        let head = "HTTP/1.1 200 OK\r\n\r\n";
        assert_eq!(
            read(format!("{head}abc").as_bytes(), 1, true),
            Ok(Some(answer(200, "abc", false)))
        );
        let endless = [head.as_bytes(), &[b'x'; 20_000]].concat();
        let got = read(&endless, 1_000, false).unwrap().unwrap();
        assert_eq!((got.status, got.excerpt.len(), got.is_reusable), (200, 2_000, false));
        let huge = format!("HTTP/1.1 503 No\r\nContent-Length: {}\r\n\r\nabc", u64::MAX);
        let mut decoder = Decoder::new(Limits::default());
        assert_eq!(decoder.take(huge.as_bytes()), Ok(None));
        assert_eq!(decoder.cut(), Some(answer(503, "abc", false)));
    }

    #[test]
    fn a_fault_in_the_body_costs_the_connection_alone() {
        let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        for body in ["zz\r\n", "2\r\nokk", "z"] {
            let got = whole(&format!("{head}{body}")).unwrap().unwrap();
            assert_eq!((got.status, got.is_reusable), (200, false), "{body:?}");
        }
        let two = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\n";
        assert_eq!(whole(two), Ok(Some(answer(200, "ok", false))), "an answer to no request");
        let both = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n";
        let both = format!("{both}2\r\nok\r\n0\r\n\r\n");
        assert_eq!(whole(&both), Ok(Some(answer(200, "ok", false))), "two lengths");
        let packed = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, gzip\r\n\r\n2\r\n";
        let got = read(packed.as_bytes(), 9, true);
        assert_eq!(got, Ok(Some(answer(200, "2\r\n", false))), "not chunked at last");
    }

    #[test]
    fn what_is_no_answer_is_refused() {
        let bad = [
            "SSH-2.0-OpenSSH_9\r\n\r\n",
            "HTTP/2 200\r\n\r\n",
            "HTTP/1.1 099 Low\r\n\r\n",
            "HTTP/1.1 101 Switching\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 1, 2\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\n",
            "HTTP/1.1 200 OK\r\nA\0: b\r\n\r\n",
        ];
        for bytes in bad {
            assert_eq!(whole(bytes), Err(AnswerError::Malformed), "{bytes:?}");
        }
        assert_eq!(read(b"HTTP/1.1 200 O", 3, true), Err(AnswerError::Closed));
        assert_eq!(read(b"", 3, true), Err(AnswerError::Closed));
    }

    #[test]
    fn floods_of_interims_and_headers_end() {
        let flood = "HTTP/1.1 103 Early\r\n\r\n".repeat(9);
        assert_eq!(read(flood.as_bytes(), 7, false), Err(AnswerError::Interims));
        let long = format!("HTTP/1.1 200 OK\r\nA: {}\r\n\r\n", "a".repeat(17 << 10));
        assert_eq!(read(long.as_bytes(), 512, false), Err(AnswerError::TooLarge));
        let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "A: b\r\n".repeat(101));
        assert_eq!(whole(&many), Err(AnswerError::Malformed));
    }

    #[test]
    fn retry_after_is_kept_as_it_came() {
        let of = |value: &str| {
            let bytes =
                format!("HTTP/1.1 429 Slow\r\nretry-AFTER: {value}\r\nContent-Length: 0\r\n\r\n");
            whole(&bytes).unwrap().unwrap().retry_after
        };
        assert_eq!(of(" 120 "), Some("120".to_owned()));
        assert_eq!(of(&"1".repeat(65)), None);
    }

    proptest! {
        #[test]
        fn nothing_panics_and_pieces_make_no_difference(
            parts in prop::collection::vec(prop::sample::select(vec![
                "HTTP/1.1 200 OK", "HTTP/1.1 100 C", "HTTP/1.1 429 S", "\r\n", "\n", "\r\n\r\n",
                "Content-Length: 3", "Transfer-Encoding: chunked", "Connection: close", "3", "abc", "0", "",
            ]), 0..14),
            step in 1_usize..20,
        ) {
            let bytes = parts.concat();
            let strip = |got: Result<Option<Answer>, AnswerError>| {
                // What follows an answer is only seen when it comes with it.
                got.map(|answer| answer.map(|answer| Answer { is_reusable: false, ..answer }))
            };
            let one = strip(read(bytes.as_bytes(), step, true));
            prop_assert_eq!(one, strip(read(bytes.as_bytes(), usize::MAX, true)));
        }
    }
}
