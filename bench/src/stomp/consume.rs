//! Taking messages off a queue that was filled before the clock starts, in the three ack modes.

use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::time::{Instant, timeout};

use super::Broker;
use super::broker::Connection;
use super::publish::chunks;
use crate::command::Options;
use crate::report::{Report, Run};
use crate::{BenchError, During as _};

/// Messages of one run; slow brokers are given fewer, so that a run ends.
const MESSAGES: u64 = 300_000;
/// In `client` mode one ACK stands for so many messages.
const CUMULATIVE: u64 = 100;
/// A broker that says nothing for so long has lost messages.
const SILENCE: Duration = Duration::from_secs(60);

pub(crate) async fn measure(
    broker: &Broker,
    options: &Options,
    report: &mut Report,
) -> Result<(), BenchError> {
    for ack in ["auto", "client", "client-individual"] {
        let mut runs = Vec::new();
        for _ in 0..options.runs {
            runs.push(run(broker, options, ack).await?);
        }
        report.add(&format!("STOMP consume, {ack}"), runs)?;
    }
    Ok(())
}

/// The names of the window are ActiveMQ's and RabbitMQ's.
pub(crate) fn subscribe(destination: &str, ack: &str) -> String {
    format!(
        "SUBSCRIBE\nid:0\ndestination:{destination}\nack:{ack}\nactivemq.prefetchSize:2000\nprefetch-count:2000\n\n\0"
    )
}

async fn run(broker: &Broker, options: &Options, ack: &str) -> Result<Run, BenchError> {
    let destination = format!("/queue/{}", broker.fresh("consume"));
    let count = fill(broker, options, &destination).await?;
    let mut connection = broker.connect().await?;
    let cpu = broker.gauge.cpu();
    let begun = Instant::now();
    connection.send(subscribe(&destination, ack).as_bytes()).await?;
    match ack {
        "auto" => connection.expect(count).await?,
        "client" => acknowledging(&mut connection, count, CUMULATIVE).await?,
        _ => acknowledging(&mut connection, count, 1).await?,
    }
    let took = begun.elapsed().as_secs_f64();
    let cpu_us = broker.gauge.cpu_micros_each(cpu, count);
    connection.send(b"DISCONNECT\nreceipt:bye\n\n\0").await?;
    connection.expect(1).await?;
    Ok(Run { rate: count as f64 / took, cpu_us, ..Run::default() })
}

/// Publishes for as long as a run lasts, at most `MESSAGES`.
async fn fill(broker: &Broker, options: &Options, destination: &str) -> Result<u64, BenchError> {
    let chunks = chunks(destination, options.event_bytes, false);
    let mut connection = broker.connect().await?;
    let (begun, time) = (Instant::now(), Duration::from_secs(options.seconds));
    let mut count = 0;
    for chunk in chunks.iter().cycle() {
        if count >= options.most(MESSAGES) || begun.elapsed() > time {
            break;
        }
        connection.send(chunk).await?;
        count += 64;
    }
    connection.send(b"DISCONNECT\nreceipt:filled\n\n\0").await?;
    connection.expect(1).await?;
    Ok(count)
}

/// Reads `count` messages and acknowledges every `each`-th, and the last of each read.
async fn acknowledging(
    connection: &mut Connection,
    count: u64,
    each: u64,
) -> Result<(), BenchError> {
    let (mut seen, mut acks) = (0, Vec::with_capacity(256 * 1024));
    while seen < count {
        let mut last = Vec::new();
        let reading = connection.reading.frames(|frame| {
            let Some(id) = header(frame, b"\nack:") else { return };
            seen += 1;
            last.clear();
            if seen % each == 0 {
                ack(&mut acks, id);
            } else {
                last.extend_from_slice(id);
            }
        });
        let read = timeout(SILENCE, reading).await;
        read.map_err(|_| BenchError::Answer("the broker fell silent".to_owned()))??;
        if !last.is_empty() {
            ack(&mut acks, &last);
        }
        connection.write.write_all(&acks).await.during("sending acknowledgements")?;
        acks.clear();
    }
    Ok(())
}

fn ack(out: &mut Vec<u8>, id: &[u8]) {
    for part in [b"ACK\nid:", id, b"\n\n\0"] {
        out.extend_from_slice(part);
    }
}

/// The value of the header whose name, with the newline before and the colon after it, is `name`.
fn header<'a>(frame: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let from = memchr::memmem::find(frame, name)? + name.len();
    let rest = frame.get(from..)?;
    rest.get(..memchr::memchr(b'\n', rest)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ack_names_what_the_message_said() {
        let frame = b"MESSAGE\nsubscription:0\nack:ID:x-1\nmessage-id:m\n\n{}";
        let mut out = Vec::new();
        ack(&mut out, header(frame, b"\nack:").unwrap());
        assert_eq!(out, b"ACK\nid:ID:x-1\n\n\0");
        assert!(header(b"RECEIPT\nreceipt-id:x\n\n", b"\nack:").is_none());
    }
}
