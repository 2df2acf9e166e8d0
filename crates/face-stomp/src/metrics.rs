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
    /// Sessions open now, by transport: `tcp`, `tls`, `websocket`.
    pub open: Family<Label, Gauge>,
    /// Connections that were logged in, by version.
    pub connected: Family<Label, Counter>,
    /// Frames received.
    pub frames: Counter,
    /// Messages taken from SEND frames.
    pub sent: Counter,
    /// MESSAGE frames given to consumers.
    pub delivered: Counter,
    /// Messages acked or nacked by clients.
    pub settled: Counter,
    /// ERROR frames, by class.
    pub errors: Family<Label, Counter>,
    /// Connections cut because the client broke its promise of heart-beats.
    pub silent: Counter,
    /// Connections cut because the client took no bytes.
    pub stalled: Counter,
    /// Connections ended because the rest of a frame did not come.
    pub unfinished: Counter,
    /// Bytes of unfinished frames and open transactions, but for the first 64 KiB of each.
    pub held: Gauge,
}

impl Metrics {
    /// Puts the metrics into `registry`, under the prefix `stomp`.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        let registry = registry.sub_registry_with_prefix("stomp");
        registry.register("sessions_open", "Sessions open now, by transport", metrics.open.clone());
        registry.register(
            "connections_logged_in",
            "Connections that were logged in, by version",
            metrics.connected.clone(),
        );
        registry.register("frames_received", "Frames received", metrics.frames.clone());
        registry.register("messages_sent", "Messages taken from SEND frames", metrics.sent.clone());
        registry.register(
            "messages_delivered",
            "MESSAGE frames given to consumers",
            metrics.delivered.clone(),
        );
        registry.register(
            "messages_settled",
            "Messages acked or nacked by clients",
            metrics.settled.clone(),
        );
        registry.register("errors", "ERROR frames, by class", metrics.errors.clone());
        registry.register(
            "connections_silent",
            "Connections cut because the client broke its promise of heart-beats",
            metrics.silent.clone(),
        );
        registry.register(
            "connections_stalled",
            "Connections cut because the client took no bytes",
            metrics.stalled.clone(),
        );
        registry.register(
            "connections_unfinished",
            "Connections ended because the rest of a frame did not come",
            metrics.unfinished.clone(),
        );
        registry.register(
            "held_bytes",
            "Bytes of unfinished frames and open transactions, but for the first 64 KiB of each",
            metrics.held.clone(),
        );
        metrics
    }
}
