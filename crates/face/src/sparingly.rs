//! Log lines that a caller can cause as often as it likes: a few a second, and how many were left
//! out.
//!
//! Called by faces before they log a refusal. Reads the clock that it is given.

use outflow_model::Timestamp;
use parking_lot::Mutex;

/// How many lines of a kind are logged in one second.
const PER_SECOND: u64 = 10;

/// How often one kind of line was logged. See the module.
#[derive(Debug, Default)]
pub struct Sparingly(Mutex<Counted>);

#[derive(Debug, Default)]
struct Counted {
    second: i64,
    logged: u64,
    left_out: u64,
}

impl Sparingly {
    /// Whether a line may be logged now; gives how many were left out since the last one.
    #[must_use]
    pub fn allow(&self, now: Timestamp) -> Option<u64> {
        let second = now.millis().div_euclid(1000);
        let mut counted = self.0.lock();
        if counted.second != second {
            (counted.second, counted.logged) = (second, 0);
        }
        if counted.logged >= PER_SECOND {
            counted.left_out += 1;
            return None;
        }
        counted.logged += 1;
        Some(std::mem::take(&mut counted.left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_counted_and_a_trickle_logged() {
        let sparingly = Sparingly::default();
        let at = Timestamp::from_millis;
        let logged = (0..500).filter(|&ms| sparingly.allow(at(ms)).is_some()).count();
        assert_eq!(logged as u64, PER_SECOND);
        assert_eq!(sparingly.allow(at(1000)), Some(500 - PER_SECOND));
        assert_eq!(sparingly.allow(at(1001)), Some(0));
    }
}
