//! The command line of `outflow bench`.

use std::path::PathBuf;

use crate::gauge::Gauge;
use crate::stomp::Broker;
use crate::{BenchError, During as _};

/// What to measure.
#[derive(Debug, Clone, clap::Subcommand)]
pub enum BenchCommand {
    /// Everything below, one after another.
    All(Options),
    /// Durable publish: single events with 1, 64 and 1,024 in flight, and NDJSON batches.
    Publish(Options),
    /// Durable ingest of single payloads over 1, 64 and 256 connections, and of gzip.
    Ingest(Options),
    /// One reader of a whole stream that discards what it gets, plain and gzip.
    Replay(Options),
    /// Live events to 1, 100 and 1,000 readers, plain and gzip.
    Fanout(Options),
    /// Live events to 1, 100, 1,000 and 10,000 readers as server-sent events.
    Sse(Options),
    /// Extraction of a keyed stream's entities to a reader while at least 5,000 changes a second are
    /// written.
    Extraction(Options),
    /// From publish to reader at half load.
    Latency(Options),
    /// Memory of the server for each idle reader.
    Idle(Options),
    /// Mailboxes: round trips of peek, lock and confirm.
    Mailbox(Options),
    /// Webhooks: one endpoint in batches of 1, 10 and 100, 1,000 with one stalled, idle ones.
    Webhook(Options),
    /// Queues over STOMP: publish with receipts, consume, mirror, idle. Any broker may be measured.
    Stomp(StompOptions),
}

/// How to measure a broker.
#[derive(Debug, Clone, clap::Args)]
pub struct StompOptions {
    #[command(flatten)]
    options: Options,
    /// Measure this broker (HOST:PORT of its STOMP listener) instead of a server of ours.
    #[arg(long, conflicts_with = "server")]
    broker: Option<String>,
    /// Name to log in with at that broker.
    #[arg(long, default_value = "admin")]
    login: String,
    /// Password to log in with at that broker; a peer of the bench, so no secret.
    #[arg(long, default_value = "admin")]
    passcode: String,
    /// Process id of that broker, for its CPU time.
    #[arg(long, requires = "broker")]
    broker_pid: Option<u32>,
}

impl StompOptions {
    /// The broker to measure, when it is not a server of ours.
    pub(crate) async fn broker(&self) -> Result<Option<Broker>, BenchError> {
        let Some(name) = &self.broker else { return Ok(None) };
        let address = tokio::net::lookup_host(name).await.during("looking up the broker")?.next();
        let address =
            address.ok_or_else(|| BenchError::Target("its name has no address".to_owned()))?;
        let gauge = Gauge::new(self.broker_pid);
        Ok(Some(Broker::new(address, self.login.clone(), self.passcode.clone(), gauge)))
    }
}

/// How to measure it.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// Runs of each scene; the median is shown.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=99))]
    pub runs: u32,
    /// Seconds of each timed run.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=600))]
    pub seconds: u64,
    /// Bytes of an event as it is published.
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(120..=60_000))]
    pub event_bytes: u32,
    /// Events that the replay reads.
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1_000..))]
    pub replay_events: u64,
    /// Largest number of readers in the fan-out; 1,000 of lines and 10,000 of server-sent events
    /// unless given.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub readers: Option<u32>,
    /// The most events of a run that has a fixed number of them; such runs then tell less.
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1_000..))]
    pub most_events: Option<u64>,
    /// Entities of the extraction.
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1_000..=100_000_000))]
    pub entities: u64,
    /// Idle readers to open.
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=60_000))]
    pub idle_readers: u32,
    /// Print one JSON array instead of a table, each row as soon as its scene has ended.
    #[arg(long)]
    pub json: bool,
    /// Measure this server (HOST:PORT) instead of one started for the purpose.
    #[arg(long, requires = "token_file")]
    pub server: Option<String>,
    /// File with an operator token of that server.
    #[arg(long)]
    pub token_file: Option<PathBuf>,
    /// Process id of that server, for its CPU time and memory.
    #[arg(long, requires = "server")]
    pub pid: Option<u32>,
    /// Folder for the data of the server started here; a temporary one if not given. Use a folder
    /// on the disk you want to measure.
    #[arg(long)]
    pub data_dir: Option<PathBuf>,
}

impl Options {
    /// As many events as a run has by itself, or as it may have.
    pub(crate) fn most(&self, events: u64) -> u64 {
        self.most_events.map_or(events, |most| events.min(most))
    }
}

impl BenchCommand {
    pub(crate) fn options(&self) -> &Options {
        match self {
            Self::All(options)
            | Self::Publish(options)
            | Self::Ingest(options)
            | Self::Replay(options)
            | Self::Fanout(options)
            | Self::Sse(options)
            | Self::Extraction(options)
            | Self::Latency(options)
            | Self::Idle(options)
            | Self::Mailbox(options)
            | Self::Webhook(options) => options,
            Self::Stomp(stomp) => &stomp.options,
        }
    }
}
