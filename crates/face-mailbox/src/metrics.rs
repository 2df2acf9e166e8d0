//! What this face counts. Labels have few, fixed values: never a project, a subscriber or a topic.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// One label.
type Label = [(&'static str, &'static str); 1];

/// See the module.
#[derive(Debug, Clone, Default)]
pub struct Metrics {
    /// Calls answered well, by call.
    pub calls: Family<Label, Counter>,
    /// Calls refused, by error code.
    pub refused: Family<Label, Counter>,
    /// Peeks that wait now.
    pub parked: Gauge,
    /// Peeks that ended without a message.
    pub timeouts: Counter,
    /// Confirms of messages that were confirmed before.
    pub repeated: Counter,
}

impl Metrics {
    /// Puts the metrics into `registry`, under the prefix `mailbox`.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        let registry = registry.sub_registry_with_prefix("mailbox");
        registry.register("calls", "Calls answered well, by call", metrics.calls.clone());
        registry.register("calls_refused", "Calls refused, by error code", metrics.refused.clone());
        registry.register("peeks_parked", "Peeks that wait now", metrics.parked.clone());
        registry.register(
            "peek_timeouts",
            "Peeks that ended without a message",
            metrics.timeouts.clone(),
        );
        registry.register(
            "confirms_repeated",
            "Confirms of messages that were confirmed before",
            metrics.repeated.clone(),
        );
        metrics
    }
}
