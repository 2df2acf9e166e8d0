//! The load generator behind `outflow bench`: durable publish and ingest, replay, live fan-out, idle
//! readers and publish-to-reader latency, extractions, queues over STOMP, mailboxes and webhooks, measured from outside
//! over real sockets.
//!
//! Called by `cli`; calls no crate of the product, only its HTTP doors. One thread drives all
//! clients, so that on a small machine the server keeps the rest; requests are rendered before the
//! clock starts, and readers discard what they get.
//!
//! Invariants: every figure is the median of several runs; what a run counts was acknowledged or
//! read to a clean end, else the run is an error.

mod command;
mod extraction;
mod fanout;
mod gauge;
mod idle;
mod ingest;
mod latency;
mod mailbox;
mod publish;
mod reader;
mod replay;
mod report;
mod stomp;
mod target;
mod webhook;
mod wire;
mod workload;

pub use command::{BenchCommand, Options};

use report::Report;
use target::Target;

/// Why a bench could not be run, or its figures not be trusted.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// A socket, a file or a process; the operator's side.
    #[error("{during}: {source}")]
    Io {
        /// What was being done.
        during: &'static str,
        /// What the system said.
        source: std::io::Error,
    },
    /// The server's answer was not the promised one.
    #[error("unexpected answer: {0}")]
    Answer(String),
    /// The server under test could not be started or reached.
    #[error("no server to measure: {0}")]
    Target(String),
}

/// Adds what was being done to a system error.
pub(crate) trait During<T> {
    fn during(self, what: &'static str) -> Result<T, BenchError>;
}

impl<T> During<T> for std::io::Result<T> {
    fn during(self, what: &'static str) -> Result<T, BenchError> {
        self.map_err(|source| BenchError::Io { during: what, source })
    }
}

/// Runs the scenes asked for and prints a table, or JSON, to standard output.
///
/// # Errors
/// When no server can be measured, or when one did not do what its answers promised.
pub fn run(command: &BenchCommand) -> Result<(), BenchError> {
    // A runtime of its own, of one thread: figures must not depend on who calls.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .during("starting a runtime")?;
    tokio::task::LocalSet::new().block_on(&runtime, measure(command))
}

async fn measure(command: &BenchCommand) -> Result<(), BenchError> {
    let options = command.options();
    let mut report = Report::new(options.json);
    if let BenchCommand::Stomp(args) = command
        && let Some(broker) = args.broker().await?
    {
        stomp::measure_broker(&broker, options, &mut report).await?;
        return report.finish();
    }
    let target = Target::prepare(options).await?;
    let all = matches!(command, BenchCommand::All(_));
    if all || matches!(command, BenchCommand::Publish(_)) {
        publish::measure(&target, options, &mut report).await?;
    }
    if all || matches!(command, BenchCommand::Ingest(_)) {
        ingest::measure(&target, options, &mut report).await?;
    }
    if all || matches!(command, BenchCommand::Replay(_)) {
        replay::measure(&target, options, &mut report).await?;
    }
    if all || matches!(command, BenchCommand::Extraction(_)) {
        extraction::measure(&target, options, &mut report).await?;
    }
    if all || matches!(command, BenchCommand::Sse(_)) {
        fanout::measure_sse(&target, options, &mut report).await?;
    }
    if all || matches!(command, BenchCommand::Fanout(_)) {
        fanout::measure(&target, options, &mut report).await?;
    }
    if all || matches!(command, BenchCommand::Latency(_)) {
        latency::measure(&target, options, &mut report).await?;
    }
    if all || matches!(command, BenchCommand::Idle(_)) {
        idle::measure(&target, options, &mut report).await?;
    }
    if all || matches!(command, BenchCommand::Mailbox(_)) {
        mailbox::measure(&target, options, &mut report).await?;
    }
    if all || matches!(command, BenchCommand::Stomp(_)) {
        stomp::measure(&target, options, &mut report).await?;
    }
    if all || matches!(command, BenchCommand::Webhook(_)) {
        webhook::measure(&target, options, &mut report).await?;
    }
    report.finish()
}
