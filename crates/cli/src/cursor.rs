//! `outflow cursor …`

use clap::{Args, Subcommand};
use http::Method;
use serde_json::json;

use crate::api::Api;
use crate::command::{EXIT_CODES, TEMPLATE};
use crate::connection::Connection;
use crate::failure::Failure;
use crate::output::{self, Column};

const EXAMPLES: &str = "Examples:
  outflow cursor list --stream orders
  outflow cursor get loader --stream orders
  outflow cursor set loader 1000000000000041 --stream orders
  outflow cursor delete loader --stream orders";

const COLUMNS: [Column; 2] = [("name", "/name"), ("offset", "/offset")];

/// Arguments of `outflow cursor`.
#[derive(Debug, Args)]
#[command(help_template = TEMPLATE, before_help = EXAMPLES, after_help = EXIT_CODES)]
pub struct CursorArgs {
    #[command(flatten)]
    connection: Connection,
    /// The stream.
    #[arg(long, short, global = true, value_name = "NAME", default_value = "events")]
    stream: String,
    #[command(subcommand)]
    action: CursorAction,
}

#[derive(Debug, Subcommand)]
enum CursorAction {
    /// List the stream's cursors.
    List,
    /// Show one.
    Get {
        /// The cursor.
        name: String,
    },
    /// Put one at an offset; reading goes on after it.
    Set {
        /// The cursor; made if there is none.
        name: String,
        /// The last offset that counts as read.
        offset: u64,
    },
    /// Remove one.
    Delete {
        /// The cursor.
        name: String,
    },
}

pub(crate) async fn run(args: CursorArgs) -> Result<(), Failure> {
    let api = Api::new(&args.connection)?;
    let json = args.connection.json;
    let project = api.project().await?;
    let cursors = ["v1", "projects", &project, "streams", &args.stream, "cursors"];
    let one = |name| ["v1", "projects", &project, "streams", &args.stream, "cursors", name];
    match args.action {
        CursorAction::List => output::list(json, &api.list(&cursors).await?, &COLUMNS),
        CursorAction::Get { name } => output::record(json, &api.get(&one(&name), &[]).await?),
        CursorAction::Set { name, offset } => {
            let body = json!({ "offset": offset.to_string() });
            output::record(json, &api.call(Method::PUT, &one(&name), &body).await?)
        }
        CursorAction::Delete { name } => api.delete(&one(&name)).await,
    }
}
