//! How the server is: what health checks and the drain look at.
//!
//! Called by `admin_listener` and `serving`.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use outflow_face::{Drain, Phase};
use outflow_hub::{Health, Hub};
use outflow_model::{Clock, Timestamp};

/// How long the watch may be silent before the process counts as stuck, in milliseconds. Long on
/// purpose: a restart costs more than a slow minute.
const STUCK_MS: i64 = 60_000;

/// How the server is. Clones are the same.
#[derive(Debug, Clone)]
pub(crate) struct Status(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    hub: Hub,
    drain: Drain,
    clock: Arc<dyn Clock>,
    /// When the watch last ran, in milliseconds since the epoch.
    ticked: AtomicI64,
}

/// One thing that was looked at.
pub(crate) struct Check {
    pub(crate) name: &'static str,
    /// What is wrong, if anything is.
    pub(crate) wrong: Option<String>,
    /// Whether it alone makes the server not ready.
    pub(crate) matters: bool,
}

impl Status {
    pub(crate) fn new(hub: Hub, drain: Drain, clock: Arc<dyn Clock>) -> Self {
        let ticked = AtomicI64::new(clock.now().millis());
        Self(Arc::new(Inner { hub, drain, clock, ticked }))
    }

    /// Says that the watch still runs.
    pub(crate) fn tick(&self) {
        self.0.ticked.store(self.0.clock.now().millis(), Ordering::Relaxed);
    }

    /// Whether the process still does its work. Slow to fail.
    pub(crate) fn is_alive(&self) -> bool {
        let ticked = Timestamp::from_millis(self.0.ticked.load(Ordering::Relaxed));
        self.0.clock.now() < ticked.plus_millis(STUCK_MS)
    }

    /// Why the engine no longer writes, when it does not.
    pub(crate) fn stopped(&self) -> Option<String> {
        self.0.hub.health().stopped
    }

    /// How many readers there are.
    pub(crate) fn readers(&self) -> usize {
        let hub = &self.0.hub;
        let streams = |project: &Arc<outflow_hub::Project>| hub.streams(&project.id);
        hub.projects().iter().flat_map(streams).map(|stream| hub.stats(&stream).readers).sum()
    }

    /// Everything that readiness depends on, and what an operator should know besides.
    pub(crate) fn checks(&self) -> Vec<Check> {
        let health = self.0.hub.health();
        let draining = (self.0.drain.phase() != Phase::Serving).then(|| "shutting down".to_owned());
        let full = full(&health);
        let damage = (!health.damage.is_empty()).then(|| health.damage.join("; "));
        vec![
            Check { name: "engine", wrong: health.stopped, matters: true },
            Check { name: "serving", wrong: draining, matters: true },
            Check { name: "disk", wrong: full, matters: false },
            Check { name: "stored_events", wrong: damage, matters: false },
        ]
    }
}

/// What operators are told of a full disk. What makes room is in `default.toml`, under `data.dir`.
fn full(health: &Health) -> Option<String> {
    let until = match health.needed.div_ceil(1 << 20) {
        0 => String::new(),
        mebibytes => format!(", until {mebibytes} MiB of it are free"),
    };
    let said = || format!("the disk is full: publishing is refused, reading goes on{until}");
    health.full.then(said)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_says_how_much_has_to_be_free() {
        let mut health = Health { needed: 320 << 20, ..Health::default() };
        assert_eq!(full(&health), None);
        health.full = true;
        let said = full(&health).unwrap();
        assert!(said.contains("publishing is refused") && said.ends_with("320 MiB of it are free"));
    }
}
