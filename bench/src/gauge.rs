//! What the server costs, read from `/proc`: CPU time and resident memory.

use std::time::Duration;

/// The kernel's unit of CPU time in `/proc/<pid>/stat`; 100 a second on every Linux of today.
const TICKS_PER_SECOND: u64 = 100;

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

    /// Microseconds of CPU for each of `events`, since `before`.
    pub(crate) fn cpu_micros_each(self, before: Option<Duration>, events: u64) -> Option<f64> {
        let used = self.cpu()?.checked_sub(before?)?;
        (events > 0).then(|| used.as_secs_f64() * 1e6 / events as f64)
    }
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
    fn cpu_time_is_found_behind_a_nasty_name() {
        let stat = "12 (a) b) S 1 2 3 4 5 6 7 8 9 10 30 12 0 0 20 0 1 0 99";
        assert_eq!(ticks(stat), Some(42));
        assert!(Gauge::new(Some(std::process::id())).resident().is_some_and(|bytes| bytes > 0));
        assert!(Gauge::new(None).cpu().is_none());
    }
}
