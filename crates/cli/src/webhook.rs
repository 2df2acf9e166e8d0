//! `outflow webhook …`

mod attempts;

use std::path::PathBuf;

use clap::{Args, Subcommand};
use http::Method;
use serde_json::{Map, Value, json};

use crate::api::Api;
use crate::command::{EXIT_CODES, TEMPLATE};
use crate::connection::Connection;
use crate::failure::Failure;
use crate::output::{self, Column};
use crate::project::confirmed;
use crate::secret_file;
use attempts::AttemptsArgs;

const EXAMPLES: &str = "Examples:
  outflow webhook create warehouse https://example.com/hook --batch 10 --header 'Authorization: Bearer …'
  outflow webhook test warehouse
  outflow webhook show warehouse
  outflow webhook replay warehouse --from 2026-03-01T00:00:00Z
  outflow webhook rotate-secret warehouse
  outflow webhook attempts warehouse --status failed --since 2026-03-01T00:00:00Z
  outflow webhook resend warehouse msg_0123456789abcdef0123456789abcdef
  outflow tail webhook.attempts:warehouse --from earliest";

const COLUMNS: [Column; 6] = [
    ("integration", "/integration"),
    ("url", "/url"),
    ("state", "/state"),
    ("backlog", "/backlog"),
    ("failures", "/failures"),
    ("next attempt", "/next_attempt"),
];

/// Arguments of `outflow webhook`.
#[derive(Debug, Args)]
#[command(help_template = TEMPLATE, before_help = EXAMPLES, after_help = EXIT_CODES)]
pub struct WebhookArgs {
    #[command(flatten)]
    connection: Connection,
    #[command(subcommand)]
    action: WebhookAction,
}

#[derive(Debug, Subcommand)]
enum WebhookAction {
    /// List the project's webhooks.
    List,
    /// Show an integration's webhook, how it is, and how much waits for it.
    Show {
        /// The integration.
        id: String,
    },
    /// Give an integration a webhook, or change the settings that are given; a new secret is printed, this
    /// once.
    Create {
        /// The integration.
        id: String,
        /// Where events are POSTed to.
        url: String,
        #[command(flatten)]
        settings: Box<WebhookSettings>,
    },
    /// Send a made-up event and print what came of it.
    Test {
        /// The integration.
        id: String,
    },
    /// Replace the secret; the one before signs as well for a while.
    RotateSecret {
        /// The integration.
        id: String,
        /// For how many seconds; a day unless given; 0: no earlier one signs from now on.
        #[arg(long, value_name = "SECONDS")]
        overlap_s: Option<u64>,
        /// What kind of secret, hmac or ed25519; as the one before unless given.
        #[arg(long, value_name = "TYPE")]
        key_type: Option<String>,
    },
    /// Send nothing until it is resumed.
    Pause {
        /// The integration.
        id: String,
    },
    /// Go on where it was paused or disabled.
    Resume {
        /// The integration.
        id: String,
    },
    /// Make the next attempt now.
    Retry {
        /// The integration.
        id: String,
    },
    /// Send everything from a place on again.
    Replay {
        /// The integration.
        id: String,
        /// `earliest`, `latest`, the offset of the first event, or an RFC 3339 time.
        #[arg(long, value_name = "PLACE")]
        from: String,
        /// Never send what was not delivered before that place; `latest` skips it anyway.
        #[arg(long)]
        skip: bool,
    },
    /// List what came of the requests, the last one first.
    Attempts {
        /// The integration.
        id: String,
        #[command(flatten)]
        which: AttemptsArgs,
    },
    /// Send one message once more, past all that waits, and print what came of it.
    Resend {
        /// The integration.
        id: String,
        /// The message's id, as `outflow webhook attempts` shows it.
        message: String,
    },
    /// Send again what the endpoint has refused since a time, but for what was sent again and not refused since.
    Recover {
        /// The integration.
        id: String,
        /// An RFC 3339 time.
        #[arg(long, value_name = "TIME")]
        since: String,
    },
    /// Take an integration's webhook from it, with its place, its secrets, its attempts and what it refused.
    Delete {
        /// The integration.
        id: String,
        /// Really: this cannot be undone.
        #[arg(long)]
        yes: bool,
    },
}

