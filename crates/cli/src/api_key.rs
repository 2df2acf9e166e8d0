//! `outflow api-key …`

use clap::{Args, Subcommand, ValueEnum};
use http::Method;
use serde_json::{Map, Value, json};

use crate::api::Api;
use crate::command::{EXIT_CODES, TEMPLATE};
use crate::connection::Connection;
use crate::failure::Failure;
use crate::output::{self, Column};
use crate::project::confirmed;
use crate::token::show_secret;

const EXAMPLES: &str = "Examples:
  outflow api-key create --scope streaming-ingest:write --name orders-upstream > secret
  outflow api-key token 3kTMd5pzE1 --days 90 > token
  outflow api-key rotate 3kTMd5pzE1 > secret
  outflow api-key revoke 3kTMd5pzE1 old
  outflow api-key delete 3kTMd5pzE1 --yes";

const COLUMNS: [Column; 7] = [
    ("id", "/id"),
    ("name", "/name"),
    ("scopes", "/scopes"),
    ("generation", "/generation"),
    ("rotated", "/rotated"),
    ("deposed until", "/deposed_until"),
    ("ends in", "/last4"),
];

/// Arguments of `outflow api-key`.
#[derive(Debug, Args)]
#[command(help_template = TEMPLATE, before_help = EXAMPLES, after_help = EXIT_CODES)]
pub struct ApiKeyArgs {
    #[command(flatten)]
    connection: Connection,
    #[command(subcommand)]
    action: ApiKeyAction,
}

#[derive(Debug, Subcommand)]
enum ApiKeyAction {
    /// List the project's API keys; secrets and tokens are not kept anywhere.
    List,
    /// Make one and print its client secret, this once.
    Create {
        /// What its tokens may do, separated by commas.
        #[arg(long = "scope", value_delimiter = ',', required = true, value_name = "SCOPES")]
        scopes: Vec<ScopeWord>,
        /// The streams its tokens may touch, separated by commas; all that the scopes reach otherwise.
        #[arg(long, value_delimiter = ',', value_name = "NAMES")]
        streams: Option<Vec<String>>,
        /// A name for people.
        #[arg(long, default_value = "")]
        name: String,
    },
    /// Issue an access token and print it, this once.
    Token {
        /// The API key's id.
        id: String,
        /// For how many days it holds.
        #[arg(long, default_value_t = 1)]
        days: u64,
        /// Some of the key's scopes, separated by commas; all otherwise.
        #[arg(long = "scope", value_delimiter = ',', value_name = "SCOPES")]
        scopes: Option<Vec<ScopeWord>>,
    },
    /// Make a new client secret and print it; the one before stays valid for 30 days, as its tokens do.
    Rotate {
        /// The API key's id.
        id: String,
    },
    /// Revoke tokens; live connections of the key end within two seconds.
    Revoke {
        /// The API key's id.
        id: String,
        /// Which: with `all` the client secret is replaced, and the new one printed.
        which: Which,
    },
    /// Delete one, and with it all its tokens.
    Delete {
        /// The API key's id.
        id: String,
        /// Really: this cannot be undone.
        #[arg(long)]
        yes: bool,
    },
}

/// What a token may do.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum ScopeWord {
    /// Write to ingest streams.
    #[value(name = "streaming-ingest:write")]
    IngestWrite,
    /// Read change and load feeds.
    #[value(name = "feed:read")]
    FeedRead,
    /// Read events.
    #[value(name = "events:read")]
    EventsRead,
    /// Publish events.
    #[value(name = "events:publish")]
    EventsPublish,
}

impl ScopeWord {
    const fn name(self) -> &'static str {
        match self {
            Self::IngestWrite => "streaming-ingest:write",
            Self::FeedRead => "feed:read",
            Self::EventsRead => "events:read",
            Self::EventsPublish => "events:publish",
        }
    }
}

/// Which tokens.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Which {
    /// Those from before the last rotation.
    Old,
    /// All.
    All,
}

fn names(scopes: Vec<ScopeWord>) -> Value {
    scopes.into_iter().map(ScopeWord::name).collect()
}

pub(crate) async fn run(args: ApiKeyArgs) -> Result<(), Failure> {
    let api = Api::new(&args.connection)?;
    let json = args.connection.json;
    let project = api.project().await?;
    let keys = ["v1", "projects", &project, "api-keys"];
    let part = |id, part| ["v1", "projects", &project, "api-keys", id, part];
    match args.action {
        ApiKeyAction::List => output::list(json, &api.list(&keys).await?, &COLUMNS),
        ApiKeyAction::Create { scopes, streams, name } => {
            let mut body = Map::new();
            body.insert("name".into(), json!(name));
            body.insert("scopes".into(), names(scopes));
            body.extend(streams.map(|streams| ("streams".into(), json!(streams))));
            show_secret(json, &api.call(Method::POST, &keys, &body.into()).await?)
        }
        ApiKeyAction::Token { id, days, scopes } => {
            let mut body = Map::from_iter([("days".into(), json!(days))]);
            body.extend(scopes.map(|scopes| ("scopes".into(), names(scopes))));
            let issued = api.call(Method::POST, &part(&id, "tokens"), &body.into()).await?;
            if json {
                return output::record(true, &issued);
            }
            let token = issued.get("access_token").and_then(Value::as_str);
            output::line(token.ok_or_else(|| Failure::Answer("no token in it".into()))?)
        }
        ApiKeyAction::Rotate { id } => {
            show_secret(json, &api.call(Method::POST, &part(&id, "rotate"), &json!({})).await?)
        }
        ApiKeyAction::Revoke { id, which } => {
            let word = match which {
                Which::Old => "old",
                Which::All => "all",
            };
            let body = json!({ "tokens": word });
            let revoked = api.call(Method::POST, &part(&id, "revoke"), &body).await?;
            match which {
                Which::Old => Ok(()),
                Which::All => show_secret(json, &revoked),
            }
        }
        ApiKeyAction::Delete { id, yes } => {
            confirmed(yes, &format!("API key {id} with all its tokens"))?;
            api.delete(&["v1", "projects", &project, "api-keys", &id]).await
        }
    }
}
