//! Automation of the workspace: `cargo xtask <command>`. No other task runner is used.
//!
//! Called by people and by `.ci/run`. Calls cargo, git and the tools of `interop/`; depends on no
//! crate of the product, so that it still builds when they do not.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command-line tool speaks through them"
)]

mod advisories;
mod driver;
mod fault;
mod interop;
mod licences;
mod openwire_vectors;
mod peers;
mod soak;
mod spdx;
mod stage;
mod stand;
mod suite;
mod tidy;
mod workspace;

use std::process::ExitCode;

use fault::Fault;
use workspace::Workspace;

const USAGE: &str = "\
usage: cargo xtask <command>

  test                      everything CI asks for; fails where a tool is missing
  tidy                      crate arrows, file lengths, module docs, names, log messages
  licences [--advisory-db DIR]
                            licences, duplicate versions; advisories when a database is given
                            (or named by ADVISORY_DB)
  interop [NAME]            real clients against a dev server: python, node, java, curl, deflate, chromium
  openwire-vectors FILE     golden OpenWire frames, read and written back byte for byte
  soak [--kill-rounds N] [--sim-seeds N] [--subscription-cases N] [--fuzz-minutes N] [--bench]
                            the long versions of what the tests do briefly
  bench --peers [--runs N] [--seconds N]
                            our queues beside Debian's ActiveMQ and RabbitMQ, where installed
  bench --openwire [--runs N] [--messages N]
                            ActiveMQ's Java client on us and on Debian's ActiveMQ, in turn";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            eprintln!("xtask: {fault}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[String]) -> Result<(), Fault> {
    let (command, rest) = arguments.split_first().ok_or_else(|| Fault::new(USAGE))?;
    match (command.as_str(), rest) {
        ("test", []) => suite::run(&Workspace::load()?),
        ("tidy", []) => tidy::run(&Workspace::load()?),
        ("licences", []) => licences::run(&Workspace::load()?, None),
        ("licences", [flag, folder]) if flag == "--advisory-db" => {
            licences::run(&Workspace::load()?, Some(folder.as_ref()))
        }
        ("interop", []) => interop::run(&Workspace::load()?, None),
        ("interop", [name]) => interop::run(&Workspace::load()?, Some(name)),
        ("openwire-vectors", [file]) => openwire_vectors::run(&Workspace::load()?, file),
        ("bench", [peers, flags @ ..]) if peers == "--peers" => {
            peers::run(&Workspace::load()?, flags)
        }
        ("bench", [openwire, flags @ ..]) if openwire == "--openwire" => {
            peers::openwire::run(&Workspace::load()?, flags)
        }
        ("soak", flags) => soak::run(&Workspace::load()?, flags),
        _ => Err(Fault::new(USAGE)),
    }
}
