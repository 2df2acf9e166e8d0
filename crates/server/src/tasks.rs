//! How many tasks there are, as a metric: what waits must cost none, and here it shows.

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;
use tokio::runtime::Handle;

/// Asks the runtime whenever metrics are asked for.
#[derive(Debug)]
pub(crate) struct Tasks(pub(crate) Handle);

impl Collector for Tasks {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let alive = self.0.metrics().num_alive_tasks();
        let metric = ConstGauge::new(i64::try_from(alive).unwrap_or(i64::MAX));
        let help = "Tasks of the runtime that have not ended.";
        metric.encode(encoder.encode_descriptor("outflow_tasks", help, None, MetricType::Gauge)?)
    }
}
