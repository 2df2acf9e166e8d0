//! From publish to reader: how long an event takes from the moment its request is sent until a live
//! reader has it, at half the load that the server can take.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use hdrhistogram::Histogram;
use tokio::io::AsyncReadExt as _;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior};

use crate::command::Options;
use crate::publish::{Load, histogram};
use crate::reader::Reader;
use crate::report::{Report, Run};
use crate::target::{Encoding, Target};
use crate::wire::Connection;
use crate::workload::Workload;
use crate::{BenchError, During as _};

const CONNECTIONS: usize = 64;
/// Stands before the time of sending, in microseconds since the run began.
const MARK: &str = r#""sent":""#;
const DIGITS: usize = 16;

pub(crate) async fn measure(
    target: &Target,
    options: &Options,
    report: &mut Report,
) -> Result<(), BenchError> {
    let half = full_rate(target, options).await? / 2.0;
    let (mut commits, mut deliveries) = (Vec::new(), Vec::new());
    for _ in 0..options.runs {
        let (commit, delivery) = run(target, options, half).await?;
        commits.push(commit);
        deliveries.push(delivery);
    }
    report.add("half load, commit", commits)?;
    report.add("half load, publish to reader", deliveries)
}

/// What a closed loop over the same connections reaches.
async fn full_rate(target: &Target, options: &Options) -> Result<f64, BenchError> {
    let stream = target.make_stream().await?;
    let mut workload = Workload::new(options.event_bytes);
    let requests =
        (0..CONNECTIONS).map(|_| target.publish_request(&stream, &workload.event())).collect();
    let load = Load { requests, connections: CONNECTIONS, events_each: 1 };
    let run = load.run(target, Duration::from_secs(options.seconds)).await?;
    target.drop_stream(&stream).await?;
    Ok(run.rate)
}

