//! What the server may set: section `webhook` of its configuration.

use std::sync::Arc;
use std::time::Duration;

use crate::guard::Guard;
use crate::schedule::Schedule;

/// See the module.
#[derive(Debug, Clone)]
pub struct Options {
    /// Whom requests may be sent to.
    pub guard: Arc<Guard>,
    /// How many requests are under way at once.
    pub max_in_flight: usize,
    /// How many of one project's to one host and port.
    pub max_per_host: usize,
    /// How many bytes of bodies are under way at once; one body always may.
    pub max_body_bytes: usize,
    /// How many bytes of lines a batch has at most, but for one event.
    pub max_batch_bytes: usize,
    /// How many events of an endpoint with lanes by key wait at most behind others of their key.
    pub max_apart: usize,
    /// About how many bytes of events all endpoints hold in memory.
    pub max_held_bytes: usize,
    /// About how many of them one endpoint does; two batches always may be.
    pub max_endpoint_bytes: usize,
    /// How long an attempt may last.
    pub timeout: Duration,
    /// When what failed is tried again.
    pub schedule: Schedule,
    /// After how long of failure only an endpoint is disabled.
    pub disable_after: Duration,
    /// For how long attempts are told of.
    pub attempts_age: Duration,
    /// How many tasks share the endpoints.
    pub posts: usize,
}

impl Default for Options {
    fn default() -> Self {
        const HOUR: u64 = 3_600;
        Self {
            guard: Arc::default(),
            max_in_flight: 500,
            max_per_host: 32,
            max_body_bytes: 64 << 20,
            max_batch_bytes: 4 << 20,
            max_apart: 10_000,
            max_held_bytes: 256 << 20,
            max_endpoint_bytes: 8 << 20,
            timeout: Duration::from_secs(15),
            schedule: Schedule::default(),
            disable_after: Duration::from_secs(5 * 24 * HOUR),
            attempts_age: Duration::from_secs(7 * 24 * HOUR),
            posts: 2,
        }
    }
}
