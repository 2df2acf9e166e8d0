//! How many of an endpoint's attempts are told of: some in each second.
//!
//! Called by the post for each attempt. An endpoint that takes thousands of requests a second, or fails
//! every millisecond, must not fill the log that all share.
//!
//! Invariant: what is left out is counted, and told with the next one that is not.

use outflow_model::Timestamp;

/// How many are told of in a second.
const A_SECOND: u32 = 10;
const SECOND_MS: i64 = 1_000;

/// See the module.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Quota {
    second: i64,
    told: u32,
    left_out: u64,
}

impl Quota {
    /// Whether one more is told of now: then how many were left out before it.
    pub(super) const fn admit(&mut self, now: Timestamp) -> Option<u64> {
        let second = now.millis().div_euclid(SECOND_MS);
        if self.second != second {
            (self.second, self.told) = (second, 0);
        }
        if self.told >= A_SECOND {
            self.left_out += 1;
            return None;
        }
        self.told += 1;
        Some(std::mem::replace(&mut self.left_out, 0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_are_told_of_in_a_second_and_the_others_counted() {
        let mut quota = Quota::default();
        let mut admit = |millis| quota.admit(Timestamp::from_millis(millis));
        let told = (0..1_000).filter(|millis| admit(*millis) == Some(0)).count();
        assert_eq!(told, A_SECOND as usize);
        assert_eq!(admit(1_000), Some(1_000 - u64::from(A_SECOND)));
        assert_eq!(admit(1_001), Some(0));
    }
}