/// An event with a place for the time, in a whole request.
fn request(target: &Target, stream: &str, bytes: u32) -> (Vec<u8>, usize) {
    let head = format!(r#"{{"type":"CUSTOM","body":{{{MARK}{:0DIGITS$}","pad":""#, 0);
    let pad = "x".repeat((bytes as usize).saturating_sub(head.len() + 3));
    let request = target.publish_request(stream, &format!(r#"{head}{pad}"}}}}"#));
    let at = memchr::memmem::rfind(&request, MARK.as_bytes()).unwrap_or_default() + MARK.len();
    (request, at)
}

/// What publishers and reader share.
#[derive(Debug)]
struct Clockwork {
    begun: Instant,
    ended: Cell<bool>,
    sent: Cell<u64>,
    commit: RefCell<Histogram<u64>>,
    delivery: RefCell<Histogram<u64>>,
}

impl Clockwork {
    fn micros(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_micros()).unwrap_or(u64::MAX)
    }
}

async fn run(target: &Target, options: &Options, rate: f64) -> Result<(Run, Run), BenchError> {
    let stream = target.make_stream().await?;
    let reader = Reader::open(
        target,
        &target.read_request(&stream, "start=latest&follow=true", Encoding::Plain),
    )
    .await?;
    let shared = Rc::new(Clockwork {
        begun: Instant::now(),
        ended: Cell::new(false),
        sent: Cell::new(0),
        commit: RefCell::new(histogram()?),
        delivery: RefCell::new(histogram()?),
    });
    let mut tasks = JoinSet::new();
    let reading = tokio::task::spawn_local(read(reader, Rc::clone(&shared)));
    for number in 0..CONNECTIONS {
        let connection = Connection::open(target.server).await?;
        let (request, at) = request(target, &stream, options.event_bytes);
        let interval = Duration::from_secs_f64(CONNECTIONS as f64 / rate.max(1.0));
        let first = shared.begun + interval.mul_f64(number as f64 / CONNECTIONS as f64);
        tasks.spawn_local(publish(connection, request, at, first, interval, Rc::clone(&shared)));
    }
    let cpu = target.gauge.cpu();
    let begun = Instant::now();
    tokio::time::sleep(Duration::from_secs(options.seconds)).await;
    shared.ended.set(true);
    let (took, sent) = (begun.elapsed().as_secs_f64(), shared.sent.get());
    let cpu_us = target.gauge.cpu_micros_each(cpu, sent);
    while let Some(done) = tasks.join_next().await {
        done.map_err(|error| BenchError::Answer(error.to_string()))??;
    }
    let deadline = Instant::now() + Duration::from_secs(5);
    while shared.delivery.borrow().len() < shared.sent.get() && Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    reading.abort();
    if shared.delivery.borrow().len() < shared.sent.get() {
        return Err(BenchError::Answer(format!(
            "{} of {} events came",
            shared.delivery.borrow().len(),
            shared.sent.get()
        )));
    }
    target.drop_stream(&stream).await?;
    let run = Run { rate: sent as f64 / took, cpu_us, ..Run::default() };
    Ok((
        run.clone().with_latency(&shared.commit.borrow()),
        run.with_latency(&shared.delivery.borrow()),
    ))
}

/// Sends at its pace; one that is late because the answer was late sends at once and does not
/// catch up, so the load stays at half.
async fn publish(
    mut connection: Connection,
    mut request: Vec<u8>,
    at: usize,
    first: Instant,
    interval: Duration,
    shared: Rc<Clockwork>,
) -> Result<(), BenchError> {
    let mut ticks = tokio::time::interval_at(first, interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while !shared.ended.get() {
        ticks.tick().await;
        let begun = shared.micros();
        if let Some(place) = request.get_mut(at..at + DIGITS) {
            place.copy_from_slice(format!("{begun:0DIGITS$}").as_bytes());
        }
        let answer = connection.exchange(&request).await?;
        if answer.status != 200 {
            return Err(BenchError::Answer(String::from_utf8_lossy(answer.body).into_owned()));
        }
        shared.sent.set(shared.sent.get() + 1);
        shared.commit.borrow_mut().saturating_record(shared.micros().saturating_sub(begun));
    }
    Ok(())
}

/// Finds each event's time of sending in the raw bytes. A chunk of the answer holds whole lines, so
/// framing never falls inside a mark; a mark cut by the socket is searched again with the next read.
async fn read(reader: Reader, shared: Rc<Clockwork>) -> Result<(), BenchError> {
    let (mut stream, mut bytes) = reader.into_parts();
    bytes.reserve(1 << 20);
    loop {
        let now = shared.micros();
        let mut done = 0;
        while let Some(sent) = next_mark(&bytes, done) {
            let (time, end) = sent;
            shared.delivery.borrow_mut().saturating_record(now.saturating_sub(time));
            done = end;
        }
        // What may be the beginning of a mark stays.
        bytes.drain(..done.max(bytes.len().saturating_sub(MARK.len() + DIGITS)));
        if stream.read_buf(&mut bytes).await.during("reading a stream")? == 0 {
            return Ok(());
        }
    }
}

/// The time of the next event from `from` on, and where it ends.
fn next_mark(bytes: &[u8], from: usize) -> Option<(u64, usize)> {
    let rest = bytes.get(from..)?;
    let at = memchr::memmem::find(rest, MARK.as_bytes())? + MARK.len();
    let digits = std::str::from_utf8(rest.get(at..at + DIGITS)?).ok()?;
    Some((digits.parse().ok()?, from + at + DIGITS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_found_one_after_another_and_halves_wait() {
        let bytes = br#"x"sent":"0000000000000042","y"sent":"0000000000000043"z"sent":"00"#;
        let (first, end) = next_mark(bytes, 0).unwrap();
        let (second, end) = next_mark(bytes, end).unwrap();
        assert_eq!((first, second), (42, 43));
        assert!(next_mark(bytes, end).is_none());
    }
}
