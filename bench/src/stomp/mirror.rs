//! One feed mirrored to 1, 8 and 64 destination ids, as the consumers of a feed have it: each gets
//! every message, live, through a queue of its own. RabbitMQ has no queues that a topic feeds by their
//! names: its consumers subscribe to the topic, which gives each of them a queue.

use tokio::task::JoinSet;
use tokio::time::Instant;

use super::Broker;
use super::consume::subscribe;
use super::publish::chunks;
use crate::BenchError;
use crate::command::Options;
use crate::report::{Report, Run};

const DESTINATIONS: [u64; 3] = [1, 8, 64];
const MESSAGES_MAX: u64 = 200_000;

pub(crate) async fn measure(
    broker: &Broker,
    options: &Options,
    report: &mut Report,
    deliveries: u64,
) -> Result<(), BenchError> {
    for destinations in DESTINATIONS {
        let mut runs = Vec::new();
        for _ in 0..options.runs {
            runs.push(run(broker, options, destinations, deliveries).await?);
        }
        report.add(&format!("STOMP mirror, {destinations} destination ids"), runs)?;
    }
    Ok(())
}

async fn run(
    broker: &Broker,
    options: &Options,
    destinations: u64,
    deliveries: u64,
) -> Result<Run, BenchError> {
    let namespace = broker.fresh("mirror");
    let topic = format!("/topic/RTO.{namespace}");
    let messages = options.most((deliveries / destinations).min(MESSAGES_MAX)) / 64 * 64;
    let mut tasks = JoinSet::new();
    for id in 0..destinations {
        let mut connection = broker.connect().await?;
        let has_topics_only = connection.server.starts_with("RabbitMQ");
        let queue = format!("/queue/d{id}.RTO.{namespace}");
        let queue = if has_topics_only { topic.clone() } else { queue };
        let hello = subscribe(&queue, "auto").replace("\n\n", "\nreceipt:s\n\n");
        connection.send(hello.as_bytes()).await?;
        connection.expect(1).await?;
        tasks.spawn_local(async move { connection.expect(messages).await });
    }
    let frames = chunks(&topic, options.event_bytes, false);
    let mut publisher = broker.connect().await?;
    let cpu = broker.gauge.cpu();
    let begun = Instant::now();
    for chunk in frames.iter().cycle().take(usize::try_from(messages / 64).unwrap_or_default()) {
        publisher.send(chunk).await?;
    }
    while let Some(done) = tasks.join_next().await {
        done.map_err(|error| BenchError::Answer(error.to_string()))??;
    }
    let took = begun.elapsed().as_secs_f64();
    let deliveries = messages * destinations;
    let cpu_us = broker.gauge.cpu_micros_each(cpu, deliveries);
    let note = format!("{:.0} published/s", messages as f64 / took);
    Ok(Run { rate: deliveries as f64 / took, cpu_us, note, ..Run::default() })
}
