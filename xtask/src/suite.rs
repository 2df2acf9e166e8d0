//! `cargo xtask test`: everything CI asks for, cheapest first, in one profile so that stages share
//! what they compile. It fails where a tool is missing; it never skips
//! but for Chromium, as `interop` says.

use std::process::Command;

use crate::fault::Fault;
use crate::interop;
use crate::licences;
use crate::soak::HOST;
use crate::stage::{Stages, execute};
use crate::tidy;
use crate::workspace::Workspace;

/// What is off unless asked for. It only adds, so everything is tested with it, in one build of the
/// whole workspace that the real clients are driven against as well; that all compiles without it is
/// seen by clippy.
pub(crate) const OPTIONAL: [&str; 2] = ["--features", "outflow/object-stores"];

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
    // The fuzz targets are a workspace of their own, built only when they run: what they are built
    // from must still be what their lock file says.
    stages.run("fuzz lock", || {
        let fetch = ["fetch", "--locked", "--manifest-path", "fuzz/Cargo.toml", "--target", HOST];
        execute(cargo(workspace).args(fetch))
    })?;
    stages.run("clippy", || {
        let lint = ["clippy", "--workspace", "--all-targets", "--locked"];
        let strict = ["--", "-D", "warnings"];
        execute(cargo(workspace).args(lint).args(strict))?;
        execute(cargo(workspace).args(lint).args(OPTIONAL).args(strict))
    })?;
    stages.run("doc", || {
        let doc = ["doc", "--workspace", "--no-deps", "--document-private-items", "--locked"];
        execute(cargo(workspace).args(doc).env("RUSTDOCFLAGS", "-D warnings"))
    })?;
    stages.run("build", || {
        let build = ["build", "--workspace", "--all-targets", "--locked"];
        execute(cargo(workspace).args(build).args(OPTIONAL))
    })?;
    stages.run("unit and integration tests", || {
        let test = ["test", "--workspace", "--all-targets", "--locked"];
        execute(cargo(workspace).args(test).args(OPTIONAL))
    })?;
    stages.run("interop: install clients", || interop::install(workspace, None))?;
    stages.run("interop: run clients", || interop::drive(workspace, None))
}

pub(crate) fn cargo(workspace: &Workspace) -> Command {
    let mut command = Command::new("cargo");
    command.current_dir(&workspace.root).env("CARGO_TARGET_DIR", &workspace.target);
    command
}
