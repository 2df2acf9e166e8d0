//! Many endpoints of one stream: from the publish of an event to its arrival at each, without one that
//! stalls beside them and with one, in turn, so that both see the same machine.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use hdrhistogram::Histogram;
use tokio::time::{Instant, sleep, timeout};

use super::receiver::Receiver;
use super::{PATIENCE, SETTLE, publish};
use crate::command::Options;
use crate::publish::histogram;
use crate::report::{Report, Run};
use crate::target::Target;
use crate::wire::Connection;
use crate::workload::Workload;
use crate::{BenchError, During as _};

/// Endpoints beside a stalled one.
const ENDPOINTS: u32 = 1_000;
/// Events that all of them get in a round, and the time between two.
const EVENTS: u32 = 20;
const PACE: Duration = Duration::from_millis(250);

pub(super) async fn measure(
    target: &Target,
    options: &Options,
    report: &mut Report,
) -> Result<(), BenchError> {
    let mut crowd = Crowd::gather(target, options).await?;
    let stalled = Receiver::stalled().await?;
    let [mut well, mut beside] = [Tally::new()?, Tally::new()?];
    for _ in 0..options.runs {
        crowd.round(target, &mut well).await?;
        let stalling = target.make_webhook(&crowd.stream, &stalled.url(), 1, "latest").await?;
        crowd.round(target, &mut beside).await?;
        target.drop_integration(&stalling).await?;
    }
    for (name, tally) in [("all well", well), ("beside a stalled one", beside)] {
        report.add(&format!("webhook, {ENDPOINTS} endpoints, {name}"), vec![tally.run()])?;
    }
    for integration in crowd.made {
        target.drop_integration(&integration).await?;
    }
    target.drop_stream(&crowd.stream).await
}

/// What all rounds of a kind have shown.
struct Tally {
    micros: Histogram<u64>,
    took: Duration,
    cpu: Option<Duration>,
}

impl Tally {
    fn new() -> Result<Self, BenchError> {
        Ok(Self { micros: histogram()?, took: Duration::ZERO, cpu: Some(Duration::ZERO) })
    }

    fn run(&self) -> Run {
        let events = self.micros.len() as f64;
        let rate = events / self.took.as_secs_f64();
        let cpu_us = self.cpu.map(|cpu| cpu.as_secs_f64() * 1e6 / events);
        Run { rate, cpu_us, ..Run::default() }.with_latency(&self.micros)
    }
}

/// Endpoints of one stream at one receiver.
struct Crowd {
    stream: String,
    made: Vec<String>,
    receiver: Receiver,
    micros: Rc<RefCell<Histogram<u64>>>,
    /// When the last event was published.
    sent: Rc<Cell<Instant>>,
    workload: Workload,
    publisher: Connection,
}

impl Crowd {
    async fn gather(target: &Target, options: &Options) -> Result<Self, BenchError> {
        let stream = target.make_stream().await?;
        let micros = Rc::new(RefCell::new(histogram()?));
        let sent = Rc::new(Cell::new(Instant::now()));
        let (kept, since) = (Rc::clone(&micros), Rc::clone(&sent));
        let receiver = Receiver::start(false, move |_| {
            let took = u64::try_from(since.get().elapsed().as_micros()).unwrap_or(u64::MAX);
            kept.borrow_mut().saturating_record(took);
        })
        .await?;
        let mut made = Vec::new();
        for _ in 0..ENDPOINTS {
            made.push(target.make_webhook(&stream, &receiver.url(), 1, "latest").await?);
        }
        let workload = Workload::new(options.event_bytes);
        let publisher = Connection::open(target.server).await?;
        Ok(Self { stream, made, receiver, micros, sent, workload, publisher })
    }

    async fn publish(&mut self, target: &Target) -> Result<(), BenchError> {
        self.sent.set(Instant::now());
        publish(target, &mut self.publisher, &self.stream, &self.workload.event()).await
    }

    async fn round(&mut self, target: &Target, tally: &mut Tally) -> Result<(), BenchError> {
        // The first opens the connections, and meets whoever stalls.
        self.publish(target).await?;
        sleep(SETTLE).await;
        self.micros.borrow_mut().reset();
        let (cpu, begun) = (target.gauge.cpu(), Instant::now());
        let wanted = u64::from(EVENTS) * u64::from(ENDPOINTS);
        for _ in 0..EVENTS {
            self.publish(target).await?;
            sleep(PACE).await;
        }
        let came = || self.micros.borrow().len();
        let arriving = async {
            while came() < wanted {
                self.receiver.changed().await;
            }
        };
        let late = |_| BenchError::Answer(format!("{} of {wanted} events came", came()));
        timeout(PATIENCE, arriving).await.map_err(late)?;
        tally.took += begun.elapsed();
        let used = target.gauge.cpu().zip(cpu).map(|(after, before)| after.saturating_sub(before));
        tally.cpu = tally.cpu.zip(used).map(|(known, used)| known + used);
        tally.micros.add(&*self.micros.borrow()).map_err(std::io::Error::other).during("adding")
    }
}
