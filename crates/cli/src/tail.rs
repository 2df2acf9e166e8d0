//! `outflow tail`: a stream's events on standard output, across broken connections.
//!
//! Every event is printed once and in order: after a break reading resumes behind the last offset
//! printed, or, before the first, at the place that the server named when it answered. Events that
//! are damaged on the server are passed over, never in silence.

pub(crate) mod lines;
mod mark;
mod pretty;

use std::io::IsTerminal;
use std::time::Duration;

use clap::{Args, ValueEnum};
use http::Method;
use indicatif::{ProgressBar, ProgressStyle};
use outflow_model::clock::SystemClock;
use outflow_model::{Clock, Timestamp};
use serde_json::json;

use crate::api::Api;
use crate::command::{EXIT_CODES, TEMPLATE};
use crate::connection::Connection;
use crate::failure::Failure;
use crate::http::Response;
use crate::output;
use crate::span::parse_span;
use lines::Lines;
use mark::Mark;
use pretty::Pretty;

const EXAMPLES: &str = "Examples:
  outflow tail                                  new events of the stream `events`
  outflow tail orders --from earliest --count 10
  outflow tail --since 1h --types OPEN,CUSTOM
  outflow tail --filter '{\"predicates\":{\"key\":\"key\",\"value\":{\"equals\":\"a\"}}}'
  outflow tail orders --from earliest --no-follow > orders.ndjson
  outflow tail --subscription queue:orders      what waits in a queue, without taking it";

/// The server sends a heartbeat every two seconds; after this much silence the connection is dead.
const SILENCE: Duration = Duration::from_secs(20);
/// The pause before connecting again, doubled with every failure up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// Arguments of `outflow tail`.
#[derive(Debug, Args)]
#[command(help_template = TEMPLATE, before_help = EXAMPLES, after_help = EXIT_CODES)]
pub struct TailArgs {
    /// The stream.
    #[arg(default_value = "events")]
    stream: String,
    /// Show what waits in this subscription, and what comes to it, without taking it.
    #[arg(long, value_name = "NAME", conflicts_with_all = ["stream", "from", "since", "types", "filter", "cursor"])]
    subscription: Option<String>,
    /// Where to begin: earliest, latest, behind an offset, or an RFC 3339 time.
    #[arg(long, value_name = "PLACE", default_value = "latest", value_parser = parse_place)]
    from: String,
    /// Begin this long ago, such as 90s, 1h30m or 7d.
    #[arg(long, value_name = "SPAN", value_parser = parse_span, conflicts_with = "from")]
    since: Option<u64>,
    /// Only events of these types, separated by commas.
    #[arg(long, value_name = "TYPES", value_delimiter = ',', conflicts_with = "filter")]
    types: Option<Vec<String>>,
    /// Only events that pass this filter: the `filters` of Airship's language, an object or array.
    #[arg(long, value_name = "JSON", value_parser = parse_filter)]
    filter: Option<String>,
    /// Begin at this server-kept cursor, if there is one, and move it behind what was printed.
    #[arg(long, value_name = "NAME")]
    cursor: Option<String>,
    /// Stop after so many events.
    #[arg(long, short = 'n', value_name = "COUNT")]
    count: Option<u64>,
    /// How to print; pretty on a terminal, line otherwise.
    #[arg(long)]
    format: Option<Format>,
    /// Stop at the end of the stream instead of waiting for more.
    #[arg(long)]
    no_follow: bool,
    #[command(flatten)]
    connection: Connection,
}

/// How to print an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// The event's JSON on one line, byte for byte as stored.
    Line,
    /// Time, type, offset and body, coloured on a terminal.
    Pretty,
}

pub(crate) fn parse_place(text: &str) -> Result<String, String> {
    let is_offset = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let is_word = matches!(text, "earliest" | "latest");
    if is_word || is_offset || Timestamp::parse_rfc3339(text.as_bytes()).is_some() {
        return Ok(text.to_owned());
    }
    Err("it is none of: earliest, latest, an offset, an RFC 3339 time".to_owned())
}

pub(crate) fn parse_filter(text: &str) -> Result<String, String> {
    serde_json::from_str::<&serde_json::value::RawValue>(text)
        .map(|json| json.get().to_owned())
        .map_err(|error| format!("it is not JSON: {error}"))
}

/// What becomes of the events that come.
pub(crate) trait Sink {
    /// Takes one stored line, with its newline. It counts as done once this has ended.
    async fn take(&mut self, line: &[u8]) -> Result<(), Failure>;

    /// Nothing more has come for the moment.
    fn flush(&mut self) -> Result<(), Failure>;
}

