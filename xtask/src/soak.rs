//! `cargo xtask soak`: the long versions of what the tests do briefly. Each part is asked for by a
//! flag and runs the same test with larger numbers, on the release build.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::fault::{During as _, Fault};
use crate::interop::KILL_ROUNDS;
use crate::stage::{Stages, execute};
use crate::suite::cargo;
use crate::workspace::Workspace;

/// What was asked for; zero means not at all.
#[derive(Debug, Default, PartialEq)]
struct Plan {
    kill_rounds: u64,
    reopen_mib: u64,
    sim_seeds: u64,
    subscription_cases: u64,
    subscriptions: u64,
    backlog_events: u64,
    fuzz_minutes: u64,
    every_bit: bool,
    bench: bool,
}

/// The drivers that kill the server as often as they are told to.
const DRIVERS_THAT_KILL: [(&str, &str); 2] = [
    ("kill -9 rounds under Java clients", "openwire"),
    ("kill -9 rounds while files land in buckets", "python"),
];

/// What is printed for `--help`, and for flags that ask for nothing.
const USAGE: &str = "say what to soak:
  --kill-rounds N          kill -9 rounds of each kind, webhooks among them, and as
                           many under Java clients and while files land in buckets
  --reopen-mib N           ready again within 2 s after a kill -9 with N MiB
  --sim-seeds N            seeds of the simulator that crashes the store
  --subscription-cases N   cases of subscriptions against their model
  --subscriptions N        a hub opened with N subscriptions, in time and memory
  --backlog-events N       a backlog of N events for 64 subscriptions, on disk and in memory
  --every-bit              every bit of small journals and segments flipped, every length cut
  --fuzz-minutes N         minutes of fuzzing, shared by all targets
  --bench                  every scene of `outflow bench`";

pub(crate) fn run(workspace: &Workspace, flags: &[String]) -> Result<(), Fault> {
    if flags.iter().any(|flag| flag == "--help") {
        println!("{USAGE}");
        return Ok(());
    }
    let plan = plan(flags)?;
    let mut stages = Stages::default();
    let result = all(workspace, &plan, &mut stages);
    stages.print();
    result
}

fn all(workspace: &Workspace, plan: &Plan, stages: &mut Stages) -> Result<(), Fault> {
    stages.run("release build", || {
        execute(cargo(workspace).args(["build", "--release", "--locked", "-p", "outflow"]))
    })?;
    if plan.sim_seeds > 0 {
        stages.run("simulator", || {
            long_test(workspace, "outflow-engine-local", "OUTFLOW_SIM_SEEDS", plan.sim_seeds)
        })?;
    }
    if plan.subscription_cases > 0 {
        stages.run("subscriptions against their model", || {
            let cases = plan.subscription_cases;
            long_test(workspace, "outflow-hub", "OUTFLOW_SUBSCRIPTION_CASES", cases)
        })?;
    }
    if plan.subscriptions > 0 {
        stages.run("many subscriptions", || {
            long_test(workspace, "outflow-hub", "OUTFLOW_SUBSCRIPTIONS", plan.subscriptions)
        })?;
    }
    if plan.backlog_events > 0 {
        stages.run("a long backlog", || {
            long_test(workspace, "outflow", "OUTFLOW_BACKLOG_EVENTS", plan.backlog_events)
        })?;
    }
    if plan.kill_rounds > 0 {
        stages.run("kill -9 rounds", || {
            long_test(workspace, "outflow", KILL_ROUNDS, plan.kill_rounds)
        })?;
        for (stage, drivers) in DRIVERS_THAT_KILL {
            stages.run(stage, || {
                let mut again = Command::new(std::env::current_exe().during("finding xtask")?);
                let rounds = plan.kill_rounds.to_string();
                execute(again.args(["interop", drivers]).env(KILL_ROUNDS, rounds))
            })?;
        }
    }
    if plan.reopen_mib > 0 {
        stages.run("reopening after kill -9", || {
            long_test(workspace, "outflow", "OUTFLOW_REOPEN_MIB", plan.reopen_mib)
        })?;
    }
    if plan.every_bit {
        stages.run("every bit and every length", || {
            long_test(workspace, "outflow-engine-local", "OUTFLOW_EVERY_BIT", 1)
        })?;
    }
    if plan.fuzz_minutes > 0 {
        stages.run("fuzz", || fuzz(workspace, plan.fuzz_minutes))?;
    }
    if plan.bench {
        stages.run("bench", || {
            execute(Command::new(workspace.binary("release")).args(["bench", "all"]))
        })?;
    }
    Ok(())
}

