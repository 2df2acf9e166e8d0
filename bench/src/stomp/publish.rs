//! Persistent SENDs, each with a receipt that the broker owes only after its sync.

use std::rc::Rc;
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::Broker;
use crate::command::Options;
use crate::publish::histogram;
use crate::report::{Report, Run};
use crate::workload::Workload;
use crate::{BenchError, During as _};

const WARM_UP: Duration = Duration::from_millis(500);
/// How many SENDs may wait for their receipt on one pipelined connection.
const WINDOW: u32 = 8_192;
/// SENDs of one write.
const TOGETHER: u32 = 64;
/// Different bodies.
const BODIES: usize = 32;

pub(crate) async fn measure(
    broker: &Broker,
    options: &Options,
    report: &mut Report,
) -> Result<(), BenchError> {
    let mut runs = Vec::new();
    for _ in 0..options.runs {
        runs.push(one_in_flight(broker, options).await?);
    }
    report.add("STOMP send, receipt, 1 in flight", runs)?;
    for connections in [1, 8] {
        let mut runs = Vec::new();
        for _ in 0..options.runs {
            runs.push(pipelined(broker, options, connections).await?);
        }
        report.add(&format!("STOMP send, receipts, {connections} pipelined"), runs)?;
    }
    Ok(())
}

/// A SEND with a body of the wanted size.
pub(crate) fn send_frame(destination: &str, body: &str, receipt: bool) -> String {
    let receipt = if receipt { "receipt:r\n" } else { "" };
    format!("SEND\ndestination:{destination}\npersistent:true\n{receipt}\n{body}\0")
}

/// Writes of `TOGETHER` frames each.
pub(crate) fn chunks(destination: &str, bytes: u32, receipt: bool) -> Vec<Vec<u8>> {
    let mut workload = Workload::new(bytes);
    let mut chunk = || {
        let frames = (0..TOGETHER).map(|_| send_frame(destination, &workload.event(), receipt));
        frames.collect::<String>().into_bytes()
    };
    (0..BODIES).map(|_| chunk()).collect()
}

async fn one_in_flight(broker: &Broker, options: &Options) -> Result<Run, BenchError> {
    let destination = format!("/queue/{}", broker.fresh("send"));
    let mut connection = broker.connect().await?;
    let frame = send_frame(&destination, &Workload::new(options.event_bytes).event(), true);
    let mut micros = histogram()?;
    let cpu = broker.gauge.cpu();
    let (begun, time) = (Instant::now(), Duration::from_secs(options.seconds));
    let mut sent = 0;
    while begun.elapsed() < time {
        let began = Instant::now();
        connection.send(frame.as_bytes()).await?;
        connection.expect(1).await?;
        micros.saturating_record(u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX));
        sent += 1;
    }
    let rate = sent as f64 / begun.elapsed().as_secs_f64();
    let cpu_us = broker.gauge.cpu_micros_each(cpu, sent);
    drain(broker, &destination, sent).await?;
    Ok(Run { rate, cpu_us, ..Run::default() }.with_latency(&micros))
}

async fn pipelined(
    broker: &Broker,
    options: &Options,
    connections: u32,
) -> Result<Run, BenchError> {
    let destination = format!("/queue/{}", broker.fresh("send"));
    let chunks = Rc::new(chunks(&destination, options.event_bytes, true));
    let ends = Instant::now() + WARM_UP + Duration::from_secs(options.seconds);
    let counting = Instant::now() + WARM_UP;
    let mut tasks = JoinSet::new();
    for _ in 0..connections {
        let connection = broker.connect().await?;
        tasks.spawn_local(publish(connection, Rc::clone(&chunks), counting, ends));
    }
    tokio::time::sleep_until(counting).await;
    let (cpu, begun) = (broker.gauge.cpu(), Instant::now());
    tokio::time::sleep_until(ends).await;
    let (took, spent) = (begun.elapsed().as_secs_f64(), broker.gauge.cpu());
    let (mut counted, mut all) = (0, 0);
    while let Some(done) = tasks.join_next().await {
        let (within, sent) = done.map_err(|error| BenchError::Answer(error.to_string()))??;
        counted += within;
        all += sent;
    }
    drain(broker, &destination, all).await?;
    let cpu_us = cpu.zip(spent).and_then(|(before, after)| {
        Some(after.checked_sub(before)?.as_secs_f64() * 1e6 / (counted as f64).max(1.0))
    });
    Ok(Run { rate: counted as f64 / took, cpu_us, ..Run::default() })
}

/// Keeps a window of SENDs open until the end; returns the receipts that came while it counted,
/// and all of them.
async fn publish(
    connection: super::broker::Connection,
    chunks: Rc<Vec<Vec<u8>>>,
    counting: Instant,
    ends: Instant,
) -> Result<(u64, u64), BenchError> {
    let super::broker::Connection { mut reading, mut write, .. } = connection;
    let window = Rc::new(Semaphore::new(WINDOW as usize));
    let open = Rc::clone(&window);
    let writing = tokio::task::spawn_local(async move {
        let mut sent = 0;
        for chunk in chunks.iter().cycle() {
            let Ok(permit) = open.acquire_many(TOGETHER).await else { break };
            permit.forget();
            if Instant::now() >= ends {
                break;
            }
            write.write_all(chunk).await.during("sending frames")?;
            sent += u64::from(TOGETHER);
        }
        Ok::<_, BenchError>((sent, write))
    });
    let (mut counted, mut all) = (0, 0);
    while Instant::now() < ends {
        let receipts = reading.frames(|_| {}).await?;
        let now = Instant::now();
        if now >= counting && now < ends {
            counted += receipts;
        }
        all += receipts;
        window.add_permits(usize::try_from(receipts).unwrap_or_default());
    }
    window.add_permits(TOGETHER as usize);
    let written = writing.await.map_err(|error| BenchError::Answer(error.to_string()))?;
    let (sent, _write) = written?;
    while all < sent {
        all += reading.frames(|_| {}).await?;
    }
    Ok((counted, sent))
}

/// Gives the disk back: takes everything off the queue.
async fn drain(broker: &Broker, destination: &str, count: u64) -> Result<(), BenchError> {
    let mut connection = broker.connect().await?;
    connection.send(super::consume::subscribe(destination, "auto").as_bytes()).await?;
    connection.expect(count).await
}
