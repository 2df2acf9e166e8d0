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

/// Measures a server of ours, and the mirroring that only it has.
pub(crate) async fn measure(
    target: &Target,
    options: &Options,
    report: &mut Report,
) -> Result<(), BenchError> {
    let broker = target.broker().await?;
    measure_broker(&broker, options, report).await?;
    mirror::measure(&broker, options, report).await
}

/// Measures what every broker does.
pub(crate) async fn measure_broker(
    broker: &Broker,
    options: &Options,
    report: &mut Report,
) -> Result<(), BenchError> {
    publish::measure(broker, options, report).await?;
    consume::measure(broker, options, report).await?;
    idle::measure(broker, options, report).await
}
