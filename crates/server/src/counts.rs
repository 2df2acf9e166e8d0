//! The listeners' counts as metrics.

use std::sync::Arc;

use outflow_face::Counters;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

/// Reads the counters whenever metrics are asked for.
#[derive(Debug)]
pub(crate) struct Counts(pub(crate) Arc<Counters>);

impl Collector for Counts {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let counts = &self.0;
        for (name, help, count) in [
            ("outflow_http_connections_accepted", "Connections accepted.", &counts.accepted),
            (
                "outflow_http_accept_errors",
                "Failures to accept a connection.",
                &counts.accept_errors,
            ),
            ("outflow_http_tls_failures", "TLS handshakes that failed.", &counts.tls_failures),
            (
                "outflow_http_slow_heads",
                "Connections cut for a slow request head.",
                &counts.slow_heads,
            ),
            (
                "outflow_http_stalled_writes",
                "Connections cut because the peer took no bytes.",
                &counts.stalled_writes,
            ),
        ] {
            let metric = ConstCounter::new(count.get());
            metric.encode(encoder.encode_descriptor(name, help, None, MetricType::Counter)?)?;
        }
        let open = ConstGauge::new(i64::try_from(counts.open.get()).unwrap_or(i64::MAX));
        let help = "Connections open now.";
        open.encode(encoder.encode_descriptor(
            "outflow_http_connections_open",
            help,
            None,
            MetricType::Gauge,
        )?)
    }
}
