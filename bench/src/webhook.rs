//! Webhooks: how fast the events of one endpoint, and of several, go out in batches of 1, 10 and 100,
//! what one stalled endpoint among 1,000 does to the others, and what 10,000 idle ones cost.
//!
//! One endpoint in order has one request under way: its rate is one over the time of a round trip. What
//! the server gets through shows with several.
//!
//! The receiver is this program: one task for each connection, which counts and answers. It shares the
//! machine with the server, so its own cost is in the figures.

mod crowd;
mod idle;
mod receiver;

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use tokio::time::{Instant, timeout};

use crate::BenchError;
use crate::command::Options;
use crate::report::{Report, Run};
use crate::target::Target;
use crate::wire::Connection;
use crate::workload::Workload;
use receiver::Receiver;

/// Events of a request.
const BATCHES: [u64; 3] = [1, 10, 100];
/// Events published for each second of a run, by the size of batches: about what gets through.
const EVENTS_A_SECOND: [u64; 3] = [20_000, 100_000, 300_000];
/// Events of a publish.
const PUBLISH: usize = 1_000;
/// Endpoints that are sent the same stream at once.
const SEVERAL: u64 = 16;
/// Longest wait for what was published.
const PATIENCE: Duration = Duration::from_secs(120);
/// What is made at once has settled by then.
const SETTLE: Duration = Duration::from_secs(6);

pub(crate) async fn measure(
    target: &Target,
    options: &Options,
    report: &mut Report,
) -> Result<(), BenchError> {
    for (batch, a_second) in BATCHES.into_iter().zip(EVENTS_A_SECOND) {
        let mut runs = Vec::new();
        for _ in 0..options.runs {
            let events = options.most(a_second * options.seconds);
            runs.push(deliver(target, options, batch, 1, events).await?);
        }
        report.add(&format!("webhook, one endpoint, batch {batch}"), runs)?;
    }
    for (batch, a_second) in BATCHES.into_iter().zip(EVENTS_A_SECOND) {
        let mut runs = Vec::new();
        for _ in 0..options.runs {
            let events = options.most(a_second * options.seconds) / SEVERAL;
            runs.push(deliver(target, options, batch, SEVERAL, events).await?);
        }
        report.add(&format!("webhook, {SEVERAL} endpoints, batch {batch}"), runs)?;
    }
    crowd::measure(target, options, report).await?;
    idle::measure(target, options, report).await
}

/// Endpoints that begin at the beginning of a stream which is there already; each gets all of it.
async fn deliver(
    target: &Target,
    options: &Options,
    batch: u64,
    endpoints: u64,
    events: u64,
) -> Result<Run, BenchError> {
    let events = events.next_multiple_of(PUBLISH as u64);
    let stream = target.make_stream().await?;
    let mut workload = Workload::new(options.event_bytes);
    let mut publisher = Connection::open(target.server).await?;
    for _ in 0..events / PUBLISH as u64 {
        publish(target, &mut publisher, &stream, &workload.batch(PUBLISH)).await?;
    }
    let counted = Rc::new(Cell::new(0));
    let count = Rc::clone(&counted);
    let receiver =
        Receiver::start(batch > 1, move |events| count.set(count.get() + events)).await?;
    let (cpu, begun) = (target.gauge.cpu(), Instant::now());
    let mut made = Vec::new();
    for _ in 0..endpoints {
        made.push(target.make_webhook(&stream, &receiver.url(), batch, "earliest").await?);
    }
    let events = events * endpoints;
    let arriving = async {
        while counted.get() < events {
            receiver.changed().await;
        }
    };
    let late = |_| BenchError::Answer(format!("{} of {events} events came", counted.get()));
    timeout(PATIENCE, arriving).await.map_err(late)?;
    let took = begun.elapsed().as_secs_f64();
    let rate = events as f64 / took;
    let note = format!("{:.0} requests/s", receiver.requests() as f64 / took);
    let cpu_us = target.gauge.cpu_micros_each(cpu, events);
    for integration in made {
        target.drop_integration(&integration).await?;
    }
    target.drop_stream(&stream).await?;
    Ok(Run { rate, cpu_us, note, ..Run::default() })
}

async fn publish(
    target: &Target,
    publisher: &mut Connection,
    stream: &str,
    body: &str,
) -> Result<(), BenchError> {
    let answer = publisher.exchange(&target.publish_request(stream, body)).await?;
    if answer.status == 200 {
        return Ok(());
    }
    Err(BenchError::Answer(String::from_utf8_lossy(answer.body).into_owned()))
}
