//! Idle readers: what each costs the server in memory while nothing happens.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::BenchError;
use crate::command::Options;
use crate::reader::Reader;
use crate::report::{Report, Run};
use crate::target::{Encoding, Target};

/// Some heartbeats have gone to everybody by then.
const SETTLE: Duration = Duration::from_secs(6);
/// As many of the second kind at most: both kinds have a socket each, of the 20,000 that most systems
/// let a process have.
const SECOND: u32 = 5_000;
/// Opened before the first look, so that what is made once is not counted.
const FIRST: u32 = 100;

/// One run: memory does not vary as time does, and does not all come back after a run. So those of the
/// first kind stay while the second is measured.
pub(crate) async fn measure(
    target: &Target,
    options: &Options,
    report: &mut Report,
) -> Result<(), BenchError> {
    let stream = target.make_stream().await?;
    let plain = target.read_request(&stream, "start=latest&follow=true", Encoding::Plain);
    let sse = target.sse_request(&stream, "from=now");
    let mut readers = Vec::new();
    let all = options.idle_readers;
    for (kind, count, request) in [("readers", all, plain), ("sse readers", all.min(SECOND), sse)] {
        let note = open(target, count, &request, &mut readers).await?;
        let scene = format!("idle, {count} {kind}");
        report.add(&scene, vec![Run { note, ..Run::default() }])?;
    }
    drop(readers);
    target.drop_stream(&stream).await
}

/// Opens `count` of them, and says what they cost.
async fn open(
    target: &Target,
    count: u32,
    request: &[u8],
    readers: &mut Vec<Reader>,
) -> Result<String, BenchError> {
    for _ in 0..FIRST {
        readers.push(Reader::open(target, request).await?);
    }
    sleep(SETTLE).await;
    let before = target.gauge.resident();
    let begun = Instant::now();
    for _ in 0..count {
        readers.push(Reader::open(target, request).await?);
    }
    let opened = f64::from(count) / begun.elapsed().as_secs_f64();
    sleep(SETTLE).await;
    let cpu = target.gauge.cpu();
    sleep(SETTLE).await;
    let Some((before, after)) = before.zip(target.gauge.resident()) else {
        return Ok("memory unknown without --pid".to_owned());
    };
    let each = after.saturating_sub(before) as f64 / f64::from(count) / 1024.0;
    let used = cpu.zip(target.gauge.cpu()).map(|(before, after)| after.saturating_sub(before));
    let share = used.unwrap_or_default().as_secs_f64() / SETTLE.as_secs_f64() * 100.0;
    Ok(format!(
        "{each:.1} KiB resident each, {share:.0} % of one core for heartbeats of all, {opened:.0} opened a second"
    ))
}
