//! Durable publish: how many events a second are acknowledged after their sync, and how long one
//! request takes.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use hdrhistogram::Histogram;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::command::Options;
use crate::report::{Report, Run};
use crate::target::Target;
use crate::wire::Connection;
use crate::workload::Workload;
use crate::{BenchError, During as _};

/// Before a run counts: caches and the journal's files are warm by then.
const WARM_UP: Duration = Duration::from_millis(500);
const IN_FLIGHT: [usize; 3] = [1, 64, 1_024];
const BATCH: usize = 1_000;
/// Batches in flight: two for each stage of the way (sent, parsed, synced, answered), so that no stage
/// waits for another while there is a processor left.
const BATCH_CONNECTIONS: usize = 8;
/// Different requests, so that no run is of one event repeated.
const SINGLES: usize = 1_024;
const BATCHES: usize = 32;

pub(crate) async fn measure(
    target: &Target,
    options: &Options,
    report: &mut Report,
) -> Result<(), BenchError> {
    let mut workload = Workload::new(options.event_bytes);
    let singles: Vec<String> = (0..SINGLES).map(|_| workload.event()).collect();
    let batches: Vec<String> = (0..BATCHES).map(|_| workload.batch(BATCH)).collect();
    for in_flight in IN_FLIGHT {
        let scene = format!("publish, single events, {in_flight} in flight");
        repeat(target, options, report, &scene, &singles, in_flight, 1).await?;
    }
    let scene = format!("publish, batches of {BATCH}, {BATCH_CONNECTIONS} in flight");
    repeat(target, options, report, &scene, &batches, BATCH_CONNECTIONS, BATCH as u64).await
}

async fn repeat(
    target: &Target,
    options: &Options,
    report: &mut Report,
    scene: &str,
    bodies: &[String],
    connections: usize,
    events_each: u64,
) -> Result<(), BenchError> {
    let mut runs = Vec::new();
    for _ in 0..options.runs {
        let stream = target.make_stream().await?;
        let requests = bodies.iter().map(|body| target.publish_request(&stream, body)).collect();
        let load = Load { requests, connections, events_each };
        runs.push(load.run(target, Duration::from_secs(options.seconds)).await?);
        target.drop_stream(&stream).await?;
    }
    report.add(scene, runs)
}

/// A closed loop: each connection sends its next request when the last was answered.
#[derive(Debug)]
pub(crate) struct Load {
    pub(crate) requests: Vec<Vec<u8>>,
    pub(crate) connections: usize,
    pub(crate) events_each: u64,
}

/// What all connections of a load share.
#[derive(Debug)]
struct Progress {
    ended: Cell<bool>,
    counting: Cell<bool>,
    answered: Cell<u64>,
    micros: RefCell<Histogram<u64>>,
}

impl Load {
    pub(crate) async fn run(self, target: &Target, time: Duration) -> Result<Run, BenchError> {
        let events_each = self.events_each;
        let progress = Rc::new(Progress {
            ended: Cell::new(false),
            counting: Cell::new(false),
            answered: Cell::new(0),
            micros: RefCell::new(histogram()?),
        });
        let requests = Rc::new(self.requests);
        let mut tasks = JoinSet::new();
        for number in 0..self.connections {
            let connection = Connection::open(target.server).await?;
            tasks.spawn_local(client(
                connection,
                Rc::clone(&requests),
                number,
                Rc::clone(&progress),
            ));
        }
        tokio::time::sleep(WARM_UP).await;
        let cpu = target.gauge.cpu();
        let begun = Instant::now();
        progress.counting.set(true);
        tokio::time::sleep(time).await;
        progress.counting.set(false);
        let took = begun.elapsed();
        let events = progress.answered.get() * events_each;
        let cpu_us = target.gauge.cpu_micros_each(cpu, events);
        progress.ended.set(true);
        while let Some(done) = tasks.join_next().await {
            done.map_err(|error| BenchError::Answer(error.to_string()))??;
        }
        let rate = events as f64 / took.as_secs_f64();
        let run = Run { rate, cpu_us, ..Run::default() };
        Ok(run.with_latency(&progress.micros.borrow()))
    }
}

/// Publishes until told to stop; a refusal ends the bench, for a refused event is not published.
async fn client(
    mut connection: Connection,
    requests: Rc<Vec<Vec<u8>>>,
    number: usize,
    progress: Rc<Progress>,
) -> Result<(), BenchError> {
    for request in requests.iter().cycle().skip(number * 7 % requests.len().max(1)) {
        if progress.ended.get() {
            break;
        }
        let begun = Instant::now();
        let answer = connection.exchange(request).await?;
        if answer.status / 100 != 2 {
            let text = String::from_utf8_lossy(answer.body);
            return Err(BenchError::Answer(format!("{}: {text}", answer.status)));
        }
        if progress.counting.get() {
            progress.answered.set(progress.answered.get() + 1);
            let micros = u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX);
            progress.micros.borrow_mut().saturating_record(micros);
        }
    }
    Ok(())
}

/// Publishes each request once over a few connections and returns when all are durable.
pub(crate) async fn publish_all(target: &Target, requests: Vec<Vec<u8>>) -> Result<(), BenchError> {
    let queue = Rc::new(RefCell::new(requests.into_iter()));
    let mut tasks = JoinSet::new();
    for _ in 0..BATCH_CONNECTIONS {
        let mut connection = Connection::open(target.server).await?;
        let queue = Rc::clone(&queue);
        tasks.spawn_local(async move {
            loop {
                let Some(request) = queue.borrow_mut().next() else { return Ok(()) };
                let answer = connection.exchange(&request).await?;
                if answer.status != 200 {
                    return Err(BenchError::Answer(
                        String::from_utf8_lossy(answer.body).into_owned(),
                    ));
                }
            }
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.map_err(|error| BenchError::Answer(error.to_string()))??;
    }
    Ok(())
}

/// From a microsecond to a minute, to three digits.
pub(crate) fn histogram() -> Result<Histogram<u64>, BenchError> {
    Histogram::new_with_bounds(1, 60_000_000, 3)
        .map_err(std::io::Error::other)
        .during("making a histogram")
}
