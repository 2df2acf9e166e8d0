//! What the server may set for this face.

use std::time::Duration;

/// How a place that is unknown or older than what is kept is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Expired {
    /// 410, so that the client knows that events are missing.
    #[default]
    Gone,
    /// From the oldest event kept, with a comment that says so.
    Oldest,
}

/// Options of the SSE face.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// After how much silence a comment is sent (15 s).
    pub heartbeat: Duration,
    /// How long clients are told to wait before they connect again (3 s).
    pub retry: Duration,
    /// How an expired or unknown place is answered.
    pub expired: Expired,
    /// How long an access token may still hold to be accepted in a URL, where logs and histories
    /// keep it (1 h).
    pub url_token: Duration,
    /// How long a stream that failed on the server's side waits before it ends, so that clients
    /// that connect again do so at a bearable rate.
    pub failure_pause: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            heartbeat: Duration::from_secs(15),
            retry: Duration::from_secs(3),
            expired: Expired::Gone,
            url_token: Duration::from_secs(3600),
            failure_pause: Duration::from_secs(1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_and_the_pause_before_the_next_connection_are_as_promised() {
        let options = Options::default();
        assert_eq!(options.heartbeat, Duration::from_secs(15));
        assert_eq!(options.retry, Duration::from_secs(3));
    }
}
