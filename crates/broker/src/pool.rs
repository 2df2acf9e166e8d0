//! What the connections of a face may hold together of what is not whole yet: frames of which a part
//! has come, and open transactions.
//!
//! Made by the face once. A connection's frame and its transactions have a [`Share`] each, which grows
//! and shrinks with what they hold; whoever cannot have more is told so, and nothing waits.
//!
//! Invariants: all shares together are no more than the pool has; those of one project are at most four
//! times what is left, so that whoever comes next has some, too; what is small costs nothing, not even
//! the lock.

use std::collections::HashMap;
use std::sync::Arc;

use outflow_model::ProjectId;
use parking_lot::Mutex;
use prometheus_client::metrics::gauge::Gauge;

/// So much of each share is not counted: connections are bounded in number.
pub const FREE_BYTES: usize = 64 << 10;
/// In such steps the rest is.
const STEP_BYTES: usize = 64 << 10;
/// How many times what is left a project may have.
const TIMES_LEFT: usize = 4;

/// See the module.
#[derive(Debug)]
pub struct Pool {
    max: usize,
    used: Mutex<Used>,
    /// The bytes that all shares have, for metrics.
    held: Gauge,
}

#[derive(Debug, Default)]
struct Used {
    all: usize,
    of: HashMap<Option<ProjectId>, usize>,
}

impl Pool {
    /// One of `max` bytes. `held` shows how many of them are held.
    #[must_use]
    pub fn new(max: usize, held: Gauge) -> Arc<Self> {
        Arc::new(Self { max, used: Mutex::default(), held })
    }

    /// A share of nothing yet. Before a login it is of no project.
    #[must_use]
    pub fn share(self: &Arc<Self>, project: Option<ProjectId>) -> Share {
        Share { pool: Arc::clone(self), project, bytes: 0 }
    }
}

/// What one connection has of a [`Pool`]; dropping it gives it back.
#[derive(Debug)]
pub struct Share {
    pool: Arc<Pool>,
    project: Option<ProjectId>,
    bytes: usize,
}

impl Share {
    /// Holds so many bytes from now on; false: there is no room for them, and it holds what it held.
    #[must_use]
    pub fn hold(&mut self, bytes: usize) -> bool {
        let wanted = bytes.saturating_sub(FREE_BYTES).div_ceil(STEP_BYTES) * STEP_BYTES;
        if wanted == self.bytes {
            return true;
        }
        let mut used = self.pool.used.lock();
        let own = used.of.get(&self.project).copied().unwrap_or(0) - self.bytes;
        let others = used.all - self.bytes;
        if wanted > self.bytes {
            let left = self.pool.max.saturating_sub(others);
            if wanted > left || own + wanted > (left - wanted).saturating_mul(TIMES_LEFT) {
                return false;
            }
        }
        used.all = others + wanted;
        if own + wanted == 0 {
            used.of.remove(&self.project);
        } else {
            used.of.insert(self.project.clone(), own + wanted);
        }
        self.bytes = wanted;
        self.pool.held.set(i64::try_from(used.all).unwrap_or(i64::MAX));
        true
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        // Less is always held.
        let _less = self.hold(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn project(id: &str) -> Option<ProjectId> {
        ProjectId::new(id).ok()
    }

    #[test]
    fn shares_are_bounded_together_and_leave_room_for_other_projects() {
        let held = Gauge::default();
        let pool = Pool::new(10 * STEP_BYTES, held.clone());
        let take = |share: &mut Share, steps: usize| share.hold(FREE_BYTES + steps * STEP_BYTES);
        let (mut one, mut two) = (pool.share(project("a")), pool.share(project("a")));
        assert!(take(&mut one, 5) && take(&mut two, 3));
        assert!(!take(&mut two, 4), "a project alone has four fifths");
        let mut other = pool.share(project("b"));
        assert!(take(&mut other, 1) && !take(&mut other, 2));
        assert!(take(&mut one, 2) && take(&mut other, 2), "less is always held");
        assert_eq!(held.get(), 7 * STEP_BYTES as i64);
        drop((one, two, other));
        let used = pool.used.lock();
        assert_eq!((used.all, used.of.len(), held.get()), (0, 0, 0));
    }

    #[test]
    fn what_is_small_costs_nothing() {
        let pool = Pool::new(0, Gauge::default());
        let mut share = pool.share(None);
        assert!(share.hold(FREE_BYTES) && !share.hold(FREE_BYTES + 1));
    }
}