#[derive(Debug, Args)]
struct WebhookSettings {
    /// The stream; the project's default unless given.
    #[arg(long, short, value_name = "NAME")]
    stream: Option<String>,
    /// Where a new one begins: `latest` or `earliest`.
    #[arg(long, value_name = "PLACE")]
    start: Option<String>,
    /// How many events a request has at most: 1, 5, 10, 15, 20, 30, 50 or 100.
    #[arg(long, value_name = "COUNT")]
    batch: Option<u32>,
    /// How many requests at once, in order for each key; unless given, all are in order.
    #[arg(long, value_name = "COUNT")]
    lanes: Option<u32>,
    /// Pack bodies with gzip.
    #[arg(
        long,
        value_name = "WHETHER",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true"
    )]
    gzip: Option<bool>,
    /// Which events: a JSON array of filters; null: all.
    #[arg(long, value_name = "JSON", value_parser = parse_json)]
    filters: Option<Value>,
    /// How requests are signed: standard, stripe, github or none.
    #[arg(long, value_name = "STYLE")]
    style: Option<String>,
    /// With the style standard: hmac, a secret that receivers have as well, or ed25519, a key pair whose
    /// public half is shown with the webhook.
    #[arg(long, value_name = "TYPE")]
    key_type: Option<String>,
    /// A header that is added, `Name: value`; may be given again.
    #[arg(long = "header", value_name = "HEADER", value_parser = parse_header)]
    headers: Vec<(String, String)>,
    /// How long an attempt may last, in milliseconds.
    #[arg(long, value_name = "MS")]
    timeout_ms: Option<u64>,
    /// After how many seconds of failure only it is disabled.
    #[arg(long, value_name = "SECONDS")]
    disable_after_s: Option<u64>,
    /// The pauses after failures, in milliseconds, with commas between; the last comes again and again. A
    /// minute at least passes after 408, 429, 502, 504 and where no answer came in time, and what
    /// a Retry-After says, up to an hour.
    #[arg(long, value_name = "MS", value_delimiter = ',')]
    retry_pauses_ms: Vec<u64>,
    /// Send nothing until it is resumed.
    #[arg(
        long,
        value_name = "WHETHER",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true"
    )]
    paused: Option<bool>,
    /// A file that holds the secret to sign with; one is drawn unless given.
    #[arg(long, value_name = "FILE")]
    secret_file: Option<PathBuf>,
    /// Settings that are not given are as by default, not as they are: no headers, and not paused. The secret
    /// stays while the style and its type do.
    #[arg(long)]
    reset: bool,
}

/// The settings that would be as by default where they are not said.
const SETTINGS: [&str; 8] = [
    "batch",
    "lanes",
    "gzip",
    "filters",
    "style",
    "retry_pauses_ms",
    "timeout_ms",
    "disable_after_s",
];

fn parse_json(text: &str) -> Result<Value, String> {
    serde_json::from_str(text).map_err(|error| error.to_string())
}

fn parse_header(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once(':').ok_or("a header is written `Name: value`")?;
    Ok((name.trim().to_owned(), value.trim().to_owned()))
}

impl WebhookSettings {
    fn members(self, url: &str) -> Result<Map<String, Value>, Failure> {
        let headers = Some(self.headers).filter(|headers| !headers.is_empty());
        let pauses = Some(self.retry_pauses_ms).filter(|pauses| !pauses.is_empty());
        let secret = self.secret_file.as_deref().map(secret_file::read).transpose()?;
        let given = [
            ("url", Some(json!(url))),
            ("stream", self.stream.map(Value::from)),
            ("start", self.start.map(Value::from)),
            ("batch", self.batch.map(Value::from)),
            ("lanes", self.lanes.map(Value::from)),
            ("gzip", self.gzip.map(Value::from)),
            ("filters", self.filters),
            ("style", self.style.map(Value::from)),
            ("key_type", self.key_type.map(Value::from)),
            ("headers", headers.map(|headers| json!(headers))),
            ("timeout_ms", self.timeout_ms.map(Value::from)),
            ("disable_after_s", self.disable_after_s.map(Value::from)),
            ("retry_pauses_ms", pauses.map(|pauses| json!(pauses))),
            ("paused", self.paused.map(Value::from)),
            ("secret", secret.map(|secret| json!(secret.expose()))),
        ];
        let given = given.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
        Ok(given.collect())
    }
}

