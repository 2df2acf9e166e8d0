//! A reader that costs as little as a reader can: it takes what comes and throws it away, and only
//! looks whether the end was a clean one.

use std::cell::RefCell;
use std::io::Write;
use std::rc::Rc;

use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;

use crate::target::Target;
use crate::wire::Connection;
use crate::{BenchError, During as _};

/// The last chunk of a body that ended as it should.
pub(crate) const LAST_CHUNK: &[u8] = b"0\r\n\r\n";
/// How an event stream ends, whose body has no chunks.
pub(crate) const LAST_EVENT: &[u8] = b"\n\n";

/// A buffer that all readers of a thread take turns with: nobody waits while holding it.
pub(crate) type Scratch = Rc<RefCell<Vec<u8>>>;

pub(crate) fn scratch() -> Scratch {
    Rc::new(RefCell::new(vec![0; 512 * 1024]))
}

/// An open stream; the server has answered.
#[derive(Debug)]
pub(crate) struct Reader {
    stream: TcpStream,
    first: Vec<u8>,
}

impl Reader {
    pub(crate) async fn open(target: &Target, request: &[u8]) -> Result<Self, BenchError> {
        let (stream, first) = Connection::open(target.server).await?.into_stream(request).await?;
        Ok(Self { stream, first })
    }

    /// Reads to the end, which is to be `end`, and returns the number of bytes, chunk framing
    /// included.
    pub(crate) async fn discard(self, scratch: Scratch, end: &[u8]) -> Result<u64, BenchError> {
        let mut tail = Tail::default();
        tail.see(&self.first);
        let mut bytes = self.first.len() as u64;
        loop {
            self.stream.readable().await.during("waiting for a stream")?;
            let mut buffer = scratch.borrow_mut();
            match self.stream.try_read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => {
                    tail.see(buffer.get(..count).unwrap_or_default());
                    bytes += count as u64;
                }
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error).during("reading a stream"),
            }
        }
        if tail.0.ends_with(end) {
            Ok(bytes)
        } else {
            Err(BenchError::Answer("a stream broke off".to_owned()))
        }
    }

    /// Reads to the end and returns the whole body without its framing.
    pub(crate) async fn collect(mut self) -> Result<Vec<u8>, BenchError> {
        let mut framed = std::mem::take(&mut self.first);
        self.stream.read_to_end(&mut framed).await.during("reading a stream")?;
        unframe(&framed).ok_or_else(|| BenchError::Answer("a stream broke off".to_owned()))
    }

    /// The socket and what came with the head, for a reader that looks at its events.
    pub(crate) fn into_parts(self) -> (TcpStream, Vec<u8>) {
        (self.stream, self.first)
    }
}

/// The last five bytes seen.
#[derive(Debug, Default)]
struct Tail([u8; 5]);

impl Tail {
    fn see(&mut self, bytes: &[u8]) {
        for &byte in bytes.get(bytes.len().saturating_sub(5)..).unwrap_or_default() {
            self.0.rotate_left(1);
            self.0[4] = byte;
        }
    }
}

/// A chunked body without its chunks; `None` if it does not end as it should.
fn unframe(mut framed: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::with_capacity(framed.len());
    loop {
        let end = memchr::memmem::find(framed, b"\r\n")?;
        let size = std::str::from_utf8(framed.get(..end)?).ok()?;
        let size = usize::from_str_radix(size.trim(), 16).ok()?;
        if size == 0 {
            return (framed == LAST_CHUNK).then_some(body);
        }
        body.extend_from_slice(framed.get(end + 2..end.checked_add(2 + size)?)?);
        framed = framed.get(end + 2 + size..)?.strip_prefix(b"\r\n")?;
    }
}

/// Events in a body: its lines that are not empty.
pub(crate) fn count_events(body: &[u8]) -> u64 {
    body.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()).count() as u64
}

/// The plain bytes of a gzip body, which has to be whole.
pub(crate) fn gunzip(body: &[u8]) -> Result<Vec<u8>, BenchError> {
    let mut plain = flate2::write::GzDecoder::new(Vec::new());
    plain.write_all(body).during("decoding gzip")?;
    plain.finish().during("decoding the end of gzip")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn framing_is_taken_off_and_a_cut_is_noticed() {
        let framed = b"3\r\na\nb\r\n2\r\n\n\n\r\n0\r\n\r\n";
        assert_eq!(unframe(framed).unwrap(), b"a\nb\n\n");
        assert_eq!(count_events(b"a\nb\n\n"), 2);
        for cut in 0..framed.len() {
            assert!(unframe(&framed[..cut]).is_none(), "{cut}");
        }
    }

    #[test]
    fn the_tail_is_kept_over_any_cuts() {
        let mut tail = Tail::default();
        for part in [&b"abc0"[..], b"\r", b"", b"\n\r\n"] {
            tail.see(part);
        }
        assert_eq!(tail.0, LAST_CHUNK);
    }
}
