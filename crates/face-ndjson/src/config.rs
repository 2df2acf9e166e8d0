//! What the server may set for this face.

use std::time::Duration;

/// The longest heartbeat: Java's client gives up after 5 s of silence (rule 5).
pub const MAX_HEARTBEAT: Duration = Duration::from_secs(4);

/// Options of the NDJSON face.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// After how much silence a blank line is sent: 10 ms to 4 s. Clients drop a connection that
    /// is silent for 5 s.
    pub heartbeat: Duration,
    /// The largest request body, in bytes after decoding.
    pub max_request_bytes: usize,
    /// How long a stream that failed on the server's side waits before it ends, so that clients
    /// that reconnect at once do so at a bearable rate.
    pub failure_pause: Duration,
    /// How long a draining server holds a new stream of Airship's clients before it sends them
    /// elsewhere, so that they ask again at a bearable rate: below Java's 5 s.
    pub drain_pause: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            heartbeat: Duration::from_secs(2),
            max_request_bytes: 64 << 10,
            failure_pause: Duration::from_secs(1),
            drain_pause: Duration::from_secs(1),
        }
    }
}

impl Options {
    /// The heartbeat within its range.
    #[must_use]
    pub fn heartbeat(&self) -> Duration {
        self.heartbeat.clamp(Duration::from_millis(10), MAX_HEARTBEAT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_is_shorter_than_clients_bear() {
        let options = Options::default();
        assert_eq!(options.heartbeat(), Duration::from_secs(2), "as Airship's documents say");
        let long = Options { heartbeat: Duration::from_secs(60), ..options };
        assert!(long.heartbeat() < Duration::from_secs(5), "Java's client gives up");
        let none = Options { heartbeat: Duration::ZERO, ..long };
        assert!(none.heartbeat() > Duration::ZERO);
    }
}
