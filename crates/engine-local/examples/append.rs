//! How many events a second the engine makes durable, in process:
//! `cargo run --release -p outflow-engine-local --example append -- [seconds] [directory]`.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a measurement, run by hand")]

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use outflow_engine_local::{LocalEngine, Options};
use outflow_model::clock::SystemClock;
use outflow_model::meta::META_BYTES;
use outflow_model::{Clock, Offset, StreamId, Timestamp};
use outflow_store::{Append, AppendError, Batch, Engine, Op, StreamConfig};
use tokio::time::Instant;

/// The size of an event's line in bytes.
const LINE: usize = 200;

/// `count` events that compress about as real ones do.
fn events(count: usize) -> (Bytes, Bytes) {
    let (mut lines, mut seed) = (Vec::with_capacity(count * LINE), 1u64);
    for n in 0..count {
        let start = lines.len();
        lines
            .extend_from_slice(format!(r#"{{"id":"{n:032x}","type":"CUSTOM","body":""#).as_bytes());
        while lines.len() < start + LINE - 3 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            lines.extend_from_slice(&[b'a' + ((seed >> 40) % 26) as u8; 4]);
        }
        lines.truncate(start + LINE - 3);
        lines.extend_from_slice(b"\"}\n");
    }
    (lines.into(), vec![0; count * META_BYTES].into())
}

async fn produce(engine: Arc<LocalEngine>, stream: StreamId, count: u32, until: Instant) -> u64 {
    let (lines, metas) = events(count as usize);
    let bounds = engine.bounds(stream).unwrap();
    let (mut first, mut done) = (bounds.next, 0);
    while Instant::now() < until {
        let at: Timestamp = SystemClock.now();
        // Copies, as a publisher's request would bring its own.
        let lines = Bytes::copy_from_slice(&lines);
        let metas = Bytes::copy_from_slice(&metas);
        let append = Append { stream, first, count, at, lines, metas };
        match engine.submit(Batch::append(append)).await {
            Ok(()) => {
                first = Offset::new(first.get() + u64::from(count));
                done += u64::from(count);
            }
            Err(AppendError::Throttled) => tokio::task::yield_now().await,
            Err(error) => {
                println!("{error}");
                return done;
            }
        }
    }
    done
}

/// The processor time of this process in seconds.
fn cpu() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after = stat.rsplit(") ").next().unwrap_or_default();
    let ticks = after.split(' ').skip(11).take(2).filter_map(|n| n.parse::<f64>().ok());
    ticks.sum::<f64>() / 100.0
}

#[tokio::main]
async fn main() {
    let mut args = std::env::args().skip(1);
    let seconds = args.next().and_then(|n| n.parse().ok()).unwrap_or(2);
    let kept = args.next().map(PathBuf::from);
    let temporary = tempfile::TempDir::new_in(kept.clone().unwrap_or_else(|| ".".into())).unwrap();
    let options = Options::default();
    let clock = Arc::new(SystemClock);
    let engine = Arc::new(LocalEngine::open(temporary.path(), options, clock).unwrap());
    let ops = (1..=1024).map(|id| Op::SetStream(StreamId(id), StreamConfig::default()));
    engine.submit(Batch { ops: ops.collect(), ..Batch::default() }).await.unwrap();
    println!("{:>10} {:>8} {:>12} {:>12}", "producers", "batch", "events/s", "cpu us/event");
    for (producers, count) in [(1, 1), (64, 1), (1024, 1), (16, 100), (4, 1000), (16, 1000)] {
        let (began, cpu_began) = (Instant::now(), cpu());
        let until = began + Duration::from_secs(seconds);
        let tasks: Vec<_> = (0..producers)
            .map(|n| tokio::spawn(produce(engine.clone(), StreamId(n + 1), count, until)))
            .collect();
        let mut total = 0;
        for task in tasks {
            total += task.await.unwrap();
        }
        let (took, cpu) = (began.elapsed().as_secs_f64(), cpu() - cpu_began);
        let (rate, each) = (total as f64 / took, cpu * 1e6 / total as f64);
        println!("{producers:>10} {count:>8} {rate:>12.0} {each:>12.2}");
    }
    let stored: u64 = (1..=1024).map(|id| engine.stored_bytes(StreamId(id))).sum();
    engine.close().await;
    drop(engine);
    let began = Instant::now();
    let engine =
        LocalEngine::open(temporary.path(), Options::default(), Arc::new(SystemClock)).unwrap();
    println!("opened again with {} MiB of lines in {:?}", stored >> 20, began.elapsed());
    println!("{:?}", engine.health());
}