/// What is asked for, and how far it has come.
#[derive(Debug)]
pub(crate) struct Tail {
    api: Api,
    project: String,
    stream: String,
    /// What to look into instead of a stream.
    subscription: Option<String>,
    filters: Option<String>,
    /// The cursor to begin at, until the server has said where that is.
    cursor: Option<String>,
    /// The cursor to move.
    mark: Option<Mark>,
    follow: bool,
    /// What to ask for next as `start`.
    place: String,
    /// How many damaged places were passed over.
    damaged: u64,
    /// How many events are still wanted.
    left: Option<u64>,
}

impl Tail {
    async fn new(args: &TailArgs) -> Result<Self, Failure> {
        let api = Api::new(&args.connection)?;
        let project = api.project().await?;
        let place = args.since.map_or_else(
            || args.from.clone(),
            |ago| {
                let ago = i64::try_from(ago).unwrap_or(i64::MAX);
                SystemClock.now().plus_millis(-ago).to_string()
            },
        );
        let of_types = args.types.as_ref().map(|types| json!([{ "types": types }]).to_string());
        let mark = args.cursor.as_ref().map(|name| Mark::new(&api, &project, &args.stream, name));
        Ok(Self {
            api,
            project,
            stream: args.stream.clone(),
            subscription: args.subscription.clone(),
            filters: args.filter.clone().or(of_types),
            cursor: args.cursor.clone(),
            mark,
            follow: !args.no_follow,
            place,
            damaged: 0,
            left: args.count,
        })
    }

    /// A stream's events that pass `filters`, from `place` on and without an end: for commands that do something
    /// else with events than print them.
    pub(crate) fn following(
        api: Api,
        project: String,
        stream: String,
        place: String,
        filters: Option<String>,
    ) -> Self {
        Self {
            api,
            project,
            stream,
            subscription: None,
            filters,
            cursor: None,
            mark: None,
            follow: true,
            place,
            damaged: 0,
            left: None,
        }
    }

    async fn open(&mut self) -> Result<Response, Failure> {
        let limit = self.left.map(|left| left.to_string());
        let mut query = Vec::new();
        query.extend(self.subscription.is_none().then_some(("start", self.place.as_str())));
        query.extend((!self.follow).then_some(("follow", "false")));
        query.extend(self.filters.as_deref().map(|filters| ("filters", filters)));
        query.extend(self.cursor.as_deref().map(|cursor| ("cursor", cursor)));
        query.extend(limit.as_deref().map(|limit| ("limit", limit)));
        let (kind, name) = match &self.subscription {
            Some(name) => ("subscriptions", name),
            None => ("streams", &self.stream),
        };
        let path = ["v1", "projects", &self.project, kind, name, "events"];
        let response = self.api.send(Method::GET, &self.api.url(&path, &query), None).await?;
        let said = |name| response.headers().get(name).and_then(|value| value.to_str().ok());
        self.begun(said("outflow-from"), said("x-outflow-resume").unwrap_or_default());
        Ok(response)
    }

    /// Takes the place where the server began, so that a break before the first event loses none,
    /// and tells of what is missing before it.
    fn begun(&mut self, from: Option<&str>, resume: &str) {
        let Some(from) = from else { return };
        let behind = if self.place.parse::<u64>().is_ok() && self.cursor.is_none() {
            format!("behind {}", self.place)
        } else {
            "at the beginning".to_owned()
        };
        if resume.starts_with("damaged") {
            self.damaged += 1;
            output::message(&format!(
                "outflow: events {behind} are damaged: going on behind {from}"
            ));
        } else if resume.starts_with("trimmed") {
            output::message(&format!(
                "outflow: events {behind} are no longer kept: going on behind {from}"
            ));
        }
        // From here on the place is known better than the cursor knows it.
        self.cursor = None;
        from.clone_into(&mut self.place);
    }

    /// Whether the connection ended at damage, to go on past it, and not at the stream's end:
    /// only the next answer says.
    async fn ended_at_damage(&mut self) -> Result<Option<Response>, Failure> {
        let before = self.damaged;
        let place = self.place.clone();
        let response = self.open().await?;
        if self.damaged > before {
            return Ok(Some(response));
        }
        self.place = place;
        Ok(None)
    }

    /// Gives what comes to `sink` until the connection ends; `true` when nothing more is wanted.
    async fn read(
        &mut self,
        mut response: Response,
        sink: &mut impl Sink,
    ) -> Result<bool, Failure> {
        let mut lines = Lines::default();
        loop {
            let chunk = match tokio::time::timeout(SILENCE, self.api.chunk(&mut response)).await {
                Ok(Ok(Some(chunk))) => chunk,
                Ok(Ok(None)) => return Ok(!self.follow || self.left == Some(0)),
                Ok(Err(failure)) => return Err(failure),
                Err(_) => return Err(self.api.silent()),
            };
            for line in lines.add(&chunk)? {
                sink.take(line).await?;
                if let Some(offset) = lines::offset(line) {
                    offset.clone_into(&mut self.place);
                    if let Some(mark) = &mut self.mark {
                        mark.printed(offset);
                    }
                }
                if let Some(left) = &mut self.left {
                    *left = left.saturating_sub(1);
                    if *left == 0 {
                        sink.flush()?;
                        return Ok(true);
                    }
                }
            }
            lines.keep_rest(&chunk);
            sink.flush()?;
            if let Some(mark) = &mut self.mark {
                mark.move_now_and_then().await?;
            }
        }
    }
}

