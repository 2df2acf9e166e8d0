//! `outflow user …`

use clap::{Args, Subcommand};
use http::Method;
use serde_json::{Value, json};

use crate::api::Api;
use crate::command::{EXIT_CODES, TEMPLATE};
use crate::connection::Connection;
use crate::failure::Failure;
use crate::key::Can;
use crate::output::{self, Column};
use crate::token::{NewSecret, show_secret};

const EXAMPLES: &str = "Examples:
  outflow user create --namespace yourcompany --name 'Your Company' > password
  outflow user create --user 31337 --namespace yourcompany > password
  outflow user create --consume 'orders.>' --send replies,topic://news > password
  outflow user list
  outflow user delete 3kTMd5pzE1";

const COLUMNS: [Column; 6] = [
    ("id", "/id"),
    ("user", "/user"),
    ("name", "/name"),
    ("consume", "/consume"),
    ("send", "/send"),
    ("expires", "/expires"),
];

/// Arguments of `outflow user`.
#[derive(Debug, Args)]
#[command(help_template = TEMPLATE, before_help = EXAMPLES, after_help = EXIT_CODES)]
pub struct UserArgs {
    #[command(flatten)]
    connection: Connection,
    #[command(subcommand)]
    action: UserAction,
}

#[derive(Debug, Subcommand)]
enum UserAction {
    /// List the project's users; their passwords are not kept anywhere.
    List,
    /// Make one and print the password, this once.
    Create(Box<NewUser>),
    /// Delete one; its live connections end within two seconds.
    Delete {
        /// The user's id.
        id: String,
    },
}

#[derive(Debug, Args)]
struct NewUser {
    /// What to log in with; five digits are drawn otherwise.
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// The namespace of a feed's customer, who consumes it under any destination id.
    #[arg(long, conflicts_with_all = ["consume", "send", "can"])]
    namespace: Option<String>,
    /// The destinations to consume from, separated by commas; `*` is one element, `>` any number.
    #[arg(long, value_delimiter = ',', value_name = "PATTERNS")]
    consume: Option<Vec<String>>,
    /// The destinations to send to.
    #[arg(long, value_delimiter = ',', value_name = "PATTERNS")]
    send: Option<Vec<String>>,
    /// What it may do, separated by commas: read, publish.
    #[arg(long, value_delimiter = ',')]
    can: Option<Vec<Can>>,
    #[command(flatten)]
    new: NewSecret,
}

impl NewUser {
    /// Whether nothing keeps it to some destinations.
    const fn reaches_all(&self) -> bool {
        self.namespace.is_none() && self.consume.is_none() && self.send.is_none()
    }

    fn body(self) -> Value {
        let mut body = self.new.members();
        body.extend(self.user.map(|user| ("user".into(), json!(user))));
        body.extend(self.namespace.map(|name| ("namespace".into(), json!(name))));
        body.extend(self.consume.map(|all| ("consume".into(), json!(all))));
        body.extend(self.send.map(|all| ("send".into(), json!(all))));
        let actions = self.can.map(|can| can.into_iter().map(Can::name).collect::<Value>());
        body.extend(actions.map(|actions| ("actions".into(), actions)));
        body.into()
    }
}

pub(crate) async fn run(args: UserArgs) -> Result<(), Failure> {
    let api = Api::new(&args.connection)?;
    let json = args.connection.json;
    let project = api.project().await?;
    let users = ["v1", "projects", &project, "users"];
    match args.action {
        UserAction::List => output::list(json, &api.list(&users).await?, &COLUMNS),
        UserAction::Create(new) => {
            if new.reaches_all() {
                output::message(
                    "Without --namespace, --consume or --send the user reaches all that the \
                     project has.",
                );
            }
            let issued = api.call(Method::POST, &users, &new.body()).await?;
            if let Some(user) = issued.get("user").and_then(Value::as_str)
                && !json
            {
                output::message(&format!("The user is {user}; the password:"));
            }
            show_secret(json, &issued)
        }
        UserAction::Delete { id } => api.delete(&["v1", "projects", &project, "users", &id]).await,
    }
}
