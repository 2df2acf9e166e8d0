//! Idle consumers: what each costs the server in memory while nothing happens.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::Broker;
use super::broker::Connection;
use super::consume::subscribe;
use crate::BenchError;
use crate::command::Options;
use crate::report::{Report, Run};

/// Everything that follows from opening them is done by then.
const SETTLE: Duration = Duration::from_secs(6);
/// Opened before the first look, so that what is made once is not counted.
const FIRST: u32 = 100;
/// Consumers of one queue: a feed's, balanced over so many connections.
const OF_ONE_QUEUE: u32 = 100;

/// One run: memory does not vary as time does, and does not all come back after a run.
pub(crate) async fn measure(
    broker: &Broker,
    options: &Options,
    report: &mut Report,
) -> Result<(), BenchError> {
    let name = broker.fresh("idle");
    let mut connections = Vec::new();
    for number in 0..FIRST {
        connections.push(open(broker, &name, number).await?);
    }
    sleep(SETTLE).await;
    let before = broker.gauge.resident();
    let begun = Instant::now();
    for number in FIRST..FIRST + options.idle_readers {
        connections.push(open(broker, &name, number).await?);
    }
    let opened = f64::from(options.idle_readers) / begun.elapsed().as_secs_f64();
    sleep(SETTLE).await;
    let note = match (before, broker.gauge.resident()) {
        (Some(before), Some(after)) => {
            let each =
                after.saturating_sub(before) as f64 / f64::from(options.idle_readers) / 1024.0;
            format!("{each:.1} KiB resident each, {opened:.0} opened a second")
        }
        _ => "memory unknown without a process id".to_owned(),
    };
    let scene = format!("STOMP idle, {} consumers", options.idle_readers);
    report.add(&scene, vec![Run { note, ..Run::default() }])
}

async fn open(broker: &Broker, name: &str, number: u32) -> Result<Connection, BenchError> {
    let mut connection = broker.connect().await?;
    let queue = format!("/queue/{name}.{}", number / OF_ONE_QUEUE);
    let hello = subscribe(&queue, "client-individual").replace("\n\n", "\nreceipt:s\n\n");
    connection.send(hello.as_bytes()).await?;
    connection.expect(1).await?;
    connection.reading.rest();
    Ok(connection)
}
