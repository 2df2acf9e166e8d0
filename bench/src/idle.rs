//! Idle readers: what each costs the server in memory while nothing happens.

use std::time::Duration;

use tokio::time::Instant;

use crate::BenchError;
use crate::command::Options;
use crate::reader::Reader;
use crate::report::{Report, Run};
use crate::target::{Encoding, Target};

/// Some heartbeats have gone to everybody by then.
const SETTLE: Duration = Duration::from_secs(6);
/// Opened before the first look, so that what is made once is not counted.
const FIRST: u32 = 100;

/// One run: memory does not vary as time does, and does not all come back after a run.
pub(crate) async fn measure(
    target: &Target,
    options: &Options,
    report: &mut Report,
) -> Result<(), BenchError> {
    let stream = target.make_stream().await?;
    let request = target.read_request(&stream, "start=latest&follow=true", Encoding::Plain);
    let mut readers = Vec::new();
    for _ in 0..FIRST {
        readers.push(Reader::open(target, &request).await?);
    }
    tokio::time::sleep(SETTLE).await;
    let before = target.gauge.resident();
    let begun = Instant::now();
    for _ in 0..options.idle_readers {
        readers.push(Reader::open(target, &request).await?);
    }
    let opened = f64::from(options.idle_readers) / begun.elapsed().as_secs_f64();
    tokio::time::sleep(SETTLE).await;
    let cpu = target.gauge.cpu();
    tokio::time::sleep(SETTLE).await;
    let note = match (before, target.gauge.resident()) {
        (Some(before), Some(after)) => {
            let each =
                after.saturating_sub(before) as f64 / f64::from(options.idle_readers) / 1024.0;
            let used = cpu
                .zip(target.gauge.cpu())
                .map_or(0.0, |(before, after)| (after - before).as_secs_f64());
            let share = used / SETTLE.as_secs_f64() * 100.0;
            format!(
                "{each:.1} KiB resident each, {share:.0} % of one core for heartbeats, \
                 {opened:.0} opened a second"
            )
        }
        _ => "memory unknown without --pid".to_owned(),
    };
    drop(readers);
    report.add(
        &format!("idle, {} readers", options.idle_readers),
        vec![Run { note, ..Run::default() }],
    )?;
    target.drop_stream(&stream).await
}
