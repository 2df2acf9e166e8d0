//! STOMP scenes: durable publish with receipts, consume in the three ack modes, one feed mirrored
//! to many destination ids, consumers that wait. They speak to any broker, so that two can be measured side by side.
//!
//! Called by [`crate::run`]. The client is as cheap as one can be: frames are rendered before the
//! clock starts, answers are counted by their final NUL and never decoded.

mod broker;
mod consume;
mod idle;
mod mirror;
mod publish;

pub(crate) use broker::Broker;

use crate::BenchError;
use crate::command::Options;
use crate::report::Report;
use crate::target::Target;

/// Deliveries of one run of mirroring, over all destinations: to ours, and to others, which would take
/// minutes for as many.
const DELIVERIES: u64 = 1_500_000;
const PEERS_DELIVERIES: u64 = 150_000;

/// Measures a server of ours.
pub(crate) async fn measure(
    target: &Target,
    options: &Options,
    report: &mut Report,
) -> Result<(), BenchError> {
    measure_all(&target.broker().await?, options, report, DELIVERIES).await
}

/// Measures another broker.
pub(crate) async fn measure_broker(
    broker: &Broker,
    options: &Options,
    report: &mut Report,
) -> Result<(), BenchError> {
    measure_all(broker, options, report, PEERS_DELIVERIES).await
}

/// What waits comes first: the other scenes leave memory behind, which would hide what it costs.
async fn measure_all(
    broker: &Broker,
    options: &Options,
    report: &mut Report,
    deliveries: u64,
) -> Result<(), BenchError> {
    idle::measure(broker, options, report).await?;
    publish::measure(broker, options, report).await?;
    consume::measure(broker, options, report).await?;
    mirror::measure(broker, options, report, deliveries).await
}
