//! What the server may set for this face: section `mailbox` of its configuration.

use std::time::Duration;

use http::HeaderName;

/// The status of a Subscribe that is answered well.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SubscribeStatus {
    /// 200, the only code that needs no investigation by the vendor's page (seed 003).
    #[default]
    Ok,
    /// 201 for a new subscription, as the vendor's first version answers (reference 2.1), 200 for
    /// one that was there.
    Created,
}

/// Options of the mailbox face.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// How Subscribe is answered.
    pub subscribe_status: SubscribeStatus,
    /// How long a Peek waits that names no time, and the longest it may: 1 to 90 s (seed 003:
    /// 90 s, which cannot be exceeded).
    pub max_peek: Duration,
    /// How long a message is locked when no time is named: 1 s to `max_lock`.
    pub lock: Duration,
    /// The longest that a message may be locked at once: up to a day.
    pub max_lock: Duration,
    /// After how long without a call a mailbox and its messages are removed (seed 003: 10 days).
    pub idle_expiry: Duration,
    /// For how long a topic that is subscribed to keeps its messages at least: one that nobody
    /// confirms stays so long (seed 003, Q3 and Q5: until it is confirmed, or its mailbox goes).
    pub keep: Duration,
    /// Whether new mailboxes show nothing behind a locked message, unless Subscribe says.
    pub strict_order: bool,
    /// Whether a Confirm must name its lock. The vendor's first version has none.
    pub require_lock: bool,
    /// How many Peeks may wait at once, over all projects; more are answered 503.
    pub max_parked: usize,
    /// The largest body of a Publish, in bytes after decoding.
    pub max_message_bytes: usize,
    /// The header with the client's key: a user's name or a project's id.
    pub key_header: HeaderName,
    /// The header with its secret, a static one in spite of the vendor's name for it (2.1).
    pub secret_header: HeaderName,
    /// How long a draining server holds a Peek that finds nothing, so that clients that ask again
    /// at once do so at a bearable rate.
    pub drain_pause: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            subscribe_status: SubscribeStatus::Ok,
            max_peek: Duration::from_secs(90),
            lock: Duration::from_secs(30),
            max_lock: Duration::from_secs(3600),
            idle_expiry: Duration::from_secs(10 * 86_400),
            keep: Duration::from_secs(365 * 86_400),
            strict_order: false,
            require_lock: false,
            max_parked: 20_000,
            max_message_bytes: 1 << 20,
            key_header: HeaderName::from_static("clientkey"),
            secret_header: HeaderName::from_static("hmac"),
            drain_pause: Duration::from_secs(1),
        }
    }
}
