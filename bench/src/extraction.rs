//! Extraction of a keyed stream's entities while its changes go on: how long until the load is whole.

use std::time::Duration;

use serde_json::Value;
use tokio::time::{Instant, MissedTickBehavior};

use crate::BenchError;
use crate::command::Options;
use crate::publish::publish_all;
use crate::report::{Report, Run};
use crate::target::Target;
use crate::wire::Connection;

/// Entities of one publish.
const BATCH: u64 = 1_000;
/// How often changes are published meanwhile, and how many each time: 5,000 a second.
const PAUSE: Duration = Duration::from_millis(20);
const CHANGES: u64 = 100;
/// How often the job is looked at.
const LOOK: Duration = Duration::from_millis(50);

pub(crate) async fn measure(
    target: &Target,
    options: &Options,
    report: &mut Report,
) -> Result<(), BenchError> {
    let mut runs = Vec::new();
    for _ in 0..options.runs {
        runs.push(run(target, options).await?);
    }
    let scene = format!("extraction of {} entities", options.entities);
    report.add(&scene, runs)
}

async fn run(target: &Target, options: &Options) -> Result<Run, BenchError> {
    let entities = options.entities.div_ceil(BATCH) * BATCH;
    let stream = target.make_keyed_stream().await?;
    let filler = "x".repeat((options.event_bytes as usize).saturating_sub(120));
    let create = |number| change("create", number, &filler);
    let creates = (0..entities / BATCH)
        .map(|batch| batch * BATCH)
        .map(|first| target.publish_request(&stream, &lines(first..first + BATCH, create)));
    publish_all(target, creates.collect()).await?;
    let cpu = target.gauge.cpu();
    let begun = Instant::now();
    let job = target.start_extraction(&stream).await?;
    let mut writing = Connection::open(target.server).await?;
    let mut looking = Connection::open(target.server).await?;
    let mut ticks = tokio::time::interval(PAUSE);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let (mut changed, mut looked) = (0, Instant::now());
    let update = |number| change("update", number * 7_919 % entities, "y");
    loop {
        ticks.tick().await;
        let body = lines(changed..changed + CHANGES, update);
        let answer = writing.exchange(&target.publish_request(&stream, &body)).await?;
        if answer.status != 200 {
            return Err(BenchError::Answer(String::from_utf8_lossy(answer.body).into_owned()));
        }
        changed += CHANGES;
        if looked.elapsed() < LOOK {
            continue;
        }
        looked = Instant::now();
        let answer = looking.exchange(&target.extraction_request(&job)).await?;
        let shown: Value = serde_json::from_slice(answer.body).unwrap_or_default();
        match shown.get("state").and_then(Value::as_str) {
            Some("queued" | "running") => {}
            Some("done") => break,
            _ => return Err(BenchError::Answer(shown.to_string())),
        }
    }
    let took = begun.elapsed().as_secs_f64();
    let cpu_us = target.gauge.cpu_micros_each(cpu, entities);
    target.drop_stream(&stream).await?;
    let note = format!("{took:.1} s, {:.0} changes/s", changed as f64 / took);
    Ok(Run { rate: entities as f64 / took, cpu_us, note, ..Run::default() })
}

fn lines(numbers: std::ops::Range<u64>, of: impl Fn(u64) -> String) -> String {
    numbers.map(|number| of(number) + "\n").collect()
}

fn change(kind: &str, number: u64, filler: &str) -> String {
    format!(
        r#"{{"type":"{kind}","ref":{{"type":"Account","ids":{{"no":{number}}}}},"body":{{"balance":{number},"note":"{filler}"}}}}"#
    )
}
