//! One step of a long run: announced, timed, and failing the run when it fails.

use std::process::Command;
use std::time::{Duration, Instant};

use crate::fault::{During as _, Fault};

/// The stages of one run, in order, with what each took.
#[derive(Debug, Default)]
pub(crate) struct Stages {
    done: Vec<(String, Duration)>,
}

impl Stages {
    /// Runs `work`, printing its name before and its time after.
    pub(crate) fn run<T>(
        &mut self,
        name: &str,
        work: impl FnOnce() -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        println!("=== {name}");
        let begun = now();
        let result = work();
        let took = begun.elapsed();
        println!(
            "=== {name}: {} in {:.1} s",
            if result.is_ok() { "ok" } else { "FAILED" },
            took.as_secs_f64()
        );
        self.done.push((name.to_owned(), took));
        result
    }

    /// A table of all stages so far.
    pub(crate) fn print(&self) {
        println!("\n{:<28} {:>9}", "stage", "seconds");
        for (name, took) in &self.done {
            println!("{name:<28} {:>9.1}", took.as_secs_f64());
        }
        let total: Duration = self.done.iter().map(|(_, took)| *took).sum();
        println!("{:<28} {:>9.1}\n", "total", total.as_secs_f64());
    }
}

/// Runs `command` with its output shown, and fails if it does.
pub(crate) fn execute(command: &mut Command) -> Result<(), Fault> {
    let status = command.status().during(format_args!("running {command:?}"))?;
    if status.success() { Ok(()) } else { Err(Fault::new(format!("{command:?}: {status}"))) }
}

#[expect(clippy::disallowed_methods, reason = "stages are timed for people; nothing depends on it")]
pub(crate) fn now() -> Instant {
    Instant::now()
}
