//! The body of a batch: one object, or an array of them.
//!
//! Seed 001 ("Configure an RTDS webhook integration"): a batch is a single object, or an array of 5,
//! 10, 15, 20, 30, 50 or 100. The size decides the form, not the count: an endpoint of batches of ten
//! gets an array of one when only one event came.
//!
//! Invariant: events stand in it byte for byte as they are stored; the same events make the same body.

use std::fmt;
use std::io::{self, Write as _};

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;

/// Balances size and time, as gzip's own default does.
const GZIP_LEVEL: u32 = 6;

/// How many events an endpoint takes at once. See the module.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct BatchSize(u8);

/// A number of events that batches do not come in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be 1, 5, 10, 15, 20, 30, 50 or 100")]
pub struct BatchSizeError;

impl BatchSize {
    /// The sizes there are (seed 001).
    pub const ALL: [Self; 8] =
        [Self(1), Self(5), Self(10), Self(15), Self(20), Self(30), Self(50), Self(100)];
    /// One event, sent as an object.
    pub const ONE: Self = Self(1);

    /// The size of this number.
    ///
    /// # Errors
    /// [`BatchSizeError`] for numbers that are not offered.
    pub fn new(events: u64) -> Result<Self, BatchSizeError> {
        let found = Self::ALL.into_iter().find(|size| u64::from(size.0) == events);
        found.ok_or(BatchSizeError)
    }

    /// The most events of a batch.
    #[must_use]
    pub const fn get(self) -> usize {
        self.0 as usize
    }

    /// Whether batches are arrays.
    #[must_use]
    pub const fn is_array(self) -> bool {
        self.0 != Self::ONE.0
    }
}

impl Default for BatchSize {
    /// Ten (seed 001).
    fn default() -> Self {
        Self(10)
    }
}

impl fmt::Display for BatchSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A batch that is being put together.
#[derive(Debug, Clone)]
pub struct Body {
    size: BatchSize,
    max_bytes: usize,
    events: usize,
    bytes: Vec<u8>,
}

impl Body {
    /// An empty one, of up to `max_bytes` bytes; one event goes in whatever its size.
    #[must_use]
    pub const fn new(size: BatchSize, max_bytes: usize) -> Self {
        Self { size, max_bytes, events: 0, bytes: Vec::new() }
    }

    /// An empty one without a limit to its bytes, with room for events of about so many bytes in all.
    /// These must be there already: a number that somebody else says is no capacity.
    #[must_use]
    pub fn with_capacity(size: BatchSize, bytes: usize) -> Self {
        // What stands between the events, and at the ends.
        let room = bytes.saturating_add(size.get()).saturating_add(2);
        Self { size, max_bytes: usize::MAX, events: 0, bytes: Vec::with_capacity(room) }
    }

    /// Adds an event by its stored line, with or without the newline; says whether there was room.
    #[must_use = "an event without room belongs to the next batch"]
    pub fn push(&mut self, line: &[u8]) -> bool {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        // What stands before it, and the bracket at the end.
        let whole = self.bytes.len().saturating_add(line.len()).saturating_add(2);
        if self.is_full() || (self.events > 0 && whole > self.max_bytes) {
            return false;
        }
        if self.size.is_array() {
            self.bytes.push(if self.events == 0 { b'[' } else { b',' });
        }
        self.bytes.extend_from_slice(line);
        self.events += 1;
        true
    }

    /// How many events are in it.
    #[must_use]
    pub const fn events(&self) -> usize {
        self.events
    }

    /// Whether it has as many events as it may have.
    #[must_use]
    pub const fn is_full(&self) -> bool {
        self.events >= self.size.get()
    }

    /// The document; `None`: there is nothing to send.
    #[must_use]
    pub fn finish(mut self) -> Option<Bytes> {
        if self.events == 0 {
            return None;
        }
        if self.size.is_array() {
            self.bytes.push(b']');
        }
        Some(self.bytes.into())
    }
}

