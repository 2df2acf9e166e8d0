//! Extraction of a keyed stream's entities while its changes go on: how long until a reader of the load
//! has it whole.
//!
//! A run beside which fewer changes were written than the scene promises shows nothing: it is left out,
//! said to be, and done again.

use std::cell::Cell;
use std::time::Duration;

use serde_json::Value;
use tokio::io::AsyncReadExt as _;
use tokio::time::{Instant, MissedTickBehavior, sleep};

use crate::command::Options;
use crate::publish::publish_all;
use crate::reader::Reader;
use crate::report::{Report, Run};
use crate::target::Target;
use crate::wire::Connection;
use crate::{BenchError, During as _};

/// Entities of one publish.
const BATCH: u64 = 1_000;
/// How many changes a second have to be written beside a run.
const BESIDE: f64 = 5_000.0;
/// What is offered: some more, over connections of their own.
const WRITERS: u64 = 2;
const PAUSE: Duration = Duration::from_millis(20);
const CHANGES: u64 = 65;
/// How often the job is looked at.
const LOOK: Duration = Duration::from_millis(50);
/// How the end of a load is told to its readers, before the job's number.
const END: &str = ": end-of-load job=";

pub(crate) async fn measure(
    target: &Target,
    options: &Options,
    report: &mut Report,
) -> Result<(), BenchError> {
    let (mut runs, mut left_out) = (Vec::new(), 0);
    while runs.len() < options.runs as usize {
        let run = run(target, options).await?;
        if run.beside.is_some_and(|rate| rate >= BESIDE) {
            runs.push(run);
            continue;
        }
        left_out += 1;
        if left_out > options.runs {
            // A row without a rate, so that the scenes after it are measured all the same.
            if runs.is_empty() {
                let note = format!("none counted: {}", run.note);
                runs.push(Run { beside: run.beside, note, ..Run::default() });
            }
            break;
        }
    }
    if left_out > 0 {
        let note = format!(", {left_out} runs with fewer than {BESIDE:.0} changes/s left out");
        runs.iter_mut().for_each(|run| run.note += &note);
    }
    report.add(&format!("extraction of {} entities", options.entities), runs)
}

async fn run(target: &Target, options: &Options) -> Result<Run, BenchError> {
    let entities = options.entities.div_ceil(BATCH) * BATCH;
    let stream = target.make_keyed_stream().await?;
    // Of nothing: there is a load feed from now on, so that its reader is there before the load.
    let empty = target.start_extraction(&stream).await?;
    while state(target, &empty).await? != "done" {
        sleep(LOOK).await;
    }
    let filler = "x".repeat((options.event_bytes as usize).saturating_sub(120));
    let create = |number| change("create", number, &filler);
    let creates = (0..entities / BATCH)
        .map(|batch| batch * BATCH)
        .map(|first| target.publish_request(&stream, &lines(first..first + BATCH, create)));
    publish_all(target, creates.collect()).await?;
    let reader =
        Reader::open(target, &target.load_request(&format!("stream={stream}&from=now"))).await?;
    let cpu = target.gauge.cpu();
    let changed = Cell::new(0);
    let begun = Instant::now();
    let job = target.start_extraction(&stream).await?;
    let write = |who| write(target, &stream, entities, who, &changed);
    let bytes = tokio::select! {
        read = whole(reader, &job) => read?,
        Err(error) = write(0) => return Err(error),
        Err(error) = write(1) => return Err(error),
        Err(error) = watch(target, &job) => return Err(error),
    };
    let took = begun.elapsed().as_secs_f64();
    let cpu_us = target.gauge.cpu_micros_each(cpu, entities);
    target.drop_stream(&stream).await?;
    let beside = changed.get() as f64 / took;
    let note = format!(
        "{took:.1} s until read, {:.0} MB/s, {beside:.0} changes/s beside it",
        bytes as f64 / took / 1e6
    );
    Ok(Run { rate: entities as f64 / took, cpu_us, beside: Some(beside), note, ..Run::default() })
}

/// Writes changes for as long as it is let, each time after the last were acknowledged; those that it
/// is behind with at once.
async fn write(
    target: &Target,
    stream: &str,
    entities: u64,
    who: u64,
    changed: &Cell<u64>,
) -> Result<(), BenchError> {
    let mut connection = Connection::open(target.server).await?;
    let mut ticks = tokio::time::interval(PAUSE);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let update = |number| change("update", number * 7_919 % entities, "y");
    let mut next = who * CHANGES;
    loop {
        ticks.tick().await;
        let body = lines(next..next + CHANGES, update);
        let answer = connection.exchange(&target.publish_request(stream, &body)).await?;
        if answer.status != 200 {
            return Err(BenchError::Answer(String::from_utf8_lossy(answer.body).into_owned()));
        }
        changed.set(changed.get() + CHANGES);
        next += WRITERS * CHANGES;
    }
}

/// Looks at a job for as long as it is let; ends with what stopped it.
async fn watch(target: &Target, job: &str) -> Result<(), BenchError> {
    loop {
        sleep(LOOK).await;
        let state = state(target, job).await?;
        if !matches!(&*state, "queued" | "running" | "done") {
            return Err(BenchError::Answer(format!("the extraction is {state}")));
        }
    }
}

async fn state(target: &Target, job: &str) -> Result<String, BenchError> {
    let mut connection = Connection::open(target.server).await?;
    let answer = connection.exchange(&target.extraction_request(job)).await?;
    let shown: Value = serde_json::from_slice(answer.body).unwrap_or_default();
    let state = shown.get("state").and_then(Value::as_str);
    state.map(str::to_owned).ok_or_else(|| BenchError::Answer(shown.to_string()))
}

/// Reads a load feed until the job's end, and returns the number of bytes.
async fn whole(reader: Reader, job: &str) -> Result<u64, BenchError> {
    let end = format!("{END}{job}\n");
    let (mut stream, mut buffer) = reader.into_parts();
    let mut bytes = buffer.len() as u64;
    buffer.reserve(512 * 1024);
    while memchr::memmem::find(&buffer, end.as_bytes()).is_none() {
        // Its beginning may have come already.
        buffer.drain(..buffer.len().saturating_sub(end.len()));
        let count = stream.read_buf(&mut buffer).await.during("reading a load")?;
        if count == 0 {
            return Err(BenchError::Answer("a load broke off".to_owned()));
        }
        bytes += count as u64;
    }
    Ok(bytes)
}

fn lines(numbers: std::ops::Range<u64>, of: impl Fn(u64) -> String) -> String {
    numbers.map(|number| of(number) + "\n").collect()
}

fn change(kind: &str, number: u64, filler: &str) -> String {
    format!(
        r#"{{"type":"{kind}","ref":{{"type":"Account","ids":{{"no":{number}}}}},"body":{{"balance":{number},"note":"{filler}"}}}}"#
    )
}
