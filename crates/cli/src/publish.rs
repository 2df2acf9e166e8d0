//! `outflow publish`: events from a file or standard input, in batches, in order.
//!
//! One batch is under way at a time, so that events keep their order, and each is taken whole or
//! not at all. A batch whose answer did not come is sent again: harmless for events with ids of
//! their own, and possibly twice in the stream for those without.

mod batches;

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use http::Method;
use indicatif::ProgressBar;
use serde_json::{Value, json};

use crate::api::Api;
use crate::command::{EXIT_CODES, TEMPLATE};
use crate::connection::Connection;
use crate::failure::{Failure, Refusal};
use crate::output;
use crate::span::{parse_bytes, parse_span};
use crate::tail::bar;
use batches::{Batch, Batches, Pieces};

const EXAMPLES: &str = "Examples:
  echo '{\"type\":\"CUSTOM\",\"body\":{\"n\":1}}' | outflow publish
  outflow publish orders.ndjson --stream orders
  my-program | outflow publish --stream orders --batch 500";

const NOTES: &str = "Input is NDJSON: one JSON object a line. A batch whose answer did not come is sent again; \
    give events an `id` of their own if copies must not get into the stream.\n\n";

/// The pause before a batch is sent again, doubled every time up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Arguments of `outflow publish`.
#[derive(Debug, Args)]
#[command(help_template = TEMPLATE, before_help = EXAMPLES, after_help = format!("{NOTES}{EXIT_CODES}"))]
pub struct PublishArgs {
    /// The file; `-` or nothing for standard input.
    file: Option<PathBuf>,
    /// The stream.
    #[arg(long, short, value_name = "NAME", default_value = "events")]
    stream: String,
    /// How many events a batch has at most.
    #[arg(long, value_name = "COUNT", default_value_t = 5000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    batch: u32,
    /// How many bytes a batch has at most.
    #[arg(long, value_name = "BYTES", default_value = "1M", value_parser = parse_bytes)]
    batch_bytes: u64,
    /// How long an incomplete batch waits for more events.
    #[arg(long, value_name = "SPAN", default_value = "20ms", value_parser = parse_span)]
    linger: u64,
    /// How long a batch is tried while the server cannot be reached or is busy.
    #[arg(long, value_name = "SPAN", default_value = "1m", value_parser = parse_span)]
    retry_for: u64,
    #[command(flatten)]
    connection: Connection,
}

/// What was published so far.
#[derive(Debug, Default)]
struct Sum {
    events: u64,
    duplicates: u64,
    first: Option<String>,
    last: Option<String>,
}

impl Sum {
    fn add(&mut self, answer: &Value) -> Result<(), Failure> {
        let number = |name: &str| answer.get(name).and_then(Value::as_u64);
        let (Some(count), Some(duplicates)) = (number("count"), number("duplicates")) else {
            return Err(Failure::Answer("a publish answer without counts".into()));
        };
        let text = |name: &str| answer.get(name).and_then(Value::as_str).map(str::to_owned);
        self.events += count;
        self.duplicates += duplicates;
        self.first = self.first.take().or_else(|| text("first"));
        self.last = text("last").or_else(|| self.last.take());
        Ok(())
    }

    fn show(&self, json: bool) -> Result<(), Failure> {
        let Self { events, duplicates, first, last } = self;
        if json {
            let sum =
                json!({ "count": events, "duplicates": duplicates, "first": first, "last": last });
            return output::record(true, &sum);
        }
        let offsets = match (first, last) {
            (Some(first), Some(last)) => format!(", offsets {first} to {last}"),
            _ => String::new(),
        };
        output::line(&format!("published {events} events ({duplicates} duplicates){offsets}"))
    }
}

/// Where batches go.
#[derive(Debug)]
struct Door {
    api: Api,
    url: String,
    retry_for: Duration,
}

