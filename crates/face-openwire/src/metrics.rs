//! What this face counts. Labels have few, fixed values: never a project, a destination or an
//! address.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// One label.
type Label = [(&'static str, &'static str); 1];

/// See the module.
#[derive(Debug, Clone, Default)]
pub struct Metrics {
    /// Sessions open now, by transport: `tcp`, `tls`.
    pub open: Family<Label, Gauge>,
    /// Connections that were logged in.
    pub connected: Counter,
    /// Commands received.
    pub commands: Counter,
    /// Messages taken from producers.
    pub sent: Counter,
    /// Messages given to consumers.
    pub delivered: Counter,
    /// Bodies and properties that are not stored as messages have them, and were built.
    pub built: Counter,
    /// Messages acknowledged by clients.
    pub settled: Counter,
    /// Commands refused, by class.
    pub errors: Family<Label, Counter>,
    /// Connections cut because nothing came from the client for too long.
    pub silent: Counter,
    /// Connections cut because the client took no bytes.
    pub stalled: Counter,
    /// Connections ended because the rest of a frame did not come.
    pub unfinished: Counter,
    /// Bytes of unfinished frames and open transactions, but for the first 64 KiB of each.
    pub held: Gauge,
}

impl Metrics {
    /// Puts the metrics into `registry`, under the prefix `openwire`.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        let registry = registry.sub_registry_with_prefix("openwire");
        let open = "Sessions open now, by transport";
        registry.register("sessions_open", open, metrics.open.clone());
        for (name, help, counter) in [
            ("connections_logged_in", "Connections that were logged in", &metrics.connected),
            ("commands_received", "Commands received", &metrics.commands),
            ("messages_sent", "Messages taken from producers", &metrics.sent),
            ("messages_delivered", "Messages given to consumers", &metrics.delivered),
            (
                "bodies_built",
                "Bodies and properties that are not stored as OpenWire has them, built for consumers",
                &metrics.built,
            ),
            ("messages_settled", "Messages acknowledged by clients", &metrics.settled),
            (
                "connections_silent",
                "Connections cut because nothing came from the client for too long",
                &metrics.silent,
            ),
            (
                "connections_stalled",
                "Connections cut because the client took no bytes",
                &metrics.stalled,
            ),
            (
                "connections_unfinished",
                "Connections ended because the rest of a frame did not come",
                &metrics.unfinished,
            ),
        ] {
            registry.register(name, help, counter.clone());
        }
        let held =
            "Bytes of unfinished frames and open transactions, but for the first 64 KiB of each";
        registry.register("held_bytes", held, metrics.held.clone());
        registry.register("errors", "Commands refused, by class", metrics.errors.clone());
        metrics
    }
}
