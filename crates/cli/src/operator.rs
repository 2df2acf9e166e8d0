//! `outflow operator …`

use clap::{Args, Subcommand};
use http::Method;

use crate::api::Api;
use crate::command::{EXIT_CODES, TEMPLATE};
use crate::connection::Connection;
use crate::failure::Failure;
use crate::output;
use crate::token::{COLUMNS, NewSecret, show_secret};

const EXAMPLES: &str = "Examples:
  outflow operator create --name night-shift > operator-token
  outflow operator list
  outflow operator revoke 3kTMd5pzE1";

/// Arguments of `outflow operator`.
#[derive(Debug, Args)]
#[command(help_template = TEMPLATE, before_help = EXAMPLES, after_help = EXIT_CODES)]
pub struct OperatorArgs {
    #[command(flatten)]
    connection: Connection,
    #[command(subcommand)]
    action: OperatorAction,
}

#[derive(Debug, Subcommand)]
enum OperatorAction {
    /// List the operators' tokens; their secrets are not kept anywhere.
    List,
    /// Make one and print it, this once.
    Create {
        #[command(flatten)]
        new: NewSecret,
    },
    /// Revoke one.
    Revoke {
        /// The token's id.
        id: String,
    },
}

pub(crate) async fn run(args: OperatorArgs) -> Result<(), Failure> {
    let api = Api::new(&args.connection)?;
    let json = args.connection.json;
    let operators = ["v1", "operators"];
    match args.action {
        OperatorAction::List => output::list(json, &api.list(&operators).await?, &COLUMNS),
        OperatorAction::Create { new } => {
            show_secret(json, &api.call(Method::POST, &operators, &new.members().into()).await?)
        }
        OperatorAction::Revoke { id } => api.delete(&["v1", "operators", &id]).await,
    }
}
