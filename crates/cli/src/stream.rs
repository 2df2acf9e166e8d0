//! `outflow stream …`

use clap::{Args, Subcommand, ValueEnum};
use http::Method;
use serde_json::{Map, Value, json};

use crate::api::Api;
use crate::command::{EXIT_CODES, TEMPLATE};
use crate::connection::Connection;
use crate::failure::Failure;
use crate::output::{self, Column};
use crate::project::confirmed;
use crate::setting::{Setting, optional};
use crate::span::{parse_bytes, parse_span};

const EXAMPLES: &str = "Examples:
  outflow stream list
  outflow stream create orders --retention 30d --dedup 10m
  outflow stream create billing --entities types.json
  outflow stream show orders
  outflow stream update orders --max-bytes 10G
  outflow stream delete orders --yes";

const COLUMNS: [Column; 5] = [
    ("name", "/name"),
    ("start", "/start"),
    ("next", "/next"),
    ("bytes", "/stored_bytes"),
    ("readers", "/readers"),
];

/// Arguments of `outflow stream`.
#[derive(Debug, Args)]
#[command(help_template = TEMPLATE, before_help = EXAMPLES, after_help = EXIT_CODES)]
pub struct StreamArgs {
    #[command(flatten)]
    connection: Connection,
    #[command(subcommand)]
    action: StreamAction,
}

#[derive(Debug, Subcommand)]
enum StreamAction {
    /// List the project's streams.
    List,
    /// Show one: its settings, where it begins and ends, its size and readers.
    Show {
        /// The stream.
        name: String,
    },
    /// Make one.
    Create {
        /// Its name: letters, digits, `_ - . : / $`.
        name: String,
        #[command(flatten)]
        settings: StreamSettings,
    },
    /// Change one; what is not given stays.
    Update {
        /// The stream.
        name: String,
        #[command(flatten)]
        settings: StreamSettings,
    },
    /// Remove one with its events.
    Delete {
        /// The stream.
        name: String,
        /// Really: this cannot be undone.
        #[arg(long)]
        yes: bool,
        /// Also when events of ingest streams have not landed yet: they are lost.
        #[arg(long)]
        force: bool,
    },
}

/// When publishing is answered.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Durability {
    /// After the sync that made the events durable.
    Synced,
    /// Before it: faster, and a crash may lose the last events.
    Relaxed,
}

#[derive(Debug, Args)]
struct StreamSettings {
    /// How long events are kept, such as 30d; a new stream keeps them for seven days, a keyed one for
    /// 48 hours.
    #[arg(long, value_name = "SPAN", value_parser = parse_span)]
    retention: Option<u64>,
    /// How many bytes of events are kept, such as 100G; `none` for no limit.
    #[arg(long, value_name = "BYTES", value_parser = optional(parse_bytes))]
    max_bytes: Option<Setting>,
    /// When publishing is answered.
    #[arg(long)]
    durability: Option<Durability>,
    /// How long event ids are remembered, so that a repeated one is not stored twice; `none` turns it off.
    #[arg(long, value_name = "SPAN", value_parser = optional(parse_span))]
    dedup: Option<Setting>,
    /// How many event ids are remembered at most.
    #[arg(long, value_name = "COUNT", requires = "dedup")]
    dedup_max_ids: Option<u32>,
    /// Makes it keyed: a file with a JSON array of entity types, each with `name`, `keys`, and
    /// perhaps `group` and `depends_on`.
    #[arg(long, value_name = "FILE")]
    entities: Option<std::path::PathBuf>,
    /// The entity types that the change feed sends, with commas between them; `all` for all.
    #[arg(long, value_name = "TYPES")]
    feed_types: Option<String>,
    /// A description for people.
    #[arg(long)]
    description: Option<String>,
}

impl StreamSettings {
    fn members(self) -> Result<Map<String, Value>, Failure> {
        let mut retention = Map::new();
        retention.extend(self.retention.map(|age| ("age_ms".into(), json!(age))));
        retention.extend(self.max_bytes.map(|max| ("max_bytes".into(), max.value())));
        let mut members = Map::new();
        if !retention.is_empty() {
            members.insert("retention".into(), retention.into());
        }
        members.extend(self.durability.map(|durability| match durability {
            Durability::Synced => ("durability".into(), json!("synced")),
            Durability::Relaxed => ("durability".into(), json!("relaxed")),
        }));
        members.extend(self.dedup.map(|window| match window {
            Setting::None => ("dedup".into(), Value::Null),
            Setting::Is(window) => {
                let mut dedup = Map::new();
                dedup.insert("window_ms".into(), json!(window));
                dedup.extend(self.dedup_max_ids.map(|max| ("max_ids".into(), json!(max))));
                ("dedup".into(), dedup.into())
            }
        }));
        if let Some(path) = self.entities {
            members.insert("entities".into(), entities(&path)?);
        }
        members.extend(self.feed_types.map(|types| match types.as_str() {
            "all" => ("feed_types".into(), Value::Null),
            types => ("feed_types".into(), types.split(',').map(str::trim).collect()),
        }));
        members.extend(self.description.map(|text| ("description".into(), json!(text))));
        Ok(members)
    }
}

/// The entity types in a file; the server checks them.
fn entities(path: &std::path::Path) -> Result<Value, Failure> {
    let wrong = |reason: String| Failure::Usage(format!("--entities {}: {reason}", path.display()));
    let text = std::fs::read(path).map_err(|error| wrong(error.to_string()))?;
    serde_json::from_slice(&text).map_err(|error| wrong(error.to_string()))
}

pub(crate) async fn run(args: StreamArgs) -> Result<(), Failure> {
    let api = Api::new(&args.connection)?;
    let json = args.connection.json;
    let project = api.project().await?;
    let streams = ["v1", "projects", &project, "streams"];
    let one = |name| ["v1", "projects", &project, "streams", name];
    match args.action {
        StreamAction::List => output::list(json, &api.list(&streams).await?, &COLUMNS),
        StreamAction::Show { name } => output::record(json, &api.get(&one(&name), &[]).await?),
        StreamAction::Create { name, settings } => {
            let mut body = settings.members()?;
            body.insert("name".into(), json!(name));
            output::record(json, &api.call(Method::POST, &streams, &body.into()).await?)
        }
        StreamAction::Update { name, settings } => {
            let body = settings.members()?.into();
            output::record(json, &api.change(&one(&name), &body).await?)
        }
        StreamAction::Delete { name, yes, force } => {
            confirmed(yes, &format!("stream {name} with its events"))?;
            api.delete_landed(&one(&name), force).await
        }
    }
}