impl Door {
    /// Sends a batch until it is taken, refused, or the time is up.
    async fn send(&self, batch: &Batch) -> Result<Value, Failure> {
        persist(self.retry_for, || {
            let body = ("application/x-ndjson", batch.text.clone());
            self.api.json(Method::POST, &self.url, Some(body))
        })
        .await
    }
}

/// Asks until there is an answer, a refusal that stays one, or `retry_for` is over.
async fn persist<T, F>(retry_for: Duration, mut ask: impl FnMut() -> F) -> Result<T, Failure>
where
    F: Future<Output = Result<T, Failure>>,
{
    let started = tokio::time::Instant::now();
    let mut pause = FIRST_PAUSE;
    loop {
        let failure = match ask().await {
            Ok(answer) => return Ok(answer),
            Err(failure) => failure,
        };
        let wait = failure.retry_after().unwrap_or(pause);
        if !failure.is_retryable() || started.elapsed() + wait > retry_for {
            return Err(failure);
        }
        output::message(&format!("outflow: {failure}; trying again"));
        tokio::time::sleep(wait).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Says where in the whole input the fault of a batch stands.
fn located(failure: Failure, batch: &Batch, name: &str) -> Failure {
    let Failure::Refused(refusal) = &failure else { return failure };
    let Refusal { line: Some(line), status: 400 | 413, .. } = **refusal else { return failure };
    let line = batch.first_line + line.saturating_sub(1);
    let reason = refusal.places.first().unwrap_or(&refusal.detail);
    Failure::Input(format!("{name}, line {line}: {reason}"))
}

/// The input, its name for messages, and its length where there is one.
fn open(path: Option<&Path>) -> Result<(Pieces, String, Option<u64>), Failure> {
    let Some(path) = path.filter(|path| path.as_os_str() != "-") else {
        return Ok((batches::read(std::io::stdin()), "standard input".to_owned(), None));
    };
    let name = path.display().to_string();
    let unreadable = |error: std::io::Error| Failure::Input(format!("cannot read {name}: {error}"));
    let file = std::fs::File::open(path).map_err(unreadable)?;
    let length = file.metadata().map_err(unreadable)?.len();
    Ok((batches::read(file), name, Some(length)))
}

/// A bar for files, where somebody looks.
fn progress(length: Option<u64>) -> Option<ProgressBar> {
    let length = length.filter(|_| std::io::IsTerminal::is_terminal(&std::io::stderr()))?;
    Some(bar(length, "{wide_bar} {bytes}/{total_bytes} {bytes_per_sec} {eta}"))
}

pub(crate) async fn run(args: PublishArgs) -> Result<(), Failure> {
    let api = Api::new(&args.connection)?;
    let retry_for = Duration::from_millis(args.retry_for);
    let project = persist(retry_for, || api.project()).await?;
    let path = ["v1", "projects", &project, "streams", &args.stream, "events"];
    let url = api.url(&path, &[("summary", "true")]);
    let door = Door { api, url, retry_for };
    let (input, name, length) = open(args.file.as_deref())?;
    let bytes = usize::try_from(args.batch_bytes).unwrap_or(usize::MAX);
    let linger = Duration::from_millis(args.linger);
    let mut batches = Batches::new(input, args.batch as usize, bytes, linger);
    let progress = progress(length);
    let mut sum = Sum::default();
    let outcome = async {
        while let Some(batch) = batches.next().await? {
            let answer =
                door.send(&batch).await.map_err(|failure| located(failure, &batch, &name))?;
            sum.add(&answer)?;
            if let Some(progress) = &progress {
                progress.inc(batch.text.len() as u64);
            }
        }
        Ok(())
    };
    let outcome: Result<(), Failure> = outcome.await;
    if let Some(progress) = &progress {
        progress.finish_and_clear();
    }
    if outcome.is_err() {
        output::message(&format!(
            "outflow: {} events were published before this went wrong",
            sum.events
        ));
    }
    outcome?;
    sum.show(args.connection.json)
}
