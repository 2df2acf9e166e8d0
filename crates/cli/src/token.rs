//! `outflow token …`, and how every command shows a new secret.

use clap::{Args, Subcommand};
use http::Method;
use serde_json::{Map, Value, json};

use crate::api::Api;
use crate::command::{EXIT_CODES, TEMPLATE};
use crate::connection::Connection;
use crate::failure::Failure;
use crate::output::{self, Column};

const EXAMPLES: &str = "Examples:
  outflow token create --integration warehouse --name loader-1 > token
  outflow token list --integration warehouse
  outflow token revoke --integration warehouse 3kTMd5pzE1";

/// What a list of credentials shows.
pub(crate) const COLUMNS: [Column; 6] = [
    ("id", "/id"),
    ("name", "/name"),
    ("can", "/actions"),
    ("ends in", "/last4"),
    ("created", "/created"),
    ("expires", "/expires"),
];

/// Arguments of `outflow token`.
#[derive(Debug, Args)]
#[command(help_template = TEMPLATE, before_help = EXAMPLES, after_help = EXIT_CODES)]
pub struct TokenArgs {
    #[command(flatten)]
    connection: Connection,
    #[command(subcommand)]
    action: TokenAction,
}

#[derive(Debug, Subcommand)]
enum TokenAction {
    /// List an integration's tokens; their secrets are not kept anywhere.
    List {
        #[command(flatten)]
        of: Of,
    },
    /// Make one and print it, this once.
    Create {
        #[command(flatten)]
        of: Of,
        #[command(flatten)]
        new: NewSecret,
    },
    /// Revoke one; its live connections end within two seconds.
    Revoke {
        #[command(flatten)]
        of: Of,
        /// The token's id.
        id: String,
    },
}

#[derive(Debug, Args)]
struct Of {
    /// The integration.
    #[arg(long, short, value_name = "ID")]
    integration: String,
}

/// What every new credential is given.
#[derive(Debug, Args)]
pub(crate) struct NewSecret {
    /// A name for people: who or what holds it.
    #[arg(long)]
    name: Option<String>,
    /// When it ends, as an RFC 3339 time; never otherwise.
    #[arg(long, value_name = "TIME")]
    expires: Option<String>,
}

impl NewSecret {
    pub(crate) fn members(self) -> Map<String, Value> {
        let mut members = Map::new();
        members.extend(self.name.map(|name| ("name".into(), json!(name))));
        members.extend(self.expires.map(|at| ("expires".into(), json!(at))));
        members
    }
}

/// Prints a new credential: the secret alone on standard output, so that it can be sent to a
/// file, and the rest as a message.
pub(crate) fn show_secret(json: bool, issued: &Value) -> Result<(), Failure> {
    if json {
        return output::record(true, issued);
    }
    let text = |name: &str| issued.get(name).and_then(Value::as_str);
    let secret =
        text("secret").ok_or_else(|| Failure::Answer("a credential without a secret".into()))?;
    output::line(secret)?;
    let id = text("id").unwrap_or_default();
    output::message(&format!("This is credential {id}. Keep it now: it is not shown again."));
    Ok(())
}

pub(crate) async fn run(args: TokenArgs) -> Result<(), Failure> {
    let api = Api::new(&args.connection)?;
    let json = args.connection.json;
    let project = api.project().await?;
    let all = |of: &Of| {
        ["v1", "projects", &project, "integrations", &of.integration, "tokens"].map(str::to_owned)
    };
    match args.action {
        TokenAction::List { of } => {
            output::list(json, &api.list(&all(&of).each_ref().map(String::as_str)).await?, &COLUMNS)
        }
        TokenAction::Create { of, new } => {
            let path = all(&of);
            let path = path.each_ref().map(String::as_str);
            show_secret(json, &api.call(Method::POST, &path, &new.members().into()).await?)
        }
        TokenAction::Revoke { of, id } => {
            api.delete(&[
                "v1",
                "projects",
                &project,
                "integrations",
                &of.integration,
                "tokens",
                &id,
            ])
            .await
        }
    }
}
