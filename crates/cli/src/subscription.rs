//! `outflow subscription …`

use clap::{Args, Subcommand};
use http::Method;
use serde_json::{Map, Value, json};

use crate::api::Api;
use crate::command::{EXIT_CODES, TEMPLATE};
use crate::connection::Connection;
use crate::failure::Failure;
use crate::output::{self, Column};
use crate::setting::{Setting, optional};
use crate::span::parse_span;

const EXAMPLES: &str = "Examples:
  outflow subscription list --abandoned
  outflow subscription show queue:destination1.RTO.yourcompany
  outflow subscription set queue:orders --max-deliveries 5 --max-age 30d
  outflow subscription move-dead --to queue:orders --limit 10
  outflow subscription purge queue:orders
  outflow subscription delete queue:destination9.RTO.yourcompany
  outflow tail --subscription queue:orders";

const COLUMNS: [Column; 7] = [
    ("name", "/name"),
    ("backlog", "/backlog"),
    ("oldest", "/oldest"),
    ("in flight", "/in_flight"),
    ("consumers", "/consumers"),
    ("last used", "/last_used"),
    ("abandoned", "/abandoned"),
];

/// Arguments of `outflow subscription`.
#[derive(Debug, Args)]
#[command(help_template = TEMPLATE, before_help = EXAMPLES, after_help = EXIT_CODES)]
pub struct SubscriptionArgs {
    #[command(flatten)]
    connection: Connection,
    #[command(subcommand)]
    action: SubscriptionAction,
}

#[derive(Debug, Subcommand)]
enum SubscriptionAction {
    /// List the project's subscriptions, queues among them.
    List {
        /// Only those that nobody seems to need any more.
        #[arg(long)]
        abandoned: bool,
    },
    /// Show one: what it does, what waits in it, who consumes.
    Show {
        /// The subscription.
        name: String,
    },
    /// Change what one does; what is not given stays, `none` takes a limit away.
    Set {
        /// The subscription.
        name: String,
        #[command(flatten)]
        settings: Settings,
    },
    /// Settle all that waits in one, but for what consumers hold.
    Purge {
        /// The subscription.
        name: String,
    },
    /// Give dead events another try: move them from the queue of dead letters to a stream.
    MoveDead {
        /// The subscription that holds the dead events.
        #[arg(default_value = "queue:ActiveMQ.DLQ")]
        name: String,
        /// The stream to move them to; `queue:` and its name for a queue.
        #[arg(long, value_name = "STREAM")]
        to: String,
        /// How many at most.
        #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..=100_000))]
        limit: Option<u64>,
    },
    /// Remove one for good; a queue's events go with it.
    Delete {
        /// The subscription.
        name: String,
    },
}

#[derive(Debug, Args)]
#[group(required = true, multiple = true)]
struct Settings {
    /// After how many deliveries an event that comes back goes to the dead letters.
    #[arg(long, value_name = "COUNT", value_parser = optional(str::parse::<u32>))]
    max_deliveries: Option<Setting<u32>>,
    /// The stream that dead events go to; `queue:` and its name for a queue.
    #[arg(long, value_name = "STREAM", value_parser = optional(str::parse::<String>))]
    dead_letter: Option<Setting<String>>,
    /// After how long an event that nobody has settled is dead, such as 30d.
    #[arg(long, value_name = "SPAN", value_parser = optional(parse_span))]
    max_age: Option<Setting>,
    /// After how long without a consumer it is deleted, such as 90d.
    #[arg(long, value_name = "SPAN", value_parser = optional(parse_span))]
    idle_expiry: Option<Setting>,
    /// Whether only one consumer at a time is served.
    #[arg(long, value_name = "BOOL")]
    exclusive: Option<bool>,
    /// A description for people.
    #[arg(long)]
    description: Option<String>,
}

impl Settings {
    fn members(self) -> Map<String, Value> {
        let members = [
            ("max_deliveries", self.max_deliveries.map(Setting::value)),
            ("dead_letter", self.dead_letter.map(Setting::value)),
            ("max_age_ms", self.max_age.map(Setting::value)),
            ("idle_expiry_ms", self.idle_expiry.map(Setting::value)),
            ("exclusive", self.exclusive.map(Value::from)),
            ("description", self.description.map(Value::from)),
        ];
        let given = members.into_iter().filter_map(|(name, value)| Some((name.into(), value?)));
        given.collect()
    }
}

pub(crate) async fn run(args: SubscriptionArgs) -> Result<(), Failure> {
    let api = Api::new(&args.connection)?;
    let json = args.connection.json;
    let project = api.project().await?;
    let all = ["v1", "projects", &project, "subscriptions"];
    match args.action {
        SubscriptionAction::List { abandoned } => {
            let only: &[(&str, &str)] = if abandoned { &[("abandoned", "true")] } else { &[] };
            output::list(json, &api.list_where(&all, only).await?, &COLUMNS)
        }
        SubscriptionAction::Show { name } => {
            let path = ["v1", "projects", &project, "subscriptions", &name];
            output::record(json, &api.get(&path, &[]).await?)
        }
        SubscriptionAction::Set { name, settings } => {
            let path = ["v1", "projects", &project, "subscriptions", &name];
            output::record(json, &api.change(&path, &settings.members().into()).await?)
        }
        SubscriptionAction::Purge { name } => {
            let path = ["v1", "projects", &project, "subscriptions", &name, "purge"];
            count(json, "settled", &api.call(Method::POST, &path, &json!({})).await?)
        }
        SubscriptionAction::MoveDead { name, to, limit } => {
            let path = ["v1", "projects", &project, "subscriptions", &name, "move"];
            let body = limit
                .map_or_else(|| json!({ "to": to }), |limit| json!({ "to": to, "limit": limit }));
            count(json, "moved", &api.call(Method::POST, &path, &body).await?)
        }
        SubscriptionAction::Delete { name } => {
            api.delete(&["v1", "projects", &project, "subscriptions", &name]).await
        }
    }
}

/// Says how many events something was done to.
fn count(json: bool, done: &str, answer: &Value) -> Result<(), Failure> {
    if json {
        return output::record(true, answer);
    }
    let events = answer.get("events").and_then(Value::as_u64);
    let events = events.ok_or_else(|| Failure::Answer("an answer without a count".into()))?;
    output::message(&format!("{done} {events} events"));
    Ok(())
}
