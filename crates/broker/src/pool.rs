//! What the connections of a face may hold together of what is not whole yet: frames of which a part
//! has come, and open transactions.
//!
//! Made by the face once. A connection's frame and its transactions have a [`Share`] each, which grows
//! and shrinks with what they hold; whoever cannot have more is told so, and nothing waits.
//!
//! Invariants: all shares together are no more than the pool has; those of one project are at most four
//! times what is left, so that whoever comes next has some, too; those of one credential, unless
//! it has but one, are at most a quarter of what is left, so that a customer does not shut out the others
//! of its project; what is small costs nothing, not even the lock.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;

use outflow_model::{CredentialId, Grant, ProjectId};
use parking_lot::Mutex;
use prometheus_client::metrics::gauge::Gauge;

/// So much of each share is not counted: connections are bounded in number.
pub const FREE_BYTES: usize = 64 << 10;
/// In such steps the rest is.
const STEP_BYTES: usize = 64 << 10;
/// How many times what is left a project may have.
const TIMES_LEFT: usize = 4;
/// Which part of what is left a credential may have: alone, a quarter of what its project may.
const PART_LEFT: usize = 4;

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
    /// Those of the same that are a credential's.
    by: HashMap<CredentialId, usize>,
}

impl Pool {
    /// One of `max` bytes. `held` shows how many of them are held.
    #[must_use]
    pub fn new(max: usize, held: Gauge) -> Arc<Self> {
        Arc::new(Self { max, used: Mutex::default(), held })
    }

    /// A share of nothing yet, of a login; before one it is of no project and nobody.
    #[must_use]
    pub fn share(self: &Arc<Self>, grant: Option<&Grant>) -> Share {
        let project = grant.and_then(|grant| grant.project.clone());
        let credential = grant.map(|grant| grant.credential.clone());
        Share { pool: Arc::clone(self), project, credential, bytes: 0 }
    }
}

/// What one connection has of a [`Pool`]; dropping it gives it back.
#[derive(Debug)]
pub struct Share {
    pool: Arc<Pool>,
    project: Option<ProjectId>,
    credential: Option<CredentialId>,
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
        let of_one = self.credential.as_ref().map(|one| {
            let held = used.by.get(one).copied().unwrap_or(0);
            (one, held - self.bytes)
        });
        let others = used.all - self.bytes;
        if wanted > self.bytes {
            let left = self.pool.max.saturating_sub(others);
            if wanted > left || own + wanted > (left - wanted).saturating_mul(TIMES_LEFT) {
                return false;
            }
            // What is all that it has is let in: the largest frame may be more than that.
            let is_too_much = |held| held > 0 && held + wanted > (left - wanted) / PART_LEFT;
            if of_one.is_some_and(|(_, held)| is_too_much(held)) {
                return false;
            }
        }
        used.all = others + wanted;
        note(&mut used.of, &self.project, own + wanted);
        if let Some((one, held)) = of_one {
            note(&mut used.by, one, held + wanted);
        }
        self.bytes = wanted;
        self.pool.held.set(i64::try_from(used.all).unwrap_or(i64::MAX));
        true
    }
}

/// Sets what `key` has; who has nothing is not remembered.
fn note<K: Clone + Eq + Hash>(all: &mut HashMap<K, usize>, key: &K, bytes: usize) {
    if bytes == 0 {
        all.remove(key);
    } else if let Some(known) = all.get_mut(key) {
        *known = bytes;
    } else {
        all.insert(key.clone(), bytes);
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

    fn grant(project: &str, credential: &str) -> Grant {
        Grant {
            credential: CredentialId::new(credential).unwrap(),
            generation: 0,
            expires: None,
            project: ProjectId::new(project).ok(),
            integration: None,
            actions: Arc::default(),
            streams: None,
            destinations: None,
        }
    }

    fn take(share: &mut Share, steps: usize) -> bool {
        share.hold(FREE_BYTES + steps * STEP_BYTES)
    }

    #[test]
    fn shares_are_bounded_together_and_leave_room_for_other_projects() {
        let held = Gauge::default();
        let pool = Pool::new(100 * STEP_BYTES, held.clone());
        // So many customers that no bound of one of them is met.
        let mut all: Vec<Share> =
            (0..40).map(|n| pool.share(Some(&grant("a", &format!("a{n}"))))).collect();
        assert!(all.iter_mut().all(|share| take(share, 2)), "a project alone has four fifths");
        assert!(!take(&mut all[0], 3));
        let mut other = pool.share(Some(&grant("b", "b")));
        assert!(take(&mut other, 16) && !take(&mut other, 17));
        assert!(take(&mut all[0], 1), "less is always held");
        assert_eq!(held.get(), 95 * STEP_BYTES as i64);
        drop((all, other));
        let used = pool.used.lock();
        assert_eq!((used.all, used.of.len(), used.by.len(), held.get()), (0, 0, 0, 0));
    }

    #[test]
    fn a_credential_leaves_room_for_others_of_its_project() {
        let pool = Pool::new(100 * STEP_BYTES, Gauge::default());
        let (greedy, other) = (grant("a", "greedy"), grant("a", "other"));
        let mut shares = [pool.share(Some(&greedy)), pool.share(Some(&greedy))];
        assert!(take(&mut shares[0], 12) && take(&mut shares[1], 8));
        assert!(!take(&mut shares[1], 9), "over all its connections a fifth of the pool");
        assert!(take(&mut pool.share(Some(&other)), 16));
        assert!(
            take(&mut shares[0], 0) && take(&mut shares[1], 20),
            "what is given back is its own"
        );
    }

    #[test]
    fn what_is_small_costs_nothing() {
        let pool = Pool::new(0, Gauge::default());
        let mut share = pool.share(None);
        assert!(share.hold(FREE_BYTES) && !share.hold(FREE_BYTES + 1));
    }
}
