//! `outflow integration …`

use clap::{Args, Subcommand};
use http::Method;
use serde_json::{Map, Value, json};

use crate::api::Api;
use crate::command::{EXIT_CODES, TEMPLATE};
use crate::connection::Connection;
use crate::failure::Failure;
use crate::output::{self, Column};
use crate::project::confirmed;

const EXAMPLES: &str = "Examples:
  outflow integration list
  outflow integration create warehouse --name 'Data warehouse' --types OPEN,SEND,CUSTOM
  outflow integration update warehouse --max-connections 20
  outflow integration delete warehouse --yes";

const COLUMNS: [Column; 5] = [
    ("id", "/id"),
    ("name", "/name"),
    ("types", "/event_types"),
    ("location", "/send_location"),
    ("connections", "/max_connections"),
];

/// Arguments of `outflow integration`.
#[derive(Debug, Args)]
#[command(help_template = TEMPLATE, before_help = EXAMPLES, after_help = EXIT_CODES)]
pub struct IntegrationArgs {
    #[command(flatten)]
    connection: Connection,
    #[command(subcommand)]
    action: IntegrationAction,
}

#[derive(Debug, Subcommand)]
enum IntegrationAction {
    /// List the project's integrations.
    List,
    /// Show one.
    Show {
        /// The integration.
        id: String,
    },
    /// Make one.
    Create {
        /// Its id: letters, digits, `_`, `-`, `.`.
        id: String,
        #[command(flatten)]
        settings: IntegrationSettings,
    },
    /// Change one; what is not given stays.
    Update {
        /// The integration.
        id: String,
        #[command(flatten)]
        settings: IntegrationSettings,
    },
    /// Remove one with its tokens; its live connections end.
    Delete {
        /// The integration.
        id: String,
        /// Really: this cannot be undone.
        #[arg(long)]
        yes: bool,
    },
}

#[derive(Debug, Args)]
struct IntegrationSettings {
    /// A name for people.
    #[arg(long)]
    name: Option<String>,
    /// A description for people.
    #[arg(long)]
    description: Option<String>,
    /// Whether it receives LOCATION events.
    #[arg(long, value_name = "BOOL")]
    send_location: Option<bool>,
    /// The event types it may read, separated by commas; `all` for all of them.
    #[arg(long, value_name = "TYPES", value_delimiter = ',')]
    types: Option<Vec<String>>,
    /// Whether it may read compliance events.
    #[arg(long, value_name = "BOOL")]
    compliance: Option<bool>,
    /// How many live connections it may have.
    #[arg(long, value_name = "COUNT")]
    max_connections: Option<u32>,
}

impl IntegrationSettings {
    fn members(self) -> Map<String, Value> {
        let mut members = Map::new();
        members.extend(self.name.map(|name| ("name".into(), json!(name))));
        members.extend(self.description.map(|text| ("description".into(), json!(text))));
        members.extend(self.send_location.map(|yes| ("send_location".into(), json!(yes))));
        members.extend(self.types.map(|types| match types.as_slice() {
            [all] if all == "all" => ("event_types".into(), Value::Null),
            types => ("event_types".into(), json!(types)),
        }));
        members.extend(self.compliance.map(|yes| ("compliance".into(), json!(yes))));
        members.extend(self.max_connections.map(|max| ("max_connections".into(), json!(max))));
        members
    }
}

pub(crate) async fn run(args: IntegrationArgs) -> Result<(), Failure> {
    let api = Api::new(&args.connection)?;
    let json = args.connection.json;
    let project = api.project().await?;
    let all = ["v1", "projects", &project, "integrations"];
    let one = |id| ["v1", "projects", &project, "integrations", id];
    match args.action {
        IntegrationAction::List => output::list(json, &api.list(&all).await?, &COLUMNS),
        IntegrationAction::Show { id } => output::record(json, &api.get(&one(&id), &[]).await?),
        IntegrationAction::Create { id, settings } => {
            let mut body = settings.members();
            body.insert("id".into(), json!(id));
            output::record(json, &api.call(Method::POST, &all, &body.into()).await?)
        }
        IntegrationAction::Update { id, settings } => {
            let body = settings.members().into();
            output::record(json, &api.change(&one(&id), &body).await?)
        }
        IntegrationAction::Delete { id, yes } => {
            confirmed(yes, &format!("integration {id} with its tokens"))?;
            api.delete(&one(&id)).await
        }
    }
}
