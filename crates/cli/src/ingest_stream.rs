//! `outflow ingest-stream …`

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use http::Method;
use serde_json::{Map, json};

use crate::api::Api;
use crate::command::{EXIT_CODES, TEMPLATE};
use crate::connection::Connection;
use crate::failure::Failure;
use crate::landed_file::Files;
use crate::output::{self, Column};
use crate::project::confirmed;

const EXAMPLES: &str = "Examples:
  outflow ingest-stream create --name orders --description 'from the shop'
  outflow ingest-stream create --name feeds --format xml
  outflow ingest-stream list
  outflow ingest-stream update is-AbCDefGH1 --mode reject
  outflow ingest-stream delete is-AbCDefGH1 --yes
  outflow ingest files is-AbCDefGH1
  outflow ingest fetch is-AbCDefGH1 --all --to landed";

const COLUMNS: [Column; 6] = [
    ("id", "/id"),
    ("name", "/name"),
    ("format", "/format"),
    ("mode", "/mode"),
    ("start", "/start"),
    ("next", "/next"),
];

/// Arguments of `outflow ingest-stream`.
#[derive(Debug, Args)]
#[command(help_template = TEMPLATE, before_help = EXAMPLES, after_help = EXIT_CODES)]
pub struct IngestStreamArgs {
    #[command(flatten)]
    connection: Connection,
    #[command(subcommand)]
    action: IngestStreamAction,
}

#[derive(Debug, Subcommand)]
enum IngestStreamAction {
    /// List the project's ingest streams.
    List,
    /// Show one: where payloads are sent, what it takes, where its events begin and end.
    Show {
        /// The ingest stream's id.
        id: String,
    },
    /// Make one and show its id, which is drawn.
    Create {
        /// The one kind of payload it takes.
        #[arg(long, default_value = "json")]
        format: Format,
        #[command(flatten)]
        change: Change,
    },
    /// Change one; what is not given stays.
    Update {
        /// The ingest stream's id.
        id: String,
        #[command(flatten)]
        change: Change,
    },
    /// List the files that one has landed.
    Files {
        /// The ingest stream's id.
        id: String,
    },
    /// Copy landed files; those that are there already stay.
    Fetch {
        /// The ingest stream's id.
        id: String,
        /// Paths of files, as `files` shows them.
        #[arg(required_unless_present = "all")]
        file: Vec<String>,
        /// All there are.
        #[arg(long, conflicts_with = "file")]
        all: bool,
        /// The folder they go to.
        #[arg(long)]
        to: PathBuf,
    },
    /// Remove one with its events.
    Delete {
        /// The ingest stream's id.
        id: String,
        /// Really: this cannot be undone.
        #[arg(long)]
        yes: bool,
        /// Also when events of ingest streams have not landed yet: they are lost.
        #[arg(long)]
        force: bool,
    },
}

#[derive(Debug, Args)]
struct Change {
    /// A name for people.
    #[arg(long)]
    name: Option<String>,
    /// A description for people.
    #[arg(long)]
    description: Option<String>,
    /// What happens to what comes.
    #[arg(long)]
    mode: Option<Mode>,
}

/// A kind of payload.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    /// One JSON object a request.
    Json,
    /// One XML document a request.
    Xml,
}

/// What happens to what comes.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Mode {
    /// It is stored.
    Active,
    /// It is answered well and thrown away.
    Drop,
    /// It is refused.
    Reject,
}

impl Change {
    fn members(self) -> Map<String, serde_json::Value> {
        let mut members = Map::new();
        members.extend(self.name.map(|name| ("name".into(), json!(name))));
        members.extend(self.description.map(|text| ("description".into(), json!(text))));
        let word = |mode| match mode {
            Mode::Active => "active",
            Mode::Drop => "drop",
            Mode::Reject => "reject",
        };
        members.extend(self.mode.map(|mode| ("mode".into(), json!(word(mode)))));
        members
    }
}

pub(crate) async fn run(args: IngestStreamArgs) -> Result<(), Failure> {
    let api = Api::new(&args.connection)?;
    let json = args.connection.json;
    let project = api.project().await?;
    let streams = ["v1", "projects", &project, "ingest-streams"];
    let one = |id| ["v1", "projects", &project, "ingest-streams", id];
    match args.action {
        IngestStreamAction::List => output::list(json, &api.list(&streams).await?, &COLUMNS),
        IngestStreamAction::Show { id } => output::record(json, &api.get(&one(&id), &[]).await?),
        IngestStreamAction::Create { format, change } => {
            let mut body = change.members();
            let word = match format {
                Format::Json => "json",
                Format::Xml => "xml",
            };
            body.insert("format".into(), json!(word));
            output::record(json, &api.call(Method::POST, &streams, &body.into()).await?)
        }
        IngestStreamAction::Update { id, change } => {
            let body = change.members().into();
            output::record(json, &api.change(&one(&id), &body).await?)
        }
        IngestStreamAction::Files { id } => {
            Files { api: &api, project: &project, stream: &id }.list(json).await
        }
        IngestStreamAction::Fetch { id, file, all: _, to } => {
            Files { api: &api, project: &project, stream: &id }.fetch(&file, &to).await
        }
        IngestStreamAction::Delete { id, yes, force } => {
            confirmed(yes, &format!("ingest stream {id} with its events"))?;
            api.delete_landed(&one(&id), force).await
        }
    }
}
