//! `outflow config check` and `outflow config print`.

use std::io::Write;
use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::config::{self, Config, DEFAULT_TOML};
use crate::exit::Exit;
use crate::serve::{self, ServerArgs};
use crate::wiring::{self, StartError};
use crate::{certificates, landing, storage};

/// The `config` commands.
#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Say whether a configuration file can be used, with every problem in it and in the files that it
    /// names. Exit code 2 if not.
    Check(CheckArgs),
    /// Print every key with its default and its meaning, as a file to begin with.
    Print(PrintArgs),
}

/// Options of `config check`.
#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    /// The file.
    file: PathBuf,
}

/// Options of `config print`.
#[derive(Debug, Args)]
pub(crate) struct PrintArgs {
    /// Print what is in force instead: file, environment and flags over the defaults, with the
    /// source of each value. Files that hold secrets are named, never read.
    #[arg(long)]
    effective: bool,
    #[command(flatten)]
    server: ServerArgs,
}

/// Runs a `config` command.
#[expect(clippy::print_stderr, reason = "messages on stderr")]
pub(crate) fn run(command: &ConfigCommand) -> Exit {
    let loaded = match command {
        ConfigCommand::Check(args) => config::load(Some(&args.file), serve::environment(), &[]),
        ConfigCommand::Print(args) if args.effective => args.server.load(),
        ConfigCommand::Print(_) => {
            return print(DEFAULT_TOML, Exit::Clean);
        }
    };
    match (loaded, command) {
        (Err(error), _) => {
            eprintln!("{error}");
            Exit::Misconfigured
        }
        (Ok((_, layers)), ConfigCommand::Print(_)) => print(&layers.print(), Exit::Clean),
        (Ok((config, _)), ConfigCommand::Check(args)) => {
            let wrong = named(&config);
            wrong.iter().for_each(|error| eprintln!("{error}"));
            if !wrong.is_empty() {
                return Exit::Misconfigured;
            }
            if let Some(amiss) = storage::check(&config) {
                eprintln!("{amiss}");
            }
            eprintln!("{}: ok", args.file.display());
            Exit::Clean
        }
    }
}

/// What is wrong with what the configuration names, and would end the start.
fn named(config: &Config) -> Vec<StartError> {
    let mut wrong = certificates::check(config);
    wrong.extend(landing::check(config).into_iter().map(StartError::from));
    wrong.extend(wiring::webhook::check(config));
    wrong
}

/// Prints data on stdout and ends as `exit` says, or as failed where it cannot be written. A
/// reader that has gone away, as in `outflow config print | head`, is no failure.
#[expect(clippy::print_stderr, reason = "messages on stderr")]
pub(crate) fn print(text: &str, exit: Exit) -> Exit {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            eprintln!("outflow: cannot write the output: {error}");
            Exit::Failed
        }
        _ => exit,
    }
}
