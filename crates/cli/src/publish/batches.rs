//! Cutting input into batches of whole lines.
//!
//! A batch ends when it is full, when the input pauses, or at the input's end. Lines are counted,
//! not looked into: the server checks them.

use std::io::{self, Read};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::sync::mpsc;

use crate::failure::Failure;

/// How much is asked of the input at once.
const READ_BYTES: usize = 256 << 10;
/// How many pieces are read ahead.
const PIECES: usize = 4;
/// The longest line taken; the server takes less.
const MAX_LINE_BYTES: usize = 32 << 20;

/// What a reading thread hands over; it ends with the input, or after an error.
pub(crate) type Pieces = mpsc::Receiver<io::Result<Bytes>>;

/// Reads `input` on a thread of its own. Not on the runtime's: a read of a terminal may never
/// return, and the process must be able to end without it.
pub(crate) fn read(mut input: impl Read + Send + 'static) -> Pieces {
    let (sender, pieces) = mpsc::channel(PIECES);
    #[expect(clippy::disallowed_methods, reason = "a read of a terminal may never return")]
    std::thread::spawn(move || {
        let mut room = vec![0; READ_BYTES];
        loop {
            let piece = match input.read(&mut room) {
                Ok(0) => return,
                Ok(read) => Ok(Bytes::copy_from_slice(room.get(..read).unwrap_or_default())),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => Err(error),
            };
            let failed = piece.is_err();
            if sender.blocking_send(piece).is_err() || failed {
                return;
            }
        }
    });
    pieces
}

/// Whole lines, in order.
#[derive(Debug)]
pub(crate) struct Batch {
    /// The number of its first line in the input, from 1.
    pub(crate) first_line: u64,
    /// The lines.
    pub(crate) text: Bytes,
}

/// The batches of an input.
#[derive(Debug)]
pub(crate) struct Batches {
    input: Pieces,
    held: BytesMut,
    ended: bool,
    next_line: u64,
    max_lines: usize,
    max_bytes: usize,
    linger: Duration,
}

impl Batches {
    pub(crate) fn new(input: Pieces, max_lines: usize, max_bytes: usize, linger: Duration) -> Self {
        let held = BytesMut::new();
        Self { input, held, ended: false, next_line: 1, max_lines, max_bytes, linger }
    }

    /// The next batch that has more than white space in it; none at the end of the input.
    pub(crate) async fn next(&mut self) -> Result<Option<Batch>, Failure> {
        loop {
            self.fill().await?;
            let end = self.end();
            if end == 0 {
                return Ok(None);
            }
            let text = self.held.split_to(end).freeze();
            let first_line = self.next_line;
            self.next_line += memchr::memchr_iter(b'\n', &text).count() as u64;
            if !text.trim_ascii().is_empty() {
                return Ok(Some(Batch { first_line, text }));
            }
        }
    }

    /// Reads until a batch is full, the input pauses after a whole line, or it ends.
    async fn fill(&mut self) -> Result<(), Failure> {
        while !self.ended && !self.is_full() {
            if self.held.len() > MAX_LINE_BYTES && memchr::memchr(b'\n', &self.held).is_none() {
                let line = self.next_line;
                return Err(Failure::Input(format!(
                    "line {line} has more than {MAX_LINE_BYTES} bytes"
                )));
            }
            let has_line = memchr::memrchr(b'\n', &self.held).is_some();
            let piece = if has_line {
                match tokio::time::timeout(self.linger, self.input.recv()).await {
                    Ok(piece) => piece,
                    Err(_) => return Ok(()),
                }
            } else {
                self.input.recv().await
            };
            match piece.transpose() {
                Ok(Some(piece)) => self.held.extend_from_slice(&piece),
                Ok(None) => self.ended = true,
                Err(error) => {
                    return Err(Failure::Input(format!("cannot read the input: {error}")));
                }
            }
        }
        Ok(())
    }

    fn is_full(&self) -> bool {
        let has_line = memchr::memrchr(b'\n', &self.held).is_some();
        has_line
            && (self.held.len() >= self.max_bytes
                || memchr::memchr_iter(b'\n', &self.held).nth(self.max_lines - 1).is_some())
    }

    /// Where the next batch ends in what is held: after as many whole lines as fit, at least one.
    fn end(&self) -> usize {
        let mut end = 0;
        for newline in memchr::memchr_iter(b'\n', &self.held).take(self.max_lines) {
            if end > 0 && newline + 1 > self.max_bytes {
                return end;
            }
            end = newline + 1;
        }
        let lines_left = memchr::memchr(b'\n', self.held.get(end..).unwrap_or_default()).is_some();
        if self.ended && !lines_left && (end == 0 || self.held.len() <= self.max_bytes) {
            // The last line may lack its newline.
            return self.held.len();
        }
        end
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn cut(text: &str, max_lines: usize, max_bytes: usize) -> Vec<(u64, String)> {
        let input = read(io::Cursor::new(text.to_owned()));
        let mut batches = Batches::new(input, max_lines, max_bytes, Duration::from_secs(60));
        let mut seen = Vec::new();
        while let Some(batch) = batches.next().await.unwrap() {
            seen.push((batch.first_line, String::from_utf8(batch.text.to_vec()).unwrap()));
        }
        seen
    }

    #[tokio::test]
    async fn batches_are_whole_lines_and_know_where_they_stand() {
        let seen = cut("a\nb\n\n\nc\nlast", 2, 1000).await;
        let expected = [(1, "a\nb\n"), (5, "c\nlast")].map(|(line, text)| (line, text.to_owned()));
        assert_eq!(seen, expected);
        assert_eq!(cut("aaaa\nbbbb\n", 100, 6).await.len(), 2);
        assert_eq!(cut("longer-than-a-batch\n", 100, 4).await.len(), 1);
        assert_eq!(cut(" \n\n", 100, 4).await, []);
        let text = "x\n".repeat(10_001);
        assert_eq!(cut(&text, 5000, 1 << 20).await.len(), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_of_the_input_sends_what_is_there() {
        let (writer, input) = mpsc::channel(4);
        let mut batches = Batches::new(input, 100, 1000, Duration::from_millis(20));
        writer.send(Ok(Bytes::from_static(b"a\nb"))).await.unwrap();
        assert_eq!(batches.next().await.unwrap().unwrap().text, "a\n");
        drop(writer);
        assert_eq!(batches.next().await.unwrap().unwrap().text, "b");
        assert!(batches.next().await.unwrap().is_none());
    }
}