/// Tests read their numbers from the environment; the binary under test is the release one.
fn long_test(
    workspace: &Workspace,
    package: &str,
    variable: &str,
    count: u64,
) -> Result<(), Fault> {
    let test =
        ["test", "--release", "--locked", "-p", package, "--", "--nocapture", "--test-threads=1"];
    execute(cargo(workspace).args(test).env(variable, count.to_string()))
}

/// The instrumentation that libFuzzer needs, from the nightly compiler itself: `cargo fuzz` would add
/// the address sanitizer, which finds nothing where no code is unsafe, at twice the time.
const INSTRUMENTED: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    --cfg fuzzing";

/// Builds the targets and runs each for its share of the time, from the corpus that earlier runs
/// left. What crashes one is kept beside the corpus, and its path printed.
fn fuzz(workspace: &Workspace, minutes: u64) -> Result<(), Fault> {
    let folder = workspace.root.join("fuzz");
    let out = workspace.target.join("fuzz");
    let mut build = Command::new("cargo");
    // A target of its own name keeps the flags from build scripts and macros.
    build.current_dir(&folder).env("RUSTFLAGS", INSTRUMENTED).env("CARGO_TARGET_DIR", &out);
    execute(build.args(["+nightly", "build", "--release", "--locked", "--target", HOST]))?;
    let targets = targets(&folder.join("fuzz_targets"))?;
    let each = Duration::from_secs(minutes * 60 / targets.len().max(1) as u64)
        .max(Duration::from_secs(10));
    for target in targets {
        let corpus = out.join("corpus").join(&target);
        std::fs::create_dir_all(&corpus).during(format_args!("making {}", corpus.display()))?;
        let mut fuzzer = Command::new(out.join(HOST).join("release").join(&target));
        fuzzer.current_dir(&out).arg(format!("-max_total_time={}", each.as_secs()));
        fuzzer.arg(format!("-dict={}", folder.join("json.dict").display()));
        execute(fuzzer.args(["-timeout=10", "-print_final_stats=1", "-verbosity=0"]).arg(corpus))?;
    }
    Ok(())
}

/// The machines that fuzzing was tried on.
pub(crate) const HOST: &str = "x86_64-unknown-linux-gnu";

fn targets(folder: &Path) -> Result<Vec<String>, Fault> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder).during(format_args!("listing {}", folder.display()))? {
        let path = entry.during("listing fuzz targets")?.path();
        if path.extension().is_some_and(|extension| extension == "rs") {
            names.extend(path.file_stem().map(|stem| stem.to_string_lossy().into_owned()));
        }
    }
    names.sort();
    Ok(names)
}

fn plan(flags: &[String]) -> Result<Plan, Fault> {
    let mut plan = Plan::default();
    let mut flags = flags.iter();
    while let Some(flag) = flags.next() {
        match flag.as_str() {
            "--bench" => plan.bench = true,
            "--every-bit" => plan.every_bit = true,
            _ => {}
        }
        if ["--bench", "--every-bit"].contains(&flag.as_str()) {
            continue;
        }
        let value = flags.next().ok_or_else(|| Fault::new(format!("{flag} needs a number")))?;
        let value = value.parse().during(format_args!("{flag} {value}"))?;
        match flag.as_str() {
            "--kill-rounds" => plan.kill_rounds = value,
            "--reopen-mib" => plan.reopen_mib = value,
            "--sim-seeds" => plan.sim_seeds = value,
            "--subscription-cases" => plan.subscription_cases = value,
            "--subscriptions" => plan.subscriptions = value,
            "--backlog-events" => plan.backlog_events = value,
            "--fuzz-minutes" => plan.fuzz_minutes = value,
            _ => return Err(Fault::new(format!("no flag `{flag}`"))),
        }
    }
    if plan == Plan::default() {
        return Err(Fault::new(USAGE));
    }
    Ok(plan)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_make_a_plan_and_nonsense_does_not() {
        let words = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let expected = Plan { kill_rounds: 200, reopen_mib: 1024, bench: true, ..Plan::default() };
        assert_eq!(plan(&words("--kill-rounds 200 --reopen-mib 1024 --bench")).unwrap(), expected);
        assert!(plan(&words("--kill-rounds")).is_err());
        assert!(plan(&words("--weeks 3")).is_err());
        assert!(plan(&[]).is_err());
    }
}
