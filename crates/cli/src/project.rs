//! `outflow project …`

use clap::{Args, Subcommand};
use http::Method;
use serde_json::{Map, Value, json};

use crate::api::Api;
use crate::command::{EXIT_CODES, TEMPLATE};
use crate::connection::Connection;
use crate::failure::Failure;
use crate::output::{self, Column};

const EXAMPLES: &str = "Examples:
  outflow project list
  outflow project create acme --name 'Acme Ltd'
  outflow project update acme --connections 5000
  outflow project delete acme --yes";

const COLUMNS: [Column; 4] = [
    ("id", "/id"),
    ("name", "/name"),
    ("connections", "/limits/connections"),
    ("created", "/created"),
];

/// Arguments of `outflow project`.
#[derive(Debug, Args)]
#[command(help_template = TEMPLATE, before_help = EXAMPLES, after_help = EXIT_CODES)]
pub struct ProjectArgs {
    #[command(flatten)]
    connection: Connection,
    #[command(subcommand)]
    action: ProjectAction,
}

#[derive(Debug, Subcommand)]
enum ProjectAction {
    /// List the projects that the token reaches.
    List,
    /// Show one.
    Show {
        /// The project.
        id: String,
    },
    /// Make one.
    Create {
        /// Its id: letters, digits, `_`, `-`, `.`.
        id: String,
        #[command(flatten)]
        settings: ProjectSettings,
    },
    /// Change one; what is not given stays.
    Update {
        /// The project.
        id: String,
        #[command(flatten)]
        settings: ProjectSettings,
    },
    /// Remove one, with its streams, events and credentials.
    Delete {
        /// The project.
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
struct ProjectSettings {
    /// A name for people.
    #[arg(long)]
    name: Option<String>,
    /// The stream that a client reads when it names none.
    #[arg(long, value_name = "STREAM")]
    default_stream: Option<String>,
    /// Whether Basic authentication is accepted on /api/events; only for tests and demonstrations.
    #[arg(long, value_name = "BOOL")]
    basic_auth: Option<bool>,
    /// How many live connections it may have in all.
    #[arg(long, value_name = "COUNT")]
    connections: Option<u32>,
}

impl ProjectSettings {
    fn members(self) -> Map<String, Value> {
        let mut members = Map::new();
        members.extend(self.name.map(|name| ("name".into(), json!(name))));
        members.extend(self.default_stream.map(|name| ("default_stream".into(), json!(name))));
        members.extend(self.basic_auth.map(|yes| ("basic_auth".into(), json!(yes))));
        members.extend(self.connections.map(|n| ("limits".into(), json!({ "connections": n }))));
        members
    }
}

/// Refuses to remove what cannot be brought back unless the user said so.
pub(crate) fn confirmed(yes: bool, what: &str) -> Result<(), Failure> {
    if yes {
        return Ok(());
    }
    Err(Failure::Usage(format!("this removes {what} for good; add --yes if that is meant")))
}

pub(crate) async fn run(args: ProjectArgs) -> Result<(), Failure> {
    let api = Api::new(&args.connection)?;
    let json = args.connection.json;
    match args.action {
        ProjectAction::List => output::list(json, &api.list(&["v1", "projects"]).await?, &COLUMNS),
        ProjectAction::Show { id } => {
            output::record(json, &api.get(&["v1", "projects", &id], &[]).await?)
        }
        ProjectAction::Create { id, settings } => {
            let mut body = settings.members();
            body.insert("id".into(), json!(id));
            output::record(json, &api.call(Method::POST, &["v1", "projects"], &body.into()).await?)
        }
        ProjectAction::Update { id, settings } => {
            let body = settings.members().into();
            output::record(json, &api.change(&["v1", "projects", &id], &body).await?)
        }
        ProjectAction::Delete { id, yes, force } => {
            confirmed(yes, &format!("project {id} with its streams, events and credentials"))?;
            api.delete_landed(&["v1", "projects", &id], force).await
        }
    }
}
