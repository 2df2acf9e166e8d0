//! As much HTTP/1.1 as a load generator needs: keep-alive requests rendered beforehand, answers
//! with a length, and streams read raw.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::{BenchError, During as _};

/// An answer's head is never this long here.
const HEAD_BYTES_MAX: usize = 16 * 1024;
/// Nor is the answer to a publish, or a batch of events.
const BODY_BYTES_MAX: usize = 8 * 1024 * 1024;

/// One keep-alive connection with at most one request in flight.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: TcpStream,
    /// Head and body of the last answer; kept to be filled again.
    answer: Vec<u8>,
}

/// What a server said to one request.
#[derive(Debug)]
pub(crate) struct Answer<'a> {
    pub(crate) status: u16,
    pub(crate) body: &'a [u8],
}

impl Connection {
    pub(crate) async fn open(server: SocketAddr) -> Result<Self, BenchError> {
        let stream = TcpStream::connect(server).await.during("connecting")?;
        stream.set_nodelay(true).during("setting up a socket")?;
        Ok(Self { stream, answer: Vec::with_capacity(4096) })
    }

    /// Sends `request` and reads its answer, which has to carry a Content-Length.
    pub(crate) async fn exchange(&mut self, request: &[u8]) -> Result<Answer<'_>, BenchError> {
        self.stream.write_all(request).await.during("sending a request")?;
        let head = self.read_head().await?;
        let (status, length) = {
            let text = self.answer.get(..head).unwrap_or_default();
            match status(text)? {
                204 => (204, 0),
                status => (status, content_length(text)?),
            }
        };
        while self.answer.len() < head + length {
            self.read_more().await?;
        }
        Ok(Answer { status, body: self.answer.get(head..head + length).unwrap_or_default() })
    }

    /// Sends `request`, expects 200, and hands over the socket of the stream with the bytes of the
    /// body that came along with the head.
    pub(crate) async fn into_stream(
        mut self,
        request: &[u8],
    ) -> Result<(TcpStream, Vec<u8>), BenchError> {
        self.stream.write_all(request).await.during("asking for a stream")?;
        let head = self.read_head().await?;
        let text = self.answer.get(..head).unwrap_or_default();
        if status(text)? != 200 {
            return Err(BenchError::Answer(String::from_utf8_lossy(&self.answer).into_owned()));
        }
        Ok((self.stream, self.answer.split_off(head)))
    }

    /// Reads until the end of the head and returns its length.
    async fn read_head(&mut self) -> Result<usize, BenchError> {
        self.answer.clear();
        loop {
            if let Some(end) = memchr::memmem::find(&self.answer, b"\r\n\r\n") {
                return Ok(end + 4);
            }
            if self.answer.len() > HEAD_BYTES_MAX {
                return Err(BenchError::Answer("a head without end".to_owned()));
            }
            self.read_more().await?;
        }
    }

    async fn read_more(&mut self) -> Result<(), BenchError> {
        if self.stream.read_buf(&mut self.answer).await.during("reading an answer")? == 0 {
            return Err(BenchError::Answer("the server closed the connection".to_owned()));
        }
        Ok(())
    }
}

fn status(head: &[u8]) -> Result<u16, BenchError> {
    let code = head.get(9..12).and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok());
    code.ok_or_else(|| BenchError::Answer(String::from_utf8_lossy(head).into_owned()))
}

pub(crate) fn content_length(head: &[u8]) -> Result<usize, BenchError> {
    let missing = || BenchError::Answer("an answer without a length".to_owned());
    let text = std::str::from_utf8(head).map_err(|_| missing())?;
    let value = text.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim())
    });
    let length = value.and_then(|value| value.parse().ok()).ok_or_else(missing)?;
    if length > BODY_BYTES_MAX { Err(missing()) } else { Ok(length) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_are_read_as_servers_write_them() {
        let head = b"HTTP/1.1 200 OK\r\ncontent-type: x\r\nContent-Length: 12\r\n\r\n";
        assert_eq!(status(head).unwrap(), 200);
        assert_eq!(content_length(head).unwrap(), 12);
        assert!(content_length(b"HTTP/1.1 200 OK\r\n\r\n").is_err());
        assert!(content_length(b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\n").is_err());
        assert!(status(b"HTTP").is_err());
    }
}
