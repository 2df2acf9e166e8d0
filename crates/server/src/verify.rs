//! `outflow verify`.

use std::path::PathBuf;

use clap::Args;

use crate::exit::Exit;

/// Options of `outflow verify`.
#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    /// The data directory.
    #[arg(long, value_name = "DIR", default_value = "./outflow-data")]
    data_dir: PathBuf,
}

/// Runs the command.
pub(crate) fn run(args: &VerifyArgs) -> Exit {
    let _ = &args.data_dir;
    Exit::Failed
}
