//! What webhooks count. No labels: never a project or an endpoint.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// See the module.
#[derive(Debug, Clone, Default)]
pub(crate) struct Metrics {
    /// Requests made.
    pub(crate) requests: Counter,
    /// Requests that failed and are made again.
    pub(crate) failures: Counter,
    /// Events that endpoints took.
    pub(crate) delivered: Counter,
    /// Events that endpoints refused.
    pub(crate) parked: Counter,
    /// Endpoints that were disabled.
    pub(crate) disabled: Counter,
    /// Attempts that nobody was told of, for want of room.
    pub(crate) untold: Counter,
    /// Requests under way.
    pub(crate) in_flight: Gauge,
    /// Endpoints.
    pub(crate) endpoints: Gauge,
}

impl Metrics {
    /// Puts the metrics into `registry`, under the prefix `webhook`.
    pub(crate) fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        let registry = registry.sub_registry_with_prefix("webhook");
        let counters = [
            ("requests", "Requests made to webhooks", &metrics.requests),
            ("failures", "Requests that failed and are made again", &metrics.failures),
            ("delivered", "Events that webhooks took", &metrics.delivered),
            ("parked", "Events that webhooks refused", &metrics.parked),
            ("disabled", "Webhooks that were disabled", &metrics.disabled),
            ("untold", "Attempts that were not told of for want of room", &metrics.untold),
        ];
        for (name, help, counter) in counters {
            registry.register(name, help, counter.clone());
        }
        registry.register("in_flight", "Requests to webhooks under way", metrics.in_flight.clone());
        registry.register("endpoints", "Webhooks that are served", metrics.endpoints.clone());
        metrics
    }
}
