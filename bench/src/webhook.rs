//! Webhooks: how fast one endpoint's events go out in batches of 1, 10 and 100, what one stalled endpoint
//! among 1,000 does to the others, and what 10,000 idle ones cost.
//!
//! The receiver is this program: one task for each connection, which counts and answers. It shares the
//! machine with the server, so its own cost is in the figures.

mod receiver;

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

use crate::BenchError;
use crate::command::Options;
use crate::publish::histogram;
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
/// Endpoints beside a stalled one.
const ENDPOINTS: u32 = 1_000;
/// Events that all of them get, and the time between two.
const ROUNDS: u32 = 20;
const PACE: Duration = Duration::from_millis(250);
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
            runs.push(deliver(target, options, batch, a_second * options.seconds).await?);
        }
        report.add(&format!("webhook, one endpoint, batch {batch}"), runs)?;
    }
    for is_stalled in [false, true] {
        let beside = if is_stalled { "beside a stalled one" } else { "all well" };
        let run = many(target, options, is_stalled).await?;
        report.add(&format!("webhook, {ENDPOINTS} endpoints, {beside}"), vec![run])?;
    }
    let run = idle(target, options).await?;
    report.add(&format!("webhook, {} idle endpoints", options.idle_readers), vec![run])
}

/// One endpoint that begins at the beginning of a stream which is there already.
async fn deliver(
    target: &Target,
    options: &Options,
    batch: u64,
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
    let integration = target.make_webhook(&stream, &receiver.url(), batch, "earliest").await?;
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
    target.drop_integration(&integration).await?;
    target.drop_stream(&stream).await?;
    Ok(Run { rate, cpu_us, note, ..Run::default() })
}

/// Many endpoints of one stream: from the publish of an event to its arrival at each.
async fn many(target: &Target, options: &Options, is_stalled: bool) -> Result<Run, BenchError> {
    let stream = target.make_stream().await?;
    let micros = Rc::new(std::cell::RefCell::new(histogram()?));
    let sent = Rc::new(Cell::new(Instant::now()));
    let (kept, since) = (Rc::clone(&micros), Rc::clone(&sent));
    let receiver = Receiver::start(false, move |_| {
        let took = u64::try_from(since.get().elapsed().as_micros()).unwrap_or(u64::MAX);
        kept.borrow_mut().saturating_record(took);
    })
    .await?;
    let stalled = Receiver::stalled().await?;
    let mut made = Vec::new();
    if is_stalled {
        made.push(target.make_webhook(&stream, &stalled.url(), 1, "latest").await?);
    }
    for _ in 0..ENDPOINTS {
        made.push(target.make_webhook(&stream, &receiver.url(), 1, "latest").await?);
    }
    let mut workload = Workload::new(options.event_bytes);
    let mut publisher = Connection::open(target.server).await?;
    // The first opens the connections.
    publish(target, &mut publisher, &stream, &workload.event()).await?;
    sleep(SETTLE).await;
    micros.borrow_mut().reset();
    let (cpu, begun) = (target.gauge.cpu(), Instant::now());
    let wanted = u64::from(ROUNDS) * u64::from(ENDPOINTS);
    for _ in 0..ROUNDS {
        sent.set(Instant::now());
        publish(target, &mut publisher, &stream, &workload.event()).await?;
        sleep(PACE).await;
    }
    let arriving = async {
        while micros.borrow().len() < wanted {
            receiver.changed().await;
        }
    };
    let late = |_| BenchError::Answer(format!("{} of {wanted} events came", micros.borrow().len()));
    timeout(PATIENCE, arriving).await.map_err(late)?;
    let rate = wanted as f64 / begun.elapsed().as_secs_f64();
    let cpu_us = target.gauge.cpu_micros_each(cpu, wanted);
    for integration in made {
        target.drop_integration(&integration).await?;
    }
    target.drop_stream(&stream).await?;
    let run = Run { rate, cpu_us, ..Run::default() }.with_latency(&micros.borrow());
    Ok(run)
}

/// Endpoints of a stream to which nothing comes.
async fn idle(target: &Target, options: &Options) -> Result<Run, BenchError> {
    let stream = target.make_stream().await?;
    let receiver = Receiver::start(false, |_| {}).await?;
    let mut made = vec![target.make_webhook(&stream, &receiver.url(), 10, "latest").await?];
    sleep(SETTLE).await;
    let (before, begun) = (target.gauge.resident(), Instant::now());
    for _ in 0..options.idle_readers {
        made.push(target.make_webhook(&stream, &receiver.url(), 10, "latest").await?);
    }
    let a_second = f64::from(options.idle_readers) / begun.elapsed().as_secs_f64();
    sleep(SETTLE).await;
    let cpu = target.gauge.cpu();
    sleep(SETTLE).await;
    let used = cpu.zip(target.gauge.cpu()).map(|(before, after)| after.saturating_sub(before));
    let share = used.unwrap_or_default().as_secs_f64() / SETTLE.as_secs_f64() * 100.0;
    let note = match before.zip(target.gauge.resident()) {
        Some((before, after)) => {
            let grown = after.saturating_sub(before) as f64;
            let each = grown / f64::from(options.idle_readers) / 1024.0;
            format!(
                "{each:.1} KiB resident each, {share:.1} % of one core, {a_second:.0} made a second"
            )
        }
        None => "memory unknown without --pid".to_owned(),
    };
    for integration in made {
        target.drop_integration(&integration).await?;
    }
    target.drop_stream(&stream).await?;
    Ok(Run { note, ..Run::default() })
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
