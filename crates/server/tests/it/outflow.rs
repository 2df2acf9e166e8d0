//! Runs commands of the binary that end by themselves.

use std::ffi::OsStr;
use std::process::Command;

/// How a command ended.
pub(crate) struct Ended {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Runs `outflow` with `arguments` and `environment`.
pub(crate) fn outflow<A: AsRef<OsStr>>(arguments: &[A], environment: &[(&str, &str)]) -> Ended {
    let mut command = Command::new(outflow_testkit::binary().unwrap());
    let output = command.args(arguments).envs(environment.iter().copied()).output().unwrap();
    Ended {
        code: output.status.code().unwrap(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}
