//! `outflow listen --forward-to URL`: a stream's events POSTed to a program on this machine, signed
//! as a webhook's are, so that a receiver can be written before anything can reach it from outside.
//!
//! Reads as `outflow tail` does, through [`crate::tail`]; nothing on the server is set up or moved. One event at a time
//! in order, and none is sent again by itself: `r` and Enter does that.

mod forward;

use std::io::BufRead;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use http::Uri;
use outflow_webhook_wire::signature::{Signer, Style, SystemRng, secret};
use tokio::sync::mpsc;

use crate::api::Api;
use crate::command::{EXIT_CODES, TEMPLATE};
use crate::connection::Connection;
use crate::failure::Failure;
use crate::output;
use crate::secret_file;
use crate::tail::{self, Tail, parse_filter, parse_place};
use forward::{Forwarder, Target};

const EXAMPLES: &str = "Examples:
  outflow listen --forward-to http://localhost:3000/hook
  outflow listen orders --from earliest --forward-to http://localhost:3000/hook
  outflow listen --style stripe --secret-file whsec.txt --forward-to http://localhost:3000/

Type r and Enter to send the last event again.";

/// What is typed for the last event to be sent again.
const AGAIN: &str = "r";

/// Arguments of `outflow listen`.
#[derive(Debug, Args)]
#[command(help_template = TEMPLATE, before_help = EXAMPLES, after_help = EXIT_CODES)]
pub struct ListenArgs {
    /// The stream.
    #[arg(default_value = "events")]
    stream: String,
    /// Where to send events to.
    #[arg(long, value_name = "URL")]
    forward_to: Uri,
    /// Where to begin: earliest, latest, behind an offset, or an RFC 3339 time.
    #[arg(long, value_name = "PLACE", default_value = "latest", value_parser = parse_place)]
    from: String,
    /// Only events that pass this filter: the `filters` of Airship's language, an object or array.
    #[arg(long, value_name = "JSON", value_parser = parse_filter)]
    filter: Option<String>,
    /// How to sign.
    #[arg(long, default_value = "standard")]
    style: Signing,
    /// A file that holds the secret to sign with, instead of one drawn for this run.
    #[arg(long, value_name = "FILE")]
    secret_file: Option<PathBuf>,
    #[command(flatten)]
    connection: Connection,
}

/// How to sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Signing {
    /// Standard Webhooks, as Svix does.
    Standard,
    /// `Stripe-Signature`.
    Stripe,
    /// `X-Hub-Signature-256`.
    Github,
    /// Not at all.
    None,
}

impl From<Signing> for Style {
    fn from(signing: Signing) -> Self {
        match signing {
            Signing::Standard => Self::Standard,
            Signing::Stripe => Self::Stripe,
            Signing::Github => Self::GitHub,
            Signing::None => Self::Unsigned,
        }
    }
}

pub(crate) async fn run(args: ListenArgs) -> Result<(), Failure> {
    let style = Style::from(args.style);
    let secret = match &args.secret_file {
        Some(path) => secret_file::read(path)?,
        None => secret::draw_hmac(&SystemRng),
    };
    let signer = Signer::new(style, &secret).map_err(|error| Failure::Usage(error.to_string()))?;
    let target = Target::new(args.forward_to, args.connection.ca_file.as_deref())?;
    let api = Api::new(&args.connection)?;
    let project = api.project().await?;
    if style != Style::Unsigned && args.secret_file.is_none() {
        output::line(&format!("signing secret of this run: {}", secret.expose()))?;
    }
    output::line(&format!(
        "forwarding `{}` of project `{project}` to {}; r and Enter sends the last event again",
        args.stream,
        target.url(),
    ))?;
    let forwarder = Forwarder::new(target, signer, &project);
    let mut tail = Tail::following(api, project, args.stream, args.from, args.filter);
    let mut sink = &forwarder;
    tokio::select! {
        ended = tail::follow(&mut tail, &mut sink) => ended,
        ended = resend(&forwarder, commands()) => ended,
        _ = tokio::signal::ctrl_c() => Ok(()),
    }
}

/// Sends the last event again whenever that is asked for.
async fn resend(forwarder: &Forwarder, mut commands: mpsc::Receiver<()>) -> Result<(), Failure> {
    while commands.recv().await.is_some() {
        forwarder.again().await?;
    }
    // Nobody types: events go on coming.
    std::future::pending().await
}

/// What is typed. Standard input has no end that can be waited for beside others, so a thread reads
/// it, which ends with the program.
fn commands() -> mpsc::Receiver<()> {
    let (tell, told) = mpsc::channel(1);
    #[expect(clippy::disallowed_methods, reason = "a read of a terminal may never return")]
    std::thread::spawn(move || read_commands(std::io::stdin().lock(), &tell));
    told
}

/// Tells of each line that asks for the last event again, until the input ends or nobody listens.
fn read_commands(input: impl BufRead, tell: &mpsc::Sender<()>) {
    for line in input.lines() {
        let Ok(line) = line else { return };
        if line.trim() == AGAIN && tell.blocking_send(()).is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::http::HeaderMap;
    use axum::routing::post;

    use super::*;
    use crate::tail::Sink as _;

    /// What is typed while a program receives: each `r` brings the last event again as it was.
    #[tokio::test]
    async fn r_and_enter_sends_the_last_event_again() {
        let (came, mut coming) = mpsc::unbounded_channel();
        let receive = post(async move |headers: HeaderMap, body: String| {
            came.send((headers["webhook-id"].clone(), body)).unwrap();
        });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap()).parse().unwrap();
        let app = Router::new().route("/", receive);
        tokio::spawn(async move { axum::serve(listener, app).await });
        let signer = Signer::new(Style::Standard, &secret::draw_hmac(&SystemRng)).unwrap();
        let forwarder = Forwarder::new(Target::new(url, None).unwrap(), signer, "acme");
        // Before anything has come there is nothing to be sent.
        forwarder.again().await.unwrap();
        for line in [r#"{"type":"T","offset":"1"}"#, r#"{"type":"T","offset":"2"}"#] {
            (&forwarder).take(line.as_bytes()).await.unwrap();
        }
        coming.recv().await.unwrap();
        let last = coming.recv().await.unwrap();
        assert_eq!(last.0, "msg_2");
        let (tell, told) = mpsc::channel(1);
        let typed = "r\nR\nresend\n  r  \r\n\n";
        #[expect(clippy::disallowed_methods, reason = "as where it is used")]
        let typing = std::thread::spawn(move || read_commands(typed.as_bytes(), &tell));
        let hearing = async {
            for _ in 0..2 {
                assert_eq!(coming.recv().await.unwrap(), last);
            }
        };
        tokio::select! {
            ended = resend(&forwarder, told) => panic!("it ended with {ended:?}"),
            () = hearing => {}
        }
        typing.join().unwrap();
        assert!(coming.try_recv().is_err(), "two of the lines ask for it");
    }
}
