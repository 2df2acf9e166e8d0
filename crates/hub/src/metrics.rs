//! What the hub counts. No label has values from outside, so their number is bounded.

use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

/// The hub's counters. Clones count into the same ones.
#[derive(Debug, Clone)]
pub(crate) struct Metrics {
    pub(crate) events_published: Counter,
    pub(crate) bytes_published: Counter,
    pub(crate) batches_published: Counter,
    pub(crate) publish_seconds: Histogram,
    pub(crate) commits_failed: Counter,
    pub(crate) duplicates: Counter,
    pub(crate) readers: Gauge,
    pub(crate) reads_opened: Counter,
    pub(crate) reads_refused: Counter,
    pub(crate) reads_trimmed: Counter,
    pub(crate) reads_damaged: Counter,
    pub(crate) events_sent: Counter,
    pub(crate) bytes_sent: Counter,
    pub(crate) tail_blocks: Counter,
    pub(crate) tail_bytes: Gauge,
    pub(crate) catch_up_reads: Counter,
    pub(crate) entity_bytes: Gauge,
}

impl Metrics {
    /// Enters them all into `registry`, under `outflow_`.
    pub(crate) fn new(registry: &mut Registry) -> Self {
        // 100 µs to 13 s.
        let latency = prometheus_client::metrics::histogram::exponential_buckets(1e-4, 2.0, 18);
        let metrics = Self {
            events_published: Counter::default(),
            bytes_published: Counter::default(),
            batches_published: Counter::default(),
            publish_seconds: Histogram::new(latency),
            commits_failed: Counter::default(),
            duplicates: Counter::default(),
            readers: Gauge::default(),
            reads_opened: Counter::default(),
            reads_refused: Counter::default(),
            reads_trimmed: Counter::default(),
            reads_damaged: Counter::default(),
            events_sent: Counter::default(),
            bytes_sent: Counter::default(),
            tail_blocks: Counter::default(),
            tail_bytes: Gauge::default(),
            catch_up_reads: Counter::default(),
            entity_bytes: Gauge::default(),
        };
        metrics.enter(registry.sub_registry_with_prefix("outflow"));
        metrics
    }

    fn enter(&self, registry: &mut Registry) {
        let mut count = |name: &str, help: &str, counter: &Counter| {
            registry.register(name, help, counter.clone());
        };
        count("events_published", "Events stored", &self.events_published);
        count("batches_published", "Batches of events stored", &self.batches_published);
        count("commits_failed", "Batches of events that the engine refused", &self.commits_failed);
        count(
            "duplicates",
            "Published events that were copies and not stored again",
            &self.duplicates,
        );
        count("reads_opened", "Read sessions begun", &self.reads_opened);
        count("reads_refused", "Read sessions refused over a limit", &self.reads_refused);
        count(
            "reads_trimmed",
            "Reads whose place was older than what is retained",
            &self.reads_trimmed,
        );
        count("reads_damaged", "Reads that met damaged events", &self.reads_damaged);
        count("events_sent", "Events given to readers", &self.events_sent);
        count("tail_blocks", "Blocks built for live readers", &self.tail_blocks);
        count(
            "catch_up_reads",
            "Reads of the engine for readers that are behind",
            &self.catch_up_reads,
        );
        let bytes = "Bytes of rendered events and sidecars stored";
        registry.register_with_unit("published", bytes, Unit::Bytes, self.bytes_published.clone());
        let bytes = "Bytes of plain lines given to readers";
        registry.register_with_unit("sent", bytes, Unit::Bytes, self.bytes_sent.clone());
        let latency = "From a publish to its commit";
        registry.register_with_unit(
            "publish_latency",
            latency,
            Unit::Seconds,
            self.publish_seconds.clone(),
        );
        let bytes = "Bytes of recent events held for live readers";
        registry.register_with_unit("tail", bytes, Unit::Bytes, self.tail_bytes.clone());
        let bytes = "Bytes of states of entities kept in memory";
        registry.register_with_unit("entities", bytes, Unit::Bytes, self.entity_bytes.clone());
        registry.register("readers", "Read sessions now", self.readers.clone());
    }

    /// The states of entities keep so many bytes in memory.
    pub(crate) fn entities_kept(&self, bytes: usize) {
        self.entity_bytes.set(i64::try_from(bytes).unwrap_or(i64::MAX));
    }

    /// A batch was stored.
    pub(crate) fn published(&self, events: u64, bytes: u64, latency: Duration) {
        self.events_published.inc_by(events);
        self.bytes_published.inc_by(bytes);
        self.batches_published.inc();
        self.publish_seconds.observe(latency.as_secs_f64());
    }
}
