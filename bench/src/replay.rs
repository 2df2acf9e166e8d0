//! Replay: one reader takes a whole stream from its beginning and discards it.
//!
//! Begun when the server has done what publishing leaves to do (journals are sealed into segments), so
//! that a reader of the past is measured and not the end of a writer.

use tokio::time::Instant;

use crate::BenchError;
use crate::command::Options;
use crate::publish::publish_all;
use crate::reader::{LAST_CHUNK, Reader, count_events, gunzip, scratch};
use crate::report::{Report, Run};
use crate::target::{Encoding, Target};
use crate::workload::Workload;

const BATCH: u64 = 1_000;
/// Rendered once and sent again and again: the reader does not look, and memory is finite.
const BATCHES: usize = 64;

pub(crate) async fn measure(
    target: &Target,
    options: &Options,
    report: &mut Report,
) -> Result<(), BenchError> {
    let stream = target.make_stream().await?;
    let events = fill(target, options, &stream).await?;
    for encoding in [Encoding::Plain, Encoding::Gzip] {
        let request = target.read_request(&stream, "start=earliest&follow=false", encoding);
        verify(target, &request, encoding, events).await?;
        target.gauge.settle().await;
        let mut runs = Vec::new();
        for _ in 0..options.runs {
            runs.push(run(target, &request, events).await?);
        }
        report.add(&format!("replay, 1 reader, {}", encoding.name()), runs)?;
    }
    target.drop_stream(&stream).await
}

async fn fill(target: &Target, options: &Options, stream: &str) -> Result<u64, BenchError> {
    let mut workload = Workload::new(options.event_bytes);
    let different: Vec<Vec<u8>> = (0..BATCHES)
        .map(|_| target.publish_request(stream, &workload.batch(BATCH as usize)))
        .collect();
    let mut left = options.replay_events.div_ceil(BATCH);
    while left > 0 {
        let round = left.min(BATCHES as u64);
        publish_all(target, different.iter().take(round as usize).cloned().collect()).await?;
        left -= round;
    }
    Ok(options.replay_events.div_ceil(BATCH) * BATCH)
}

/// Untimed: that the body holds just the events published. The timed runs then need not look.
async fn verify(
    target: &Target,
    request: &[u8],
    encoding: Encoding,
    events: u64,
) -> Result<(), BenchError> {
    let mut body = Reader::open(target, request).await?.collect().await?;
    if encoding == Encoding::Gzip {
        body = gunzip(&body)?;
    }
    match count_events(&body) {
        found if found == events => Ok(()),
        found => Err(BenchError::Answer(format!("{found} of {events} events"))),
    }
}

async fn run(target: &Target, request: &[u8], events: u64) -> Result<Run, BenchError> {
    let scratch = scratch();
    let cpu = target.gauge.cpu();
    let begun = Instant::now();
    let bytes = Reader::open(target, request).await?.discard(scratch, LAST_CHUNK).await?;
    let took = begun.elapsed().as_secs_f64();
    Ok(Run {
        rate: events as f64 / took,
        cpu_us: target.gauge.cpu_micros_each(cpu, events),
        note: format!("{:.0} MB/s on the wire", bytes as f64 / took / 1e6),
        ..Run::default()
    })
}
