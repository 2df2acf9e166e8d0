//! What this face counts. Labels have few, fixed values: never a project, a stream or an address.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// One label.
type Label = [(&'static str, &'static str); 1];

/// See the module.
#[derive(Debug, Clone, Default)]
pub struct Metrics {
    /// Streams open now, by feed.
    pub open: Family<Label, Gauge>,
    /// Streams ended, by reason.
    pub ended: Family<Label, Counter>,
    /// Streams that a draining server held without a feed.
    pub held: Counter,
    /// Requests refused, by code.
    pub refused: Family<Label, Counter>,
    /// Events sent.
    pub events: Counter,
    /// Bytes of response bodies sent.
    pub bytes: Counter,
    /// Heartbeats sent.
    pub heartbeats: Counter,
}

impl Metrics {
    /// Puts the metrics into `registry`, under the prefix `sse`.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        let registry = registry.sub_registry_with_prefix("sse");
        registry.register("streams_open", "Streams open now, by feed", metrics.open.clone());
        registry.register("streams_ended", "Streams ended, by reason", metrics.ended.clone());
        let held = "Streams that a draining server held without a feed";
        registry.register("streams_held", held, metrics.held.clone());
        registry.register("requests_refused", "Requests refused, by code", metrics.refused.clone());
        registry.register("events_sent", "Events sent", metrics.events.clone());
        registry.register("bytes_sent", "Bytes of response bodies sent", metrics.bytes.clone());
        registry.register("heartbeats_sent", "Heartbeats sent", metrics.heartbeats.clone());
        metrics
    }
}
