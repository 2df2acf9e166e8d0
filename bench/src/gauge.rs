//! What the server costs, and what the machine is kept from, read from `/proc`: CPU time, resident
//! memory, and the CPU time that the host of a virtual machine gives to others.

use std::time::Duration;

use tokio::time::{Instant, sleep};

/// The kernel's unit of CPU time in `/proc/<pid>/stat`; 100 a second on every Linux of today.
const TICKS_PER_SECOND: u64 = 100;
/// How long it is looked at to see whether it does anything, and which part of that is next to nothing.
const LOOK: Duration = Duration::from_millis(400);
const STILL: u32 = 20;
/// After this it is measured as it is.
const PATIENCE: Duration = Duration::from_secs(20);

/// The process under test; without an id nothing is known of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Gauge {
    pid: Option<u32>,
}

impl Gauge {
    pub(crate) fn new(pid: Option<u32>) -> Self {
        Self { pid }
    }

    /// CPU time used so far, by all threads, in user and system.
    pub(crate) fn cpu(self) -> Option<Duration> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid?)).ok()?;
        ticks(&stat).map(|ticks| Duration::from_millis(ticks * 1_000 / TICKS_PER_SECOND))
    }

    /// Resident memory in bytes.
    pub(crate) fn resident(self) -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid?)).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kib| kib * 1024)
    }

    /// Waits until the process does next to nothing: what it still does with what was written before is
    /// no cost of what is measured next. Not for ever, and not where nothing is known of it.
    pub(crate) async fn settle(self) {
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            let before = self.cpu();
            sleep(LOOK).await;
            let used = self.cpu().zip(before).and_then(|(now, before)| now.checked_sub(before));
            if used.is_none_or(|used| used <= LOOK / STILL) {
                return;
            }
        }
    }

    /// Microseconds of CPU for each of `events`, since `before`.
    pub(crate) fn cpu_micros_each(self, before: Option<Duration>, events: u64) -> Option<f64> {
        let used = self.cpu()?.checked_sub(before?)?;
        (events > 0).then(|| used.as_secs_f64() * 1e6 / events as f64)
    }
}

/// CPU time of all processors since the machine started, in the kernel's ticks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Processors {
    total: u64,
    /// What the host gave to others while something here wanted to run.
    stolen: u64,
}

impl Processors {
    /// As of now; `None` where the kernel does not tell.
    pub(crate) fn now() -> Option<Self> {
        processors(&std::fs::read_to_string("/proc/stat").ok()?)
    }

    /// The part that was stolen since `before`, from 0 to 1.
    pub(crate) fn stolen_since(self, before: Self) -> Option<f64> {
        let total = self.total.checked_sub(before.total).filter(|&total| total > 0)?;
        Some(self.stolen.checked_sub(before.stolen)? as f64 / total as f64)
    }
}

/// The first line: user, nice, system, idle, iowait, irq, softirq, steal. What comes behind them is
/// in `user` already (proc_stat(5)).
fn processors(stat: &str) -> Option<Processors> {
    let fields = stat.lines().next()?.strip_prefix("cpu ")?.split_whitespace().take(8);
    let fields: Vec<u64> = fields.map(|field| field.parse().ok()).collect::<Option<_>>()?;
    Some(Processors { total: fields.iter().sum(), stolen: *fields.get(7)? })
}

/// Fields 14 and 15, counted after the command name, which may hold spaces and brackets.
fn ticks(stat: &str) -> Option<u64> {
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stolen_time_is_a_part_of_all_time() {
        let before = processors("cpu  10 0 10 60 0 0 0 20 5 0\ncpu0 1 2\n").unwrap();
        assert_eq!(before, Processors { total: 100, stolen: 20 });
        let after = processors("cpu  60 0 10 60 0 0 0 70 5 0\n").unwrap();
        assert_eq!(after.stolen_since(before), Some(0.5));
        assert_eq!(before.stolen_since(before), None, "no time has passed");
        assert_eq!(processors("cpu  10 0 10 60\n"), None);
        assert!(Processors::now().is_some());
    }

    #[test]
    fn cpu_time_is_found_behind_a_nasty_name() {
        let stat = "12 (a) b) S 1 2 3 4 5 6 7 8 9 10 30 12 0 0 20 0 1 0 99";
        assert_eq!(ticks(stat), Some(42));
        assert!(Gauge::new(Some(std::process::id())).resident().is_some_and(|bytes| bytes > 0));
        assert!(Gauge::new(None).cpu().is_none());
    }
}