/// `body` as gzip, without a time or a name in it: the same body makes the same bytes.
///
/// # Errors
/// Those of the encoder; never in practice.
pub fn gzip(body: &[u8]) -> io::Result<Bytes> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::new(GZIP_LEVEL));
    encoder.write_all(body)?;
    encoder.finish().map(Bytes::from)
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use proptest::prelude::*;

    use super::*;

    const LINES: [&[u8]; 3] = [
        b"{\"id\":\"a\",\"n\":1.10}\n",
        b"{\"id\":\"b\",\"n\":1e400}",
        b"{\"id\":\"c\",\"a\":1,\"a\":2}\n",
    ];

    fn batch(size: u64, lines: &[&[u8]]) -> Option<Bytes> {
        let mut body = Body::new(BatchSize::new(size).unwrap(), 1 << 20);
        for line in lines {
            assert!(body.push(line));
        }
        body.finish()
    }

    #[test]
    fn only_the_sizes_of_the_seed_are_taken() {
        let taken: Vec<u64> = (0..=1_000).filter(|n| BatchSize::new(*n).is_ok()).collect();
        assert_eq!(taken, [1, 5, 10, 15, 20, 30, 50, 100]);
        assert_eq!(BatchSize::default().get(), 10);
    }

    #[test]
    fn one_is_an_object_and_all_others_are_arrays_with_their_bytes_kept() {
        assert_eq!(batch(1, &LINES[..1]).unwrap(), "{\"id\":\"a\",\"n\":1.10}");
        assert_eq!(batch(10, &LINES[..1]).unwrap(), "[{\"id\":\"a\",\"n\":1.10}]");
        let all =
            "[{\"id\":\"a\",\"n\":1.10},{\"id\":\"b\",\"n\":1e400},{\"id\":\"c\",\"a\":1,\"a\":2}]";
        assert_eq!(batch(5, &LINES).unwrap(), all);
        assert_eq!(batch(5, &[]), None);
        assert_eq!(batch(1, &[]), None);
    }

    #[test]
    fn a_batch_takes_no_more_than_its_size() {
        let mut body = Body::new(BatchSize::new(5).unwrap(), 1 << 20);
        assert_eq!((0..9).filter(|_| body.push(b"{}")).count(), 5);
        assert_eq!(body.finish().unwrap(), "[{},{},{},{},{}]");
        let mut body = Body::new(BatchSize::ONE, 1 << 20);
        assert!(body.push(b"{}") && !body.push(b"{}"));
    }

    #[test]
    fn a_batch_ends_at_its_bytes_but_an_event_of_any_size_is_sent() {
        let mut body = Body::new(BatchSize::default(), 10);
        assert!(body.push(b"{\"longer\":\"than that\"}"));
        assert!(!body.push(b"{}"));
        let mut body = Body::new(BatchSize::default(), 10);
        assert!(body.push(b"{}") && body.push(b"{}") && body.push(b"{}") && !body.push(b"{}"));
        let sent = body.finish().unwrap();
        assert_eq!((&sent[..], sent.len()), (&b"[{},{},{}]"[..], 10));
    }

    #[test]
    fn gzip_is_the_same_every_time_and_holds_the_body() {
        let body = batch(5, &LINES).unwrap();
        let packed = gzip(&body).unwrap();
        assert_eq!(packed, gzip(&body).unwrap());
        let mut out = Vec::new();
        flate2::read::GzDecoder::new(&packed[..]).read_to_end(&mut out).unwrap();
        assert_eq!(out, body);
    }

    proptest! {
        #[test]
        fn what_is_sent_is_json_of_the_events_in_order(
            ids in prop::collection::vec("[a-z]{0,9}", 1..100),
            size in prop::sample::select(BatchSize::ALL.to_vec()),
        ) {
            let mut body = Body::new(size, 1 << 20);
            let lines = ids.iter().map(|id| format!("{{\"id\":\"{id}\"}}\n"));
            let taken = lines.filter(|line| body.push(line.as_bytes())).count();
            prop_assert_eq!(taken, ids.len().min(size.get()));
            let sent: serde_json::Value = serde_json::from_slice(&body.finish().unwrap()).unwrap();
            let sent = if size.is_array() { sent } else { serde_json::json!([sent]) };
            let expected: Vec<_> =
                ids[..taken].iter().map(|id| serde_json::json!({ "id": id })).collect();
            prop_assert_eq!(sent, serde_json::Value::Array(expected));
        }
    }
}
