//! The listeners' counts as metrics, each listener's under its name.

use std::sync::Arc;

use outflow_face::Counters;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

/// Reads the counters whenever metrics are asked for.
#[derive(Debug)]
pub(crate) struct Counts {
    /// The listener, such as `http`.
    pub(crate) listener: &'static str,
    /// Its counts.
    pub(crate) counters: Arc<Counters>,
}

impl Collector for Counts {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let Self { listener, counters: counts } = self;
        for (name, help, count) in [
            ("connections_accepted", "Connections accepted.", &counts.accepted),
            ("accept_errors", "Failures to accept a connection.", &counts.accept_errors),
            ("tls_failures", "TLS handshakes that failed.", &counts.tls_failures),
            ("slow_heads", "Connections cut for a slow request head.", &counts.slow_heads),
            (
                "stalled_writes",
                "Connections cut, and streams of HTTP/2 reset, because the peer took no bytes.",
                &counts.stalled_writes,
            ),
        ] {
            let metric = ConstCounter::new(count.get());
            metric.encode(encoder.encode_descriptor(
                &format!("outflow_{listener}_{name}"),
                help,
                None,
                MetricType::Counter,
            )?)?;
        }
        let open = ConstGauge::new(i64::try_from(counts.open.get()).unwrap_or(i64::MAX));
        let help = "Connections open now.";
        open.encode(encoder.encode_descriptor(
            &format!("outflow_{listener}_connections_open"),
            help,
            None,
            MetricType::Gauge,
        )?)
    }
}
