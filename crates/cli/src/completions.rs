//! `outflow completions`: shell completions of the whole command line, the server's part included.

use std::io;

use clap::{Args, Command};
use clap_complete::Shell;

use crate::failure::Failure;

/// Arguments of `outflow completions`.
#[derive(Debug, Args)]
pub struct CompletionsArgs {
    /// The shell.
    shell: Shell,
}

/// Prints the completions of `full`, the binary's whole command line.
pub(crate) fn run(args: &CompletionsArgs, mut full: Command) -> Result<(), Failure> {
    let name = full.get_name().to_owned();
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut full, name, &mut script);
    io::Write::write_all(&mut io::stdout().lock(), &script)?;
    Ok(())
}