/// Prints events, and how far a long count has come where that disturbs nothing.
#[derive(Debug)]
struct Printer {
    out: std::io::BufWriter<std::io::Stdout>,
    pretty: Option<Pretty>,
    progress: Option<ProgressBar>,
}

impl Printer {
    fn new(args: &TailArgs) -> Self {
        let is_terminal = std::io::stdout().is_terminal();
        let usual =
            if is_terminal && !args.connection.json { Format::Pretty } else { Format::Line };
        let pretty =
            (args.format.unwrap_or(usual) == Format::Pretty).then(|| Pretty::new(output::colour()));
        let progress = args.count.filter(|_| !is_terminal && std::io::stderr().is_terminal());
        let out = std::io::BufWriter::with_capacity(64 << 10, std::io::stdout());
        Self {
            out,
            pretty,
            progress: progress
                .map(|count| bar(count, "{wide_bar} {pos}/{len} events {per_sec} {eta}")),
        }
    }
}

impl Sink for Printer {
    async fn take(&mut self, line: &[u8]) -> Result<(), Failure> {
        match &self.pretty {
            Some(pretty) => pretty.write(line, &mut self.out)?,
            None => std::io::Write::write_all(&mut self.out, line)?,
        }
        if let Some(progress) = &self.progress {
            progress.inc(1);
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), Failure> {
        std::io::Write::flush(&mut self.out)?;
        Ok(())
    }
}

/// A progress bar on standard error.
pub(crate) fn bar(length: u64, template: &str) -> ProgressBar {
    let style =
        ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(length).with_style(style)
}

pub(crate) async fn run(args: TailArgs) -> Result<(), Failure> {
    let mut tail = Tail::new(&args).await?;
    if tail.left == Some(0) {
        return Ok(());
    }
    let mut printer = Printer::new(&args);
    let ended = if tail.mark.is_some() {
        // Whoever stops a reader that keeps its place wants the place kept.
        tokio::select! {
            ended = follow(&mut tail, &mut printer) => ended,
            _ = tokio::signal::ctrl_c() => Ok(()),
        }
    } else {
        follow(&mut tail, &mut printer).await
    };
    // What was printed counts even when the reading failed.
    let kept = match printer.flush().and(Ok(&mut tail.mark)) {
        Ok(Some(mark)) => mark.settle().await,
        Ok(None) => Ok(()),
        Err(failure) => Err(failure),
    };
    ended.and(kept)?;
    match tail.damaged {
        0 => Ok(()),
        places => Err(Failure::Damaged { places }),
    }
}

/// Reads until nothing more is wanted, across broken connections.
pub(crate) async fn follow(tail: &mut Tail, sink: &mut impl Sink) -> Result<(), Failure> {
    let mut pause = FIRST_PAUSE;
    let mut was_open = false;
    let mut next = None;
    loop {
        let before = tail.place.clone();
        let opened = match next.take() {
            Some(response) => Ok(response),
            None => tail.open().await,
        };
        let ended = match opened {
            Ok(response) => {
                was_open = true;
                tail.read(response, sink).await
            }
            Err(failure) => Err(failure),
        };
        sink.flush()?;
        let ended = match ended {
            // A look at a subscription has no place to go on from.
            ended if tail.subscription.is_some() => return ended.map(drop),
            Ok(true) if !tail.follow && tail.left != Some(0) => {
                tail.ended_at_damage().await.map(|response| {
                    next = response;
                    next.is_none()
                })
            }
            ended => ended,
        };
        let wait = match ended {
            Ok(true) => return Ok(()),
            Ok(false) if next.is_some() => continue,
            Ok(false) => FIRST_PAUSE,
            // A server that cannot be reached at the first try is most likely a wrong address.
            Err(failure) if !was_open || !failure.is_retryable() => return Err(failure),
            Err(failure) => {
                output::message(&format!("outflow: {failure}; trying again"));
                failure.retry_after().unwrap_or(pause)
            }
        };
        pause = if tail.place == before { (pause * 2).min(LONGEST_PAUSE) } else { FIRST_PAUSE };
        tokio::time::sleep(wait).await;
    }
}
