//! `outflow transaction …`

use clap::{Args, Subcommand};
use http::Method;
use serde_json::json;

use crate::api::Api;
use crate::command::{EXIT_CODES, TEMPLATE};
use crate::connection::Connection;
use crate::failure::Failure;
use crate::output::{self, Column};

const EXAMPLES: &str = "Examples:
  outflow transaction list
  outflow transaction commit 5mhqkzwa:00001203046361666565
  outflow transaction rollback 5mhqkzwa:00001203046361666565";

const COLUMNS: [Column; 4] = [
    ("id", "/id"),
    ("prepared", "/prepared"),
    ("acknowledged", "/acknowledged"),
    ("bytes", "/bytes"),
];

/// Arguments of `outflow transaction`.
#[derive(Debug, Args)]
#[command(help_template = TEMPLATE, before_help = EXAMPLES, after_help = EXIT_CODES)]
pub struct TransactionArgs {
    #[command(flatten)]
    connection: Connection,
    #[command(subcommand)]
    action: TransactionAction,
}

#[derive(Debug, Subcommand)]
enum TransactionAction {
    /// List the project's distributed (XA) transactions that are prepared and not ended.
    List,
    /// Commit one that its transaction manager cannot end any more.
    Commit {
        /// The transaction.
        id: String,
    },
    /// Roll one back that its transaction manager cannot end any more.
    Rollback {
        /// The transaction.
        id: String,
    },
}

pub(crate) async fn run(args: TransactionArgs) -> Result<(), Failure> {
    let api = Api::new(&args.connection)?;
    let json = args.connection.json;
    let project = api.project().await?;
    let all = ["v1", "projects", &project, "prepared-transactions"];
    let (id, end) = match &args.action {
        TransactionAction::List => return output::list(json, &api.list(&all).await?, &COLUMNS),
        TransactionAction::Commit { id } => (id, "commit"),
        TransactionAction::Rollback { id } => (id, "rollback"),
    };
    let path = ["v1", "projects", &project, "prepared-transactions", id, end];
    api.call(Method::POST, &path, &json!({})).await.map(drop)
}
