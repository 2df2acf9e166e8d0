//! What the server may set; every default is what ships.

use std::time::Duration;

use outflow_store::Retention;

use crate::destination::VirtualTopics;

/// What queues and durable subscribers that are made on first use are told; each can be told
/// otherwise later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DestinationDefaults {
    /// After how many deliveries a message that comes back is dead; `None`: never.
    pub max_deliveries: Option<u32>,
    /// After how long a message that nobody has settled is dead; `None`: as long as retained.
    pub max_age: Option<Duration>,
    /// After how long without a consumer a queue that is fed from a topic, or a durable subscriber, is
    /// deleted; `None`: never. Of other queues it is not so: their senders may not wait for anybody.
    pub idle_expiry: Option<Duration>,
}

/// Sizes, times and counts that bound the hub.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// How many bytes of lines a reader that is behind asks the engine for at once: 4 KiB to 4 MiB.
    pub read_chunk_bytes: usize,
    /// How many bytes of recent lines each stream with live readers keeps for them. A reader that
    /// falls further behind reads from the engine.
    pub tail_blocks_bytes: usize,
    /// The same over all streams together: beyond it each keeps its latest block only.
    pub tail_total_bytes: usize,
    /// The longest pause between two rounds of sending to the live readers of a stream. A round
    /// is followed by a pause of about 2 µs per reader, so that many readers share each wake-up.
    pub tail_linger_max: Duration,
    /// How many bytes of published events may wait for their commit, over all streams.
    pub inflight_bytes: usize,
    /// How long a publish may wait for its share of `inflight_bytes` before it is answered
    /// `Unavailable`.
    pub publish_wait: Duration,
    /// The largest event accepted, in bytes as given.
    pub max_event_bytes: usize,
    /// The largest state of an entity of a keyed stream, in bytes: at most 1 MiB.
    pub max_entity_bytes: usize,
    /// How many bytes of states of entities each keyed stream that is written keeps in memory.
    pub entity_cache_bytes: usize,
    /// The same over all of them: beyond it those of the streams that were not written for the longest
    /// time go.
    pub entity_total_bytes: usize,
    /// The deepest nesting of JSON accepted.
    pub max_depth: usize,
    /// Events that occurred longer ago than this are refused (90 days).
    pub max_age: Duration,
    /// Events that occurred further ahead than this get the time they were taken (5 minutes).
    pub max_ahead: Duration,
    /// How many projects there may be.
    pub max_projects: usize,
    /// How many streams a project may have.
    pub max_streams: usize,
    /// How many integrations a project may have.
    pub max_integrations: usize,
    /// How many named cursors a stream may have.
    pub max_cursors: usize,
    /// How many subscribers a project may have.
    pub max_subscribers: usize,
    /// Which queues are fed from topics, by the form of their names.
    pub virtual_topics: VirtualTopics,
    /// For how long queues that are made on first use keep what nobody consumes (a year).
    pub queue_retention: Retention,
    /// What queues and durable subscribers are told that are made on first use (nothing).
    pub destination_defaults: DestinationDefaults,
    /// How many destinations the customers of one set of rights may have made.
    pub max_destinations: usize,
    /// How many subscriptions a project may have.
    pub max_subscriptions: usize,
    /// How many consumers a subscription may have at once.
    pub max_consumers: usize,
    /// How many events a subscription remembers that it cannot hand out now: of each stream those
    /// scheduled for later, and in all those that none of its consumers chooses. More than these
    /// are found again in the log (100,000; about 100 bytes each).
    pub max_apart: usize,
    /// How many steps of selectors and filters, each about a nanosecond, are taken at once while
    /// others wait for the same queue (262,144).
    pub max_steps: usize,
    /// A subscription with a backlog that nobody has consumed from for so long is listed as
    /// abandoned (1 day).
    pub abandoned_after: Duration,
    /// How many bytes of events a transaction may hold.
    pub max_transaction_bytes: usize,
    /// How many readers the whole server may have.
    pub max_sessions: usize,
}

impl Options {
    /// How many bytes may be on their way at once, as a semaphore counts them.
    pub(crate) fn room(&self) -> usize {
        self.inflight_bytes.min(u32::MAX as usize)
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            read_chunk_bytes: 256 << 10,
            tail_blocks_bytes: 8 << 20,
            tail_total_bytes: 256 << 20,
            tail_linger_max: Duration::from_millis(2),
            inflight_bytes: 64 << 20,
            publish_wait: Duration::from_secs(5),
            max_event_bytes: 1 << 20,
            max_entity_bytes: 256 << 10,
            entity_cache_bytes: 16 << 20,
            entity_total_bytes: 256 << 20,
            max_depth: 64,
            max_age: Duration::from_secs(90 * 86_400),
            max_ahead: Duration::from_secs(5 * 60),
            max_projects: 10_000,
            max_streams: 100_000,
            max_integrations: 100_000,
            max_cursors: 1_000,
            max_subscribers: 10_000,
            virtual_topics: VirtualTopics::default(),
            queue_retention: Retention { age_ms: 365 * 86_400_000, max_bytes: None },
            destination_defaults: DestinationDefaults::default(),
            max_destinations: 1_000,
            max_subscriptions: 200_000,
            max_consumers: 10_000,
            max_apart: 100_000,
            max_steps: 1 << 18,
            abandoned_after: Duration::from_secs(86_400),
            max_transaction_bytes: 16 << 20,
            max_sessions: 100_000,
        }
    }
}
