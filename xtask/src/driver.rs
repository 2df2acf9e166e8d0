//! One driver: a program of `interop/` that runs a real client and prints one JSON line per case.

use std::io::{BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use serde::Deserialize;

use crate::fault::{During as _, Fault};
use crate::stage::now;
use crate::stand::signal_process;

/// What a driver says of one case.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(crate) struct Case {
    pub(crate) case: String,
    pub(crate) ok: bool,
    #[serde(default)]
    pub(crate) detail: String,
}

/// Runs `command` for at most `limit` and returns its cases. A driver that crashes, hangs or says
/// nothing adds a failed case of its own: silence is never success.
pub(crate) fn run(command: &mut Command, limit: Duration) -> Result<Vec<Case>, Fault> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).process_group(0);
    let mut child = command.spawn().during(format_args!("running {command:?}"))?;
    let mut cases = Vec::new();
    let ended = listen(&mut child, limit, &mut cases)?;
    // The whole group: a driver may have started clients of its own. It has mostly gone by now.
    if !ended {
        signal_process(child.id(), "-KILL")?;
    }
    let status = child.wait().during("waiting for a driver")?;
    if !ended {
        cases.push(failed("ends in time", format!("killed after {} s", limit.as_secs())));
    } else if !status.success() {
        cases.push(failed("ends well", status.to_string()));
    } else if cases.is_empty() {
        cases.push(failed("reports its cases", "it reported none".to_owned()));
    }
    Ok(cases)
}

fn failed(case: &str, detail: String) -> Case {
    Case { case: case.to_owned(), ok: false, detail }
}

/// Reads cases until the driver closes its output (true) or the time is up (false).
fn listen(child: &mut Child, limit: Duration, cases: &mut Vec<Case>) -> Result<bool, Fault> {
    let stdout =
        child.stdout.take().ok_or_else(|| Fault::new("the driver has no standard output"))?;
    let (lines, inbox) = mpsc::channel();
    #[expect(
        clippy::disallowed_methods,
        reason = "a read of a pipe has no end that can be waited for with a limit"
    )]
    thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            if lines.send(line).is_err() {
                return;
            }
        }
    });
    let begun = now();
    loop {
        let left = limit.saturating_sub(begun.elapsed());
        match inbox.recv_timeout(left) {
            Ok(line) => {
                if let Ok(case) = serde_json::from_str::<Case>(&line) {
                    println!(
                        "  {} {}{}",
                        if case.ok { "ok    " } else { "FAILED" },
                        case.case,
                        indent(&case.detail)
                    );
                    cases.push(case);
                } else {
                    println!("  | {line}");
                }
            }
            Err(mpsc::RecvTimeoutError::Disconnected) => return Ok(true),
            Err(mpsc::RecvTimeoutError::Timeout) => return Ok(false),
        }
    }
}

fn indent(detail: &str) -> String {
    if detail.is_empty() { String::new() } else { format!("  ({detail})") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, seconds: u64) -> Vec<Case> {
        run(Command::new("sh").args(["-c", script]), Duration::from_secs(seconds)).unwrap()
    }

    #[test]
    fn cases_are_read_and_other_lines_let_pass() {
        let cases = shell(
            r#"echo hello; echo '{"case":"a","ok":true,"detail":"d"}'; echo '{"case":"b","ok":false}'"#,
            10,
        );
        assert_eq!(cases.len(), 2);
        assert!(cases[0].ok && !cases[1].ok);
    }

    #[test]
    fn silence_a_crash_and_a_hang_are_failures() {
        for script in ["true", r#"echo '{"case":"a","ok":true}'; exit 3"#] {
            assert!(!shell(script, 10).last().unwrap().ok, "{script}");
        }
        assert_eq!(shell("exec sleep 30", 1).last().unwrap().case, "ends in time");
    }
}
