//! Durable ingest: how many single payloads a second are answered 202 at the door of upstream
//! systems.

use std::io::Write as _;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::command::Options;
use crate::publish::Load;
use crate::report::Report;
use crate::target::{Encoding, Target};
use crate::workload::Workload;
use crate::{BenchError, During as _};

const CONNECTIONS: [usize; 3] = [1, 64, 256];
/// Different payloads, so that no run is of one repeated.
const PAYLOADS: usize = 1_024;
/// How many connections send gzip.
const GZIP_CONNECTIONS: usize = 64;

pub(crate) async fn measure(
    target: &Target,
    options: &Options,
    report: &mut Report,
) -> Result<(), BenchError> {
    let token = target.ingest_token().await?;
    let mut workload = Workload::new(options.event_bytes);
    let payloads: Vec<String> = (0..PAYLOADS).map(|_| workload.event()).collect();
    let plain = CONNECTIONS.map(|connections| (connections, Encoding::Plain));
    for (connections, encoding) in plain.into_iter().chain([(GZIP_CONNECTIONS, Encoding::Gzip)]) {
        let scene = format!("ingest, {}, {connections} connections", encoding.name());
        let mut runs = Vec::new();
        for _ in 0..options.runs {
            let stream = target.make_ingest_stream().await?;
            let request = |payload: &String| {
                let bytes = coded(payload.as_bytes(), encoding)?;
                Ok(target.ingest_request(&stream, &token, encoding, &bytes))
            };
            let requests = payloads.iter().map(request).collect::<Result<_, BenchError>>()?;
            let load = Load { requests, connections, events_each: 1 };
            runs.push(load.run(target, Duration::from_secs(options.seconds)).await?);
            target.drop_stream(&stream).await?;
        }
        report.add(&scene, runs)?;
    }
    Ok(())
}

fn coded(payload: &[u8], encoding: Encoding) -> Result<Vec<u8>, BenchError> {
    if encoding == Encoding::Plain {
        return Ok(payload.to_vec());
    }
    let mut zip = GzEncoder::new(Vec::new(), Compression::default());
    zip.write_all(payload).during("compressing")?;
    zip.finish().during("compressing")
}