/// Makes a webhook, or changes the one there is: what is not given stays, unless it is to be reset.
async fn create(
    api: &Api,
    path: &[&str],
    url: &str,
    settings: WebhookSettings,
) -> Result<Value, Failure> {
    let reset = settings.reset;
    let mut members = settings.members(url)?;
    let known = match api.get(path, &[]).await {
        Ok(known) if !reset => known,
        // Nothing is to stay, or there is none.
        Ok(_) => Value::Null,
        Err(Failure::Refused(refusal)) if refusal.status == 404 => Value::Null,
        Err(failure) => return Err(failure),
    };
    if reset {
        // What the server leaves as it was where nothing is said.
        for (name, default) in [("headers", json!([])), ("paused", json!(false))] {
            members.entry(name).or_insert(default);
        }
    }
    for name in SETTINGS {
        if let Some(value) = known.get(name).filter(|_| !members.contains_key(name)) {
            members.insert(name.to_owned(), value.clone());
        }
    }
    api.call(Method::PUT, path, &members.into()).await
}

pub(crate) async fn run(args: WebhookArgs) -> Result<(), Failure> {
    let api = Api::new(&args.connection)?;
    let json = args.connection.json;
    let project = api.project().await?;
    let one = |id| ["v1", "projects", &project, "integrations", id, "webhook"];
    let call = async |id: &str, verb: &str, body: Value| {
        let path = ["v1", "projects", &project, "integrations", id, "webhook", verb];
        api.call(Method::POST, &path, &body).await
    };
    let none = || json!({});
    let answer = match args.action {
        WebhookAction::List => return list(&api, json, &project).await,
        WebhookAction::Delete { id, yes } => {
            confirmed(yes, &format!("the webhook of {id} with its place"))?;
            return api.delete(&one(&id)).await;
        }
        WebhookAction::Show { id } => api.get(&one(&id), &[]).await?,
        WebhookAction::Create { id, url, settings } => {
            create(&api, &one(&id), &url, *settings).await?
        }
        WebhookAction::Test { id } => return outcome(json, &call(&id, "test", none()).await?),
        WebhookAction::Attempts { id, which } => {
            let path = ["v1", "projects", &project, "integrations", &id, "webhook", "attempts"];
            return attempts::list(&api, json, &path, &which).await;
        }
        WebhookAction::Resend { id, message } => {
            return outcome(json, &call(&id, "resend", json!({ "message": message })).await?);
        }
        WebhookAction::RotateSecret { id, overlap_s, key_type } => {
            let body = json!({ "overlap_s": overlap_s, "key_type": key_type });
            call(&id, "rotate", body).await?
        }
        WebhookAction::Pause { id } => call(&id, "pause", none()).await?,
        WebhookAction::Resume { id } => call(&id, "resume", none()).await?,
        WebhookAction::Retry { id } => call(&id, "retry", none()).await?,
        WebhookAction::Recover { id, since } => {
            call(&id, "recover", json!({ "since": since })).await?
        }
        WebhookAction::Replay { id, from, skip } => {
            call(&id, "replay", json!({ "from": from, "skip": skip })).await?
        }
    };
    output::record(json, &answer)
}

/// Prints what came of a request; one that was not taken is a failure.
fn outcome(json: bool, answer: &Value) -> Result<(), Failure> {
    output::record(json, answer)?;
    let taken = answer.get("taken").and_then(Value::as_bool).unwrap_or(false);
    if taken { Ok(()) } else { Err(Failure::Input("the endpoint did not take it".into())) }
}

/// Lists the webhooks of those integrations that have one.
async fn list(api: &Api, json: bool, project: &str) -> Result<(), Failure> {
    let integrations = api.list(&["v1", "projects", project, "integrations"]).await?;
    let mut webhooks = Vec::new();
    for integration in integrations {
        let Some(id) = integration.get("id").and_then(Value::as_str) else { continue };
        let path = ["v1", "projects", project, "integrations", id, "webhook"];
        match api.get(&path, &[]).await {
            Ok(Value::Object(mut webhook)) => {
                webhook.insert("integration".to_owned(), id.into());
                webhooks.push(Value::Object(webhook));
            }
            // It has none.
            Err(Failure::Refused(refusal)) if refusal.status == 404 => {}
            Err(failure) => return Err(failure),
            Ok(_) => return Err(Failure::Answer("a webhook that is no object".into())),
        }
    }
    output::list(json, &webhooks, &COLUMNS)
}
