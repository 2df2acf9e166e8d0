//! `cargo xtask test`: everything CI asks for, cheapest first, in one profile so that stages share
//! what they compile. It fails where a tool is missing; it never skips.

use std::process::Command;

use crate::fault::Fault;
use crate::interop;
use crate::licences;
use crate::stage::{Stages, execute};
use crate::tidy;
use crate::workspace::Workspace;

pub(crate) fn run(workspace: &Workspace) -> Result<(), Fault> {
    let mut stages = Stages::default();
    let result = all(workspace, &mut stages);
    stages.print();
    let tally = result?;
    tally.print();
    tally.verdict()
}

fn all(workspace: &Workspace, stages: &mut Stages) -> Result<interop::Tally, Fault> {
    stages.run("fmt", || execute(cargo(workspace).args(["fmt", "--all", "--check"])))?;
    stages.run("tidy", || tidy::run(workspace))?;
    stages.run("licences", || licences::run(workspace, None))?;
    stages.run("clippy", || {
        execute(cargo(workspace).args([
            "clippy",
            "--workspace",
            "--all-targets",
            "--locked",
            "--",
            "-D",
            "warnings",
        ]))
    })?;
    stages.run("doc", || {
        let doc = ["doc", "--workspace", "--no-deps", "--document-private-items", "--locked"];
        execute(cargo(workspace).args(doc).env("RUSTDOCFLAGS", "-D warnings"))
    })?;
    stages.run("build", || {
        execute(cargo(workspace).args(["build", "--workspace", "--all-targets", "--locked"]))
    })?;
    stages.run("unit and integration tests", || {
        execute(cargo(workspace).args(["test", "--workspace", "--all-targets", "--locked"]))
    })?;
    // A feature that is off unless asked for; last, as it builds what no other stage has.
    stages.run("object stores", || {
        let features = ["--features", "object-stores", "--all-targets", "--locked"];
        let lint = ["clippy", "-p", "outflow-landing", "-p", "outflow"];
        let strict = ["--", "-D", "warnings"];
        execute(cargo(workspace).args(lint).args(features).args(strict))?;
        execute(cargo(workspace).args(["test", "-p", "outflow-landing"]).args(features))?;
        interop::build(workspace)
    })?;
    stages.run("interop: install clients", || interop::install(workspace, None))?;
    stages.run("interop: run clients", || interop::drive(workspace, None))
}

pub(crate) fn cargo(workspace: &Workspace) -> Command {
    let mut command = Command::new("cargo");
    command.current_dir(&workspace.root).env("CARGO_TARGET_DIR", &workspace.target);
    command
}
