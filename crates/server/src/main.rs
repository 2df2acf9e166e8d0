//! The binary `outflow`: the server commands here, the client commands from `outflow-cli`.
//!
//! Reads the command line, builds the runtime, turns how a command ended into an exit code.
//! [`wiring`] puts the storeys together; [`mod@serving`] runs and drains them.

mod activation;
mod admin_listener;
mod certificates;
mod check;
mod config;
mod counts;
mod dev;
mod exit;
mod landing;
mod logging;
mod operator;
mod serve;
mod serving;
mod signals;
mod status;
mod storage;
mod tasks;
mod verify;
mod wiring;

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};
use outflow_cli::ClientCommand;

use crate::exit::Exit;
use crate::serve::Loaded;
use crate::wiring::StartError;

// Events are many small allocations that are freed on other threads than they were made on, and
// a server runs for months: the system's allocator is slower at the first and fragments over the
// second.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Real-time data feeds: a durable log that streams to clients that already exist.
#[derive(Debug, Parser)]
#[command(name = "outflow", version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the server.
    Serve(serve::ServeArgs),
    /// Run a server with a demonstration project and generated events.
    Dev(dev::DevArgs),
    /// Check a data directory while no server uses it.
    Verify(verify::VerifyArgs),
    /// Make another operator's token while no server runs, for one that was lost.
    OperatorToken(operator::OperatorArgs),
    /// Check or print the configuration.
    #[command(subcommand)]
    Config(check::ConfigCommand),
    /// Measure a server: publish, replay, fan-out, latency, idle readers.
    ///
    /// On a virtual machine whose host gave more than 2 % of the CPU time to others during a scene, its
    /// row says so: the rate is then too low, and to be measured again.
    #[command(subcommand)]
    Bench(outflow_bench::BenchCommand),
    #[command(flatten)]
    Client(ClientCommand),
}

fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Serve(args) => match serve::prepare(&args.server) {
            Ok(loaded) => serving(loaded, move |loaded| serve::run(args, loaded)),
            Err(error) => failed(&error, Exit::Misconfigured),
        },
        Command::Dev(args) => match serve::prepare(args.server()) {
            Ok(loaded) => serving(loaded, move |loaded| dev::run(args, loaded)),
            Err(error) => failed(&error, Exit::Misconfigured),
        },
        Command::Verify(args) => verify::run(&args).into(),
        Command::OperatorToken(args) => match serve::prepare(&args.server) {
            Ok(loaded) => serving(loaded, move |loaded| operator::renew(args, loaded.config)),
            Err(error) => failed(&error, Exit::Misconfigured),
        },
        Command::Config(command) => check::run(&command).into(),
        Command::Bench(command) => match outflow_bench::run(&command) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => failed(&error, Exit::Failed),
        },
        Command::Client(command) => match runtime(0) {
            Ok(runtime) => runtime.block_on(outflow_cli::run(command, Cli::command())),
            Err(error) => failed(&error, Exit::Failed),
        },
    }
}

/// Runs a server command on a runtime of its own.
fn serving<F>(loaded: Loaded, run: impl FnOnce(Loaded) -> F) -> ExitCode
where
    F: Future<Output = Result<Exit, StartError>>,
{
    let runtime = match runtime(loaded.config.runtime.threads) {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error, Exit::Failed),
    };
    match runtime.block_on(run(loaded)) {
        Ok(exit) => exit.into(),
        Err(error) => failed(&error, Exit::Failed),
    }
}

fn runtime(threads: usize) -> std::io::Result<tokio::runtime::Runtime> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    if threads > 0 {
        builder.worker_threads(threads);
    }
    builder.enable_all().build()
}

#[expect(clippy::print_stderr, reason = "the last word of a command that failed")]
fn failed(error: &dyn std::fmt::Display, exit: Exit) -> ExitCode {
    eprintln!("outflow: {error}");
    exit.into()
}
