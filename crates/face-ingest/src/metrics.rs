//! What this face counts. Labels have few, fixed values: never a project or a stream.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

/// One label.
type Label = [(&'static str, &'static str); 1];

/// See the module.
#[derive(Debug, Clone, Default)]
pub struct Metrics {
    /// Payloads that were stored.
    pub accepted: Counter,
    /// Bytes of payloads that were stored, decoded.
    pub bytes: Counter,
    /// Payloads thrown away by streams that are set to drop.
    pub dropped: Counter,
    /// Payloads that did not arrive in time.
    pub slow: Counter,
    /// Requests refused, by error code.
    pub refused: Family<Label, Counter>,
}

impl Metrics {
    /// Puts the metrics into `registry`, under the prefix `ingest`.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        let registry = registry.sub_registry_with_prefix("ingest");
        registry.register("payloads", "Payloads that were stored", metrics.accepted.clone());
        registry.register("bytes", "Bytes of payloads that were stored", metrics.bytes.clone());
        let dropped = metrics.dropped.clone();
        registry.register("dropped", "Payloads thrown away by streams set to drop", dropped);
        let slow = metrics.slow.clone();
        registry.register("slow", "Payloads that did not arrive in time", slow);
        let refused = metrics.refused.clone();
        registry.register("refused", "Requests refused, by error code", refused);
        metrics
    }
}
