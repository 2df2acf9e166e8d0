//! Many endpoints to which nothing comes: what each costs in memory, and that none has a task.

use tokio::time::{Instant, sleep};

use super::SETTLE;
use super::receiver::Receiver;
use crate::BenchError;
use crate::command::Options;
use crate::report::{Report, Run};
use crate::target::Target;

/// Events of a batch, as by default.
const BATCH: u64 = 10;

pub(super) async fn measure(
    target: &Target,
    options: &Options,
    report: &mut Report,
) -> Result<(), BenchError> {
    let stream = target.make_stream().await?;
    let receiver = Receiver::start(false, |_| {}).await?;
    let url = receiver.url();
    let make = || target.make_webhook(&stream, &url, BATCH, "latest");
    let mut made = vec![make().await?];
    sleep(SETTLE).await;
    let (memory, tasks, begun) = (target.gauge.resident(), target.tasks().await?, Instant::now());
    // With the first no more than a project may have.
    for _ in 1..options.idle_readers {
        made.push(make().await?);
    }
    let count = f64::from(options.idle_readers);
    let mut said = vec![format!("{:.0} made a second", count / begun.elapsed().as_secs_f64())];
    sleep(SETTLE).await;
    let cpu = target.gauge.cpu();
    sleep(SETTLE).await;
    if let Some((before, after)) = cpu.zip(target.gauge.cpu()) {
        let share = after.saturating_sub(before).as_secs_f64() / SETTLE.as_secs_f64() * 100.0;
        said.push(format!("{share:.1} % of one core"));
    }
    if let Some((before, after)) = tasks.zip(target.tasks().await?) {
        said.push(format!("{} tasks more", after.saturating_sub(before)));
    }
    said.push(match memory.zip(target.gauge.resident()) {
        Some((before, after)) => {
            let each = after.saturating_sub(before) as f64 / count / 1024.0;
            format!("{each:.1} KiB resident each")
        }
        None => "memory unknown without --pid".to_owned(),
    });
    said.reverse();
    let scene = format!("webhook, {} idle endpoints", options.idle_readers);
    report.add(&scene, vec![Run { note: said.join(", "), ..Run::default() }])?;
    for integration in made {
        target.drop_integration(&integration).await?;
    }
    target.drop_stream(&stream).await
}
