//! The list of client commands and the one place that runs them and reports how they ended.

use std::pin::Pin;
use std::process::ExitCode;

use clap::{Command, Subcommand};

use crate::api_key::{self, ApiKeyArgs};
use crate::completions::{self, CompletionsArgs};
use crate::cursor::{self, CursorArgs};
use crate::extraction::{self, ExtractionArgs};
use crate::failure::Failure;
use crate::ingest_stream::{self, IngestStreamArgs};
use crate::integration::{self, IntegrationArgs};
use crate::key::{self, KeyArgs};
use crate::listen::{self, ListenArgs};
use crate::operator::{self, OperatorArgs};
use crate::output;
use crate::project::{self, ProjectArgs};
use crate::publish::{self, PublishArgs};
use crate::stream::{self, StreamArgs};
use crate::subscription::{self, SubscriptionArgs};
use crate::tail::{self, TailArgs};
use crate::token::{self, TokenArgs};
use crate::transaction::{self, TransactionArgs};
use crate::user::{self, UserArgs};
use crate::webhook::{self, WebhookArgs};

/// Puts the examples before the options: they are what most readers came for.
pub(crate) const TEMPLATE: &str =
    "{about-with-newline}\n{before-help}{usage-heading} {usage}\n\n{all-args}{after-help}";

/// What every command's help ends with.
pub(crate) const EXIT_CODES: &str = "Exit codes: 0 done, 1 failed, 2 wrong usage, 3 not authenticated or not \
    allowed, 4 no such thing, 5 unreachable or busy (try again).";

/// The client commands, for the binary to flatten into its own.
#[derive(Debug, Subcommand)]
pub enum ClientCommand {
    /// Print the events of a stream as they come.
    Tail(TailArgs),
    /// Forward the events of a stream to a program on this machine, as a webhook would.
    Listen(ListenArgs),
    /// Publish events from a file or standard input.
    Publish(PublishArgs),
    /// Projects: the tenants, each with its own streams and credentials.
    Project(ProjectArgs),
    /// Streams: named, ordered, durable logs of events.
    Stream(StreamArgs),
    /// Ingest streams: those that upstream systems write single records to.
    #[command(visible_alias = "ingest")]
    IngestStream(IngestStreamArgs),
    /// Subscriptions: the places that the server keeps for consumers, queues among them.
    Subscription(SubscriptionArgs),
    /// Distributed transactions that are prepared and wait for their transaction manager.
    Transaction(TransactionArgs),
    /// Extractions: jobs that send a keyed stream's entities as they are.
    Extraction(ExtractionArgs),
    /// Integrations: the connection points of a customer.
    Integration(IntegrationArgs),
    /// Webhooks of integrations: where their events are POSTed to.
    Webhook(WebhookArgs),
    /// Tokens of an integration, for reading.
    Token(TokenArgs),
    /// Keys of a project, for publishing, reading and managing.
    Key(KeyArgs),
    /// API keys of a project, which issue access tokens.
    ApiKey(ApiKeyArgs),
    /// Users, who log in with a name and a password.
    User(UserArgs),
    /// Cursors: named places in a stream that the server keeps.
    Cursor(CursorArgs),
    /// Operators, who reach every project.
    Operator(OperatorArgs),
    /// Print a shell's completions.
    #[command(help_template = TEMPLATE, before_help = "Examples:\n  outflow completions bash > /etc/bash_completion.d/outflow\n  outflow completions zsh > ~/.zfunc/_outflow")]
    Completions(CompletionsArgs),
}

/// Runs a command and says how it ended. `full` is the binary's whole command line, for
/// completions.
///
/// Boxed, so that the commands are compiled with this crate and not with the binary, which
/// everything else waits for.
#[must_use]
pub fn run(command: ClientCommand, full: Command) -> Pin<Box<dyn Future<Output = ExitCode>>> {
    Box::pin(dispatch(command, full))
}

async fn dispatch(command: ClientCommand, full: Command) -> ExitCode {
    let result = match command {
        ClientCommand::Tail(args) => tail::run(args).await,
        ClientCommand::Listen(args) => listen::run(args).await,
        ClientCommand::Publish(args) => publish::run(args).await,
        ClientCommand::Project(args) => project::run(args).await,
        ClientCommand::Stream(args) => stream::run(args).await,
        ClientCommand::IngestStream(args) => ingest_stream::run(args).await,
        ClientCommand::Subscription(args) => subscription::run(args).await,
        ClientCommand::Transaction(args) => transaction::run(args).await,
        ClientCommand::Extraction(args) => extraction::run(args).await,
        ClientCommand::Integration(args) => integration::run(args).await,
        ClientCommand::Webhook(args) => webhook::run(args).await,
        ClientCommand::Token(args) => token::run(args).await,
        ClientCommand::Key(args) => key::run(args).await,
        ClientCommand::ApiKey(args) => api_key::run(args).await,
        ClientCommand::User(args) => user::run(args).await,
        ClientCommand::Cursor(args) => cursor::run(args).await,
        ClientCommand::Operator(args) => operator::run(args).await,
        ClientCommand::Completions(args) => completions::run(&args, full),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            report(&failure);
            failure.exit_code()
        }
    }
}

fn report(failure: &Failure) {
    if matches!(failure, Failure::Output(error) if error.kind() == std::io::ErrorKind::BrokenPipe) {
        return;
    }
    output::message(&format!("outflow: {failure}"));
    if let Failure::Refused(refusal) = failure
        && refusal.status == 401
    {
        output::message(
            "  give a token with --token-file, OUTFLOW_TOKEN, or --data-dir of a server on this machine",
        );
    }
}
