//! What landing counts. No labels: never a project or a stream.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// See the module.
#[derive(Debug, Clone, Default)]
pub struct Metrics {
    /// Files written.
    pub files: Counter,
    /// Events in them.
    pub events: Counter,
    /// Events that did not fit.
    pub failed: Counter,
    /// Attempts that failed and are made again.
    pub retries: Counter,
    /// Events that were gone before they had landed, at most.
    pub lost: Counter,
    /// Streams whose last attempt failed.
    pub failing: Gauge,
}

impl Metrics {
    /// Puts the metrics into `registry`, under the prefix `landing`.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        let registry = registry.sub_registry_with_prefix("landing");
        registry.register("files", "Files written", metrics.files.clone());
        registry.register("events", "Events landed in files", metrics.events.clone());
        registry.register("failed", "Events that could not be landed", metrics.failed.clone());
        registry.register(
            "retries",
            "Attempts that failed and are repeated",
            metrics.retries.clone(),
        );
        let lost = metrics.lost.clone();
        registry.register("lost", "Events that were gone before they had landed, at most", lost);
        let failing = metrics.failing.clone();
        registry.register("streams_failing", "Streams of which nothing lands now", failing);
        metrics
    }
}
