//! Mailboxes: round trips of Peek, Receive, which locks, and Confirm, which is durable, as their
//! clients make them one after the other.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use serde_json::Value;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::BenchError;
use crate::command::Options;
use crate::publish::histogram;
use crate::report::{Report, Run};
use crate::target::Target;
use crate::wire::Connection;
use crate::workload::Workload;

/// Subscribers with a client each; every one gets every message.
const CLIENTS: [usize; 2] = [1, 16];
/// Messages published for each second of a run: more than a client gets through.
const MESSAGES_A_SECOND: u64 = 5_000;
const BATCH: usize = 1_000;

pub(crate) async fn measure(
    target: &Target,
    options: &Options,
    report: &mut Report,
) -> Result<(), BenchError> {
    let key = target.project_key().await?;
    for clients in CLIENTS {
        let mut runs = Vec::new();
        for _ in 0..options.runs {
            runs.push(run(target, options, &key, clients).await?);
        }
        report.add(&format!("mailbox, peek-lock-confirm, {clients} subscribers"), runs)?;
    }
    Ok(())
}

/// A client of one mailbox.
struct Client {
    connection: Connection,
    key: String,
    subscriber: String,
}

impl Client {
    /// Registers and subscribes.
    async fn open(
        target: &Target,
        key: &str,
        topic: &str,
        number: usize,
    ) -> Result<Self, BenchError> {
        let connection = Connection::open(target.server).await?;
        let mut client = Self { connection, key: key.to_owned(), subscriber: String::new() };
        let name = format!("Register?subscriberName={topic}-{number}");
        let said = client.call("POST", &name).await?;
        client.subscriber = member(&said, "SubscriberId")?;
        let subscriber = &client.subscriber;
        let call =
            format!("Subscribe?subscriberId={subscriber}&companyCode={COMPANY}&topic={topic}");
        client.call("POST", &call).await?;
        Ok(client)
    }

    async fn call(&mut self, method: &str, call: &str) -> Result<Value, BenchError> {
        let request = format!(
            "{method} /Events/{call} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {}\r\n\
             Content-Length: 0\r\n\r\n",
            self.key
        );
        let answer = self.connection.exchange(request.as_bytes()).await?;
        let text = || String::from_utf8_lossy(answer.body).into_owned();
        if answer.status / 100 != 2 {
            return Err(BenchError::Answer(text()));
        }
        serde_json::from_slice(answer.body).map_err(|_| BenchError::Answer(text()))
    }

    /// One round trip; false: there is nothing left.
    async fn trip(&mut self) -> Result<bool, BenchError> {
        let subscriber = self.subscriber.clone();
        let peek = format!("Peek?subscriberId={subscriber}&timeout=0");
        let Ok(message) = member(&self.call("GET", &peek).await?, "NextMessageId") else {
            return Ok(false);
        };
        let named = format!("subscriberId={subscriber}&messageId={message}");
        let got = self.call("POST", &format!("Receive?{named}&lockTimeout=30")).await?;
        let lock = member(&got, "LockId")?;
        self.call("DELETE", &format!("Confirm?{named}&lockId={lock}")).await?;
        Ok(true)
    }
}

/// The company whose topics are made for the runs.
const COMPANY: &str = "BENCH";

async fn run(
    target: &Target,
    options: &Options,
    key: &str,
    count: usize,
) -> Result<Run, BenchError> {
    let stream = target.make_stream_of(COMPANY).await?;
    let topic = stream.rsplit('/').next().unwrap_or_default().to_owned();
    let mut clients = Vec::new();
    for number in 0..count {
        clients.push(Client::open(target, key, &topic, number).await?);
    }
    let mut workload = Workload::new(options.event_bytes);
    let mut publisher = Connection::open(target.server).await?;
    for _ in 0..(options.seconds * MESSAGES_A_SECOND).div_ceil(BATCH as u64) {
        let request = target.publish_request(&stream.replace('/', "%2F"), &workload.batch(BATCH));
        let answer = publisher.exchange(&request).await?;
        if answer.status != 200 {
            return Err(BenchError::Answer(String::from_utf8_lossy(answer.body).into_owned()));
        }
    }
    let micros = Rc::new(RefCell::new(histogram()?));
    let (cpu, begun) = (target.gauge.cpu(), Instant::now());
    let until = begun + Duration::from_secs(options.seconds);
    let mut tasks = JoinSet::new();
    for mut client in clients {
        let micros = Rc::clone(&micros);
        tasks.spawn_local(async move {
            loop {
                let began = Instant::now();
                if began >= until || !client.trip().await? {
                    return Ok::<(), BenchError>(());
                }
                let took = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
                micros.borrow_mut().saturating_record(took);
            }
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.map_err(|error| BenchError::Answer(error.to_string()))??;
    }
    let took = begun.elapsed().as_secs_f64();
    let trips = micros.borrow().len();
    let cpu_us = target.gauge.cpu_micros_each(cpu, trips);
    target.drop_stream(&stream.replace('/', "%2F")).await?;
    let run = Run { rate: trips as f64 / took, cpu_us, ..Run::default() };
    Ok(run.with_latency(&micros.borrow()))
}

/// A member that is a string.
fn member(said: &Value, name: &str) -> Result<String, BenchError> {
    let text = said.get(name).and_then(Value::as_str).map(str::to_owned);
    text.ok_or_else(|| BenchError::Answer(format!("no {name} in {said}")))
}
