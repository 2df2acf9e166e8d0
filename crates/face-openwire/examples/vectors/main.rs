//! Checks a file of golden OpenWire frames: prints each failure, then how many passed and failed.
//!
//! Run by `cargo xtask openwire-vectors FILE`. Fails when a frame does, or when there is none.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a tool speaks through them")]

mod check;

use std::process::ExitCode;

fn main() -> ExitCode {
    let Some(path) = std::env::args_os().nth(1) else {
        eprintln!("usage: vectors FILE");
        return ExitCode::FAILURE;
    };
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) => {
            eprintln!("{}: {error}", path.display());
            return ExitCode::FAILURE;
        }
    };
    let outcome = check::check(&text);
    for failure in &outcome.failures {
        println!("{failure}");
    }
    println!("{} passed, {} failed", outcome.passed, outcome.failures.len());
    if outcome.failures.is_empty() && outcome.passed > 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
