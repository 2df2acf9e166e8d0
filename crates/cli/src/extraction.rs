//! `outflow extraction …`

use std::io::IsTerminal as _;
use std::time::Duration;

use clap::{Args, Subcommand};
use http::Method;
use serde_json::{Value, json};

use crate::api::Api;
use crate::command::{EXIT_CODES, TEMPLATE};
use crate::connection::Connection;
use crate::failure::Failure;
use crate::output::{self, Column};
use crate::tail::bar;

const EXAMPLES: &str = "Examples:
  outflow extraction start --types Invoice,Account --wait
  outflow extraction start --stream billing --groups Financial
  outflow extraction list
  outflow extraction show 3
  outflow extraction cancel 3";

const COLUMNS: [Column; 5] = [
    ("id", "/id"),
    ("stream", "/stream"),
    ("state", "/state"),
    ("entities", "/entities"),
    ("created", "/created"),
];

/// How often a job is looked at while it is waited for.
const LOOK: Duration = Duration::from_millis(250);

/// Arguments of `outflow extraction`.
#[derive(Debug, Args)]
#[command(help_template = TEMPLATE, before_help = EXAMPLES, after_help = EXIT_CODES)]
pub struct ExtractionArgs {
    #[command(flatten)]
    connection: Connection,
    #[command(subcommand)]
    action: ExtractionAction,
}

#[derive(Debug, Subcommand)]
enum ExtractionAction {
    /// Send the entities of a keyed stream, as they are, into the project's load stream.
    Start {
        /// The keyed stream; needed only where the project has several.
        #[arg(long, short, value_name = "NAME")]
        stream: Option<String>,
        /// Entity types with all that they depend on; every type when neither these nor groups are given.
        #[arg(long, value_name = "TYPES", value_delimiter = ',')]
        types: Vec<String>,
        /// Groups of entity types.
        #[arg(long, value_name = "GROUPS", value_delimiter = ',')]
        groups: Vec<String>,
        /// Stay until it is over; a job that fails is a failure.
        #[arg(long)]
        wait: bool,
    },
    /// List the project's jobs.
    List,
    /// Show one and how far it got.
    Show {
        /// The job.
        id: String,
    },
    /// Call one off; what it has sent stays.
    Cancel {
        /// The job.
        id: String,
    },
}

pub(crate) async fn run(args: ExtractionArgs) -> Result<(), Failure> {
    let api = Api::new(&args.connection)?;
    let json = args.connection.json;
    let project = api.project().await?;
    let jobs = ["v1", "projects", &project, "extractions"];
    let one = |id| ["v1", "projects", &project, "extractions", id];
    match args.action {
        ExtractionAction::List => output::list(json, &api.list(&jobs).await?, &COLUMNS),
        ExtractionAction::Show { id } => output::record(json, &api.get(&one(&id), &[]).await?),
        ExtractionAction::Cancel { id } => {
            let path = ["v1", "projects", &project, "extractions", &id, "cancel"];
            output::record(json, &api.call(Method::POST, &path, &json!({})).await?)
        }
        ExtractionAction::Start { stream, types, groups, wait } => {
            let body = json!({ "stream": stream, "types": types, "groups": groups });
            let mut job = api.call(Method::POST, &jobs, &body).await?;
            if wait {
                let id = text(&job, "id").to_owned();
                job = over(&api, &one(&id)).await?;
            }
            output::record(json, &job)?;
            match text(&job, "state") {
                "failed" | "cancelled" => {
                    Err(Failure::Input(format!("the extraction is {}", text(&job, "state"))))
                }
                _ => Ok(()),
            }
        }
    }
}

/// Waits until the job is over, with a bar of its types where somebody looks.
async fn over(api: &Api, path: &[&str]) -> Result<Value, Failure> {
    let mut shown = None;
    loop {
        let job = api.get(path, &[]).await?;
        let types = job.get("types").and_then(Value::as_array).map_or(0, Vec::len);
        if shown.is_none() && std::io::stderr().is_terminal() {
            shown = Some(bar(types as u64, "{wide_bar} {pos}/{len} types, {msg} {elapsed}"));
        }
        if let Some(bar) = &shown {
            bar.set_position(job.get("types_done").and_then(Value::as_u64).unwrap_or(0));
            let entities = job.get("entities").and_then(Value::as_u64).unwrap_or(0);
            bar.set_message(format!("{entities} entities"));
        }
        if !matches!(text(&job, "state"), "queued" | "running") {
            shown.iter().for_each(indicatif::ProgressBar::finish_and_clear);
            return Ok(job);
        }
        tokio::time::sleep(LOOK).await;
    }
}

fn text<'a>(job: &'a Value, member: &str) -> &'a str {
    job.get(member).and_then(Value::as_str).unwrap_or_default()
}
