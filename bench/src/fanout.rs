//! Live fan-out: events published now, delivered to many readers that discard them, as NDJSON or as
//! server-sent events.

use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::BenchError;
use crate::command::Options;
use crate::publish::publish_all;
use crate::reader::{LAST_CHUNK, LAST_EVENT, Reader, scratch};
use crate::report::{Report, Run};
use crate::target::{Encoding, Target};
use crate::workload::Workload;

const READERS: [u32; 4] = [1, 100, 1_000, 10_000];
/// The most readers, unless it is said: of lines and of server-sent events.
const LINES_MAX: u32 = 1_000;
const SSE_MAX: u32 = 10_000;
/// Events of one publish: a busy feed, not a backfill.
const BATCH: u64 = 100;
/// Deliveries of one run, over all readers; few readers get fewer, so that publishing does not
/// take the time that delivering should.
const DELIVERIES: u64 = 10_000_000;
const EVENTS_MAX: u64 = 300_000;

pub(crate) async fn measure(
    target: &Target,
    options: &Options,
    report: &mut Report,
) -> Result<(), BenchError> {
    for readers in counts(options, LINES_MAX) {
        for encoding in [Encoding::Plain, Encoding::Gzip] {
            let mut runs = Vec::new();
            for _ in 0..options.runs {
                runs.push(run(target, options, readers, Door::Lines(encoding)).await?);
            }
            report.add(&format!("live, {readers} readers, {}", encoding.name()), runs)?;
        }
    }
    Ok(())
}

/// The same as server-sent events.
pub(crate) async fn measure_sse(
    target: &Target,
    options: &Options,
    report: &mut Report,
) -> Result<(), BenchError> {
    for readers in counts(options, SSE_MAX) {
        let mut runs = Vec::new();
        for _ in 0..options.runs {
            runs.push(run(target, options, readers, Door::Sse).await?);
        }
        report.add(&format!("live, {readers} readers, sse"), runs)?;
    }
    Ok(())
}

fn counts(options: &Options, most: u32) -> Vec<u32> {
    let most = options.readers.unwrap_or(most);
    READERS.into_iter().filter(|&count| count < most).chain([most]).collect()
}

/// What readers ask for.
#[derive(Debug, Clone, Copy)]
enum Door {
    Lines(Encoding),
    Sse,
}

/// Each reader asks for as many events as will be published, so its stream ends by itself after the
/// last and nothing has to be decoded to know that all came.
async fn run(
    target: &Target,
    options: &Options,
    readers: u32,
    door: Door,
) -> Result<Run, BenchError> {
    let events = options.most((DELIVERIES / u64::from(readers)).min(EVENTS_MAX));
    let events = events.div_ceil(BATCH) * BATCH;
    let stream = target.make_stream().await?;
    let request = match door {
        Door::Lines(encoding) => {
            let query = format!("start=latest&follow=true&limit={events}");
            target.read_request(&stream, &query, encoding)
        }
        Door::Sse => target.sse_request(&stream, &format!("from=now&limit={events}")),
    };
    let mut workload = Workload::new(options.event_bytes);
    let batches: Vec<Vec<u8>> = (0..events / BATCH)
        .map(|_| target.publish_request(&stream, &workload.batch(BATCH as usize)))
        .collect();

    let scratch = scratch();
    let mut tasks = JoinSet::new();
    for _ in 0..readers {
        let reader = Reader::open(target, &request).await?;
        let end = if matches!(door, Door::Sse) { LAST_EVENT } else { LAST_CHUNK };
        tasks.spawn_local(reader.discard(scratch.clone(), end));
    }
    let cpu = target.gauge.cpu();
    let begun = Instant::now();
    publish_all(target, batches).await?;
    let published = begun.elapsed().as_secs_f64();
    let mut bytes = 0;
    while let Some(done) = tasks.join_next().await {
        bytes += done.map_err(|error| BenchError::Answer(error.to_string()))??;
    }
    let took = begun.elapsed().as_secs_f64();
    let deliveries = events * u64::from(readers);
    let cpu_us = target.gauge.cpu_micros_each(cpu, deliveries);
    target.drop_stream(&stream).await?;
    Ok(Run {
        rate: deliveries as f64 / took,
        cpu_us,
        note: format!(
            "{:.0} MB/s, published in {:.0} %",
            bytes as f64 / took / 1e6,
            published / took * 100.0
        ),
        ..Run::default()
    })
}
