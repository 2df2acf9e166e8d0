//! `outflow key …`

use clap::{Args, Subcommand, ValueEnum};
use http::Method;
use serde_json::json;

use crate::api::Api;
use crate::command::{EXIT_CODES, TEMPLATE};
use crate::connection::Connection;
use crate::failure::Failure;
use crate::output;
use crate::token::{COLUMNS, NewSecret, show_secret};

const EXAMPLES: &str = "Examples:
  outflow key create --can publish --name orders-service > key
  outflow key create --can read,publish --streams orders,returns > key
  outflow key create --master > master-secret
  outflow key list
  outflow key revoke 3kTMd5pzE1";

/// Arguments of `outflow key`.
#[derive(Debug, Args)]
#[command(help_template = TEMPLATE, before_help = EXAMPLES, after_help = EXIT_CODES)]
pub struct KeyArgs {
    #[command(flatten)]
    connection: Connection,
    #[command(subcommand)]
    action: KeyAction,
}

#[derive(Debug, Subcommand)]
enum KeyAction {
    /// List the project's keys; their secrets are not kept anywhere.
    List,
    /// Make one and print it, this once.
    Create {
        /// What it may do, separated by commas.
        #[arg(long, value_delimiter = ',', required_unless_present = "master")]
        can: Vec<Can>,
        /// The streams it may touch, separated by commas; all of the project's otherwise.
        #[arg(long, value_delimiter = ',', value_name = "NAMES", conflicts_with = "master")]
        streams: Option<Vec<String>>,
        /// The project's master secret, which reads compliance events.
        #[arg(long, conflicts_with = "can")]
        master: bool,
        #[command(flatten)]
        new: NewSecret,
    },
    /// Revoke one; its live connections end within two seconds.
    Revoke {
        /// The key's id.
        id: String,
    },
}

/// What a credential may do.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Can {
    /// Read events.
    Read,
    /// Publish events.
    Publish,
    /// Change the project's streams, integrations and credentials.
    Manage,
}

impl Can {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Publish => "publish",
            Self::Manage => "manage",
        }
    }
}

pub(crate) async fn run(args: KeyArgs) -> Result<(), Failure> {
    let api = Api::new(&args.connection)?;
    let json = args.connection.json;
    let project = api.project().await?;
    let keys = ["v1", "projects", &project, "keys"];
    match args.action {
        KeyAction::List => output::list(json, &api.list(&keys).await?, &COLUMNS),
        KeyAction::Create { can, streams, master, new } => {
            let mut body = new.members();
            body.insert("kind".into(), json!(if master { "master" } else { "key" }));
            if !master {
                body.insert("actions".into(), can.into_iter().map(Can::name).collect());
            }
            body.extend(streams.map(|streams| ("streams".into(), json!(streams))));
            show_secret(json, &api.call(Method::POST, &keys, &body.into()).await?)
        }
        KeyAction::Revoke { id } => api.delete(&["v1", "projects", &project, "keys", &id]).await,
    }
}
